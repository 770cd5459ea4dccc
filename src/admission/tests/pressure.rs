//! The fuller a GPU, the smaller the pictures.

use super::*;

/// A GPU on which a play is one seat as a whole, 0.722 at 720 lines (rung 0) and 0.556 at 360 (rung 1).
fn house(milli: u32, pressure: f64) -> World {
    let mut policy = policy(milli);
    policy.pressure = Fraction::new(pressure).unwrap();
    World::new(policy)
}

fn wish(user: &str, device: &str) -> Demand {
    let rung = |index, size_out| Rung {
        kind: Kind::Video(Work { size_out, ..ONE }),
        index,
        rate: Bitrate::ZERO,
    };
    Demand {
        rungs: vec![rung(0, (1280, 720)), rung(1, (640, 360))],
        patience: secs(10),
        ..ask(user, device, "film", Kind::Video(ONE))
    }
}

/// `None`: the whole.
#[track_caller]
fn form(decision: &Decision) -> Option<usize> {
    match decision {
        Decision::Admit { .. } => None,
        Decision::Downgrade { rung, reason, .. } => {
            assert!(matches!(reason, Reason::Pressure | Reason::GpuFull));
            Some(*rung)
        }
        other => panic!("not let in: {other:?}"),
    }
}

#[test]
fn pictures_shrink_as_the_gpu_fills_and_more_find_room() {
    let mut world = house(5000, 0.5);
    let forms = ["a", "b", "c", "d", "e", "f"].map(|user| form(&world.decide(wish(user, "tv"))));
    // 0, 1, 2, 3, 3.722 and 4.444 of 5 seats were held. Without pressure the sixth would find none.
    assert_eq!(forms, [None, None, None, Some(0), Some(0), Some(1)]);
    assert_eq!(world.held(), 5000);
}

#[test]
fn without_pressure_only_what_does_not_fit_shrinks() {
    let mut world = house(4000, 1.0);
    for user in ["a", "b", "c", "d"] {
        assert_eq!(form(&world.decide(wish(user, "tv"))), None);
    }
}

#[test]
fn who_does_not_step_down_gets_the_whole_under_pressure_too() {
    let mut policy = policy(4000);
    policy.pressure = Fraction::new(0.0).unwrap();
    policy.user.when_full = WhenFull::Wait;
    let mut world = World::new(policy);
    assert_eq!(form(&world.decide(wish("a", "tv"))), None);
}

#[test]
fn a_gpu_that_only_observes_is_under_no_pressure() {
    let mut policy = policy(4000);
    policy.pressure = Fraction::new(0.0).unwrap();
    policy.gpus[0].mode = Mode::Observe;
    let mut world = World::new(policy);
    assert_eq!(form(&world.decide(wish("a", "tv"))), None);
}

#[test]
fn the_seats_of_a_user_shrink_his_own_pictures_and_nobody_elses() {
    let mut policy = policy(40_000);
    policy.pressure = Fraction::new(0.5).unwrap();
    policy.user.seats = Some(seats(3000));
    let mut world = World::new(policy);
    let forms = ["tv", "phone", "web"].map(|device| form(&world.decide(wish("ann", device))));
    // Two of his three seats are held when the third is asked for.
    assert_eq!(forms, [None, None, Some(0)]);
    assert_eq!(form(&world.decide(wish("bob", "tv"))), None);
}

#[test]
fn what_is_kept_free_for_others_counts_as_full() {
    let mut policy = policy(4000);
    policy.pressure = Fraction::new(0.5).unwrap();
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["ann".to_owned()];
    family.reserve = Fraction::new(0.5).unwrap();
    policy.classes.insert(0, family);
    let mut world = World::new(policy);
    assert_eq!(form(&world.decide(wish("bob", "tv"))), None);
    // Of the two seats that are there for guests one is held: there is pressure from here on.
    assert!(!world.core.fits(&wish("cid", "tv")));
    assert_eq!(form(&world.decide(wish("ann", "tv"))), None);
}

#[test]
fn who_is_under_pressure_does_not_count_as_fitting() {
    let mut world = house(4000, 0.5);
    assert!(world.core.fits(&wish("z", "tv")));
    for user in ["a", "b"] {
        let _decided = world.decide(wish(user, "tv"));
    }
    assert!(!world.core.fits(&wish("z", "tv")));
}

#[test]
fn who_has_waited_gets_a_small_picture_if_others_wait_too() {
    let mut world = house(2000, 0.9);
    let lease = world.play("a", "tv", "x", "sa");
    world.play("b", "tv", "x", "sb");
    let whole = |user| Demand {
        rungs: Vec::new(),
        ..wish(user, "tv")
    };
    let first = queued(&world.decide(wish("c", "tv")));
    queued(&world.decide(whole("d")));
    world.events();
    world.core.release(world.now, lease, Ended::Revoked);
    let given = world.events().into_iter().find_map(|event| match event {
        Event::Downgraded {
            ticket,
            rung,
            reason,
            ..
        } => Some((ticket, rung, reason)),
        _ => None,
    });
    assert_eq!(given, Some((Some(first), 1, Reason::Pressure)));
}

#[test]
fn who_waits_alone_is_no_pressure_on_himself() {
    let mut world = house(2000, 0.9);
    let first = world.play("a", "tv", "x", "sa");
    let second = world.play("b", "tv", "x", "sb");
    let ticket = queued(&world.decide(Demand {
        rungs: Vec::new(),
        ..wish("z", "tv")
    }));
    world.core.withdraw(world.now, ticket);
    let mut policy = world.core.policy().as_ref().clone();
    policy.user.when_full = WhenFull::WaitThenStepDown;
    policy.pressure = Fraction::new(1.0).unwrap();
    world.core.set_policy(world.now, Arc::new(policy.clone()));
    let ticket = queued(&world.decide(wish("c", "tv")));
    policy.pressure = Fraction::new(0.9).unwrap();
    world.core.set_policy(world.now, Arc::new(policy));
    world.events();
    for lease in [first, second] {
        world.core.release(world.now, lease, Ended::Revoked);
    }
    let granted = world
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Granted { ticket: given, .. } if given == ticket));
    assert!(granted, "the whole, as the GPU is empty");
}
