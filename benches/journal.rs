//! What the journal costs whoever decides, and how long a week of it takes to read and to decide again.
//!
//! `cargo bench --bench journal`. The week has a million inputs: 150 plays a day of an hour each, with a segment every
//! six seconds and a poll every minute.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures reports by panicking and printing, and reads the clock"
)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use finweir::{
    admission::{
        Activity, Admission, Bitrate, Codec, Decision, Demand, Ended, Event, Hdr, Input, Kind,
        Mode, Origin, Policy, Rung, Running, Seats, Who, Work,
    },
    ident::{DeviceId, GpuId, ItemId, NodeId, PlaySessionId, UserId},
    journal::{Journal, Reading, Settings},
    replay::{self, Changes, Replay},
    telemetry::{self, Telemetry},
};

const WORK: Work = Work {
    codec_in: Codec::Hevc,
    size_in: (1920, 1080),
    millifps: 23_976,
    bits: 8,
    hdr: Hdr::Sdr,
    codec_out: Codec::H264,
    size_out: (1920, 1080),
    tone_map: false,
    burn_in: false,
};
const DAYS: u64 = 7;
const PLAYS_A_DAY: u64 = 240;
const EVENING: u64 = 8 * 3600;
const LASTS: u64 = 3600;

struct Week {
    core: Admission,
    journal: Journal,
    base: Instant,
    inputs: u64,
    events: Vec<Event>,
}

impl Week {
    fn tell(&mut self, at: Duration, input: Input) -> Option<Decision> {
        let now = self.base + at;
        while let Some(due) = self.core.next_deadline().filter(|due| *due <= now) {
            self.core.advance(due);
            self.step(due, Input::Advance);
        }
        self.core.advance(now);
        let decision = self.core.take(now, &input);
        self.step(now, input);
        decision
    }

    fn step(&mut self, now: Instant, input: Input) {
        self.events = self.core.drain_events();
        self.journal.step(now, input, &self.events);
        self.inputs += 1;
        // A week in seconds: the disk must keep up, as it does in a week.
        if self.inputs.is_multiple_of(20_000) {
            self.journal.flush();
        }
    }
}

fn policy(milli: u32) -> Policy {
    let (node, gpu) = (NodeId::new("node"), GpuId::new("gpu"));
    let mut policy = Policy::observe(node, gpu, Seats::from_milli(milli));
    policy.mode = Mode::Enforce;
    policy
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

fn who(nth: u64) -> Who {
    Who {
        user: UserId::new(format!("{:032x}", nth % 40)),
        name: Some(Arc::from(format!("user{}", nth % 40))),
        admin: false,
        device: DeviceId::new(format!("device{}", nth % 60)),
        client: Arc::from("Jellyfin Web"),
        address: Some("192.168.1.7".parse().unwrap()),
    }
}

fn demand(nth: u64) -> Demand {
    let rung = Rung {
        kind: Kind::Video(Work {
            size_out: (1280, 720),
            ..WORK
        }),
        rate: Bitrate::new(2_000_000),
        index: 0,
    };
    Demand {
        who: who(nth),
        item: ItemId::new(format!("{:032x}", nth % 500)),
        session: Some(session(nth)),
        node: NodeId::new("node"),
        kind: Kind::Video(WORK),
        origin: Origin::Negotiation,
        rate: Bitrate::new(4_000_000),
        library: None,
        rungs: vec![rung],
        would: None,
        patience: Duration::from_secs(15),
        replaces: false,
        why: None,
    }
}

fn session(nth: u64) -> PlaySessionId {
    PlaySessionId::new(format!("{nth:032x}"))
}

fn write(dir: &Path, rules: &Arc<Policy>) -> u64 {
    let base = Instant::now();
    let settings = Settings {
        dir: Some(dir.to_owned()),
        max_size: 4 << 30,
        max_age: Duration::from_secs(30 * 86_400),
        pseudonyms: false,
    };
    let week_ago = SystemTime::now() - Duration::from_secs(DAYS * 86_400);
    let journal = Journal::begin(&settings, base, week_ago, rules, telemetry());
    let journal = journal.unwrap().unwrap();
    let mut core = Admission::new(base, Arc::clone(rules));
    core.number_from(journal.numbers());
    let mut week = Week {
        core,
        journal,
        base,
        inputs: 0,
        events: Vec::new(),
    };
    let mut plays: Vec<(u64, u64)> = Vec::new();
    let mut next = 0;
    let mut acts = Vec::new();
    for day in 0..DAYS {
        for play in 0..PLAYS_A_DAY {
            // As many come at nine as at six and at two, in no order that is worth a name.
            let starts = day * 86_400 + 16 * 3600 + (play * 7919 + day * 131) % EVENING;
            plays.push((starts, next));
            next += 1;
        }
    }
    for (starts, nth) in &plays {
        acts.push((*starts, 0, *nth));
        for segment in 0..LASTS / 6 {
            acts.push((starts + 2 + segment * 6, 1, *nth));
        }
        acts.push((starts + LASTS, 2, *nth));
    }
    for minute in 0..DAYS * 1440 {
        acts.push((minute * 60, 3, minute));
    }
    acts.sort_unstable();
    let mut playing: Vec<u64> = Vec::new();
    for (at, act, nth) in acts {
        let time = Duration::from_secs(at) + Duration::from_nanos(nth * 1013 + 17);
        match act {
            0 => {
                let decision = week.tell(time, Input::Decide(Box::new(demand(nth))));
                if !matches!(decision, Some(Decision::Reject { .. })) {
                    playing.push(nth);
                }
            }
            1 if playing.contains(&nth) => {
                let activity = Activity::Segment { index: 1 };
                let session = session(nth);
                week.tell(time, Input::Touch { session, activity });
            }
            2 if playing.contains(&nth) => {
                playing.retain(|other| *other != nth);
                let session = session(nth);
                let why = Ended::Stopped;
                week.tell(time, Input::Stop { session, why });
            }
            3 => {
                let running = playing.iter().map(|nth| Running {
                    who: who(*nth),
                    item: demand(*nth).item,
                    kind: Kind::Video(WORK),
                    rate: Bitrate::new(4_000_000),
                    completion: Some(0.2),
                    runtime: Some(Duration::from_secs(5400)),
                    position: None,
                    paused: false,
                });
                let node = NodeId::new("node");
                let running = running.collect();
                week.tell(time, Input::Reconcile { node, running });
            }
            _ => {}
        }
    }
    week.journal.flush();
    let touches = 100_000;
    let name = session(1);
    let began = Instant::now();
    for _ in 0..touches / 4 {
        let input = Input::Touch {
            session: name.clone(),
            activity: Activity::Segment { index: 1 },
        };
        week.journal.step(began, input, &[]);
    }
    let each = began.elapsed().as_nanos() / (touches / 4);
    println!("writing down a touch      {each:>9} ns for whoever decides");
    week.journal.flush();
    week.inputs
}

fn main() {
    let dir = std::env::temp_dir().join(format!("finweir-journal-{}", std::process::id()));
    let rules = Arc::new(policy(18_000));
    let began = Instant::now();
    let inputs = write(&dir, &rules);
    let timed = |what: &str, began: Instant| {
        println!("{what:<26}{:>9.2} s", began.elapsed().as_secs_f64());
    };
    timed("making and writing it", began);
    let began = Instant::now();
    let reading = Reading::of(&dir).unwrap();
    timed("reading it", began);
    let megabytes = reading.bytes >> 20;
    println!("inputs                    {inputs:>9}\nmegabytes                 {megabytes:>9}");
    let replay = Replay {
        reading: &reading,
        base: Instant::now(),
    };
    let began = Instant::now();
    let again = replay::again(&reading, replay.base);
    timed("deciding it again", began);
    println!("inputs that differ        {:>9}", again.different);
    let began = Instant::now();
    let past = replay.past();
    timed("adding up what happened", began);
    for seats in [9_000, 40_000] {
        let began = Instant::now();
        let under = replay.under(&Arc::new(policy(seats)), &Changes::default(), &past);
        timed("under another policy", began);
        println!(
            "  {} seats: {} refused of {} wishes, {} queued, {} stepped down (was {}, {}, {})",
            seats / 1000,
            under.refused,
            under.wishes,
            under.queued,
            under.stepped_down,
            past.refused,
            past.queued,
            past.stepped_down
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
