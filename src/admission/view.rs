//! What is held and waiting, for people, tests and replay.

use std::time::{Duration, Instant};

use super::{
    Admission, Capacity, GpuView, LeaseState, LeaseView, Mode, Reason, Seats, Snapshot, WaiterView,
    lease::Lease, reconcile::starves,
};

/// How long what was found in Jellyfin must last to be called a stray: a job whose lease has just ended is not one.
const STRAY_FOR: Duration = Duration::from_secs(30);

impl Admission {
    /// Whether a transcode seems to have begun past Finweir: it was found in Jellyfin long after the start, and nothing
    /// of it was ever asked for here.
    fn is_stray(&self, now: Instant, lease: &Lease) -> bool {
        lease.is_video()
            && lease.reason == Reason::Adopted
            && lease.session().is_none()
            && lease.since > self.started + self.policy.timers.recovery
            && now.saturating_duration_since(lease.since) >= STRAY_FOR
    }

    /// Shows all that is held and waiting.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut lent = vec![Seats::ZERO; self.policy.gpus.len()];
        let parked = self
            .leases
            .values()
            .filter(|lease| lease.state == LeaseState::Parked);
        for lease in parked {
            let gpu = lease.asked.account.gpu;
            if let Some(lent) = gpu.and_then(|gpu| lent.get_mut(gpu)) {
                *lent = lent.plus(lease.asked.cost);
            }
        }
        let mut leases: Vec<_> = self.leases.values().collect();
        leases.sort_unstable_by_key(|lease| lease.id);
        let since = |at: Instant| now.saturating_duration_since(at);
        let leases = leases.into_iter().map(|lease| {
            let demand = &lease.asked.demand;
            let subject = &lease.asked.subject;
            LeaseView {
                lease: lease.id,
                session: demand.session.clone(),
                user: subject.user.clone(),
                user_name: subject.user_name.clone(),
                device: subject.device.clone(),
                client: subject.client.clone(),
                class: subject.class.clone(),
                item: subject.item.clone(),
                node: subject.node.clone(),
                gpu: subject.gpu.clone(),
                work: subject.work.clone(),
                cost: lease.asked.cost,
                held: lease.held.seats,
                rate: lease.held.rate,
                state: lease.state,
                reason: lease.reason,
                age: since(lease.since),
                idle: since(lease.last_sign),
                paused: lease.paused_since.is_some() || lease.state == LeaseState::Parked,
                completion: lease.seen.completion,
                lead: lease
                    .seen
                    .speed
                    .map(|_| (lease.seen.lead * 10.0).round() / 10.0),
                starved: starves(now, lease),
                stray: self.is_stray(now, lease),
            }
        });
        let waiting = self.in_order().into_iter().filter_map(|ticket| {
            let waiter = self.queue.get(ticket)?;
            let subject = &waiter.asked.subject;
            Some(WaiterView {
                ticket,
                user: subject.user.clone(),
                user_name: subject.user_name.clone(),
                device: subject.device.clone(),
                client: subject.client.clone(),
                class: subject.class.clone(),
                item: subject.item.clone(),
                cost: waiter.asked.cost,
                reason: waiter.reason,
                waited: since(waiter.since),
                expected: self.expected_of(now, ticket),
                left: waiter.deadline.saturating_duration_since(now),
            })
        });
        let gpus = self.policy.gpus.iter().enumerate().map(|(index, gpu)| {
            let used = self.ledger.gpu(index);
            let limiter = self.limiters.get(index);
            GpuView {
                gpu: gpu.id.clone(),
                capacity: self.capacity_of(index, Mode::Enforce),
                given: limiter.map_or(gpu.capacity, Capacity::given),
                learned: limiter.map_or(gpu.capacity, Capacity::now),
                held: used.seats,
                reserved: used.reserved,
                lent: lent.get(index).copied().unwrap_or_default(),
                sessions: used.transcodes,
                max_sessions: gpu.max_sessions,
                waiting: u32::try_from(self.queue.len_of_gpu(index)).unwrap_or(u32::MAX),
                starving: self.starving_on(now, &gpu.id),
            }
        });
        Snapshot {
            mode: self.policy.mode,
            own_mode: self.own_mode,
            paused: self.paused,
            gpus: gpus.collect(),
            leases: leases.collect(),
            waiting: waiting.collect(),
            uplink: self.uplink_view(),
            transcodes: self.ledger.all().transcodes,
        }
    }
}
