//! What happens to a lease: signs of life and stops.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Activity, Admission, Capacity, Covered, Ended, Event, Kind, Known, LeaseState, Policy,
    foresee::Foresight,
    index::Index,
    lease::{Before, Lease},
    ledger::Ledger,
    queue::{Queue, Screen},
};
use crate::ident::{DeviceId, ItemId, LeaseId, PlaySessionId, UserId};

/// A progressive FFmpeg dies about 11 s after its reader has left (captures `reports`).
const STREAM_LINGER: Duration = Duration::from_secs(12);

impl Admission {
    /// Starts empty under `policy`. For [`super::Timers::recovery`] from `now`, unknown running streams are taken
    /// in.
    pub fn new(now: Instant, policy: Arc<Policy>) -> Self {
        let ledger = Ledger::new(
            policy.gpus.len(),
            policy.classes.len(),
            policy.libraries.len(),
        );
        let limiters = policy
            .gpus
            .iter()
            .map(|gpu| Capacity::new(gpu.capacity, gpu.learn))
            .collect();
        let foresight = Foresight::new(policy.gpus.len());
        let told = policy.gpus.iter().map(|gpu| gpu.capacity).collect();
        Self {
            policy,
            started: now,
            latest: now,
            week: None,
            windows: Vec::new(),
            edge: None,
            limiters,
            told,
            ledger,
            leases: HashMap::new(),
            sessions: HashMap::new(),
            screens: HashMap::new(),
            rights: HashMap::new(),
            queue: Queue::default(),
            timers: BTreeSet::new(),
            foresight,
            last_decision: 0,
            missed: Vec::new(),
            index: Index::default(),
            sentenced: BTreeSet::new(),
            preempted: BTreeMap::new(),
            last_lease: 0,
            last_ticket: 0,
            flow: super::Bitrate::ZERO,
            draining: false,
            paused: false,
            own_mode: None,
            events: Vec::new(),
        }
    }

    /// Binds a lease given out by [`Admission::decide`] to the PlaySession named in the answer.
    pub fn bind(&mut self, now: Instant, lease: LeaseId, session: &PlaySessionId) {
        self.advance(now);
        let Some(bound) = self.leases.get_mut(&lease) else {
            return;
        };
        if bound.session() == Some(session) {
            return;
        }
        let left = bound.session().cloned();
        bound.asked = Arc::new(bound.asked.bound(&self.policy, session));
        bound.aliases.retain(|alias| alias != session);
        if let Some(left) = left {
            self.forget_session(&left, lease);
        }
        self.claim_session(now, session.clone(), lease);
        self.settle(now);
    }

    /// A request that starts FFmpeg (`hls1`, `live.m3u8`, progressive) came for this session: a reserved lease
    /// becomes active, a finished, parked or lingering one takes its seats back without asking.
    pub fn confirm(
        &mut self,
        now: Instant,
        session: &PlaySessionId,
        kind: &Kind,
        activity: Activity,
    ) -> Covered {
        self.advance(now);
        let (id, own) = match self.sessions.get(session) {
            None => return Covered::Unknown,
            Some(Known::Lease(id)) => (*id, true),
            Some(Known::Alias(id)) => (*id, false),
            Some(Known::Right(screen)) => {
                let screen = screen.clone();
                // After a stop, reading on is a new start: it is decided like one.
                let covered = self
                    .rights
                    .get(&screen)
                    .is_some_and(|right| !right.stopped && self.covers(&right.asked, kind));
                return match covered
                    .then(|| self.come_back(now, &screen, activity))
                    .flatten()
                {
                    Some(id) => Covered::Yes(id),
                    None => Covered::Unknown,
                };
            }
        };
        let Some(lease) = self.leases.get(&id).filter(|lease| !lease.is_revoked()) else {
            return Covered::Unknown;
        };
        if !self.covers(&lease.asked, kind) {
            return Covered::Dearer(id);
        }
        self.note(now, id, activity, own);
        self.settle(now);
        Covered::Yes(id)
    }

    /// What the lease of this session plays, so that a request which names the session and another item can be
    /// told from one that it covers.
    pub fn item_of(&self, session: &PlaySessionId) -> Option<&ItemId> {
        let asked = match self.sessions.get(session)? {
            Known::Lease(id) => &self.leases.get(id)?.asked,
            Known::Alias(id) => {
                let lease = self.leases.get(id)?;
                match &lease.before {
                    Before::Running(old) if old.is(Some(session), self.latest) => &old.asked,
                    Before::Running(_) | Before::Right(_) | Before::Nothing => &lease.asked,
                }
            }
            Known::Right(screen) => &self.rights.get(screen)?.asked,
        };
        Some(&asked.demand.item)
    }

    /// Notes a sign of life. `false`: no lease is known for this session.
    ///
    /// [`Activity::Stream`] may be told once or again and again while a response is written;
    /// [`Activity::StreamEnded`] must follow when it ends, however it ends.
    pub fn touch(&mut self, now: Instant, session: &PlaySessionId, activity: Activity) -> bool {
        self.advance(now);
        let (id, own) = match self.sessions.get(session) {
            None => return false,
            Some(Known::Lease(id)) => (*id, true),
            Some(Known::Alias(id)) => (*id, false),
            Some(Known::Right(screen)) => {
                let screen = screen.clone();
                let stopped = self.rights.get(&screen).is_none_or(|right| right.stopped);
                return match activity {
                    Activity::Segment { .. } | Activity::Stream => {
                        !stopped && self.come_back(now, &screen, activity).is_some()
                    }
                    Activity::Playlist
                    | Activity::StreamEnded
                    | Activity::Started
                    | Activity::Progress { .. } => false,
                };
            }
        };
        self.note(now, id, activity, own);
        self.settle(now);
        true
    }

    /// Notes a sign of life of a lease that has no PlaySession. `false`: it has ended.
    pub fn touch_lease(&mut self, now: Instant, lease: LeaseId, activity: Activity) -> bool {
        self.advance(now);
        let known = self.leases.contains_key(&lease);
        self.note(now, lease, activity, true);
        self.settle(now);
        known
    }

    /// Notes a report of a device that named no PlaySession (direct play, or a dead player).
    pub fn touch_device(
        &mut self,
        now: Instant,
        user: &UserId,
        device: &DeviceId,
        activity: Activity,
    ) {
        self.advance(now);
        let screen = (user.clone(), device.clone());
        let all = self.screens.get(&screen).into_iter().flatten().copied();
        let all: Vec<LeaseId> = all.collect();
        let direct = |id: &LeaseId| {
            self.leases
                .get(id)
                .is_some_and(|lease| lease.asked.demand.kind == Kind::Direct)
        };
        // Transcodes are reported with their session by every client seen.
        let direct: Vec<LeaseId> = all.iter().copied().filter(direct).collect();
        for id in if direct.is_empty() { all } else { direct } {
            self.note(now, id, activity, true);
        }
        self.settle(now);
    }

    /// Whether something plays on this device of the user's: a lease that has begun and has not been left.
    pub fn plays(&self, user: &UserId, device: &DeviceId) -> bool {
        let screen = (user.clone(), device.clone());
        let all = self.screens.get(&screen).into_iter().flatten();
        all.filter_map(|id| self.leases.get(id))
            .any(|lease| match lease.state {
                LeaseState::Active | LeaseState::Parked | LeaseState::Finished => true,
                LeaseState::Reserved | LeaseState::Lingering | LeaseState::Ended => false,
            })
    }

    /// The session was stopped (Stopped, DELETE ActiveEncodings): its lease lingers while FFmpeg goes, then ends.
    /// A second stop, or one for a session that was taken over, changes nothing.
    pub fn stop(&mut self, now: Instant, session: &PlaySessionId, why: Ended) {
        self.advance(now);
        match self.sessions.get(session) {
            Some(Known::Lease(id)) => {
                let id = *id;
                self.leave(now, id, why, self.policy.timers.linger);
            }
            Some(Known::Alias(id)) => {
                if let Some(lease) = self.leases.get_mut(id)
                    && let Before::Running(former) = &mut lease.before
                    && former.asked.demand.session.as_ref() == Some(session)
                {
                    former.stopped = true;
                }
            }
            Some(Known::Right(_)) | None => {}
        }
        self.settle(now);
    }

    /// A device has stopped playing `item` directly: the web client names no session for that.
    pub fn stop_device(
        &mut self,
        now: Instant,
        user: &UserId,
        device: &DeviceId,
        item: &ItemId,
        why: Ended,
    ) {
        self.advance(now);
        let screen = (user.clone(), device.clone());
        let all = self.screens.get(&screen).cloned().unwrap_or_default();
        for id in all {
            let direct = self.leases.get(&id).is_some_and(|lease| {
                lease.asked.demand.kind == Kind::Direct && lease.asked.demand.item == *item
            });
            if direct {
                self.leave(now, id, why, self.policy.timers.linger);
            }
        }
        self.settle(now);
    }

    /// Ends a lease at once: its answer was never written. What it had replaced, and what
    /// runs on, takes its seats back.
    pub fn release(&mut self, now: Instant, lease: LeaseId, why: Ended) {
        self.advance(now);
        self.finish(now, lease, why);
        self.settle(now);
    }

    /// Takes what has happened since the last call, in order.
    pub fn drain_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// A session that ended a moment ago is read again: its lease is made anew, without asking.
    fn come_back(&mut self, now: Instant, screen: &Screen, activity: Activity) -> Option<LeaseId> {
        let right = self.forget_right(screen)?;
        let lease = self.reopen(now, &right.asked);
        self.note(now, lease, activity, true);
        self.settle(now);
        Some(lease)
    }

    /// A sign of life. `own`: by its own session, not by one that it took over from.
    fn note(&mut self, now: Instant, id: LeaseId, activity: Activity, own: bool) {
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| !lease.is_revoked()) else {
            return;
        };
        let state = lease.state;
        let lingers = state == LeaseState::Lingering;
        match activity {
            Activity::Playlist | Activity::Started => {
                lease.last_sign = now;
                if state == LeaseState::Reserved && own {
                    let until = now + self.policy.timers.intent;
                    lease.reserved_until = lease.reserved_until.max(until);
                    if activity == Activity::Started && !lease.is_video() {
                        self.change_state(id, LeaseState::Active);
                    }
                }
            }
            Activity::Segment { .. } | Activity::Stream => self.read(now, id, activity, own),
            Activity::StreamEnded => {
                if own && lease.open {
                    lease.open = false;
                    lease.last_sign = now;
                    lease.last_read = now;
                    if state == LeaseState::Active && lease.is_video() {
                        self.leave(now, id, Ended::Stopped, STREAM_LINGER);
                    } else {
                        let screen = lease.screen();
                        self.recheck_screen(now, &screen);
                    }
                }
            }
            // What a player still reports after its stop keeps nothing alive.
            Activity::Progress { .. } if lingers => {}
            Activity::Progress { paused, position } => {
                lease.last_sign = now;
                if own {
                    // A ping says nothing about the viewer.
                    let ping = position.is_none() && !paused;
                    if paused {
                        lease.paused_since.get_or_insert(now);
                    } else if !ping {
                        lease.paused_since = None;
                    }
                    match position {
                        Some(Duration::ZERO) if paused => {
                            lease.dead_since.get_or_insert(now);
                        }
                        Some(_) => lease.dead_since = None,
                        None => {}
                    }
                    let starts = state == LeaseState::Reserved && !lease.is_video();
                    let returns = state == LeaseState::Parked && !paused && !ping;
                    if starts || returns {
                        self.change_state(id, LeaseState::Active);
                    }
                }
            }
        }
        self.arm(id);
    }

    fn read(&mut self, now: Instant, id: LeaseId, activity: Activity, own: bool) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        if let Before::Running(former) = &mut lease.before {
            former.read |= !own;
        }
        lease.last_sign = now;
        // Until the new stream begins, what is read by the old session is the old stream.
        if !own && lease.state == LeaseState::Reserved {
            return;
        }
        if lease.state == LeaseState::Reserved {
            lease.leaves_behind(now + self.policy.timers.replace_idle);
        }
        lease.last_read = now;
        lease.dead_since = None;
        let reopened = activity == Activity::Stream && !lease.open;
        if own {
            lease.open |= activity == Activity::Stream;
        }
        let index = match activity {
            Activity::Segment { index } if index >= 0 => Some(index),
            Activity::Segment { .. }
            | Activity::Stream
            | Activity::Playlist
            | Activity::StreamEnded
            | Activity::Started
            | Activity::Progress { .. } => None,
        };
        let starts = match lease.state {
            LeaseState::Active => {
                lease.job_from = lower(lease.job_from, index);
                return;
            }
            LeaseState::Reserved | LeaseState::Lingering | LeaseState::Parked => true,
            // What its job encoded is still there; before the job's start there is nothing.
            LeaseState::Finished => {
                reopened
                    || index.is_some_and(|index| lease.job_from.is_some_and(|from| index < from))
            }
            LeaseState::Ended => false,
        };
        if starts {
            lease.leave = None;
            lease.job_from = lower(lease.job_from, index);
            lease.seen = super::lease::Seen::default();
            let screen = lease.screen();
            self.change_state(id, LeaseState::Active);
            self.recheck_screen(now, &screen);
        }
    }

    /// The only way by which a lease that lives changes state: its seats go with it.
    pub(super) fn change_state(&mut self, id: LeaseId, to: LeaseState) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        if lease.state == to {
            return;
        }
        let from = std::mem::replace(&mut lease.state, to);
        if to == LeaseState::Active {
            lease.lives_anew(self.latest);
            lease.starts_to_shrink(self.latest, self.policy.timers.linger);
        }
        let held = Lease::holds(&lease.asked, to);
        let old = std::mem::replace(&mut lease.held, held);
        self.ledger.change(&lease.asked.account, old, held);
        if old.transcode && !held.transcode {
            self.foresight.note_end();
        }
        let subject = Arc::clone(&lease.asked.subject);
        self.events.push(Event::Moved {
            subject,
            lease: id,
            from,
            to,
        });
        match to {
            // Who has closed his stream, or asked for another, may be back in a moment.
            LeaseState::Reserved | LeaseState::Active | LeaseState::Lingering => {}
            // Who does not encode needs no more be ended.
            LeaseState::Parked | LeaseState::Finished | LeaseState::Ended => self.pardon(id),
        }
        self.list(id);
        self.foresee(id);
        self.count_play(id);
    }
}

fn lower(known: Option<i64>, index: Option<i64>) -> Option<i64> {
    match (known, index) {
        (Some(known), Some(index)) => Some(known.min(index)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}
