//! The clairvoyant bound: more smooth viewer-minutes than this no schedule reaches, though it knows the whole evening.
//!
//! # What it is a bound of
//!
//! A schedule chooses what a gate can choose: who is let in, when (as long as he would wait, refusals and attempts
//! included), and in which of the forms that he puts up with. It keeps the promise: at no time do jobs run that take
//! more seats than the GPU carries, so that nobody who was let in stands still. The rest is Jellyfin's: a job
//! runs from its start until the film is encoded or the viewer goes, and all jobs share the whole speed of the GPU.
//!
//! # What is relaxed
//!
//! Let a play of seats `c` be served from `S`, and its job run until `F`. While it runs it gets at least `c` (all run at
//! one speed, and that is at least real time), so that it takes `c (F - S)` at least, and if `F` comes before the viewer
//! goes, all of the film. Above that the bound lets the GPU's spare speed go to whom it likes when it likes, and serves
//! plays in part. Two things are scarce on a GPU of capacity `C`: work, of which there is `C` at each time, and room,
//! of which there is the largest sum of seats of wanted plays that `C` holds (four films of 3.9 seats fit in 18, and
//! room for a fifth is not there because 2.4 are left).
//!
//! Where a viewer seeks, FFmpeg rests far ahead (throttling), or a GPU becomes slower, even less is asked: each minute
//! of film that is watched is work of its own, to be done between the wish and the moment the picture needs it (not further
//! ahead than the throttle allows), cut and moved at will.
//!
//! # How it is bounded
//!
//! Put a price `p(t) >= 0` on work and `q(t) >= 0` on room at each time. Whatever schedule is feasible,
//!
//! ```text
//! minutes served <= Σ_t p(t) work(t) + q(t) room(t) + Σ_plays max(0, minutes - least cost)
//! ```
//!
//! because what the served plays pay is at most what everything that is there costs. This holds for *every* choice of
//! prices, so that no error of the search for good ones can make the bound too low. The search is a subgradient
//! descent: where more is wanted than there is, the price rises.
//!
//! Where the line out of the house is thin, the viewers outside are bounded twice: by the GPUs as all others, and by
//! the line as if it were a GPU whose seats are Mbit/s, of which each play takes those of its least form while the
//! picture moves. The lower of the two sums counts.
//!
//! Who can't be served by any schedule pays a price above his worth, and adds nothing.

mod price;

use super::{
    plan::{Act, Evening, Play, Viewer},
    units::{Ms, seconds},
};
use crate::admission::{CostModel, Kind};

use self::price::{Market, priced};

/// Length of a slot, minutes.
const SLOT: f64 = 1.0;
/// What a player needs for the first picture: it shows with three seconds in hand.
const SLACK: Ms = 10_000;

/// One play as the bound sees it.
#[derive(Clone, Debug)]
struct Wanted {
    gpu: usize,
    /// Smooth minutes it would give.
    minutes: f64,
    seats: f64,
    needs: Needs,
}

/// When the work of a play must be done.
#[derive(Clone, Debug)]
enum Needs {
    /// A job that runs from its start on, and one more from each change on.
    Jobs(Vec<Job>),
    /// Pieces, each in a slot of its own choice.
    Pieces(Vec<Piece>),
}

/// FFmpeg from one start on. Minutes of the evening.
#[derive(Clone, Copy, Debug)]
struct Job {
    /// It starts at the earliest.
    first: f64,
    /// It starts at the latest.
    last: f64,
    /// The viewer goes, or changes, this long after the start.
    stay: f64,
    /// Length of the film from there on.
    film: f64,
}

/// Work that must be done in a slot from `from` to `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    from: usize,
    to: usize,
    /// Minutes of film.
    film: f64,
}

/// Smooth viewer-minutes that no schedule exceeds.
pub(super) fn bound(evening: &Evening) -> f64 {
    let whole = on_gpus(evening, |_| true);
    match evening.uplink {
        Some(carries) => {
            let inside = on_gpus(evening, |viewer| !viewer.outside);
            whole.min(inside + on_line(evening, megabits(carries)))
        }
        None => whole,
    }
}

/// What the line lets through of the plays outside, whatever the GPUs do.
fn on_line(evening: &Evening, carries: f64) -> f64 {
    let outside = evening.viewers.iter().filter(|viewer| viewer.outside);
    let wanted: Vec<Wanted> = outside.flat_map(of_line).collect();
    let slots = wanted.iter().map(Wanted::slots).max().unwrap_or(0);
    let wanted: Vec<&Wanted> = wanted.iter().collect();
    priced(&Market::new(&wanted, vec![carries; slots]))
}

#[expect(clippy::cast_precision_loss, reason = "a bit rate")]
fn megabits(rate: u64) -> f64 {
    rate as f64 / 1e6
}

/// What these viewers can be served by the GPUs, whatever the line does.
fn on_gpus(evening: &Evening, whose: impl Fn(&Viewer) -> bool) -> f64 {
    let wanted: Vec<Wanted> = evening
        .viewers
        .iter()
        .filter(|viewer| whose(viewer))
        .flat_map(|viewer| wishes(evening, viewer))
        .collect();
    let slots = wanted.iter().map(Wanted::slots).max().unwrap_or(0);
    let gpus = evening.gpus.iter().enumerate();
    gpus.map(|(index, gpu)| {
        let of_gpu: Vec<&Wanted> = wanted.iter().filter(|w| w.gpu == index).collect();
        let work = capacity(gpu.seats, &gpu.changes, slots);
        priced(&Market::new(&of_gpu, work))
    })
    .sum()
}

/// Seats of each slot.
fn capacity(seats: f64, changes: &[(Ms, f64)], slots: usize) -> Vec<f64> {
    let mut changes = changes.to_vec();
    changes.sort_by_key(|(at, _)| *at);
    let mut start = 0.0;
    (0..slots)
        .map(|_| {
            let end = start + SLOT;
            let (mut sum, mut at, mut now) = (0.0, start, seats);
            for (when, seats) in &changes {
                let when = minutes(*when).clamp(start, end);
                sum += now * (when - at);
                at = when;
                now = *seats;
            }
            sum += now * (end - at);
            start = end;
            sum / SLOT
        })
        .collect()
}

fn minutes(time: Ms) -> f64 {
    seconds(time) / 60.0
}

impl Wanted {
    fn slots(&self) -> usize {
        1 + match &self.needs {
            Needs::Jobs(jobs) => {
                let ends = jobs.iter().map(|job| slot(job.last + job.stay) + 1);
                ends.max().unwrap_or(0)
            }
            Needs::Pieces(pieces) => pieces.iter().map(|p| p.to).max().unwrap_or(0),
        }
    }
}

/// The slot that a time is in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped just before"
)]
fn slot(time: f64) -> usize {
    (time / SLOT).floor().clamp(0.0, 1e6) as usize
}

/// What a viewer wants of the GPUs.
fn wishes(evening: &Evening, viewer: &Viewer) -> Vec<Wanted> {
    let gpu = evening
        .servers
        .get(viewer.server)
        .map_or(0, |(_, gpu)| *gpu);
    let plan = evening.gpus.get(gpu);
    let cost = CostModel {
        tone_map: plan.map_or(0.25, |gpu| gpu.tone_map),
        ..CostModel::default()
    };
    let throttle = plan.and_then(|gpu| gpu.throttle);
    let steady = throttle.is_none() && plan.is_none_or(|gpu| gpu.changes.is_empty());
    let times = times(viewer);
    let mut wanted = Vec::new();
    for (play, (first, last)) in viewer.plays.iter().zip(times) {
        if play.counted {
            let seeks = play.acts.iter().any(|(_, act)| matches!(act, Act::Seek(_)));
            let needs = if steady && !seeks {
                Needs::Jobs(jobs(play, first, last))
            } else {
                Needs::Pieces(pieces(play, first, last + SLACK, throttle))
            };
            wanted.push(Wanted {
                gpu,
                minutes: minutes(play.wanted()),
                seats: cheapest(play, &cost),
                needs,
            });
        }
    }
    wanted
}

/// The jobs of a play without seeks: what was encoded before a change is of no use after it.
fn jobs(play: &Play, first: Ms, last: Ms) -> Vec<Job> {
    let changes = play.acts.iter().filter(|(_, act)| *act == Act::Change);
    let starts = std::iter::once(0).chain(changes.clone().map(|(when, _)| *when));
    let ends = changes.map(|(when, _)| *when).chain([play.stay]);
    let jobs = starts.zip(ends).map(|(start, end)| {
        let seen = play.watched.iter();
        let seen = seen.map(|(from, to)| (*to).min(start).saturating_sub(*from));
        // The viewer's time runs from the first picture on.
        let late = if start > 0 { start + SLACK } else { 0 };
        Job {
            first: minutes(first + start),
            last: minutes(last + late),
            stay: minutes(end - start),
            film: minutes(play.lasts.saturating_sub(seen.sum())),
        }
    });
    jobs.collect()
}

/// When each play of a viewer begins at the earliest and at the latest.
fn times(viewer: &Viewer) -> Vec<(Ms, Ms)> {
    // Nobody is held longer than the client's patience each time he asks, then he waits until he asks again.
    let tries = Ms::try_from(viewer.retries.len()).unwrap_or(0) + 1;
    let waits = viewer.patience * tries + viewer.retries.iter().sum::<Ms>();
    let (mut first, mut last) = (viewer.arrives, viewer.arrives);
    let times = viewer.plays.iter().map(|play| {
        first += play.after;
        last += play.after + waits;
        let time = (first, last);
        first += play.stay;
        last += play.stay + SLACK;
        time
    });
    times.collect()
}

/// What a viewer outside wants of the line.
fn of_line(viewer: &Viewer) -> Vec<Wanted> {
    let plays = viewer.plays.iter().zip(times(viewer));
    let wanted = plays.filter(|(play, _)| play.counted).map(|(play, time)| {
        let rates = play.forms().map(|form| form.rate);
        Wanted {
            gpu: 0,
            minutes: minutes(play.wanted()),
            seats: megabits(rates.min().unwrap_or(0)),
            // Nothing is sent long before it is watched.
            needs: Needs::Pieces(pieces(play, time.0, time.1 + SLACK, Some(0))),
        }
    });
    wanted.collect()
}

fn cheapest(play: &Play, cost: &CostModel) -> f64 {
    let seats = play.forms().map(|form| match form.kind {
        Kind::Video(work) => cost.seats(&work).as_f64(),
        Kind::Direct | Kind::Remux | Kind::Audio => 0.0,
    });
    seats.fold(f64::INFINITY, f64::min)
}

fn pieces(play: &Play, first: Ms, last: Ms, throttle: Option<Ms>) -> Vec<Piece> {
    const PIECE: Ms = 60_000;
    let mut pieces = Vec::new();
    // What was encoded is there for who seeks back to it: each stretch of the film is work once.
    let mut seen: Vec<(Ms, Ms)> = Vec::new();
    let (mut position, mut over, mut watched) = (0, 0, 0);
    // What is watched after a change is encoded after it.
    let mut changed = 0;
    for (from, to) in &play.watched {
        let jumps = play.acts.iter().filter_map(|(when, act)| match act {
            Act::Seek(target) if (over..=*from).contains(when) => Some(*target),
            Act::Seek(_) | Act::Pause | Act::Resume | Act::Change => None,
        });
        position = jumps.fold(position, |_, target| target);
        // Each stretch ends where something is changed, so that there is one change before the next at most.
        let changes =
            |(when, act): &&(Ms, Act)| *act == Act::Change && (over..=*from).contains(when);
        if let Some((when, _)) = play.acts.iter().find(changes) {
            changed = *when;
            seen.clear();
        }
        let mut at = *from;
        while at < *to {
            let end = (at + PIECE).min(*to);
            // FFmpeg runs on while the viewer has paused, until it is as far ahead as the throttle lets it.
            let ahead = throttle.map_or(at, |throttle| (throttle + (at - watched)).min(at));
            pieces.push(Piece {
                from: slot(minutes(first + (at - ahead).max(changed))),
                to: slot(minutes(last + end)),
                film: minutes(unseen(&seen, position, position + (end - at))),
            });
            seen.push((position, position + (end - at)));
            position += end - at;
            watched += end - at;
            at = end;
        }
        over = *to;
    }
    pieces
}

/// How much of a stretch is in none of those before it.
fn unseen(seen: &[(Ms, Ms)], from: Ms, to: Ms) -> Ms {
    let mut inside: Vec<(Ms, Ms)> = seen
        .iter()
        .map(|(a, b)| ((*a).max(from), (*b).min(to)))
        .filter(|(a, b)| a < b)
        .collect();
    inside.sort_unstable();
    let (mut left, mut reached) = (to - from, from);
    for (a, b) in inside {
        left -= b.saturating_sub(a.max(reached));
        reached = reached.max(b);
    }
    left
}

#[cfg(test)]
mod tests;
