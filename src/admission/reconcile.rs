//! The truth comes from Jellyfin: comparing the leases of a server with what it says is running.
//!
//! A poll is matched to leases by (user, device, item). What no lease explains is adopted; a job that has encoded
//! all there is makes its lease Finished; a lease that two polls in a row don't explain has lost its job. Two
//! polls also give the speed of each job (completion × running time ÷ elapsed: `docs/sources.md`, Life of an FFmpeg
//! job), and so the throughput of the GPU: learning GPUs take it as their reading.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Demand, Ended, Event, Kind, LeaseState, Origin, Reason, Reconciled, Running,
    capacity::Sample,
    claim::Claim,
    lease::{Before, Lease, Seen},
    ledger::Hold,
    rules::Asked,
};
use crate::ident::{LeaseId, NodeId};

/// A lease younger than this may not have reached `/Sessions` yet.
const SETTLING: Duration = Duration::from_secs(10);
/// Polls without its job after which a lease has lost it.
const MISSED: u8 = 2;
/// Less than this in hand, seconds, and slower than real time: the viewer is about to stall. Chosen.
const LITTLE_LEAD: f64 = 15.0;
/// Jellyfin throttles only what is at least this far ahead, seconds (its `TranscodingThrottler`).
const THROTTLED_LEAD: f64 = 60.0;
/// A speed older than this says nothing about now.
const SPEED_FRESH: Duration = Duration::from_secs(45);
/// A job slower than this ends at no moment worth telling.
const SLOWEST: f64 = 0.05;

impl Admission {
    /// Compares with what Jellyfin says is running on `node`: adopts what is unknown, ends what is gone.
    pub fn reconcile(&mut self, now: Instant, node: &NodeId, running: &[Running]) {
        self.advance(now);
        let mut seen = HashSet::new();
        for one in running {
            match self.lease_of(node, one, &seen) {
                Some(id) => {
                    seen.insert(id);
                    self.compare(now, id, one);
                }
                None if self.was_just_left(now, one) => {}
                None => {
                    seen.insert(self.adopt(now, node, one));
                }
            }
        }
        let mut unseen: Vec<LeaseId> = self
            .leases
            .values()
            .filter(|lease| lease.asked.demand.node == *node && !seen.contains(&lease.id))
            .map(|lease| lease.id)
            .collect();
        unseen.sort_unstable();
        for id in unseen {
            self.miss(now, id);
        }
        self.read_speeds(now, node);
        self.settle(now);
    }

    /// The lease that explains `one`: same screen and item, the newest if there are two; if Jellyfin names no
    /// item, the newest of the screen.
    fn lease_of(&self, node: &NodeId, one: &Running, taken: &HashSet<LeaseId>) -> Option<LeaseId> {
        let screen = (one.who.user.clone(), one.who.device.clone());
        let leases = self
            .screens
            .get(&screen)?
            .iter()
            .filter_map(|id| self.leases.get(id));
        leases
            .filter(|lease| !taken.contains(&lease.id) && lease.asked.demand.node == *node)
            .filter(|lease| one.item.as_str().is_empty() || lease.asked.demand.item == one.item)
            .max_by_key(|lease| lease.id)
            .map(|lease| lease.id)
    }

    /// The screen has gone on from this item a moment ago: Jellyfin takes two seconds for a stop (captures
    /// `web/6-next`) and says until then that it plays. Adopted, it would hold seats that nobody uses.
    fn was_just_left(&self, now: Instant, one: &Running) -> bool {
        let screen = (one.who.user.clone(), one.who.device.clone());
        let recent = |since: Instant| now.saturating_duration_since(since) < SETTLING;
        let leases = self.screens.get(&screen).into_iter().flatten();
        let taken_over = leases
            .filter_map(|id| self.leases.get(id))
            .filter(|lease| recent(lease.since))
            .any(|lease| match &lease.before {
                Before::Running(former) => former.asked.demand.item == one.item,
                Before::Right(right) => right.asked.demand.item == one.item,
                Before::Nothing => false,
            });
        let stopped = self.rights.get(&screen).is_some_and(|right| {
            right.asked.demand.item == one.item
                && right
                    .until
                    .checked_sub(self.policy.timers.grace)
                    .is_none_or(recent)
        });
        taken_over || stopped
    }

    fn adopt(&mut self, now: Instant, node: &NodeId, one: &Running) -> LeaseId {
        let demand = Demand {
            who: one.who.clone(),
            item: one.item.clone(),
            session: None,
            node: node.clone(),
            kind: one.kind,
            origin: Origin::Stream,
            library: None,
            rate: one.rate,
            rungs: Vec::new(),
            would: None,
            patience: Duration::ZERO,
            replaces: false,
            why: None,
        };
        let number = self.next_decision();
        let asked = Arc::new(Asked::new(&self.policy, demand).numbered(number));
        let subject = Arc::clone(&asked.subject);
        let id = self.open(now, asked, Claim::default(), Reason::Adopted);
        self.tell(subject, id, Reconciled::Adopted);
        if one.kind.is_video() && is_jobless(one) {
            self.change_state(id, LeaseState::Finished);
        }
        self.compare(now, id, one);
        id
    }

    fn tell(&mut self, subject: Arc<super::Subject>, lease: LeaseId, found: Reconciled) {
        let lease = Some(lease);
        self.events.push(Event::Reconciled {
            subject,
            lease,
            found,
        });
    }

    /// Takes in what Jellyfin says about a lease.
    fn compare(&mut self, now: Instant, id: LeaseId, one: &Running) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let before = lease.seen;
        lease.seen = follow(now, before, one);
        // An adopted lease has nothing else to live by.
        if lease.session().is_none() {
            lease.last_sign = now;
            if one.paused {
                lease.paused_since.get_or_insert(now);
            } else {
                lease.paused_since = None;
            }
        }
        let subject = Arc::clone(&lease.asked.subject);
        let done = one.completion.is_some_and(|completion| completion >= 0.999);
        let jobless = is_jobless(one);
        let stopped = before.completion.is_some() && jobless;
        let runs = one.completion.is_some() && !done;
        let moves = runs && one.completion != before.completion;
        let young = now.saturating_duration_since(lease.since) < SETTLING;
        match lease.state {
            LeaseState::Active if lease.is_video() && (done || stopped) => {
                self.change_state(id, LeaseState::Finished);
                self.tell(subject, id, Reconciled::Finished);
            }
            LeaseState::Active if lease.is_video() && jobless && !young => {
                // It plays, but no job was ever seen or is seen now: the job was quicker than the polls.
                lease.seen.missing = before.missing.saturating_add(1);
                if lease.seen.missing >= MISSED && !lease.open {
                    self.change_state(id, LeaseState::Finished);
                    self.tell(subject, id, Reconciled::Finished);
                }
            }
            LeaseState::Finished if moves && one.kind.is_video() => {
                self.change_state(id, LeaseState::Active);
                self.tell(subject, id, Reconciled::Restarted);
            }
            LeaseState::Active if runs && one.kind.is_video() != lease.is_video() && !young => {
                self.rework(now, id, one.kind);
                self.tell(subject, id, Reconciled::Differs);
            }
            LeaseState::Reserved
            | LeaseState::Active
            | LeaseState::Parked
            | LeaseState::Finished
            | LeaseState::Lingering
            | LeaseState::Ended => {}
        }
        self.foresee(id);
        self.arm(id);
    }

    /// Charges what Jellyfin really does.
    fn rework(&mut self, now: Instant, id: LeaseId, kind: Kind) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let demand = Demand {
            kind,
            ..lease.asked.demand.clone()
        };
        let number = lease.asked.subject.decision;
        let asked = Arc::new(Asked::new(&self.policy, demand).numbered(number));
        let held = Lease::holds(&asked, lease.state);
        // The account may differ: only video is charged to a GPU.
        self.ledger
            .change(&lease.asked.account, lease.held, Hold::default());
        self.ledger.change(&asked.account, Hold::default(), held);
        lease.asked = asked;
        lease.held = held;
        lease.shrinks_at = None;
        lease.lives_anew(now);
        self.list(id);
    }

    /// A poll did not mention this lease.
    fn miss(&mut self, now: Instant, id: LeaseId) {
        let replace_idle = self.policy.timers.replace_idle;
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        // Taken in from a poll that a stop has overtaken: nobody will ever stop it.
        let ghost =
            lease.session().is_none() && lease.reason == Reason::Adopted && !lease.is_video();
        // Direct play and remux may be read without a session that Jellyfin shows; a reservation has no job yet.
        let waits = match lease.state {
            LeaseState::Active | LeaseState::Finished => lease.is_video() || ghost,
            LeaseState::Reserved
            | LeaseState::Parked
            | LeaseState::Lingering
            | LeaseState::Ended => false,
        };
        if !waits || !ghost && now.saturating_duration_since(lease.since) < SETTLING {
            return;
        }
        lease.seen.missing = lease.seen.missing.saturating_add(1);
        lease.seen.completion = None;
        lease.seen.done_at = None;
        let missing = lease.seen.missing;
        self.foresee(id);
        let Some(lease) = self.leases.get(&id).filter(|_| missing >= MISSED) else {
            return;
        };
        let subject = Arc::clone(&lease.asked.subject);
        let alive = lease.open || !ghost && now < lease.last_sign + replace_idle;
        match (alive, lease.state) {
            // Somebody reads on what is there: its job has done its work.
            (true, LeaseState::Active) if !lease.open => {
                self.change_state(id, LeaseState::Finished);
                self.tell(subject, id, Reconciled::Finished);
                self.arm(id);
            }
            (
                true,
                LeaseState::Active
                | LeaseState::Finished
                | LeaseState::Reserved
                | LeaseState::Parked
                | LeaseState::Lingering
                | LeaseState::Ended,
            ) => {}
            (false, _) => {
                self.tell(subject, id, Reconciled::Orphan);
                self.finish(now, id, Ended::Gone);
            }
        }
    }

    /// Gives each learning GPU of this server its reading.
    fn read_speeds(&mut self, now: Instant, node: &NodeId) {
        let Some(index) = self.policy.gpu_index(node) else {
            return;
        };
        if self.policy.gpus.get(index).is_none_or(|gpu| !gpu.learn) {
            return;
        }
        let jobs = self
            .leases
            .values()
            .filter(|lease| lease.asked.account.gpu == Some(index));
        let sample = reading(now, jobs);
        self.learn(now, index, sample);
    }
}

/// Whether Jellyfin shows a play without a job. Live television has no running time, so its jobs never report
/// how far they are.
fn is_jobless(one: &Running) -> bool {
    one.completion.is_none() && (one.runtime.is_some() || !one.kind.is_video())
}

/// What two polls say about one job.
fn follow(now: Instant, before: Seen, one: &Running) -> Seen {
    let mut seen = Seen {
        completion: one.completion,
        at: Some(now),
        ..Seen::default()
    };
    let (Some(from), Some(at), Some(to), Some(runtime)) =
        (before.completion, before.at, one.completion, one.runtime)
    else {
        return seen;
    };
    let elapsed = now.saturating_duration_since(at).as_secs_f64();
    if elapsed < 0.5 || to < from || !to.is_finite() {
        return seen;
    }
    let speed = (to - from) * runtime.as_secs_f64() / elapsed;
    seen.speed = Some((speed, now));
    if speed > SLOWEST {
        let left = (1.0 - to).max(0.0) * runtime.as_secs_f64() / speed;
        seen.done_at = now.checked_add(Duration::from_secs_f64(left));
    }
    let position = one.position.unwrap_or_default().as_secs_f64();
    seen.lead = to * runtime.as_secs_f64() - position;
    if speed < 1.0 && seen.lead < LITTLE_LEAD && !one.paused {
        seen.starved = before.starved.saturating_add(1);
    }
    seen
}

/// Whether two looks in a row found a job slower than real time, and its viewer with little in hand.
pub(super) fn starves(now: Instant, lease: &Lease) -> bool {
    let fresh = |at: Instant| now.saturating_duration_since(at) <= SPEED_FRESH;
    lease.state == LeaseState::Active
        && lease.seen.starved >= 2
        && lease.seen.speed.is_some_and(|(_, at)| fresh(at))
}

impl Admission {
    /// How many transcodes of a GPU starve.
    pub(super) fn starving_on(&self, now: Instant, gpu: &crate::ident::GpuId) -> u32 {
        let here = |lease: &&Lease| lease.asked.subject.gpu.as_ref() == Some(gpu);
        let starving = self.leases.values().filter(here);
        let count = starving.filter(|lease| starves(now, lease)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The throughput of the jobs of one GPU, and how many of them starve.
fn reading<'a>(now: Instant, jobs: impl Iterator<Item = &'a Lease>) -> Sample {
    let mut sample = Sample {
        throughput: None,
        starving: 0,
    };
    let mut thousandths = 0_u64;
    for lease in jobs.filter(|lease| lease.state == LeaseState::Active) {
        let Some((speed, at)) = lease.seen.speed else {
            continue;
        };
        if now.saturating_duration_since(at) > SPEED_FRESH {
            continue;
        }
        // A job that Jellyfin holds back runs at the pace of its viewer, whatever the GPU could do.
        let throttled = lease.seen.lead >= THROTTLED_LEAD && speed < 1.5;
        if !throttled {
            // Whole thousandths: the sum must not depend on the order of a hash map.
            let seats = super::Seats::from_f64(speed * lease.asked.cost.as_f64());
            thousandths = thousandths.saturating_add(seats.milli().into());
            let sum = u32::try_from(thousandths).unwrap_or(u32::MAX);
            sample.throughput = Some(super::Seats::from_milli(sum).as_f64());
        }
        sample.starving += u32::from(starves(now, lease));
    }
    sample
}
