//! The line out of the house: who may begin, who waits for it, and what flows beside the plays.

use super::*;

const MBIT: u64 = 1_000_000;

/// A house with much room for transcodes, and a line of so many Mbit/s.
fn house(limit: u64) -> World {
    let mut policy = policy(20_000);
    policy.uplink.limit = Some(Bitrate::new(limit * MBIT));
    policy.user.when_full = WhenFull::Wait;
    World::new(policy)
}

/// A play of so many Mbit/s.
fn film(user: &str, item: &str, kind: Kind, rate: u64, patience: u64) -> Demand {
    Demand {
        rate: Bitrate::new(rate * MBIT),
        patience: secs(patience),
        ..ask(user, &format!("{user}-tv"), item, kind)
    }
}

fn direct(user: &str, rate: u64, patience: u64) -> Demand {
    film(user, "film", Kind::Direct, rate, patience)
}

fn transcode(user: &str, rate: u64, patience: u64) -> Demand {
    film(user, "film", Kind::Video(ONE), rate, patience)
}

fn used(world: &World) -> u64 {
    world.core.snapshot(world.now).uplink.held.bits() / MBIT
}

fn at_home(mut demand: Demand) -> Demand {
    demand.who.address = Some("192.168.1.20".parse().unwrap());
    demand
}

#[test]
fn a_play_for_which_the_line_has_no_room_is_refused_whatever_it_costs_the_gpu() {
    let mut world = house(40);
    admitted(&world.decide(direct("ann", 30, 0)));
    for late in [direct("bob", 12, 0), transcode("bob", 12, 0)] {
        assert_eq!(rejected(&world.decide(late)), Reason::UplinkFull);
    }
    admitted(&world.decide(transcode("bob", 10, 0)));
    assert_eq!(used(&world), 40);
}

#[test]
fn viewers_in_the_house_need_no_line() {
    let mut world = house(10);
    for user in ["ann", "bob", "cid"] {
        admitted(&world.decide(at_home(direct(user, 60, 0))));
    }
    assert_eq!(used(&world), 0);
    let mut mapped = direct("dan", 60, 0);
    mapped.who.address = Some("::ffff:10.0.0.7".parse().unwrap());
    admitted(&world.decide(mapped));
    let mut outside = direct("eve", 60, 0);
    outside.who.address = Some("203.0.113.9".parse().unwrap());
    assert_eq!(rejected(&world.decide(outside)), Reason::UplinkFull);
}

#[test]
fn who_waits_for_the_line_gets_it_when_somebody_leaves() {
    let mut world = house(40);
    let lease = admitted(&world.decide(direct("ann", 30, 0)));
    let ticket = queued(&world.decide(direct("bob", 20, 10)));
    assert_eq!(world.core.snapshot(world.now).uplink.waiting, 1);
    world.events();
    world.core.release(world.now, lease, Ended::Undelivered);
    let granted = world
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Granted { ticket: whose, .. } if whose == ticket));
    assert!(granted);
    assert_eq!(used(&world), 20);
}

#[test]
fn who_waits_is_not_overtaken_but_by_small_plays() {
    let mut world = house(40);
    admitted(&world.decide(direct("ann", 30, 0)));
    queued(&world.decide(direct("bob", 20, 60)));
    // There is room for eight, but he came later.
    assert_eq!(
        rejected(&world.decide(direct("cid", 8, 0))),
        Reason::UplinkFull
    );
    admitted(&world.decide(transcode("cid", 4, 0)));
}

#[test]
fn a_small_play_that_waits_goes_when_it_fits_though_the_first_does_not() {
    let mut world = house(40);
    let small = admitted(&world.decide(transcode("dan", 4, 0)));
    admitted(&world.decide(direct("ann", 34, 0)));
    queued(&world.decide(direct("bob", 30, 60)));
    let ticket = queued(&world.decide(transcode("cid", 4, 60)));
    world.events();
    world.core.release(world.now, small, Ended::Undelivered);
    let granted = world
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Granted { ticket: whose, .. } if whose == ticket));
    assert!(granted);
}

#[test]
fn what_can_never_fit_does_not_wait() {
    let mut world = house(40);
    assert_eq!(
        rejected(&world.decide(direct("ann", 60, 60))),
        Reason::UplinkFull
    );
}

#[test]
fn a_lower_rung_that_fits_is_taken_by_its_bitrate() {
    let mut policy = policy(20_000);
    policy.uplink.limit = Some(Bitrate::new(10 * MBIT));
    policy.user.when_full = WhenFull::StepDown;
    let mut world = World::new(policy);
    admitted(&world.decide(direct("ann", 6, 0)));
    // All forms cost the same seats.
    let rungs = [8, 4, 2].into_iter().enumerate().map(|(index, rate)| Rung {
        kind: Kind::Video(ONE),
        rate: Bitrate::new(rate * MBIT),
        index,
    });
    let whole = Demand {
        rungs: rungs.collect(),
        ..transcode("bob", 9, 0)
    };
    match world.decide(whole) {
        Decision::Downgrade { rung, reason, .. } => {
            assert_eq!((rung, reason), (1, Reason::UplinkFull));
        }
        other => panic!("not stepped down: {other:?}"),
    }
    assert_eq!(used(&world), 10);
}

#[test]
fn who_goes_on_on_his_own_screen_is_not_refused() {
    let mut world = house(40);
    admitted(&world.decide(direct("ann", 30, 0)));
    world.core.set_flow(world.now, Bitrate::new(40 * MBIT));
    admitted(&world.decide(direct("ann", 30, 0)));
    assert_eq!(used(&world), 30);
    // Something cheaper of the same is no new play either.
    admitted(&world.decide(transcode("ann", 3, 0)));
    assert_eq!(used(&world), 3);
}

#[test]
fn downloads_count_as_they_flow() {
    let mut world = house(40);
    world.core.set_flow(world.now, Bitrate::new(35 * MBIT));
    assert_eq!(
        rejected(&world.decide(direct("ann", 10, 0))),
        Reason::UplinkFull
    );
    let ticket = queued(&world.decide(direct("ann", 10, 10)));
    world.events();
    world.core.set_flow(world.now, Bitrate::new(20 * MBIT));
    let granted = world
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Granted { ticket: whose, .. } if whose == ticket));
    assert!(granted, "it is let in as the download slows down");
}

#[test]
fn the_line_is_held_while_somebody_watches_and_not_longer() {
    let mut world = house(40);
    let lease = admitted(&world.decide(transcode("ann", 5, 0)));
    world.core.bind(world.now, lease, &"s1".into());
    world.segment("s1", 0);
    world.core.change_state(lease, LeaseState::Finished);
    assert_eq!(
        (world.held(), used(&world)),
        (0, 5),
        "the viewer watches on"
    );
    world.core.change_state(lease, LeaseState::Parked);
    assert_eq!(used(&world), 0);
    world.segment("s1", 1);
    assert_eq!(used(&world), 5, "who comes back has it again");
    world.stop("s1");
    assert_eq!(used(&world), 0, "FFmpeg may linger, but nothing is sent");
}

#[test]
fn who_pauses_a_file_for_long_gives_his_part_up_and_has_it_again_when_he_comes_back() {
    let mut world = house(40);
    let lease = admitted(&world.decide(direct("ann", 30, 0)));
    let mut report = |paused: bool, wait: u64| {
        for _ in 0..wait {
            world.wait(1);
            let position = Some(secs(60));
            let activity = Activity::Progress { paused, position };
            world
                .core
                .touch_device(world.now, &"ann".into(), &"ann-tv".into(), activity);
        }
        (used(&world), world.state(lease))
    };
    assert_eq!(report(false, 1), (30, LeaseState::Active));
    assert_eq!(report(true, 599), (30, LeaseState::Active));
    assert_eq!(report(true, 5), (0, LeaseState::Parked));
    assert_eq!(report(false, 1), (30, LeaseState::Active));
    assert_eq!(report(true, 610), (0, LeaseState::Parked));
    // Meanwhile others use it; a player that asks anew is let in all the same.
    admitted(&world.decide(direct("bob", 30, 0)));
    admitted(&world.decide(direct("ann", 30, 0)));
    assert_eq!(used(&world), 60);
}

#[test]
fn a_forced_direct_play_leaves_room_for_a_cheap_transcode() {
    let mut world = house(40);
    let ann = who("ann", "ann-tv");
    let rate = |mbit: u64| Bitrate::new(mbit * MBIT);
    assert!(world.core.spares(&ann, rate(30)));
    assert!(!world.core.spares(&ann, rate(31)), "a quarter stays free");
    admitted(&world.decide(direct("ann", 30, 0)));
    // The next would take what is left: it is not forced, and his transcode fits.
    assert!(!world.core.spares(&who("bob", "bob-tv"), rate(10)));
    admitted(&world.decide(transcode("bob", 4, 0)));
    let mut home = who("cid", "cid-tv");
    home.address = Some("10.1.2.3".parse().unwrap());
    assert!(world.core.spares(&home, rate(100)));
}

#[test]
fn a_forced_direct_play_does_not_take_what_others_wait_for() {
    let mut policy = policy(1000);
    policy.uplink.limit = Some(Bitrate::new(40 * MBIT));
    let mut world = World::new(policy);
    admitted(&world.decide(transcode("ann", 4, 0)));
    // The GPU is full: he waits for it, and will need eight of the line.
    queued(&world.decide(transcode("bob", 8, 60)));
    let rate = |mbit: u64| Bitrate::new(mbit * MBIT);
    assert!(!world.core.spares(&who("cid", "tv"), rate(20)));
    assert!(world.core.spares(&who("cid", "tv"), rate(18)));
    // What he waits for himself is his own.
    assert!(world.core.spares(&who("bob", "bob-tv"), rate(26)));
}

#[test]
fn a_limit_that_only_observes_tells_and_refuses_nobody() {
    let mut policy = policy(20_000);
    policy.uplink.limit = Some(Bitrate::new(10 * MBIT));
    policy.uplink.mode = Mode::Observe;
    let mut world = World::new(policy);
    assert_eq!(
        reason(&world.decide(direct("ann", 30, 0))),
        Reason::Observed
    );
    let would = world.events().into_iter().find_map(|event| match event {
        Event::Admitted { would, .. } => would,
        _ => None,
    });
    assert_eq!(would, Some(Reason::UplinkFull));
    assert!(!world.core.spares(&who("bob", "tv"), Bitrate::new(MBIT)));
}

#[test]
fn bitrates_print_in_megabits() {
    assert_eq!(Bitrate::new(12_340_000).to_string(), "12.3 Mbit/s");
    assert_eq!(Bitrate::new(49_999).to_string(), "0.0 Mbit/s");
}
