//! Takes events; makes metrics, log lines and the list of last decisions of them. Nothing else counts decisions.
//!
//! What each metric means is in `docs/metrics.md`, which a test holds to the registry.

mod count;
mod disk;
mod exemplars;
mod families;
mod labels;
mod logging;
mod metrics;
mod openmetrics;
mod recent;
mod spool;
#[cfg(test)]
mod tests;
#[cfg(feature = "otlp")]
mod traced;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::Serialize;
use tracing::{info, warn};

#[cfg(feature = "otlp")]
pub use self::traced::Traced;
pub use self::{
    disk::{Disk, size_in_words},
    logging::{LogError, init_logging},
    metrics::UPSTREAM_FAILURES,
    recent::KEPT,
    spool::LogGuard,
};
use self::{
    labels::{Decision, Users},
    logging::Quiet,
    metrics::Metrics,
    recent::Recent,
};
use crate::{
    admission::{Event, QuotaView, Reason, Snapshot},
    clock,
    ident::{DecisionId, NodeId},
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

/// What became of a direct play that Jellyfin was asked for in place of a transcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectPlay {
    /// The client was told to play the file.
    Played,
    /// The video is copied.
    Remuxed,
    /// Jellyfin encodes it all the same.
    Unplayable,
    /// The client could not play it and came back.
    Failed,
    /// Jellyfin did not answer a second time.
    Unanswered,
}

/// What became of a word to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// The receiver took it.
    Sent,
    /// The receiver did not answer, or was busy; it is tried again.
    Retried,
    /// The receiver does not want it: it is not tried again.
    Failed,
    /// A newer word about the same took its place before it was sent.
    Replaced,
    /// The queue of the receiver was full.
    Dropped,
    /// Too many words in a short time: it waits until there may be one.
    HeldBack,
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
    /// Its number: `finweir explain` takes it.
    pub id: DecisionId,
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

/// What is known of a node, for the status page and `/ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// Its name.
    pub node: String,
    /// Whether the last look at its sessions succeeded; `None` before the first, and without an API key.
    pub poll: Option<bool>,
    /// Whether it answered when last asked anything; `None` before that.
    pub reachable: Option<bool>,
    /// The disk that it writes its transcodes to; `None`: nothing is known of it.
    pub disk: Option<Disk>,
}

/// Metrics, log lines and the last decisions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    users: Users,
    names: bool,
    recent: Recent,
    nodes: Mutex<BTreeMap<String, NodeHealth>>,
    config_ok: AtomicBool,
    /// Plays that were refused, since the start.
    refusals: AtomicU64,
    journal_trouble: AtomicBool,
    #[cfg(feature = "otlp")]
    tracer: traced::Tracer,
    quiet_upstream: Quiet,
    /// In the order of [`FailOpen::ALL`].
    quiet_fail_open: Vec<Quiet>,
}

impl Telemetry {
    /// Registers every metric.
    pub fn new(settings: &Settings) -> Self {
        let now = clock::now();
        let nodes = settings.nodes.iter().map(|node| {
            let health = NodeHealth {
                node: node.clone(),
                ..NodeHealth::default()
            };
            (node.clone(), health)
        });
        let metrics = Metrics::new(settings);
        metrics.reloaded(true, clock::unix(clock::wall()));
        Self(Arc::new(Inner {
            metrics,
            users: Users::new(settings.user_label),
            names: settings.user_label == UserLabel::Name,
            recent: Recent::default(),
            nodes: Mutex::new(nodes.collect()),
            config_ok: AtomicBool::new(true),
            refusals: AtomicU64::new(0),
            journal_trouble: AtomicBool::new(false),
            #[cfg(feature = "otlp")]
            tracer: traced::Tracer::default(),
            quiet_upstream: Quiet::new(now),
            quiet_fail_open: FailOpen::ALL.iter().map(|_| Quiet::new(now)).collect(),
        }))
    }

    /// Counts and logs what the core did: the only place where decisions are counted.
    pub fn record(&self, events: &[Event]) {
        for event in events {
            logging::log(event, self.0.names);
            self.0.metrics.count(event, &self.0.users);
            if let Some(decision) = Decision::of(event) {
                if decision.turns_away() {
                    self.0.refusals.fetch_add(1, Ordering::Relaxed);
                }
                #[cfg(feature = "otlp")]
                self.0.tracer.tell(&decision, self.0.names);
                self.0.recent.push(Decided::new(clock::wall(), &decision));
            }
        }
    }

    /// Sets the gauges that show what is held and waiting.
    pub fn observe(&self, snapshot: &Snapshot) {
        self.0.metrics.observe(snapshot, &self.0.users);
    }

    /// Sets the gauges that show how much of the quotas is used.
    pub fn quotas(&self, quotas: &[QuotaView]) {
        self.0.metrics.quotas(quotas);
    }

    /// Counts one request that went upstream.
    pub fn request(
        &self,
        route: Served,
        status: Option<u16>,
        first_byte: Option<Duration>,
        bytes: u64,
    ) {
        self.0.metrics.request(route, status, first_byte, bytes);
    }

    /// Counts one failure of an upstream. `kind` is the label of a failure of the hop.
    pub fn upstream_failure(&self, node: &NodeId, kind: &'static str) {
        self.0.metrics.upstream_failure(node, kind);
        if let Some(held_back) = self.0.quiet_upstream.pass(clock::now()) {
            warn!(
                node = node.as_str(),
                kind, held_back, "A request to Jellyfin failed"
            );
        }
    }

    /// Counts and logs a request that passed unjudged.
    pub fn fail_open(&self, why: FailOpen) {
        self.0.metrics.fail_open(why);
        let quiet = self.0.quiet_fail_open.get(why as usize);
        if let Some(held_back) = quiet.and_then(|quiet| quiet.pass(clock::now())) {
            warn!(why = why.as_str(), held_back, "{}", why.words());
        }
    }

    /// Counts what became of a direct play that was asked for in place of a transcode.
    pub fn direct_play(&self, result: DirectPlay) {
        self.0.metrics.direct_play(result);
    }

    /// Counts records that were written to the journal.
    pub fn journal_written(&self, records: u64, bytes: usize) {
        self.0.metrics.journal_written(records, bytes);
    }

    /// Counts records that found no room on their way to the journal.
    pub fn journal_lost(&self, records: u64) {
        self.0.metrics.journal_lost(records);
        self.journal_trouble(true);
    }

    /// Counts a write to the journal that failed, and the records that are lost with it.
    pub fn journal_failed(&self, records: u64) {
        self.0.metrics.journal_failed(records);
        self.journal_trouble(true);
    }

    /// Tells `tell` of each decision from now on. It may not block; only the first one that is given is told.
    #[cfg(feature = "otlp")]
    pub fn trace(&self, tell: impl Fn(&Traced<'_>) + Send + Sync + 'static) {
        self.0.tracer.set(Box::new(tell));
    }

    /// Counts what became of a word to the operator.
    pub fn sent(&self, sent: Sent) {
        self.0.metrics.sent(sent);
    }

    /// Says whether the journal is in trouble: it can't be written, or records were lost. The metric shows it, and
    /// the operator is told.
    pub fn journal_trouble(&self, trouble: bool) {
        self.0.journal_trouble.store(trouble, Ordering::Relaxed);
        self.0.metrics.journal(trouble);
    }

    /// Whether the journal is in trouble.
    pub fn has_journal_trouble(&self) -> bool {
        self.0.journal_trouble.load(Ordering::Relaxed)
    }

    /// How many plays were refused since the start, not counting those whose viewer had gone on to something else.
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, ok: bool, at: SystemTime) {
        self.0.metrics.reload(ok);
        self.0.metrics.reloaded(ok, clock::unix(at));
        self.0.config_ok.store(ok, Ordering::Relaxed);
    }

    /// Notes whether the last poll of `/Sessions` succeeded. Logs when that changes.
    pub fn polled(&self, node: &NodeId, ok: bool) {
        self.0.metrics.polled(node, ok);
        let before = self.health(node, |health| {
            if ok {
                health.reachable = Some(true);
            }
            health.poll.replace(ok)
        });
        match (before, ok) {
            (Some(true) | None, false) => warn!(
                node = node.as_str(),
                "Can't see what Jellyfin runs: leases go by requests and time"
            ),
            (Some(false), true) => info!(node = node.as_str(), "Sees again what Jellyfin runs"),
            (Some(true) | None, true) | (Some(false), false) => {}
        }
    }

    /// Notes whether a node answered when it was asked for its health. Logs when that changes.
    pub fn reachable(&self, node: &NodeId, ok: bool) {
        self.0.metrics.reachable(node, ok);
        let before = self.health(node, |health| health.reachable.replace(ok));
        match (before, ok) {
            (Some(true) | None, false) => warn!(node = node.as_str(), "Jellyfin does not answer"),
            (Some(false), true) => info!(node = node.as_str(), "Jellyfin answers again"),
            (Some(true) | None, true) | (Some(false), false) => {}
        }
    }

    /// Notes how full the disk of a node is; `None`: nothing is known of it. Logs when it begins to fill, and when it has
    /// room again.
    pub fn disk(&self, node: &NodeId, disk: Option<Disk>) {
        self.0.metrics.disk(node, disk.as_ref());
        let before = self.health(node, |health| {
            std::mem::replace(&mut health.disk, disk.clone())
        });
        let Some(disk) = disk else { return };
        let free = size_in_words(disk.free);
        match (before.is_some_and(|disk| disk.filling), disk.filling) {
            (false, true) => warn!(
                node = node.as_str(),
                path = disk.path,
                free,
                "The disk that Jellyfin writes its transcodes to is filling"
            ),
            (true, false) => info!(
                node = node.as_str(),
                path = disk.path,
                free,
                "The disk that Jellyfin writes its transcodes to has room again"
            ),
            (true, true) | (false, false) => {}
        }
    }

    fn health<T: Default>(&self, node: &NodeId, change: impl FnOnce(&mut NodeHealth) -> T) -> T {
        let Ok(mut nodes) = self.0.nodes.lock() else {
            return T::default();
        };
        let health = nodes.entry(node.to_string()).or_default();
        node.as_str().clone_into(&mut health.node);
        change(health)
    }

    /// What is known of each node, by name.
    pub fn nodes(&self) -> Vec<NodeHealth> {
        self.0
            .nodes
            .lock()
            .map(|nodes| nodes.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether the last reload of the configuration succeeded.
    pub fn config_ok(&self) -> bool {
        self.0.config_ok.load(Ordering::Relaxed)
    }

    /// The last decisions, newest first; at most [`KEPT`].
    pub fn recent(&self) -> Vec<Decided> {
        self.0.recent.list()
    }

    /// All metrics in OpenMetrics 1.0, with the last decision in each bucket of the waits.
    pub fn gather_open(&self) -> String {
        self.0.metrics.open()
    }

    /// All metrics in Prometheus' text format 0.0.4.
    pub fn gather(&self) -> String {
        self.0.metrics.text()
    }
}
