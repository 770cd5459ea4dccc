//! Every metric of the program, in a registry of its own. Only this file and [`super::openmetrics`] name `prometheus`.
//!
//! A field of a `metrics!` struct is one family: `finweir_` and the field's name make its name, the doc comment is its
//! help text. Label values come from closed enums or from the configuration and stand at 0 from the start, so that
//! a rate is seen from the first event on. The exception is `user`, on two counters only, where values appear as
//! users do.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

use super::{
    DirectPlay, FailOpen, Sent, Served, Settings, UserLabel,
    exemplars::Exemplars,
    labels::{QueueOutcome, Verdict},
    openmetrics,
};
use crate::admission::{Ended, LeaseState, Measure, Order, Period, Reason, Reconciled};

/// Seconds from the whole request sent to the first byte of the answer. Up to 30 s: a first segment of a 4K
/// transcode on a slow device takes that long.
const FIRST_BYTE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Seconds of waiting. The longest patience of a known client is about a minute.
const WAIT: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];

/// The label `kind` of `upstream_failures_total`: what the hop calls failures that are the upstream's.
pub const UPSTREAM_FAILURES: &[&str] = &[
    "connect",
    "connect-timeout",
    "tls",
    "first-byte-timeout",
    "truncated",
    "malformed",
    "idle-timeout",
];

/// The label `code`: the class of the status, or `none` where the client left before one was sent.
const CODES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A kind of family that [`metrics!`] can make.
trait Family: Collector + Clone + 'static {
    fn make(opts: Opts, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self>;
}

macro_rules! family {
    ($($scalar:ident $vector:ident)*) => {$(
        impl Family for $scalar {
            fn make(opts: Opts, _: &[&str], _: &[f64]) -> prometheus::Result<Self> {
                Self::with_opts(opts)
            }
        }
        impl Family for $vector {
            fn make(opts: Opts, labels: &[&str], _: &[f64]) -> prometheus::Result<Self> {
                Self::new(opts, labels)
            }
        }
    )*};
}

family! { IntCounter IntCounterVec  IntGauge IntGaugeVec  Gauge GaugeVec }

impl Family for Histogram {
    fn make(opts: Opts, _: &[&str], buckets: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()))
    }
}

impl Family for HistogramVec {
    fn make(opts: Opts, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
    }
}

fn register<F: Family>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> F {
    let made = F::make(Opts::new(name, help.trim()), labels, buckets)
        .and_then(|family| registry.register(Box::new(family.clone())).map(|()| family));
    made.expect("names and labels are written in this file, and a test registers them all")
}

macro_rules! metrics {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[doc = $help:literal])+ $field:ident: $family:ident [$($label:literal),*] $(in $buckets:ident)?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(super) struct $name { $($(#[doc = $help])+ pub(super) $field: $family,)* }

        impl $name {
            fn register(registry: &Registry) -> Self {
                Self {
                    $($field: register(
                        registry,
                        concat!("finweir_", stringify!($field)),
                        concat!($($help),+),
                        &[$($label),*],
                        metrics!(@buckets $($buckets)?),
                    ),)*
                }
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { $buckets };
}

metrics! {
    /// All families.
    Families {
        /// Decisions about demands. One that waits is counted as queue, and again when its wait ends.
        decisions_total: IntCounterVec ["decision", "reason"],
        /// Demands that were let in although a rule that only observes would have held or refused them.
        would_have_decisions_total: IntCounterVec ["reason"],
        /// The used part of a quota, of whoever has used most of his. Each user's is in /state and on the page.
        quota_used_ratio: GaugeVec ["measure", "period"],
        /// Decisions by user, at most 50 users; the rest counts as other. The label is empty unless configured.
        user_decisions_total: IntCounterVec ["user", "decision"],
        /// Refusals by user and reason, at most 50 users; the rest counts as other.
        user_refusals_total: IntCounterVec ["user", "reason"],
        /// Seats that may be handed out, headroom already taken off.
        gpu_seats_capacity: GaugeVec ["gpu"],
        /// Seats that leases hold.
        gpu_seats_held: GaugeVec ["gpu"],
        /// Seats that are held for an answer whose FFmpeg has not started.
        gpu_seats_reserved: GaugeVec ["gpu"],
        /// Seats of paused viewers that are lent out; each may take them back at once, beyond what is free.
        gpu_seats_lent: GaugeVec ["gpu"],
        /// Transcodes that hold seats.
        gpu_sessions: IntGaugeVec ["gpu"],
        /// Demands that wait for a GPU.
        gpu_waiting: IntGaugeVec ["gpu"],
        /// Changes of a GPU's capacity, learned or by policy.
        gpu_capacity_changes_total: IntCounterVec ["gpu"],
        /// What the line out of the house carries. Infinite, if it is not limited.
        uplink_limit_bytes_per_second: Gauge [],
        /// What flows out of the house: the bitrate of all plays of viewers outside (streams), and what is measured beside them (other).
        uplink_bytes_per_second: GaugeVec ["what"],
        /// Demands that wait for the line out of the house.
        uplink_waiting: IntGauge [],
        /// Transcodes that are slower than their viewers, who have little in hand: somebody is about to stall.
        gpu_starving: IntGaugeVec ["gpu"],
        /// Seats that leases hold, by node and the GPU it encodes on.
        node_gpu_seats_held: GaugeVec ["node", "gpu"],
        /// Leases that have not ended, by user and node. The label user is that of the counters by user.
        user_leases: IntGaugeVec ["user", "node"],
        /// Seats that leases hold, by user and node.
        user_seats_held: GaugeVec ["user", "node"],
        /// Leases that have not ended, by state.
        leases: IntGaugeVec ["state"],
        /// Leases that have not ended, by class.
        class_leases: IntGaugeVec ["class"],
        /// Leases that were given out.
        leases_started_total: IntCounter [],
        /// Leases that ended, by how.
        leases_ended_total: IntCounterVec ["ended"],
        /// Video transcodes that hold a lease.
        transcodes: IntGauge [],
        /// Video transcodes that hold seats, by node.
        node_transcodes: IntGaugeVec ["node"],
        /// Jobs that Finweir asked Jellyfin to end, by why.
        jobs_ended_total: IntCounterVec ["ended"],
        /// What the operator did by hand.
        operator_actions_total: IntCounterVec ["action"],
        /// Streams that were to be ended for somebody else, by what the viewer was told.
        preemptions_total: IntCounterVec ["told"],
        /// Demands that wait, by class.
        queue_depth: IntGaugeVec ["class"],
        /// How long demands waited, however the wait ended.
        queue_wait_seconds: Histogram [] in WAIT,
        /// How waits ended.
        queue_outcomes_total: IntCounterVec ["outcome"],
        /// Requests that went upstream, by route and class of status.
        requests_total: IntCounterVec ["route", "code"],
        /// From the whole request sent to the first byte of Jellyfin's answer.
        upstream_first_byte_seconds: HistogramVec ["route"] in FIRST_BYTE,
        /// Body bytes sent to clients.
        proxied_bytes_total: IntCounterVec ["route"],
        /// Failures of a node on the data path.
        upstream_failures_total: IntCounterVec ["node", "kind"],
        /// Requests that passed although they could not be judged.
        fail_open_total: IntCounterVec ["why"],
        /// Direct plays that Jellyfin was asked for in place of a transcode, by result.
        direct_play_total: IntCounterVec ["result"],
        /// Disagreements between the leases and what Jellyfin says is running.
        reconciliations_total: IntCounterVec ["kind"],
        /// Whether the last look at the sessions of a node succeeded. 0 before the first, and without an API key.
        jellyfin_poll_up: IntGaugeVec ["node"],
        /// Whether a node answered when last asked for its health. 1 until it was first asked.
        jellyfin_up: IntGaugeVec ["node"],
        /// Bytes free where a node writes its transcodes. Not there while that is not known.
        jellyfin_disk_free_bytes: IntGaugeVec ["node"],
        /// Whether less than jellyfin.disk_free is free where a node writes its transcodes, until a quarter more is. Not there while that is not known.
        jellyfin_disk_filling: IntGaugeVec ["node"],
        /// Whether the last reload of the configuration succeeded. The start counts as one.
        config_last_reload_successful: IntGauge [],
        /// When the configuration was last loaded with success.
        config_last_reload_success_timestamp_seconds: Gauge [],
        /// Reloads of the configuration, by result.
        config_reloads_total: IntCounterVec ["result"],
        /// Records written to the journal.
        journal_records_total: IntCounter [],
        /// Bytes written to the journal.
        journal_bytes_total: IntCounter [],
        /// Records that were not written: the list was full, or the disk failed.
        journal_lost_total: IntCounter [],
        /// Writes to the journal that failed.
        journal_write_errors_total: IntCounter [],
        /// Words sent to the operator, by what became of them, for each receiver.
        notifications_total: IntCounterVec ["outcome"],
        /// Whether the journal can't be written (1) or can (0).
        journal_trouble: IntGauge [],
        /// Whether decisions are enforced (1) or only recorded (0).
        enforcing: IntGauge [],
        /// The running version. Always 1.
        build_info: IntGaugeVec ["version"],
    }
}

/// The registry, its families, and the counters of the data path resolved once.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    pub(super) families: Families,
    /// In the order of [`Served::ALL`].
    routes: Vec<Route>,
    /// Label values of the gauges that count leases, so that what is gone is shown as 0.
    pub(super) seen: Mutex<Seen>,
    pub(super) exemplars: Exemplars,
}

/// Label values that were ever shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) gpus: BTreeSet<String>,
    pub(super) classes: BTreeSet<String>,
    pub(super) nodes: BTreeSet<String>,
    /// User and node. As many as the label `user` has values, for each node.
    pub(super) users: BTreeSet<(String, String)>,
    /// Node and GPU.
    pub(super) node_gpus: BTreeSet<(String, String)>,
}

/// What is counted for each request of one route: no label is looked up on the way.
#[derive(Debug)]
struct Route {
    /// In the order of [`CODES`].
    codes: [IntCounter; CODES.len()],
    first_byte: Histogram,
    bytes: IntCounter,
}

impl Metrics {
    /// Registers every family and every label value that can be known.
    pub(super) fn new(settings: &Settings) -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry);
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("its names do not begin with ours");
        families.fill(settings);
        let routes = Served::ALL
            .iter()
            .map(|served| Route {
                codes: CODES.map(|code| {
                    families
                        .requests_total
                        .with_label_values(&[served.as_str(), code])
                }),
                first_byte: families
                    .upstream_first_byte_seconds
                    .with_label_values(&[served.as_str()]),
                bytes: families
                    .proxied_bytes_total
                    .with_label_values(&[served.as_str()]),
            })
            .collect();
        Self {
            registry,
            families,
            routes,
            seen: Mutex::new(Seen {
                gpus: settings.gpus.iter().cloned().collect(),
                classes: settings.classes.iter().cloned().collect(),
                nodes: settings.nodes.iter().cloned().collect(),
                ..Seen::default()
            }),
            exemplars: Exemplars::new(WAIT),
        }
    }

    /// Counts one request.
    pub(super) fn request(
        &self,
        served: Served,
        status: Option<u16>,
        first_byte: Option<Duration>,
        bytes: u64,
    ) {
        let Some(route) = self.routes.get(served as usize) else {
            return;
        };
        let class = status.map_or(0, |status| usize::from(status / 100).min(CODES.len() - 1));
        if let Some(counter) = route.codes.get(class) {
            counter.inc();
        }
        if let Some(first_byte) = first_byte {
            route.first_byte.observe(first_byte.as_secs_f64());
        }
        if bytes > 0 {
            route.bytes.inc_by(bytes);
        }
    }

    /// All of it in OpenMetrics 1.0, each bucket of the waits with the last decision that fell into it.
    pub(super) fn open(&self) -> String {
        let wait = "finweir_queue_wait_seconds";
        openmetrics::encode(&self.registry.gather(), |family, bucket| {
            (family == wait)
                .then(|| self.exemplars.of(bucket))
                .flatten()
        })
    }

    /// All of it in text format 0.0.4.
    pub(super) fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("families that could be registered can be written")
    }
}

impl Families {
    /// Puts every label value that can be known at 0.
    fn fill(&self, settings: &Settings) {
        // With names or ids the series appear as users do.
        let nameless = settings.user_label == UserLabel::None;
        for verdict in Verdict::ALL.iter().filter(|_| nameless) {
            self.user_decisions_total
                .with_label_values(&["", verdict.as_str()]);
        }
        for measure in Measure::ALL {
            for period in Period::ALL {
                self.quota_used_ratio
                    .with_label_values(&[measure.as_str(), period.as_str()]);
            }
        }
        for reason in Reason::ALL {
            for verdict in possible(*reason) {
                self.decisions_total
                    .with_label_values(&[verdict.as_str(), reason.as_str()]);
            }
            if possible(*reason).contains(&Verdict::Reject) {
                self.would_have_decisions_total
                    .with_label_values(&[reason.as_str()]);
                if nameless {
                    self.user_refusals_total
                        .with_label_values(&["", reason.as_str()]);
                }
            }
        }
        for gpu in &settings.gpus {
            for gauge in [
                &self.gpu_seats_capacity,
                &self.gpu_seats_held,
                &self.gpu_seats_reserved,
                &self.gpu_seats_lent,
            ] {
                gauge.with_label_values(&[gpu.as_str()]);
            }
            self.gpu_sessions.with_label_values(&[gpu.as_str()]);
            self.gpu_waiting.with_label_values(&[gpu.as_str()]);
            self.gpu_starving.with_label_values(&[gpu.as_str()]);
            self.gpu_capacity_changes_total
                .with_label_values(&[gpu.as_str()]);
        }
        self.uplink_limit_bytes_per_second.set(f64::INFINITY);
        for what in ["streams", "other"] {
            self.uplink_bytes_per_second.with_label_values(&[what]);
        }
        for class in &settings.classes {
            self.class_leases.with_label_values(&[class.as_str()]);
            self.queue_depth.with_label_values(&[class.as_str()]);
        }
        for node in &settings.nodes {
            // Which of several GPUs a node encodes on is known from its first lease.
            if let [gpu] = settings.gpus.as_slice() {
                self.node_gpu_seats_held
                    .with_label_values(&[node.as_str(), gpu.as_str()]);
            }
            if nameless {
                self.user_leases.with_label_values(&["", node.as_str()]);
                self.user_seats_held.with_label_values(&["", node.as_str()]);
            }
            self.node_transcodes.with_label_values(&[node.as_str()]);
            self.jellyfin_poll_up.with_label_values(&[node.as_str()]);
            self.jellyfin_up.with_label_values(&[node.as_str()]).set(1);
            for kind in UPSTREAM_FAILURES {
                self.upstream_failures_total
                    .with_label_values(&[node.as_str(), *kind]);
            }
        }
        for state in LeaseState::ALL.iter().filter(|s| **s != LeaseState::Ended) {
            self.leases.with_label_values(&[state.as_str()]);
        }
        for ended in Ended::ALL {
            self.leases_ended_total.with_label_values(&[ended.as_str()]);
        }
        for told in ["announced", "spared"] {
            self.preemptions_total.with_label_values(&[told]);
        }
        for ended in [
            Ended::DeadPlayer,
            Ended::Parked,
            Ended::Preempted,
            Ended::Revoked,
        ] {
            self.jobs_ended_total.with_label_values(&[ended.as_str()]);
        }
        for action in Order::NAMES {
            self.operator_actions_total.with_label_values(&[*action]);
        }
        for outcome in QueueOutcome::ALL {
            self.queue_outcomes_total
                .with_label_values(&[outcome.as_str()]);
        }
        for why in FailOpen::ALL {
            self.fail_open_total.with_label_values(&[why.as_str()]);
        }
        for result in DirectPlay::ALL {
            self.direct_play_total.with_label_values(&[result.as_str()]);
        }
        for kind in Reconciled::ALL {
            self.reconciliations_total
                .with_label_values(&[kind.as_str()]);
        }
        for sent in Sent::ALL {
            self.notifications_total.with_label_values(&[sent.as_str()]);
        }
        for result in ["success", "failure"] {
            self.config_reloads_total.with_label_values(&[result]);
        }
        self.build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
    }
}

/// The decisions that a reason can stand for. What else should occur is counted all the same, from then on.
fn possible(reason: Reason) -> &'static [Verdict] {
    match reason {
        Reason::Fits
        | Reason::Cheap
        | Reason::Replacement
        | Reason::Resume
        | Reason::Adopted
        | Reason::Waited
        | Reason::Observed
        | Reason::FailOpen
        | Reason::RunsAlone
        | Reason::Operator => &[Verdict::Admit],
        Reason::Yields => &[Verdict::Downgrade],
        Reason::Pressure => &[Verdict::Downgrade],
        Reason::UserLimit
        | Reason::UserStreams
        | Reason::ClassLimit
        | Reason::ServerLimit
        | Reason::UplinkFull
        | Reason::GpuFull
        | Reason::GpuSessions
        | Reason::LibraryRule
        | Reason::Paused
        | Reason::TimeWindow => &[Verdict::Queue, Verdict::Downgrade, Verdict::Reject],
        Reason::UhdDenied | Reason::TranscodeDenied | Reason::Quota => {
            &[Verdict::Downgrade, Verdict::Reject]
        }
        Reason::StartRate
        | Reason::QueueFull
        | Reason::WaitedOut
        | Reason::WaitTooLong
        | Reason::Superseded
        | Reason::Draining
        | Reason::Unreadable
        | Reason::Anonymous
        | Reason::Revoked => &[Verdict::Reject],
    }
}
