//! What an event means for a count of plays: the only place here that knows every event.

use std::{sync::Arc, time::Duration};

use crate::{
    admission::{Ended, Event, Reason, Subject},
    ident::{LeaseId, Ticket},
};

/// An event, as far as plays are concerned.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    Admitted {
        subject: &'a Arc<Subject>,
        reason: Reason,
        would: Option<Reason>,
    },
    Queued {
        subject: &'a Arc<Subject>,
        reason: Reason,
    },
    Granted {
        subject: &'a Arc<Subject>,
        ticket: Ticket,
        lease: LeaseId,
        waited: Duration,
    },
    Stepped {
        subject: &'a Arc<Subject>,
        ticket: Option<Ticket>,
        lease: LeaseId,
        rung: usize,
        reason: Reason,
        waited: Duration,
    },
    Refused {
        subject: &'a Arc<Subject>,
        ticket: Option<Ticket>,
        reason: Reason,
    },
    Left {
        subject: &'a Arc<Subject>,
        ticket: Ticket,
    },
    Ended {
        subject: &'a Arc<Subject>,
        lease: LeaseId,
        ended: Ended,
        lasted: Duration,
    },
    /// It changes no play.
    Other,
}

impl<'a> What<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        match event {
            Event::Admitted {
                subject,
                reason,
                would,
                ..
            } => Self::Admitted {
                subject,
                reason: *reason,
                would: *would,
            },
            Event::Queued {
                subject, reason, ..
            } => Self::Queued {
                subject,
                reason: *reason,
            },
            Event::Granted {
                subject,
                ticket,
                lease,
                waited,
                ..
            } => Self::Granted {
                subject,
                ticket: *ticket,
                lease: *lease,
                waited: *waited,
            },
            Event::Downgraded {
                subject,
                lease,
                rung,
                reason,
                ticket,
                waited,
            } => Self::Stepped {
                subject,
                ticket: *ticket,
                lease: *lease,
                rung: *rung,
                reason: *reason,
                waited: *waited,
            },
            Event::Refused {
                subject,
                ticket,
                reason,
                ..
            } => Self::Refused {
                subject,
                ticket: *ticket,
                reason: *reason,
            },
            Event::Withdrawn {
                subject, ticket, ..
            } => Self::Left {
                subject,
                ticket: *ticket,
            },
            Event::LeaseEnded {
                subject,
                lease,
                ended,
                lasted,
            } => Self::Ended {
                subject,
                lease: *lease,
                ended: *ended,
                lasted: *lasted,
            },
            Event::Moved { .. }
            | Event::Reconciled { .. }
            | Event::Preempting { .. }
            | Event::Operator { .. }
            | Event::EndJob { .. }
            | Event::CapacityChanged { .. }
            | Event::PolicyChanged { .. } => Self::Other,
        }
    }
}
