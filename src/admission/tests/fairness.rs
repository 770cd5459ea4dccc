//! Who is served first: users of a class, and classes.

use super::*;

/// The users of those who are granted seats, in order, since the last call.
fn served(world: &mut World) -> Vec<String> {
    let granted = |event| match event {
        Event::Granted { subject, .. } => Some(subject.user.to_string()),
        _ => None,
    };
    world.events().into_iter().filter_map(granted).collect()
}

fn waits(world: &mut World, user: &str, device: &str) -> Ticket {
    let demand = ask(user, device, "film", Kind::Video(ONE));
    queued(&world.decide(Demand {
        patience: secs(600),
        ..demand
    }))
}

fn long_queue(milli: u32) -> Policy {
    let mut policy = policy(milli);
    policy.queue = QueueBounds {
        length: 100,
        per_user: 10,
        max_wait: secs(600),
        keep_place: secs(30),
    };
    policy
}

fn part(part: f64) -> Fraction {
    Fraction::new(part).unwrap()
}

/// A family with a share, a reserve and a priority, and everybody else.
fn house(milli: u32, share: Option<f64>, reserve: f64, priority: u32) -> Policy {
    let mut policy = long_queue(milli);
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["mum".to_owned(), "dad".to_owned(), "kid*".to_owned()];
    family.share = share.map(part);
    family.reserve = part(reserve);
    family.priority = priority;
    policy.classes.insert(0, family);
    policy
}

/// Ends the reservation of a user's device at once.
fn leave(world: &mut World, user: &str, device: &str) {
    let screen = (UserId::new(user), device.into());
    let lease = *world.core.screens[&screen].first().unwrap();
    world.core.release(world.now, lease, Ended::Undelivered);
}

/// Keeps a reservation alive without end.
fn patient_timers(mut policy: Policy) -> Policy {
    policy.timers.reserve = secs(100_000);
    policy
}

#[test]
fn a_user_with_six_devices_is_served_in_turn_with_the_others() {
    let mut world = World::new(patient_timers(long_queue(6000)));
    for device in ["a", "b", "c", "d", "e", "f"] {
        admitted(&world.video("greedy", device, "film"));
    }
    for device in ["g", "h", "i"] {
        waits(&mut world, "greedy", device);
    }
    for user in ["bob", "cid"] {
        for device in ["a", "b"] {
            waits(&mut world, user, device);
        }
    }
    world.events();
    for device in ["a", "b", "c", "d"] {
        leave(&mut world, "greedy", device);
    }
    assert_eq!(
        served(&mut world),
        ["bob", "cid", "bob", "cid"],
        "he holds more than they do, however early he asked"
    );
}

#[test]
fn a_4k_film_weighs_as_much_as_it_costs() {
    let mut world = World::new(patient_timers(long_queue(5000)));
    admitted(&world.decide(ask("uhd", "tv", "film", Kind::Video(Work::UNKNOWN))));
    admitted(&world.video("hd", "tv", "film"));
    waits(&mut world, "uhd", "phone");
    waits(&mut world, "hd", "phone");
    world.events();
    let mut larger = patient_timers(long_queue(5000));
    larger.gpus[0].capacity = seats(6000);
    world.core.set_policy(world.now, Arc::new(larger));
    assert_eq!(
        served(&mut world),
        ["hd"],
        "one demand each, but not one seat each"
    );
}

#[test]
fn who_holds_seats_is_not_starved_by_newcomers_who_hold_none() {
    let mut world = World::new(patient_timers(long_queue(2000)));
    admitted(&world.video("ann", "tv", "film"));
    admitted(&world.video("bob", "tv", "film"));
    let ticket = waits(&mut world, "ann", "phone");
    let mut passed = 0;
    for newcomer in 0..20 {
        let user = format!("new{newcomer}");
        waits(&mut world, &user, "tv");
        let last = if newcomer == 0 {
            "bob".to_owned()
        } else {
            format!("new{}", newcomer - 1)
        };
        world.events();
        leave(&mut world, &last, "tv");
        world.wait(3);
        if world.core.queue.get(ticket).is_none() {
            break;
        }
        passed += 1;
    }
    assert!(
        (1..=5).contains(&passed),
        "one seat in hand is made up for by ten seconds of waiting: {passed} passed"
    );
}

#[test]
fn an_idle_share_is_lent_and_comes_back_first() {
    let mut world = World::new(patient_timers(house(4000, Some(0.5), 0.0, 0)));
    for (user, device) in [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")] {
        assert_eq!(reason(&world.video(user, device, "film")), Reason::Fits);
    }
    for user in ["e", "f"] {
        waits(&mut world, user, "1");
    }
    for user in ["mum", "dad", "kid"] {
        waits(&mut world, user, "1");
    }
    world.events();
    for user in ["a", "b", "c", "d"] {
        leave(&mut world, user, "1");
    }
    assert_eq!(
        served(&mut world),
        ["mum", "dad", "e", "f"],
        "the family goes first until it has its half; then the others, who are below theirs"
    );
}

#[test]
fn a_share_counts_before_priority_and_priority_before_the_turn() {
    let mut world = World::new(patient_timers(house(2000, Some(0.5), 0.0, 10)));
    admitted(&world.video("a", "1", "film"));
    admitted(&world.video("b", "1", "film"));
    for user in ["c", "d", "mum", "dad"] {
        waits(&mut world, user, "1");
    }
    world.events();
    for user in ["a", "b", "mum", "c"] {
        leave(&mut world, user, "1");
    }
    assert_eq!(served(&mut world), ["mum", "c", "dad", "d"]);
}

#[test]
fn a_guest_cannot_take_the_familys_last_seat() {
    let mut world = World::new(house(4000, None, 0.25, 0));
    for user in ["a", "b", "c"] {
        admitted(&world.video(user, "tv", "film"));
    }
    assert_eq!(rejected(&world.video("d", "tv", "film")), Reason::GpuFull);
    admitted(&world.video("mum", "tv", "film"));
    assert_eq!(rejected(&world.video("d", "tv", "film")), Reason::GpuFull);
}

#[test]
fn what_can_never_have_room_beside_a_reserve_does_not_wait_for_it() {
    let mut world = World::new(house(4600, None, 0.25, 0));
    let wide = |user| Demand {
        patience: secs(10),
        ..ask(user, "tv", "film", Kind::Video(Work::UNKNOWN))
    };
    assert_eq!(rejected(&world.decide(wide("guest"))), Reason::GpuFull);
    admitted(&world.decide(wide("mum")));
}

#[test]
fn a_reserve_that_only_observes_keeps_nothing_and_says_so() {
    let mut limits = house(2000, None, 0.5, 0);
    limits.classes[0].mode = Mode::Observe;
    let mut world = World::new(limits);
    admitted(&world.video("a", "tv", "film"));
    world.events();
    assert_eq!(reason(&world.video("b", "tv", "film")), Reason::Observed);
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::Admitted {
            would: Some(Reason::GpuFull),
            ..
        }
    )));
}
