//! The order of answers to a demand, and the making of a lease.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Decision, Demand, Effect, Ended, Event, Known, LeaseState, MOST_LEASES,
    MOST_OF_A_SCREEN, Origin, Reason, Seats, Timer, Until,
    claim::{Claim, Holds},
    index::Listed,
    lease::{Before, Former, Lease, Right, Seen},
    ledger::Hold,
    queue::Turn,
    quota::begins_play,
    rules::{Asked, Judgement},
};
use crate::ident::{LeaseId, PlaySessionId, UserId};

impl Admission {
    /// Decides about a demand: admits, queues, steps down or rejects it.
    ///
    /// Whatever the same device waits for is void then (unless this is a known session coming back); if it waits
    /// for the same item, the new demand takes over the old one's turn.
    pub fn decide(&mut self, now: Instant, demand: Demand) -> Decision {
        self.advance(now);
        let number = self.next_decision();
        let asked = Arc::new(Asked::new(&self.policy, demand).numbered(number));
        let claim = self.claim(now, &asked);
        let quota = !asked.limits.quotas.is_empty();
        self.ledger.meter.note(&asked.demand.who, quota);
        let turn = match claim.reason {
            Some(Reason::Resume) => None,
            Some(_) | None => self.void(now, &asked),
        };
        if turn.is_none() {
            // What waited for this screen is void: who stood behind it comes before somebody who has no place yet.
            self.settle(now);
        }
        let decision = self.answer(now, asked, claim, turn);
        self.settle(now);
        decision
    }

    fn answer(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        claim: Claim,
        turn: Option<Turn>,
    ) -> Decision {
        let since_start = now.saturating_duration_since(self.started);
        let turn = turn.unwrap_or_else(|| Turn {
            arrival: self.queue.arrive(since_start),
            passed: Seats::ZERO,
        });
        let place = self.place(&asked, turn.arrival);
        let holds = self.holds_claim(&claim, &asked, Some(place));
        if let Holds::Yes(reason, passes) = holds {
            if let Some(smaller) = self.smaller_form(&asked, &claim, place) {
                return self.go_on_smaller(now, &asked, claim, reason, smaller);
            }
            self.note_passed(passes);
            return self.admit(now, asked, claim, reason, None);
        }
        let Judgement {
            block,
            would,
            passes,
            alone,
        } = self.judge_claimed((&claim, holds), &asked, place);
        let would = would.or(asked.demand.would);
        let Some((reason, line)) = block else {
            if would.is_none()
                && !self.recovers(now, &asked)
                && let Some(decision) = self.spare(now, &asked, place)
            {
                return decision;
            }
            self.note_passed(passes);
            if would.is_none() && self.recovers(now, &asked) && asked.demand.kind.is_video() {
                return self.admit(now, asked, claim, Reason::Adopted, None);
            }
            let reason = match (would, alone) {
                (Some(_), _) => Reason::Observed,
                (None, true) => Reason::RunsAlone,
                (None, false) if asked.demand.kind.is_video() => Reason::Fits,
                (None, false) => Reason::Cheap,
            };
            return self.admit(now, asked, claim, reason, would);
        };
        if self.recovers(now, &asked) && reason != Reason::Anonymous {
            return self.admit(now, asked, claim, Reason::Adopted, None);
        }
        // Where no wait can help, less now is wanted rather than more later, or the whole would not be given later either.
        let rule = asked.limits.when_full;
        // Who has a smaller picture already keeps it rather than wait.
        let keeps = holds != Holds::No && self.was_stepped(&asked, &claim);
        let first =
            rule.steps_first() || line.is_none() || keeps || self.pressure(&asked, false).is_some();
        if first && let Some(decision) = self.step_down(now, &asked, place, reason) {
            return decision;
        }
        let wait = asked.demand.patience.min(asked.max_wait);
        let (mut why, mut expected, mut vain) = (reason, self.renewal(&asked, reason), None);
        if let Some(line) = line {
            let (reason, line) = self.waits_for(now, &asked, place, (reason, line));
            expected = self.expected(now, &asked, &line, place);
            if rule.waits() && !wait.is_zero() {
                if self.is_full_for(&asked) {
                    why = Reason::QueueFull;
                } else if self.is_vain(now, (&line, place), reason, expected, wait) {
                    why = Reason::WaitTooLong;
                } else {
                    let wait = (wait, &claim);
                    return self.enqueue(now, asked, turn, (line, expected), reason, wait);
                }
                vain = (why == Reason::WaitTooLong).then_some((line, expected));
            }
        }
        if !first && let Some(decision) = self.step_down(now, &asked, place, reason) {
            return decision;
        }
        if let Some(line) = vain {
            let victims = self.victims(now, &asked, reason, now + wait);
            if !victims.is_empty() {
                self.sentence(now, &asked, victims);
                let wait = (wait, &claim);
                return self.enqueue(now, asked, turn, line, reason, wait);
            }
        }
        if why == Reason::WaitTooLong {
            let until = now + self.policy.queue.keep_place;
            self.queue.keep(now, until, &asked, turn);
        }
        let decision = self.reject(&asked, why, expected);
        if let Decision::Reject { retry_after, .. } = decision
            && reason == Reason::GpuFull
        {
            self.note_missed(now, &asked, retry_after);
        }
        decision
    }

    /// Says whether this demand would replace or resume what its device already holds, and so is never refused.
    pub fn replaces(&self, demand: &Demand) -> bool {
        let asked = Asked::new(&self.policy, demand.clone());
        let claim = self.claim(self.latest, &asked);
        self.holds_claim(&claim, &asked, None) != Holds::No
    }

    /// Records that a demand was refused for a reason outside the core: its start rate.
    pub fn turn_away(&mut self, demand: &Demand, reason: Reason, retry_after: Duration) {
        let number = self.next_decision();
        let asked = Asked::new(&self.policy, demand.clone()).numbered(number);
        self.note_refused(&asked, reason, retry_after);
    }

    fn note_refused(&mut self, asked: &Asked, reason: Reason, retry_after: Duration) {
        self.events.push(Event::Refused {
            subject: Arc::clone(&asked.subject),
            ticket: None,
            reason,
            waited: Duration::ZERO,
            retry_after,
        });
    }

    /// Refuses all new demands and everything that waits, from now on. Running leases stay, and may come back.
    pub fn drain(&mut self, now: Instant) {
        self.advance(now);
        self.draining = true;
        for ticket in self.in_order() {
            self.refuse(now, ticket, Reason::Draining);
        }
        self.settle(now);
    }

    fn reject(&mut self, asked: &Asked, reason: Reason, expected: Option<Duration>) -> Decision {
        let retry_after = self.retry_after(reason, expected);
        self.note_refused(asked, reason, retry_after);
        Decision::Reject {
            reason,
            retry_after,
        }
    }

    fn admit(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        claim: Claim,
        reason: Reason,
        would: Option<Reason>,
    ) -> Decision {
        let subject = Arc::clone(&asked.subject);
        let lease = self.open(now, asked, claim, reason);
        self.events.push(Event::Admitted {
            subject,
            lease,
            reason,
            would,
        });
        Decision::Admit { lease, reason }
    }

    /// An unknown running stream, soon after a start: its lease was lost with the last process.
    fn recovers(&self, now: Instant, asked: &Asked) -> bool {
        let running = asked.demand.origin == Origin::Running && asked.demand.session.is_some();
        running && now < self.started + self.policy.timers.recovery
    }

    /// Makes the lease. What it replaces ends first, and nothing is dispatched in between: the seats go with it.
    pub(super) fn open(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        claim: Claim,
        reason: Reason,
    ) -> LeaseId {
        self.make_room(now, &asked);
        if !self.missed.is_empty() {
            self.forget_missed(now, &asked.screen());
        }
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let mut before = Before::Nothing;
        let mut aliases = Vec::new();
        let mut sentence = None;
        let begins = begins_play(&claim, reason);
        // Nothing, or whether all that went on with the same item had not begun.
        let mut same = None;
        if claim.right
            && let Some(right) = self.forget_right(&asked.screen())
        {
            before = Before::Right(right);
        }
        for old in claim.takes {
            let Some(old) = self.end(now, old, Ended::Replaced) else {
                continue;
            };
            aliases.extend(old.aliases.iter().cloned());
            aliases.extend(old.session().cloned());
            // Asking again is no way out.
            sentence = sentence.or(old.sentence);
            if old.asked.demand.item == asked.demand.item {
                same = Some(same.unwrap_or(true) && old.uncounted);
            }
            before = self.keep(now, before, old);
        }
        aliases.retain(|alias| Some(alias) != asked.demand.session.as_ref());
        let oldest = aliases.len().saturating_sub(MOST_ALIASES);
        aliases.drain(..oldest);
        for alias in &aliases {
            // What is known by that name still is somebody else's.
            let known = self.sessions.entry(alias.clone());
            known.or_insert(Known::Alias(id));
        }
        let state = match asked.demand.origin {
            Origin::Negotiation => LeaseState::Reserved,
            Origin::Stream | Origin::Running => LeaseState::Active,
        };
        let held = Lease::holds(&asked, state);
        self.ledger.change(&asked.account, Hold::default(), held);
        let lease = Lease {
            id,
            state,
            held,
            reason,
            since: now,
            last_sign: now,
            last_read: now,
            reserved_until: now + self.policy.timers.reserve,
            paused_since: None,
            dead_since: None,
            open: false,
            job_from: None,
            leave: None,
            before,
            uncounted: same.unwrap_or(begins),
            aliases,
            seen: Seen::default(),
            shrinks_at: None,
            sentence,
            frees: None,
            listed: Listed::default(),
            armed: None,
            asked,
        };
        if sentence.is_some() {
            self.sentenced.insert(id);
        }
        let (screen, session) = (lease.screen(), lease.session().cloned());
        self.leases.insert(id, lease);
        self.screens.entry(screen.clone()).or_default().insert(id);
        self.recheck_screen(now, &screen);
        if let Some(session) = session {
            self.claim_session(now, session, id);
        }
        self.list(id);
        self.arm(id);
        self.count_play(id);
        id
    }

    /// Binds a session to a lease; a lease of the same user that it was bound to before has been replaced. One
    /// that is another user's stays his.
    pub(super) fn claim_session(&mut self, now: Instant, session: PlaySessionId, id: LeaseId) {
        let known = self.sessions.get(&session).cloned();
        match known {
            Some(Known::Lease(old) | Known::Alias(old)) if old != id => {
                let user = |id| self.leases.get(&id).map(|lease| &lease.asked.account.user);
                if user(old) != user(id) {
                    return;
                }
                if matches!(known, Some(Known::Lease(_)))
                    && let Some(old) = self.end(now, old, Ended::Replaced)
                {
                    self.pass_on(id, old.sentence);
                }
            }
            Some(Known::Right(screen)) => {
                self.forget_right(&screen);
            }
            Some(Known::Lease(_) | Known::Alias(_)) | None => {}
        }
        self.sessions.insert(session, Known::Lease(id));
    }

    /// What to give back if the new lease is never used. Several demands within seconds (a player that
    /// escalates) are one action: the stream that ran before the first of them counts.
    fn keep(&self, now: Instant, before: Before, old: Lease) -> Before {
        let kept = match old.state {
            LeaseState::Reserved => old.before,
            LeaseState::Active | LeaseState::Finished | LeaseState::Parked => {
                Before::Running(Box::new(Former {
                    asked: old.asked,
                    state: old.state,
                    read: false,
                    stopped: false,
                    until: None,
                }))
            }
            LeaseState::Lingering | LeaseState::Ended => match old.leave {
                Some(leave) if old.asked.demand.kind.is_video() => Before::Right(Right {
                    asked: old.asked,
                    stopped: leave.why == Ended::Stopped,
                    until: (leave.stopped + self.policy.timers.grace).max(now),
                }),
                Some(_) | None => Before::Nothing,
            },
        };
        match (&before, &kept) {
            (Before::Running(_), _) | (_, Before::Nothing) => before,
            (Before::Nothing | Before::Right(_), _) => kept,
        }
    }

    fn make_room(&mut self, now: Instant, asked: &Asked) {
        let of_screen = self.screens.get(&asked.screen());
        if let Some(ids) = of_screen.filter(|ids| ids.len() >= MOST_OF_A_SCREEN)
            && asked.account.user != UserId::anonymous()
        {
            let idle = |id: &&LeaseId| self.leases.get(id).is_some_and(|l| !l.held.transcode);
            if let Some(id) = ids.iter().find(idle).copied() {
                self.end(now, id, Ended::Idle);
            }
        }
        if self.leases.len() < MOST_LEASES {
            return;
        }
        let mut first = None;
        let mut idle = None;
        let next = self.timers.iter().filter_map(|(_, timer)| match timer {
            Timer::Lease(id) => self.leases.get(id),
            Timer::Deadline(_)
            | Timer::Recheck(_)
            | Timer::Preempt(_)
            | Timer::Right(_)
            | Timer::Window
            | Timer::Step(_) => None,
        });
        for lease in next.take(64) {
            first.get_or_insert(lease.id);
            if !lease.held.transcode {
                idle = Some(lease.id);
                break;
            }
        }
        if let Some(id) = idle.or(first) {
            self.end(now, id, Ended::Idle);
        }
    }

    /// When it is worth asking again: never less than a second. For limits, when seats are expected to come free.
    pub(super) fn retry_after(&self, reason: Reason, expected: Option<Duration>) -> Duration {
        let secs = Duration::from_secs;
        let until = match reason.effect() {
            Effect::LetsIn | Effect::Shrinks => return secs(1),
            Effect::Refuses { until, .. } => until,
        };
        match until {
            Until::Room => {
                let ahead = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
                let guess = secs(15)
                    .saturating_mul(ahead.saturating_add(1))
                    .min(secs(120));
                expected.unwrap_or(guess).clamp(secs(5), secs(600))
            }
            Until::Window => self.until_window_edge().clamp(secs(60), secs(3600)),
            Until::Renewal => expected.unwrap_or(secs(3600)).clamp(secs(1), secs(86_400)),
            Until::Operator => secs(60),
            Until::Pace => secs(30),
            Until::Moment => secs(5),
            Until::Never => secs(300),
        }
    }
}

/// Sessions whose late requests a lease answers for: a player escalates twice or three times.
const MOST_ALIASES: usize = 8;
