//! Stepping down to a cheaper form.

use super::*;

/// 4K HDR to 1080p, which can step down to 720p (rung 7), to 360p (rung 8) and to a remux (rung 9).
const WHOLE: Work = Work::UNKNOWN;

fn rung(index: usize, size_out: (u32, u32)) -> Rung {
    let kind = Kind::Video(Work { size_out, ..ONE });
    Rung {
        kind,
        rate: Bitrate::ZERO,
        index,
    }
}

fn ask_ladder(user: &str, patience: u64) -> Demand {
    Demand {
        rungs: vec![rung(7, (1280, 720)), rung(8, (640, 360))],
        patience: secs(patience),
        ..ask(user, "tv", "film", Kind::Video(WHOLE))
    }
}

fn house(milli: u32, when_full: WhenFull, floor: Option<u32>) -> World {
    let mut policy = policy(milli);
    policy.user.when_full = when_full;
    policy.user.floor = floor;
    World::new(policy)
}

/// Fills a GPU of four seats but for one.
fn fill(world: &mut World) {
    for user in ["a", "b", "c"] {
        world.play(user, "tv", "film", user);
    }
    world.events();
}

#[track_caller]
fn stepped(decision: &Decision) -> (LeaseId, usize, Reason) {
    match decision {
        Decision::Downgrade {
            lease,
            rung,
            reason,
        } => (*lease, *rung, *reason),
        other => panic!("did not step down: {other:?}"),
    }
}

/// The rung that each waiting demand was given, with its ticket and its wait.
fn given(world: &mut World) -> Vec<(Ticket, usize, Duration)> {
    let downgraded = |event| match event {
        Event::Downgraded {
            ticket: Some(ticket),
            rung,
            waited,
            ..
        } => Some((ticket, rung, waited)),
        _ => None,
    };
    world.events().into_iter().filter_map(downgraded).collect()
}

#[test]
fn the_dearest_rung_that_fits_is_given_and_holds_its_own_price() {
    let mut world = house(4000, WhenFull::StepDown, None);
    fill(&mut world);
    let (lease, rung, why) = stepped(&world.decide(ask_ladder("dan", 10)));
    assert_eq!((rung, why), (7, Reason::GpuFull));
    let view = world.core.snapshot(world.now);
    let held = view.leases.iter().find(|view| view.lease == lease).unwrap();
    assert!(held.cost < seats(1000) && held.held == held.cost);
    assert!(matches!(
        world.events().as_slice(),
        [Event::Downgraded {
            rung: 7,
            ticket: None,
            ..
        }]
    ));
}

#[test]
fn what_fits_as_a_whole_does_not_step_down() {
    let mut world = house(4000, WhenFull::StepDown, None);
    admitted(&world.decide(ask_ladder("dan", 10)));
}

#[test]
fn the_lease_of_a_rung_does_not_cover_the_whole() {
    let mut world = house(4000, WhenFull::StepDown, None);
    fill(&mut world);
    let (lease, ..) = stepped(&world.decide(ask_ladder("dan", 10)));
    world.core.bind(world.now, lease, &"s".into());
    let read = Activity::Segment { index: 0 };
    let whole = Kind::Video(WHOLE);
    let covered = world.core.confirm(world.now, &"s".into(), &whole, read);
    assert_eq!(covered, Covered::Dearer(lease));
    let small = rung(7, (1280, 720)).kind;
    let covered = world.core.confirm(world.now, &"s".into(), &small, read);
    assert_eq!(covered, Covered::Yes(lease));
}

#[test]
fn who_waits_first_steps_down_when_his_patience_ends() {
    let mut world = house(4000, WhenFull::WaitThenStepDown, None);
    fill(&mut world);
    let ticket = queued(&world.decide(ask_ladder("dan", 10)));
    world.wait(9);
    assert!(given(&mut world).is_empty());
    world.wait(1);
    assert_eq!(given(&mut world), [(ticket, 7, secs(10))]);
    assert_eq!(world.core.queue.len(), 0);
}

#[test]
fn who_waits_first_is_given_the_whole_if_it_comes_free() {
    let mut world = house(4000, WhenFull::WaitThenStepDown, None);
    fill(&mut world);
    let ticket = queued(&world.decide(ask_ladder("dan", 10)));
    for user in ["a", "b", "c"] {
        world.stop(user);
    }
    world.wait(5);
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::Granted { ticket: told, .. } if *told == ticket
    )));
}

#[test]
fn who_cannot_wait_steps_down_at_once() {
    let mut world = house(4000, WhenFull::WaitThenStepDown, None);
    fill(&mut world);
    assert_eq!(stepped(&world.decide(ask_ladder("dan", 0))).1, 7);
}

#[test]
fn who_would_wait_in_vain_steps_down_at_once() {
    let mut world = house(4000, WhenFull::WaitThenStepDown, None);
    fill(&mut world);
    for minute in 1..=60 {
        world.wait(30);
        for user in ["a", "b", "c"] {
            world.segment(user, minute);
        }
    }
    assert_eq!(stepped(&world.decide(ask_ladder("dan", 10))).1, 7);
}

#[test]
fn who_finds_the_queue_full_steps_down() {
    let mut limits = policy(4000);
    limits.queue.length = 0;
    let mut world = World::new(limits);
    fill(&mut world);
    assert_eq!(stepped(&world.decide(ask_ladder("dan", 10))).1, 7);
}

#[test]
fn who_steps_down_first_waits_until_any_form_fits() {
    let mut world = house(3000, WhenFull::StepDownThenWait, None);
    fill(&mut world);
    let ticket = queued(&world.decide(ask_ladder("dan", 10)));
    world.stop("a");
    world.wait(5);
    assert_eq!(
        given(&mut world),
        [(ticket, 7, secs(5))],
        "one seat is enough"
    );
}

#[test]
fn a_floor_is_kept_and_costs_the_play_if_it_must() {
    let mut world = house(3500, WhenFull::WaitThenStepDown, Some(720));
    fill(&mut world);
    // 720p takes more than half a seat only with its source: here nothing above the floor fits.
    let mut demand = ask_ladder("dan", 0);
    demand.rungs = vec![rung(7, (1920, 800)), rung(8, (640, 360))];
    assert_eq!(rejected(&world.decide(demand.clone())), Reason::GpuFull);
    world.stop("a");
    world.wait(5);
    assert_eq!(
        stepped(&world.decide(demand)).1,
        7,
        "a film of 1920x800 is 1080p"
    );
}

#[test]
fn a_source_below_the_floor_may_be_kept_at_its_own_height() {
    let mut world = house(3000, WhenFull::WaitThenStepDown, Some(1080));
    for user in ["a", "b"] {
        world.play(user, "tv", "film", user);
    }
    let dvd = |fps| Work {
        size_in: (720, 576),
        size_out: (720, 576),
        millifps: fps,
        ..ONE
    };
    let third = Work {
        millifps: 22_500,
        ..ONE
    };
    admitted(&world.decide(ask("c", "tv", "x", Kind::Video(third))));
    let demand = Demand {
        rungs: vec![Rung {
            kind: Kind::Video(dvd(10_000)),
            rate: Bitrate::ZERO,
            index: 3,
        }],
        ..ask("dan", "tv", "film", Kind::Video(dvd(60_000)))
    };
    assert_eq!(stepped(&world.decide(demand)).1, 3);
}

#[test]
fn a_rule_that_only_waits_never_steps_down() {
    let mut world = house(4000, WhenFull::Wait, None);
    fill(&mut world);
    queued(&world.decide(ask_ladder("dan", 10)));
    world.wait(10);
    assert!(given(&mut world).is_empty());
    assert_eq!(
        rejected(&world.decide(ask_ladder("eve", 0))),
        Reason::GpuFull
    );
}

#[test]
fn what_a_rule_denies_steps_down_to_what_it_allows() {
    let mut class = Class::everybody();
    class.transcode = Access::Deny;
    let mut limits = policy(4000);
    limits.classes = vec![class];
    let mut world = World::new(limits);
    let mut demand = ask_ladder("dan", 10);
    assert_eq!(
        rejected(&world.decide(demand.clone())),
        Reason::TranscodeDenied
    );
    demand.rungs.push(Rung {
        kind: Kind::Remux,
        rate: Bitrate::ZERO,
        index: 9,
    });
    let (_, rung, why) = stepped(&world.decide(demand));
    assert_eq!((rung, why), (9, Reason::TranscodeDenied));
}

#[test]
fn nobody_is_overtaken_by_stepping_down() {
    let mut world = house(4000, WhenFull::WaitThenStepDown, None);
    fill(&mut world);
    queued(&world.decide(ask_ladder("first", 10)));
    assert_eq!(
        rejected(&world.decide(ask_ladder("late", 0))),
        Reason::GpuFull
    );
    world.wait(10);
    assert_eq!(given(&mut world).len(), 1);
}

#[test]
fn who_steps_down_first_waits_for_what_is_in_the_way_of_the_smallest() {
    let mut limits = policy(2000);
    limits.user.when_full = WhenFull::StepDownThenWait;
    limits.user.seats = Some(seats(1500));
    let mut world = World::new(limits);
    world.play("dan", "phone", "other", "s1");
    world.play("ann", "tv", "film", "s2");
    // His own limit forbids the whole; the smallest form is within it, but the GPU is full.
    let demand = Demand {
        rungs: vec![Rung {
            kind: Kind::Video(Work {
                size_in: (640, 360),
                size_out: (640, 360),
                ..ONE
            }),
            rate: Bitrate::ZERO,
            index: 5,
        }],
        patience: secs(10),
        ..ask("dan", "tv", "film", Kind::Video(ONE))
    };
    let ticket = queued(&world.decide(demand));
    world.events();
    world.stop("s2");
    world.wait(5);
    assert_eq!(given(&mut world), [(ticket, 5, secs(5))]);
}
