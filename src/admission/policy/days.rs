//! Days of the week.

use serde::{Deserialize, Serialize};

/// Days of the week, bit 0 = Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days(u8);

// === impl Days ===

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// Takes days, 0 = Monday.
    pub fn new(days: impl IntoIterator<Item = u8>) -> Self {
        Self(
            days.into_iter()
                .filter(|d| *d < 7)
                .fold(0, |bits, day| bits | 1 << day),
        )
    }

    /// Whether `day` (0 = Monday) is one of them.
    pub fn has(self, day: u8) -> bool {
        day < 7 && self.0 & (1 << day) != 0
    }
}
