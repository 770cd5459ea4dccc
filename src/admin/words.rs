//! What states and reasons are called where a person reads them.

use std::time::Duration;

use crate::admission::{LeaseState, Reason};

/// So many of them.
pub(crate) fn plural(count: u32, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// A reason, as the second half of "Refused: ...".
pub(crate) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Fits => "all limits allow it",
        Reason::Cheap => "nothing is encoded",
        Reason::Replacement => "it replaces what that screen was playing",
        Reason::Resume => "its session came back",
        Reason::Adopted => "it was running already",
        Reason::Waited => "seats came free",
        Reason::Operator => "the operator let it in",
        Reason::Observed => "over a limit that only observes",
        Reason::FailOpen => "it could not be judged",
        Reason::Yields => "somebody who goes first needs the seats",
        Reason::RunsAlone => "wider than the GPU, which was empty",
        Reason::Pressure => "seats are few, and others may come",
        Reason::UserLimit => "this user runs all the transcodes allowed",
        Reason::UserStreams => "this user runs all the streams allowed",
        Reason::ClassLimit => "this class runs all the transcodes allowed",
        Reason::ServerLimit => "the server runs all the transcodes allowed",
        Reason::UplinkFull => "the line out of the house is full",
        Reason::GpuFull => "the GPU has too few seats left",
        Reason::GpuSessions => "the GPU runs all the sessions its driver allows",
        Reason::UhdDenied => "this class may not transcode 4K",
        Reason::TranscodeDenied => "this class may not transcode",
        Reason::LibraryRule => "a rule of this library forbids it",
        Reason::TimeWindow => "not at this time of day",
        Reason::Quota => "this user's quota is used up",
        Reason::StartRate => "too many starts in a short time",
        Reason::QueueFull => "too many wait already",
        Reason::WaitedOut => "no seat came free in time",
        Reason::WaitTooLong => "no seat will come free in time",
        Reason::Superseded => "the device asked for something else",
        Reason::Paused => "the operator lets no new transcode in",
        Reason::Draining => "Finweir is stopping",
        Reason::Unreadable => "the request could not be read",
        Reason::Anonymous => "a stream without a login may not transcode",
        Reason::Revoked => "it was ended by a rule or the operator",
    }
}

/// Why a lease was let in. What speaks against the whole play is why it got a smaller picture.
pub(super) fn let_in(why: Reason) -> String {
    let plain = reason(why);
    match why {
        Reason::Fits
        | Reason::Cheap
        | Reason::Replacement
        | Reason::Resume
        | Reason::Adopted
        | Reason::Waited
        | Reason::Observed
        | Reason::FailOpen
        | Reason::RunsAlone
        | Reason::Operator => plain.to_owned(),
        Reason::Yields
        | Reason::Pressure
        | Reason::UserLimit
        | Reason::UserStreams
        | Reason::ClassLimit
        | Reason::ServerLimit
        | Reason::UplinkFull
        | Reason::GpuFull
        | Reason::GpuSessions
        | Reason::UhdDenied
        | Reason::TranscodeDenied
        | Reason::LibraryRule
        | Reason::TimeWindow
        | Reason::Quota
        | Reason::StartRate
        | Reason::QueueFull
        | Reason::WaitedOut
        | Reason::WaitTooLong
        | Reason::Superseded
        | Reason::Paused
        | Reason::Draining
        | Reason::Unreadable
        | Reason::Anonymous
        | Reason::Revoked => format!("a smaller picture: {plain}"),
    }
}

/// A state, and what it means for the seats.
pub(super) const fn state(state: LeaseState) -> (&'static str, &'static str) {
    match state {
        LeaseState::Reserved => ("reserved", "seats are held, nothing was fetched yet"),
        LeaseState::Active => ("active", "its job runs"),
        LeaseState::Parked => ("parked", "paused for long, its seats are lent out"),
        LeaseState::Finished => ("finished", "encoded to the end, holds nothing"),
        LeaseState::Lingering => ("lingering", "the viewer has left, FFmpeg is going"),
        LeaseState::Ended => ("ended", "over"),
    }
}

/// A time span as people say it: `8 s`, `12 min`, `2 h 05`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds / 60),
        _ => format!("{} h {:02}", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_was_stepped_down_says_so() {
        assert_eq!(let_in(Reason::Fits), "all limits allow it");
        assert_eq!(
            let_in(Reason::GpuFull),
            "a smaller picture: the GPU has too few seats left"
        );
    }
}
