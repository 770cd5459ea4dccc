//! Whether two time windows hold for the same people at the same time.

use crate::admission::Window;

/// Minutes of a day.
const DAY: u16 = 1440;
/// Minutes of a week.
const WEEK: u32 = 7 * 1440;

pub(super) fn share_a_class(a: &Window, b: &Window) -> bool {
    a.classes.is_empty() || b.classes.is_empty() || a.classes.iter().any(|c| b.classes.contains(c))
}

/// Whether there is a minute of the week in both.
pub(super) fn overlap(a: &Window, b: &Window) -> bool {
    let spans = |w: &Window| -> Vec<(u32, u32)> {
        let length = if w.to > w.from {
            w.to - w.from
        } else {
            w.to + DAY - w.from
        };
        (0..7u8)
            .filter(|day| w.days.has(*day))
            .map(|day| {
                (
                    u32::from(day) * u32::from(DAY) + u32::from(w.from),
                    u32::from(length),
                )
            })
            .collect()
    };
    spans(a).iter().any(|(start, length)| {
        spans(b).iter().any(|(other, other_length)| {
            (other + WEEK - start) % WEEK < *length || (start + WEEK - other) % WEEK < *other_length
        })
    })
}
