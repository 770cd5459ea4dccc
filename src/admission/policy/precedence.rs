//! What who goes first may cost who plays: a smaller picture, or his stream.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// For whom somebody who plays steps down when he asks again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Yields {
    /// For who goes before him: a class below its share if his is above, else a class of a higher priority.
    #[default]
    ToHigher,
    /// For everybody who waits.
    Always,
    /// For nobody.
    Never,
}

/// How streams are ended for others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preemption {
    /// Between telling the viewer and ending his stream.
    pub grace: Duration,
    /// On one GPU, no more often than this.
    pub every: Duration,
}

impl Default for Preemption {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            every: Duration::from_secs(60),
        }
    }
}
