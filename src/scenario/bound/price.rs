//! The search for prices under which the bound is low.

use std::collections::VecDeque;

use super::{Job, Needs, Piece, SLOT, Wanted, slot};

/// Look-ups that the search may take; more plays, fewer steps.
const EFFORT: f64 = 4e7;
/// How far a price goes in the first step, as a part of what a seat is worth.
const LEAP: f64 = 0.12;
/// Steps that the search takes at most.
const MOST_STEPS: f64 = 800.0;

/// Prices closer than this are equal.
const NEAR: f64 = 1e-9;

/// What is wanted, and what there is.
pub(super) struct Market<'a> {
    wanted: &'a [&'a Wanted],
    /// Seats of each slot.
    work: Vec<f64>,
    /// Of those, seats that plays can fill.
    room: Vec<f64>,
    most: f64,
}

/// Prices of a seat for the length of a slot.
struct Prices {
    work: Vec<f64>,
    room: Vec<f64>,
}

impl Prices {
    /// Whether of what is left of seats none is lacking.
    fn is_enough(&self) -> bool {
        self.work.iter().chain(&self.room).all(|left| *left >= 0.0)
    }
}

/// What one play takes in the cheapest way.
#[derive(Default)]
struct Bill {
    cost: f64,
    /// Runs from and to, minutes.
    runs: Option<(f64, f64)>,
    /// Slot, and minutes of film that are done there.
    extra: Vec<(usize, f64)>,
}

impl Bill {
    /// Takes what a play of so many seats buys off what there is.
    fn take(&self, seats: f64, spare: &mut Prices) {
        if let Some((from, to)) = self.runs {
            for at in slot(from)..=slot(to) {
                let (start, end) = (start_of(at), start_of(at + 1));
                let part = (to.min(end) - from.max(start)).max(0.0) / SLOT * seats;
                take(&mut spare.work, at, part);
                take(&mut spare.room, at, part);
            }
        }
        for (at, film) in &self.extra {
            take(&mut spare.work, *at, film / SLOT * seats);
        }
    }

    fn is_shorter(&self, start: f64, end: f64) -> bool {
        self.runs.is_none_or(|(from, to)| to - from < end - start)
    }
}

impl<'a> Market<'a> {
    pub(super) fn new(wanted: &'a [&'a Wanted], work: Vec<f64>) -> Self {
        let seats: Vec<f64> = wanted.iter().map(|w| w.seats).collect();
        let most = work.iter().copied().fold(0.0, f64::max);
        let steady = work.iter().all(|seats| (seats - most).abs() < 1e-9);
        let fits = if steady { filled(&seats, most) } else { most };
        let room = work.iter().map(|seats| seats.min(fits)).collect();
        Self {
            wanted,
            work,
            room,
            most,
        }
    }

    /// What there is while nothing is bought.
    fn there(&self) -> Prices {
        Prices {
            work: self.work.clone(),
            room: self.room.clone(),
        }
    }

    fn effort(&self) -> f64 {
        let of = |one: &&Wanted| match &one.needs {
            Needs::Jobs(jobs) => {
                let of = |job: &Job| (4.0 * (job.last - job.first) + 3.0) * (job.stay + 2.0);
                jobs.iter().map(of).sum::<f64>()
            }
            Needs::Pieces(pieces) => pieces.iter().map(|_| 4.0).sum(),
        };
        self.wanted.iter().map(of).sum::<f64>() + 1.0
    }
}

/// The largest sum of some of these that `most` holds; each may be taken any number of times.
fn filled(seats: &[f64], most: f64) -> f64 {
    // To the nearest: 1.001 is a little less than that in binary.
    let milli = |seats: f64| slot((seats * 1000.0 * SLOT).round());
    let whole = milli(most);
    let mut kinds: Vec<usize> = seats.iter().map(|s| milli(*s)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.retain(|kind| *kind > 0);
    if kinds.len() > 64 {
        return most;
    }
    let mut sums = vec![false; whole + 1];
    if let Some(none) = sums.first_mut() {
        *none = true;
    }
    for kind in kinds {
        for sum in kind..=whole {
            let below = sums.get(sum - kind).copied().unwrap_or(false);
            if let Some(here) = sums.get_mut(sum) {
                *here |= below;
            }
        }
    }
    let best = sums.iter().rposition(|reached| *reached).unwrap_or(0);
    // What is wider than the GPU may run alone.
    if best == 0 {
        return most;
    }
    #[expect(clippy::cast_precision_loss, reason = "thousandths of some seats")]
    let best = best as f64 / 1000.0;
    best.min(most)
}

/// The best bound that the search finds on one GPU.
pub(super) fn priced(market: &Market<'_>) -> f64 {
    let all: f64 = market.wanted.iter().map(|w| w.minutes).sum();
    let seats: f64 = market.wanted.iter().map(|w| w.minutes * w.seats).sum();
    let slots = market.work.len();
    let mut prices = Prices {
        work: vec![0.0; slots],
        room: vec![0.0; slots],
    };
    let (mut work, mut room) = (Pull::new(slots), Pull::new(slots));
    let mut best = all;
    if seats <= 0.0 {
        return best;
    }
    // If all that is wanted fits while nothing has a price, no other prices give less.
    let mut spare = market.there();
    best = best.min(market.value(&prices, &mut spare));
    if spare.is_enough() {
        return best;
    }
    // What a seat is worth on average: the scale of prices.
    let worth = all / seats;
    let steps = (EFFORT / market.effort()).clamp(60.0, MOST_STEPS);
    let mut step = 0.0;
    while step < steps {
        step += 1.0;
        let mut spare = market.there();
        best = best.min(market.value(&prices, &mut spare));
        let by = worth * LEAP * (1.0 - step / (steps + 1.0)).powi(2);
        work.lower(&mut prices.work, &spare.work, by);
        room.lower(&mut prices.room, &spare.room, by);
    }
    best
}

/// The direction in which prices go, and how much each was pulled so far (as in Adam).
struct Pull {
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Pull {
    fn new(slots: usize) -> Self {
        Self {
            mean: vec![0.0; slots],
            square: vec![0.0; slots],
        }
    }

    fn lower(&mut self, prices: &mut [f64], spare: &[f64], by: f64) {
        let pulls = self.mean.iter_mut().zip(&mut self.square);
        for (((mean, square), spare), price) in pulls.zip(spare).zip(prices) {
            *mean = 0.9 * *mean + 0.1 * spare;
            *square = 0.98 * *square + 0.02 * spare * spare;
            *price = (*price - by * *mean / (square.sqrt() + 1e-6)).max(0.0);
        }
    }
}

impl Market<'_> {
    /// The bound under these prices; takes what is bought off `spare`.
    fn value(&self, prices: &Prices, spare: &mut Prices) -> f64 {
        let sum = |prices: &[f64], there: &[f64]| -> f64 {
            prices
                .iter()
                .zip(there)
                .map(|(price, there)| price * there)
                .sum()
        };
        let mut value = sum(&prices.work, &self.work) + sum(&prices.room, &self.room);
        let paid = Paid::new(prices);
        let mut bills = Vec::new();
        for one in self.wanted {
            bills.clear();
            match &one.needs {
                Needs::Jobs(jobs) => bills.extend(jobs.iter().map(|job| {
                    let quickest = job.film * (one.seats / self.most).min(1.0);
                    paid.run((job.first, job.last), job.stay, job.film, quickest)
                })),
                Needs::Pieces(pieces) => bills.push(paid.pieces(pieces)),
            }
            let cost = bills.iter().map(|bill| bill.cost).sum::<f64>() * one.seats;
            if one.minutes <= cost {
                continue;
            }
            value += one.minutes - cost;
            for bill in &bills {
                bill.take(one.seats, spare);
            }
        }
        value
    }
}

fn take(spare: &mut [f64], at: usize, seats: f64) {
    if let Some(spare) = spare.get_mut(at) {
        *spare -= seats;
    }
}

#[expect(clippy::cast_precision_loss, reason = "slots of an evening")]
fn start_of(slot: usize) -> f64 {
    slot as f64 * SLOT
}

/// How long a job runs: until the viewer goes or the film is done, which takes `quickest` if nothing else runs.
struct Stretch {
    stay: f64,
    film: f64,
    quickest: f64,
}

/// Prices of one slot.
#[derive(Clone, Copy, Default)]
struct OfSlot {
    work: f64,
    /// Of work and room.
    both: f64,
    /// The sum of both in all slots before.
    before: f64,
}

/// Prices, with their sums up to each slot.
struct Paid {
    slots: Vec<OfSlot>,
    sum: f64,
}

impl Paid {
    fn new(prices: &Prices) -> Self {
        let mut slots = Vec::with_capacity(prices.work.len());
        let mut before = 0.0;
        for (work, room) in prices.work.iter().zip(&prices.room) {
            let (work, both) = (*work, work + room);
            slots.push(OfSlot { work, both, before });
            before += both;
        }
        Self { slots, sum: before }
    }

    /// What is after the last costs nothing.
    fn slot(&self, at: usize) -> OfSlot {
        self.slots.get(at).copied().unwrap_or(OfSlot {
            before: self.sum,
            ..OfSlot::default()
        })
    }

    fn price(&self, at: usize) -> f64 {
        self.slot(at).work
    }

    /// What running from the beginning until `time` would cost.
    fn until(&self, time: f64) -> f64 {
        let at = slot(time);
        let here = self.slot(at);
        here.before + here.both * (time - start_of(at)) / SLOT
    }

    /// The cheapest way to run. Linear in start and end within each pair of slots, so that it is enough to look at
    /// the corners: start or end on the edge of a slot, start first or last, or the viewer going.
    fn run(&self, (first, last): (f64, f64), stay: f64, film: f64, quickest: f64) -> Bill {
        let run = Stretch {
            stay,
            film,
            quickest,
        };
        let mut bill = Bill {
            cost: f64::INFINITY,
            ..Bill::default()
        };
        let (from, to) = (slot(first), slot(last));
        self.run_from(first, from, &run, &mut bill);
        if last > first {
            self.run_from(last, to, &run, &mut bill);
        }
        for at in from + 1..=to {
            // The slot that it leaves counts as touched.
            self.run_from(start_of(at), at - 1, &run, &mut bill);
        }
        for length in [stay, film.min(stay), quickest.min(stay)] {
            for at in slot(first + length) + 1..=slot(last + length) {
                let start = start_of(at) - length;
                if start > first && start < last {
                    self.run_from(start, slot(start), &run, &mut bill);
                }
            }
        }
        bill
    }

    /// From this start, until each time that comes into question.
    fn run_from(&self, start: f64, touched: usize, run: &Stretch, bill: &mut Bill) {
        let Stretch {
            stay,
            film,
            quickest,
        } = *run;
        let before = self.until(start);
        // A job is never slower than real time.
        let limit = start + stay.min(film);
        let soonest = (start + quickest).min(limit);
        let mut cheapest = (touched, self.price(touched));
        let mut at = touched;
        loop {
            let (from, to) = (start_of(at), start_of(at + 1));
            let here = self.slot(at);
            if here.work < cheapest.1 {
                cheapest = (at, here.work);
            }
            // The end of the job in this slot: as it enters, or as it leaves.
            let mut end = from.max(soonest);
            let last = to.min(limit);
            while end <= last {
                let ran = here.before + here.both * (end - from) / SLOT - before;
                if ran > bill.cost + NEAR {
                    return;
                }
                let left = if end >= start + stay {
                    0.0
                } else {
                    (film - (end - start)).max(0.0)
                };
                let cost = ran + left / SLOT * cheapest.1;
                // Among equals the longest run counts: it takes the least at each time.
                if cost < bill.cost - NEAR
                    || cost <= bill.cost + NEAR && bill.is_shorter(start, end)
                {
                    bill.cost = cost.min(bill.cost);
                    bill.runs = Some((start, end));
                    bill.extra.clear();
                    if left > 0.0 {
                        bill.extra.push((cheapest.0, left));
                    }
                }
                if end >= last {
                    break;
                }
                end = last;
            }
            at += 1;
            if to > limit {
                return;
            }
        }
    }

    /// The cheapest slot for each piece. Among equals the latest counts.
    fn pieces(&self, pieces: &[Piece]) -> Bill {
        let mut bill = Bill::default();
        // Slots from the cheapest to the latest, as in every sliding minimum.
        let mut window: VecDeque<usize> = VecDeque::new();
        let mut next = 0;
        for piece in pieces {
            next = next.max(piece.from);
            while next <= piece.to {
                let price = self.price(next);
                while window.back().is_some_and(|last| self.price(*last) >= price) {
                    window.pop_back();
                }
                window.push_back(next);
                next += 1;
            }
            while window.front().is_some_and(|first| *first < piece.from) {
                window.pop_front();
            }
            if let Some(slot) = window.front() {
                bill.cost += piece.film / SLOT * self.price(*slot);
                bill.extra.push((*slot, piece.film));
            }
        }
        bill
    }
}
