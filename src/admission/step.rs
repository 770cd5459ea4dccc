//! Stepping down: a cheaper form of the same playback, where the whole does not fit.
//!
//! What may be offered is known when a demand is made: its rungs that are cheaper in seats than the whole and not
//! below the floor of its user, dearest first. When it is offered is the user's rule: before a wait, after it, or
//! never. A rung is judged like any other demand, in the place of the whole: nobody is overtaken by stepping down.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Bitrate, Decision, Demand, Event, Kind, Policy, Reason, Seats, UserLimits, WhenFull,
    Work,
    claim::{Claim, Holds},
    event::Subject,
    ledger::Account,
    queue::{Line, Place},
    rules::{Asked, price},
};
use crate::ident::Ticket;

/// Rungs looked at; a ladder has about five.
const MOST_RUNGS: usize = 16;

/// A rung that may be offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    rung: usize,
    kind: Kind,
    cost: Seats,
    rate: Bitrate,
}

/// A rung that would be let in now.
#[derive(Debug)]
pub(super) struct Stepped {
    asked: Arc<Asked>,
    rung: usize,
    claim: Claim,
    /// It comes in by its claim and not by the limits.
    claimed: Option<Reason>,
    passes: Option<(Ticket, Seats)>,
}

impl Stepped {
    pub(super) fn rung(&self) -> usize {
        self.rung
    }
}

/// The steps of a demand, dearest first.
pub(super) fn steps(
    policy: &Policy,
    demand: &Demand,
    limits: &UserLimits,
    gpu: Option<usize>,
    (whole, rate): (Seats, Bitrate),
) -> Vec<Step> {
    let Kind::Video(work) = demand.kind else {
        return Vec::new();
    };
    if demand.rungs.is_empty() || !limits.when_full.steps_down() {
        return Vec::new();
    }
    // Who asks for less than his floor gets no less than that.
    let floor = limits.floor.unwrap_or(0).min(lines(&work));
    let rungs = demand.rungs.iter().take(MOST_RUNGS).filter_map(|rung| {
        let high = match rung.kind {
            Kind::Video(work) => lines(&work) >= floor,
            Kind::Direct | Kind::Remux | Kind::Audio => true,
        };
        let cost = price(policy, gpu, &rung.kind);
        // The same seats and less of the line out of the house is cheaper too, where that is short.
        let slimmer = policy.uplink.limit.is_some() && cost == whole && rung.rate < rate;
        (high && (cost < whole || slimmer)).then_some(Step {
            rung: rung.index,
            kind: rung.kind,
            cost,
            rate: rung.rate,
        })
    });
    let mut steps: Vec<Step> = rungs.collect();
    steps.sort_by_key(|step| std::cmp::Reverse((step.cost, step.rate)));
    steps
}

/// The height that a picture of this width would have in 16:9, if that is more: films are wider.
fn lines(work: &Work) -> u32 {
    let (width, height) = work.size_out;
    height.max(width.saturating_mul(9) / 16)
}

// === impl Step ===

impl Step {
    /// [`super::Rung::index`].
    pub(super) fn rung(self) -> usize {
        self.rung
    }

    /// What it takes.
    pub(super) fn cost(self) -> Seats {
        self.cost
    }

    /// What it sends.
    pub(super) fn rate(self) -> Bitrate {
        self.rate
    }

    /// Whether it encodes video.
    pub(super) fn is_video(&self) -> bool {
        self.kind.is_video()
    }
}

impl Asked {
    /// What must come free before a GPU for this demand to be served at all.
    pub(super) fn need(&self) -> Seats {
        if !self.limits.when_full.steps_first() {
            return self.cost;
        }
        let videos = self.steps.iter().filter(|step| step.kind.is_video());
        videos.map(|step| step.cost).fold(self.cost, Seats::min)
    }

    /// Whether it would be served by a form that no GPU is needed for.
    pub(super) fn needs_no_turn(&self) -> bool {
        let cheapest = self.steps.last();
        self.limits.when_full.steps_first() && cheapest.is_some_and(|step| !step.kind.is_video())
    }

    /// The same demand in a cheaper form.
    pub(super) fn stepped(&self, step: Step) -> Self {
        let video = step.kind.is_video();
        Self {
            demand: Demand {
                kind: step.kind,
                rate: step.rate,
                rungs: Vec::new(),
                ..self.demand.clone()
            },
            account: Account {
                gpu: self.account.gpu.filter(|_| video),
                ..self.account.clone()
            },
            limits: self.limits.clone(),
            steps: Vec::new(),
            stepped: true,
            cost: step.cost,
            rate: self.charged(step.rate),
            subject: Arc::new(Subject {
                gpu: self.subject.gpu.clone().filter(|_| video),
                work: step.kind.to_string(),
                cost: step.cost,
                ..Subject::clone(&self.subject)
            }),
            ..*self
        }
    }
}

impl Admission {
    /// The dearest rung that would be let in now, in this place.
    pub(super) fn step_for(&self, now: Instant, asked: &Asked, place: Place) -> Option<Stepped> {
        asked
            .steps
            .iter()
            .find_map(|step| self.try_step(now, asked, *step, place).ok())
    }

    /// A rung, or what is in its way.
    pub(super) fn try_step(
        &self,
        now: Instant,
        asked: &Asked,
        step: Step,
        place: Place,
    ) -> Result<Stepped, (Reason, Option<Line>)> {
        let asked = asked.stepped(step);
        let claim = self.claim(now, &asked);
        let holds = self.holds_claim(&claim, &asked, Some(place));
        let verdict = self.judge_claimed((&claim, holds), &asked, place);
        let claimed = match holds {
            Holds::Yes(reason, _) => Some(reason),
            Holds::Full(_) | Holds::No => None,
        };
        match verdict.block {
            Some(block) => Err(block),
            None => Ok(Stepped {
                asked: Arc::new(asked),
                rung: step.rung,
                claim,
                claimed,
                passes: verdict.passes,
            }),
        }
    }

    /// The line to wait in, given what blocks the whole. Who is served as soon as any form of it fits waits for what
    /// is in the way of the cheapest.
    pub(super) fn waits_for(
        &self,
        now: Instant,
        asked: &Asked,
        place: Place,
        whole: (Reason, Line),
    ) -> (Reason, Line) {
        let steps = asked.steps.last();
        let cheapest = steps.filter(|_| asked.limits.when_full.steps_first());
        match cheapest.map(|step| self.try_step(now, asked, *step, place)) {
            Some(Err((reason, Some(line)))) => (reason, line),
            Some(Ok(_) | Err((_, None))) | None => whole,
        }
    }

    /// Lets a demand in that does not wait, in a cheaper form, if one fits.
    pub(super) fn step_down(
        &mut self,
        now: Instant,
        asked: &Asked,
        place: Place,
        reason: Reason,
    ) -> Option<Decision> {
        let stepped = self.step_for(now, asked, place)?;
        let rung = stepped.rung;
        let lease = self.take_step(now, stepped, reason, None, Duration::ZERO);
        Some(Decision::Downgrade {
            lease,
            rung,
            reason,
        })
    }

    /// Lets a waiting demand in, in a cheaper form, if one fits.
    pub(super) fn step_waiting(&mut self, now: Instant, ticket: Ticket) -> bool {
        let Some(waiter) = self.queue.get(ticket) else {
            return false;
        };
        let Some(stepped) = self.step_for(now, &waiter.asked, waiter.place) else {
            return false;
        };
        let (reason, waited) = (waiter.reason, now.saturating_duration_since(waiter.since));
        self.unqueue(ticket);
        self.take_step(now, stepped, reason, Some(ticket), waited);
        true
    }

    pub(super) fn take_step(
        &mut self,
        now: Instant,
        stepped: Stepped,
        reason: Reason,
        ticket: Option<Ticket>,
        waited: Duration,
    ) -> crate::ident::LeaseId {
        self.note_passed(stepped.passes);
        let subject = Arc::clone(&stepped.asked.subject);
        let why = stepped.claimed.unwrap_or(reason);
        let lease = self.open(now, stepped.asked, stepped.claim, why);
        self.events.push(Event::Downgraded {
            subject,
            lease,
            rung: stepped.rung,
            reason,
            ticket,
            waited,
        });
        lease
    }
}

// === impl WhenFull ===

impl WhenFull {
    /// Whether it may wait.
    pub fn waits(self) -> bool {
        match self {
            Self::WaitThenStepDown | Self::StepDownThenWait | Self::Wait => true,
            Self::StepDown => false,
        }
    }

    /// Whether it may step down.
    pub fn steps_down(self) -> bool {
        match self {
            Self::WaitThenStepDown | Self::StepDownThenWait | Self::StepDown => true,
            Self::Wait => false,
        }
    }

    /// Whether a cheaper form now is better than the whole later.
    pub fn steps_first(self) -> bool {
        match self {
            Self::StepDownThenWait | Self::StepDown => true,
            Self::WaitThenStepDown | Self::Wait => false,
        }
    }
}
