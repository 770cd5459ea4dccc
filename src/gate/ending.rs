//! What a rule wants done to a stream in Jellyfin.

use std::time::Duration;

use crate::{
    admission::{Ended, Event, Subject},
    ident::{DeviceId, NodeId, PlaySessionId, UserId},
};

/// A job that a rule wants ended in Jellyfin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndJob {
    /// The server that runs it.
    pub node: NodeId,
    /// Whose it is.
    pub user: UserId,
    /// Its PlaySession, if it is known.
    pub session: Option<PlaySessionId>,
    /// Its device.
    pub device: DeviceId,
    /// What is to be done.
    pub ending: Ending,
}

/// How a job is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The job alone: nobody watches.
    Job,
    /// Not yet: the viewer is told that it will be in so long.
    Announce(Duration),
    /// Not at all: the viewer is told.
    Spare,
    /// The player is stopped, then the job.
    Player,
}

// === impl Ending ===

impl Ending {
    /// What is done, for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Announce(_) => "announce",
            Self::Spare => "spare",
            Self::Player => "player",
        }
    }
}

/// What an event asks to be done to a stream.
pub(super) fn ending(event: &Event) -> Option<(&Subject, Ending)> {
    match event {
        Event::EndJob { subject, ended, .. } => {
            let ending = match ended {
                Ended::Preempted | Ended::Revoked => Ending::Player,
                Ended::Stopped
                | Ended::Idle
                | Ended::Abandoned
                | Ended::Replaced
                | Ended::Gone
                | Ended::Undelivered
                | Ended::DeadPlayer
                | Ended::Parked => Ending::Job,
            };
            Some((subject, ending))
        }
        Event::Preempting { subject, grace, .. } => {
            Some((subject, grace.map_or(Ending::Spare, Ending::Announce)))
        }
        Event::Granted { .. }
        | Event::Refused { .. }
        | Event::Downgraded { .. }
        | Event::Admitted { .. }
        | Event::Queued { .. }
        | Event::Withdrawn { .. }
        | Event::Moved { .. }
        | Event::LeaseEnded { .. }
        | Event::Reconciled { .. }
        | Event::CapacityChanged { .. }
        | Event::Operator { .. }
        | Event::PolicyChanged { .. } => None,
    }
}
