//! Direct plays that were forced, and those that failed: what failed is not tried again for a day.
//!
//! A player that could not show a file comes back by itself and asks without direct play. Whoever does
//! so within [`SOON`] of a forced direct play of the same item says that it failed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;

use crate::{
    clock,
    ident::{DeviceId, ItemId, UserId},
};

/// How soon a player comes back that could not play.
const SOON: Duration = Duration::from_secs(60);
/// How long a failure is remembered.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Entries remembered of each kind; beyond it all are forgotten.
const ENTRIES: usize = 8192;

/// Who was made to play what: the user, the device, the program on it, and the item.
pub(super) type Attempt = (UserId, DeviceId, Arc<str>, ItemId);

/// What was tried and what failed.
#[derive(Debug, Default)]
pub(super) struct Tried {
    forced: DashMap<Attempt, Instant>,
    failed: DashMap<Attempt, Instant>,
}

impl Tried {
    /// Notes that this was made to play directly.
    pub(super) fn force(&self, attempt: Attempt) {
        put(&self.forced, attempt, SOON);
    }

    /// Notes that a player asks without direct play. `true`: what it was made to play a moment ago has failed.
    pub(super) fn comes_back(&self, attempt: &Attempt) -> bool {
        let Some((attempt, until)) = self.forced.remove(attempt) else {
            return false;
        };
        let failed = until > clock::now();
        if failed {
            put(&self.failed, attempt, DAY);
        }
        failed
    }

    /// Whether this has failed in the last day.
    pub(super) fn has_failed(&self, attempt: &Attempt) -> bool {
        let until = self.failed.get(attempt).map(|entry| *entry);
        until.is_some_and(|until| until > clock::now())
    }

    /// Everything may be tried again.
    pub(super) fn forget(&self) {
        self.forced.clear();
        self.failed.clear();
    }
}

/// Makes room, stale entries first, and notes this for so long.
fn put(map: &DashMap<Attempt, Instant>, attempt: Attempt, keep: Duration) {
    let now = clock::now();
    if map.len() >= ENTRIES {
        map.retain(|_, until| *until > now);
        if map.len() >= ENTRIES {
            map.clear();
        }
    }
    map.insert(attempt, now + keep);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(item: &str) -> Attempt {
        (
            UserId::new("u"),
            DeviceId::new("d"),
            Arc::from("web"),
            ItemId::new(item),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_within_a_minute_has_failed_for_a_day() {
        let tried = Tried::default();
        tried.force(attempt("a"));
        tokio::time::advance(SOON - Duration::from_secs(1)).await;
        assert!(!tried.comes_back(&attempt("b")));
        assert!(tried.comes_back(&attempt("a")));
        assert!(tried.has_failed(&attempt("a")) && !tried.has_failed(&attempt("b")));
        tokio::time::advance(DAY).await;
        assert!(!tried.has_failed(&attempt("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_later_changed_its_mind() {
        let tried = Tried::default();
        tried.force(attempt("a"));
        tokio::time::advance(SOON).await;
        assert!(!tried.comes_back(&attempt("a")) && !tried.has_failed(&attempt("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_can_be_forgotten() {
        let tried = Tried::default();
        tried.force(attempt("a"));
        assert!(tried.comes_back(&attempt("a")));
        tried.forget();
        assert!(!tried.has_failed(&attempt("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_items_takes_no_more_than_its_room() {
        let tried = Tried::default();
        for item in 0..ENTRIES + 10 {
            tried.force(attempt(&item.to_string()));
        }
        assert!(tried.forced.len() <= ENTRIES);
    }
}
