//! The last decision in each bucket of a histogram: the way from a slow wait on a board to its line in the log.

use std::{sync::Mutex, time::SystemTime};

use crate::{clock, ident::DecisionId};

/// One observation, and the decision it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) id: DecisionId,
    pub(super) value: f64,
    /// Seconds since 1970.
    pub(super) at: f64,
}

/// The latest exemplar of each bucket, the one without an upper bound last.
#[derive(Debug)]
pub(super) struct Exemplars {
    bounds: &'static [f64],
    latest: Vec<Mutex<Option<Exemplar>>>,
}

// === impl Exemplars ===

impl Exemplars {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            latest: (0..=bounds.len()).map(|_| Mutex::default()).collect(),
        }
    }

    /// Keeps an observation as the latest of its bucket.
    pub(super) fn note(&self, value: f64, id: DecisionId, at: SystemTime) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(Ok(mut latest)) = self.latest.get(bucket).map(Mutex::lock) {
            let at = clock::unix(at);
            *latest = Some(Exemplar { id, value, at });
        }
    }

    /// The latest of the `nth` bucket.
    pub(super) fn of(&self, nth: usize) -> Option<Exemplar> {
        *self.latest.get(nth)?.lock().ok()?
    }
}
