//! Into the queue and out of it: each ticket ends once, and nobody waits who could be served.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Decision, Event, Reason, Timer,
    claim::Holds,
    queue::{Line, Place, Waiter},
    rules::{Asked, Judgement},
};
use crate::ident::{DeviceId, Ticket, UserId};

impl Admission {
    /// Takes a waiting demand out: its client has gone.
    pub fn withdraw(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if let Some(waiter) = self.unqueue(ticket) {
            self.events.push(Event::Withdrawn {
                subject: Arc::clone(&waiter.asked.subject),
                ticket,
                waited: now.saturating_duration_since(waiter.since),
            });
        }
        self.settle(now);
    }

    /// Everything that this device waits for is void: it has asked for something else. Its tickets end with
    /// [`Reason::Superseded`].
    pub fn supersede(&mut self, now: Instant, user: &UserId, device: &DeviceId) {
        self.advance(now);
        // Streams without a login share one name, but not one screen.
        if *user == UserId::anonymous() {
            return;
        }
        for ticket in self.queue.of_screen(&(user.clone(), device.clone())) {
            self.refuse(now, ticket, Reason::Superseded);
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
                for ticket in self.queue.of_user(&user) {
                    self.retry(now, ticket);
                }
            }
            let mut line = self.queue.next_shared(None);
            while let Some(here) = line {
                while self
                    .queue
                    .head(&here)
                    .is_some_and(|head| self.retry(now, head))
                {}
                line = self.queue.next_shared(Some(&here));
            }
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
        let verdict = match holds {
            Holds::Yes(_) => Judgement::default(),
            Holds::Full(gpu) => Judgement::gpu_full(gpu),
            Holds::No => self.judge(&asked, place, claim.freed),
        };
        match verdict.block {
            None => {}
            Some((reason, None)) => {
                self.refuse(now, ticket, reason);
                return true;
            }
            Some((reason, Some(line))) => return self.shift(ticket, line, reason),
        }
        let Some(waiter) = self.unqueue(ticket) else {
            return false;
        };
        let reason = match holds {
            Holds::Yes(reason) => reason,
            Holds::Full(_) | Holds::No => Reason::Waited,
        };
        let lease = self.open(now, Arc::clone(&asked), claim, reason);
        self.events.push(Event::Granted {
            subject: Arc::clone(&asked.subject),
            ticket,
            lease,
            waited: now.saturating_duration_since(waiter.since),
        });
        true
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
        if let Some(waiter) = self.unqueue(ticket) {
            self.events.push(Event::Refused {
                subject: Arc::clone(&waiter.asked.subject),
                ticket: Some(ticket),
                reason,
                waited: now.saturating_duration_since(waiter.since),
                retry_after: self.retry_after(reason),
            });
        }
    }

    /// Every ticket, in the order they would be served.
    pub(super) fn in_order(&self) -> Vec<Ticket> {
        let mut tickets: Vec<_> = self.queue.iter().map(|(t, w)| (w.place, t)).collect();
        tickets.sort_unstable();
        tickets.into_iter().map(|(_, ticket)| ticket).collect()
    }

    fn unqueue(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.queue.remove(ticket)?;
        self.timers
            .remove(&(waiter.deadline, Timer::Deadline(ticket)));
        if let Some(at) = waiter.recheck {
            self.timers.remove(&(at, Timer::Recheck(ticket)));
        }
        self.ledger.mark(waiter.asked.account.user.clone());
        Some(waiter)
    }

    pub(super) fn enqueue(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        place: Place,
        line: Line,
        reason: Reason,
        wait: Duration,
    ) -> Decision {
        let bounds = &self.policy.queue;
        let own = self.queue.of_user(&asked.account.user).len();
        let (length, per_user) = (bounds.length as usize, bounds.per_user as usize);
        if self.queue.len() >= length || own >= per_user {
            return self.reject(&asked, Reason::QueueFull);
        }
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
            place,
            line,
            reason,
            since: now,
            deadline,
            recheck: None,
        };
        self.queue.insert(ticket, waiter);
        self.arm_recheck(now, ticket);
        Decision::Queue {
            ticket,
            deadline,
            reason,
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

    /// What waits for the same screen is void. Returns the turn of the oldest that waited for the same item.
    pub(super) fn void(&mut self, now: Instant, asked: &Asked) -> Option<Place> {
        if asked.account.user == UserId::anonymous() {
            return None;
        }
        let mut turn: Option<Place> = None;
        for ticket in self.queue.of_screen(&asked.screen()) {
            if let Some(waiter) = self.queue.get(ticket)
                && waiter.asked.demand.item == asked.demand.item
            {
                turn = Some(turn.map_or(waiter.place, |turn| turn.min(waiter.place)));
            }
            self.refuse(now, ticket, Reason::Superseded);
        }
        turn
    }
}
