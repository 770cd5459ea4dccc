//! Which date it is during an evening, for quotas.

use std::time::Duration;

use jiff::{Span, civil::Date};

use super::units::Ms;
use crate::admission::Today;

const DAY: Ms = 24 * 3_600_000;
const WEEK: Ms = 7 * DAY;

/// Turns at each midnight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    /// The date that is told next.
    date: Date,
    /// When it is told.
    pub(super) next: Ms,
    /// How far the beginning of the evening is into its day, and into its week.
    into: (Ms, Ms),
}

// === impl Calendar ===

impl Calendar {
    /// `minute`: of the week, at the beginning, which is on `date`.
    pub(super) fn new(minute: u16, date: Date) -> Self {
        let week = Ms::from(minute) * 60_000;
        Self {
            date,
            next: 0,
            into: (week % DAY, week),
        }
    }

    /// The date, if it has just become one.
    pub(super) fn turn(&mut self, now: Ms) -> Option<Today> {
        if now < self.next {
            return None;
        }
        let left = |of: Ms, into: Ms| Duration::from_millis(of - (now + into) % of);
        let (day_left, week_left) = (left(DAY, self.into.0), left(WEEK, self.into.1));
        let date = self.date;
        self.date = date.saturating_add(Span::new().days(1));
        self.next = now.saturating_add(DAY - (now + self.into.0) % DAY);
        Some(Today {
            date,
            day_left,
            week_left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_told_at_the_beginning_and_at_midnight() {
        // A Sunday at ten in the evening.
        let mut calendar = Calendar::new((6 * 24 + 22) * 60, Date::constant(2026, 6, 7));
        let hours = |h: u64| Duration::from_secs(h * 3600);
        let first = calendar.turn(0);
        assert!(first.is_some_and(|t| t.date == Date::constant(2026, 6, 7)
            && t.day_left == hours(2)
            && t.week_left == hours(2)));
        assert_eq!(calendar.turn(3_600_000), None);
        assert_eq!(calendar.next, 7_200_000);
        let second = calendar.turn(7_200_000);
        assert!(second.is_some_and(|t| t.date == Date::constant(2026, 6, 8)
            && t.day_left == hours(24)
            && t.week_left == hours(7 * 24)));
    }
}
