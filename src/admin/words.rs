//! What states and reasons are called where a person reads them.

use std::time::Duration;

use crate::admission::{LeaseState, Reason};

/// So many of them.
pub(crate) fn plural(count: u32, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// Why a lease was let in. What speaks against the whole play is why it got a smaller picture.
pub(super) fn let_in(why: Reason) -> String {
    let plain = why.in_words();
    if why.lets_in() {
        plain.to_owned()
    } else {
        format!("a smaller picture: {plain}")
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
