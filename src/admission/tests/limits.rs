//! One rule at a time: who is let in, who waits, who is refused, and why.

use super::*;

#[test]
fn a_second_device_of_a_user_is_refused_at_his_limit() {
    let mut world = World::new(limited(1));
    assert_eq!(reason(&world.video("ann", "tv", "film")), Reason::Fits);
    assert_eq!(
        rejected(&world.video("ann", "phone", "other")),
        Reason::UserLimit
    );
    admitted(&world.video("bob", "tv", "film"));
}

#[test]
fn the_same_film_on_a_second_device_is_a_second_transcode() {
    let mut world = World::new(limited(1));
    world.play("ann", "tv", "film", "s1");
    assert_eq!(
        rejected(&world.video("ann", "phone", "film")),
        Reason::UserLimit
    );
}

#[test]
fn direct_play_remux_and_audio_hold_no_seats_and_pass_a_full_gpu() {
    let mut world = World::new(policy(1000));
    world.play("ann", "tv", "film", "s1");
    for (device, kind) in [("a", Kind::Direct), ("b", Kind::Remux), ("c", Kind::Audio)] {
        let decision = world.decide(ask("bob", device, "other", kind));
        assert_eq!(reason(&decision), Reason::Cheap);
        admitted(&decision);
    }
    assert_eq!(world.held(), 1000);
    assert_eq!(
        rejected(&world.video("bob", "tv", "other")),
        Reason::GpuFull
    );
}

#[test]
fn streams_of_a_user_are_counted_direct_play_included() {
    let mut limits = policy(8000);
    limits.user.streams = Some(1);
    let mut world = World::new(limits);
    admitted(&world.decide(ask("ann", "tv", "film", Kind::Direct)));
    let second = world.decide(ask("ann", "phone", "film", Kind::Direct));
    assert_eq!(rejected(&second), Reason::UserStreams);
    let again = world.decide(ask("ann", "tv", "film", Kind::Remux));
    admitted(&again);
    assert_eq!(
        world.core.snapshot(world.now).leases.len(),
        1,
        "the same screen took its own place"
    );
}

#[test]
fn a_direct_play_is_no_free_pass_for_a_transcode() {
    let mut world = World::new(policy(1000));
    world.play("bob", "tv", "film", "s1");
    admitted(&world.decide(ask("ann", "tv", "film", Kind::Direct)));
    assert_eq!(rejected(&world.video("ann", "tv", "film")), Reason::GpuFull);
    assert_eq!(world.core.leases.len(), 2, "the direct play goes on");
}

#[test]
fn a_job_wider_than_the_gpu_runs_alone() {
    let mut world = World::new(policy(2000));
    let wide = |user| ask(user, "tv", "film", Kind::Video(Work::UNKNOWN));
    assert_eq!(reason(&world.decide(wide("ann"))), Reason::RunsAlone);
    assert_eq!(world.held(), 2000);
    assert_eq!(rejected(&world.video("bob", "tv", "film")), Reason::GpuFull);
}

#[test]
fn the_drivers_session_limit_holds_beside_seats() {
    let mut limits = policy(8000);
    limits.gpus[0].max_sessions = Some(1);
    let mut world = World::new(limits);
    admitted(&world.video("ann", "tv", "film"));
    assert_eq!(
        rejected(&world.video("bob", "tv", "film")),
        Reason::GpuSessions
    );
}

#[test]
fn two_servers_on_one_gpu_share_its_seats() {
    let mut limits = policy(1000);
    limits.nodes.push(Node {
        id: "second".into(),
        gpu: "gpu".into(),
    });
    let mut world = World::new(limits);
    admitted(&world.video("ann", "tv", "film"));
    let elsewhere = ask("bob", "tv", "film", Kind::Video(ONE));
    let decision = world.decide(Demand {
        node: "second".into(),
        ..elsewhere
    });
    assert_eq!(rejected(&decision), Reason::GpuFull);
}

#[test]
fn the_whole_server_has_a_limit() {
    let mut limits = policy(8000);
    limits.transcodes = Some(1);
    let mut world = World::new(limits);
    admitted(&world.video("ann", "tv", "film"));
    assert_eq!(
        rejected(&world.video("bob", "tv", "film")),
        Reason::ServerLimit
    );
}

#[test]
fn a_class_shares_its_limit_between_its_users() {
    let mut world = World::new(with_class(Class {
        transcodes: Some(1),
        ..guests()
    }));
    admitted(&world.video("guest1", "tv", "film"));
    assert_eq!(
        rejected(&world.video("GUEST2", "tv", "film")),
        Reason::ClassLimit
    );
    admitted(&world.video("ann", "tv", "film"));
}

#[test]
fn a_class_that_may_not_transcode_is_told_so_and_does_not_wait() {
    let mut world = World::new(with_class(Class {
        transcode: Access::Deny,
        ..guests()
    }));
    assert_eq!(
        rejected(&world.patient("guest", "tv", "film")),
        Reason::TranscodeDenied
    );
    admitted(&world.decide(ask("guest", "tv", "film", Kind::Remux)));
}

#[test]
fn a_class_without_4k_may_transcode_the_rest() {
    let mut world = World::new(with_class(Class {
        uhd: Access::Deny,
        ..guests()
    }));
    let uhd = ask("guest", "tv", "film", Kind::Video(Work::UNKNOWN));
    assert_eq!(rejected(&world.decide(uhd.clone())), Reason::UhdDenied);
    world.play("guest", "tv", "other", "s1");
    world.stop("s1");
    assert_eq!(
        rejected(&world.decide(uhd)),
        Reason::UhdDenied,
        "nor as the next film on his screen"
    );
    admitted(&world.video("guest", "tv", "third"));
}

#[test]
fn a_library_rule_counts_and_forbids() {
    let rule = LibraryRule {
        library: "4k*".to_owned(),
        classes: Vec::new(),
        transcode: Access::Allow,
        uhd: Access::Deny,
        transcodes: Some(1),
        mode: Mode::Enforce,
    };
    let mut limits = policy(8000);
    limits.libraries.push(rule);
    let mut world = World::new(limits);
    let film = |user, work| Demand {
        library: Some(Arc::from("4K Films")),
        ..ask(user, "tv", "film", Kind::Video(work))
    };
    assert_eq!(
        rejected(&world.decide(film("ann", Work::UNKNOWN))),
        Reason::LibraryRule
    );
    admitted(&world.decide(film("ann", ONE)));
    assert_eq!(
        rejected(&world.decide(film("bob", ONE))),
        Reason::LibraryRule
    );
    admitted(&world.video("bob", "tv", "film"));
}

#[test]
fn a_stream_without_a_login_may_play_but_not_transcode() {
    let mut world = World::new(policy(8000));
    assert_eq!(
        rejected(&world.video("anonymous", "", "film")),
        Reason::Anonymous
    );
    admitted(&world.decide(ask("anonymous", "", "film", Kind::Direct)));
}

#[test]
fn a_time_window_forbids_in_its_hours_only_past_midnight_too() {
    let mut limits = policy(8000);
    limits.windows.push(Window {
        name: "night".to_owned(),
        days: Days::new([6]),
        from: 23 * 60,
        to: 60,
        classes: Vec::new(),
        transcode: Access::Deny,
        uhd: Access::Allow,
        transcodes: None,
        capacity: None,
        gpus: Vec::new(),
        mode: Mode::Enforce,
    });
    let mut world = World::new(limits);
    world
        .core
        .set_minute_of_week(world.now, 6 * 1440 + 22 * 60 + 59);
    admitted(&world.video("ann", "tv", "film"));
    world.wait(60);
    assert_eq!(
        rejected(&world.video("bob", "tv", "film")),
        Reason::TimeWindow
    );
    world.wait(2 * 3600 - 1);
    assert_eq!(
        rejected(&world.video("bob", "tv", "film")),
        Reason::TimeWindow,
        "Monday 00:59"
    );
    world.wait(1);
    admitted(&world.video("bob", "tv", "film"));
}

#[test]
fn a_window_that_halves_a_gpu_cuts_nobody_off() {
    let mut limits = policy(2000);
    limits.windows.push(Window {
        name: "backup".to_owned(),
        days: Days::ALL,
        from: 60,
        to: 120,
        classes: Vec::new(),
        transcode: Access::Allow,
        uhd: Access::Allow,
        transcodes: None,
        capacity: Fraction::new(0.5),
        gpus: vec!["gpu".into()],
        mode: Mode::Enforce,
    });
    let mut world = World::new(limits);
    world.core.set_minute_of_week(world.now, 59);
    world.play("ann", "tv", "film", "s1");
    world.play("bob", "tv", "film", "s2");
    world.events();
    world.wait(60);
    let (from, to) = (seats(2000), seats(1000));
    let change = Event::CapacityChanged {
        gpu: "gpu".into(),
        from,
        to,
    };
    assert!(world.events().contains(&change));
    assert_eq!(world.held(), 2000);
    world.stop("s1");
    world.wait(6);
    assert_eq!(rejected(&world.video("cid", "tv", "film")), Reason::GpuFull);
}

#[test]
fn shadow_mode_lets_everything_in_and_says_what_it_would_have_done() {
    let mut limits = policy(1000);
    limits.mode = Mode::Observe;
    let mut world = World::new(limits);
    world.play("ann", "tv", "film", "s1");
    world.events();
    assert_eq!(
        reason(&world.patient("bob", "tv", "film")),
        Reason::Observed
    );
    let would = world.events().into_iter().find_map(|event| match event {
        Event::Admitted { would, .. } => would,
        _ => None,
    });
    assert_eq!(would, Some(Reason::GpuFull));
}

#[test]
fn a_rule_that_only_observes_is_noted_and_the_others_hold() {
    let mut limits = limited(1);
    limits.user.mode = Mode::Observe;
    limits.transcodes = Some(2);
    let mut world = World::new(limits);
    admitted(&world.video("ann", "a", "1"));
    assert_eq!(reason(&world.video("ann", "b", "2")), Reason::Observed);
    assert_eq!(rejected(&world.video("ann", "c", "3")), Reason::ServerLimit);
}

#[test]
fn a_window_that_ends_serves_who_waited_for_it() {
    let mut limits = policy(8000);
    limits.windows.push(Window {
        name: "evening".to_owned(),
        days: Days::ALL,
        from: 0,
        to: 60,
        classes: Vec::new(),
        transcode: Access::Allow,
        uhd: Access::Allow,
        transcodes: Some(1),
        capacity: None,
        gpus: Vec::new(),
        mode: Mode::Enforce,
    });
    let mut world = World::new(limits);
    world.core.set_minute_of_week(world.now, 59);
    world.play("ann", "tv", "film", "s1");
    world.wait(55);
    let decision = world.patient("bob", "tv", "film");
    queued(&decision);
    assert_eq!(reason(&decision), Reason::TimeWindow);
    world.wait(5);
    assert_eq!(world.core.queue.len(), 0);
    assert_eq!(world.held(), 2000);
}

#[test]
fn a_stopped_session_is_no_second_seat_for_its_user() {
    let mut rules = policy(8000);
    rules.user.transcodes = Some(1);
    let mut world = World::new(rules);
    world.play("ann", "tv", "film", "s1");
    world.stop("s1");
    // FFmpeg has gone; the screen's right lasts on.
    world.wait(6);
    world.play("ann", "phone", "film", "s2");
    assert_eq!(world.segment("s1", 3), Covered::Unknown);
    let demand = ask("ann", "tv", "film", Kind::Video(ONE));
    let again = world.decide(Demand {
        session: Some("s1".into()),
        origin: Origin::Stream,
        ..demand.clone()
    });
    assert_eq!(rejected(&again), Reason::UserLimit);
    let next = world.decide(Demand {
        item: "other".into(),
        ..demand
    });
    assert_eq!(rejected(&next), Reason::UserLimit);
}
