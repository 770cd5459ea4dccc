//! Every metric of the program.
//!
//! A field of a `metrics!` struct is one family: `finweir_` and the field's name make its name, the doc comment is its
//! help text.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};

/// Seconds from the whole request sent to the first byte of the answer. Up to 30 s: a first segment of a 4K
/// transcode on a slow device takes that long.
const FIRST_BYTE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Seconds of waiting. The longest patience of a known client is about a minute.
pub(super) const WAIT: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];

/// A kind of family that `metrics!` can make.
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
            pub(super) fn register(registry: &Registry) -> Self {
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
