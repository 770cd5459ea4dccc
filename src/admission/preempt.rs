//! Preemption: a running stream is ended for somebody who goes before it. Off unless a class says whom.
//!
//! Promise 1 is that who was let in plays to the end. A rule of a class can break it for the classes that it names,
//! and only so far: a demand of that class waits, would otherwise be refused, and has no smaller form that fits. Then
//! so few streams are chosen as give it its seats, never more: of the lowest class, the smallest one that is enough,
//! and of equals the one whose viewer has seen least. He is told, keeps watching for a grace time, and is stopped then,
//! unless the seats came free in another way. They are handed out when his FFmpeg has had time to go, to whoever is
//! first in line. Only who can wait that long preempts anybody: nobody is stopped for a demand that has left.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Ended, Event, LeaseState, Mode, Preemption, Reason, Seats, Timer, lease::Lease,
    rules::Asked,
};
use crate::ident::{ClassId, LeaseId, Ticket};

/// What is due at once is due a moment later, so that no timer is ever armed for the present.
pub(super) const SOON: Duration = Duration::from_millis(1);
/// Streams that are looked at as victims; more make the choice no better.
const MOST_LOOKED_AT: usize = 256;

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
            self.events.push(Event::Preempting {
                subject,
                lease: id,
                grace: Some(grace),
            });
            self.arm(id);
        }
    }

    /// The seats that must still come free for a waiting demand, beside those that will in time; or, where the GPU's
    /// sessions are counted, whether one of them must.
    fn still_lacks(&self, gpu: usize, asked: &Asked, deadline: Instant) -> (Seats, bool) {
        let going = self.ends(gpu).take_while(|(at, _)| *at < deadline);
        let going = going.fold(Seats::ZERO, |sum, (_, seats)| sum.plus(seats));
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
        let named = !self.preempts(asked).is_empty();
        if recent || !of_gpu || !named || left < self.preemption_takes() {
            return Vec::new();
        }
        let (lacks, session) = self.still_lacks(gpu, asked, deadline);
        let sentenced = self.sentenced.iter().filter_map(|id| self.leases.get(id));
        // What comes free by itself in time is counted already, and nobody need be ended for it.
        let later = |lease: &&Lease| lease.frees.is_none_or(|(_, at)| at >= deadline);
        let coming = sentenced
            .filter(|lease| lease.asked.account.gpu == Some(gpu))
            .filter(later)
            .fold(Seats::ZERO, |sum, lease| sum.plus(lease.held.seats));
        let lacks = lacks.less(coming);
        let session = session && coming == Seats::ZERO;
        if lacks == Seats::ZERO && !session {
            return Vec::new();
        }
        let mut from: Vec<&Lease> = self
            .leases
            .values()
            .filter(|lease| {
                lease.asked.account.gpu == Some(gpu) && self.may_be_ended_for(lease, asked)
            })
            .filter(later)
            .collect();
        // Lowest class first, then the smallest; who has seen least before who has seen more.
        from.sort_by_key(|lease| {
            let seen = Reverse(lease.since);
            (
                lease.asked.priority,
                lease.held.seats,
                seen,
                Reverse(lease.id),
            )
        });
        from.truncate(MOST_LOOKED_AT);
        let enough = |lease: &&&Lease| lease.held.seats >= lacks;
        if let Some(one) = from.iter().find(enough) {
            return vec![one.id];
        }
        let mut chosen: Vec<&Lease> = Vec::new();
        let mut sum = Seats::ZERO;
        // The largest of the lowest class first: fewest viewers.
        from.sort_by_key(|lease| {
            (
                lease.asked.priority,
                Reverse(lease.held.seats),
                Reverse(lease.id),
            )
        });
        for lease in from {
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

    /// Whether the rule of a demand's class names the class of a stream, which goes after it and can be ended.
    fn may_be_ended_for(&self, lease: &Lease, asked: &Asked) -> bool {
        lease.state == LeaseState::Active
            && lease.is_video()
            && lease.held.seats > Seats::ZERO
            && lease.sentence.is_none()
            && lease.asked.priority < asked.priority
            && lease.asked.account.user != asked.account.user
            && self.preempts(asked).contains(&lease.asked.subject.class)
    }

    /// The grace time of a stream is over: it is stopped, if somebody still needs its seats.
    pub(super) fn carry_out(&mut self, now: Instant, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else {
            return;
        };
        let subject = Arc::clone(&lease.asked.subject);
        if self.is_needed(lease) {
            self.forget_sentence(id);
            let ended = Ended::Preempted;
            self.events.push(Event::EndJob {
                subject,
                lease: id,
                ended,
            });
            self.leave(now, id, ended, self.policy.timers.linger);
        } else {
            self.pardon(id);
        }
    }

    /// A stream is no longer to be ended, and its viewer is told.
    pub(super) fn pardon(&mut self, id: LeaseId) {
        if !self.forget_sentence(id) {
            return;
        }
        if let Some(lease) = self.leases.get(&id) {
            self.events.push(Event::Preempting {
                subject: Arc::clone(&lease.asked.subject),
                lease: id,
                grace: None,
            });
        }
    }

    pub(super) fn forget_sentence(&mut self, id: LeaseId) -> bool {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.sentence = None;
        }
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
                let (lacks, session) = self.still_lacks(gpu, &waiter.asked, waiter.deadline);
                lacks > Seats::ZERO || session
            })
    }
}
