//! Deciding about a demand, and waiting for what the core says later.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Gate, Outcome, Reservation};
use crate::{
    admission::{Decision, Demand, Event, Input, Reason},
    ident::Ticket,
};

/// A ticket is settled at its deadline; a waiter that hears nothing for this long after it gives up.
const SETTLE: Duration = Duration::from_secs(1);

/// Takes a waiting demand out when its future is dropped.
struct Waiting<'a> {
    gate: &'a Gate,
    ticket: Option<Ticket>,
}

// === impl Gate ===

impl Gate {
    /// Decides about a demand and waits, if it must, as long as the client's patience allows.
    pub async fn enter(&self, demand: Demand) -> Outcome {
        let input = self.noted(|| Input::Decide(Box::new(demand.clone())));
        let (decision, receiver) = self.apply(input, |state, now| {
            let decision = state.core.decide(now, demand);
            let receiver = if let Decision::Queue { ticket, .. } = &decision {
                let (sender, receiver) = oneshot::channel();
                state.waiters.insert(*ticket, sender);
                Some(receiver)
            } else {
                None
            };
            (decision, receiver)
        });
        match (decision, receiver) {
            (Decision::Admit { lease, reason }, _) => {
                Outcome::Admitted(Reservation::new(self.clone(), lease, reason))
            }
            (
                Decision::Downgrade {
                    lease,
                    rung,
                    reason,
                },
                _,
            ) => Outcome::Downgraded {
                reservation: Reservation::new(self.clone(), lease, reason),
                rung,
            },
            (
                Decision::Reject {
                    reason,
                    retry_after,
                },
                _,
            ) => Outcome::Rejected {
                reason,
                retry_after,
            },
            (
                Decision::Queue {
                    ticket,
                    deadline,
                    reason,
                    ..
                },
                Some(receiver),
            ) => self.wait(ticket, deadline, reason, receiver).await,
            // A queued demand has a receiver: it was made in the same breath.
            (Decision::Queue { reason, .. }, None) => Outcome::Rejected {
                reason,
                retry_after: Duration::from_secs(1),
            },
        }
    }

    async fn wait(
        &self,
        ticket: Ticket,
        deadline: Instant,
        reason: Reason,
        mut receiver: oneshot::Receiver<Outcome>,
    ) -> Outcome {
        let mut waiting = Waiting {
            gate: self,
            ticket: Some(ticket),
        };
        let outcome = tokio::select! {
            outcome = &mut receiver => outcome,
            () = tokio::time::sleep_until(deadline.into()) => {
                // The core refuses it now; the answer arrives like any other.
                self.apply(None, |_, _| ());
                tokio::time::timeout(SETTLE, &mut receiver).await.unwrap_or_else(|_| Ok(Outcome::Rejected {
                    reason: Reason::WaitedOut,
                    retry_after: Duration::from_secs(1),
                }))
            }
        };
        waiting.ticket = None;
        outcome.unwrap_or(Outcome::Rejected {
            reason,
            retry_after: Duration::from_secs(1),
        })
    }

    /// The ticket that an event settles, and what its waiter is told.
    pub(super) fn delivery(&self, event: &Event) -> Option<(Ticket, Outcome)> {
        match event {
            Event::Granted {
                ticket,
                lease,
                reason,
                ..
            } => Some((
                *ticket,
                Outcome::Admitted(Reservation::new(self.clone(), *lease, *reason)),
            )),
            Event::Refused {
                ticket: Some(ticket),
                reason,
                retry_after,
                ..
            } => Some((
                *ticket,
                Outcome::Rejected {
                    reason: *reason,
                    retry_after: *retry_after,
                },
            )),
            Event::Downgraded {
                ticket: Some(ticket),
                lease,
                rung,
                reason,
                ..
            } => Some((
                *ticket,
                Outcome::Downgraded {
                    reservation: Reservation::new(self.clone(), *lease, *reason),
                    rung: *rung,
                },
            )),
            Event::Admitted { .. }
            | Event::Queued { .. }
            | Event::Refused { ticket: None, .. }
            | Event::Downgraded { ticket: None, .. }
            | Event::Withdrawn { .. }
            | Event::Moved { .. }
            | Event::LeaseEnded { .. }
            | Event::Reconciled { .. }
            | Event::Preempting { .. }
            | Event::EndJob { .. }
            | Event::CapacityChanged { .. }
            | Event::Operator { .. }
            | Event::PolicyChanged { .. } => None,
        }
    }

    fn withdraw(&self, ticket: Ticket) {
        let input = self.noted(|| Input::Withdraw { ticket });
        self.apply(input, |state, now| {
            state.waiters.remove(&ticket);
            state.core.withdraw(now, ticket);
        });
    }
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.withdraw(ticket);
        }
    }
}
