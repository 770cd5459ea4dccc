//! Every way of losing a seat, one test each: it comes back.

use super::{super::capacity::Sample, *};

/// A full GPU with one who waits.
fn full() -> (World, Ticket) {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let ticket = queued(&world.patient("bob", "tv", "film"));
    (world, ticket)
}

/// Nothing is left over, by time alone.
fn comes_to_rest(mut world: World) {
    world.wait(24 * 3600);
    assert_eq!(world.held(), 0);
    assert!(world.core.leases.is_empty() && world.core.sessions.is_empty());
    assert!(world.core.rights.is_empty() && world.core.queue.len() == 0);
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn a_client_that_leaves_the_queue_gives_its_place_to_the_next() {
    let (mut world, ticket) = full();
    let next = queued(&world.patient("cid", "tv", "film"));
    world.core.withdraw(world.now, ticket);
    world.core.withdraw(world.now, ticket);
    assert_eq!(world.core.in_order(), [next]);
    comes_to_rest(world);
}

#[test]
fn a_grant_that_nobody_takes_goes_to_the_next() {
    let (mut world, _) = full();
    queued(&world.patient("cid", "tv", "film"));
    world.stop("s1");
    world.wait(5);
    let lease = *world.core.leases.keys().next().unwrap();
    world.core.release(world.now, lease, Ended::Undelivered);
    assert_eq!(world.held(), 1000);
    assert_eq!(world.core.queue.len(), 0);
    comes_to_rest(world);
}

#[test]
fn an_answer_that_was_never_written_gives_the_old_film_its_seats_back() {
    let (mut world, _) = full();
    let lease = admitted(&world.video("ann", "tv", "film"));
    world.core.release(world.now, lease, Ended::Undelivered);
    assert_eq!(world.held(), 1000);
    assert!(
        matches!(world.segment("s1", 3), Covered::Yes(_)),
        "it runs on under its own session"
    );
    assert_eq!(world.core.queue.len(), 1);
    comes_to_rest(world);
}

#[test]
fn a_right_that_was_used_for_an_answer_never_written_is_still_there() {
    let mut world = World::new(policy(2000));
    world.play("ann", "tv", "one", "s1");
    world.stop("s1");
    world.wait(6);
    world.play("bob", "tv", "film", "s2");
    let lease = admitted(&world.video("ann", "tv", "two"));
    world.core.release(world.now, lease, Ended::Undelivered);
    assert_eq!(
        reason(&world.video("ann", "tv", "two")),
        Reason::Replacement
    );
    comes_to_rest(world);
}

#[test]
fn a_reservation_that_nobody_plays_comes_back_by_itself() {
    let mut world = World::new(policy(1000));
    admitted(&world.video("ann", "tv", "film"));
    world.wait(24);
    assert_eq!(world.held(), 1000);
    world.wait(1);
    assert_eq!(world.held(), 0);
    assert_eq!(world.endings(), [Ended::Abandoned]);
    comes_to_rest(world);
}

#[test]
fn a_jellyfin_that_restarts_loses_its_jobs_and_they_their_seats() {
    let (mut world, _) = full();
    world.wait(16);
    for _ in 0..2 {
        world.core.reconcile(world.now, &"node".into(), &[]);
        world.wait(5);
    }
    assert!(world.endings().contains(&Ended::Gone));
    assert_eq!(world.held(), 0);
    comes_to_rest(world);
}

#[test]
fn a_viewer_who_reads_on_is_not_taken_for_gone() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    for n in 0..10 {
        world.wait(5);
        world.segment("s1", n);
        world.core.reconcile(world.now, &"node".into(), &[]);
    }
    assert_eq!(world.state(lease), LeaseState::Finished);
    comes_to_rest(world);
}

#[test]
fn a_client_that_vanishes_in_mid_stream_gives_its_seats_back() {
    let (mut world, _) = full();
    world.wait(90);
    assert!(world.endings().contains(&Ended::Idle));
    assert_eq!(world.held(), 0);
    comes_to_rest(world);
}

#[test]
fn a_stop_that_comes_twice_counts_once() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    world.stop("s1");
    world.wait(4);
    world.stop("s1");
    world.wait(1);
    world.stop("s1");
    assert_eq!(world.endings(), [Ended::Stopped]);
    comes_to_rest(world);
}

#[test]
fn a_stop_before_the_start_gives_the_seats_back_at_once() {
    let mut world = World::new(policy(1000));
    let lease = admitted(&world.video("ann", "tv", "film"));
    world.core.bind(world.now, lease, &"s1".into());
    world.stop("s1");
    assert_eq!(world.held(), 0);
    comes_to_rest(world);
}

#[test]
fn a_capacity_below_what_is_held_admits_nothing_until_it_fits_again() {
    let mut rules = policy(2000);
    rules.gpus[0].learn = true;
    let mut world = World::new(rules);
    world.play("ann", "tv", "film", "s1");
    world.play("bob", "tv", "film", "s2");
    for _ in 0..8 {
        let stalls = Sample {
            throughput: None,
            starving: 2,
        };
        world.core.learn(world.now, 0, stalls);
        world.wait(10);
    }
    assert_eq!(world.held(), 2000);
    world.stop("s1");
    world.wait(5);
    assert_eq!(rejected(&world.video("cid", "tv", "film")), Reason::GpuFull);
    comes_to_rest(world);
}

#[test]
fn a_lower_limit_leaves_a_running_stream_alone() {
    let mut world = World::new(policy(2000));
    let lease = world.play("ann", "tv", "film", "s1");
    let mut rules = policy(2000);
    rules.user.transcodes = Some(0);
    world.core.set_policy(world.now, Arc::new(rules));
    assert_eq!(world.segment("s1", 1), Covered::Yes(lease));
    assert_eq!(
        rejected(&world.video("ann", "phone", "film")),
        Reason::UserLimit
    );
    comes_to_rest(world);
}

#[test]
fn draining_ends_every_wait_once() {
    let (mut world, ticket) = full();
    world.events();
    world.core.drain(world.now);
    world.core.drain(world.now);
    let refused: Vec<_> = world.events();
    assert!(matches!(
        refused.as_slice(),
        [Event::Refused { ticket: Some(told), reason: Reason::Draining, .. }] if *told == ticket
    ));
    comes_to_rest(world);
}

#[test]
fn a_node_of_an_adopted_stream_that_is_gone_frees_its_seats() {
    let mut world = World::new(policy(1000));
    let film = Running {
        who: who("ann", "tv"),
        item: "film".into(),
        kind: Kind::Video(ONE),
        completion: Some(0.5),
        runtime: None,
        position: None,
        paused: false,
        rate: Bitrate::ZERO,
    };
    world.core.reconcile(world.now, &"node".into(), &[film]);
    assert_eq!(world.held(), 1000);
    world.wait(20);
    for _ in 0..2 {
        world.core.reconcile(world.now, &"node".into(), &[]);
    }
    assert_eq!(world.held(), 0);
    comes_to_rest(world);
}

#[test]
fn the_number_of_leases_is_bounded() {
    let mut world = World::new(policy(1000));
    for n in 0..=MOST_LEASES {
        admitted(&world.decide(ask("ann", &format!("d{n}"), "film", Kind::Direct)));
        world.core.events.clear();
    }
    assert_eq!(world.core.leases.len(), MOST_LEASES);
    comes_to_rest(world);
}

#[test]
fn the_number_of_leases_of_one_screen_is_bounded() {
    let mut world = World::new(policy(1000));
    let film = world.play("ann", "tv", "film", "s1");
    for n in 0..200 {
        admitted(&world.decide(ask("ann", "tv", &format!("{n}"), Kind::Direct)));
    }
    assert_eq!(world.core.leases.len(), MOST_OF_A_SCREEN);
    assert_eq!(world.state(film), LeaseState::Active);
    comes_to_rest(world);
}
