//! Pressure: the fuller a GPU, the smaller the pictures it makes, so that there is room for more viewers.
//!
//! Below [`Policy::pressure`](super::Policy::pressure) everybody gets what he asked for. From there on the most that a
//! play may take goes down in a straight line, from the whole to its cheapest form when the GPU is full or
//! somebody waits for it. The seats that a user or a class may hold are shared out in the same way. A running stream can't be made cheaper, so the saving has to be made before the GPU is full.

use std::time::{Duration, Instant};

use super::{
    Admission, Decision, Mode, Reason, Seats,
    queue::Place,
    rules::Asked,
    step::{Step, Stepped},
};
use crate::ident::Ticket;

impl Admission {
    /// How far the tightest of the seats that a demand would take from is beyond the point at which pressure begins,
    /// 0..=1: those of its GPU, of its user, of its class. `None`: none is.
    /// `waits`: the demand stands in the line itself.
    pub(super) fn pressure(&self, asked: &Asked, waits: bool) -> Option<f64> {
        let from = self.policy.pressure.get();
        let gpu = asked.account.gpu?;
        if from >= 1.0 {
            return None;
        }
        let part = |mode: Mode, held: Seats, of: Option<Seats>| {
            let of = of.filter(|_| self.mode(mode) == Mode::Enforce)?.as_f64();
            let full = held.as_f64() / of.max(f64::MIN_POSITIVE);
            (full >= from).then(|| ((full - from) / (1.0 - from)).min(1.0))
        };
        let rule = self.policy.gpus.get(gpu)?;
        let of_gpu = if self.queue.len_of_gpu(gpu) > usize::from(waits)
            && self.mode(rule.mode) == Mode::Enforce
        {
            Some(1.0)
        } else {
            // What is kept free for others is not there.
            let room = self.room(gpu, asked.account.class, Mode::Enforce);
            part(rule.mode, self.ledger.gpu(gpu).seats, Some(room))
        };
        let limits = &asked.limits;
        let held = self.ledger.user(&asked.account.user).seats;
        let of_user = part(limits.mode, held, limits.seats);
        let of_class = self
            .policy
            .classes
            .get(asked.account.class)
            .and_then(|class| {
                let held = self.ledger.class(asked.account.class).seats;
                part(class.mode, held, class.seats)
            });
        [of_gpu, of_user, of_class]
            .into_iter()
            .flatten()
            .reduce(f64::max)
    }

    /// The largest form that a demand may have while its GPU is under pressure. `None`: all that it asks for.
    fn spare_step(&self, asked: &Asked, waits: bool) -> Option<Step> {
        let part = self.pressure(asked, waits)?;
        let steps = || asked.steps.iter().filter(|step| step.is_video());
        let least = steps().next_back()?.cost();
        let give = asked.cost.less(least).as_f64() * part;
        let most = asked.cost.less(Seats::from_f64(give));
        if most >= asked.cost {
            return None;
        }
        steps()
            .find(|step| step.cost() <= most)
            .or_else(|| steps().next_back())
            .copied()
    }

    fn spared(&self, now: Instant, asked: &Asked, place: Place, waits: bool) -> Option<Stepped> {
        let step = self.spare_step(asked, waits)?;
        self.try_step(now, asked, step, place).ok()
    }

    /// Lets a demand in that would fit as a whole, in a cheaper form, if its GPU is under pressure.
    pub(super) fn spare(&mut self, now: Instant, asked: &Asked, place: Place) -> Option<Decision> {
        let stepped = self.spared(now, asked, place, false)?;
        Some(self.step_in(now, stepped, Reason::Pressure))
    }

    /// The same for one that has waited. `true`: it has left its line.
    pub(super) fn spare_waiting(&mut self, now: Instant, ticket: Ticket) -> bool {
        let Some(waiter) = self.queue.get(ticket) else {
            return false;
        };
        let Some(stepped) = self.spared(now, &waiter.asked, waiter.place, true) else {
            return false;
        };
        let waited = now.saturating_duration_since(waiter.since);
        self.unqueue(ticket);
        self.take_step(now, stepped, Reason::Pressure, Some(ticket), waited);
        true
    }

    fn step_in(&mut self, now: Instant, stepped: Stepped, reason: Reason) -> Decision {
        let rung = stepped.rung();
        let lease = self.take_step(now, stepped, reason, None, Duration::ZERO);
        Decision::Downgrade {
            lease,
            rung,
            reason,
        }
    }
}
