//! What the polls of Jellyfin do to the leases.

use super::*;

fn running(user: &str, device: &str, item: &str, kind: Kind, completion: Option<f64>) -> Running {
    Running {
        who: who(user, device),
        item: item.into(),
        kind,
        completion,
        runtime: Some(secs(3600)),
        position: Some(secs(10)),
        paused: false,
        rate: Bitrate::ZERO,
    }
}

impl World {
    fn poll(&mut self, running: &[Running]) {
        self.core.reconcile(self.now, &"node".into(), running);
    }

    fn found(&mut self) -> Vec<Reconciled> {
        let found = |event| match event {
            Event::Reconciled { found, .. } => Some(found),
            _ => None,
        };
        self.events().into_iter().filter_map(found).collect()
    }
}

#[test]
fn a_finished_job_holds_nothing_and_a_seek_to_before_its_start_takes_the_seats_back() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    world.segment("s1", 100);
    world.wait(20);
    let film = |completion| running("ann", "tv", "film", Kind::Video(ONE), completion);
    world.poll(&[film(Some(0.9))]);
    world.poll(&[running("ann", "tv", "film", Kind::Direct, None)]);
    assert_eq!(
        (world.state(lease), world.held()),
        (LeaseState::Finished, 0)
    );
    assert_eq!(world.found(), [Reconciled::Finished]);
    world.segment("s1", 3);
    assert_eq!(
        world.state(lease),
        LeaseState::Finished,
        "that is still there"
    );

    let lease = admitted(&world.video("ann", "tv", "film"));
    world.core.bind(world.now, lease, &"s2".into());
    world.segment("s2", 50);
    world.poll(&[film(Some(1.0))]);
    assert_eq!(
        (world.state(lease), world.held()),
        (LeaseState::Finished, 0)
    );
    world.segment("s2", 49);
    assert_eq!(
        (world.state(lease), world.held()),
        (LeaseState::Active, 1000)
    );
}

#[test]
fn a_job_that_moves_again_takes_its_seats_back() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "film", "s1");
    world.wait(20);
    let film = |completion| running("ann", "tv", "film", Kind::Video(ONE), completion);
    world.poll(&[film(Some(1.0))]);
    world.poll(&[film(Some(0.2))]);
    assert_eq!(world.state(lease), LeaseState::Active);
    assert_eq!(world.found(), [Reconciled::Finished, Reconciled::Restarted]);
}

#[test]
fn an_unknown_transcode_is_adopted_and_counts() {
    let mut world = World::new(policy(1000));
    let film = [running("ann", "tv", "film", Kind::Video(ONE), Some(0.3))];
    world.poll(&film);
    world.poll(&film);
    assert_eq!(world.found(), [Reconciled::Adopted]);
    assert_eq!(rejected(&world.video("bob", "tv", "film")), Reason::GpuFull);
    let demand = ask("ann", "tv", "film", Kind::Video(ONE));
    let stream = Demand {
        session: Some("s7".into()),
        origin: Origin::Stream,
        ..demand
    };
    assert_eq!(reason(&world.decide(stream)), Reason::Adopted);
    assert_eq!(world.held(), 1000);
}

#[test]
fn after_a_start_a_running_stream_is_taken_in_whatever_the_limits_say() {
    let start = t0();
    let mut core = Admission::new(start, Arc::new(policy(1000)));
    for (n, user) in ["ann", "bob"].into_iter().enumerate() {
        let demand = ask(user, "tv", "film", Kind::Video(ONE));
        let session = Some(PlaySessionId::new(format!("s{n}")));
        let decision = core.decide(
            start + secs(5),
            Demand {
                session,
                origin: Origin::Running,
                ..demand
            },
        );
        assert_eq!(reason(&decision), Reason::Adopted);
        admitted(&decision);
    }
    let new = ask("dan", "tv", "film", Kind::Video(ONE));
    let new = Demand {
        session: Some("s8".into()),
        origin: Origin::Stream,
        ..new
    };
    let at_its_start = core.decide(start + secs(6), new);
    assert_eq!(rejected(&at_its_start), Reason::GpuFull);
    let late = ask("cid", "tv", "film", Kind::Video(ONE));
    let late = Demand {
        session: Some("s9".into()),
        origin: Origin::Running,
        ..late
    };
    assert_eq!(
        rejected(&core.decide(start + secs(91), late)),
        Reason::GpuFull
    );
}

#[test]
fn what_a_poll_took_in_that_a_stop_had_overtaken_is_gone_two_polls_later() {
    let mut world = World::new(policy(1000));
    for kind in [Kind::Direct, Kind::Remux] {
        world.poll(&[running("ann", "tv", "film", kind, None)]);
        for left in [1, 1, 0] {
            assert_eq!(world.core.snapshot(world.now).leases.len(), left);
            world.poll(&[]);
        }
        assert_eq!(
            world.found(),
            [Reconciled::Adopted, Reconciled::Orphan],
            "{kind}"
        );
    }
}

#[test]
fn direct_play_does_not_end_because_jellyfin_shows_no_job() {
    let mut world = World::new(policy(1000));
    let lease = admitted(&world.decide(ask("ann", "tv", "film", Kind::Direct)));
    let progress = Activity::Progress {
        paused: false,
        position: Some(secs(5)),
    };
    for _ in 0..10 {
        world
            .core
            .touch_device(world.now, &"ann".into(), &"tv".into(), progress);
        world.poll(&[]);
        world.wait(10);
    }
    assert_eq!(world.state(lease), LeaseState::Active);
}

#[test]
fn jellyfins_word_on_what_it_does_counts() {
    let mut world = World::new(policy(1000));
    let lease = admitted(&world.decide(ask("ann", "tv", "film", Kind::Remux)));
    world.core.bind(world.now, lease, &"s1".into());
    world
        .core
        .touch(world.now, &"s1".into(), Activity::Segment { index: 0 });
    world.wait(20);
    let film = running("ann", "tv", "film", Kind::Video(ONE), Some(0.1));
    world.poll(std::slice::from_ref(&film));
    world.poll(&[film]);
    assert_eq!(world.found(), [Reconciled::Differs]);
    assert_eq!(world.held(), 1000);
}

#[test]
fn two_polls_give_the_gpu_its_reading_and_starvation_lowers_it() {
    let mut rules = policy(4000);
    rules.gpus[0].learn = true;
    let mut world = World::new(rules);
    world.play("ann", "tv", "film", "s1");
    for n in 0..4_u32 {
        world.wait(5);
        // Half of real time: 2.5 s of film in 5 s.
        let completion = 0.01 + 2.5 / 3600.0 * f64::from(n);
        let mut film = running("ann", "tv", "film", Kind::Video(ONE), Some(completion));
        film.position = Some(secs(40));
        world.segment("s1", n.into());
        world.poll(&[film]);
    }
    let to = seats(3500);
    assert!(world.events().contains(&Event::CapacityChanged {
        gpu: "gpu".into(),
        from: seats(4000),
        to
    }));
    let gpu = &world.core.snapshot(world.now).gpus[0];
    assert_eq!((gpu.capacity, gpu.starving), (to, 1));
    world.wait(60);
    let gpu = &world.core.snapshot(world.now).gpus[0];
    assert_eq!(gpu.starving, 0, "nobody has looked for long");
}

#[test]
fn a_live_channel_is_not_taken_for_finished() {
    let mut world = World::new(policy(1000));
    let lease = world.play("ann", "tv", "channel", "s1");
    for n in 0..10 {
        world.wait(5);
        world.segment("s1", n);
        let live = running("ann", "tv", "channel", Kind::Video(ONE), None);
        world.poll(&[Running {
            runtime: None,
            ..live
        }]);
    }
    assert_eq!(
        (world.state(lease), world.held()),
        (LeaseState::Active, 1000)
    );
}

#[test]
fn a_finished_play_that_is_adopted_holds_no_seats() {
    let mut world = World::new(policy(1000));
    world.poll(&[running("ann", "tv", "film", Kind::Video(ONE), None)]);
    assert_eq!(world.held(), 0);
    assert_eq!(world.core.leases.len(), 1);
}

#[test]
fn what_the_screen_has_just_left_is_not_adopted_while_jellyfin_says_so_still() {
    let mut world = World::new(policy(4000));
    world.play("ann", "tv", "one", "s1");
    world.segment("s1", 0);
    world.wait(60);
    world.stop("s1");
    let next = world.play("ann", "tv", "two", "s2");
    world.segment("s2", 0);
    world.events();
    let one = running("ann", "tv", "one", Kind::Video(ONE), Some(0.3));
    world.poll(std::slice::from_ref(&one));
    assert_eq!((world.held(), world.found()), (1000, Vec::new()));
    assert_eq!(world.state(next), LeaseState::Active);
    // Still there after that: it is real, whatever the screen said.
    world.wait(10);
    world.poll(std::slice::from_ref(&one));
    assert_eq!(
        (world.held(), world.found()),
        (2000, vec![Reconciled::Adopted])
    );
}

#[test]
fn what_was_just_stopped_is_not_adopted_while_jellyfin_says_so_still() {
    let mut world = World::new(policy(4000));
    world.play("ann", "tv", "one", "s1");
    world.segment("s1", 0);
    world.stop("s1");
    world.wait(6);
    world.events();
    let one = running("ann", "tv", "one", Kind::Video(ONE), Some(0.3));
    world.poll(std::slice::from_ref(&one));
    assert_eq!((world.held(), world.found()), (0, Vec::new()));
    world.wait(10);
    world.poll(std::slice::from_ref(&one));
    assert_eq!(
        (world.held(), world.found()),
        (1000, vec![Reconciled::Adopted])
    );
}

#[test]
fn who_waits_takes_the_place_of_what_turned_up_on_his_screen_once_nobody_reads_it() {
    let mut limits = policy(1000);
    limits.queue.max_wait = secs(60);
    let mut world = World::new(limits);
    world.play("bob", "tv", "film", "s1");
    let ticket = queued(&world.decide(Demand {
        patience: secs(60),
        ..ask("ann", "tv", "series", Kind::Video(ONE))
    }));
    let both = ["bob", "ann"].map(|user| running(user, "tv", "film", Kind::Video(ONE), Some(0.1)));
    for _ in 0..3 {
        world.wait(5);
        world.segment("s1", 5);
        world.poll(&both);
    }
    assert_eq!(world.held(), 2000, "it began without being asked for");
    for _ in 0..20 {
        world.wait(1);
        world.segment("s1", 5);
    }
    let grants = |event: &Event| matches!(event, Event::Granted { ticket: of, reason: Reason::Replacement, .. } if *of == ticket);
    assert!(world.events().iter().any(grants));
    assert_eq!(world.held(), 2000);
}
