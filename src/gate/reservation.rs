//! Seats that go back by themselves if the client leaves before the answer does.

use super::Gate;
use crate::{
    admission::{Ended, Reason},
    ident::{LeaseId, PlaySessionId},
};

/// Seats reserved for an answer that is not written yet. Dropped, they go back.
#[derive(Debug)]
#[must_use = "dropping it gives the seats back"]
pub struct Reservation {
    gate: Gate,
    lease: Option<LeaseId>,
    reason: Reason,
}

impl Reservation {
    pub(super) fn new(gate: Gate, lease: LeaseId, reason: Reason) -> Self {
        Self {
            gate,
            lease: Some(lease),
            reason,
        }
    }

    /// Why it was let in.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The answer goes out: the lease now belongs to this PlaySession and lives by its signs of life.
    pub fn bind(mut self, session: Option<&PlaySessionId>) {
        if let Some(lease) = self.lease.take()
            && let Some(session) = session
        {
            self.gate.bind(lease, session);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.gate.release(lease, Ended::Undelivered);
        }
    }
}
