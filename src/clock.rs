//! Reads the clocks: [`now`] for logic, [`wall`] for what is written down ([`unix`] as a number), [`minute_of_week`] for
//! time windows, [`local_day`] for quotas.
//!
//! Nothing else does; `clippy.toml` holds that. [`now`] is tokio's clock, so that a test with paused
//! time drives the logic too.

use std::time::{Duration, Instant, SystemTime};

use jiff::{Zoned, civil::Date};

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

/// How long after 1970 began. Before that is no time.
pub fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Seconds since 1970, to the millisecond.
pub fn unix(at: SystemTime) -> f64 {
    (since_1970(at).as_secs_f64() * 1000.0).round() / 1000.0
}

/// The minute of the week here, 0 = Monday 00:00, for time windows.
pub fn minute_of_week() -> u16 {
    let zoned = Zoned::now();
    let day = u16::try_from(zoned.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hour = u16::try_from(zoned.hour()).unwrap_or(0);
    let minute = u16::try_from(zoned.minute()).unwrap_or(0);
    day * 1440 + hour * 60 + minute
}

/// The date here, and how long it and its week last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalDay {
    /// The date.
    pub date: Date,
    /// Until the next date begins: a day may have 23 or 25 hours.
    pub day_left: Duration,
    /// Until the next Monday begins.
    pub week_left: Duration,
}

/// The date here.
pub fn local_day() -> LocalDay {
    LocalDay::at(&Zoned::now())
}

impl LocalDay {
    /// The date at this moment in this time zone.
    pub fn at(moment: &Zoned) -> Self {
        let date = moment.date();
        let until = |days: i64| {
            let end = date.checked_add(jiff::Span::new().days(days));
            // The first moment of a date, which is not midnight where the clock is put forward then.
            let end = end.and_then(|end| end.to_zoned(moment.time_zone().clone()));
            let left = end.map(|end| moment.duration_until(&end));
            let left = left.ok().and_then(|left| Duration::try_from(left).ok());
            left.unwrap_or(Duration::from_secs(86_400))
        };
        let to_monday = 7 - i64::from(date.weekday().to_monday_zero_offset());
        Self {
            date,
            day_left: until(1),
            week_left: until(to_monday),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> LocalDay {
        LocalDay::at(&text.parse().unwrap())
    }

    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        // Clocks go forward on 29 March 2026 and back on 25 October 2026, both Sundays.
        let short = at("2026-03-29T00:00:00+01:00[Europe/Berlin]");
        assert_eq!((short.day_left, short.week_left), (hours(23), hours(23)));
        let long = at("2026-10-25T00:00:00+02:00[Europe/Berlin]");
        assert_eq!((long.day_left, long.week_left), (hours(25), hours(25)));
        // The hour that is there twice is one date, and lasts less the second time.
        let first = at("2026-10-25T02:30:00+02:00[Europe/Berlin]");
        let second = at("2026-10-25T02:30:00+01:00[Europe/Berlin]");
        assert_eq!(first.date, second.date);
        assert_eq!(first.day_left - second.day_left, hours(1));
        let monday = at("2026-03-23T00:00:00+01:00[Europe/Berlin]");
        assert_eq!(monday.week_left, hours(7 * 24 - 1));
    }

    #[test]
    fn a_date_may_begin_after_midnight() {
        // In Beirut the clocks go forward at midnight: 29 March 2026 begins at 01:00.
        let before = at("2026-03-28T23:00:00+02:00[Asia/Beirut]");
        assert_eq!((before.date.day(), before.day_left), (28, hours(1)));
        let first = at("2026-03-29T01:00:00+03:00[Asia/Beirut]");
        assert_eq!((first.date.day(), first.day_left), (29, hours(23)));
    }
}
