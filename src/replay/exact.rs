//! Decides again by the policies that were in force, and compares to the letter.

use std::time::Instant;

use serde::Serialize;

use super::{Moment, at, core_of};
use crate::{
    admission::{Admission, Event},
    journal::{Part, Reading},
};

/// Differences that are kept; they are all counted.
const KEPT: usize = 20;

/// What came of deciding again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Again {
    /// Inputs that were told again.
    pub steps: usize,
    /// Of those, inputs of parts whose beginning is there, without a gap: they were compared.
    pub compared: usize,
    /// Events that were compared.
    pub events: usize,
    /// Inputs of which something else came.
    pub different: usize,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// An input of which something else came.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Seconds since 1970.
    pub at: f64,
    /// What was written down.
    pub written: String,
    /// What came now.
    pub now: String,
}

/// Tells the core every input again, and compares what it does with what it did.
pub fn again(reading: &Reading, base: Instant) -> Again {
    let mut found = Again::default();
    for part in &reading.parts {
        found.steps += part.steps.len();
        // Behind a gap the core may know less than it did.
        let until = part.gaps.first().map_or(u64::MAX, |gap| gap.t);
        if !part.is_whole() {
            continue;
        }
        run(part, base, &mut |moment, _, events| {
            let Some(step) = part.steps.get(moment.step).filter(|step| step.t < until) else {
                return false;
            };
            found.compared += 1;
            found.events += events.len();
            if events.is_empty() && step.did.is_none() {
                return true;
            }
            let now = serde_json::to_string(events).unwrap_or_default();
            let written = step.did.as_deref().unwrap_or("[]");
            if now != written {
                found.different += 1;
                if found.differences.len() < KEPT {
                    found.differences.push(Difference {
                        at: moment.wall,
                        written: written.to_owned(),
                        now,
                    });
                }
            }
            true
        });
    }
    found
}

/// Tells one part again. `seen` gets the core after each input, and what it did; `false` ends it.
pub(super) fn run(
    part: &Part,
    base: Instant,
    seen: &mut dyn FnMut(Moment, &Admission, &[Event]) -> bool,
) -> Admission {
    let mut core = core_of(&part.header, base, part.header.policy.clone());
    for (index, step) in part.steps.iter().enumerate() {
        let now = at(base, step.t);
        // As the gate does.
        core.advance(now);
        core.take(now, &step.told);
        let events = core.drain_events();
        if !seen(Moment::of(part, index, step.t), &core, &events) {
            break;
        }
    }
    core
}
