//! What a demand has a claim to before any limit is asked: its own place on its own screen.

use std::time::Instant;

use super::{
    Admission, Known, LeaseState, Mode, Origin, Reason, Seats,
    lease::{Before, Former, Lease},
    queue::{Lane, Place},
    rules::{Asked, Judgement},
    uplink::Freed,
};
use crate::ident::{LeaseId, Ticket, UserId};

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It does: no limit is asked. It may go past somebody who waits, and cost him so many seats.
    Yes(Reason, Option<(Ticket, Seats)>),
    /// It would, but its seats have gone to somebody else, or it needs more of them: it waits for those.
    Full(Lane),
    /// It does not.
    No,
}

/// What a demand has a claim to before any limit is asked.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// It comes back, or goes on on the same screen: it is not refused.
    pub(super) reason: Option<Reason>,
    /// Leases whose place it takes.
    pub(super) takes: Vec<LeaseId>,
    /// It uses up the right that its screen was left with.
    pub(super) right: bool,
    /// The old thing was another item: rules about this one still hold.
    other_item: bool,
    /// What comes free on its own screen.
    pub(super) freed: Freed,
}

impl Claim {
    /// Whether it is about what its screen was playing already.
    pub(super) fn goes_on(&self) -> bool {
        self.reason.is_some() && !self.other_item
    }
}

// === impl Claim ===

impl Claim {
    /// Whether the GPU was looked at before it was found to hold.
    pub(super) fn goes_with_its_seats(&self) -> bool {
        self.other_item || self.right
    }
}

impl Admission {
    /// Whether the claim holds. Coming back to the same thing is beyond any rule. Another item on the same screen is
    /// beyond limits, but not beyond a rule which says that this item may not be transcoded, and not beyond what the
    /// GPU carries: its seats go with it, and if they have gone elsewhere or it needs more, it waits like others.
    /// Else one viewer's next film would stall everybody who was let in.
    pub(super) fn holds_claim(&self, claim: &Claim, asked: &Asked, place: Option<Place>) -> Holds {
        let Some(reason) = claim.reason else {
            return Holds::No;
        };
        let mut verdict = Judgement::default();
        let mut forbidden =
            || self.judge_access(asked, &mut verdict) || self.judge_quota(asked, &mut verdict);
        if claim.other_item && forbidden() {
            return Holds::No;
        }
        // What comes by the right of a stopped stream has no FFmpeg yet, unless it asks for media at once.
        let begins = claim.right && asked.demand.origin == Origin::Negotiation;
        // The seats are the screen's for a moment; how much its user may run at once, and the line out of the house, are
        // not.
        if begins && self.is_over_its_own_limits(asked, claim) {
            return Holds::No;
        }
        match asked.account.gpu {
            Some(gpu) if claim.other_item || begins => {
                self.goes_with_its_seats(gpu, claim, asked, place, reason)
            }
            Some(_) | None => Holds::Yes(reason, None),
        }
    }

    /// What the rules say, its claim considered: where that holds, no rule is in the way, or only the GPU is.
    pub(super) fn judge_claimed(
        &self,
        (claim, holds): (&Claim, Holds),
        asked: &Asked,
        place: Place,
    ) -> Judgement {
        match holds {
            Holds::Yes(_, passes) => Judgement {
                passes,
                ..Judgement::default()
            },
            Holds::Full(lane) => Judgement::gpu_full(lane),
            Holds::No => self.judge(asked, place, claim.freed),
        }
    }

    /// Whether a limit of the user, of the class or of the line stands against it, whatever the GPU has room for.
    fn is_over_its_own_limits(&self, asked: &Asked, claim: &Claim) -> bool {
        let place = Place::FIRST;
        let mut verdict = Judgement::default();
        self.judge_user(asked, place, claim.freed, &mut verdict)
            || self.judge_shared(asked, place, &mut verdict)
            || self.judge_uplink(asked, place, claim.freed, &mut verdict)
    }

    /// Whether the GPU carries it once what it replaces has gone. For more than that it waits its turn.
    fn goes_with_its_seats(
        &self,
        index: usize,
        claim: &Claim,
        asked: &Asked,
        place: Option<Place>,
        reason: Reason,
    ) -> Holds {
        let holds = Holds::Yes(reason, None);
        let Some(gpu) = self.policy.gpus.get(index) else {
            return holds;
        };
        if self.mode(gpu.mode) == Mode::Observe {
            return holds;
        }
        let own = self.own_of(claim, index);
        if own.transcodes > 0 && asked.cost <= own.seats {
            return holds;
        }
        let more = |seats: Seats| Lane {
            gpu: index,
            class: asked.account.class,
            need: seats.less(own.seats),
        };
        let lane = more(asked.cost);
        let used = self.ledger.gpu(index);
        let others = used.transcodes.saturating_sub(own.transcodes);
        let seats = self.has_seats(lane, Mode::Enforce);
        let whole = self.most(index, lane.class) == self.capacity_of(index, Mode::Enforce);
        let counted = gpu.max_sessions.is_none_or(|most| others < most);
        let goes = match place {
            Some(place) => self.may_go(lane, place, seats),
            None => Ok(None),
        };
        match goes {
            Ok(passes) if counted && (seats || others == 0 && whole && passes.is_none()) => {
                Holds::Yes(reason, passes)
            }
            Ok(_) | Err(()) => Holds::Full(more(asked.need())),
        }
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
            && self.is_about(lease, asked)
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
            let replaceable = demand.replaces || lease.is_replaceable(now, timers);
            let adopted = lease.session().is_none() && lease.reason == Reason::Adopted;
            if lease.asked.demand.item == demand.item {
                // A direct answer for what is being transcoded changes nothing until the player stops the old one.
                if video || !lease.is_video() || replaceable || lease.state == LeaseState::Reserved
                {
                    claim.takes.push(lease.id);
                }
                // The file itself in place of its transcode, or after a long pause.
                if !video && (lease.is_video() || lease.state == LeaseState::Parked) {
                    claim.reason.get_or_insert(Reason::Replacement);
                }
                if lease.is_video() && video && claim.reason.is_none() {
                    let stream = demand.origin != Origin::Negotiation;
                    claim.reason = Some(if adopted && stream {
                        Reason::Adopted
                    } else {
                        Reason::Replacement
                    });
                }
            } else if lease.state == LeaseState::Lingering && !video {
                // It is no stream any more, and the seats of its FFmpeg are not this demand's to free.
            } else if replaceable {
                // One for one: a transcode before anything else, then the one that was read longest ago.
                let key = |l: &Lease| (!l.is_video(), l.leave.is_none(), l.last_read, l.id);
                if other.is_none_or(|best| key(lease) < key(best)) {
                    other = Some(lease);
                }
            }
        }
        if claim.takes.is_empty()
            && let Some(lease) = other
        {
            claim.takes.push(lease.id);
            claim.other_item = true;
            if video && lease.is_video() {
                claim.reason = Some(Reason::Replacement);
            }
        }
        if video
            && claim.reason.is_none()
            && let Some(right) = self.rights.get(&screen)
            && now < right.until
            && !(right.stopped && demand.origin != Origin::Negotiation)
        {
            claim.reason = Some(Reason::Replacement);
            claim.right = true;
            claim.other_item = right.asked.demand.item != demand.item;
        }
        self.with_freed(claim)
    }

    /// Whether a demand that names a lease's session is about what that session plays: else one session would be
    /// a pass for any number of films.
    fn is_about(&self, lease: &Lease, asked: &Asked) -> bool {
        let item = &asked.demand.item;
        let former = match &lease.before {
            Before::Running(former) => Some(former),
            Before::Nothing | Before::Right(_) => None,
        };
        let session = asked.demand.session.as_ref();
        let is = |old: &Former| old.asked.demand.item == *item && old.is(session, self.latest);
        lease.asked.demand.item == *item || former.is_some_and(|old| is(old))
    }

    fn with_freed(&self, mut claim: Claim) -> Claim {
        let taken = claim.takes.iter().filter_map(|id| self.leases.get(id));
        for lease in taken {
            claim.freed.streams += u32::from(lease.held.stream);
            claim.freed.rate = claim.freed.rate.plus(lease.held.rate);
            let watched = lease.held.stream || lease.state == LeaseState::Parked;
            claim.freed.goes_on |= watched && !claim.other_item;
        }
        claim
    }
}
