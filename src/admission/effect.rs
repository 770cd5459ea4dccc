//! What a reason does to a play: all that is asked of reasons in groups is answered from here.

use super::Reason;

/// What a reason does to a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It runs as it was asked for.
    LetsIn,
    /// It runs in a smaller picture, and is never refused for this.
    Shrinks,
    /// It is refused, unless something helps.
    Refuses {
        /// What may help at once.
        unless: Unless,
        /// What has to come before it is worth asking again.
        until: Until,
    },
}

/// What may still let a play in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unless {
    /// Waiting, or a smaller picture.
    Waits,
    /// A smaller picture.
    Smaller,
    /// Nothing.
    Never,
}

/// What has to come before it is worth asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Seats, or room on the line out of the house.
    Room,
    /// Another time of the day or the week.
    Window,
    /// The next period of a quota.
    Renewal,
    /// The operator's word.
    Operator,
    /// A slower pace.
    Pace,
    /// A moment.
    Moment,
    /// Asking again does not help.
    Never,
}

impl Reason {
    /// What it does to a play.
    pub const fn effect(self) -> Effect {
        let (unless, until) = match self {
            Self::Fits
            | Self::Cheap
            | Self::Replacement
            | Self::Resume
            | Self::Adopted
            | Self::Waited
            | Self::Observed
            | Self::FailOpen
            | Self::RunsAlone
            | Self::Operator => return Effect::LetsIn,
            Self::Yields | Self::Pressure => return Effect::Shrinks,
            Self::UserLimit
            | Self::UserStreams
            | Self::ClassLimit
            | Self::ServerLimit
            | Self::UplinkFull
            | Self::GpuFull
            | Self::GpuSessions => (Unless::Waits, Until::Room),
            Self::QueueFull | Self::WaitedOut | Self::WaitTooLong => (Unless::Never, Until::Room),
            Self::Paused => (Unless::Waits, Until::Operator),
            Self::TimeWindow => (Unless::Waits, Until::Window),
            Self::LibraryRule => (Unless::Waits, Until::Never),
            Self::Quota => (Unless::Smaller, Until::Renewal),
            Self::UhdDenied | Self::TranscodeDenied => (Unless::Smaller, Until::Never),
            Self::StartRate => (Unless::Never, Until::Pace),
            Self::Superseded | Self::Draining => (Unless::Never, Until::Moment),
            Self::Unreadable | Self::Anonymous | Self::Revoked => (Unless::Never, Until::Never),
        };
        Effect::Refuses { unless, until }
    }

    /// Whether it speaks for a play as it was asked for. Whatever else stands beside a play that runs is why it got a
    /// smaller picture.
    pub const fn lets_in(self) -> bool {
        match self.effect() {
            Effect::LetsIn => true,
            Effect::Shrinks | Effect::Refuses { .. } => false,
        }
    }

    /// Whether a viewer can be refused for it.
    pub const fn refuses(self) -> bool {
        match self.effect() {
            Effect::Refuses { .. } => true,
            Effect::LetsIn | Effect::Shrinks => false,
        }
    }
}
