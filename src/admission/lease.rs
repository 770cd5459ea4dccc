//! The states of one lease and their timers.
//!
//! ```text
//!  decide ─▶ Reserved ──first read──▶ Active ◀──read──▶ Parked (paused for long)
//!               │ reserve            │  ▲ │
//!               │                    │  │ └─ job done ─▶ Finished ─ seek before the job's start ─▶ Active
//!               │        stop, left  │  │ read
//!               ▼                    ▼  │
//!             Ended ◀──── linger ── Lingering ◀── ended for somebody else ── Reserved
//! ```
//!
//! Seats are held in Reserved, Active and Lingering only: while FFmpeg runs, or will at once. The line out of the
//! house is held in Reserved, Active and Finished: while somebody watches. Coming back from
//! any of them is never refused. A lease has one timer, armed at the earliest moment at which something may be
//! due; a sign of life that puts it off leaves the timer where it is, and [`Lease::fate`] is asked again when it
//! fires. So a touch costs two look-ups.

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Bitrate, Ended, Reason, Timers, index::Listed, ledger::Hold, queue::Screen, rules::Asked,
};
use crate::ident::{LeaseId, PlaySessionId};

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// Seats are held for an answer that was given; no media request yet.
    Reserved,
    /// Its job runs.
    Active,
    /// Its viewer has paused beyond the park limit; the seats are lent out.
    Parked,
    /// Its job has encoded all there is: nothing is held, the viewer watches on.
    Finished,
    /// Its viewer has left; FFmpeg takes some seconds to go.
    Lingering,
    /// Over.
    Ended,
}

impl LeaseState {
    /// Every state, for metrics that are registered at start.
    pub const ALL: &'static [Self] = &[
        Self::Reserved,
        Self::Active,
        Self::Parked,
        Self::Finished,
        Self::Lingering,
        Self::Ended,
    ];

    /// The one spelling, in logs, metrics and state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Parked => "parked",
            Self::Finished => "finished",
            Self::Lingering => "lingering",
            Self::Ended => "ended",
        }
    }
}

/// A grant and its life so far.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) asked: Arc<Asked>,
    pub(super) state: LeaseState,
    pub(super) held: Hold,
    pub(super) reason: Reason,
    pub(super) since: Instant,
    /// Last report or read.
    pub(super) last_sign: Instant,
    /// Last segment or stream read; at first, when it was granted.
    pub(super) last_read: Instant,
    pub(super) reserved_until: Instant,
    pub(super) paused_since: Option<Instant>,
    pub(super) dead_since: Option<Instant>,
    /// A progressive response is being written.
    pub(super) open: bool,
    /// Lowest segment asked for since its job began: what comes after it exists or will.
    pub(super) job_from: Option<i64>,
    pub(super) leave: Option<Leave>,
    pub(super) before: Before,
    /// It is a play that was not counted yet.
    pub(super) uncounted: bool,
    /// Sessions it took over from: their late requests are its own.
    pub(super) aliases: Vec<PlaySessionId>,
    pub(super) seen: Seen,
    /// When its old job has had time to go: it holds no more than its own price then.
    pub(super) shrinks_at: Option<Instant>,
    /// When it is ended for somebody else.
    pub(super) sentence: Option<Instant>,
    /// The GPU on which its seats come free, and when, if that is known.
    pub(super) frees: Option<(usize, Instant)>,
    /// What it is listed under.
    pub(super) listed: Listed,
    /// When its timer is armed for.
    pub(super) armed: Option<Instant>,
}

/// How a lingering lease will end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave {
    pub(super) at: Instant,
    pub(super) stopped: Instant,
    pub(super) why: Ended,
}

/// What a lease took over from: given back if its answer is never used.
#[derive(Debug, Clone)]
pub(super) enum Before {
    Nothing,
    /// A stream that was running.
    Running(Box<Former>),
    /// The right of a screen that had stopped.
    Right(Right),
}

/// The stream that a new lease took the seats of.
#[derive(Debug, Clone)]
pub(super) struct Former {
    pub(super) asked: Arc<Asked>,
    pub(super) state: LeaseState,
    /// It was read since: the viewer watches on.
    pub(super) read: bool,
    pub(super) stopped: bool,
    /// Another item began in its place: until then its last requests may still come.
    pub(super) until: Option<Instant>,
}

impl Former {
    /// Whether this session is still its own.
    pub(super) fn is(&self, session: Option<&PlaySessionId>, now: Instant) -> bool {
        self.asked.demand.session.as_ref() == session && self.until.is_none_or(|until| now < until)
    }
}

/// The right of a screen to start its next thing without asking.
#[derive(Clone, Debug)]
pub(super) struct Right {
    pub(super) asked: Arc<Asked>,
    /// The viewer stopped: what starts next begins anew, and the ended session is no way in.
    pub(super) stopped: bool,
    pub(super) until: Instant,
}

/// What the polls of Jellyfin said about its job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) completion: Option<f64>,
    pub(super) at: Option<Instant>,
    /// Speed of the job against real time, and when that was found.
    pub(super) speed: Option<(f64, Instant)>,
    /// When it will have encoded the whole film at that speed.
    pub(super) done_at: Option<Instant>,
    /// How far the job was ahead of the viewer then, in seconds.
    pub(super) lead: f64,
    /// Polls in a row in which it was slow and its viewer had little in hand.
    pub(super) starved: u8,
    /// Polls in a row without it.
    pub(super) missing: u8,
}

/// What time does to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Park,
    Shrink,
    Preempt,
    End(Ended),
}

impl Lease {
    pub(super) fn session(&self) -> Option<&PlaySessionId> {
        self.asked.demand.session.as_ref()
    }

    pub(super) fn screen(&self) -> Screen {
        self.asked.screen()
    }

    pub(super) fn is_video(&self) -> bool {
        self.asked.demand.kind.is_video()
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.leave
            .is_some_and(|leave| matches!(leave.why, Ended::Revoked | Ended::Preempted))
    }

    /// Its job begins (again): what was due before is due anew.
    pub(super) fn lives_anew(&mut self, now: Instant) {
        self.last_sign = now;
        self.dead_since = None;
        if self.paused_since.is_some() {
            self.paused_since = Some(now);
        }
    }

    /// What it holds in `state`.
    pub(super) fn holds(asked: &Asked, state: LeaseState) -> Hold {
        let whole = asked.hold();
        match state {
            LeaseState::Reserved => Hold {
                reserved: true,
                ..whole
            },
            LeaseState::Active => whole,
            LeaseState::Finished => Hold {
                stream: true,
                rate: whole.rate,
                ..Hold::default()
            },
            LeaseState::Lingering => Hold {
                stream: false,
                rate: Bitrate::ZERO,
                ..whole
            },
            LeaseState::Parked | LeaseState::Ended => Hold::default(),
        }
    }

    /// Whether something else on the same screen may take its place: it was stopped within the grace time, or
    /// has read nothing for long.
    pub(super) fn is_replaceable(&self, now: Instant, timers: &Timers) -> bool {
        match self.leave {
            Some(leave) => !self.is_revoked() && now < leave.stopped + timers.grace,
            None => !self.open && now >= self.last_read + timers.replace_idle,
        }
    }

    /// It begins: another item that it took the place of is soon no more covered by it, else one lease would carry
    /// two films.
    pub(super) fn leaves_behind(&mut self, until: Instant) {
        if let Before::Running(former) = &mut self.before
            && former.asked.demand.item != self.asked.demand.item
        {
            former.until = Some(until);
        }
    }

    /// What happens to it, and when, if there is no further sign of life.
    pub(super) fn fate(&self, timers: &Timers) -> (Instant, Fate) {
        let idle = Fate::End(Ended::Idle);
        let sentence = self.sentence.map(|at| (at, Fate::Preempt));
        let sooner = |best: (Instant, Fate), next: Option<(Instant, Fate)>| match next {
            Some(next) if next.0 < best.0 => next,
            Some(_) | None => best,
        };
        match self.state {
            LeaseState::Reserved => {
                let unused = (self.reserved_until, Fate::End(Ended::Abandoned));
                sooner(unused, sentence)
            }
            LeaseState::Parked => (self.last_sign + timers.parked, idle),
            LeaseState::Finished if self.open || self.paused_since.is_some() => {
                (self.last_sign + timers.parked, idle)
            }
            LeaseState::Finished => (self.last_sign + timers.idle, idle),
            LeaseState::Lingering => match self.leave {
                Some(leave) => sooner((leave.at, Fate::End(leave.why)), sentence),
                None => (self.last_sign, idle),
            },
            LeaseState::Active => {
                // A silent viewer who had paused keeps the right to come back: several clients report a pause
                // once and then nothing (`docs/sources.md`, Players).
                let silence = if self.open {
                    (self.last_sign + timers.parked, idle)
                } else if self.paused_since.is_some() && self.is_video() {
                    (self.last_sign + timers.idle, Fate::Park)
                } else {
                    (self.last_sign + timers.idle, idle)
                };
                // A file has no seats to lend, but it may have a part of the line out of the house.
                let lends = self.is_video() || self.held.rate > Bitrate::ZERO;
                let pause = self
                    .paused_since
                    .filter(|_| lends)
                    .map(|since| (since + timers.park_after, Fate::Park));
                let death = self.dead_since.filter(|_| self.is_video()).map(|since| {
                    let at = since.max(self.last_read) + timers.dead_after;
                    (at, Fate::End(Ended::DeadPlayer))
                });
                let shrinks = self.shrinks_at.map(|at| (at, Fate::Shrink));
                [pause, death, shrinks, sentence]
                    .into_iter()
                    .fold(silence, sooner)
            }
            // Never stored.
            LeaseState::Ended => (self.last_sign, idle),
        }
    }
}
