//! Stepping down in mid-play, and up again.

use super::*;

/// 4K HDR to 1080p.
const WHOLE: Work = Work::UNKNOWN;

/// A family that goes before its guests, and a GPU of so many seats.
fn house(milli: u32) -> Policy {
    let mut policy = policy(milli);
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["f*".to_owned()];
    family.priority = 10;
    policy.classes.insert(0, family);
    policy
}

fn rungs() -> Vec<Rung> {
    let rung = |index, size_out| Rung {
        rate: Bitrate::ZERO,
        kind: Kind::Video(Work { size_out, ..ONE }),
        index,
    };
    vec![rung(7, (1280, 720)), rung(8, (640, 360))]
}

/// One seat, or 720p or 360p for less.
fn ask_ladder(user: &str, item: &str) -> Demand {
    Demand {
        rungs: rungs(),
        patience: secs(10),
        ..ask(user, "tv", item, Kind::Video(ONE))
    }
}

fn price(kind: &Kind) -> Seats {
    match kind {
        Kind::Video(work) => CostModel::default().seats(work),
        Kind::Direct | Kind::Remux | Kind::Audio => Seats::ZERO,
    }
}

/// Plays with a ladder: asks, binds, reads the first segment.
#[track_caller]
fn play(world: &mut World, user: &str, session: &str) -> LeaseId {
    let lease = admitted(&world.decide(ask_ladder(user, "film")));
    begin(world, lease, session);
    lease
}

fn begin(world: &mut World, lease: LeaseId, session: &str) {
    world.core.bind(world.now, lease, &session.into());
    let kind = rungs()[0].kind;
    let read = Activity::Segment { index: 0 };
    let _ = world.core.confirm(world.now, &session.into(), &kind, read);
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

/// A demand of half a seat.
fn half(user: &str) -> Demand {
    let work = Work {
        size_in: (1280, 720),
        size_out: (1280, 720),
        ..ONE
    };
    Demand {
        patience: secs(14),
        ..ask(user, "tv", "film", Kind::Video(work))
    }
}

fn need(user: &str) -> u32 {
    price(&half(user).kind).milli()
}

/// Three guests fill a GPU, and there is a little less room than the family needs if one of them steps down by a rung.
fn full(world: &mut World) {
    for guest in ["a", "b", "c"] {
        play(world, guest, guest);
    }
    world.events();
}

fn tight() -> World {
    // What 720p saves, and what is left, is just enough for half a seat.
    let saved = 1000 - price(&rungs()[0].kind).milli();
    World::new(house(3000 + need("f") - saved))
}

fn granted(world: &mut World, ticket: Ticket) -> bool {
    let events = world.events();
    events
        .iter()
        .any(|event| matches!(event, Event::Granted { ticket: told, .. } if *told == ticket))
}

#[test]
fn a_guest_who_asks_again_steps_down_for_a_family_that_waits() {
    let mut world = tight();
    full(&mut world);
    let ticket = queued(&world.decide(half("fred")));
    let (lease, rung, why) = stepped(&world.decide(ask_ladder("a", "film")));
    assert_eq!(
        (rung, why),
        (7, Reason::Yields),
        "the dearest that is enough"
    );
    assert!(!granted(&mut world, ticket), "the old FFmpeg still runs");
    begin(&mut world, lease, "a2");
    world.wait(4);
    assert!(!granted(&mut world, ticket));
    world.wait(1);
    assert!(granted(&mut world, ticket));
    let gpu = world.core.snapshot(world.now).gpus[0].clone();
    assert!(gpu.held <= gpu.capacity, "{gpu:?}");
}

#[test]
fn only_as_many_guests_step_down_as_must() {
    let mut world = tight();
    full(&mut world);
    queued(&world.decide(half("fred")));
    stepped(&world.decide(ask_ladder("a", "film")));
    admitted(&world.decide(ask_ladder("b", "film")));
}

#[test]
fn nobody_steps_down_in_vain() {
    let mut world = World::new(house(3000));
    full(&mut world);
    let whole = Demand {
        patience: secs(10),
        ..ask("fred", "tv", "film", Kind::Video(WHOLE))
    };
    queued(&world.decide(whole));
    admitted(&world.decide(ask_ladder("a", "film")));
}

#[test]
fn the_family_does_not_step_down_for_its_guests() {
    let mut world = tight();
    for user in ["fa", "fb", "fc"] {
        play(&mut world, user, user);
    }
    queued(&world.decide(half("guest")));
    admitted(&world.decide(ask_ladder("fa", "film")));
}

#[test]
fn guests_do_not_step_down_for_each_other_unless_a_rule_says_so() {
    for (yields, rung) in [(Yields::ToHigher, None), (Yields::Always, Some(7))] {
        let mut policy = house(tight().core.policy().gpus[0].capacity.milli());
        policy.user.yields = yields;
        let mut world = World::new(policy);
        full(&mut world);
        queued(&world.decide(half("guest")));
        let decision = world.decide(ask_ladder("a", "film"));
        match rung {
            Some(rung) => assert_eq!(stepped(&decision).1, rung),
            None => {
                admitted(&decision);
            }
        }
    }
}

#[test]
fn who_never_yields_and_who_never_steps_down_plays_on_as_he_is() {
    for (yields, when_full) in [
        (Yields::Never, WhenFull::WaitThenStepDown),
        (Yields::Always, WhenFull::Wait),
    ] {
        let mut policy = house(tight().core.policy().gpus[0].capacity.milli());
        policy.user.yields = yields;
        policy.user.when_full = when_full;
        let mut world = World::new(policy);
        full(&mut world);
        queued(&world.decide(half("fred")));
        admitted(&world.decide(ask_ladder("a", "film")));
    }
}

#[test]
fn a_class_above_its_share_steps_down_for_one_below_it() {
    let mut policy = house(tight().core.policy().gpus[0].capacity.milli());
    policy.classes[0].priority = 0;
    policy.classes[0].share = Fraction::new(0.5);
    let mut world = World::new(policy);
    full(&mut world);
    queued(&world.decide(half("fred")));
    assert_eq!(
        stepped(&world.decide(ask_ladder("a", "film"))).2,
        Reason::Yields
    );
}

#[test]
fn a_family_that_was_told_to_come_back_is_made_room_for_meanwhile() {
    let mut world = tight();
    full(&mut world);
    let refused = Demand {
        patience: Duration::ZERO,
        ..half("fred")
    };
    assert_eq!(rejected(&world.decide(refused.clone())), Reason::GpuFull);
    world.wait(2);
    let (lease, ..) = stepped(&world.decide(ask_ladder("a", "film")));
    begin(&mut world, lease, "a2");
    world.wait(5);
    admitted(&world.decide(refused));
}

#[test]
fn who_has_given_up_for_long_is_not_made_room_for() {
    let mut world = tight();
    full(&mut world);
    let refused = Demand {
        patience: Duration::ZERO,
        ..half("fred")
    };
    rejected(&world.decide(refused));
    for index in 1..=25 {
        world.wait(30);
        for guest in ["a", "b", "c"] {
            world.segment(guest, index);
        }
    }
    admitted(&world.decide(ask_ladder("a", "film")));
}

#[test]
fn an_answer_that_is_never_used_gives_the_whole_back() {
    let mut world = tight();
    full(&mut world);
    queued(&world.decide(half("fred")));
    let (lease, ..) = stepped(&world.decide(ask_ladder("a", "film")));
    world.core.release(world.now, lease, Ended::Undelivered);
    assert_eq!(world.held(), 3000, "the old stream plays on");
    let gpu = world.core.snapshot(world.now).gpus[0].clone();
    assert!(gpu.held <= gpu.capacity, "{gpu:?}");
}

#[test]
fn who_asks_again_while_he_yields_does_not_step_up_by_it() {
    let mut world = tight();
    full(&mut world);
    queued(&world.decide(half("fred")));
    let (lease, ..) = stepped(&world.decide(ask_ladder("a", "film")));
    begin(&mut world, lease, "a2");
    assert_eq!(stepped(&world.decide(ask_ladder("a", "film"))).1, 7);
}

#[test]
fn who_was_stepped_down_keeps_his_rung_while_there_is_no_room_and_is_let_up_when_there_is() {
    let mut world = tight();
    full(&mut world);
    let ticket = queued(&world.decide(half("fred")));
    let (lease, ..) = stepped(&world.decide(ask_ladder("a", "film")));
    begin(&mut world, lease, "a2");
    world.wait(5);
    assert!(granted(&mut world, ticket));
    world
        .core
        .bind(world.now, LeaseId(lease.0 + 1), &"fred".into());
    world.segment("fred", 0);
    let (lease, rung, why) = stepped(&world.decide(ask_ladder("a", "film")));
    assert_eq!((rung, why), (7, Reason::GpuFull), "there is no room");
    begin(&mut world, lease, "a3");
    world.stop("b");
    world.wait(5);
    admitted(&world.decide(ask_ladder("a", "film")));
}

#[test]
fn the_next_episode_keeps_the_rung_rather_than_wait() {
    let mut world = tight();
    full(&mut world);
    let ticket = queued(&world.decide(half("fred")));
    let (lease, ..) = stepped(&world.decide(ask_ladder("a", "film")));
    begin(&mut world, lease, "a2");
    world.wait(5);
    assert!(granted(&mut world, ticket));
    world.stop("a2");
    let (_, rung, _) = stepped(&world.decide(ask_ladder("a", "next")));
    assert_eq!(rung, 7);
}

#[test]
fn the_next_episode_of_a_guest_steps_down_for_a_family_that_waits() {
    let mut world = tight();
    full(&mut world);
    queued(&world.decide(half("fred")));
    world.stop("a");
    let (_, rung, why) = stepped(&world.decide(ask_ladder("a", "next")));
    assert_eq!((rung, why), (7, Reason::Yields));
}

#[test]
fn a_dearer_quality_than_there_is_room_for_is_made_smaller_and_not_refused() {
    let mut world = World::new(house(3000));
    full(&mut world);
    let mut dearer = ask_ladder("a", "film");
    dearer.kind = Kind::Video(WHOLE);
    dearer.rungs.insert(
        0,
        Rung {
            rate: Bitrate::ZERO,
            kind: Kind::Video(ONE),
            index: 6,
        },
    );
    assert_eq!(stepped(&world.decide(dearer)).1, 6, "what he has already");
    assert_eq!(world.held(), 3000);
}

#[test]
fn a_viewer_whose_seats_are_lent_comes_back_at_once_and_nobody_else_is_let_in_until_it_fits() {
    let mut world = World::new(house(3000));
    full(&mut world);
    world.report("a", true, 60);
    for index in 1..=21 {
        world.wait(30);
        world.report("a", true, 60);
        for guest in ["b", "c"] {
            world.segment(guest, index);
        }
    }
    let lent = world.core.snapshot(world.now).gpus[0].clone();
    assert_eq!((lent.held, lent.lent), (seats(2000), seats(1000)));
    play(&mut world, "d", "d");
    let other = ask_ladder("e", "film");
    assert!(!world.core.fits(&other));
    assert!(matches!(world.segment("a", 20), Covered::Yes(_)));
    assert_eq!(world.held(), 4000, "a borrowed seat");
    world.stop("b");
    world.wait(5);
    assert_eq!(world.held(), 3000);
    assert!(!world.core.fits(&other), "it has only just come to fit");
    world.stop("c");
    world.wait(5);
    admitted(&world.decide(other));
}

#[test]
fn the_job_of_a_parked_viewer_is_ended_only_if_a_rule_says_so_and_it_is_a_film() {
    for (rule, seen, ended) in [(false, true, 0), (true, true, 1), (true, false, 0)] {
        let mut policy = house(3000);
        policy.end_parked_jobs = rule;
        let mut world = World::new(policy);
        play(&mut world, "a", "a");
        world.wait(20);
        let node = NodeId::new("node");
        let running = |completion| Running {
            rate: Bitrate::ZERO,
            who: who("a", "tv"),
            item: "film".into(),
            kind: Kind::Video(ONE),
            completion,
            runtime: seen.then_some(secs(7200)),
            position: Some(secs(60)),
            paused: true,
        };
        world.report("a", true, 60);
        world.events();
        let mut jobs = 0;
        for minute in 1..=22 {
            world.wait(30);
            world.report("a", true, 60);
            let completion = seen.then_some(f64::from(minute) / 100.0);
            world
                .core
                .reconcile(world.now, &node, &[running(completion)]);
            let ends = |event: &Event| matches!(event, Event::EndJob { ended, .. } if *ended == Ended::Parked);
            jobs += world.events().iter().filter(|event| ends(event)).count();
        }
        assert_eq!(jobs, ended, "rule {rule}, seen {seen}");
        assert_eq!(world.held(), 0);
        assert!(
            matches!(world.segment("a", 20), Covered::Yes(_)),
            "he comes back"
        );
    }
}

/// Random evenings of a family and its guests: what is yielded is never held twice, and never by the family.
#[test]
fn whatever_they_ask_nothing_is_held_twice_and_only_guests_yield() {
    let (mut yields, mut up) = (0, 0);
    for seed in 1..=120_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = move |sides: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        let mut policy = house(2500 + 250 * u32::try_from(roll(5)).unwrap());
        policy.classes[0].preempt = if roll(2) == 0 {
            vec!["default".into()]
        } else {
            Vec::new()
        };
        policy.preemption.every = secs(10);
        let mut world = World::new(policy);
        let users = ["fa", "fb", "ga", "gb", "gc", "gd"];
        let mut named = 0;
        for step in 0..150_i64 {
            let user = users[usize::try_from(roll(6)).unwrap()];
            let family = user.starts_with('f');
            if roll(3) == 0 {
                let held = world
                    .core
                    .leases
                    .values()
                    .find(|lease| lease.asked.account.user.as_str() == user)
                    .and_then(|lease| lease.session().cloned());
                if let Some(session) = held {
                    world.core.stop(world.now, &session, Ended::Stopped);
                }
            } else {
                let waits = world.core.queue.len() > 0 || !world.core.missed.is_empty();
                let was =
                    world.core.leases.values().any(|lease| {
                        lease.asked.account.user.as_str() == user && lease.asked.stepped
                    });
                let decision = world.decide(ask_ladder(user, "film"));
                match decision {
                    Decision::Downgrade {
                        reason: Reason::Yields,
                        ..
                    } => {
                        assert!(!family && waits, "seed {seed}, step {step}");
                        yields += 1;
                    }
                    Decision::Admit { .. } if was => up += 1,
                    _ => {}
                }
            }
            let new: Vec<LeaseId> = world
                .core
                .leases
                .values()
                .filter(|lease| lease.session().is_none())
                .map(|lease| lease.id)
                .collect();
            for lease in new {
                named += 1;
                world
                    .core
                    .bind(world.now, lease, &PlaySessionId::new(format!("s{named}")));
            }
            let playing: Vec<PlaySessionId> = world
                .core
                .leases
                .values()
                .filter(|lease| lease.leave.is_none())
                .filter_map(|lease| lease.session().cloned())
                .collect();
            for session in playing {
                let read = Activity::Segment { index: step };
                world.core.touch(world.now, &session, read);
            }
            world.wait(roll(4));
            let gpu = &world.core.snapshot(world.now).gpus[0];
            assert!(
                gpu.held <= gpu.capacity,
                "seed {seed}, step {step}: {gpu:?}"
            );
        }
    }
    assert!(yields > 20 && up > 10, "{yields} yielded, {up} let up");
}
