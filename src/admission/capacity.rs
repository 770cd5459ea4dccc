//! What a GPU can bear now: the policy's number, lowered at once by a bad sample, raised slowly.
//!
//! The *limit* (what the ledger compares with) and the *limiter* (what moves it) are apart. A GPU that does not
//! learn keeps the policy's number. One that does starts there, and:
//! - a starving job lowers it at once, by an eighth at most every ten seconds;
//! - every half minute it goes one fiftieth of the policy's number towards its target: the lower quartile of
//!   recent throughput less the headroom, once there are enough readings, else the policy's number;
//! - it never leaves half to three times the policy's number, and readings older than an hour are forgotten, so
//!   that a GPU nobody watches returns to the policy's number.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Seats;

/// One reading of a GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Σ speed × seats over its unthrottled jobs: a direct reading of raw capacity, in seats.
    /// `None`: no unthrottled job ran.
    pub(super) throughput: Option<f64>,
    /// Jobs slower than real time whose viewers have less than 15 s in hand.
    pub(super) starving: u32,
}

/// Readings kept: at one every five seconds, the last five minutes of work.
const KEPT: usize = 64;
/// Readings without which the policy's number is never left upwards.
const ENOUGH: usize = 24;
const FRESH: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_secs(30);
const COOL_DOWN: Duration = Duration::from_secs(10);
/// Hundredths of raw throughput that may be handed out (the default headroom).
const USABLE: u64 = 85;

/// The limiter of one GPU.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    given: Seats,
    learn: bool,
    now: Seats,
    readings: VecDeque<(Instant, Seats)>,
    lowered: Option<Instant>,
    next_step: Option<Instant>,
}

impl Capacity {
    pub(super) fn new(given: Seats, learn: bool) -> Self {
        Self {
            given,
            learn,
            now: given,
            readings: VecDeque::new(),
            lowered: None,
            next_step: None,
        }
    }

    /// The policy's number.
    pub(super) fn given(&self) -> Seats {
        self.given
    }

    /// What may be handed out, before time windows.
    pub(super) fn now(&self) -> Seats {
        self.now
    }

    /// When [`Capacity::step`] next has work: never while nothing is to be moved.
    pub(super) fn next_step(&self) -> Option<Instant> {
        self.next_step
    }

    /// Takes over the policy's number. What was learned stays, within the new bounds.
    pub(super) fn set(&mut self, now: Instant, given: Seats, learn: bool) {
        if (given, learn) == (self.given, self.learn) {
            return;
        }
        self.given = given;
        self.learn = learn;
        if learn && !self.readings.is_empty() {
            self.now = self.clamped(self.now);
        } else {
            self.now = given;
            self.readings.clear();
        }
        self.schedule(now);
    }

    /// Takes in one reading.
    pub(super) fn sample(&mut self, now: Instant, sample: Sample) {
        if !self.learn {
            return;
        }
        if let Some(throughput) = sample.throughput.filter(|seats| *seats > 0.0) {
            if self.readings.len() == KEPT {
                self.readings.pop_front();
            }
            self.readings.push_back((now, Seats::from_f64(throughput)));
        }
        let cooled = self
            .lowered
            .is_none_or(|at| now.saturating_duration_since(at) >= COOL_DOWN);
        if sample.starving > 0 && cooled {
            let less = Seats::from_milli(self.now.milli() / 8);
            self.now = self.clamped(self.now.less(less));
            self.lowered = Some(now);
            self.next_step = None;
        }
        self.schedule(now);
    }

    /// Goes one step towards the target.
    pub(super) fn step(&mut self, now: Instant) {
        self.next_step = None;
        while self
            .readings
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > FRESH)
        {
            self.readings.pop_front();
        }
        let step = Seats::from_milli((self.given.milli() / 50).max(1));
        let target = self.target();
        self.now = if self.now < target {
            self.now.plus(step).min(target)
        } else {
            self.now.less(step).max(target)
        };
        self.schedule(now);
    }

    fn schedule(&mut self, now: Instant) {
        // Readings that will go stale need a step as well: they hold the target away from the given number.
        if self.learn && (self.now != self.target() || self.target() != self.given) {
            self.next_step.get_or_insert(now + STEP);
        } else {
            self.next_step = None;
        }
    }

    fn target(&self) -> Seats {
        if !self.learn || self.readings.len() < ENOUGH {
            return self.given;
        }
        let mut sorted: Vec<Seats> = self.readings.iter().map(|(_, seats)| *seats).collect();
        sorted.sort_unstable();
        let quartile = sorted.get(sorted.len() / 4).copied().unwrap_or(self.given);
        let usable = u64::from(quartile.milli()) * USABLE / 100;
        self.clamped(Seats::from_milli(u32::try_from(usable).unwrap_or(u32::MAX)))
    }

    fn clamped(&self, seats: Seats) -> Seats {
        let given = self.given.milli();
        seats.clamp(
            Seats::from_milli(given / 2),
            Seats::from_milli(given.saturating_mul(3)),
        )
    }
}
