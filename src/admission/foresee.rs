//! When seats come free, as far as can be told.
//!
//! Two things are known. *Ends*: FFmpeg of a viewer who left goes within seconds, and a job that two polls have
//! timed ends when it has encoded what is left of the film. *Habit*: how often leases give their seats back, for
//! each job and second, whatever the reason: viewers stop long before the end, or pause, or zap. It is counted over
//! all jobs that ran, not over those that ended, so that long ones are not forgotten; the older half fades.
//!
//! From both follows how long it takes until so many seats are free: at each moment what has ended by then, and of
//! the rest its part by habit. That is an expectation, for people and for `Retry-After`. To tell somebody at once
//! that he won't be served, the habit is taken two endings better than it was seen, and the wait must be
//! [`VAIN`] times too long: less than one in ten such demands would have been served after all. To let somebody
//! pass, only ends count (`backfill`).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Admission, LeaseState, Reason, Seats,
    lease::Lease,
    queue::{Lane, Line, Place},
    rules::Asked,
};
use crate::ident::LeaseId;

/// How many times his patience somebody's wait must be expected to last to be called vain.
const VAIN: u32 = 10;
/// Ends looked at: more come too late for anybody.
const LOOKED_AT: usize = 64;
/// Endings after which the older half of the habit fades.
const REMEMBERED: u64 = 64;
/// Job-seconds without which there is no habit.
const LITTLE: f64 = 60.0;
const LONGEST: f64 = 24.0 * 3600.0;

/// Known ends of each GPU, and the habit.
#[derive(Debug, Default, Clone)]
pub(super) struct Foresight {
    ends: Vec<BTreeSet<(Instant, LeaseId)>>,
    counted_to: Option<Instant>,
    /// Nanoseconds that jobs have run.
    ran: u128,
    endings: u64,
}

impl Foresight {
    pub(super) fn new(gpus: usize) -> Self {
        Self {
            ends: vec![BTreeSet::new(); gpus],
            ..Self::default()
        }
    }

    /// After a new policy: no ends are known on its GPUs; the habit stays.
    pub(super) fn clear(&mut self, gpus: usize) {
        self.ends = vec![BTreeSet::new(); gpus];
    }

    /// So many jobs have run since the last call.
    pub(super) fn run(&mut self, now: Instant, jobs: u32) {
        if let Some(since) = self.counted_to {
            let ran = now.saturating_duration_since(since).as_nanos();
            self.ran = self.ran.saturating_add(ran * u128::from(jobs));
        }
        self.counted_to = self.counted_to.max(Some(now));
    }

    /// A job has given its seats back.
    pub(super) fn note_end(&mut self) {
        self.endings += 1;
        if self.endings >= REMEMBERED {
            self.endings /= 2;
            self.ran /= 2;
        }
    }

    /// Endings for each job and second, as if `more` had been seen.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    fn rate(&self, more: u64) -> Option<f64> {
        let ran = self.ran as f64 / 1e9;
        (ran >= LITTLE).then(|| (self.endings + more) as f64 / ran)
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> impl Iterator<Item = (usize, Instant, LeaseId)> {
        let gpus = self.ends.iter().enumerate();
        gpus.flat_map(|(gpu, ends)| ends.iter().map(move |(at, id)| (gpu, *at, *id)))
    }
}

impl Admission {
    /// Finds anew when a lease gives its seats back. Who waits may pass or must wait because of it.
    pub(super) fn foresee(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let end = lease.known_end();
        let old = std::mem::replace(&mut lease.frees, end);
        if old == end {
            return;
        }
        let user = lease.asked.account.user.clone();
        self.forget_end(id, old);
        if let Some((gpu, at)) = end
            && let Some(ends) = self.foresight.ends.get_mut(gpu)
        {
            ends.insert((at, id));
        }
        if self.queue.len() > 0 {
            self.ledger.mark(user);
        }
    }

    pub(super) fn forget_end(&mut self, id: LeaseId, end: Option<(usize, Instant)>) {
        if let Some((gpu, at)) = end
            && let Some(ends) = self.foresight.ends.get_mut(gpu)
        {
            ends.remove(&(at, id));
        }
    }

    /// The known ends on a GPU, each with the seats that come free.
    pub(super) fn ends(&self, gpu: usize) -> impl Iterator<Item = (Instant, LeaseId, Seats)> {
        let ends = self.foresight.ends.get(gpu).into_iter().flatten();
        ends.take(LOOKED_AT).filter_map(|(at, id)| {
            let lease = self.leases.get(id)?;
            Some((*at, *id, lease.held.seats))
        })
    }

    /// How long a demand in this line is expected to wait, if that can be told.
    pub(super) fn expected(
        &self,
        now: Instant,
        asked: &Asked,
        line: &Line,
        place: Place,
    ) -> Option<Duration> {
        if self.paused {
            return None;
        }
        let rate = self.foresight.rate(1);
        let count = |jobs: u32| {
            let ahead = self.queue.ahead(line, place);
            let each = rate? * f64::from(jobs);
            (each > 0.0).then(|| span(f64::from(ahead + 1) / each))
        };
        match line {
            Line::Gpu(lane) => self.until_free(now, lane.gpu, self.short(*lane, place), rate),
            Line::Class(class) => count(self.ledger.class(*class).transcodes),
            Line::Library(rule) => count(self.ledger.library(*rule).transcodes),
            Line::Server => count(self.ledger.all().transcodes),
            // Films are long, and their ends are not known.
            Line::Uplink => None,
            Line::User(_) => count(self.ledger.user(&asked.account.user).transcodes),
        }
    }

    /// Whether it is as good as certain that a demand, which is expected to wait so long, won't be served in this time.
    pub(super) fn is_vain(
        &self,
        now: Instant,
        (line, place): (&Line, Place),
        reason: Reason,
        expected: Option<Duration>,
        wait: Duration,
    ) -> bool {
        let (Line::Gpu(lane), Reason::GpuFull) = (line, reason) else {
            return false;
        };
        let vain = wait.saturating_mul(VAIN);
        // The habit at its best is still better than it was seen: most need not be asked.
        if expected.is_none_or(|expected| expected <= vain) {
            return false;
        }
        let Some(rate) = self.foresight.rate(2) else {
            return false;
        };
        self.until_free(now, lane.gpu, self.short(*lane, place), Some(rate))
            .is_some_and(|expected| expected > vain)
    }

    /// Seats that must come free before a demand is served: its own, and those of all before it.
    fn short(&self, lane: Lane, place: Place) -> Seats {
        let Lane { gpu, class, need } = lane;
        let borrows = self.borrows(gpu, class);
        let mut ahead: u64 = 0;
        for (other, _, _) in self.queue.lanes(gpu) {
            let before = match self.borrows(gpu, other.class).cmp(&borrows) {
                std::cmp::Ordering::Less => self.queue.line_len(&Line::Gpu(other)),
                std::cmp::Ordering::Equal => self.queue.ahead(&Line::Gpu(other), place),
                std::cmp::Ordering::Greater => 0,
            };
            ahead += u64::from(before) * u64::from(other.need.milli());
        }
        let ahead = Seats::from_milli(u32::try_from(ahead).unwrap_or(u32::MAX));
        ahead.plus(self.lacks(gpu, class, need))
    }

    /// Seats that must come free for a demand that nobody stands before. One that is wider than the GPU needs all.
    pub(super) fn lacks(&self, gpu: usize, class: usize, need: Seats) -> Seats {
        let used = self.ledger.gpu(gpu).seats;
        let room = self.room(gpu, class, super::Mode::Enforce);
        if need > room {
            return used;
        }
        used.plus(need).less(room)
    }

    /// How long it takes until so many seats have come free on a GPU.
    fn until_free(
        &self,
        now: Instant,
        gpu: usize,
        short: Seats,
        rate: Option<f64>,
    ) -> Option<Duration> {
        let short = short.as_f64();
        let rate = rate.unwrap_or(0.0);
        let mut rest = self.ledger.gpu(gpu).seats.as_f64();
        let (mut freed, mut at) = (0.0, 0.0);
        for (end, _, seats) in self.ends(gpu) {
            let then = end.saturating_duration_since(now).as_secs_f64();
            let by_habit = rest * rate * (then - at);
            if freed + by_habit >= short {
                break;
            }
            freed += by_habit + seats.as_f64();
            rest = (rest - seats.as_f64()).max(0.0);
            at = then;
        }
        if freed >= short {
            return Some(span(at));
        }
        let each = rest * rate;
        (each > 0.0).then(|| span(at + (short - freed) / each))
    }
}

/// Whole milliseconds, a day at most.
fn span(secs: f64) -> Duration {
    let millis = (secs.clamp(0.0, LONGEST) * 1000.0).round();
    Duration::from_secs_f64(millis / 1000.0)
}

impl Lease {
    /// When its seats come free, if that is known.
    fn known_end(&self) -> Option<(usize, Instant)> {
        let gpu = self.asked.account.gpu.filter(|_| self.held.transcode)?;
        let at = match self.state {
            LeaseState::Lingering => self.leave.map(|leave| leave.at),
            LeaseState::Active => self.seen.done_at,
            LeaseState::Reserved
            | LeaseState::Parked
            | LeaseState::Finished
            | LeaseState::Ended => None,
        };
        Some((gpu, at?))
    }
}
