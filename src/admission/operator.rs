//! What the operator does by hand: each order is told as an [`Event::Operator`] before what comes of it, so that a
//! record of events holds who did what, and can be played again.

use std::{sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};

use super::{Admission, Ended, Event, Mode, Policy, Reason, Subject};
use crate::ident::{LeaseId, Ticket};

/// Something that the operator does by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// End a stream: its job is ended in Jellyfin, and its seats come free.
    Release(LeaseId),
    /// Let a waiting demand in now, whatever the limits say.
    LetIn(Ticket),
    /// Show a message on the screen of a stream.
    Message(LeaseId),
    /// Let no new transcode in until [`Order::Resume`].
    Pause,
    /// Let new transcodes in again.
    Resume,
    /// Stop the program when what runs has ended.
    Drain,
    /// Work in this mode until the next policy.
    Mode(Mode),
}

impl Order {
    /// Every spelling, for metrics that are registered at start.
    pub const NAMES: &'static [&'static str] = &[
        "release", "let-in", "message", "pause", "resume", "drain", "observe", "enforce",
    ];

    /// The one spelling, in logs, metrics and the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release(_) => "release",
            Self::LetIn(_) => "let-in",
            Self::Message(_) => "message",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Mode(Mode::Observe) => "observe",
            Self::Mode(Mode::Enforce) => "enforce",
        }
    }
}

impl Admission {
    /// Does what the operator `who` orders. `None`: there is no such lease or ticket any more, or nothing to change,
    /// and nothing is told. Else whom and what it was about, where it was about somebody.
    ///
    /// A message is not sent and a drain not begun from here: they are only told.
    pub fn operate(
        &mut self,
        now: Instant,
        order: Order,
        who: &Arc<str>,
    ) -> Option<Option<Arc<Subject>>> {
        self.advance(now);
        let subject = match order {
            Order::Release(id) | Order::Message(id) => {
                let lease = self.leases.get(&id).filter(|lease| !lease.is_revoked())?;
                Some(Arc::clone(&lease.asked.subject))
            }
            Order::LetIn(ticket) => Some(Arc::clone(&self.queue.get(ticket)?.asked.subject)),
            Order::Pause if self.paused => return None,
            Order::Resume if !self.paused => return None,
            Order::Mode(mode) if mode == self.policy.mode => return None,
            Order::Pause | Order::Resume | Order::Drain | Order::Mode(_) => None,
        };
        self.events.push(Event::Operator {
            order,
            who: Arc::clone(who),
            subject: subject.clone(),
        });
        match order {
            Order::Release(id) => self.revoke(now, id),
            Order::LetIn(ticket) => self.let_in(now, ticket),
            Order::Pause => {
                self.paused = true;
                self.wake_all();
            }
            Order::Resume => {
                self.paused = false;
                self.wake_all();
            }
            Order::Mode(mode) => self.change_mode(now, mode),
            Order::Message(_) | Order::Drain => {}
        }
        self.settle(now);
        Some(subject)
    }

    /// Its job is to end, and it may not come back by its session.
    fn revoke(&mut self, now: Instant, id: LeaseId) {
        if let Some(lease) = self.leases.get(&id).filter(|lease| lease.is_video()) {
            self.events.push(Event::EndJob {
                subject: Arc::clone(&lease.asked.subject),
                lease: id,
                ended: Ended::Revoked,
            });
        }
        self.leave(now, id, Ended::Revoked, self.policy.timers.linger);
    }

    /// The one way past the limits: nothing more is admitted by them until it fits again.
    fn let_in(&mut self, now: Instant, ticket: Ticket) {
        let Some(waiter) = self.unqueue(ticket) else {
            return;
        };
        let asked = waiter.asked;
        let subject = Arc::clone(&asked.subject);
        let claim = self.claim(now, &asked);
        let lease = self.open(now, asked, claim, Reason::Operator);
        self.events.push(Event::Granted {
            subject,
            ticket,
            lease,
            reason: Reason::Operator,
            waited: now.saturating_duration_since(waiter.since),
        });
    }

    fn change_mode(&mut self, now: Instant, mode: Mode) {
        let own = self.own_mode.unwrap_or(self.policy.mode);
        let policy = Policy {
            mode,
            ..self.policy.as_ref().clone()
        };
        self.set_policy(now, Arc::new(policy));
        self.own_mode = (mode != own).then_some(own);
    }
}
