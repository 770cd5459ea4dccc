//! When a time window holds: minutes of the week, past midnight and past Sunday.

use super::Window;
use crate::ident::ClassId;

/// Minutes in a week.
pub(in crate::admission) const WEEK: u32 = 7 * DAY;
const DAY: u32 = 24 * 60;

impl Window {
    /// Whether it holds at this minute of the week (0 = Monday 00:00).
    pub fn holds_at(&self, minute: u16) -> bool {
        self.spans()
            .any(|(start, length)| (u32::from(minute) + WEEK - start) % WEEK < length)
    }

    /// Whether it is about `class`.
    pub fn concerns(&self, class: &ClassId) -> bool {
        self.classes.is_empty() || self.classes.contains(class)
    }

    /// Minutes from `minute` until it next begins or ends; between 1 and a week. `None`: it has no day.
    pub(in crate::admission) fn next_edge(&self, minute: u16) -> Option<u32> {
        let until = |edge: u32| match (edge % WEEK + WEEK - u32::from(minute) % WEEK) % WEEK {
            0 => WEEK,
            minutes => minutes,
        };
        self.spans()
            .flat_map(|(start, length)| [until(start), until(start + length)])
            .min()
    }

    fn spans(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let (from, to) = (u32::from(self.from), u32::from(self.to));
        let length = if to > from {
            to - from
        } else {
            DAY - from.min(DAY) + to
        };
        (0..7u8)
            .filter(|day| self.days.has(*day))
            .map(move |day| (u32::from(day) * DAY + from, length))
    }
}
