//! What was refused a moment ago, so that a viewer who clicks again and a program that retries cost nothing.
//!
//! Clients repeat a refused play at once. Within [`KEEP`] the same device asking for the same item
//! gets the same answer, without Jellyfin being asked.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::{
    admission::{QuotaView, Reason},
    clock,
    ident::{DeviceId, ItemId, Token},
};

/// Long enough for a burst of retries, short enough that a second try of a person is judged anew.
const KEEP: Duration = Duration::from_secs(2);
/// Refusals remembered; beyond it all are forgotten.
const ENTRIES: usize = 4096;

type Key = (Token, Option<DeviceId>, ItemId);

/// Refusals of the last moment.
#[derive(Debug, Default)]
pub(super) struct Refused(DashMap<Key, (Instant, Said)>);

/// What was said then.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) reason: Reason,
    pub(super) retry_after: Duration,
    /// What was used up, if that was why.
    pub(super) quota: Option<QuotaView>,
}

impl Refused {
    /// Notes a refusal.
    pub(super) fn note(&self, key: Key, said: Said) {
        let now = clock::now();
        if self.0.len() >= ENTRIES {
            self.0.retain(|_, (until, ..)| *until > now);
            if self.0.len() >= ENTRIES {
                self.0.clear();
            }
        }
        self.0.insert(key, (now + KEEP, said));
    }

    /// How this was refused a moment ago, if it was.
    pub(super) fn recent(&self, key: &Key) -> Option<Said> {
        let entry = self.0.get(key)?;
        let (until, said) = &*entry;
        (*until > clock::now()).then(|| said.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_wish_is_refused_again_for_a_moment_only() {
        let refused = Refused::default();
        let key = |item: &str| (Token::new("t"), Some(DeviceId::new("d")), ItemId::new(item));
        let said = Said {
            reason: Reason::GpuFull,
            retry_after: Duration::from_secs(9),
            quota: None,
        };
        refused.note(key("a"), said.clone());
        assert_eq!(refused.recent(&key("a")), Some(said));
        assert_eq!(refused.recent(&key("b")), None);
        tokio::time::advance(KEEP).await;
        assert_eq!(refused.recent(&key("a")), None);
    }
}
