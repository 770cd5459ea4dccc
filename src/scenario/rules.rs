//! What a policy of a scenario says, in the words that viewers are played by.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter, clock::FakeRelativeClock, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::DashMapStateStore,
};

use super::units::Ms;
use crate::{
    admission::Policy,
    ident::{ClassId, UserId},
};

/// A configuration of Finweir, as far as a simulation can play it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What the core decides by.
    pub policy: Arc<Policy>,
    /// When a player that would transcode is made to play the file as it is.
    pub direct_play: When,
    /// The same for a class, where it differs.
    pub classes: BTreeMap<ClassId, When>,
    /// The least lines of a version that may be put before a dearer one. `None`: versions stay as they come.
    pub version_floor: Option<u32>,
    /// Transcode starts of a user: how many a minute, and how many at once. `None`: as many as he likes.
    pub starts: Option<(NonZeroU32, NonZeroU32)>,
}

/// When a player that would transcode is made to play the file as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Never.
    Never,
    /// When its transcode would have to wait, or its GPU is under pressure.
    #[default]
    Pressure,
    /// Always.
    Always,
}

/// Starts per user, in virtual time.
pub(super) struct Starts {
    limiter:
        RateLimiter<UserId, DashMapStateStore<UserId>, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    now: std::cell::Cell<Ms>,
}

// === impl Rules ===

impl From<Arc<Policy>> for Rules {
    /// This policy, and of the rest what a configuration has that says nothing of it.
    fn from(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            direct_play: When::default(),
            classes: BTreeMap::new(),
            version_floor: Some(1080),
            starts: None,
        }
    }
}

// === impl Starts ===

impl Starts {
    pub(super) fn new((per_minute, burst): (NonZeroU32, NonZeroU32)) -> Self {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
            now: std::cell::Cell::new(0),
        }
    }

    /// Takes one start of the user's, if there is one.
    pub(super) fn allows(&self, now: Ms, user: &UserId) -> bool {
        let passed = now.saturating_sub(self.now.replace(now));
        self.clock.advance(Duration::from_millis(passed));
        self.limiter.check_key(user).is_ok()
    }
}

impl std::fmt::Debug for Starts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Starts")
    }
}
