//! The loops beside the data path: comparing with `/Sessions`, timers, the local time.

use std::time::Duration;

/// How often to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `/Sessions` while anything is held or waits.
    pub poll: Duration,
    /// `/Sessions` while nothing is.
    pub idle_poll: Duration,
}
