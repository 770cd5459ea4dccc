//! Stepping down in mid-play, and up again: what goes on on its own screen takes no more than it may now.
//!
//! Whoever asks again for what he is watching (quality, track, seek, next episode) is never refused and never
//! queued. But the answer may be a smaller picture:
//!
//! - The whole takes more than he holds, and the rest is not free: he gets the dearest form that is, which may be the
//!   one that he has. So who was stepped down is let up as soon as there is room, and not before.
//! - Somebody who goes before him by class waits for that GPU, or was refused and told to come back about now, and
//!   a smaller picture here gives him his seats: then he *yields*. It is the dearest form that is small enough; where
//!   none is, nobody's picture is made smaller in vain.
//!
//! The old FFmpeg still runs when the new answer is given. So the difference stays with the new lease
//! ([`Asked::keeps`]) until its stream has begun and the old job has had time to go; only then is it handed out.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use super::{
    Admission, Decision, Event, Known, LeaseState, Mode, Origin, Reason, Seats, UserLimits,
    claim::Claim,
    lease::Lease,
    ledger::Usage,
    policy::Yields,
    preempt::SOON,
    queue::{Lane, Place, Screen},
    rules::Asked,
    step::Step,
};
use crate::ident::{LeaseId, PlaySessionId, UserId};

/// Demands that were refused for want of seats and are remembered.
const MOST_MISSED: usize = 32;

/// A demand that was refused for want of seats, and may come back.
#[derive(Clone, Debug)]
pub(super) struct Missed {
    pub(super) lane: Lane,
    priority: u32,
    screen: Screen,
    until: Instant,
}

/// A smaller form of what goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smaller {
    step: Step,
    why: Reason,
    /// What its old job holds.
    own: Seats,
}

impl Admission {
    /// What the lease of this session covers, in seats, if it was stepped down to that.
    pub fn stepped_to(&self, session: &PlaySessionId) -> Option<Seats> {
        match self.sessions.get(session)? {
            Known::Lease(id) => {
                let lease = self.leases.get(id).filter(|lease| !lease.is_revoked())?;
                lease.asked.stepped.then_some(lease.asked.cost)
            }
            Known::Alias(_) | Known::Right(_) => None,
        }
    }

    /// What a claim's leases hold on a GPU.
    pub(super) fn own_of(&self, claim: &Claim, gpu: usize) -> Usage {
        let mut own = Usage::default();
        let taken = claim.takes.iter().filter_map(|id| self.leases.get(id));
        for lease in taken.filter(|lease| lease.asked.account.gpu == Some(gpu)) {
            own.seats = own.seats.plus(lease.held.seats);
            own.transcodes += u32::from(lease.held.transcode);
        }
        own
    }

    /// Whether what a claim goes on from has a smaller picture than was asked for.
    pub(super) fn was_stepped(&self, asked: &Asked, claim: &Claim) -> bool {
        let taken = claim.takes.iter().filter_map(|id| self.leases.get(id));
        let right = self
            .rights
            .get(&asked.screen())
            .filter(|_| claim.right)
            .map(|right| &right.asked);
        taken
            .map(|lease| &lease.asked)
            .chain(right)
            .any(|asked| asked.stepped)
    }

    /// The smaller form in which a playback whose claim holds goes on. `None`: as it asks.
    pub(super) fn smaller_form(
        &self,
        asked: &Asked,
        claim: &Claim,
        place: Place,
    ) -> Option<Smaller> {
        let index = asked.account.gpu?;
        let gpu = self.policy.gpus.get(index)?;
        if asked.demand.origin != Origin::Negotiation || self.mode(gpu.mode) == Mode::Observe {
            return None;
        }
        let own = self.own_of(claim, index);
        let videos = || asked.steps.iter().filter(|step| step.is_video()).copied();
        let cheapest = videos().last()?;
        let fits = |cost| self.fits_beyond(asked, index, own, place, cost);
        let step = if claim.goes_with_its_seats() || fits(asked.cost) {
            None
        } else {
            Some(videos().find(|step| fits(step.cost())).unwrap_or(cheapest))
        };
        let cost = step.map_or(asked.cost, Step::cost);
        let saves = |cost: Seats| own.seats.less(cost);
        if let Some(lack) = self.lacked_before(asked, claim, index)
            && saves(cost) < lack
            && let Some(step) = videos().find(|step| saves(step.cost()) >= lack)
        {
            let own = own.seats;
            let why = Reason::Yields;
            return Some(Smaller { step, why, own });
        }
        step.map(|step| Smaller {
            step,
            why: Reason::GpuFull,
            own: own.seats,
        })
    }

    /// Whether the GPU bears it, given what its screen holds there already.
    fn fits_beyond(
        &self,
        asked: &Asked,
        index: usize,
        own: Usage,
        place: Place,
        cost: Seats,
    ) -> bool {
        if own.transcodes > 0 && cost <= own.seats {
            return true;
        }
        let lane = Lane {
            gpu: index,
            class: asked.account.class,
            need: cost.less(own.seats),
        };
        let used = self.ledger.gpu(index).transcodes;
        let others = used.saturating_sub(own.transcodes);
        let whole = self.most(index, lane.class) == self.capacity_of(index, Mode::Enforce);
        let fits = self.has_seats(lane, Mode::Enforce) || others == 0 && whole;
        fits && self.may_go(lane, place, fits) == Ok(None)
    }

    /// The seats that must come free for who goes before this by class, waits for the GPU or has missed it, and is
    /// not served by what is about to come free. `None`: nobody.
    fn lacked_before(&self, asked: &Asked, claim: &Claim, index: usize) -> Option<Seats> {
        let user = &asked.account.user;
        let pending = self.pending(index, &claim.takes);
        let lack = |lane: Lane| {
            let lack = self.lacks(index, lane.class, lane.need).less(pending);
            (lack > Seats::ZERO).then_some(lack)
        };
        if let Some((_, lane, ticket)) = self.first_on(index)
            && let Some(waiter) = self.queue.get(ticket)
            && waiter.reason == Reason::GpuFull
            && waiter.asked.account.user != *user
            && self.goes_before(asked, index, lane.class, waiter.asked.priority)
        {
            return lack(lane);
        }
        let missed = self.missed.iter().filter(|missed| {
            missed.lane.gpu == index
                && self.latest < missed.until
                && missed.screen.0 != *user
                && self.goes_before(asked, index, missed.lane.class, missed.priority)
        });
        let first = missed.min_by_key(|missed| {
            let borrows = self.borrows(index, missed.lane.class);
            (borrows, Reverse(missed.priority), missed.until)
        });
        lack(first?.lane)
    }

    /// Whether somebody of this class goes before it on a GPU, as its user's rule has it.
    fn goes_before(&self, asked: &Asked, index: usize, class: usize, priority: u32) -> bool {
        let own = asked.account.class;
        match asked.limits.yields {
            Yields::Never => false,
            Yields::Always => true,
            Yields::ToHigher => {
                let theirs = (self.borrows(index, class), Reverse(priority));
                theirs < (self.borrows(index, own), Reverse(asked.priority))
            }
        }
    }

    /// Seats that are about to come free on a GPU because somebody yields, but for these leases.
    pub(super) fn pending(&self, index: usize, but: &[LeaseId]) -> Seats {
        let leases = but.iter().filter_map(|id| self.leases.get(id));
        leases
            .map(|lease| lease.listed.yields_on(index))
            .fold(self.index.yielding(index), Seats::less)
    }

    /// Lets a playback go on in a smaller form.
    pub(super) fn go_on_smaller(
        &mut self,
        now: Instant,
        asked: &Asked,
        claim: Claim,
        claimed: Reason,
        smaller: Smaller,
    ) -> Decision {
        let Smaller { step, why, own } = smaller;
        let asked = std::sync::Arc::new(asked.stepped(step).keeping(own));
        let subject = std::sync::Arc::clone(&asked.subject);
        // What goes on has its seats by its claim; it is the size of the picture that has another reason.
        let reason = if why == Reason::Yields { why } else { claimed };
        let lease = self.open(now, asked, claim, reason);
        let rung = step.rung();
        self.events.push(Event::Downgraded {
            subject,
            lease,
            rung,
            reason: why,
            ticket: None,
            waited: Duration::ZERO,
        });
        Decision::Downgrade {
            lease,
            rung,
            reason: why,
        }
    }

    /// The old job of a lease that stepped down has had time to go: the difference is handed out.
    pub(super) fn shrink(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.shrinks_at = None;
        let asked = std::sync::Arc::new(lease.asked.with_keeps(Seats::ZERO));
        let held = Lease::holds(&asked, lease.state);
        self.ledger.change(&asked.account, lease.held, held);
        lease.held = held;
        lease.asked = asked;
        self.list(id);
    }

    /// Remembers a demand that was refused for want of seats until it was told to come back.
    pub(super) fn note_missed(&mut self, now: Instant, asked: &Asked, retry_after: Duration) {
        let Some(gpu) = asked.account.gpu else {
            return;
        };
        let screen = asked.screen();
        self.forget_missed(now, &screen);
        if screen.0 == UserId::anonymous() {
            return;
        }
        if self.missed.len() >= MOST_MISSED {
            self.missed.remove(0);
        }
        self.missed.push(Missed {
            lane: Lane {
                gpu,
                class: asked.account.class,
                need: asked.need(),
            },
            priority: asked.priority,
            screen,
            until: now + retry_after.max(self.policy.queue.keep_place),
        });
    }

    /// A screen plays, or has given up.
    pub(super) fn forget_missed(&mut self, now: Instant, screen: &Screen) {
        self.missed
            .retain(|missed| missed.screen != *screen && now < missed.until);
    }
}

impl Asked {
    /// The same, holding at least so much while its job may encode.
    pub(super) fn keeping(self, keeps: Seats) -> Self {
        Self { keeps, ..self }
    }

    /// A copy that holds at least so much while its job may encode.
    fn with_keeps(&self, keeps: Seats) -> Self {
        Self {
            demand: self.demand.clone(),
            account: self.account.clone(),
            limits: UserLimits::clone(&self.limits),
            steps: self.steps.clone(),
            subject: std::sync::Arc::clone(&self.subject),
            keeps,
            ..*self
        }
    }

    /// The same demand under another policy or another session: what it was stepped down to, and what it keeps, stay.
    pub(super) fn carrying(self, old: &Self) -> Self {
        Self {
            stepped: old.stepped,
            keeps: old.keeps,
            ..self
        }
        .numbered(old.subject.decision)
    }
}

impl Lease {
    /// Its job begins: when the old one of a lease that stepped down is gone, and no earlier than now it is ended for others.
    pub(super) fn starts_to_shrink(&mut self, now: Instant, linger: Duration) {
        self.sentence = self.sentence.map(|at| at.max(now + SOON));
        if self.asked.keeps > Seats::ZERO && self.state == LeaseState::Active {
            self.shrinks_at.get_or_insert(now + linger.max(SOON));
        }
    }
}
