//! A lease from its grant to its end.

use super::*;

#[test]
fn a_reservation_becomes_active_at_the_first_segment_not_at_a_playlist() {
    let mut world = World::new(policy(1000));
    let lease = admitted(&world.video("ann", "tv", "film"));
    world.core.bind(world.now, lease, &"s1".into());
    world
        .core
        .touch(world.now, &"S1".into(), Activity::Playlist);
    assert_eq!(world.state(lease), LeaseState::Reserved);
    assert_eq!(world.segment("s1", -1), Covered::Yes(lease));
    assert_eq!(world.state(lease), LeaseState::Active);
}

#[test]
fn a_quality_change_takes_its_own_seats_even_if_it_is_dearer() {
    let mut world = World::new(policy(1000));
    world.core.policy = Arc::new(Policy {
        transcodes: Some(1),
        ..policy(8000)
    });
    world.play("ann", "tv", "film", "s1");
    let dearer = world.decide(ask("ann", "tv", "film", Kind::Video(Work::UNKNOWN)));
    assert_eq!(reason(&dearer), Reason::Replacement);
    assert_eq!(
        world.held(),
        world.core.leases[&admitted(&dearer)].held.seats.milli()
    );
    assert_eq!(world.endings(), [Ended::Replaced]);
}

#[test]
fn an_escalating_player_is_charged_once_and_the_old_film_comes_back_if_it_gives_up() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    for session in ["s2", "s3"] {
        world.wait(1);
        let lease = admitted(&world.video("ann", "tv", "film"));
        world.core.bind(world.now, lease, &session.into());
        assert_eq!(world.held(), 1000);
    }
    for _ in 0..30 {
        world.wait(1);
        assert!(
            matches!(world.segment("s1", 5), Covered::Yes(_)),
            "the old film plays on"
        );
    }
    let known: Vec<_> = world.core.leases.values().collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].session(), Some(&"s1".into()));
    assert_eq!(known[0].state, LeaseState::Active);
}

#[test]
fn the_late_stop_of_the_old_session_does_not_stop_the_new_one() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    let lease = world.play("ann", "tv", "film", "s2");
    world.stop("s1");
    world.wait(20);
    assert_eq!(world.state(lease), LeaseState::Active);
}

#[test]
fn the_next_episode_on_the_same_screen_is_not_refused_within_the_grace_time() {
    let mut world = World::new(policy(1000));
    for pause in [0, 3, 10, 29] {
        world.play("ann", "tv", "one", "s1");
        world.stop("s1");
        world.wait(pause);
        let next = world.video("ann", "tv", "two");
        assert_eq!(reason(&next), Reason::Replacement, "after {pause} s");
        world
            .core
            .release(world.now, admitted(&next), Ended::Revoked);
        world.wait(100);
    }
    world.play("ann", "tv", "one", "s1");
    world.stop("s1");
    world.wait(31);
    world.play("bob", "tv", "film", "s9");
    assert_eq!(rejected(&world.video("ann", "tv", "two")), Reason::GpuFull);
}

#[test]
fn the_next_film_takes_no_seat_that_has_gone_to_somebody_else() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "one", "s1");
    world.stop("s1");
    world.wait(10);
    world.play("bob", "tv", "film", "s2");
    assert_eq!(rejected(&world.video("ann", "tv", "one")), Reason::GpuFull);
    assert_eq!(rejected(&world.video("ann", "tv", "two")), Reason::GpuFull);
    queued(&world.patient("ann", "tv", "two"));
    world.stop("s2");
    world.wait(5);
    assert_eq!(world.core.queue.len(), 0);
    assert_eq!(world.held(), 1000);
}

#[test]
fn the_right_of_a_screen_is_used_once() {
    let mut policy = policy(9000);
    policy.user = UserLimits {
        transcodes: Some(2),
        mode: Mode::Enforce,
        ..policy.user
    };
    let mut world = World::new(policy);
    world.play("ann", "tv", "one", "s1");
    world.stop("s1");
    world.wait(6);
    world.play("ann", "phone", "film", "s2");
    assert_eq!(
        reason(&world.video("ann", "tv", "two")),
        Reason::Replacement
    );
    assert_eq!(
        rejected(&world.video("ann", "tv", "three")),
        Reason::UserLimit
    );
}

#[test]
fn another_item_replaces_only_what_nobody_reads() {
    let mut world = World::new(policy(1000));
    world.play("ann", "web", "one", "s1");
    let second_tab = world.patient("ann", "web", "two");
    queued(&second_tab);
    for n in 1..4 {
        world.wait(3);
        world.segment("s1", n);
    }
    world.wait(1);
    assert_eq!(world.core.queue.len(), 0, "its patience has ended");
    world.wait(14);
    assert_eq!(
        reason(&world.video("ann", "web", "two")),
        Reason::Replacement
    );
}

#[test]
fn who_waits_behind_his_own_screen_is_served_once_it_reads_nothing() {
    let mut world = World::new(policy(1000));
    world.play("ann", "web", "one", "s1");
    world.wait(8);
    queued(&world.patient("ann", "web", "two"));
    world.wait(7);
    assert_eq!(world.core.queue.len(), 0);
    assert!(world.endings().contains(&Ended::Replaced));
}

#[test]
fn a_paused_viewer_frees_nothing_until_he_is_parked_and_comes_back_without_asking() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    for _ in 0..60 {
        world.report("s1", true, 70);
        world.wait(10);
        assert!(world.held() == 1000 || world.state(lease) == LeaseState::Parked);
    }
    assert_eq!(world.state(lease), LeaseState::Parked);
    assert_eq!(world.held(), 0);
    world.play("bob", "tv", "film", "s2");
    assert_eq!(world.segment("s1", 20), Covered::Yes(lease));
    assert_eq!(world.state(lease), LeaseState::Active);
    assert_eq!(
        world.held(),
        2000,
        "one too many rather than a film that ends"
    );
    assert_eq!(rejected(&world.video("cid", "tv", "film")), Reason::GpuFull);
}

#[test]
fn a_parked_viewer_is_no_stream_and_a_finished_one_is() {
    let mut rules = policy(8000);
    rules.user.streams = Some(1);
    let mut world = World::new(rules);
    let lease = world.play("ann", "roku", "film", "s1");
    world.core.change_state(lease, LeaseState::Finished);
    assert_eq!(
        rejected(&world.video("ann", "tv", "film")),
        Reason::UserStreams
    );
    world.core.change_state(lease, LeaseState::Parked);
    admitted(&world.video("ann", "tv", "film"));
}

#[test]
fn a_viewer_who_reports_a_pause_once_and_then_nothing_may_come_back() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "roku", "film", "s1");
    world.report("s1", true, 70);
    world.wait(89);
    assert_eq!(world.state(lease), LeaseState::Active);
    world.wait(1);
    assert_eq!(world.state(lease), LeaseState::Parked);
    world.wait(3600);
    assert_eq!(world.segment("s1", 20), Covered::Yes(lease));
}

#[test]
fn reports_keep_a_lease_alive_and_silence_ends_it() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    for position in 0..30 {
        world.wait(30);
        world.report("s1", false, position * 30);
    }
    assert_eq!(world.state(lease), LeaseState::Active);
    world.wait(90);
    assert_eq!(world.endings(), [Ended::Idle]);
}

#[test]
fn a_segment_just_after_silence_brings_the_session_back_without_asking() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    world.wait(90);
    world.play("bob", "tv", "film", "s2");
    world.wait(20);
    assert!(matches!(world.segment("s1", 20), Covered::Yes(_)));
    assert_eq!(world.held(), 2000);
}

#[test]
fn a_dead_player_loses_its_seat_and_its_job_if_the_policy_says_so() {
    let mut rules = policy(1000);
    rules.end_dead_jobs = true;
    let mut world = World::new(rules);
    let lease = world.play("ann", "web", "film", "s1");
    world.wait(20);
    for _ in 0..4 {
        world.report("s1", true, 0);
        world.wait(10);
    }
    assert_eq!(world.state(lease), LeaseState::Ended);
    let events = world.events();
    let ends = |event: &&Event| {
        matches!(
            event,
            Event::EndJob {
                ended: Ended::DeadPlayer,
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(ends).count(), 1);
}

#[test]
fn a_player_that_reads_is_not_dead_whatever_it_reports() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "web", "film", "s1");
    for n in 0..10 {
        world.report("s1", true, 0);
        world.segment("s1", n);
        world.wait(10);
    }
    assert_eq!(world.state(lease), LeaseState::Active);
}

#[test]
fn a_progressive_stream_lingers_for_as_long_as_its_ffmpeg() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "vlc", "film", "s1");
    let kind = Kind::Video(ONE);
    let _ = world
        .core
        .confirm(world.now, &"s1".into(), &kind, Activity::Stream);
    world.wait(3600);
    assert_eq!(
        world.state(lease),
        LeaseState::Active,
        "one long response is one sign of life"
    );
    world
        .core
        .touch(world.now, &"s1".into(), Activity::StreamEnded);
    world.wait(11);
    assert_eq!(
        (world.state(lease), world.held()),
        (LeaseState::Lingering, 1000)
    );
    world.wait(1);
    assert_eq!((world.state(lease), world.held()), (LeaseState::Ended, 0));
}

#[test]
fn a_cheap_lease_does_not_cover_a_transcode() {
    let mut world = World::new(policy(1000));
    let lease = admitted(&world.decide(ask("ann", "tv", "film", Kind::Remux)));
    world.core.bind(world.now, lease, &"s1".into());
    assert_eq!(world.segment("s1", 0), Covered::Dearer(lease));
    world.play("bob", "tv", "film", "s2");
    let demand = ask("ann", "tv", "film", Kind::Video(ONE));
    let decision = world.decide(Demand {
        session: Some("s1".into()),
        origin: Origin::Stream,
        ..demand
    });
    assert_eq!(rejected(&decision), Reason::GpuFull);
}

#[test]
fn a_revoked_session_does_not_come_back_by_itself() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    world.core.stop(world.now, &"s1".into(), Ended::Revoked);
    assert_eq!(world.segment("s1", 1), Covered::Unknown);
    assert_eq!(world.held(), 1000, "its FFmpeg goes first");
    assert_eq!(rejected(&world.video("ann", "tv", "film")), Reason::GpuFull);
}

#[test]
fn who_is_sent_away_while_his_job_goes_does_not_come_back() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    world.stop("s1");
    world.wait(2);
    world
        .core
        .operate(world.now, Order::Release(lease), &"me".into());
    assert_eq!(world.segment("s1", 1), Covered::Unknown);
}

#[test]
fn the_snapshot_tells_who_holds_what_and_why() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    queued(&world.patient("bob", "tv", "film"));
    world.wait(3);
    let snapshot = world.core.snapshot(world.now);
    let lease = &snapshot.leases[0];
    assert_eq!(
        (lease.work.as_str(), lease.held),
        ("h264 1080p -> h264 1080p", seats(1000))
    );
    assert_eq!(
        (lease.age, lease.idle, lease.reason),
        (secs(3), secs(3), Reason::Fits)
    );
    let waiter = &snapshot.waiting[0];
    assert_eq!(
        (waiter.waited, waiter.left, waiter.reason),
        (secs(3), secs(7), Reason::GpuFull)
    );
    let gpu = &snapshot.gpus[0];
    assert_eq!((gpu.held, gpu.sessions, gpu.waiting), (seats(1000), 1, 1));
    assert_eq!(snapshot.transcodes, 1);
    assert!(world.now > world.start + JUST);
}

#[test]
fn a_direct_play_leaves_a_transcode_of_the_same_screen_alone() {
    let mut rules = policy(1000);
    rules.user.streams = Some(1);
    let mut world = World::new(rules);
    let lease = world.play("ann", "web", "film", "s1");
    admitted(&world.decide(ask("ann", "web", "film", Kind::Direct)));
    assert_eq!(world.segment("s1", 4), Covered::Yes(lease));
    assert_eq!(world.held(), 1000);
    let other = world.decide(ask("ann", "web", "other", Kind::Direct));
    assert_eq!(rejected(&other), Reason::UserStreams);
}

#[test]
fn a_transcode_comes_back_after_a_direct_play_took_its_place() {
    let mut world = World::new(policy(1000));
    world.play("ann", "web", "film", "s1");
    world.wait(20);
    admitted(&world.decide(ask("ann", "web", "other", Kind::Direct)));
    world.play("bob", "tv", "film", "s2");
    assert!(matches!(world.segment("s1", 4), Covered::Dearer(_)));
    let demand = ask("ann", "web", "film", Kind::Video(ONE));
    let session = Some("s1".into());
    let back = world.decide(Demand {
        session,
        origin: Origin::Stream,
        ..demand
    });
    assert_eq!(reason(&back), Reason::Resume);
}

#[test]
fn a_stop_that_names_no_session_ends_direct_plays_of_its_item_only() {
    let mut world = World::new(policy(4000));
    let transcode = world.play("ann", "tv", "film", "s1");
    world.segment("s1", 0);
    let direct = admitted(&world.decide(ask("ann", "tv", "song", Kind::Direct)));
    let other = admitted(&world.decide(ask("ann", "desk", "song", Kind::Direct)));
    let (user, device) = (UserId::new("ann"), crate::ident::DeviceId::new("tv"));
    for item in ["film", "song"] {
        let now = world.now;
        let item = ItemId::new(item);
        world
            .core
            .stop_device(now, &user, &device, &item, Ended::Stopped);
    }
    let left: Vec<LeaseId> = [transcode, direct, other]
        .into_iter()
        .filter(|id| world.core.leases.contains_key(id))
        .collect();
    assert_eq!(left, [transcode, other]);
}
