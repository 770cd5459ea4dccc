//! Decides a journal again: by its own policy, to check and to explain, or by another, to see what that would do.
//!
//! - [`again`]: every input in its order under the policies that were in force. The events must be those that were
//!   written down, to the letter.
//! - [`explain()`]: the state just before one decision, and which change of the policy would have let it in.
//! - [`Replay`]: the same evenings under another policy, beside what happened.
//! - [`advise()`]: what the seats were spent on, and what to do about it.
//! - [`plan()`]: what one more GPU, other files or another client would change.
//!
//! What another policy does to people can't be read from a journal: who was refused left no playback behind. What is
//! assumed about that is in `docs/replay.md`, and in `world`.

mod advise;
mod bill;
mod exact;
mod explain;
mod picture;
mod plan;
mod report;
mod tally;
#[cfg(test)]
mod tests;
mod traces;
mod what;
mod world;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::{
    advise::{Advice, File, Group, Named, Player, Setting, advise},
    exact::{Again, Difference, again},
    explain::{Explanation, Holder, Seen, explain},
    plan::{Plan, Variant, plan},
    report::clock,
    report::{Changed, Comparison},
    tally::{Fate, Tally, Wish},
    world::Changes,
};
use crate::{
    admission::{Admission, Policy},
    journal::{Header, Part, Reading},
};

/// A journal under another policy.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The journal.
    pub reading: &'a Reading,
    /// Any moment: everything is counted from it.
    pub base: Instant,
}

impl Replay<'_> {
    /// What happened: exactly where the journal has the beginning, nearly elsewhere.
    pub fn past(&self) -> Tally {
        self.told_into(Tally::new(self.reading))
    }

    fn told_into(&self, mut tally: Tally) -> Tally {
        for part in &self.reading.parts {
            if part.is_whole() && part.gaps.is_empty() {
                tally.pause();
                exact::run(part, self.base, &mut |moment, core, events| {
                    tally.take(moment, core, events);
                    true
                });
            } else {
                let usual = traces::Usual::default();
                world::run(
                    part,
                    self.base,
                    None,
                    &Changes::default(),
                    &usual,
                    &mut tally,
                );
            }
        }
        tally.close();
        tally
    }

    /// What `policy` would have done, as far as can be told. `past`: what happened.
    pub fn under(&self, policy: &Arc<Policy>, changes: &Changes, past: &Tally) -> Tally {
        let mut tally = Tally::new(self.reading);
        for part in &self.reading.parts {
            world::run(
                part,
                self.base,
                Some(policy),
                changes,
                &past.usual,
                &mut tally,
            );
        }
        tally.close();
        tally
    }
}

/// The core as a part finds it.
fn core_of(header: &Header, base: Instant, policy: Arc<Policy>) -> Admission {
    let start = at(base, header.t);
    let mut core = Admission::new(start, policy);
    core.number_from(header.numbers);
    if let Some((told, minute)) = header.week {
        let since = header.t.saturating_sub(told) / 60_000_000_000;
        let minute = (u64::from(minute) + since) % (7 * 1440);
        core.set_minute_of_week(start, u16::try_from(minute).unwrap_or(0));
    }
    drop(core.drain_events());
    core
}

fn at(base: Instant, t: u64) -> Instant {
    base + Duration::from_nanos(t)
}

/// A moment of a journal.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Seconds since 1970.
    wall: f64,
    /// The place of the step in its part.
    step: usize,
}

impl Moment {
    fn of(part: &Part, step: usize, t: u64) -> Self {
        Self {
            wall: part.wall(t),
            step,
        }
    }
}
