//! The order of answers to a demand, and the dispatch of those that wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Decision, Demand, Ended, Event, Known, LeaseState, MOST_LEASES, Origin, Pace,
    Reason, Timer,
    lease::{Before, Former, Lease, Right, Seen},
    ledger::Hold,
    queue::{Line, Place, Queue, Waiter},
    rules::{Asked, Judgement},
};
use crate::ident::{DeviceId, LeaseId, PlaySessionId, Ticket, UserId};

/// What a demand has a claim to before any limit is asked.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// It comes back, or goes on on the same screen: it is not refused.
    reason: Option<Reason>,
    /// Leases whose place it takes.
    takes: Vec<LeaseId>,
    /// It uses up the right that its screen was left with.
    right: bool,
    /// The old thing was another item: rules about this one still hold.
    other_item: bool,
    /// Streams of this user that it takes the place of.
    freed: u32,
}

impl Claim {
    #[cfg(test)]
    pub(super) fn freed(&self) -> u32 {
        self.freed
    }
}

impl Admission {
    /// Decides about a demand: admits, queues, steps down or rejects it.
    ///
    /// Whatever the same device waits for is void then (unless this is a known session coming back); if it waits
    /// for the same item, the new demand takes over the old one's turn.
    pub fn decide(&mut self, now: Instant, demand: Demand) -> Decision {
        self.advance(now);
        let asked = Arc::new(Asked::new(&self.policy, demand));
        let claim = self.claim(now, &asked);
        let turn = match claim.reason {
            Some(Reason::Resume) => None,
            Some(_) | None => self.void(now, &asked),
        };
        let decision = self.answer(now, asked, claim, turn);
        self.settle(now);
        decision
    }

    fn answer(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        claim: Claim,
        turn: Option<Place>,
    ) -> Decision {
        if let Some(reason) = self.holds_claim(&claim, &asked) {
            return self.admit(now, asked, claim, reason, None);
        }
        let place = match turn {
            Some(place) => Queue::keep_turn(place, asked.priority),
            None => self.queue.place(asked.priority),
        };
        let verdict = self.judge(&asked, place, claim.freed);
        let Judgement {
            block,
            would,
            alone,
        } = verdict;
        let Some((reason, line)) = block else {
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
        let wait = asked.demand.patience.min(asked.max_wait);
        match line {
            Some(line) if !wait.is_zero() => self.enqueue(now, asked, place, line, reason, wait),
            Some(_) | None => self.reject(&asked, reason),
        }
    }

    /// Says whether this demand would replace or resume what its device already holds, and so is never refused.
    pub fn replaces(&self, demand: &Demand) -> bool {
        let asked = Asked::new(&self.policy, demand.clone());
        let claim = self.claim(self.latest, &asked);
        self.holds_claim(&claim, &asked).is_some()
    }

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
        for ticket in self.queue.of_screen(&(user.clone(), device.clone())) {
            self.refuse(now, ticket, Reason::Superseded);
        }
        self.settle(now);
    }

    /// Refuses all new demands and everything that waits, from now on. Running leases stay, and may come back.
    pub fn drain(&mut self, now: Instant) {
        self.advance(now);
        self.draining = true;
        for ticket in self.in_order() {
            self.refuse(now, ticket, Reason::Draining);
        }
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
        let claimed = self.holds_claim(&claim, &asked);
        if claimed.is_none() {
            match self.judge(&asked, place, claim.freed).block {
                None => {}
                Some((reason, None)) => {
                    self.refuse(now, ticket, reason);
                    return true;
                }
                Some((reason, Some(line))) => return self.shift(ticket, line, reason),
            }
        }
        let Some(waiter) = self.unqueue(ticket) else {
            return false;
        };
        let reason = claimed.unwrap_or(Reason::Waited);
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
        // Whoever stood behind it in the line it leaves may go now.
        let user = waiter.asked.account.user.clone();
        self.queue.shift(ticket, line, reason);
        self.ledger.mark(user);
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

    fn enqueue(
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

    fn reject(&mut self, asked: &Asked, reason: Reason) -> Decision {
        let retry_after = self.retry_after(reason);
        self.events.push(Event::Refused {
            subject: Arc::clone(&asked.subject),
            ticket: None,
            reason,
            waited: Duration::ZERO,
            retry_after,
        });
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

    /// What waits for the same screen is void. Returns the turn of the oldest that waited for the same item.
    fn void(&mut self, now: Instant, asked: &Asked) -> Option<Place> {
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

    /// An unknown running stream, soon after a start: its lease was lost with the last process.
    fn recovers(&self, now: Instant, asked: &Asked) -> bool {
        let stream = asked.demand.origin == Origin::Stream && asked.demand.session.is_some();
        stream && now < self.started + self.policy.timers.recovery
    }

    /// The claim, if it holds. Coming back to the same thing is beyond any rule. Another item on the same screen
    /// is beyond limits, but not beyond a rule which says that this item may not be transcoded.
    pub(super) fn holds_claim(&self, claim: &Claim, asked: &Asked) -> Option<Reason> {
        let reason = claim.reason?;
        if claim.other_item && self.judge_access(asked, &mut Judgement::default()) {
            return None;
        }
        Some(reason)
    }

    /// Finds what a demand replaces or comes back to.
    ///
    /// Seats go on only from a transcode: who plays directly has none to take with him, so that a transcode of
    /// the same item is judged like any other (else a direct play would be a free pass).
    pub(super) fn claim(&self, now: Instant, asked: &Asked) -> Claim {
        let mut claim = Claim::default();
        let demand = &asked.demand;
        let video = demand.kind.is_video();
        let timers = &self.policy.timers;
        let known = demand
            .session
            .as_ref()
            .and_then(|session| self.sessions.get(session));
        if let Some(Known::Lease(id) | Known::Alias(id)) = known
            && let Some(lease) = self.leases.get(id)
            && lease.asked.account.user == asked.account.user
            && !lease.is_revoked()
        {
            claim.takes.push(*id);
            let former = match &lease.before {
                Before::Running(former) => {
                    former.asked.demand.session == demand.session
                        && former.asked.demand.kind.is_video()
                }
                Before::Nothing | Before::Right(_) => false,
            };
            if lease.is_video() || former || !video {
                claim.reason = Some(Reason::Resume);
            }
        }
        let screen = asked.screen();
        if asked.account.user == UserId::anonymous() {
            return self.with_freed(claim);
        }
        let mut other: Option<&Lease> = None;
        let leases = self.screens.get(&screen).into_iter().flatten();
        for lease in leases.filter_map(|id| self.leases.get(id)) {
            if lease.is_revoked() || claim.takes.contains(&lease.id) {
                continue;
            }
            let replaceable = lease.is_replaceable(now, timers);
            let adopted = lease.session().is_none() && lease.reason == Reason::Adopted;
            if lease.asked.demand.item == demand.item {
                // A direct answer for what is being transcoded changes nothing until the player stops the old one.
                if video || !lease.is_video() || replaceable || lease.state == LeaseState::Reserved
                {
                    claim.takes.push(lease.id);
                } else {
                    claim.freed += u32::from(lease.held.stream);
                }
                if lease.is_video() && video && claim.reason.is_none() {
                    let stream = demand.origin == Origin::Stream;
                    claim.reason = Some(if adopted && stream {
                        Reason::Adopted
                    } else {
                        Reason::Replacement
                    });
                }
            } else if replaceable && (lease.is_video() || !video) {
                // One for one: the one that was read longest ago.
                let key = |lease: &Lease| (lease.leave.is_none(), lease.last_read, lease.id);
                if other.is_none_or(|best| key(lease) < key(best)) {
                    other = Some(lease);
                }
            }
        }
        if claim.takes.is_empty()
            && let Some(lease) = other
        {
            claim.takes.push(lease.id);
            if video {
                claim.reason = Some(Reason::Replacement);
                claim.other_item = true;
            }
        } else if video
            && claim.reason.is_none()
            && let Some(right) = self.rights.get(&screen)
            && now < right.until
        {
            claim.reason = Some(Reason::Replacement);
            claim.right = true;
            claim.other_item = right.asked.demand.item != demand.item;
        }
        self.with_freed(claim)
    }

    fn with_freed(&self, mut claim: Claim) -> Claim {
        claim.freed += claim
            .takes
            .iter()
            .filter_map(|id| self.leases.get(id))
            .map(|lease| u32::from(lease.held.stream))
            .sum::<u32>();
        claim
    }

    /// Makes the lease. What it replaces ends first, and nothing is dispatched in between: the seats go with it.
    pub(super) fn open(
        &mut self,
        now: Instant,
        asked: Arc<Asked>,
        claim: Claim,
        reason: Reason,
    ) -> LeaseId {
        self.make_room(now);
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let mut before = Before::Nothing;
        let mut aliases = Vec::new();
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
            before = self.keep(now, before, old);
        }
        aliases.retain(|alias| Some(alias) != asked.demand.session.as_ref());
        let oldest = aliases.len().saturating_sub(MOST_ALIASES);
        aliases.drain(..oldest);
        for alias in &aliases {
            self.sessions.insert(alias.clone(), Known::Alias(id));
        }
        let state = match asked.demand.origin {
            Origin::Negotiation => LeaseState::Reserved,
            Origin::Stream => LeaseState::Active,
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
            aliases,
            seen: Seen::default(),
            armed: None,
            asked,
        };
        self.screens.entry(lease.screen()).or_default().push(id);
        if let Some(session) = lease.session().cloned() {
            self.claim_session(now, session, id);
        }
        self.leases.insert(id, lease);
        self.arm(id);
        id
    }

    /// Binds a session to a lease; a lease that it was bound to before has been replaced.
    pub(super) fn claim_session(&mut self, now: Instant, session: PlaySessionId, id: LeaseId) {
        match self.sessions.insert(session, Known::Lease(id)) {
            Some(Known::Lease(old)) if old != id => {
                self.end(now, old, Ended::Replaced);
            }
            Some(Known::Right(screen)) => {
                self.forget_right(&screen);
            }
            Some(Known::Lease(_) | Known::Alias(_)) | None => {}
        }
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
                }))
            }
            LeaseState::Lingering | LeaseState::Ended => match old.leave {
                Some(leave) if old.asked.demand.kind.is_video() => Before::Right(Right {
                    asked: old.asked,
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

    fn make_room(&mut self, now: Instant) {
        if self.leases.len() < MOST_LEASES {
            return;
        }
        let mut first = None;
        let mut idle = None;
        let next = self.timers.iter().filter_map(|(_, timer)| match timer {
            Timer::Lease(id) => self.leases.get(id),
            Timer::Deadline(_)
            | Timer::Recheck(_)
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

    /// When it is worth asking again: never less than a second. For limits, as long as it takes on average until
    /// everybody in the queue and one more has been served.
    pub(super) fn retry_after(&self, reason: Reason) -> Duration {
        let secs = Duration::from_secs;
        match reason {
            Reason::UserLimit
            | Reason::UserStreams
            | Reason::ClassLimit
            | Reason::ServerLimit
            | Reason::GpuFull
            | Reason::GpuSessions
            | Reason::QueueFull
            | Reason::WaitedOut => {
                let ahead = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
                let each = self.pace.average.unwrap_or(secs(15));
                each.saturating_mul(ahead.saturating_add(1))
                    .clamp(secs(5), secs(120))
            }
            Reason::UhdDenied
            | Reason::TranscodeDenied
            | Reason::LibraryRule
            | Reason::Anonymous
            | Reason::Unreadable
            | Reason::Revoked => secs(300),
            Reason::TimeWindow => self.until_window_edge().clamp(secs(60), secs(3600)),
            Reason::StartRate => secs(30),
            Reason::Superseded | Reason::Draining => secs(5),
            Reason::Fits
            | Reason::Cheap
            | Reason::Replacement
            | Reason::Resume
            | Reason::Adopted
            | Reason::Waited
            | Reason::Observed
            | Reason::FailOpen
            | Reason::RunsAlone => secs(1),
        }
    }
}

/// Sessions whose late requests a lease answers for: a player escalates twice or three times.
const MOST_ALIASES: usize = 8;

// === impl Pace ===

impl Pace {
    /// Seats have come free.
    pub(super) fn note(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last);
            self.average = Some(self.average.map_or(gap, |average| (average * 7 + gap) / 8));
        }
    }
}
