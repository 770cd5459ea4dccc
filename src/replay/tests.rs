//! Evenings, decided again.

mod advice;

use std::{path::Path, sync::Arc, time::Duration};

use super::*;
use crate::{
    admission::{
        Activity, Bitrate, Class, Codec, Days, Decision, Demand, Ended, Event, Fraction,
        GPU_SECOND, Hdr, Input, Kind, Measure, Mode, Node, Origin, Period, Quota, Reason, Rung,
        Running, Seats, Today, UserLimits, WhenFull, Who, Window, Work,
    },
    clock,
    gate::{Gate, Outcome},
    ident::{
        ClassId, DecisionId, DeviceId, GpuId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket,
        UserId,
    },
    journal::{Journal, Settings},
    tasks::Tasks,
    telemetry::{self, Telemetry},
};

const ONE: Work = Work {
    codec_in: Codec::H264,
    size_in: (1920, 1080),
    millifps: 30_000,
    bits: 8,
    hdr: Hdr::Sdr,
    codec_out: Codec::H264,
    size_out: (1920, 1080),
    tone_map: false,
    burn_in: false,
};

/// Small, fast, and the same everywhere (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = self.roll(u64::try_from(from.len()).ok()?.max(1));
        from.get(usize::try_from(place).ok()?).cloned()
    }
}

fn telemetry() -> Telemetry {
    Telemetry::new(&telemetry::Settings {
        format: telemetry::LogFormat::Auto,
        level: "info".to_owned(),
        user_label: telemetry::UserLabel::None,
        gpus: Vec::new(),
        nodes: Vec::new(),
        classes: Vec::new(),
    })
}

fn policy(milli: u32) -> Policy {
    let (node, gpu) = (NodeId::new("node"), GpuId::new("gpu"));
    let mut policy = Policy::observe(node, gpu, Seats::from_milli(milli));
    policy.mode = Mode::Enforce;
    policy.user.transcodes = None;
    policy
}

fn random_policy(dice: &mut Dice) -> Policy {
    let mut policy = policy(1500 + 250 * u32::try_from(dice.roll(10)).unwrap());
    policy.gpus[0].learn = dice.one_in(2);
    policy.gpus[0].max_sessions = dice.one_in(3).then_some(3);
    let mut other = policy.gpus[0].clone();
    other.id = GpuId::new("other");
    policy.gpus.push(other);
    policy.nodes.push(Node {
        id: NodeId::new("node2"),
        gpu: GpuId::new("other"),
    });
    policy.user = UserLimits {
        transcodes: dice.one_in(2).then_some(2),
        streams: dice.one_in(3).then_some(3),
        quotas: if dice.one_in(2) {
            Arc::from([Quota {
                measure: Measure::GpuTime,
                period: Period::Day,
                limit: (20 + dice.roll(100)) * GPU_SECOND,
            }])
        } else {
            Arc::from([])
        },
        when_full: [
            WhenFull::WaitThenStepDown,
            WhenFull::StepDownThenWait,
            WhenFull::Wait,
            WhenFull::StepDown,
        ][usize::try_from(dice.roll(4)).unwrap()],
        mode: Mode::Enforce,
        ..UserLimits::default()
    };
    policy.classes.insert(
        0,
        Class {
            id: ClassId::new("family"),
            users: vec!["ann".to_owned(), "b*".to_owned()],
            share: Fraction::new(0.4),
            priority: u32::from(dice.one_in(2)),
            transcodes: dice.one_in(3).then_some(4),
            ..Class::everybody()
        },
    );
    policy.windows.push(Window {
        name: "night".to_owned(),
        days: Days::ALL,
        from: 60,
        to: 90,
        classes: Vec::new(),
        transcode: crate::admission::Access::Allow,
        uhd: crate::admission::Access::Deny,
        transcodes: None,
        capacity: Fraction::new(0.5),
        gpus: Vec::new(),
        mode: Mode::Enforce,
    });
    policy.check().unwrap();
    policy
}

fn work(dice: &mut Dice) -> Work {
    let lines = [(1280, 720), (1920, 1080), (3840, 2160)];
    Work {
        size_in: dice.pick(&lines).unwrap(),
        codec_in: dice.pick(&[Codec::H264, Codec::Hevc, Codec::Av1]).unwrap(),
        hdr: dice.pick(&[Hdr::Sdr, Hdr::Hdr]).unwrap(),
        tone_map: dice.one_in(3),
        ..ONE
    }
}

fn who(user: &str, device: &str) -> Who {
    Who {
        user: UserId::new(user),
        name: Some(Arc::from(user)),
        admin: false,
        device: DeviceId::new(device),
        client: Arc::from("Jellyfin Web"),
        address: None,
    }
}

fn demand(user: &str, item: &str, session: &str, patience: u64) -> Demand {
    Demand {
        who: who(user, &format!("{user}-telly")),
        item: ItemId::new(item),
        session: Some(PlaySessionId::new(session)),
        node: NodeId::new("node"),
        kind: Kind::Video(ONE),
        origin: Origin::Negotiation,
        rate: Bitrate::new(4_000_000),
        library: None,
        rungs: Vec::new(),
        would: None,
        patience: Duration::from_secs(patience),
        replaces: false,
        why: None,
    }
}

fn random_demand(dice: &mut Dice, number: u64) -> Demand {
    let user = dice.pick(&["ann", "bob", "carl", "dora", "emil"]).unwrap();
    let video = Kind::Video(work(dice));
    let smaller = Kind::Video(Work {
        size_out: (640, 360),
        ..ONE
    });
    let rung = Rung {
        kind: smaller,
        rate: Bitrate::new(1_000_000),
        index: 0,
    };
    Demand {
        who: who(user, dice.pick(&["telly", "phone"]).unwrap()),
        item: ItemId::new(format!("film{}", dice.roll(4))),
        session: (!dice.one_in(6)).then(|| PlaySessionId::new(format!("s{number}"))),
        node: NodeId::new(dice.pick(&["node", "node2"]).unwrap()),
        kind: dice
            .pick(&[video, video, video, Kind::Direct, Kind::Remux])
            .unwrap(),
        origin: dice
            .pick(&[Origin::Negotiation, Origin::Negotiation, Origin::Stream])
            .unwrap(),
        rungs: if dice.one_in(2) {
            vec![rung]
        } else {
            Vec::new()
        },
        patience: Duration::from_secs(dice.roll(15)),
        ..demand(user, "", "", 0)
    }
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: Some(dir.to_owned()),
        max_size: 256 << 20,
        max_age: Duration::from_secs(14 * 86_400),
        pseudonyms: false,
    }
}

/// A core whose every input is written down.
struct Evening {
    dir: tempfile::TempDir,
    core: Admission,
    journal: Journal,
    base: Instant,
    t: Duration,
    events: Vec<Event>,
}

impl Evening {
    fn new(policy: Policy) -> Self {
        Self::with(policy, |_| ())
    }

    fn with(policy: Policy, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (base, policy) = (clock::now(), Arc::new(policy));
        let mut settings = settings(dir.path());
        change(&mut settings);
        let journal = Journal::begin(&settings, base, clock::wall(), &policy, telemetry());
        let journal = journal.unwrap().unwrap();
        let mut core = Admission::new(base, policy);
        core.number_from(journal.numbers());
        Self {
            dir,
            core,
            journal,
            base,
            t: Duration::ZERO,
            events: Vec::new(),
        }
    }

    /// So many seconds later, with the timers that are due, as the gate does.
    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.wait_until(self.t + Duration::from_secs(seconds));
        self
    }

    fn wait_until(&mut self, until: Duration) {
        while let Some(due) = self.core.next_deadline().map(|at| at - self.base)
            && due <= until
        {
            self.t = due;
            self.tell(Input::Advance);
        }
        self.t = until;
    }

    fn tell(&mut self, input: Input) -> Option<Decision> {
        let now = self.base + self.t;
        self.core.advance(now);
        let answer = self.core.take(now, &input);
        let events = self.core.drain_events();
        self.journal.step(now, input, &events);
        self.events.extend(events);
        answer
    }

    fn ask(&mut self, user: &str, item: &str, session: &str, patience: u64) -> Decision {
        let demand = demand(user, item, session, patience);
        self.tell(Input::Decide(Box::new(demand))).unwrap()
    }

    /// Asks, and is let in.
    fn begin(&mut self, user: &str, item: &str, session: &str, patience: u64) {
        let decision = self.ask(user, item, session, patience);
        assert!(matches!(decision, Decision::Admit { .. }), "{decision:?}");
    }

    fn segment(&mut self, session: &str) {
        self.tell(Input::Touch {
            session: PlaySessionId::new(session),
            activity: Activity::Segment { index: 0 },
        });
    }

    /// Watches for so many seconds, and stops.
    fn watch(&mut self, session: &str, seconds: u64) {
        self.segment(session);
        for _ in 0..seconds / 30 {
            self.wait(30);
            self.segment(session);
        }
        self.tell(Input::Stop {
            session: PlaySessionId::new(session),
            why: Ended::Stopped,
        });
        self.wait(10);
    }

    fn poll(&mut self, playing: &[(&str, &str)]) {
        let running = playing.iter().map(|(user, item)| Running {
            who: who(user, &format!("{user}-telly")),
            item: ItemId::new(*item),
            kind: Kind::Video(ONE),
            rate: Bitrate::ZERO,
            completion: Some(0.1),
            runtime: None,
            position: None,
            paused: false,
        });
        self.tell(Input::Reconcile {
            node: NodeId::new("node"),
            running: running.collect(),
        });
    }

    fn read(&self) -> Reading {
        self.journal.flush();
        Reading::of(self.dir.path()).unwrap()
    }
}

/// What is known to whoever plays at random.
#[derive(Default)]
struct Known {
    sessions: Vec<PlaySessionId>,
    leases: Vec<LeaseId>,
    tickets: Vec<Ticket>,
}

fn random_input(dice: &mut Dice, known: &Known, number: u64) -> Option<Input> {
    let demand = random_demand(dice, number);
    let session = dice
        .pick(&known.sessions)
        .unwrap_or_else(|| PlaySessionId::new("nobody"));
    let activity = dice.pick(&[
        Activity::Playlist,
        Activity::Segment { index: 3 },
        Activity::Stream,
        Activity::StreamEnded,
        Activity::Started,
        Activity::Progress {
            paused: true,
            position: Some(Duration::from_millis(90_123)),
        },
        Activity::Progress {
            paused: false,
            position: None,
        },
    ])?;
    Some(match dice.roll(29) {
        0..8 => Input::Decide(Box::new(demand)),
        8..11 => Input::Touch { session, activity },
        11..13 => Input::Confirm {
            session,
            kind: Box::new(demand.kind),
            activity: Activity::Segment { index: 0 },
        },
        13 => Input::Stop {
            session,
            why: Ended::Stopped,
        },
        14 => Input::Bind {
            lease: dice.pick(&known.leases)?,
            session: PlaySessionId::new(format!("b{number}")),
        },
        15 => Input::Release {
            lease: dice.pick(&known.leases)?,
            why: Ended::Undelivered,
        },
        16 => Input::Withdraw {
            ticket: dice.pick(&known.tickets)?,
        },
        17 => Input::TouchDevice {
            user: demand.who.user,
            device: demand.who.device,
            activity,
        },
        18..20 => Input::StopDevice {
            user: demand.who.user,
            device: demand.who.device,
            item: demand.item,
            why: Ended::Stopped,
        },
        20 | 21 => Input::Reconcile {
            node: NodeId::new("node"),
            running: (0..dice.roll(4))
                .map(|_| Running {
                    who: random_demand(dice, 0).who,
                    item: ItemId::new(format!("film{}", dice.roll(4))),
                    kind: Kind::Video(work(dice)),
                    rate: Bitrate::new(dice.roll(9_000_000)),
                    completion: Some(f64::from(u32::try_from(dice.roll(1000)).unwrap()) / 999.0),
                    runtime: Some(Duration::from_secs(5400)),
                    position: Some(Duration::from_secs(dice.roll(5400))),
                    paused: dice.one_in(4),
                })
                .collect(),
        },
        22 => Input::TurnAway {
            demand: Box::new(demand),
            reason: Reason::StartRate,
            retry_after: Duration::from_secs(30),
        },
        23 => Input::SpendBytes {
            user: demand.who.user,
            bytes: dice.roll(5_000_000),
        },
        24 => Input::SpendSessionBytes {
            session,
            bytes: dice.roll(5_000_000),
        },
        25 => Input::Today(Today {
            date: jiff::civil::date(2026, 11, 1 + i8::try_from(number / 100 % 28).ok()?),
            day_left: Duration::from_secs(dice.roll(7200)),
            week_left: Duration::from_secs(7200 + dice.roll(90_000)),
        }),
        26 => Input::Flow(Bitrate::new(dice.roll(9_000_000))),
        _ if dice.one_in(12) => Input::Policy(Arc::new(random_policy(dice))),
        _ => Input::Week {
            minute: u16::try_from(dice.roll(200)).ok()?,
        },
    })
}

/// An evening in which anything may happen.
fn random_evening(seed: u64, steps: u64, prompt: bool) -> Evening {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut evening = Evening::new(random_policy(&mut dice));
    let mut known = Known::default();
    for number in 0..steps {
        let pause = Duration::from_nanos(dice.roll(3_000_000_007));
        if prompt {
            evening.wait_until(evening.t + pause);
        } else {
            evening.t += pause;
        }
        if dice.one_in(40) {
            let long = dice.roll(120);
            evening.wait(long);
        }
        let Some(input) = random_input(&mut dice, &known, number) else {
            continue;
        };
        if let Input::Decide(demand) = &input {
            known.sessions.extend(demand.session.clone());
        }
        let before = evening.events.len();
        evening.tell(input);
        for event in evening.events.iter().skip(before) {
            match what::What::of(event) {
                what::What::Ended { lease, .. } => known.leases.push(lease),
                what::What::Left { ticket, .. } => known.tickets.push(ticket),
                what::What::Granted { ticket, lease, .. } => {
                    known.tickets.push(ticket);
                    known.leases.push(lease);
                }
                what::What::Stepped { lease, .. } => known.leases.push(lease),
                what::What::Admitted { .. }
                | what::What::Queued { .. }
                | what::What::Refused { .. }
                | what::What::Other => {}
            }
        }
        let snapshot = evening.core.snapshot(evening.base + evening.t);
        known.leases = snapshot.leases.iter().map(|lease| lease.lease).collect();
        known.tickets = snapshot.waiting.iter().map(|w| w.ticket).collect();
    }
    if dice.one_in(3) {
        evening.tell(Input::Drain);
    }
    evening
}

#[test]
fn what_was_decided_is_decided_again_to_the_letter() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 1..=24 {
        let evening = random_evening(seed, 500, seed % 2 == 0);
        let reading = evening.read();
        let found = again(&reading, clock::now());
        assert_eq!(found.different, 0, "seed {seed}: {:?}", found.differences);
        assert!(found.compared > 400 && found.compared == found.steps);
        for event in &evening.events {
            let text = serde_json::to_string(event).unwrap();
            kinds.extend(text.split('"').nth(1).map(str::to_owned));
        }
    }
    // It would say little if nobody had waited or stepped down.
    for kind in [
        "admitted",
        "queued",
        "granted",
        "refused",
        "downgraded",
        "withdrawn",
        "moved",
        "lease-ended",
        "reconciled",
        "capacity-changed",
        "policy-changed",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
}

#[test]
fn a_world_that_changes_nothing_comes_to_the_same() {
    let mut sums = (0, 0, 0);
    for seed in 101..=124 {
        let reading = random_evening(seed, 500, true).read();
        let replay = Replay {
            reading: &reading,
            base: clock::now(),
        };
        let past = replay.past();
        let mut same = Tally::new(&reading);
        for part in &reading.parts {
            let usual = traces::Usual::default();
            let changes = Changes::default();
            world::run(part, replay.base, None, &changes, &usual, &mut same);
        }
        same.close();
        let fates = |tally: &Tally| -> Vec<String> {
            let wishes = tally.list.iter();
            wishes
                .map(|wish| serde_json::to_string(wish).unwrap())
                .collect()
        };
        let (ours, theirs) = (fates(&same), fates(&past));
        let differs = theirs.iter().zip(&ours).position(|(was, is)| was != is);
        assert_eq!(
            (differs, ours.len()),
            (None, theirs.len()),
            "seed {seed}: {:?}",
            differs.map(|place| (&theirs[place], &ours[place]))
        );
        assert!((past.seat_hours - same.seat_hours).abs() < 1e-6);
        sums = (
            sums.0 + past.refused,
            sums.1 + past.queued,
            sums.2 + past.stepped_down,
        );
    }
    assert!(sums.0 > 50 && sums.1 > 200 && sums.2 > 20, "{sums:?}");
}

#[tokio::test(start_paused = true)]
async fn the_gate_writes_down_all_that_it_tells_the_core() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(4711);
    let rules = Arc::new(random_policy(&mut dice));
    let (telemetry, now) = (telemetry(), clock::now());
    let (gate, _ends) = Gate::new(now, Arc::clone(&rules), telemetry.clone());
    let begun = Journal::begin(&settings(dir.path()), now, clock::wall(), &rules, telemetry);
    gate.record_to(begun.unwrap().unwrap());
    let tasks = Tasks::new();
    let timers = gate.clone();
    tasks.spawn_loop(async move { timers.run_timers().await });
    let mut known = Known::default();
    for number in 0..1500 {
        tokio::time::sleep(Duration::from_millis(dice.roll(2500))).await;
        let Some(input) = random_input(&mut dice, &known, number) else {
            continue;
        };
        match input {
            Input::Decide(demand) => {
                known.sessions.extend(demand.session.clone());
                let (gate, patience) = (gate.clone(), Duration::from_secs(dice.roll(6)));
                let drops = dice.one_in(4);
                let session = demand.session.clone();
                tasks.spawn(async move {
                    let waits = gate.enter(*demand);
                    match tokio::time::timeout(patience, waits).await {
                        Ok(
                            Outcome::Admitted(seats)
                            | Outcome::Downgraded {
                                reservation: seats, ..
                            },
                        ) => {
                            if drops {
                                drop(seats);
                            } else {
                                seats.bind(session.as_ref());
                            }
                        }
                        // He was refused, or has left.
                        Ok(Outcome::Rejected { .. }) | Err(_) => {}
                    }
                });
            }
            Input::TurnAway {
                demand,
                reason,
                retry_after,
            } => drop(gate.refuse(&demand, reason, retry_after)),
            Input::Confirm {
                session,
                kind,
                activity,
            } => drop(gate.confirm(&session, &kind, activity)),
            Input::Touch { session, activity } => drop(gate.touch(&session, activity)),
            Input::TouchDevice {
                user,
                device,
                activity,
            } => gate.touch_device(&user, &device, activity),
            Input::Stop { session, why } => gate.stop(&session, why),
            Input::StopDevice {
                user,
                device,
                item,
                why,
            } => gate.stop_device(&user, &device, &item, why),
            Input::Release { lease, why } => gate.release(lease, why),
            Input::Reconcile { node, running } => gate.reconcile(&node, &running),
            Input::Week { minute } => gate.set_minute_of_week(minute),
            Input::Policy(policy) => gate.set_policy(policy),
            Input::Today(today) => gate.set_today(today),
            Input::Flow(flow) => gate.set_flow(flow),
            Input::Operate { order, who } => drop(gate.operate(order, &who)),
            Input::SpendBytes { user, bytes } => gate.spend_bytes(&user, bytes),
            Input::SpendSessionBytes { session, bytes } => {
                gate.spend_session_bytes(&session, bytes);
            }
            Input::Usage(book) => gate.restore_usage(*book),
            // The gate has these from elsewhere.
            Input::Advance | Input::Bind { .. } | Input::Withdraw { .. } | Input::Drain => {
                gate.fits(&random_demand(&mut dice, number));
            }
        }
        known.leases = gate.snapshot().leases.iter().map(|l| l.lease).collect();
        known.leases.truncate(1);
    }
    gate.drain();
    tasks.join(Duration::from_secs(60)).await;
    gate.journal().unwrap().flush();
    let reading = Reading::of(dir.path()).unwrap();
    let found = again(&reading, clock::now());
    assert_eq!(found.different, 0, "{:?}", found.differences);
    assert!(found.compared > 1000 && found.events > 1000, "{found:?}");
    let told = |f: fn(&Input) -> bool| reading.parts[0].steps.iter().any(|step| f(&step.told));
    assert!(told(|input| matches!(input, Input::Withdraw { .. })));
    assert!(told(|input| matches!(input, Input::Bind { .. })));
    assert!(told(|input| matches!(input, Input::Advance)));
}

#[test]
fn under_its_own_policy_an_evening_comes_to_what_it_came_to() {
    let mut rules = policy(2000);
    rules.user.when_full = WhenFull::Wait;
    let mut evening = Evening::new(rules.clone());
    for night in 0..6 {
        for (user, patience) in [("ann", 0), ("bob", 10), ("carl", 10), ("dora", 0)] {
            let session = format!("{user}{night}");
            if let Decision::Admit { .. } = evening.ask(user, "film", &session, patience) {
                evening.segment(&session);
            }
            evening.wait(3);
        }
        evening.poll(&[("ann", "film"), ("bob", "film")]);
        evening.watch(&format!("ann{night}"), 600);
        evening.watch(&format!("bob{night}"), 300);
        evening.wait(7200);
    }
    let reading = evening.read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    let under = replay.under(&Arc::new(rules), &Changes::default(), &past);
    assert_eq!(
        serde_json::to_value(&past).unwrap(),
        serde_json::to_value(&under).unwrap()
    );
    assert_eq!((past.refused, past.queued, past.wishes), (12, 2, 24));
}

/// Ann plays for half an hour on a GPU of one seat; Bob tries thrice in vain.
fn busy() -> Evening {
    let mut evening = Evening::new(policy(1000));
    for (nth, user) in ["carl", "dora", "emil", "fred", "gina"].iter().enumerate() {
        let session = format!("before{nth}");
        evening.begin(user, "short", &session, 0);
        evening.watch(&session, 300);
        evening.wait(60);
    }
    evening.begin("ann", "film", "ann-session", 0);
    evening.segment("ann-session");
    for nth in 0..3 {
        evening.wait(20);
        evening.segment("ann-session");
        let refused = evening.ask("bob", "series", &format!("bob{nth}"), 0);
        assert!(matches!(refused, Decision::Reject { .. }));
    }
    for _ in 0..180 {
        evening.wait(10);
        evening.segment("ann-session");
        evening.poll(&[("ann", "film")]);
    }
    evening.watch("ann-session", 30);
    evening.wait(3600);
    evening.tell(Input::Week { minute: 3 });
    evening
}

#[test]
fn who_was_refused_plays_as_long_as_others_do_where_there_is_room() {
    let reading = busy().read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    assert_eq!((past.refused, past.refusals, past.wishes), (1, 3, 7));
    assert!((past.peak_seats - 1.0).abs() < 0.01);
    let under = replay.under(&Arc::new(policy(2000)), &Changes::default(), &past);
    assert_eq!((under.refused, under.refusals, under.wishes), (0, 0, 7));
    assert!((under.peak_seats - 2.0).abs() < 0.01);
    let more = (under.seat_hours - past.seat_hours) * 3600.0;
    assert!((290.0..330.0).contains(&more), "{more} s");
    let found = Comparison::of(&reading, &Again::default(), &past, &under);
    let [changed] = found.changed.as_slice() else {
        panic!("{:?}", found.changed)
    };
    assert_eq!(changed.was.user.as_str(), "bob");
    assert_eq!(
        (changed.was.fate, changed.would.fate),
        (Fate::Refused, Fate::Played)
    );
    let text = found.text();
    assert!(
        text.starts_with("It would have refused 0, queued 0, stepped down 0; peak seats 2.0."),
        "{text}"
    );
    let html = found.html("<evening>");
    assert!(html.contains("&lt;evening&gt;") && html.contains("<polyline class=\"under\""));
}

#[test]
fn the_rest_of_a_play_that_is_now_refused_is_left_out() {
    let reading = busy().read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    let mut strict = policy(1000);
    strict.classes.insert(
        0,
        Class {
            id: ClassId::new("nobody"),
            users: vec!["ann".to_owned()],
            transcode: crate::admission::Access::Deny,
            ..Class::everybody()
        },
    );
    let under = replay.under(&Arc::new(strict), &Changes::default(), &past);
    // Ann is refused, is not adopted by the polls that saw her, and Bob has the seat.
    assert_eq!((under.refused, under.wishes), (1, 7));
    let fate = |user: &str| {
        under
            .list
            .iter()
            .find(|w| w.user.as_str() == user)
            .unwrap()
            .fate
    };
    assert_eq!((fate("ann"), fate("bob")), (Fate::Refused, Fate::Played));
    assert!(under.seat_hours < past.seat_hours);
}

#[test]
fn a_play_that_waits_longer_is_later_by_as_much() {
    let mut evening = Evening::new(policy(2000));
    evening.begin("ann", "film", "a", 0);
    evening.segment("a");
    evening.wait(5);
    evening.begin("bob", "series", "b", 20);
    evening.segment("b");
    evening.wait(5);
    evening.tell(Input::Stop {
        session: PlaySessionId::new("a"),
        why: Ended::Stopped,
    });
    evening.watch("b", 600);
    evening.wait(600);
    evening.tell(Input::Week { minute: 3 });
    let reading = evening.read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    let mut narrow = policy(1000);
    narrow.user.when_full = WhenFull::Wait;
    let under = replay.under(&Arc::new(narrow), &Changes::default(), &past);
    assert_eq!((past.queued, under.queued, under.refused), (0, 1, 0));
    let waited = under.wait_median.unwrap();
    assert!((9.0..12.0).contains(&waited), "{waited}");
    let less = (past.seat_hours - under.seat_hours).abs() * 3600.0;
    assert!(less < 2.0, "{less} s");
}

#[test]
fn a_refusal_is_explained_by_what_would_have_let_it_in() {
    let mut rules = policy(2500);
    rules.user.transcodes = Some(1);
    rules.user.when_full = WhenFull::Wait;
    let mut evening = Evening::new(rules);
    evening.begin("ann", "film", "a", 0);
    evening.segment("a");
    evening.begin("bob", "series", "b", 0);
    evening.segment("b");
    evening.wait(5);
    let ask = |evening: &mut Evening, demand: Demand| -> DecisionId {
        let before = evening.events.len();
        evening.tell(Input::Decide(Box::new(demand)));
        let told =
            evening
                .events
                .iter()
                .skip(before)
                .find_map(|event| match what::What::of(event) {
                    what::What::Refused { subject, .. } => Some(subject.decision),
                    what::What::Queued { subject, .. } => Some(subject.decision),
                    what::What::Admitted { .. }
                    | what::What::Granted { .. }
                    | what::What::Stepped { .. }
                    | what::What::Left { .. }
                    | what::What::Ended { .. }
                    | what::What::Other => None,
                });
        told.unwrap()
    };
    let small = Kind::Video(Work {
        size_in: (1280, 720),
        size_out: (640, 360),
        ..ONE
    });
    let full = ask(
        &mut evening,
        Demand {
            rungs: vec![Rung {
                kind: small,
                rate: Bitrate::new(1_000_000),
                index: 0,
            }],
            ..demand("carl", "film", "c", 0)
        },
    );
    let second = ask(
        &mut evening,
        Demand {
            who: who("ann", "ann-phone"),
            kind: small,
            ..demand("ann", "other", "a2", 0)
        },
    );
    let waits = ask(&mut evening, demand("dora", "film", "d", 10));
    evening.wait(60);
    let reading = evening.read();
    let told = |id| explain(&reading, clock::now(), id).unwrap();

    let carl = told(full);
    assert_eq!(carl.decided[0].reason, Reason::GpuFull);
    assert_eq!(carl.instead[0], "0.5 seats more on gpu");
    assert!(
        carl.instead[1].starts_with("a smaller form: h264 720p"),
        "{:?}",
        carl.instead
    );
    assert_eq!(carl.holders.len(), 2);
    assert_eq!(
        (carl.before[0].held, carl.after[0].held),
        (Seats::from_milli(2000), Seats::from_milli(2000))
    );
    let text = carl.text();
    for part in [
        &full.to_string(),
        "[gpu-full]",
        "2.0 of 2.5 held in 2 transcodes",
        "0.5 seats more",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let ann = told(second);
    assert_eq!(ann.decided[0].reason, Reason::UserLimit);
    assert_eq!(ann.instead, ["user limit 2 (it is 1)"]);
    assert!(ann.holders.iter().any(|holder| holder.same_user));
    let dora = told(waits);
    let steps: Vec<_> = dora.decided.iter().map(|seen| seen.what).collect();
    assert_eq!(steps, ["queued", "refused"]);
    assert!(explain(&reading, clock::now(), DecisionId(1)).is_none());
}

#[test]
fn what_was_let_in_smaller_is_explained_by_what_would_have_let_it_in_whole() {
    let mut rules = policy(2500);
    rules.user.transcodes = Some(3);
    rules.user.when_full = WhenFull::StepDown;
    rules.pressure = Fraction::new(1.0).unwrap();
    let mut evening = Evening::new(rules);
    evening.begin("ann", "film", "a", 0);
    evening.segment("a");
    evening.begin("bob", "series", "b", 0);
    evening.segment("b");
    let small = Kind::Video(Work {
        size_in: (1280, 720),
        size_out: (640, 360),
        ..ONE
    });
    let before = evening.events.len();
    evening.tell(Input::Decide(Box::new(Demand {
        rungs: vec![Rung {
            kind: small,
            rate: Bitrate::new(1_000_000),
            index: 0,
        }],
        ..demand("carl", "film", "c", 0)
    })));
    let events = evening.events.iter().skip(before);
    let stepped = events
        .filter_map(|event| match what::What::of(event) {
            what::What::Stepped { subject, .. } => Some(subject.decision),
            what::What::Admitted { .. }
            | what::What::Refused { .. }
            | what::What::Queued { .. }
            | what::What::Granted { .. }
            | what::What::Left { .. }
            | what::What::Ended { .. }
            | what::What::Other => None,
        })
        .next()
        .unwrap();
    evening.wait(5);
    let told = explain(&evening.read(), clock::now(), stepped).unwrap();
    // A higher limit of his own, or that smaller picture, would have changed nothing.
    assert_eq!(told.instead, ["0.5 seats more on gpu"]);
    assert!(told.text().contains("Would have let it in whole:"));
}

#[test]
fn what_only_an_observing_rule_let_in_is_explained_as_if_it_were_enforced() {
    let mut rules = policy(1500);
    rules.mode = Mode::Observe;
    rules.gpus[0].mode = Mode::Observe;
    let mut evening = Evening::new(rules);
    evening.begin("ann", "film", "a", 0);
    evening.segment("a");
    evening.begin("bob", "series", "b", 0);
    evening.wait(5);
    let reading = evening.read();
    let events = evening.events.iter();
    let observed = events
        .filter_map(|event| match what::What::of(event) {
            what::What::Admitted {
                subject,
                would: Some(_),
                ..
            } => Some(subject.decision),
            what::What::Admitted { would: None, .. }
            | what::What::Refused { .. }
            | what::What::Queued { .. }
            | what::What::Granted { .. }
            | what::What::Stepped { .. }
            | what::What::Left { .. }
            | what::What::Ended { .. }
            | what::What::Other => None,
        })
        .next()
        .unwrap();
    let told = explain(&reading, clock::now(), observed).unwrap();
    assert_eq!(told.decided[0].would, Some(Reason::GpuFull));
    assert_eq!(told.instead[0], "0.5 seats more on gpu");
    let text = told.text();
    assert!(text.contains("If that were enforced"), "{text}");
}

#[test]
fn a_plan_names_what_would_help_first() {
    let reading = busy().read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let gpus = [("a card".to_owned(), Seats::from_milli(5000))];
    let plan = plan(&replay, &Arc::new(policy(1000)), &gpus);
    assert_eq!((plan.now.refused, plan.now.wishes), (1, 7));
    let find = |text: &str| {
        plan.variants
            .iter()
            .find(|v| v.what.contains(text))
            .unwrap()
    };
    assert_eq!(find("a card").refusals_avoided, 1);
    // Ann's film is the dearest: as it is, Bob has the seat.
    assert_eq!(plan.files[0].0.as_str(), "film");
    let file = find("dearest file re-encoded");
    assert_eq!(file.refusals_avoided, 1);
    assert!(file.seat_hours_saved > 0.3, "{file:?}");
    let client = find("Jellyfin Web plays everything");
    assert!(client.under.seat_hours < 0.001);
    assert!(
        plan.text()
            .contains("one more a card beside gpu (+5.0 seats)")
    );
}

#[test]
fn a_journal_without_its_beginning_is_replayed_from_what_jellyfin_shows() {
    let evening = busy();
    evening.journal.flush();
    let file = std::fs::read_dir(evening.dir.path()).unwrap().next();
    let file = file.unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let header = lines[0].replace("\"part\":0", "\"part\":4");
    let cut = lines.len() / 2;
    lines.drain(..cut);
    std::fs::write(&file, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    let reading = evening.read();
    assert!(!reading.parts[0].is_whole());
    let found = again(&reading, clock::now());
    assert_eq!(found.compared, 0);
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    // Ann is adopted at the first poll.
    assert!((past.peak_seats - 1.0).abs() < 0.01, "{past:?}");
    let notes = Comparison::of(&reading, &found, &past, &past).notes;
    assert!(notes[0].contains("lack their beginning"), "{notes:?}");
}

#[test]
fn who_waits_when_finweir_stops_was_refused_by_no_configuration() {
    let mut evening = Evening::new(policy(1000));
    evening.begin("ann", "film", "s1", 0);
    evening.segment("s1");
    assert!(matches!(
        evening.ask("ben", "film", "s2", 15),
        Decision::Queue { .. }
    ));
    evening.wait(1).tell(Input::Drain);
    let reading = evening.read();
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let past = replay.past();
    assert_eq!((past.refused, past.left), (0, 1));
}
