//! Readiness, and everything that `/state` and the page show, in one value.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::Serialize;

use crate::{
    admission::{GpuView, LeaseView, Mode, QuotaView, Snapshot, UplinkView, WaiterView},
    clock,
    ident::NodeId,
    telemetry::{Decided, Disk, NodeHealth, Telemetry, size_in_words},
};

/// Whether the data path takes requests. Set by whoever runs it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    listening: AtomicBool,
    draining: AtomicBool,
    config_error: Mutex<Option<String>>,
}

/// The parts of readiness, each with what it says.
#[derive(Clone, Debug)]
pub(super) struct Checks(Vec<Check>);

#[derive(Clone, Debug)]
struct Check {
    name: &'static str,
    ok: bool,
    /// Whether a failure means that no requests should come here.
    decides: bool,
    says: String,
}

/// Everything that `/state` and the page show. Names are stable; new ones may come.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The running version.
    pub version: &'static str,
    /// When this was true, seconds since 1970.
    pub at: f64,
    /// What `/ready` says.
    pub ready: bool,
    /// A drain has begun.
    pub draining: bool,
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// The mode of the configuration, where the operator has changed it until the next reload.
    pub own_mode: Option<Mode>,
    /// The operator lets no new transcode in.
    pub paused: bool,
    /// Seats over all GPUs.
    pub seats_capacity: f64,
    /// Seats held, over all GPUs.
    pub seats_held: f64,
    /// Video transcodes that hold a lease.
    pub transcodes: u32,
    /// Demands that wait.
    pub queue_depth: usize,
    /// What an operator should know, in sentences.
    pub warnings: Vec<String>,
    /// Each GPU.
    pub gpus: Vec<GpuView>,
    /// Each lease that has not ended.
    pub leases: Vec<LeaseView>,
    /// Each waiting demand.
    pub waiting: Vec<WaiterView>,
    /// The line out of the house.
    pub uplink: UplinkView,
    /// Each node.
    pub nodes: Vec<NodeView>,
    /// The last decisions, newest first.
    pub recent: Vec<Decided>,
    /// What each user may still use today and this week, least first.
    pub quotas: Vec<QuotaView>,
}

/// One node now.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// Whether it answered when last asked.
    pub reachable: Option<bool>,
    /// Whether the last look at its sessions succeeded.
    pub poll: Option<bool>,
    /// Whether there is an API key for it.
    pub api_key: bool,
    /// The disk that it writes its transcodes to; null: nothing is known of it.
    pub disk: Option<Disk>,
}

// === impl Readiness ===

impl Readiness {
    /// Starts as not listening.
    pub fn new() -> Self {
        Self::default()
    }

    /// The data path takes requests.
    pub fn listening(&self) {
        self.0.listening.store(true, Ordering::Release);
    }

    /// The data path is about to stop: `/ready` says so from now on.
    pub fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// The last configuration was rejected, and why; `None`: it was taken. The text is shown to operators.
    pub fn config_error(&self, error: Option<String>) {
        if let Ok(mut slot) = self.0.config_error.lock() {
            *slot = error;
        }
    }

    /// Looks at every part.
    pub(super) fn checks(&self, telemetry: &Telemetry) -> Checks {
        let listening = self.0.listening.load(Ordering::Acquire);
        let draining = self.0.draining.load(Ordering::Acquire);
        let nodes = telemetry.nodes();
        let down = |node: &&NodeHealth| node.reachable == Some(false);
        // A node that was never asked may well answer.
        let jellyfin = nodes.is_empty() || !nodes.iter().all(|node| down(&node));
        let names: Vec<_> = nodes
            .iter()
            .filter(down)
            .map(|node| node.node.as_str())
            .collect();
        let error = self.0.config_error.lock().map(|e| e.clone()).ok().flatten();
        let config = error.is_none() && telemetry.config_ok();
        let check = |name, decides, ok, good: &str, bad: String| Check {
            name,
            ok,
            decides,
            says: if ok { good.to_owned() } else { bad },
        };
        Checks(vec![
            check("listening", true, listening, "yes", "not yet".to_owned()),
            check("draining", true, !draining, "no", "stopping".to_owned()),
            check(
                "jellyfin",
                true,
                jellyfin,
                "reachable",
                format!("no answer from {}", names.join(", ")),
            ),
            check(
                "config",
                false,
                config,
                "the last one is in force",
                format!(
                    "the last one was rejected, the one before is in force{}",
                    error.map(|e| format!(": {e}")).unwrap_or_default()
                ),
            ),
        ])
    }
}

// === impl Checks ===

impl Checks {
    /// Whether requests should come here.
    pub(super) fn ready(&self) -> bool {
        self.0.iter().all(|check| check.ok || !check.decides)
    }

    fn failed(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|check| check.name == name && !check.ok)
            .map(|check| check.says.as_str())
    }

    /// One line, or one for each part.
    pub(super) fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        if self.ready() {
            out.push_str("ready\n");
        } else {
            let why: Vec<_> = self
                .0
                .iter()
                .filter(|check| check.decides && !check.ok)
                .map(|check| format!("{}: {}", check.name, check.says))
                .collect();
            out.push_str(&format!("not ready: {}\n", why.join("; ")));
        }
        if verbose {
            for check in &self.0 {
                let sign = if check.ok { '+' } else { '-' };
                out.push_str(&format!("[{sign}] {}: {}\n", check.name, check.says));
            }
        }
        out
    }
}

// === impl View ===

impl View {
    /// Puts together what is known at `at`.
    pub(super) fn new(
        at: SystemTime,
        snapshot: Snapshot,
        recent: Vec<Decided>,
        nodes: Vec<NodeHealth>,
        keyless: &[NodeId],
        checks: &Checks,
    ) -> Self {
        let nodes: Vec<_> = nodes
            .into_iter()
            .map(|health| NodeView {
                api_key: !keyless.iter().any(|node| node.as_str() == health.node),
                node: health.node,
                reachable: health.reachable,
                poll: health.poll,
                disk: health.disk,
            })
            .collect();
        let sum = |of: fn(&GpuView) -> f64| {
            // Not `sum`, which makes -0 of nothing.
            let sum = snapshot.gpus.iter().map(of).fold(0.0, |a, b| a + b);
            (sum * 1000.0).round() / 1000.0
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at: clock::unix(at),
            ready: checks.ready(),
            draining: checks.failed("draining").is_some(),
            mode: snapshot.mode,
            own_mode: snapshot.own_mode,
            paused: snapshot.paused,
            seats_capacity: sum(|gpu| gpu.capacity.as_f64()),
            seats_held: sum(|gpu| gpu.held.as_f64()),
            transcodes: snapshot.transcodes,
            queue_depth: snapshot.waiting.len(),
            warnings: warnings(&nodes, checks, &snapshot),
            gpus: snapshot.gpus,
            leases: snapshot.leases,
            waiting: snapshot.waiting,
            uplink: snapshot.uplink,
            nodes,
            recent,
            quotas: Vec::new(),
        }
    }
}

fn warnings(nodes: &[NodeView], checks: &Checks, snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    if checks.failed("draining").is_some() {
        out.push("Stopping: nothing new is let in, running streams finish.".to_owned());
    }
    if let Some(says) = checks.failed("config") {
        out.push(format!("Configuration: {says}."));
    }
    for node in nodes {
        let name = &node.node;
        if node.reachable == Some(false) {
            out.push(format!(
                "{name} does not answer: is it running, and is its address right? Until it does, nothing new plays here."
            ));
        }
        if !node.api_key {
            out.push(format!(
                "No API key for {name}: what it runs can't be seen, so seats come free later than they could, and \
                 streams that ran before a restart are not known. Make one in Jellyfin's dashboard and set `api_key_file`."
            ));
        } else if node.poll == Some(false) && node.reachable != Some(false) {
            out.push(format!(
                "The sessions of {name} can't be read: is the API key right? Seats come free by requests and time only."
            ));
        }
        if let Some(disk) = node.disk.as_ref().filter(|disk| disk.filling) {
            let folder = disk.path.as_deref();
            let folder = folder.map_or_else(String::new, |path| format!(" ({path})"));
            out.push(format!(
                "The disk that {name} writes its transcodes to{folder} is filling: {} are free. When it is full, every \
                 transcode stops. Make room there, or let Jellyfin delete segments that were watched (Playback, \
                 Transcoding).",
                size_in_words(disk.free)
            ));
        }
    }
    for gpu in snapshot.gpus.iter().filter(|gpu| gpu.learned < gpu.given) {
        out.push(format!(
            "{} carries {} of the {} seats that are set: more made streams stutter. It is raised again by and by; if it \
             stays so, set less.",
            gpu.gpu, gpu.learned, gpu.given
        ));
    }
    for gpu in snapshot.gpus.iter().filter(|gpu| gpu.starving > 0) {
        out.push(format!(
            "{} is too slow for {} now: the encoder falls behind the viewer.",
            gpu.gpu,
            super::words::plural(gpu.starving, "stream")
        ));
    }
    let strays = snapshot.leases.iter().filter(|lease| lease.stray).count();
    if strays > 0 {
        let strays = super::words::plural(u32::try_from(strays).unwrap_or(u32::MAX), "transcode");
        out.push(format!(
            "{strays} did not begin here: it seems that Jellyfin can be reached past Finweir. Close its port to all but \
             Finweir and what looks after it."
        ));
    }
    out
}
