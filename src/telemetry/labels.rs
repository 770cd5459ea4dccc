//! What an event decided, the closed enums that only telemetry uses, and the bounded label `user`.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use super::{DirectPlay, FailOpen, Sent, Served, UserLabel};
use crate::{
    admission::{Event, Reason, Subject},
    ident::UserId,
};

/// Most values of the label `user`.
pub(super) const MAX_USERS: usize = 50;

/// One of the four decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    Admit,
    Queue,
    Downgrade,
    Reject,
}

/// The decision in an event, as metrics, log and the list of decisions all take it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision<'a> {
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    /// What enforcing every rule would have answered, where it differs.
    pub(super) would: Option<Reason>,
    /// How long it waited, if it did.
    pub(super) waited: Option<Duration>,
    pub(super) subject: &'a Subject,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum QueueOutcome {
    /// It got its seats.
    Granted,
    /// The client's patience ended.
    WaitedOut,
    /// The same device asked for something else.
    Superseded,
    /// The client left.
    Gone,
    /// It was refused for another reason: a drain, a new policy.
    Refused,
}

/// The values of the label `user` so far.
#[derive(Debug)]
pub(super) struct Users {
    label: UserLabel,
    seen: Mutex<BTreeSet<String>>,
}

// === impl Decision ===

impl<'a> Decision<'a> {
    /// The decision in `event`; `None` where it is about something else.
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        let (verdict, reason, would, waited, subject) = match event {
            Event::Admitted {
                subject,
                reason,
                would,
                ..
            } => (Verdict::Admit, *reason, *would, None, subject),
            Event::Queued {
                subject, reason, ..
            } => (Verdict::Queue, *reason, None, None, subject),
            Event::Granted {
                subject,
                reason,
                waited,
                ..
            } => (Verdict::Admit, *reason, None, Some(*waited), subject),
            Event::Refused {
                subject,
                ticket,
                reason,
                waited,
                ..
            } => (
                Verdict::Reject,
                *reason,
                None,
                ticket.map(|_| *waited),
                subject,
            ),
            Event::Downgraded {
                subject,
                reason,
                ticket,
                waited,
                ..
            } => (
                Verdict::Downgrade,
                *reason,
                None,
                ticket.map(|_| *waited),
                subject,
            ),
            Event::Withdrawn { .. }
            | Event::Moved { .. }
            | Event::LeaseEnded { .. }
            | Event::Reconciled { .. }
            | Event::Preempting { .. }
            | Event::EndJob { .. }
            | Event::CapacityChanged { .. }
            | Event::Operator { .. }
            | Event::PolicyChanged { .. } => return None,
        };
        Some(Self {
            verdict,
            reason,
            would,
            waited,
            subject,
        })
    }
}

impl Decision<'_> {
    /// Whether somebody who wanted to watch was sent away.
    pub(super) fn turns_away(&self) -> bool {
        let of_use = self.reason != Reason::Superseded && self.reason != Reason::Draining;
        self.verdict == Verdict::Reject && of_use
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) const ALL: &'static [Self] =
        &[Self::Admit, Self::Queue, Self::Downgrade, Self::Reject];

    /// The one spelling, in logs, metrics and state.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Queue => "queue",
            Self::Downgrade => "downgrade",
            Self::Reject => "reject",
        }
    }
}

// === impl QueueOutcome ===

impl QueueOutcome {
    pub(super) const ALL: &'static [Self] = &[
        Self::Granted,
        Self::WaitedOut,
        Self::Superseded,
        Self::Gone,
        Self::Refused,
    ];

    /// The label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::WaitedOut => "waited-out",
            Self::Superseded => "superseded",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }

    /// The outcome of a wait that was refused for `reason`.
    pub(super) fn of(reason: Reason) -> Self {
        if reason == Reason::WaitedOut {
            Self::WaitedOut
        } else if reason == Reason::Superseded {
            Self::Superseded
        } else {
            Self::Refused
        }
    }
}

// === impl Users ===

impl Users {
    pub(super) fn new(label: UserLabel) -> Self {
        Self {
            label,
            seen: Mutex::default(),
        }
    }

    /// The label of a user: bounded, so that a flood of accounts makes no flood of series.
    pub(super) fn label(&self, subject: &Subject) -> String {
        self.label_of(&subject.user, subject.user_name.as_deref())
    }

    /// As [`Users::label`], where there is no subject.
    pub(super) fn label_of(&self, user: &UserId, name: Option<&str>) -> String {
        let name = match self.label {
            UserLabel::None => return String::new(),
            UserLabel::Id => user.as_str(),
            UserLabel::Name => name.unwrap_or_else(|| user.as_str()),
        };
        let Ok(mut seen) = self.seen.lock() else {
            return "other".to_owned();
        };
        if !seen.contains(name) {
            if seen.len() >= MAX_USERS {
                return "other".to_owned();
            }
            seen.insert(name.to_owned());
        }
        name.to_owned()
    }
}

// === impl FailOpen ===

impl FailOpen {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Answer, Self::Identity, Self::TooLong, Self::Source];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Identity => "identity",
            Self::TooLong => "too-long",
            Self::Source => "source",
        }
    }

    /// What happened, for a person.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Answer => "Jellyfin's answer could not be understood; it passed unjudged",
            Self::Identity => "the user could not be found out; the request passed unjudged",
            Self::TooLong => "a body was longer than its bound; it passed unjudged",
            Self::Source => "a source could not be looked up; it was charged as unknown",
        }
    }
}

// === impl Sent ===

impl Sent {
    /// Every value.
    pub const ALL: &'static [Self] = &[
        Self::Sent,
        Self::Retried,
        Self::Failed,
        Self::Replaced,
        Self::Dropped,
        Self::HeldBack,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Replaced => "replaced",
            Self::Dropped => "dropped",
            Self::HeldBack => "held-back",
        }
    }
}

// === impl DirectPlay ===

impl DirectPlay {
    /// Every value.
    pub const ALL: &'static [Self] = &[
        Self::Played,
        Self::Remuxed,
        Self::Unplayable,
        Self::Failed,
        Self::Unanswered,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Played => "played",
            Self::Remuxed => "remuxed",
            Self::Unplayable => "unplayable",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }
}

// === impl Served ===

impl Served {
    /// Every value.
    pub const ALL: &'static [Self] = &[
        Self::PlaybackInfo,
        Self::Playlist,
        Self::Segment,
        Self::Stream,
        Self::Static,
        Self::Report,
        Self::Socket,
        Self::Health,
        Self::Other,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlaybackInfo => "playback-info",
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Stream => "stream",
            Self::Static => "static",
            Self::Report => "report",
            Self::Socket => "socket",
            Self::Health => "health",
            Self::Other => "other",
        }
    }
}
