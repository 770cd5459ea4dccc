//! What a decision and a touch cost, small and at full size: `cargo bench --bench decide`.
//!
//! The bars: a decision at most 20 µs and a touch at most 1 µs with 10,000 leases and 1,000 waiters, and no growth
//! beyond O(log n) from a tenth of that.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by panicking"
)]
#![expect(clippy::print_stdout, reason = "it prints its result")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use finweir::{
    admission::{
        Activity, Admission, Bitrate, Codec, Decision, Demand, Hdr, Kind, Mode, Origin, Policy,
        Rung, Seats, Who, Work,
    },
    ident::{GpuId, ItemId, NodeId, PlaySessionId, UserId},
};

const WORK: Work = Work {
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
const ROUNDS: u32 = 20_000;

fn demand(n: u32, patience: u64) -> Demand {
    Demand {
        who: Who {
            user: UserId::new(format!("{n:032x}")),
            name: Some(Arc::from(format!("user{n}"))),
            admin: false,
            device: format!("device{n}").as_str().into(),
            client: Arc::from("Jellyfin Web"),
            address: None,
        },
        item: ItemId::new(format!("{:032x}", n % 5000)),
        session: None,
        node: NodeId::new("node"),
        kind: Kind::Video(WORK),
        origin: Origin::Negotiation,
        library: None,
        rate: Bitrate::new(6_000_000),
        rungs: Vec::new(),
        would: None,
        patience: Duration::from_secs(patience),
        replaces: false,
        why: None,
    }
}

fn world(now: Instant, leases: u32, waiters: u32) -> (Admission, Vec<PlaySessionId>) {
    let capacity = Seats::from_milli(leases * 1000);
    let mut policy = Policy::observe(NodeId::new("node"), GpuId::new("gpu"), capacity);
    policy.mode = Mode::Enforce;
    policy.queue.length = waiters + 10;
    policy.queue.max_wait = Duration::from_secs(3600);
    let mut core = Admission::new(now, Arc::new(policy));
    let mut sessions = Vec::new();
    for n in 0..leases {
        let Decision::Admit { lease, .. } = core.decide(now, demand(n, 0)) else {
            panic!("there is room");
        };
        let session = PlaySessionId::new(format!("{n:032x}"));
        core.bind(now, lease, &session);
        core.touch(now, &session, Activity::Segment { index: 0 });
        sessions.push(session);
    }
    for n in 0..waiters {
        let decision = core.decide(now, demand(leases + n, 3600));
        assert!(matches!(decision, Decision::Queue { .. }));
    }
    core.drain_events();
    (core, sessions)
}

fn nanos(rounds: u32, mut one: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    for n in 0..rounds {
        one(n);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

fn main() {
    println!(
        "{:>7} {:>7} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "leases", "waiters", "reject ns", "ladder ns", "queue ns", "hand over ns", "touch ns"
    );
    for (leases, waiters) in [(1000, 100), (10_000, 1000)] {
        let now = Instant::now();
        let (mut core, sessions) = world(now, leases, waiters);
        let pick = |n: u32| &sessions[usize::try_from(n.wrapping_mul(7919) % leases).unwrap()];
        let asks: Vec<Demand> = (0..ROUNDS).map(|n| demand(1_000_000 + n, 0)).collect();
        let mut asks = asks.into_iter();
        let reject = nanos(ROUNDS, |_| {
            drop(black_box(core.decide(now, asks.next().unwrap())));
            core.drain_events();
        });
        // Four smaller forms are judged as well, and none fits.
        let rung = |index| Rung {
            kind: Kind::Video(Work {
                size_out: (1280 - 8 * u32::try_from(index).unwrap(), 720),
                ..WORK
            }),
            rate: Bitrate::new(3_000_000),
            index,
        };
        let asks: Vec<Demand> = (0..ROUNDS)
            .map(|n| Demand {
                rungs: (0..4).map(rung).collect(),
                ..demand(4_000_000 + n, 0)
            })
            .collect();
        let mut asks = asks.into_iter();
        let ladder = nanos(ROUNDS, |_| {
            drop(black_box(core.decide(now, asks.next().unwrap())));
            core.drain_events();
        });
        // A demand that queues, and its client that leaves: two operations.
        let waits: Vec<Demand> = (0..ROUNDS).map(|n| demand(2_000_000 + n, 60)).collect();
        let mut waits = waits.into_iter();
        let queue = nanos(ROUNDS, |_| {
            if let Decision::Queue { ticket, .. } = core.decide(now, waits.next().unwrap()) {
                core.withdraw(now, ticket);
            }
            core.drain_events();
        });
        // A seat that comes free and goes to the first in line; the next one takes its place at the end.
        let rounds = waiters / 2;
        let mut ids: Vec<_> = core
            .snapshot(now)
            .leases
            .into_iter()
            .map(|lease| lease.lease)
            .collect();
        let mut late: Vec<Demand> = (0..rounds).map(|n| demand(3_000_000 + n, 3600)).collect();
        let hand_over = nanos(rounds, |_| {
            core.release(now, ids.pop().unwrap(), finweir::admission::Ended::Revoked);
            drop(black_box(core.decide(now, late.pop().unwrap())));
            core.drain_events();
        });
        let touch = nanos(ROUNDS * 20, |n| {
            black_box(core.touch(now, pick(n), Activity::Segment { index: n.into() }));
        });
        println!(
            "{leases:>7} {waiters:>7} {reject:>12.0} {ladder:>12.0} {queue:>12.0} {hand_over:>12.0} {touch:>12.0}"
        );
    }
}
