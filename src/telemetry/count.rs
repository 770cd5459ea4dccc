//! Turns events and snapshots into counts.

use std::{collections::BTreeMap, time::Duration};

use super::{
    DirectPlay, Disk, FailOpen, Sent,
    labels::{Decision, QueueOutcome, Users, Verdict},
    metrics::{Metrics, Seen},
};
use crate::{
    admission::{
        Bitrate, Event, LeaseState, Measure, Mode, Period, QuotaView, Reconciled, Seats, Snapshot,
        Subject,
    },
    clock,
    ident::NodeId,
};

impl Metrics {
    /// Counts what happened.
    pub(super) fn count(&self, event: &Event, users: &Users) {
        if let Some(decision) = Decision::of(event) {
            self.count_decision(&decision, users);
        }
        let families = &self.families;
        match event {
            Event::Admitted { .. } | Event::Downgraded { ticket: None, .. } => {
                families.leases_started_total.inc();
            }
            Event::Queued { .. } | Event::Moved { .. } => {}
            Event::Granted {
                subject, waited, ..
            }
            | Event::Downgraded {
                subject,
                ticket: Some(_),
                waited,
                ..
            } => {
                families.leases_started_total.inc();
                self.count_wait(QueueOutcome::Granted, subject, *waited);
            }
            Event::Refused {
                subject,
                ticket,
                reason,
                waited,
                ..
            } => {
                if ticket.is_some() {
                    self.count_wait(QueueOutcome::of(*reason), subject, *waited);
                }
            }
            Event::Withdrawn {
                subject, waited, ..
            } => {
                self.count_wait(QueueOutcome::Gone, subject, *waited);
            }
            Event::LeaseEnded { ended, .. } => families
                .leases_ended_total
                .with_label_values(&[ended.as_str()])
                .inc(),
            Event::Reconciled { found, .. } => {
                families
                    .reconciliations_total
                    .with_label_values(&[found.as_str()])
                    .inc();
                if *found == Reconciled::Adopted {
                    families.leases_started_total.inc();
                }
            }
            Event::Preempting { grace, .. } => families
                .preemptions_total
                .with_label_values(&[if grace.is_some() {
                    "announced"
                } else {
                    "spared"
                }])
                .inc(),
            Event::EndJob { ended, .. } => families
                .jobs_ended_total
                .with_label_values(&[ended.as_str()])
                .inc(),
            Event::CapacityChanged { gpu, to, .. } => {
                let gpu = &[gpu.as_str()];
                families
                    .gpu_capacity_changes_total
                    .with_label_values(gpu)
                    .inc();
                families
                    .gpu_seats_capacity
                    .with_label_values(gpu)
                    .set(to.as_f64());
            }
            Event::Operator { order, .. } => families
                .operator_actions_total
                .with_label_values(&[order.as_str()])
                .inc(),
            Event::PolicyChanged { mode } => self.mode(*mode),
        }
    }

    fn count_decision(&self, decision: &Decision<'_>, users: &Users) {
        let families = &self.families;
        let (verdict, reason) = (decision.verdict.as_str(), decision.reason.as_str());
        let user = users.label(decision.subject);
        families
            .decisions_total
            .with_label_values(&[verdict, reason])
            .inc();
        families
            .user_decisions_total
            .with_label_values(&[user.as_str(), verdict])
            .inc();
        if decision.verdict == Verdict::Reject {
            families
                .user_refusals_total
                .with_label_values(&[user.as_str(), reason])
                .inc();
        }
        if let Some(would) = decision.would {
            families
                .would_have_decisions_total
                .with_label_values(&[would.as_str()])
                .inc();
        }
    }

    fn count_wait(&self, outcome: QueueOutcome, subject: &Subject, waited: Duration) {
        self.families
            .queue_outcomes_total
            .with_label_values(&[outcome.as_str()])
            .inc();
        let waited = waited.as_secs_f64();
        self.families.queue_wait_seconds.observe(waited);
        self.exemplars.note(waited, subject.decision, clock::wall());
    }

    fn mode(&self, mode: Mode) {
        self.families.enforcing.set(match mode {
            Mode::Observe => 0,
            Mode::Enforce => 1,
        });
    }

    /// Shows how much of each kind of quota is used by whoever has used most of his.
    pub(super) fn quotas(&self, quotas: &[QuotaView]) {
        for measure in Measure::ALL {
            for period in Period::ALL {
                let of = quotas
                    .iter()
                    .filter(|quota| (quota.measure, quota.period) == (*measure, *period));
                let most = of.map(QuotaView::ratio).fold(0.0, f64::max);
                self.families
                    .quota_used_ratio
                    .with_label_values(&[measure.as_str(), period.as_str()])
                    .set(most);
            }
        }
    }

    /// Counts a failure of a node.
    pub(super) fn upstream_failure(&self, node: &NodeId, kind: &'static str) {
        self.families
            .upstream_failures_total
            .with_label_values(&[node.as_str(), kind])
            .inc();
    }

    /// Counts what became of a direct play that was asked for.
    pub(super) fn direct_play(&self, result: DirectPlay) {
        self.families
            .direct_play_total
            .with_label_values(&[result.as_str()])
            .inc();
    }

    /// Counts what became of a word to the operator.
    pub(super) fn sent(&self, sent: Sent) {
        self.families
            .notifications_total
            .with_label_values(&[sent.as_str()])
            .inc();
    }

    /// Shows whether the journal can be written.
    pub(super) fn journal(&self, trouble: bool) {
        self.families.journal_trouble.set(i64::from(trouble));
    }

    /// Counts a request that passed unjudged.
    pub(super) fn fail_open(&self, why: FailOpen) {
        self.families
            .fail_open_total
            .with_label_values(&[why.as_str()])
            .inc();
    }

    /// Counts records of the journal.
    pub(super) fn journal_written(&self, records: u64, bytes: usize) {
        let families = &self.families;
        families.journal_records_total.inc_by(records);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        families.journal_bytes_total.inc_by(bytes);
    }

    /// Counts records that found no room.
    pub(super) fn journal_lost(&self, records: u64) {
        self.families.journal_lost_total.inc_by(records);
    }

    /// Counts a write that failed.
    pub(super) fn journal_failed(&self, records: u64) {
        self.families.journal_write_errors_total.inc();
        self.families.journal_lost_total.inc_by(records);
    }

    /// Counts a reload.
    pub(super) fn reload(&self, ok: bool) {
        self.families
            .config_reloads_total
            .with_label_values(&[if ok { "success" } else { "failure" }])
            .inc();
    }

    /// Shows the result of the last load, `at` in seconds since 1970.
    pub(super) fn reloaded(&self, ok: bool, at: f64) {
        let families = &self.families;
        families.config_last_reload_successful.set(i64::from(ok));
        if ok {
            families
                .config_last_reload_success_timestamp_seconds
                .set(at);
        }
    }

    /// Shows whether the last look at the sessions of a node succeeded.
    pub(super) fn polled(&self, node: &NodeId, ok: bool) {
        self.families
            .jellyfin_poll_up
            .with_label_values(&[node.as_str()])
            .set(i64::from(ok));
    }

    /// Shows whether a node answered.
    pub(super) fn reachable(&self, node: &NodeId, ok: bool) {
        self.families
            .jellyfin_up
            .with_label_values(&[node.as_str()])
            .set(i64::from(ok));
    }

    /// Shows how full the disk of a node is. What is not known is not shown: 0 would be a full one.
    pub(super) fn disk(&self, node: &NodeId, disk: Option<&Disk>) {
        let free = &self.families.jellyfin_disk_free_bytes;
        let filling = &self.families.jellyfin_disk_filling;
        let labels = &[node.as_str()];
        match disk {
            Some(disk) => {
                free.with_label_values(labels)
                    .set(i64::try_from(disk.free).unwrap_or(i64::MAX));
                filling
                    .with_label_values(labels)
                    .set(i64::from(disk.filling));
            }
            // An error says that it was not there, which is what is wanted.
            None => {
                free.remove_label_values(labels).ok();
                filling.remove_label_values(labels).ok();
            }
        }
    }

    /// Sets every gauge that shows what is held and waiting. A GPU that the policy dropped is no longer shown.
    pub(super) fn observe(&self, snapshot: &Snapshot, users: &Users) {
        let families = &self.families;
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        self.mode(snapshot.mode);
        families.transcodes.set(i64::from(snapshot.transcodes));
        for view in &snapshot.gpus {
            let gpu = &[view.gpu.as_str()];
            for (family, seats) in [
                (&families.gpu_seats_capacity, view.capacity),
                (&families.gpu_seats_held, view.held),
                (&families.gpu_seats_reserved, view.reserved),
                (&families.gpu_seats_lent, view.lent),
            ] {
                family.with_label_values(gpu).set(seats.as_f64());
            }
            for (family, count) in [
                (&families.gpu_sessions, view.sessions),
                (&families.gpu_waiting, view.waiting),
                (&families.gpu_starving, view.starving),
            ] {
                family.with_label_values(gpu).set(i64::from(count));
            }
            seen.gpus.insert(view.gpu.to_string());
        }
        if !snapshot.gpus.is_empty() {
            seen.gpus.retain(|gpu| {
                let kept = snapshot.gpus.iter().any(|view| view.gpu.as_str() == gpu);
                if !kept {
                    self.forget_gpu(gpu);
                }
                kept
            });
        }

        let uplink = &snapshot.uplink;
        let limit = uplink.limit.map_or(f64::INFINITY, Bitrate::bytes);
        families.uplink_limit_bytes_per_second.set(limit);
        for (what, rate) in [("streams", uplink.held), ("other", uplink.other)] {
            let gauge = families.uplink_bytes_per_second.with_label_values(&[what]);
            gauge.set(rate.bytes());
        }
        families.uplink_waiting.set(i64::from(uplink.waiting));

        let mut states: BTreeMap<&str, i64> = LeaseState::ALL
            .iter()
            .filter(|state| **state != LeaseState::Ended)
            .map(|state| (state.as_str(), 0))
            .collect();
        self.observe_users(snapshot, users, &mut seen);
        let mut classes = zeroes(&seen.classes);
        let mut waiting = zeroes(&seen.classes);
        let mut nodes = zeroes(&seen.nodes);
        for lease in &snapshot.leases {
            *states.entry(lease.state.as_str()).or_default() += 1;
            *classes.entry(lease.class.as_str()).or_default() += 1;
            if lease.held > Seats::ZERO {
                *nodes.entry(lease.node.as_str()).or_default() += 1;
            }
        }
        for waiter in &snapshot.waiting {
            *waiting.entry(waiter.class.as_str()).or_default() += 1;
        }
        for (family, counts) in [
            (&families.leases, &states),
            (&families.class_leases, &classes),
            (&families.queue_depth, &waiting),
            (&families.node_transcodes, &nodes),
        ] {
            for (label, count) in counts {
                family.with_label_values(&[*label]).set(*count);
            }
        }
        let classes: Vec<_> = classes
            .keys()
            .chain(waiting.keys())
            .map(|c| (*c).to_owned())
            .collect();
        let nodes: Vec<_> = nodes.keys().map(|n| (*n).to_owned()).collect();
        seen.classes.extend(classes);
        seen.nodes.extend(nodes);
    }

    /// Who holds what where, and which node encodes on which GPU. What is gone stays at 0.
    fn observe_users(&self, snapshot: &Snapshot, users: &Users, seen: &mut Seen) {
        let mut held: BTreeMap<(String, String), (i64, Seats)> = BTreeMap::new();
        let mut encoded: BTreeMap<(String, String), Seats> = BTreeMap::new();
        for lease in &snapshot.leases {
            let user = users.label_of(&lease.user, lease.user_name.as_deref());
            let (count, seats) = held.entry((user, lease.node.to_string())).or_default();
            *count += 1;
            *seats = seats.plus(lease.held);
            if let Some(gpu) = &lease.gpu {
                let pair = (lease.node.to_string(), gpu.to_string());
                let seats = encoded.entry(pair).or_default();
                *seats = seats.plus(lease.held);
            }
        }
        seen.users.extend(held.keys().cloned());
        seen.node_gpus.extend(encoded.keys().cloned());
        for pair @ (user, node) in &seen.users {
            let (count, seats) = held.get(pair).copied().unwrap_or_default();
            let labels = &[user.as_str(), node.as_str()];
            self.families
                .user_leases
                .with_label_values(labels)
                .set(count);
            self.families
                .user_seats_held
                .with_label_values(labels)
                .set(seats.as_f64());
        }
        for pair @ (node, gpu) in &seen.node_gpus {
            let seats = encoded.get(pair).copied().unwrap_or_default();
            self.families
                .node_gpu_seats_held
                .with_label_values(&[node.as_str(), gpu.as_str()])
                .set(seats.as_f64());
        }
    }

    fn forget_gpu(&self, gpu: &str) {
        let families = &self.families;
        for family in [
            &families.gpu_seats_capacity,
            &families.gpu_seats_held,
            &families.gpu_seats_reserved,
            &families.gpu_seats_lent,
        ] {
            // An error says that it was not there, which is what is wanted.
            family.remove_label_values(&[gpu]).ok();
        }
        for family in [
            &families.gpu_sessions,
            &families.gpu_waiting,
            &families.gpu_starving,
        ] {
            family.remove_label_values(&[gpu]).ok();
        }
    }
}

fn zeroes(labels: &std::collections::BTreeSet<String>) -> BTreeMap<&str, i64> {
    labels.iter().map(|label| (label.as_str(), 0)).collect()
}
