//! What a decision and a touch cost, at full size and at a tenth of it: `cargo bench --bench decide`.
//!
//! The bars: a decision at most 20 µs and a touch at most 1 µs with 10,000 leases and 1,000 waiters, whatever rules are in
//! force, and no growth beyond O(log n) from a tenth of that. Each row is the best of several rounds, since other programs
//! only ever add to it. The exit code says whether every bar is met. Without `--bench` (as `cargo test` runs it) the houses are
//! small and nothing is judged.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark reports by panicking"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it prints its result"
)]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

mod house;

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use finweir::admission::{Activity, Bitrate, Decision, Ended};

use crate::house::{EVER, House, Rules, Size};

/// Nanoseconds that a decision may take.
const DECISION: f64 = 20_000.0;
/// Nanoseconds that a touch may take.
const TOUCH: f64 = 1_000.0;
/// How many times as much a decision may take among ten times as many. The logarithm is a third more; the rest is for
/// the processor's caches, which hold the small house and not the large one, and for a busy machine.
const GROWTH: f64 = 4.0;
/// Below this growth is not judged: a look-up or two, and how far away the memory is.
const TRIFLE: f64 = 1_000.0;

const ROUNDS: u32 = 15;

/// What one operation takes.
struct Row {
    rules: &'static str,
    what: &'static str,
    nanos: f64,
    /// `None`: it is no decision, and seldom.
    bar: Option<f64>,
}

/// The rows of one size.
struct Table {
    rows: Vec<Row>,
    rounds: u32,
    /// Operations in a round.
    each: u32,
    rules: &'static str,
}

impl Table {
    /// The best round of an operation that says itself how long it took.
    fn row(
        &mut self,
        what: &'static str,
        bar: Option<f64>,
        each: u32,
        mut one: impl FnMut() -> Duration,
    ) {
        let mut best = f64::INFINITY;
        for _ in 0..self.rounds {
            let took: Duration = (0..each).map(|_| one()).sum();
            best = best.min(took.as_secs_f64() * 1e9 / f64::from(each));
        }
        let rules = self.rules;
        self.rows.push(Row {
            rules,
            what,
            nanos: best,
            bar,
        });
    }

    fn decision(&mut self, what: &'static str, one: impl FnMut() -> Duration) {
        self.row(what, Some(DECISION), self.each, one);
    }

    fn seldom(&mut self, what: &'static str, one: impl FnMut() -> Duration) {
        self.row(what, None, 1, one);
    }
}

fn timed<T>(one: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let made = black_box(one());
    (made, start.elapsed())
}

/// What every house does.
fn usual(table: &mut Table, house: &mut House) {
    let now = house.now;
    table.decision("refused at once", || {
        let ask = house.guest(0);
        let refused = || {
            let decision = house.core.decide(now, ask);
            house.core.drain_events();
            decision
        };
        let (decision, took) = timed(refused);
        assert!(matches!(decision, Decision::Reject { .. }));
        took
    });
    table.decision("four rungs judged as well", || {
        let ask = house.with_rungs();
        let refused = || {
            let decision = house.core.decide(now, ask);
            house.core.drain_events();
            decision
        };
        let (decision, took) = timed(refused);
        assert!(matches!(decision, Decision::Reject { .. }));
        took
    });
    // A demand that queues, and its client that leaves: two operations.
    table.decision("queued, and withdrawn", || {
        let ask = house.guest(EVER.as_secs());
        let queued = || {
            let decision = house.core.decide(now, ask);
            if let Decision::Queue { ticket, .. } = decision {
                house.core.withdraw(now, ticket);
            }
            house.core.drain_events();
            decision
        };
        let (decision, took) = timed(queued);
        assert!(matches!(decision, Decision::Queue { .. }));
        took
    });
    table.decision("a stream ends, the next is granted", || {
        let lease = house.oldest();
        let ((), took) = timed(|| house.core.release(now, lease, Ended::Revoked));
        house.refill();
        took
    });
}

fn touches(table: &mut Table, house: &mut House) {
    let (now, most) = (house.now, house.sessions.len());
    let mut n: usize = 0;
    table.row("a segment is read", Some(TOUCH), table.each, || {
        let start = Instant::now();
        for index in 0..64 {
            n += 7919;
            let session = &house.sessions[n % most];
            black_box(house.core.touch(now, session, Activity::Segment { index }));
        }
        start.elapsed() / 64
    });
}

/// Somebody goes first, and has streams ended.
fn preempting(table: &mut Table, size: Size, rules: Rules) {
    let mut house = House::new(size, rules);
    let house = &mut house;
    let (mut told, mut ended, mut handed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..table.rounds * table.each / 8 {
        let ask = house.family(30_000);
        let (decision, took) = timed(|| house.core.decide(house.now, ask));
        assert!(matches!(decision, Decision::Queue { .. }));
        assert_eq!(house.told(), 1, "a stream is told");
        told.push(took);
        house.now += Duration::from_secs(5);
        ended.push(timed(|| house.core.advance(house.now)).1);
        house.now += Duration::from_secs(5);
        handed.push(timed(|| house.core.advance(house.now)).1);
        let lease = house.refill().unwrap();
        house.core.release(house.now, lease, Ended::Undelivered);
        house.refill();
        // Ends stay rare, so that the next wait looks vain too.
        house.now += Duration::from_secs(3600);
        house.core.advance(house.now);
    }
    for (what, took) in [
        ("a stream is told of its end", told),
        ("it is ended", ended),
        ("its seats are handed over", handed),
    ] {
        let mut took = took.into_iter();
        table.row(what, Some(DECISION), table.each / 8, || {
            took.next().unwrap()
        });
    }
    // The seats of eight are needed; then the one who asked has left.
    let each = table.each / 8;
    table.row(
        "eight streams are told of their end",
        Some(DECISION),
        each,
        || {
            let ask = house.family(240_000);
            let (decision, took) = timed(|| house.core.decide(house.now, ask));
            let Decision::Queue { ticket, .. } = decision else {
                panic!("it waits");
            };
            assert_eq!(house.told(), 8, "eight are told");
            house.core.withdraw(house.now, ticket);
            house.now += Duration::from_secs(5);
            house.core.advance(house.now);
            assert_eq!(house.told(), 0, "they play on");
            took
        },
    );
}

fn uplink(table: &mut Table, house: &mut House) {
    let now = house.now;
    let mut flow = 0;
    table.decision("what else flows is told", || {
        flow = 1 - flow;
        timed(|| house.core.set_flow(now, Bitrate::new(flow))).1
    });
    table.decision("may the file be sent as it is", || {
        let who = house.guest(0).who;
        timed(|| house.core.spares(&who, Bitrate::new(1_000_000))).1
    });
    table.decision("is it read by a counted viewer", || {
        let who = house.guest(0).who;
        timed(|| house.core.plays_directly(Some(&who.device), None)).1
    });
}

fn seldom(table: &mut Table, house: &mut House) {
    let mut completion = 0.1;
    table.seldom("Jellyfin is asked what runs", || {
        completion += 0.01;
        house.now += Duration::from_secs(5);
        let running = house.running(completion);
        let node = finweir::ident::NodeId::new("node");
        timed(|| house.core.reconcile(house.now, &node, &running)).1
    });
    house.core.drain_events();
    table.seldom("all is shown", || {
        timed(|| house.core.snapshot(house.now)).1
    });
    table.seldom("quotas are shown", || {
        timed(|| house.core.quotas(house.now)).1
    });
    table.seldom("what was used is kept", || {
        house.core.usage_is_unsaved();
        timed(|| house.core.changed_usage(house.now)).1
    });
    table.seldom("the date is told", || timed(|| house.tell_date(25)).1);
    let mut day = 0;
    table.seldom("another date begins", || {
        day += 1;
        timed(|| house.tell_date(day)).1
    });
}

fn measure(size: Size, rounds: u32, each: u32) -> Vec<Row> {
    let mut table = Table {
        rows: Vec::new(),
        rounds,
        each,
        rules: "",
    };
    let plain = Rules::default();
    let kinds = [
        ("seats alone", plain),
        (
            "preemption",
            Rules {
                preempt: true,
                ..plain
            },
        ),
        (
            "uplink",
            Rules {
                uplink: true,
                ..plain
            },
        ),
        (
            "quotas",
            Rules {
                quotas: true,
                ..plain
            },
        ),
        (
            "all three",
            Rules {
                preempt: true,
                uplink: true,
                quotas: true,
            },
        ),
    ];
    for (name, rules) in kinds {
        table.rules = name;
        let mut house = House::new(size, rules);
        usual(&mut table, &mut house);
        if rules.uplink {
            uplink(&mut table, &mut house);
        }
        touches(&mut table, &mut house);
        if rules.preempt && rules.quotas {
            seldom(&mut table, &mut house);
        }
        if rules.preempt && !rules.uplink {
            preempting(&mut table, size, rules);
        }
    }
    table.rows
}

/// What is wrong with a row, if anything.
fn judge(small: &Row, full: &Row) -> Option<String> {
    let bar = full.bar?;
    let (rules, what) = (full.rules, full.what);
    let growth = full.nanos / small.nanos;
    if full.nanos > bar {
        let (found, bar) = (full.nanos / 1000.0, bar / 1000.0);
        Some(format!(
            "{rules}, {what}: {found:.1} µs, and it may take {bar:.0} µs"
        ))
    } else if growth > GROWTH && full.nanos > TRIFLE {
        Some(format!(
            "{rules}, {what}: {growth:.1} times as long among ten times as many, and O(log n) bears {GROWTH:.0}"
        ))
    } else {
        None
    }
}

fn main() -> ExitCode {
    let judged = std::env::args().any(|word| word == "--bench");
    let (leases, waiters, rounds, each) = if judged {
        (10_000, 1000, ROUNDS, 1000)
    } else {
        (100, 20, 1, 16)
    };
    let full = Size { leases, waiters };
    let tenth = Size {
        leases: leases / 10,
        waiters: waiters / 10,
    };
    let small = measure(tenth, rounds, each);
    let full = measure(full, rounds, each);
    println!(
        "Nanoseconds for each operation, the best of {rounds} rounds: {leases} leases and {waiters} waiters, and a tenth\n"
    );
    println!("| rules | operation | a tenth | full size | growth |\n|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for (small, full) in small.iter().zip(&full) {
        let (rules, what) = (full.rules, full.what);
        let (least, most, growth) = (small.nanos, full.nanos, full.nanos / small.nanos);
        let seldom = if full.bar.is_some() { "" } else { " (seldom)" };
        println!("| {rules} | {what}{seldom} | {least:.0} | {most:.0} | {growth:.1} |");
        wrong.extend(judge(small, full));
    }
    if !judged || wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    for sentence in wrong {
        eprintln!("{sentence}.");
    }
    ExitCode::FAILURE
}
