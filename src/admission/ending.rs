//! How a lease ends, and what is given back: a right to the screen, or its seats to what it had replaced.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Demand, Ended, Event, Known, LeaseState, Origin, Reason, Timer,
    claim::Claim,
    lease::{Before, Lease, Leave, Right},
    ledger::Hold,
    queue::Screen,
    rules::Asked,
};
use crate::ident::{LeaseId, PlaySessionId, UserId};

impl Admission {
    /// The viewer has left. While FFmpeg goes, its seats stay.
    pub(super) fn leave(&mut self, now: Instant, id: LeaseId, why: Ended, linger: Duration) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        // A reservation that is ended for somebody took over from a job which still runs.
        let runs = match lease.state {
            LeaseState::Active => lease.is_video(),
            LeaseState::Reserved => lease.is_video() && why == Ended::Preempted,
            LeaseState::Parked
            | LeaseState::Finished
            | LeaseState::Lingering
            | LeaseState::Ended => false,
        };
        match lease.state {
            LeaseState::Active | LeaseState::Reserved if runs => {
                lease.leave = Some(Leave {
                    at: now + linger,
                    stopped: now,
                    why,
                });
                lease.open = false;
                let user = lease.asked.account.user.clone();
                self.change_state(id, LeaseState::Lingering);
                // Whatever waits for this screen has a claim now.
                self.ledger.mark(user);
                self.arm(id);
            }
            LeaseState::Lingering => {
                if let Some(leave) = &mut lease.leave {
                    // A real stop is quicker than a reader who left, and who was sent away does not come back.
                    let sent_away = matches!(why, Ended::Revoked | Ended::Preempted);
                    if leave.at > now + linger || sent_away {
                        leave.at = leave.at.min(now + linger);
                        leave.why = why;
                    }
                }
                self.foresee(id);
                self.arm(id);
            }
            LeaseState::Active
            | LeaseState::Reserved
            | LeaseState::Parked
            | LeaseState::Finished
            | LeaseState::Ended => self.finish(now, id, why),
        }
    }

    /// Ends a lease; gives the screen its right to come back, or the stream that it replaced its seats.
    pub(super) fn finish(&mut self, now: Instant, id: LeaseId, why: Ended) {
        let Some(lease) = self.end(now, id, why) else {
            return;
        };
        if lease.state == LeaseState::Reserved {
            self.give_back(now, lease, why);
            return;
        }
        let comes_back = match why {
            Ended::Stopped | Ended::Idle | Ended::Gone | Ended::DeadPlayer => true,
            Ended::Abandoned
            | Ended::Replaced
            | Ended::Undelivered
            | Ended::Parked
            | Ended::Preempted
            | Ended::Revoked => false,
        };
        let anonymous = lease.asked.account.user == UserId::anonymous();
        if !comes_back || anonymous || !lease.is_video() {
            return;
        }
        let since = lease.leave.map_or(now, |leave| leave.stopped);
        let until = since + self.policy.timers.grace;
        self.remember(
            now,
            Right {
                asked: lease.asked,
                stopped: why == Ended::Stopped,
                until,
            },
        );
    }

    fn give_back(&mut self, now: Instant, lease: Lease, why: Ended) {
        let unused = match why {
            Ended::Abandoned | Ended::Undelivered => true,
            Ended::Stopped
            | Ended::Idle
            | Ended::Replaced
            | Ended::Gone
            | Ended::DeadPlayer
            | Ended::Parked
            | Ended::Preempted
            | Ended::Revoked => false,
        };
        match lease.before {
            Before::Running(former) if unused && !former.stopped => {
                if why == Ended::Abandoned && !former.read {
                    return;
                }
                let id = self.reopen(now, &former.asked);
                // The answer that is not used is no way out either.
                self.pass_on(id, lease.sentence);
                self.change_state(id, former.state);
                self.arm(id);
            }
            Before::Right(right) if unused => self.remember(now, right),
            Before::Running(_) | Before::Right(_) | Before::Nothing => {}
        }
    }

    /// A stream that is remembered runs on: its lease is made anew, without asking.
    pub(super) fn reopen(&mut self, now: Instant, remembered: &Asked) -> LeaseId {
        let demand = Demand {
            origin: Origin::Stream,
            ..remembered.demand.clone()
        };
        let mut asked = Asked::new(&self.policy, demand);
        asked.stepped = remembered.stepped;
        let number = self.next_decision();
        let asked = Arc::new(asked.numbered(number));
        let subject = Arc::clone(&asked.subject);
        let reason = Reason::Resume;
        let lease = self.open(now, asked, Claim::default(), reason);
        self.events.push(Event::Admitted {
            subject,
            lease,
            reason,
            would: None,
        });
        lease
    }

    /// Takes a lease out of everything that knows it.
    pub(super) fn end(&mut self, now: Instant, id: LeaseId, why: Ended) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        if let Some(armed) = lease.armed {
            self.timers.remove(&(armed, Timer::Lease(id)));
        }
        self.forget_end(id, lease.frees);
        self.unlist(&lease);
        self.sentenced.remove(&id);
        self.ledger
            .change(&lease.asked.account, lease.held, Hold::default());
        if lease.held.transcode && why != Ended::Replaced {
            self.foresight.note_end();
        }
        for session in lease.aliases.iter().chain(lease.session()) {
            self.forget_session(session, id);
        }
        let screen = lease.screen();
        if let Some(ids) = self.screens.get_mut(&screen) {
            ids.remove(&id);
            if ids.is_empty() {
                self.screens.remove(&screen);
            }
        }
        self.events.push(Event::LeaseEnded {
            subject: Arc::clone(&lease.asked.subject),
            lease: id,
            ended: why,
            lasted: now.saturating_duration_since(lease.since),
        });
        Some(lease)
    }

    pub(super) fn forget_session(&mut self, session: &PlaySessionId, id: LeaseId) {
        let ours = match self.sessions.get(session) {
            Some(Known::Lease(known) | Known::Alias(known)) => *known == id,
            Some(Known::Right(_)) | None => false,
        };
        if ours {
            self.sessions.remove(session);
        }
    }

    fn remember(&mut self, now: Instant, right: Right) {
        if right.until <= now {
            return;
        }
        let screen = right.asked.screen();
        self.forget_right(&screen);
        if let Some(session) = right.asked.demand.session.clone() {
            self.sessions
                .entry(session)
                .or_insert_with(|| Known::Right(screen.clone()));
        }
        self.timers
            .insert((right.until, Timer::Right(screen.clone())));
        self.ledger.mark(screen.0.clone());
        self.rights.insert(screen, right);
    }

    pub(super) fn forget_right(&mut self, screen: &Screen) -> Option<Right> {
        let right = self.rights.remove(screen)?;
        self.timers
            .remove(&(right.until, Timer::Right(screen.clone())));
        if let Some(session) = &right.asked.demand.session
            && matches!(self.sessions.get(session), Some(Known::Right(whose)) if whose == screen)
        {
            self.sessions.remove(session);
        }
        Some(right)
    }
}
