//! Limits how often a user may start transcodes, so that a retry storm costs nothing.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DashMapStateStore,
};

use crate::ident::UserId;

type Limiter = RateLimiter<UserId, DashMapStateStore<UserId>, DefaultClock>;

/// Users remembered before the idle ones are forgotten.
const USERS: usize = 1024;

/// Starts per user and minute. A quota is fixed once built: a reload builds another.
pub struct Throttle {
    limiter: Limiter,
    clock: DefaultClock,
}

impl Throttle {
    /// Allows `per_minute` starts, `burst` of them at once.
    pub fn new(per_minute: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        Self {
            limiter: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one start of the user's, or says in how long there will be one.
    ///
    /// # Errors
    /// The time until the next start, at least a second.
    pub fn start(&self, user: &UserId) -> Result<(), Duration> {
        if self.limiter.len() > USERS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(user).map_err(|until| {
            until
                .wait_time_from(self.clock.now())
                .max(Duration::from_secs(1))
        })
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}
