//! Lets async code wait on [`Admission`].
//!
//! One mutex, held for microseconds, never across `.await`. One function touches the state: lock, apply, take the
//! events, unlock, then deliver.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use crate::{
    admission::{Admission, Policy, Snapshot},
    telemetry::Telemetry,
};

/// The async face of the core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<Admission>,
    telemetry: Telemetry,
}

impl Gate {
    /// Starts empty under `policy`.
    pub fn new(now: Instant, policy: Arc<Policy>, telemetry: Telemetry) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(Admission::new(now, policy)),
            telemetry,
        }))
    }

    /// Shows all that is held and waiting.
    pub fn snapshot(&self) -> Snapshot {
        let now = crate::clock::now();
        let _ = &self.0.telemetry;
        self.0
            .state
            .lock()
            .map(|state| state.snapshot(now))
            .unwrap_or_default()
    }

    /// Takes the policy in force.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.0.state.lock().map(|state| state.policy().clone()).ok()
    }
}
