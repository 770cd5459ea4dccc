//! Turns YAML into each module's settings. Nobody below this layer names it.

use std::{sync::Arc, time::Duration};

use crate::{admin, admission::Policy, control, hop, proxy, telemetry, upstream};

/// What the program runs on: validated, nothing optional that has a default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data path's listener and wire.
    pub hop: hop::Settings,
    /// The Jellyfin servers, in the order of [`Policy::nodes`].
    pub nodes: Vec<upstream::Settings>,
    /// Everything the core decides by.
    pub policy: Arc<Policy>,
    /// How requests are judged and refused.
    pub proxy: proxy::Settings,
    /// The loops beside the data path.
    pub control: control::Settings,
    /// Logs and metrics.
    pub telemetry: telemetry::Settings,
    /// The admin listener.
    pub admin: admin::Settings,
    /// Between `/ready` going 503 and the listener closing.
    pub drain_delay: Duration,
    /// How long streams may finish after the listener has closed.
    pub drain_limit: Duration,
}
