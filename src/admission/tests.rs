//! Properties of the core.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one event among many"
)]

mod backfill;
mod fairness;
mod houses;
mod invariants;
mod life;
mod limits;
mod lost_seats;
mod numbers;
mod one_thing;
mod operator;
mod polls;
mod preempting;
mod pressure;
mod probe;
mod quotas;
mod rungs;
mod torture;
mod uplink;
mod waiting;
mod whose;
mod yielding;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;

const JUST: Duration = Duration::from_millis(1);

/// Any moment.
fn t0() -> Instant {
    crate::clock::now()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn seats(milli: u32) -> Seats {
    Seats::from_milli(milli)
}

/// A transcode of exactly one seat.
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

fn policy(milli: u32) -> Policy {
    let mut policy = Policy::observe(NodeId::new("node"), GpuId::new("gpu"), seats(milli));
    policy.mode = Mode::Enforce;
    policy.user.transcodes = None;
    policy
}

fn who(user: &str, device: &str) -> Who {
    Who {
        user: UserId::new(user),
        name: Some(Arc::from(user)),
        admin: false,
        device: device.into(),
        client: Arc::from("Jellyfin Web"),
        address: None,
    }
}

fn ask(user: &str, device: &str, item: &str, kind: Kind) -> Demand {
    Demand {
        who: who(user, device),
        item: ItemId::new(item),
        session: None,
        node: NodeId::new("node"),
        kind,
        origin: Origin::Negotiation,
        library: None,
        rate: Bitrate::ZERO,
        rungs: Vec::new(),
        would: None,
        patience: Duration::ZERO,
        replaces: false,
        why: None,
    }
}

const STEPS_OF_A_WORLD: u64 = 2500;

/// A world with its own clock.
struct World {
    core: Admission,
    now: Instant,
    start: Instant,
}

impl World {
    /// Starts after the time in which unknown streams are taken in.
    fn new(policy: Policy) -> Self {
        policy.check().unwrap();
        let start = t0();
        let mut world = Self {
            core: Admission::new(start, Arc::new(policy)),
            now: start,
            start,
        };
        world.wait(1000);
        world.start = world.now;
        world
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += secs(seconds);
        self.core.advance(self.now);
        self
    }

    fn decide(&mut self, demand: Demand) -> Decision {
        self.core.decide(self.now, demand)
    }

    fn video(&mut self, user: &str, device: &str, item: &str) -> Decision {
        self.decide(ask(user, device, item, Kind::Video(ONE)))
    }

    /// Asks with a patience of ten seconds.
    fn patient(&mut self, user: &str, device: &str, item: &str) -> Decision {
        let demand = ask(user, device, item, Kind::Video(ONE));
        self.decide(Demand {
            patience: secs(10),
            ..demand
        })
    }

    /// Plays: asks, binds, reads the first segment.
    fn play(&mut self, user: &str, device: &str, item: &str, session: &str) -> LeaseId {
        let lease = admitted(&self.video(user, device, item));
        self.core.bind(self.now, lease, &session.into());
        self.segment(session, 0);
        lease
    }

    fn segment(&mut self, session: &str, index: i64) -> Covered {
        let activity = Activity::Segment { index };
        self.core
            .confirm(self.now, &session.into(), &Kind::Video(ONE), activity)
    }

    fn report(&mut self, session: &str, paused: bool, position: u64) -> bool {
        let position = Some(secs(position));
        self.core.touch(
            self.now,
            &session.into(),
            Activity::Progress { paused, position },
        )
    }

    fn stop(&mut self, session: &str) {
        self.core.stop(self.now, &session.into(), Ended::Stopped);
    }

    fn held(&self) -> u32 {
        self.core.ledger.gpu(0).seats.milli()
    }

    fn state(&self, lease: LeaseId) -> LeaseState {
        self.core
            .leases
            .get(&lease)
            .map_or(LeaseState::Ended, |lease| lease.state)
    }

    fn events(&mut self) -> Vec<Event> {
        self.core.drain_events()
    }

    fn endings(&mut self) -> Vec<Ended> {
        let ended = |event| match event {
            Event::LeaseEnded { ended, .. } => Some(ended),
            _ => None,
        };
        self.events().into_iter().filter_map(ended).collect()
    }
}

#[track_caller]
fn admitted(decision: &Decision) -> LeaseId {
    match decision {
        Decision::Admit { lease, .. } => *lease,
        other => panic!("not admitted: {other:?}"),
    }
}

#[track_caller]
fn rejected(decision: &Decision) -> Reason {
    match decision {
        Decision::Reject {
            reason,
            retry_after,
        } => {
            assert!(*retry_after >= secs(1));
            *reason
        }
        other => panic!("not rejected: {other:?}"),
    }
}

#[track_caller]
fn queued(decision: &Decision) -> Ticket {
    match decision {
        Decision::Queue { ticket, .. } => *ticket,
        other => panic!("not queued: {other:?}"),
    }
}

#[track_caller]
fn reason(decision: &Decision) -> Reason {
    match decision {
        Decision::Admit { reason, .. }
        | Decision::Queue { reason, .. }
        | Decision::Downgrade { reason, .. }
        | Decision::Reject { reason, .. } => *reason,
    }
}

fn limited(transcodes: u32) -> Policy {
    let mut policy = policy(8000);
    policy.user.transcodes = Some(transcodes);
    policy
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

/// `FINWEIR_TORTURE_STEPS` sets the number of steps, `FINWEIR_TORTURE_SEED` the first seed (a failure names it).
#[test]
fn nothing_is_oversold_lost_or_stranded_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let steps = number("FINWEIR_TORTURE_STEPS").unwrap_or(1_000_000);
    let first = number("FINWEIR_TORTURE_SEED").unwrap_or(1);
    let worlds = steps.div_ceil(STEPS_OF_A_WORLD);
    let next = std::sync::atomic::AtomicU64::new(0);
    let sentences = [const { std::sync::atomic::AtomicU64::new(0) }; 4];
    let run = || {
        loop {
            let world = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if world >= worlds {
                return;
            }
            let seed = first + world;
            let result = std::panic::catch_unwind(|| torture::torture(seed, STEPS_OF_A_WORLD));
            let Ok(fates) = result else {
                panic!("seed {seed} failed: FINWEIR_TORTURE_STEPS=1 FINWEIR_TORTURE_SEED={seed}");
            };
            for (sum, fate) in sentences.iter().zip(fates) {
                sum.fetch_add(fate, std::sync::atomic::Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let ran = worlds * STEPS_OF_A_WORLD;
    let sentences = sentences.map(std::sync::atomic::AtomicU64::into_inner);
    #[expect(clippy::print_stdout, reason = "`just torture` shows it")]
    {
        println!("{ran} random steps in {worlds} worlds, every invariant after each");
        println!("sentences told, passed on, carried out early and late: {sentences:?}");
    }
    assert!(ran >= steps);
    assert!(
        steps < 1_000_000 || sentences.iter().all(|many| *many > 0),
        "every way out of a sentence was tried: {sentences:?}"
    );
}
