//! What time does: each timer fires at its own moment, in order, however late it is asked for.
//!
//! So one far step and many small ones end alike, and a second step to the same moment does nothing.

use std::{sync::Arc, time::Instant};

use super::{Admission, Ended, Event, LeaseState, Reason, Timer, lease::Fate};
use crate::ident::LeaseId;

impl Admission {
    /// Fires every timer up to `now`, each at its own moment.
    pub fn advance(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, timer)) = self.timers.pop_first() {
                self.foresight.run(at, self.ledger.all().transcodes);
                self.ledger.meter.run(at);
                self.fire(at, timer);
                self.settle(at);
            }
        }
        self.foresight.run(now, self.ledger.all().transcodes);
        self.ledger.meter.run(now);
    }

    /// When [`Admission::advance`] next has work.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn fire(&mut self, at: Instant, timer: Timer) {
        match timer {
            Timer::Lease(id) => self.fire_lease(at, id),
            Timer::Deadline(ticket) => {
                if !self.step_waiting(at, ticket) {
                    self.refuse(at, ticket, Reason::WaitedOut);
                }
            }
            Timer::Recheck(ticket) => {
                if let Some(waiter) = self.queue.get_mut(ticket) {
                    waiter.recheck = None;
                    self.retry_own(at, ticket);
                    self.arm_recheck(at, ticket);
                }
            }
            Timer::Preempt(ticket) => self.preempt(at, ticket),
            Timer::Right(screen) => {
                if self
                    .rights
                    .get(&screen)
                    .is_some_and(|right| right.until <= at)
                {
                    self.forget_right(&screen);
                }
            }
            Timer::Window => self.open_windows(at),
            Timer::Step(index) => {
                if let Some(limiter) = self.limiters.get_mut(index) {
                    limiter.step(at);
                    let next = limiter.next_step();
                    self.move_step(index, None, next);
                    self.tell_capacity();
                }
            }
        }
    }

    fn fire_lease(&mut self, at: Instant, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.armed = None;
        let (due, fate) = lease.fate(&self.policy.timers);
        if due > at {
            self.arm(id);
            return;
        }
        match fate {
            Fate::Park => {
                self.end_parked_job(at, id);
                self.change_state(id, LeaseState::Parked);
            }
            Fate::Shrink => self.shrink(id),
            Fate::Preempt => self.carry_out(at, id),
            Fate::End(why) => {
                if why == Ended::DeadPlayer && self.policy.end_dead_jobs {
                    let subject = Arc::clone(&lease.asked.subject);
                    self.events.push(Event::EndJob {
                        subject,
                        lease: id,
                        ended: why,
                    });
                }
                self.finish(at, id, why);
            }
        }
        self.arm(id);
    }

    /// Asks that the job of a viewer who is parked be ended, if a rule says so. Only a job that was seen to get on with a
    /// film: live television would be over, and what is not seen needs no end. A player that reads on though it is
    /// paused is left its job: nothing is cut.
    fn end_parked_job(&mut self, at: Instant, id: LeaseId) {
        if let Some(lease) = self.leases.get(&id)
            && self.policy.end_parked_jobs
            && lease.seen.completion.is_some()
            && at >= lease.last_read + self.policy.timers.replace_idle
        {
            self.events.push(Event::EndJob {
                subject: Arc::clone(&lease.asked.subject),
                lease: id,
                ended: Ended::Parked,
            });
        }
    }

    /// Arms the timer of a lease, if it must fire earlier than it would.
    pub(super) fn arm(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let (due, _) = lease.fate(&self.policy.timers);
        if lease.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        if let Some(armed) = lease.armed.replace(due) {
            self.timers.remove(&(armed, Timer::Lease(id)));
        }
        self.timers.insert((due, Timer::Lease(id)));
    }
}
