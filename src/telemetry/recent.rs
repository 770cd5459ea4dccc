//! The last decisions, for the status page and `/state`.

use std::{
    collections::VecDeque,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use super::{Decided, labels::Decision};
use crate::clock;

/// How many decisions are kept: an evening of a busy house, at about 300 bytes each.
pub const KEPT: usize = 200;

/// A bounded list, newest first.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Decided>>);

impl Recent {
    /// Puts a decision in front and forgets the oldest beyond [`KEPT`].
    pub(super) fn push(&self, decided: Decided) {
        if let Ok(mut list) = self.0.lock() {
            list.truncate(KEPT - 1);
            list.push_front(decided);
        }
    }

    /// Copies the list.
    pub(super) fn list(&self) -> Vec<Decided> {
        self.0
            .lock()
            .map(|list| list.iter().cloned().collect())
            .unwrap_or_default()
    }
}

impl Decided {
    pub(super) fn new(at: SystemTime, decision: &Decision<'_>) -> Self {
        let subject = decision.subject;
        Self {
            id: subject.decision,
            at: clock::unix(at),
            decision: decision.verdict.as_str(),
            reason: decision.reason,
            would: decision.would,
            user: subject
                .user_name
                .as_deref()
                .unwrap_or_else(|| subject.user.as_str())
                .to_owned(),
            client: subject.client.to_string(),
            class: subject.class.to_string(),
            work: subject.work.clone(),
            cost: subject.cost.as_f64(),
            gpu: subject.gpu.as_ref().map(ToString::to_string),
            node: subject.node.to_string(),
            waited: tenths(decision.waited.unwrap_or_default()),
        }
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
