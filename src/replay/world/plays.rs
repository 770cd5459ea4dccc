//! One play: what the journal knows of it, and where it stands in this run.

use super::super::traces::Form;
use crate::{
    admission::{Bitrate, Demand, Input, Kind, Running, Who},
    ident::{DeviceId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket, UserId},
};

/// Words of a play that are kept until it begins.
pub(super) const MOST_HELD: usize = 10_000;
/// Timers fire a little late: what is no further apart than this is the same moment, nanoseconds.
pub(super) const SAME: u64 = 1_000_000_000;
/// An assumed job is done after this, nanoseconds.
const FILM: f64 = 3.0 * 3600.0 * 1e9;

/// Whose wish for what.
pub(super) type Key = (UserId, DeviceId, ItemId);

/// Where a play stands in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    On,
    Refused,
    Over,
}

/// One play.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) who: Who,
    pub(super) item: ItemId,
    pub(super) node: NodeId,
    /// As it is done in this run.
    pub(super) kind: Kind,
    pub(super) rate: Bitrate,
    /// The cheaper forms, by the numbers of their author.
    rungs: Vec<(usize, Kind)>,
    /// The form that it had in the journal.
    pub(super) their_form: Form,
    /// The form that it has in this run.
    form: Form,
    pub(super) session: Option<PlaySessionId>,
    /// When it was asked for, nanoseconds.
    pub(super) asked: u64,
    /// When it began in the journal. `None`: it never did, so what it would have been is assumed.
    pub(super) began: Option<u64>,
    /// When it began in this run.
    started: u64,
    /// By how much it is later in this run.
    pub(super) shift: u64,
    pub(super) state: State,
    pub(super) lease: Option<LeaseId>,
    pub(super) ticket: Option<Ticket>,
    /// Words of the journal that come before its beginning in this run.
    pub(super) held: Vec<(u64, Input)>,
}

impl Play {
    pub(super) fn new(demand: &Demand, t: u64) -> Self {
        Self {
            who: demand.who.clone(),
            item: demand.item.clone(),
            node: demand.node.clone(),
            kind: demand.kind,
            rate: demand.rate,
            rungs: demand.rungs.iter().map(|r| (r.index, r.kind)).collect(),
            their_form: None,
            form: None,
            session: demand.session.clone(),
            asked: t,
            began: None,
            started: t,
            shift: 0,
            state: State::Waiting,
            lease: None,
            ticket: None,
            held: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> Key {
        let who = &self.who;
        (who.user.clone(), who.device.clone(), self.item.clone())
    }

    /// It begins, or begins to hold its seats.
    pub(super) fn start(&mut self, t: u64, lease: LeaseId, rung: Option<usize>) {
        self.state = State::On;
        self.lease = Some(lease);
        self.started = t;
        let later = self.began.map_or(0, |began| t.saturating_sub(began));
        self.shift = if later > SAME { later } else { 0 };
        if let Some(rung) = rung {
            self.form = u64::try_from(rung).ok();
            let form = self.rungs.iter().find(|(index, _)| *index == rung);
            self.kind = form.map_or(self.kind, |(_, kind)| *kind);
        }
    }

    /// It played in the journal, and does not (yet) in this run.
    pub(super) fn is_withheld(&self, t: u64) -> bool {
        self.began.is_some_and(|began| began < t)
            && matches!(self.state, State::Refused | State::Waiting)
    }

    /// It plays in another form than it did.
    pub(super) fn is_reformed(&self) -> bool {
        self.form != self.their_form
    }

    /// It runs, and the journal knows nothing of it.
    pub(super) fn is_assumed(&self) -> bool {
        self.state == State::On && self.began.is_none()
    }

    /// Jellyfin's list can't show it at `t`, though it runs in this run.
    pub(super) fn is_unseen(&self, t: u64, unseen: u64) -> bool {
        match self.began {
            None => true,
            Some(began) => {
                self.shift > 0 || t < began.saturating_add(unseen) && began > self.started + SAME
            }
        }
    }

    /// As Jellyfin would show it.
    #[expect(clippy::cast_precision_loss, reason = "how much of a film is encoded")]
    pub(super) fn running(&self, t: u64) -> Running {
        let ran = t.saturating_sub(self.started) as f64;
        Running {
            who: self.who.clone(),
            item: self.item.clone(),
            kind: self.kind,
            rate: self.rate,
            completion: self.kind.is_video().then(|| (ran / FILM).min(0.99)),
            runtime: None,
            position: None,
            paused: false,
        }
    }
}

/// Whose wish for what a demand is.
pub(super) fn key(demand: &Demand) -> Key {
    let who = &demand.who;
    (who.user.clone(), who.device.clone(), demand.item.clone())
}
