//! Into the queue and out of it: each ticket ends once, and nobody waits who could be served.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Decision, Event, Reason, Seats, Timer,
    claim::{Claim, Holds},
    queue::{Arrival, Line, Place, Queue, Screen, Turn, Waiter},
    rules::{Asked, Judgement},
};
use crate::ident::{Ticket, UserId};

impl Admission {
    /// Takes a waiting demand out: its client has gone.
    pub fn withdraw(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if let Some(waiter) = self.unqueue(ticket) {
            self.keep_place(now, &waiter);
            self.events.push(Event::Withdrawn {
                subject: Arc::clone(&waiter.asked.subject),
                ticket,
                waited: now.saturating_duration_since(waiter.since),
            });
        }
        self.settle(now);
    }

    /// Gives every waiting demand that fits now its seats. Looks at the demands of users whose usage has moved,
    /// and at the head of each shared line, until nothing moves any more.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.queue.len() == 0 {
            self.ledger.take_moved();
            return;
        }
        while self.ledger.has_moved() {
            for user in self.ledger.take_moved() {
                let tickets = self.queue.of_user(&user);
                for ticket in &tickets {
                    self.take_turn(*ticket);
                }
                for ticket in tickets {
                    self.retry_own(now, ticket);
                }
            }
            let mut line = self.queue.next_shared(None);
            while let Some(here) = line {
                let last = match here {
                    Line::Gpu(lane) => {
                        self.settle_gpu(now, lane.gpu);
                        Queue::last_lane(lane.gpu)
                    }
                    Line::Uplink => {
                        self.settle_line(now, &here);
                        self.settle_small(now);
                        here
                    }
                    Line::Class(_) | Line::Library(_) | Line::Server | Line::User(_) => {
                        self.settle_line(now, &here);
                        here
                    }
                };
                line = self.queue.next_shared(Some(&last));
            }
            self.settle_small(now);
        }
    }

    /// Looks at the first of a line, and at the next when that has gone.
    fn settle_line(&mut self, now: Instant, line: &Line) {
        while self
            .queue
            .head(line)
            .is_some_and(|head| self.retry(now, head))
        {}
    }

    fn settle_gpu(&mut self, now: Instant, gpu: usize) {
        while let Some((_, _, head)) = self.first_on(gpu) {
            if self.retry(now, head) {
                continue;
            }
            match self.passer(gpu, head) {
                Some(next) if self.retry(now, next) => {}
                Some(_) | None => return,
            }
        }
    }

    /// The place that a demand has by what its user holds and waits for now.
    pub(super) fn place(&self, asked: &Asked, arrival: Arrival) -> Place {
        let user = &asked.account.user;
        let held = self.ledger.user(user).seats;
        let charged = held.plus(self.queue.wanted_before(user, arrival));
        Place::new(asked.priority, arrival, charged)
    }

    /// Moves a waiting demand to where its user's holdings put it now.
    fn take_turn(&mut self, ticket: Ticket) {
        if let Some(waiter) = self.queue.get(ticket) {
            let place = self.place(&waiter.asked, waiter.arrival);
            self.queue.move_to(ticket, place);
        }
    }

    /// Looks again at a demand whose user's leases have moved. Before a GPU it has its turn like all others; what it
    /// has a claim to, is no longer allowed at all, or may have without a GPU by a new policy, needs no turn.
    pub(super) fn retry_own(&mut self, now: Instant, ticket: Ticket) {
        let Some(waiter) = self.queue.get(ticket) else {
            return;
        };
        let asked = Arc::clone(&waiter.asked);
        let claim = self.claim(now, &asked);
        let in_turn = matches!(waiter.line, Line::Gpu(_))
            && self.holds_claim(&claim, &asked, Some(waiter.place)) == Holds::No
            && !self.judge_access(&asked, &mut Judgement::default())
            && !asked.needs_no_turn();
        if !in_turn {
            self.retry(now, ticket);
        }
    }

    /// Judges a waiting demand again. `true`: it has left its line.
    pub(super) fn retry(&mut self, now: Instant, ticket: Ticket) -> bool {
        let Some(waiter) = self.queue.get(ticket) else {
            return false;
        };
        let (asked, place) = (Arc::clone(&waiter.asked), waiter.place);
        let claim = self.claim(now, &asked);
        let holds = self.holds_claim(&claim, &asked, Some(place));
        let verdict = self.judge_claimed((&claim, holds), &asked, place);
        match verdict.block {
            None => {
                if holds == Holds::No && self.spare_waiting(now, ticket) {
                    return true;
                }
                self.note_passed(verdict.passes);
            }
            Some((reason, None)) => {
                if !self.step_waiting(now, ticket) {
                    self.refuse(now, ticket, reason);
                }
                return true;
            }
            Some((reason, Some(line))) => {
                if asked.limits.when_full.steps_first() && self.step_waiting(now, ticket) {
                    return true;
                }
                let (reason, line) = self.waits_for(now, &asked, place, (reason, line));
                let thirst = self.thirst(&asked, &line, &claim);
                self.queue.set_thirst(ticket, thirst);
                return self.shift(ticket, line, reason);
            }
        }
        let Some(waiter) = self.unqueue(ticket) else {
            return false;
        };
        let reason = match holds {
            Holds::Yes(reason, _) => reason,
            Holds::Full(_) | Holds::No => Reason::Waited,
        };
        let lease = self.open(now, Arc::clone(&asked), claim, reason);
        self.events.push(Event::Granted {
            subject: Arc::clone(&asked.subject),
            ticket,
            lease,
            reason,
            waited: now.saturating_duration_since(waiter.since),
        });
        true
    }

    /// A demand goes past another.
    pub(super) fn note_passed(&mut self, passes: Option<(Ticket, Seats)>) {
        if let Some((head, missed)) = passes
            && let Some(waiter) = self.queue.get_mut(head)
        {
            waiter.passed = waiter.passed.plus(missed);
        }
    }

    fn shift(&mut self, ticket: Ticket, line: Line, reason: Reason) -> bool {
        let Some(waiter) = self.queue.get_mut(ticket) else {
            return false;
        };
        if waiter.line == line {
            waiter.reason = reason;
            return false;
        }
        self.queue.shift(ticket, line, reason);
        true
    }

    /// Ends a ticket with a refusal.
    pub(super) fn refuse(&mut self, now: Instant, ticket: Ticket, reason: Reason) {
        let waiter = self.queue.get(ticket);
        let renewal = waiter.and_then(|waiter| self.renewal(&waiter.asked, reason));
        let expected = renewal.or_else(|| self.expected_of(now, ticket));
        if let Some(waiter) = self.unqueue(ticket) {
            let retry_after = self.retry_after(reason, expected);
            if reason == Reason::WaitedOut {
                self.keep_place(now, &waiter);
                if waiter.reason == Reason::GpuFull {
                    self.note_missed(now, &waiter.asked, retry_after);
                }
            }
            self.events.push(Event::Refused {
                subject: Arc::clone(&waiter.asked.subject),
                ticket: Some(ticket),
                reason,
                waited: now.saturating_duration_since(waiter.since),
                retry_after,
            });
        }
    }

    /// Every ticket, in the order they would be served.
    pub(super) fn in_order(&self) -> Vec<Ticket> {
        let rank = |waiter: &Waiter| {
            let account = &waiter.asked.account;
            self.rank(account.gpu.unwrap_or(0), account.class, waiter.place)
        };
        let mut tickets: Vec<_> = self.queue.iter().map(|(t, w)| (rank(w), t)).collect();
        tickets.sort_unstable();
        tickets.into_iter().map(|(_, ticket)| ticket).collect()
    }

    /// How long a waiting demand is expected to wait from now on.
    pub(super) fn expected_of(&self, now: Instant, ticket: Ticket) -> Option<Duration> {
        let waiter = self.queue.get(ticket)?;
        self.expected(now, &waiter.asked, &waiter.line, waiter.place)
    }

    fn keep_place(&mut self, now: Instant, waiter: &Waiter) {
        let turn = Turn {
            arrival: waiter.arrival,
            passed: waiter.passed,
        };
        let until = now + self.policy.queue.keep_place;
        self.queue.keep(now, until, &waiter.asked, turn);
    }

    pub(super) fn unqueue(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.queue.remove(ticket)?;
        self.timers
            .remove(&(waiter.deadline, Timer::Deadline(ticket)));
        if let Some(at) = waiter.recheck {
            self.timers.remove(&(at, Timer::Recheck(ticket)));
        }
        if let Some(at) = waiter.preempts {
            self.timers.remove(&(at, Timer::Preempt(ticket)));
        }
        self.ledger.mark(waiter.asked.account.user.clone());
        Some(waiter)
    }

    /// Whether the queue is as long as it may be, in all or for this user.
    pub(super) fn is_full_for(&self, asked: &Asked) -> bool {
        let bounds = &self.policy.queue;
        let own = self.queue.of_user(&asked.account.user).len();
        self.queue.len() >= bounds.length as usize || own >= bounds.per_user as usize
    }

    pub(super) fn enqueue(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        turn: Turn,
        (line, expected): (Line, Option<Duration>),
        reason: Reason,
        (wait, claim): (Duration, &Claim),
    ) -> Decision {
        let place = self.place(&asked, turn.arrival);
        let thirst = self.thirst(&asked, &line, claim);
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let deadline = now + wait;
        self.timers.insert((deadline, Timer::Deadline(ticket)));
        self.events.push(Event::Queued {
            subject: Arc::clone(&asked.subject),
            ticket,
            reason,
        });
        let waiter = Waiter {
            asked,
            arrival: turn.arrival,
            place,
            line,
            reason,
            since: now,
            deadline,
            passed: turn.passed,
            recheck: None,
            preempts: None,
            thirst,
        };
        self.queue.insert(ticket, waiter);
        self.arm_recheck(now, ticket);
        self.arm_preemption(now, ticket);
        Decision::Queue {
            ticket,
            deadline,
            reason,
            expected,
        }
    }

    /// A lease of this screen may become replaceable from now on, which it could not when those who wait came.
    pub(super) fn recheck_screen(&mut self, now: Instant, screen: &Screen) {
        for ticket in self.queue.of_screen(screen) {
            let waiter = self.queue.get(ticket);
            if waiter.is_some_and(|waiter| waiter.recheck.is_none()) {
                self.arm_recheck(now, ticket);
            }
        }
    }

    /// A lease of the same screen that is read now may have become replaceable later.
    pub(super) fn arm_recheck(&mut self, now: Instant, ticket: Ticket) {
        let Some(waiter) = self.queue.get(ticket) else {
            return;
        };
        let screen = waiter.asked.screen();
        let idle = self.policy.timers.replace_idle;
        let leases = self.screens.get(&screen).into_iter().flatten();
        let at = leases
            .filter_map(|id| self.leases.get(id))
            .filter(|lease| lease.leave.is_none() && !lease.open)
            .map(|lease| lease.last_read + idle)
            .filter(|at| *at > now)
            .min();
        if let Some(waiter) = self.queue.get_mut(ticket) {
            waiter.recheck = at;
            if let Some(at) = at {
                self.timers.insert((at, Timer::Recheck(ticket)));
            }
        }
    }

    /// What waits for the same screen is void. Returns the turn of the oldest that waits, or waited a moment ago, for
    /// the same item.
    pub(super) fn void(&mut self, now: Instant, asked: &Asked) -> Option<Turn> {
        if asked.account.user == UserId::anonymous() {
            return None;
        }
        let mut turn = self.queue.take_kept(now, asked);
        for ticket in self.queue.of_screen(&asked.screen()) {
            if let Some(waiter) = self.queue.get(ticket)
                && waiter.asked.demand.item == asked.demand.item
                && turn.is_none_or(|turn| waiter.arrival < turn.arrival)
            {
                turn = Some(Turn {
                    arrival: waiter.arrival,
                    passed: waiter.passed,
                });
            }
            self.refuse(now, ticket, Reason::Superseded);
        }
        turn
    }
}
