//! Who may go past a blocked demand, what a wait is expected to last, and whose place is kept.

use super::*;

/// A quarter of a seat.
const TINY: Work = Work {
    size_in: (640, 360),
    size_out: (640, 360),
    ..ONE
};

fn wait_for(user: &str, work: Work, patience: u64) -> Demand {
    Demand {
        patience: secs(patience),
        ..ask(user, "tv", "film", Kind::Video(work))
    }
}

/// A GPU on which one large film runs, and one seat is asked for that does not fit beside it.
fn blocked_by_a_large_one() -> (World, Ticket) {
    let mut world = World::new(policy(4000));
    let large = world.decide(ask("ann", "tv", "film", Kind::Video(Work::UNKNOWN)));
    world.core.bind(world.now, admitted(&large), &"s1".into());
    let read = Activity::Segment { index: 0 };
    let _ = world
        .core
        .confirm(world.now, &"s1".into(), &Kind::Video(ONE), read);
    let head = queued(&world.decide(wait_for("bob", ONE, 15)));
    (world, head)
}

fn tiny(world: &mut World, user: &str) -> Decision {
    world.decide(ask(user, "tv", "film", Kind::Video(TINY)))
}

/// One poll of Jellyfin: how much of ann's hour is encoded.
fn poll(world: &mut World, completion: f64) {
    let running = Running {
        who: who("ann", "tv"),
        item: "film".into(),
        kind: Kind::Video(Work::UNKNOWN),
        completion: Some(completion),
        runtime: Some(secs(3600)),
        position: Some(secs(60)),
        paused: false,
        rate: Bitrate::ZERO,
    };
    world.core.reconcile(world.now, &"node".into(), &[running]);
}

#[test]
fn nobody_passes_while_every_seat_that_comes_free_may_be_missed() {
    let (mut world, _) = blocked_by_a_large_one();
    assert_eq!(rejected(&tiny(&mut world, "cid")), Reason::GpuFull);
}

#[test]
fn a_small_one_passes_once_it_is_known_that_it_delays_nobody() {
    let (mut world, head) = blocked_by_a_large_one();
    world.stop("s1");
    admitted(&tiny(&mut world, "cid"));
    assert!(world.core.queue.get(head).is_some(), "FFmpeg has not gone");
    world.wait(5);
    assert!(
        world.core.queue.get(head).is_none(),
        "the first is served at the same moment as without it"
    );
}

#[test]
fn a_small_one_that_waits_passes_as_soon_as_it_may() {
    let (mut world, head) = blocked_by_a_large_one();
    let small = queued(&world.decide(wait_for("cid", TINY, 15)));
    world.events();
    world.stop("s1");
    assert!(world.core.queue.get(small).is_none(), "it was let past");
    assert!(world.core.queue.get(head).is_some());
}

#[test]
fn an_end_that_comes_too_late_for_the_first_lets_nobody_past() {
    let (mut world, _) = blocked_by_a_large_one();
    world.wait(1);
    poll(&mut world, 0.20);
    world.wait(2);
    poll(&mut world, 0.21);
    // 36 seconds of film in two: 2844 remain, 158 seconds of work.
    assert_eq!(rejected(&tiny(&mut world, "cid")), Reason::GpuFull);
    world.wait(2);
    poll(&mut world, 0.90);
    // Now the rest takes less than a second.
    admitted(&tiny(&mut world, "cid"));
}

#[test]
fn no_more_than_its_own_price_ever_goes_past_a_demand() {
    let mut limits = policy(4000);
    limits.timers.linger = secs(14);
    let mut world = World::new(limits);
    let large = world.decide(ask("ann", "tv", "film", Kind::Video(Work::UNKNOWN)));
    world.core.bind(world.now, admitted(&large), &"s1".into());
    world.segment("s1", 0);
    queued(&world.decide(wait_for("bob", ONE, 15)));
    world.stop("s1");
    for n in 0..4 {
        let lease = admitted(&tiny(&mut world, &format!("user{n}")));
        world.core.release(world.now, lease, Ended::Undelivered);
    }
    assert_eq!(rejected(&tiny(&mut world, "late")), Reason::GpuFull);
    // He loses patience, asks again, and has not lost his place or what is owed to him.
    let bob = world.core.in_order()[0];
    world.core.withdraw(world.now, bob);
    queued(&world.decide(wait_for("bob", ONE, 15)));
    assert_eq!(rejected(&tiny(&mut world, "later")), Reason::GpuFull);
}

#[test]
fn a_class_goes_past_others_into_its_own_reserve() {
    let mut limits = policy(4000);
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["mum".to_owned()];
    family.reserve = Fraction::new(0.25).unwrap();
    limits.classes.insert(0, family);
    let mut world = World::new(limits);
    for user in ["a", "b", "c"] {
        world.play(user, "tv", "film", user);
    }
    queued(&world.patient("d", "tv", "film"));
    assert_eq!(reason(&world.video("mum", "tv", "film")), Reason::Fits);
}

#[test]
fn a_wait_is_expected_to_last_until_the_ends_that_are_known() {
    let (mut world, head) = blocked_by_a_large_one();
    assert_eq!(world.core.expected_of(world.now, head), None);
    world.stop("s1");
    world.wait(2);
    let view = &world.core.snapshot(world.now).waiting[0];
    assert_eq!(view.expected, Some(secs(3)));
}

#[test]
fn a_wait_is_expected_by_how_often_seats_have_come_free() {
    let mut limits = policy(2000);
    limits.queue.max_wait = secs(60);
    let mut world = World::new(limits);
    // Two viewers for ten minutes each: one of them stops.
    world.play("a", "tv", "film", "s1");
    world.play("b", "tv", "film", "s2");
    for minute in 1..=20 {
        world.wait(30);
        world.segment("s1", minute);
        world.segment("s2", minute);
    }
    world.stop("s1");
    world.wait(5);
    world.play("c", "tv", "film", "s3");
    let Decision::Queue { expected, .. } = world.decide(wait_for("d", ONE, 60)) else {
        panic!("he waits");
    };
    // 1210 job-seconds, one end seen and one more for what was not seen; two jobs run.
    assert_eq!(expected.unwrap().as_secs(), 302);
}

#[test]
fn who_cannot_be_served_in_time_is_told_at_once() {
    let mut world = World::new(policy(2000));
    world.play("a", "tv", "film", "s1");
    world.play("b", "tv", "film", "s2");
    queued(&world.patient("early", "tv", "film"));
    for minute in 1..=60 {
        world.wait(30);
        world.segment("s1", minute);
        world.segment("s2", minute);
    }
    let Decision::Reject {
        reason: Reason::WaitTooLong,
        retry_after,
    } = world.patient("d", "tv", "film")
    else {
        panic!("nobody has stopped for an hour of watching");
    };
    assert_eq!(retry_after, secs(600), "and is told when to come back");
    world.stop("s1");
    queued(&world.patient("e", "tv", "film"));
}

#[test]
fn who_was_cut_off_has_his_place_back_for_a_while() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let first = queued(&world.patient("bob", "tv", "film"));
    let second = queued(&world.patient("cid", "tv", "film"));
    world.core.withdraw(world.now, first);
    assert_eq!(world.core.in_order(), [second]);
    world.wait(3);
    let again = queued(&world.patient("bob", "tv", "film"));
    assert_eq!(world.core.in_order(), [again, second]);
    world.core.withdraw(world.now, again);
    world.wait(31);
    world.segment("s1", 1);
    let third = queued(&world.patient("dan", "tv", "film"));
    let late = queued(&world.patient("bob", "tv", "film"));
    assert_eq!(world.core.in_order(), [third, late], "not for ever");
}

#[test]
fn a_place_is_kept_for_the_same_film_on_the_same_screen_only() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let first = queued(&world.patient("bob", "tv", "film"));
    let second = queued(&world.patient("cid", "tv", "film"));
    world.core.withdraw(world.now, first);
    let other = queued(&world.patient("bob", "tv", "other"));
    assert_eq!(world.core.in_order(), [second, other]);
}

#[test]
fn kept_places_are_bounded() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    for n in 0..2000 {
        let ticket = queued(&world.patient(&format!("user{n}"), "tv", "film"));
        world.core.withdraw(world.now, ticket);
    }
    assert!(world.core.queue.kept_places() <= 256);
}
