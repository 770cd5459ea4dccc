//! Ending streams for who goes before them.

use super::*;

/// A GPU of three seats, a family that may preempt its guests, and strangers whom nobody may.
fn house() -> Policy {
    let mut policy = policy(3000);
    let class = |name: &str, pattern: &str, priority| Class {
        id: name.into(),
        users: vec![pattern.to_owned()],
        priority,
        ..Class::everybody()
    };
    let mut family = class("family", "f*", 10);
    family.preempt = vec!["guests".into()];
    policy.classes.insert(0, family);
    policy.classes.insert(1, class("guests", "g*", 1));
    policy.queue.max_wait = secs(30);
    policy
}

fn full(policy: Policy) -> World {
    let mut world = World::new(policy);
    for user in ["g1", "g2", "s1"] {
        world.play(user, "tv", "film", user);
        world.wait(1);
    }
    world.events();
    world
}

fn family(patience: u64) -> Demand {
    Demand {
        patience: secs(patience),
        ..ask("fred", "tv", "film", Kind::Video(ONE))
    }
}

/// What was announced (`true`) or called off, for whom.
fn told(events: &[Event]) -> Vec<(String, bool)> {
    let told = |event: &Event| match event {
        Event::Preempting { subject, grace, .. } => {
            Some((subject.user.to_string(), grace.is_some()))
        }
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

fn read_on(world: &mut World, seconds: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for index in 0..seconds {
        world.wait(1);
        for user in ["g1", "g2", "s1"] {
            let lingers = world.core.sessions.get(&user.into()).is_some_and(|known| {
                matches!(known, Known::Lease(id) if world.state(*id) == LeaseState::Lingering)
            });
            if lingers {
                continue;
            }
            let _ = world.segment(user, i64::try_from(index).unwrap());
        }
        events.extend(world.events());
    }
    events
}

fn announced(user: &str) -> (String, bool) {
    (user.to_owned(), true)
}

#[test]
fn without_a_rule_nobody_is_ended() {
    let mut policy = house();
    policy.classes[0].preempt.clear();
    let mut world = full(policy);
    queued(&world.decide(family(20)));
    let events = read_on(&mut world, 25);
    assert!(told(&events).is_empty());
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::EndJob { .. }))
    );
    assert_eq!(world.held(), 3000);
}

#[test]
fn the_guest_who_has_seen_least_is_told_and_then_ended_just_in_time() {
    let mut world = full(house());
    let ticket = queued(&world.decide(family(20)));
    let events = read_on(&mut world, 8);
    assert!(
        told(&events).is_empty(),
        "seats may come free by themselves"
    );
    let events = read_on(&mut world, 1);
    assert_eq!(
        told(&events),
        [announced("g2")],
        "the stranger is not named"
    );
    let events = read_on(&mut world, 4);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::EndJob { .. }))
    );
    let events = read_on(&mut world, 1);
    let ends = events.iter().find_map(|event| match event {
        Event::EndJob { subject, ended, .. } => Some((subject.user.as_str(), *ended)),
        _ => None,
    });
    assert_eq!(ends, Some(("g2", Ended::Preempted)));
    assert_eq!(world.held(), 3000, "FFmpeg takes some seconds to go");
    let events = read_on(&mut world, 5);
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Granted { ticket: told, .. } if *told == ticket
    )));
    assert!(events.iter().any(|event| matches!(
        event,
        Event::LeaseEnded {
            ended: Ended::Preempted,
            ..
        }
    )));
    assert_eq!(world.held(), 3000);
}

#[test]
fn who_was_ended_is_no_longer_covered() {
    let mut world = full(house());
    queued(&world.decide(family(20)));
    read_on(&mut world, 15);
    assert_eq!(world.segment("g2", 40), Covered::Unknown);
    assert_eq!(
        rejected(&world.decide(Demand {
            session: Some("g2".into()),
            origin: Origin::Stream,
            ..ask("g2", "tv", "film", Kind::Video(ONE))
        })),
        Reason::GpuFull
    );
}

#[test]
fn a_seat_that_comes_free_by_itself_spares_the_guest() {
    let mut world = full(house());
    queued(&world.decide(family(20)));
    let events = read_on(&mut world, 9);
    assert_eq!(told(&events), [announced("g2")]);
    world.stop("s1");
    let events = read_on(&mut world, 6);
    assert_eq!(told(&events), [("g2".to_owned(), false)]);
    assert_eq!(world.held(), 3000, "the family plays, and both guests do");
}

#[test]
fn a_family_that_leaves_spares_the_guest() {
    let mut world = full(house());
    let ticket = queued(&world.decide(family(20)));
    read_on(&mut world, 9);
    world.core.withdraw(world.now, ticket);
    let events = read_on(&mut world, 10);
    assert_eq!(told(&events), [("g2".to_owned(), false)]);
    assert_eq!(world.held(), 3000);
}

#[test]
fn who_cannot_wait_until_the_seats_are_free_ends_nobody() {
    let mut world = full(house());
    queued(&world.decide(family(8)));
    assert!(told(&read_on(&mut world, 10)).is_empty());
    assert_eq!(rejected(&world.decide(family(0))), Reason::GpuFull);
}

#[test]
fn who_can_step_down_ends_nobody() {
    let mut policy = house();
    policy.gpus[0].capacity = seats(3700);
    let mut world = full(policy);
    let mut demand = family(20);
    demand.rungs = vec![Rung {
        rate: Bitrate::ZERO,
        kind: Kind::Video(Work {
            size_out: (640, 360),
            ..ONE
        }),
        index: 1,
    }];
    queued(&world.decide(demand));
    let events = read_on(&mut world, 21);
    assert!(told(&events).is_empty());
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Downgraded { .. }))
    );
}

#[test]
fn no_more_are_ended_than_are_needed_and_not_too_often() {
    let mut world = full(house());
    queued(&world.decide(family(20)));
    let second = Demand {
        patience: secs(20),
        ..ask("fay", "tv", "film", Kind::Video(ONE))
    };
    queued(&world.decide(second));
    let events = read_on(&mut world, 30);
    assert_eq!(told(&events), [announced("g2")], "one within a minute");
    let granted = events.iter().filter(|e| matches!(e, Event::Granted { .. }));
    assert_eq!(granted.count(), 1);
}

#[test]
fn as_many_small_ones_are_ended_as_a_large_one_needs_or_none() {
    for (user, ended) in [("g", 2), ("s", 0)] {
        let mut world = World::new(house());
        for number in 0..3 {
            let name = if number == 0 {
                "s0".to_owned()
            } else {
                format!("{user}{number}")
            };
            world.play(&name, "tv", "film", &name);
        }
        let wide = Work {
            millifps: 60_000,
            ..ONE
        };
        let demand = Demand {
            patience: secs(20),
            ..ask("fred", "tv", "film", Kind::Video(wide))
        };
        queued(&world.decide(demand));
        let mut all = Vec::new();
        for index in 0..20 {
            world.wait(1);
            for number in 0..3 {
                world.segment(&format!("{user}{number}"), index);
                world.segment("s0", index);
            }
            all.extend(world.events());
        }
        assert_eq!(told(&all).len(), ended);
        let granted = all.iter().any(|e| matches!(e, Event::Granted { .. }));
        assert_eq!(granted, ended > 0);
    }
}

#[test]
fn asking_again_is_no_way_out() {
    let mut world = full(house());
    queued(&world.decide(family(20)));
    read_on(&mut world, 9);
    let lease = admitted(&world.video("g2", "tv", "film"));
    world.core.bind(world.now, lease, &"again".into());
    world.segment("again", 0);
    world.events();
    let mut events = Vec::new();
    for index in 1..=5 {
        world.wait(1);
        world.segment("again", index);
        events.extend(world.events());
    }
    assert!(events.iter().any(|event| matches!(
        event,
        Event::EndJob { lease: ended, .. } if *ended == lease
    )));
}

#[test]
fn a_class_that_observes_ends_nobody() {
    let mut policy = house();
    policy.classes[0].mode = Mode::Observe;
    let mut world = full(policy);
    queued(&world.decide(family(20)));
    assert!(told(&read_on(&mut world, 25)).is_empty());
}

/// Guests play until the family's last moment has come, and `g2` is told.
fn told_of_its_end(world: &mut World) -> Ticket {
    let ticket = queued(&world.decide(family(20)));
    let events = read_on(world, 9);
    assert_eq!(told(&events), [announced("g2")]);
    ticket
}

/// Whether the family is granted its seat before it gives up, while the other two play on.
fn is_served(world: &mut World, ticket: Ticket, mut each: impl FnMut(&mut World)) -> bool {
    let mut granted = false;
    for index in 20..31 {
        world.wait(1);
        each(world);
        let _ = world.segment("g1", index);
        let _ = world.segment("s1", index);
        granted |= world
            .events()
            .iter()
            .any(|event| matches!(event, Event::Granted { ticket: ours, .. } if *ours == ticket));
        assert!(world.held() <= 3000, "nothing is handed out twice");
    }
    granted
}

fn stream(world: &mut World, session: &str) -> Covered {
    let kind = Kind::Video(ONE);
    world
        .core
        .confirm(world.now, &session.into(), &kind, Activity::Stream)
}

fn close(world: &mut World, session: &str) {
    world
        .core
        .touch(world.now, &session.into(), Activity::StreamEnded);
}

#[test]
fn who_closes_his_stream_and_opens_it_again_is_ended_all_the_same() {
    let mut world = full(house());
    let ticket = told_of_its_end(&mut world);
    stream(&mut world, "g2");
    close(&mut world, "g2");
    world.wait(1);
    stream(&mut world, "g2");
    assert!(is_served(&mut world, ticket, |_| {}));
    assert_eq!(stream(&mut world, "g2"), Covered::Unknown);
}

#[test]
fn who_closes_his_stream_and_opens_it_after_his_time_does_not_come_back() {
    let mut world = full(house());
    let ticket = told_of_its_end(&mut world);
    stream(&mut world, "g2");
    world.wait(1);
    close(&mut world, "g2");
    let mut second = 0;
    let served = is_served(&mut world, ticket, |world| {
        second += 1;
        if second == 6 {
            assert_eq!(stream(world, "g2"), Covered::Unknown);
        }
    });
    assert!(served, "his FFmpeg would have gone too late by itself");
}

#[test]
fn a_play_in_place_of_the_sentenced_one_that_is_never_used_is_no_way_out() {
    let mut world = full(house());
    let ticket = told_of_its_end(&mut world);
    let lease = admitted(&world.video("g2", "tv", "film"));
    world.wait(1);
    world.core.release(world.now, lease, Ended::Undelivered);
    assert_eq!(world.held(), 3000, "the stream before it runs on");
    let served = is_served(&mut world, ticket, |world| {
        let _ = world.segment("g2", 30);
    });
    assert!(served);
}

#[test]
fn a_play_in_place_of_the_sentenced_one_that_has_not_begun_is_no_way_out() {
    let mut world = full(house());
    let ticket = told_of_its_end(&mut world);
    let lease = admitted(&world.video("g2", "tv", "film"));
    world.core.bind(world.now, lease, &"again".into());
    let mut ends = Vec::new();
    // He watches on what he has.
    let served = is_served(&mut world, ticket, |world| {
        let _ = world.segment("g2", 30);
        ends.extend(world.core.events.iter().filter_map(|event| match event {
            Event::EndJob { subject, ended, .. } => Some((subject.session.clone(), *ended)),
            _ => None,
        }));
    });
    assert!(served);
    assert_eq!(
        ends,
        [(Some("g2".into()), Ended::Preempted)],
        "the job that runs"
    );
    assert_eq!(world.segment("again", 0), Covered::Unknown);
}

#[test]
fn who_has_all_of_his_film_is_told_that_it_plays_on() {
    let mut world = full(house());
    told_of_its_end(&mut world);
    let id = world.core.sessions.get(&"g2".into());
    let Some(Known::Lease(id)) = id.cloned() else {
        panic!("it plays");
    };
    world.core.change_state(id, LeaseState::Finished);
    assert_eq!(told(&world.events()), [("g2".to_owned(), false)]);
}

#[test]
fn who_has_left_and_plays_something_else_is_not_disturbed() {
    let mut world = full(house());
    told_of_its_end(&mut world);
    stream(&mut world, "g2");
    close(&mut world, "g2");
    let file = ask("g2", "tv", "other", Kind::Direct);
    let direct = admitted(&world.decide(file));
    world.core.touch_lease(world.now, direct, Activity::Started);
    let events = read_on(&mut world, 12);
    let ends = events.iter().any(|e| matches!(e, Event::EndJob { .. }));
    assert!(!ends, "his player is left alone");
    assert_eq!(world.state(direct), LeaseState::Active);
}
