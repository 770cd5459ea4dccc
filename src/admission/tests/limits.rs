//! One rule at a time: who is let in, who waits, who is refused, and why.

use super::*;

fn limited(transcodes: u32) -> Policy {
    let mut policy = policy(8000);
    policy.user.transcodes = Some(transcodes);
    policy
}

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

fn guests() -> Class {
    let mut class = Class::everybody();
    class.id = "guests".into();
    class.users = vec!["Guest*".to_owned()];
    class
}

fn with_class(class: Class) -> Policy {
    let mut limits = policy(8000);
    limits.classes.insert(0, class);
    limits
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
fn a_user_rule_comes_before_the_class_and_the_class_before_the_general_limit() {
    let limits = |n| UserLimits {
        transcodes: Some(n),
        mode: Mode::Enforce,
        ..UserLimits::default()
    };
    let mut rules = with_class(Class {
        user: Some(limits(2)),
        ..guests()
    });
    rules.user = limits(1);
    rules.users.push(UserRule {
        user: "guest-of-honour".to_owned(),
        limits: limits(3),
    });
    for (user, most) in [("ann", 1), ("guest1", 2), ("Guest-Of-Honour", 3)] {
        assert_eq!(
            rules.limits_of(&who(user, "tv")).transcodes,
            Some(most),
            "{user}"
        );
    }
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
fn the_price_list_is_the_one_in_the_hardware_table() {
    let model = CostModel::default();
    let film = |codec_in, bits, hdr, tone_map, size_out| Work {
        codec_in,
        size_in: (3840, 2160),
        millifps: 24_000,
        bits,
        hdr,
        tone_map,
        size_out,
        ..ONE
    };
    let (full, hd, uhd) = ((1920, 1080), (1280, 720), (3840, 2160));
    let small = Work {
        millifps: 24_000,
        ..ONE
    };
    let table = [
        (
            Work {
                size_in: hd,
                size_out: hd,
                ..ONE
            },
            0.4,
        ),
        (small, 0.8),
        (ONE, 1.0),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                ..small
            },
            0.9,
        ),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                size_out: hd,
                ..small
            },
            0.7,
        ),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                hdr: Hdr::Hdr,
                tone_map: true,
                ..small
            },
            1.1,
        ),
        (
            Work {
                codec_in: Codec::Av1,
                ..small
            },
            0.9,
        ),
        (
            Work {
                millifps: 60_000,
                ..ONE
            },
            2.0,
        ),
        (film(Codec::H264, 8, Hdr::Sdr, false, full), 2.3),
        (film(Codec::Hevc, 10, Hdr::Sdr, false, full), 2.8),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, full), 3.7),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, hd), 3.4),
        (film(Codec::Hevc, 10, Hdr::DolbyVision, true, full), 4.6),
        (
            Work {
                burn_in: true,
                ..film(Codec::Hevc, 10, Hdr::Hdr, true, full)
            },
            4.6,
        ),
        (film(Codec::Av1, 10, Hdr::Hdr, true, full), 4.0),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, uhd), 5.1),
        (
            Work {
                millifps: 60_000,
                ..film(Codec::Hevc, 10, Hdr::Hdr, true, full)
            },
            9.2,
        ),
    ];
    for (work, listed) in table {
        let seats = model.seats(&work).as_f64();
        assert!(
            (seats - listed).abs() <= 0.0751,
            "{work} is {seats}, listed as {listed}"
        );
    }
    let mut gpu = policy(20_000).gpus.remove(0);
    for (factor, listed) in [(0.4, 4.2), (1.0, 6.4)] {
        gpu.tone_map = factor;
        let seats = model.seats_on(&Work::UNKNOWN, &gpu).as_f64();
        assert!(
            (seats - listed).abs() <= 0.06,
            "tone-mapping {factor}: {seats}"
        );
    }
    assert_eq!(
        model.seats(&Work {
            size_in: (320, 240),
            size_out: (320, 240),
            ..ONE
        }),
        seats(250)
    );
}

#[test]
fn faults_between_fields_of_a_policy_are_all_found() {
    let mut rules = policy(1000);
    rules.gpus.push(rules.gpus[0].clone());
    rules.nodes[0].gpu = "gone".into();
    rules.classes = vec![guests()];
    rules.users.clear();
    let faults = rules.check().unwrap_err();
    let expected = [
        PolicyError::Duplicate {
            what: "gpu",
            name: "gpu".to_owned(),
        },
        PolicyError::Unknown {
            what: "gpu",
            name: "gone".to_owned(),
        },
        PolicyError::NoDefaultClass,
    ];
    assert_eq!(faults, expected);
}

#[test]
fn classes_match_by_user_client_network_and_rank() {
    let mut class = guests();
    class.clients = vec!["*Web".to_owned()];
    class.networks = vec!["10.0.0.0/8".parse().unwrap()];
    let mut one = who("Guést7", "tv");
    one.address = Some("::ffff:10.1.2.3".parse().unwrap());
    class.users = vec!["gUÉst?".to_owned()];
    assert!(class.matches(&one));
    one.client = Arc::from("Android");
    assert!(!class.matches(&one));
    one.client = Arc::from("Jellyfin Web");
    one.address = None;
    assert!(!class.matches(&one));
    class.networks.clear();
    class.admin = Some(true);
    assert!(!class.matches(&one));
}
