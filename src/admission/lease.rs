//! The states of one lease and their timers.

use serde::Serialize;

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// Seats are held for an answer that was given; no media request yet.
    Reserved,
    /// Its job runs.
    Active,
    /// Its viewer has paused beyond the park limit; the seats are lent out.
    Parked,
    /// Its job has encoded all there is: nothing is held, the viewer watches on.
    Finished,
    /// Its viewer has left; FFmpeg takes some seconds to go.
    Lingering,
    /// Over.
    Ended,
}

impl LeaseState {
    /// Every state, for metrics that are registered at start.
    pub const ALL: &'static [Self] = &[
        Self::Reserved,
        Self::Active,
        Self::Parked,
        Self::Finished,
        Self::Lingering,
        Self::Ended,
    ];

    /// The one spelling, in logs, metrics and state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Parked => "parked",
            Self::Finished => "finished",
            Self::Lingering => "lingering",
            Self::Ended => "ended",
        }
    }
}
