//! The registry of all metrics, and the counters of the data path. Only this file, [`super::families`] and
//! [`super::openmetrics`] name `prometheus`.
//!
//! Label values come from closed enums or from the configuration and stand at 0 from the start, so that a rate is seen
//! from the first event on. The exception is `user`, whose values appear as users do.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use prometheus::{
    Histogram, IntCounter, Registry, TextEncoder, process_collector::ProcessCollector,
};

use super::{
    DirectPlay, FailOpen, Sent, Served, Settings, UserLabel,
    exemplars::Exemplars,
    families::{Families, WAIT},
    labels::{QueueOutcome, Verdict},
    openmetrics,
};
use crate::admission::{
    Effect, Ended, LeaseState, Measure, Order, Period, Reason, Reconciled, Unless,
};

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
            if reason.refuses() {
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
    match reason.effect() {
        Effect::LetsIn => &[Verdict::Admit],
        Effect::Shrinks => &[Verdict::Downgrade],
        Effect::Refuses { unless, .. } => match unless {
            Unless::Waits => &[Verdict::Queue, Verdict::Downgrade, Verdict::Reject],
            Unless::Smaller => &[Verdict::Downgrade, Verdict::Reject],
            Unless::Never => &[Verdict::Reject],
        },
    }
}
