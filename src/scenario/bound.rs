//! The clairvoyant bound: more smooth viewer-minutes than this no schedule reaches, though it knows the whole evening.
//!
//! # What is relaxed
//!
//! A schedule chooses which plays to serve; a play that is served is served to its end. Each minute of film that is
//! watched is work: its seats times its length, in the cheapest form that the viewer puts up with. That work can't be
//! done before the viewer may have asked (with a throttle: not further ahead than it allows), and must be done before
//! the picture needs it, if the viewer waited as long as he ever would, refusals and attempts included. All else is
//! given away: work may be cut and moved at will, a seek or an early stop wastes none, a play may be served in part,
//! a GPU needs no headroom, and times are rounded outwards to slots of half a minute.
//!
//! # How it is bounded
//!
//! Put a price `p(t) >= 0` on a seat at each time. A play costs at least the sum over its pieces of their work times the
//! lowest price between release and due time. Whatever schedule is feasible,
//!
//! ```text
//! minutes served <= Σ_t p(t) capacity(t) + Σ_plays max(0, minutes - cost)
//! ```
//!
//! because what the served plays pay for the work is at most what the whole capacity costs. This holds for *every*
//! choice of prices, so that no error of the search for good ones can make the bound too low. The search is a
//! subgradient descent: where more is wanted than there is, the price rises.
//!
//! Who can't be served by any schedule pays a price above his worth, and adds nothing.

use std::collections::VecDeque;

use super::{
    plan::{Evening, Play, Viewer},
    units::{Ms, seconds},
};
use crate::admission::{CostModel, Kind};

/// Length of a slot.
const SLOT: Ms = 30_000;
/// Steps of the search.
const STEPS: u32 = 500;
/// What a viewer may wait for his first picture beyond what he tolerates: it is noticed every five seconds.
const SLACK: Ms = 20_000;

/// One play as the bound sees it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) gpu: usize,
    pub(super) minutes: f64,
    pub(super) pieces: Vec<Piece>,
}

/// Work that must be done in a slot from `from` to `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Seats × minutes.
    pub(super) work: f64,
}

/// Smooth viewer-minutes that no schedule exceeds.
pub(super) fn bound(evening: &Evening) -> f64 {
    let wanted: Vec<Wanted> = evening
        .viewers
        .iter()
        .flat_map(|viewer| wishes(evening, viewer))
        .collect();
    let slots = wanted.iter().flat_map(|w| &w.pieces).map(|p| p.to + 1).max();
    let mut whole = 0.0;
    for (index, gpu) in evening.gpus.iter().enumerate() {
        let of_gpu: Vec<&Wanted> = wanted.iter().filter(|w| w.gpu == index).collect();
        let capacity = capacity(gpu.seats, &gpu.changes, slots.unwrap_or(0));
        whole += priced(&of_gpu, &capacity);
    }
    whole
}

/// Seat-minutes of each slot.
fn capacity(seats: f64, changes: &[(Ms, f64)], slots: usize) -> Vec<f64> {
    let mut changes = changes.to_vec();
    changes.sort_by_key(|(at, _)| *at);
    let mut time: Ms = 0;
    (0..slots)
        .map(|_| {
            let (start, end) = (time, time + SLOT);
            time = end;
            let mut sum = 0.0;
            let (mut at, mut now) = (start, seats);
            for (when, seats) in &changes {
                let when = (*when).clamp(start, end);
                sum += now * seconds(when - at) / 60.0;
                at = when;
                now = *seats;
            }
            sum + now * seconds(end - at) / 60.0
        })
        .collect()
}

/// What a viewer wants of the GPUs.
fn wishes(evening: &Evening, viewer: &Viewer) -> Vec<Wanted> {
    let gpu = evening.servers.get(viewer.server).map_or(0, |(_, gpu)| *gpu);
    let plan = evening.gpus.get(gpu);
    let cost = CostModel {
        tone_map: plan.map_or(0.25, |gpu| gpu.tone_map),
        ..CostModel::default()
    };
    let throttle = plan.and_then(|gpu| gpu.throttle);
    // Nobody is held longer than the client's patience each time he asks, then he waits until he asks again.
    let tries = Ms::try_from(viewer.retries.len()).unwrap_or(0) + 1;
    let waits = viewer.patience * tries + viewer.retries.iter().sum::<Ms>();
    let (mut first, mut last) = (viewer.arrives, viewer.arrives);
    let mut wanted = Vec::new();
    for play in &viewer.plays {
        first += play.after;
        last += play.after + waits + viewer.tolerates + SLACK;
        if play.encodes() {
            let seats = cheapest(play, &cost);
            wanted.push(Wanted {
                gpu,
                minutes: seconds(play.wanted()) / 60.0,
                pieces: pieces(play, first, last, seats, throttle),
            });
        }
        first += play.stay;
        last += play.stay;
    }
    wanted
}

fn cheapest(play: &Play, cost: &CostModel) -> f64 {
    let seats = play.forms.iter().map(|form| match form.kind {
        Kind::Video(work) => cost.seats(&work).as_f64(),
        Kind::Direct | Kind::Remux | Kind::Audio => 0.0,
    });
    seats.fold(f64::INFINITY, f64::min)
}

fn pieces(play: &Play, first: Ms, last: Ms, seats: f64, throttle: Option<Ms>) -> Vec<Piece> {
    let slot = |time: Ms| usize::try_from(time / SLOT).unwrap_or(usize::MAX);
    let mut pieces = Vec::new();
    for (from, to) in &play.watched {
        let mut at = *from;
        while at < *to {
            let end = (at + SLOT).min(*to);
            let ahead = throttle.map_or(at, |throttle| throttle.min(at));
            pieces.push(Piece {
                from: slot(first + at - ahead),
                to: slot(last + end),
                work: seats * seconds(end - at) / 60.0,
            });
            at = end;
        }
    }
    pieces
}

/// The best bound that the search finds on one GPU.
pub(super) fn priced(wanted: &[&Wanted], capacity: &[f64]) -> f64 {
    let all: f64 = wanted.iter().map(|w| w.minutes).sum();
    let mut prices = vec![0.0; capacity.len()];
    let mut drift = vec![0.0; capacity.len()];
    let mut best = all;
    let mut kept = prices.clone();
    // The search aims a little below the best bound known; where that is too low, it aims higher.
    let mut aim = 0.2 * all;
    let mut fruitless = 0;
    for _ in 0..STEPS {
        let mut spare = capacity.to_vec();
        let value = value(wanted, capacity, &prices, &mut spare);
        if value < best - 1e-9 * all {
            best = value;
            kept.clone_from(&prices);
            fruitless = 0;
        } else {
            fruitless += 1;
            if fruitless >= 15 {
                fruitless = 0;
                aim *= 0.6;
                prices.clone_from(&kept);
                drift.fill(0.0);
                continue;
            }
        }
        // A price that is zero can't fall.
        for ((drift, spare), price) in drift.iter_mut().zip(&spare).zip(&prices) {
            *drift = 0.5 * *drift + spare;
            if *price <= 0.0 && *drift > 0.0 {
                *drift = 0.0;
            }
        }
        let square: f64 = drift.iter().map(|d| d * d).sum();
        if square <= 1e-12 {
            break;
        }
        let step = (value - best + aim) / square;
        for (price, drift) in prices.iter_mut().zip(&drift) {
            *price = (*price - step * drift).max(0.0);
        }
    }
    best
}

/// The bound under these prices; takes what is bought off `spare`.
fn value(wanted: &[&Wanted], capacity: &[f64], prices: &[f64], spare: &mut [f64]) -> f64 {
    let mut value: f64 = prices.iter().zip(capacity).map(|(p, c)| p * c).sum();
    let mut bought: Vec<(usize, f64)> = Vec::new();
    for one in wanted {
        bought.clear();
        let mut cost = 0.0;
        // Slots from the cheapest to the latest, as in every sliding minimum. Among equals the latest counts.
        let mut window: VecDeque<usize> = VecDeque::new();
        let mut next = 0;
        for piece in &one.pieces {
            next = next.max(piece.from);
            while next <= piece.to {
                let price = prices.get(next).copied().unwrap_or(0.0);
                while window
                    .back()
                    .is_some_and(|last| prices.get(*last).is_some_and(|p| *p >= price))
                {
                    window.pop_back();
                }
                window.push_back(next);
                next += 1;
            }
            while window.front().is_some_and(|first| *first < piece.from) {
                window.pop_front();
            }
            if let Some(slot) = window.front() {
                cost += piece.work * prices.get(*slot).copied().unwrap_or(0.0);
                bought.push((*slot, piece.work));
            }
        }
        if one.minutes > cost {
            value += one.minutes - cost;
            for (slot, work) in &bought {
                if let Some(spare) = spare.get_mut(*slot) {
                    *spare -= work;
                }
            }
        }
    }
    value
}
