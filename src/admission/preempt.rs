//! Preemption: a running stream is ended for somebody who goes before it. Off unless a class says whom.
//!
//! Promise 1 is that who was let in plays to the end. A rule of a class can break it for the classes that it names,
//! and only so far: a demand of that class waits, would otherwise be refused, and has no smaller form that fits. Then
//! so few streams are chosen as give it its seats, never more: of the lowest class, the smallest one that is enough,
//! and of equals the one whose viewer has seen least. He is told, keeps watching for a grace time, and is stopped then,
//! unless the seats came free in another way. They are handed out when his FFmpeg has had time to go, to whoever is
//! first in line. Only who can wait that long preempts anybody: nobody is stopped for a demand that has left.
//!
//! A sentence belongs to what its viewer plays on his screen, and not to one lease of it: it stays while he closes his
//! stream and opens it again, and goes with whatever takes its place or is given it back. It lapses when the seats are
//! given up in another way. When it is due, it is carried out in any state in which they are held.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Ended, Event, LeaseState, Mode, Preemption, Reason, Seats, Timer,
    index::Seen,
    lease::{Before, Lease},
    rules::Asked,
};
use crate::ident::{ClassId, LeaseId, Ticket};

/// What is due at once is due a moment later, so that no timer is ever armed for the present.
pub(super) const SOON: Duration = Duration::from_millis(1);
/// Streams of a class that are looked at as victims: among so many there is one that does not end by itself.
const MOST_LOOKED_AT: usize = 64;

impl Preemption {
    /// What must be left when the seats are free, before the client gives up.
    pub const SLACK: Duration = Duration::from_millis(1500);
}

impl Admission {
    /// How long it takes from a decision to preempt until the seats are free.
    fn preemption_takes(&self) -> Duration {
        self.policy.preemption.grace + self.policy.timers.linger
    }

    /// The classes that a demand may preempt now.
    fn preempts(&self, asked: &Asked) -> &[ClassId] {
        let class = self.policy.classes.get(asked.account.class);
        let gpu = asked.account.gpu.and_then(|gpu| self.policy.gpus.get(gpu));
        match (class, gpu) {
            (Some(class), Some(gpu))
                if self.mode(class.mode) == Mode::Enforce
                    && self.mode(gpu.mode) == Mode::Enforce =>
            {
                &class.preempt
            }
            (Some(_) | None, _) => &[],
        }
    }

    /// Arms the last moment at which preempting somebody still serves a waiting demand.
    pub(super) fn arm_preemption(&mut self, now: Instant, ticket: Ticket) {
        let takes = self.preemption_takes() + Preemption::SLACK;
        let Some(waiter) = self.queue.get(ticket) else {
            return;
        };
        let left = waiter.deadline.saturating_duration_since(now);
        if self.preempts(&waiter.asked).is_empty() || left < takes {
            return;
        }
        let at = now + left.saturating_sub(takes).max(SOON);
        if let Some(waiter) = self.queue.get_mut(ticket) {
            waiter.preempts = Some(at);
            self.timers.insert((at, Timer::Preempt(ticket)));
        }
    }

    /// The last moment for a waiting demand: whom its class's rule names is told of his end.
    pub(super) fn preempt(&mut self, now: Instant, ticket: Ticket) {
        let Some(waiter) = self.queue.get_mut(ticket) else {
            return;
        };
        waiter.preempts = None;
        let (asked, place) = (Arc::clone(&waiter.asked), waiter.place);
        let (reason, deadline) = (waiter.reason, waiter.deadline);
        if self.step_for(now, &asked, place).is_none() {
            let victims = self.victims(now, &asked, reason, deadline);
            self.sentence(now, &asked, victims);
        }
    }

    /// Announces their end to these streams.
    pub(super) fn sentence(&mut self, now: Instant, asked: &Asked, victims: Vec<LeaseId>) {
        let Some(gpu) = asked.account.gpu.filter(|_| !victims.is_empty()) else {
            return;
        };
        self.preempted.insert(gpu, now);
        let grace = self.policy.preemption.grace.max(SOON);
        for id in victims {
            let Some(lease) = self.leases.get_mut(&id) else {
                continue;
            };
            lease.sentence = Some(now + grace);
            let subject = Arc::clone(&lease.asked.subject);
            self.sentenced.insert(id);
            self.list(id);
            self.events.push(Event::Preempting {
                subject,
                lease: id,
                grace: Some(grace),
            });
            self.arm(id);
        }
    }

    /// The seats that must still come free for a waiting demand, beside those that will in time; or, where the GPU's
    /// sessions are counted, whether one of them must. `but`: this lease is not counted on.
    fn still_lacks(
        &self,
        gpu: usize,
        asked: &Asked,
        deadline: Instant,
        but: Option<LeaseId>,
    ) -> (Seats, bool) {
        let going = self.ends(gpu).take_while(|(at, ..)| *at < deadline);
        let going = going
            .filter(|(_, id, _)| Some(*id) != but)
            .fold(Seats::ZERO, |sum, (.., seats)| sum.plus(seats));
        let lacks = self.lacks(gpu, asked.account.class, asked.need());
        let lacks = lacks.less(going).less(self.pending(gpu, &[]));
        let most = self.policy.gpus.get(gpu).and_then(|gpu| gpu.max_sessions);
        let counted = most.is_some_and(|most| self.ledger.gpu(gpu).transcodes >= most);
        (lacks, counted && going == Seats::ZERO)
    }

    /// The streams whose end gives a waiting demand its seats, none of them in vain. Empty: none need end, or it would
    /// not be enough.
    pub(super) fn victims(
        &self,
        now: Instant,
        asked: &Asked,
        reason: Reason,
        deadline: Instant,
    ) -> Vec<LeaseId> {
        let Some(gpu) = asked.account.gpu else {
            return Vec::new();
        };
        let every = self.policy.preemption.every;
        let recent = self.preempted.get(&gpu).is_some_and(|at| now < *at + every);
        let of_gpu = matches!(reason, Reason::GpuFull | Reason::GpuSessions);
        let left = deadline.saturating_duration_since(now);
        let classes = self.classes_before(asked);
        if recent || !of_gpu || classes.is_empty() || left < self.preemption_takes() {
            return Vec::new();
        }
        let (lacks, session) = self.still_lacks(gpu, asked, deadline, None);
        let sentenced = self.sentenced.iter().filter_map(|id| self.leases.get(id));
        // What comes free by itself in time is counted already, and nobody need be ended for it.
        let coming = sentenced
            .filter(|lease| lease.asked.account.gpu == Some(gpu) && frees_after(lease, deadline))
            .fold(Seats::ZERO, |sum, lease| sum.plus(lease.held.seats));
        let lacks = lacks.less(coming);
        let session = session && coming == Seats::ZERO;
        if lacks == Seats::ZERO && !session {
            return Vec::new();
        }
        let may_end = |id: LeaseId| {
            let lease = self.leases.get(&id);
            lease.filter(|lease| {
                frees_after(lease, deadline) && lease.asked.account.user != asked.account.user
            })
        };
        // Lowest class first, then the smallest that is enough; who has seen least before who has seen more.
        let mut best: Option<(u32, Seats, Seen)> = None;
        for (priority, class) in &classes {
            if best.is_some_and(|(lowest, ..)| lowest < *priority) {
                break;
            }
            let from = self.index.smallest_first(gpu, *class, lacks);
            let mut from = from.take(MOST_LOOKED_AT);
            let found = from.find(|(_, (_, Reverse(id)))| may_end(*id).is_some());
            let found = found.map(|(seats, seen)| (*priority, seats, seen));
            best = best.into_iter().chain(found).min();
        }
        if let Some((_, _, (_, Reverse(one)))) = best {
            return vec![one];
        }
        // The largest of the lowest class first: fewest viewers.
        let mut chosen: Vec<&Lease> = Vec::new();
        let mut sum = Seats::ZERO;
        let classes = classes.iter();
        let from = classes.flat_map(|(_, class)| self.index.largest_first(gpu, *class));
        for lease in from.take(MOST_LOOKED_AT).filter_map(may_end) {
            if sum >= lacks {
                break;
            }
            sum = sum.plus(lease.held.seats);
            chosen.push(lease);
        }
        if sum < lacks {
            return Vec::new();
        }
        // Whoever is not needed for it after all is left in peace.
        let mut kept = Vec::new();
        for lease in chosen {
            let without = sum.less(lease.held.seats);
            if without >= lacks {
                sum = without;
            } else {
                kept.push(lease.id);
            }
        }
        kept
    }

    /// The classes whose streams may be ended for a demand, the lowest first: its own class's rule names them, and they go
    /// after it.
    fn classes_before(&self, asked: &Asked) -> Vec<(u32, usize)> {
        let named = self.preempts(asked);
        let classes = self.policy.classes.iter().enumerate();
        let mut before: Vec<(u32, usize)> = classes
            .filter(|(_, class)| class.priority < asked.priority && named.contains(&class.id))
            .map(|(index, class)| (class.priority, index))
            .collect();
        before.sort_unstable();
        before
    }

    /// The time of a sentence has come: the stream is stopped, if somebody still needs its seats. Whoever has closed it, or
    /// asked for another, meanwhile, is not spared by that.
    pub(super) fn carry_out(&mut self, now: Instant, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else {
            return;
        };
        if lease.is_revoked() || !self.is_needed(lease) {
            self.pardon(id);
            return;
        }
        let linger = self.policy.timers.linger;
        let (user, device) = &lease.screen();
        // His FFmpeg goes by itself in time: he only may not come back to it. And who has closed it and plays something else
        // by now is not disturbed.
        let goes = lease.leave.is_some_and(|leave| leave.at <= now + linger);
        let elsewhere = lease.state == LeaseState::Lingering && self.plays(user, device);
        // Until the answer is used, it is the stream before it that runs.
        let runs = match &lease.before {
            Before::Running(former) if lease.state == LeaseState::Reserved => &former.asked,
            Before::Running(_) | Before::Right(_) | Before::Nothing => &lease.asked,
        };
        let subject = Arc::clone(&runs.subject);
        self.forget_sentence(id);
        if elsewhere && !goes {
            return;
        }
        if !goes {
            self.events.push(Event::EndJob {
                subject,
                lease: id,
                ended: Ended::Preempted,
            });
        }
        self.leave(now, id, Ended::Preempted, linger);
    }

    /// A stream is no longer to be ended, and its viewer is told, unless he has left.
    pub(super) fn pardon(&mut self, id: LeaseId) {
        if !self.forget_sentence(id) {
            return;
        }
        if let Some(lease) = self.leases.get(&id)
            && lease.state != LeaseState::Lingering
        {
            self.events.push(Event::Preempting {
                subject: Arc::clone(&lease.asked.subject),
                lease: id,
                grace: None,
            });
        }
    }

    /// A lease goes on where another was that is to be ended: the sentence goes with it, and is due when it was.
    pub(super) fn pass_on(&mut self, id: LeaseId, sentence: Option<Instant>) {
        let soonest = self.latest + SOON;
        if let Some(at) = sentence
            && let Some(lease) = self.leases.get_mut(&id)
        {
            lease.sentence = Some(lease.sentence.unwrap_or(at).max(soonest));
            self.sentenced.insert(id);
            self.list(id);
            self.arm(id);
        }
    }

    pub(super) fn forget_sentence(&mut self, id: LeaseId) -> bool {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.sentence = None;
        }
        self.list(id);
        self.sentenced.remove(&id)
    }

    /// Whether somebody waits who may have this stream ended, and lacks seats that do not come free otherwise.
    fn is_needed(&self, lease: &Lease) -> bool {
        let Some(gpu) = lease.asked.account.gpu else {
            return false;
        };
        let heads = self.queue.lanes(gpu);
        heads
            .filter_map(|(_, _, ticket)| self.queue.get(ticket))
            .filter(|waiter| {
                waiter.asked.account.user != lease.asked.account.user
                    && lease.asked.priority < waiter.asked.priority
                    && self
                        .preempts(&waiter.asked)
                        .contains(&lease.asked.subject.class)
            })
            .any(|waiter| {
                // Who has closed his stream may open it again: its end is not counted on.
                let own = (lease.state == LeaseState::Lingering).then_some(lease.id);
                let (lacks, session) = self.still_lacks(gpu, &waiter.asked, waiter.deadline, own);
                lacks > Seats::ZERO || session
            })
    }
}

/// Whether it is not known that its seats come free by then.
fn frees_after(lease: &Lease, deadline: Instant) -> bool {
    lease.frees.is_none_or(|(_, at)| at >= deadline)
}
