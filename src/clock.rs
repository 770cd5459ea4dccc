//! Reads the clocks: [`now`] for logic, [`wall`] for what is written down, [`minute_of_week`] for time windows.
//!
//! Nothing else does; `clippy.toml` holds that. [`now`] is tokio's clock, so that a test with paused
//! time drives the logic too.

use std::time::{Instant, SystemTime};

/// The time by which everything is decided. Monotonic.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day, for logs and `/state`.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// The minute of the week here, 0 = Monday 00:00, for time windows.
pub fn minute_of_week() -> u16 {
    let zoned = jiff::Zoned::now();
    let day = u16::try_from(zoned.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hour = u16::try_from(zoned.hour()).unwrap_or(0);
    let minute = u16::try_from(zoned.minute()).unwrap_or(0);
    day * 1440 + hour * 60 + minute
}
