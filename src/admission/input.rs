//! What the core is told, as values: the journal keeps them, and replay tells them again.
//!
//! The core decides by its inputs and their times alone: the same inputs at the same distances in time give the same
//! events. Whoever adds a method that changes [`Admission`] adds its input here, or replay is no longer exact.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Activity, Admission, Bitrate, Book, Decision, Demand, Ended, Event, Kind, Order, Policy,
    Reason, Running, Seats, Today,
};
use crate::ident::{
    ClassId, DecisionId, DeviceId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket, UserId,
};

/// One call of the core that may change it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// [`Admission::advance`]: timers were due.
    Advance,
    /// [`Admission::decide`].
    Decide(Box<Demand>),
    /// [`Admission::bind`].
    Bind {
        /// The lease.
        lease: LeaseId,
        /// Its session.
        session: PlaySessionId,
    },
    /// [`Admission::confirm`].
    Confirm {
        /// The session.
        session: PlaySessionId,
        /// What it asks for.
        kind: Box<Kind>,
        /// How.
        activity: Activity,
    },
    /// [`Admission::touch`].
    Touch {
        /// The session.
        session: PlaySessionId,
        /// The sign of life.
        activity: Activity,
    },
    /// [`Admission::touch_device`].
    TouchDevice {
        /// The user.
        user: UserId,
        /// The device.
        device: DeviceId,
        /// The sign of life.
        activity: Activity,
    },
    /// [`Admission::stop`].
    Stop {
        /// The session.
        session: PlaySessionId,
        /// How it ended.
        why: Ended,
    },
    /// [`Admission::stop_device`].
    StopDevice {
        /// The user.
        user: UserId,
        /// The device.
        device: DeviceId,
        /// What it played.
        item: ItemId,
        /// How it ended.
        why: Ended,
    },
    /// [`Admission::release`].
    Release {
        /// The lease.
        lease: LeaseId,
        /// How it ended.
        why: Ended,
    },
    /// [`Admission::withdraw`].
    Withdraw {
        /// The receipt.
        ticket: Ticket,
    },
    /// [`Admission::turn_away`].
    TurnAway {
        /// What was asked for.
        demand: Box<Demand>,
        /// Why not.
        reason: Reason,
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// [`Admission::reconcile`].
    Reconcile {
        /// The server.
        node: NodeId,
        /// What it says is running.
        running: Vec<Running>,
    },
    /// [`Admission::set_minute_of_week`].
    Week {
        /// The minute.
        minute: u16,
    },
    /// [`Admission::set_policy`].
    Policy(Arc<Policy>),
    /// [`Admission::set_today`].
    Today(Today),
    /// [`Admission::spend_bytes`].
    SpendBytes {
        /// The user.
        user: UserId,
        /// How many.
        bytes: u64,
    },
    /// [`Admission::spend_session_bytes`].
    SpendSessionBytes {
        /// The session.
        session: PlaySessionId,
        /// How many.
        bytes: u64,
    },
    /// [`Admission::restore_usage`].
    Usage(Box<Book>),
    /// [`Admission::set_flow`].
    Flow(Bitrate),
    /// [`Admission::operate`].
    Operate {
        /// What is ordered.
        order: Order,
        /// By whom.
        who: Arc<str>,
    },
    /// [`Admission::drain`].
    Drain,
}

/// The last numbers that were given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Of decisions.
    pub decision: u64,
    /// Of leases.
    pub lease: u64,
    /// Of tickets.
    pub ticket: u64,
}

impl Numbers {
    /// Takes in the numbers that an event names.
    pub fn note(&mut self, event: &Event) {
        let (subject, lease, ticket) = match event {
            Event::Admitted { subject, lease, .. } => (subject, Some(*lease), None),
            Event::Queued {
                subject, ticket, ..
            } => (subject, None, Some(*ticket)),
            Event::Granted { subject, lease, .. } | Event::Downgraded { subject, lease, .. } => {
                (subject, Some(*lease), None)
            }
            Event::Reconciled { subject, lease, .. } => (subject, *lease, None),
            Event::Refused { subject, .. } => (subject, None, None),
            Event::Withdrawn { .. }
            | Event::Moved { .. }
            | Event::LeaseEnded { .. }
            | Event::Preempting { .. }
            | Event::Operator { .. }
            | Event::EndJob { .. }
            | Event::CapacityChanged { .. }
            | Event::PolicyChanged { .. } => return,
        };
        self.decision = self.decision.max(subject.decision.0);
        self.lease = self.lease.max(lease.map_or(0, |lease| lease.0));
        self.ticket = self.ticket.max(ticket.map_or(0, |ticket| ticket.0));
    }
}

impl Admission {
    /// Numbers what comes after these.
    pub fn number_from(&mut self, last: Numbers) {
        self.last_decision = last.decision;
        self.last_lease = last.lease;
        self.last_ticket = last.ticket;
    }

    /// Does what an input says. What was decided, if it was a demand.
    pub fn take(&mut self, now: Instant, input: &Input) -> Option<Decision> {
        match input {
            Input::Advance => self.advance(now),
            Input::Decide(demand) => return Some(self.decide(now, demand.as_ref().clone())),
            Input::Bind { lease, session } => self.bind(now, *lease, session),
            Input::Confirm {
                session,
                kind,
                activity,
            } => {
                self.confirm(now, session, kind, *activity);
            }
            Input::Touch { session, activity } => {
                self.touch(now, session, *activity);
            }
            Input::TouchDevice {
                user,
                device,
                activity,
            } => self.touch_device(now, user, device, *activity),
            Input::Stop { session, why } => self.stop(now, session, *why),
            Input::StopDevice {
                user,
                device,
                item,
                why,
            } => self.stop_device(now, user, device, item, *why),
            Input::Release { lease, why } => self.release(now, *lease, *why),
            Input::Withdraw { ticket } => self.withdraw(now, *ticket),
            Input::TurnAway {
                demand,
                reason,
                retry_after,
            } => {
                self.advance(now);
                self.turn_away(demand, *reason, *retry_after);
            }
            Input::Reconcile { node, running } => self.reconcile(now, node, running),
            Input::Week { minute } => self.set_minute_of_week(now, *minute),
            Input::Policy(policy) => self.set_policy(now, Arc::clone(policy)),
            Input::Today(today) => self.set_today(now, *today),
            Input::SpendBytes { user, bytes } => self.spend_bytes(now, user, *bytes),
            Input::SpendSessionBytes { session, bytes } => {
                self.spend_session_bytes(now, session, *bytes);
            }
            Input::Usage(book) => self.restore_usage(book.as_ref().clone()),
            Input::Flow(flow) => self.set_flow(now, *flow),
            Input::Operate { order, who } => {
                self.operate(now, *order, who);
            }
            Input::Drain => self.drain(now),
        }
        None
    }

    /// Seats that are held on all GPUs together.
    pub fn held(&self) -> Seats {
        self.ledger.all().seats
    }

    /// The class that a lease is charged to.
    pub fn class_of(&self, lease: LeaseId) -> Option<&ClassId> {
        self.leases
            .get(&lease)
            .map(|lease| &lease.asked.subject.class)
    }

    pub(super) fn next_decision(&mut self) -> DecisionId {
        self.last_decision += 1;
        DecisionId(self.last_decision)
    }
}
