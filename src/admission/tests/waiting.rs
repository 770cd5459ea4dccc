//! Who waits, in which order, and how a wait ends.

use super::*;

#[test]
fn who_waits_is_served_when_seats_come_free() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let ticket = queued(&world.patient("bob", "tv", "film"));
    world.events();
    world.stop("s1");
    world.wait(4);
    assert_eq!(world.core.queue.len(), 1, "FFmpeg has not gone yet");
    world.wait(1);
    let granted = world.events().into_iter().find_map(|event| match event {
        Event::Granted { ticket, waited, .. } => Some((ticket, waited)),
        _ => None,
    });
    assert_eq!(granted, Some((ticket, secs(5))));
}

#[test]
fn a_wait_ends_when_the_clients_patience_does() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let ticket = queued(&world.patient("bob", "tv", "film"));
    world.events();
    world.wait(9);
    assert!(world.events().is_empty());
    assert_eq!(world.core.next_deadline(), Some(world.now + secs(1)));
    world.wait(1);
    assert!(matches!(
        world.events().as_slice(),
        [Event::Refused { ticket: Some(told), reason: Reason::WaitedOut, .. }] if *told == ticket
    ));
}

#[test]
fn a_class_with_priority_is_served_first_and_then_in_order_of_arrival() {
    let mut limits = policy(1000);
    let family = Class {
        id: "family".into(),
        priority: 5,
        users: vec!["mum".to_owned()],
        ..guests()
    };
    limits.classes.insert(0, family);
    let mut world = World::new(limits);
    world.play("ann", "tv", "film", "s1");
    let first = queued(&world.patient("bob", "tv", "film"));
    let second = queued(&world.patient("cid", "tv", "film"));
    let family = queued(&world.patient("mum", "tv", "film"));
    let order: Vec<Ticket> = world
        .core
        .snapshot(world.now)
        .waiting
        .iter()
        .map(|waiter| waiter.ticket)
        .collect();
    assert_eq!(order, [family, first, second]);
}

#[test]
fn nobody_overtakes_for_ever_on_a_full_gpu() {
    let mut world = World::new(policy(4000));
    for (user, session) in [("a", "s1"), ("b", "s2")] {
        world.play(user, "tv", "film", session);
    }
    let large = ask("cid", "tv", "film", Kind::Video(Work::UNKNOWN));
    queued(&world.decide(Demand {
        patience: secs(15),
        ..large
    }));
    queued(&world.patient("dan", "tv", "film"));
    assert_eq!(
        world.held(),
        2000,
        "a small one does not pass a large one that came first"
    );
}

#[test]
fn who_is_blocked_by_his_own_limit_blocks_nobody() {
    let mut world = World::new(limited(1));
    world.play("ann", "tv", "film", "s1");
    queued(&world.patient("ann", "phone", "other"));
    assert_eq!(reason(&world.patient("bob", "tv", "film")), Reason::Fits);
}

#[test]
fn the_queue_is_bounded_in_all_and_per_user() {
    let mut limits = policy(1000);
    limits.queue = QueueBounds {
        length: 3,
        per_user: 2,
        max_wait: secs(15),
        keep_place: secs(30),
    };
    let mut world = World::new(limits);
    world.play("ann", "tv", "film", "s1");
    queued(&world.patient("bob", "a", "1"));
    queued(&world.patient("bob", "b", "2"));
    assert_eq!(rejected(&world.patient("bob", "c", "3")), Reason::QueueFull);
    queued(&world.patient("cid", "a", "1"));
    assert_eq!(rejected(&world.patient("dan", "a", "1")), Reason::QueueFull);
}

#[test]
fn a_device_that_asks_for_something_else_gives_up_its_place() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let ticket = queued(&world.patient("bob", "tv", "film"));
    world.events();
    admitted(&world.decide(ask("bob", "tv", "other", Kind::Direct)));
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::Refused { ticket: Some(told), reason: Reason::Superseded, .. } if *told == ticket
    )));
}

#[test]
fn who_asks_again_for_the_same_film_keeps_his_place_in_line() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    queued(&world.patient("bob", "tv", "film"));
    let other = queued(&world.patient("cid", "tv", "film"));
    let again = queued(&world.patient("bob", "tv", "film"));
    assert_eq!(world.core.in_order(), [again, other]);
}

#[test]
fn a_new_policy_judges_who_waits_and_cuts_nobody_off() {
    let mut world = World::new(policy(2000));
    world.play("ann", "tv", "film", "s1");
    world.play("bob", "tv", "film", "s2");
    queued(&world.patient("cid", "tv", "film"));
    world.core.set_policy(world.now, Arc::new(policy(1000)));
    assert_eq!((world.held(), world.core.queue.len()), (2000, 1));
    world.core.set_policy(world.now, Arc::new(policy(3000)));
    assert_eq!((world.held(), world.core.queue.len()), (3000, 0));
}

#[test]
fn draining_refuses_new_plays_and_lets_running_ones_seek() {
    let mut world = World::new(policy(2000));
    world.play("ann", "tv", "film", "s1");
    world.core.drain(world.now);
    assert_eq!(
        rejected(&world.patient("bob", "tv", "film")),
        Reason::Draining
    );
    assert_eq!(
        reason(&world.video("ann", "tv", "film")),
        Reason::Replacement
    );
}

#[test]
fn who_gives_up_his_place_for_something_small_is_not_refused_for_those_who_stood_behind_it() {
    let mut world = World::new(with_class(Class {
        seats: Some(Seats::from_milli(4000)),
        ..guests()
    }));
    for (user, session) in [("guest1", "s1"), ("guest2", "s2")] {
        world.play(user, "tv", "film", session);
    }
    let large = ask("guest3", "tv", "film", Kind::Video(Work::UNKNOWN));
    queued(&world.decide(Demand {
        patience: secs(15),
        ..large
    }));
    queued(&world.patient("guest4", "tv", "film"));
    // What he waited for is void, so the other has room, and there is room for him too.
    let small = world.video("guest3", "tv", "series");
    assert_eq!(reason(&small), Reason::Fits);
    assert_eq!(world.held(), 4000);
}
