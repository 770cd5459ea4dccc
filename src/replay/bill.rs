//! Who held seats for how long, for which file and because of what.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    admission::{Admission, Cause, Demand, Kind, LeaseState, Seats, Why},
    ident::{DeviceId, ItemId, LeaseId, NodeId, UserId},
};

/// Signs of the same play with less than this between them are one play, seconds.
const ONE_PLAY: f64 = 600.0;

/// One viewer's plays of one file for the same causes.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) node: NodeId,
    pub(super) item: ItemId,
    pub(super) source: Option<ItemId>,
    pub(super) user: UserId,
    pub(super) name: Option<Arc<str>>,
    pub(super) device: DeviceId,
    pub(super) client: Arc<str>,
    /// Never empty.
    pub(super) causes: Vec<Cause>,
    /// The picture is encoded.
    pub(super) video: bool,
    pub(super) plays: usize,
    /// Seats × seconds that they were held.
    pub(super) seat_seconds: f64,
    /// Seconds that somebody watched.
    pub(super) seconds: f64,
    /// When it was last watched.
    last: Option<f64>,
}

type Key = (
    NodeId,
    ItemId,
    UserId,
    DeviceId,
    Arc<str>,
    Option<Arc<Why>>,
    bool,
);

/// What holds something at a moment.
#[derive(Clone, Copy, Debug)]
struct Holder {
    line: usize,
    seats: f64,
    watched: bool,
}

/// Adds up what is held between two moments at which it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Bill {
    pub(super) lines: Vec<Line>,
    places: HashMap<Key, usize>,
    holders: Vec<Holder>,
    held: Seats,
    /// Until when it is added up.
    until: Option<f64>,
    /// The last moment that was seen.
    seen: f64,
    /// Leases that were counted as plays.
    counted: HashSet<(LeaseId, usize)>,
}

impl Bill {
    /// Takes in what is held from a moment on. `happened`: something did, so that it may be held by others.
    pub(super) fn take(&mut self, wall: f64, core: &Admission, happened: bool) {
        self.seen = wall;
        if !happened && core.held() == self.held {
            return;
        }
        self.charge(wall);
        self.held = core.held();
        self.until = Some(wall);
        self.holders.clear();
        for holding in core.holdings() {
            let video = holding.demand.kind.is_video();
            if holding.demand.kind == Kind::Direct {
                continue;
            }
            let line = self.place(holding.demand, video);
            let watched = matches!(holding.state, LeaseState::Active | LeaseState::Finished);
            self.holders.push(Holder {
                line,
                seats: holding.seats.as_f64(),
                watched,
            });
            if !watched {
                continue;
            }
            let first = self.counted.insert((holding.lease, line));
            if let Some(line) = self.lines.get_mut(line) {
                // Another lease for the same thing soon after is the same play: a seek, a change of tracks.
                let again = line.last.is_none_or(|last| wall - last > ONE_PLAY);
                line.plays += usize::from(again && first);
                line.last = Some(wall);
            }
        }
    }

    /// A process ended: what it held is held no more, and its numbers are given out again.
    pub(super) fn pause(&mut self) {
        self.charge(self.seen);
        self.holders.clear();
        self.counted.clear();
        self.held = Seats::ZERO;
        self.until = None;
    }

    fn charge(&mut self, wall: f64) {
        let Some(until) = self.until else {
            return;
        };
        let took = (wall - until).max(0.0);
        for holder in &self.holders {
            if let Some(line) = self.lines.get_mut(holder.line) {
                line.seat_seconds += holder.seats * took;
                if holder.watched {
                    line.seconds += took;
                    line.last = Some(wall);
                }
            }
        }
    }

    fn place(&mut self, demand: &Demand, video: bool) -> usize {
        let who = &demand.who;
        let key = (
            demand.node.clone(),
            demand.item.clone(),
            who.user.clone(),
            who.device.clone(),
            Arc::clone(&who.client),
            demand.why.clone(),
            video,
        );
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let why = demand.why.as_deref();
        let mut causes = why.map(|why| why.causes.clone()).unwrap_or_default();
        if causes.is_empty() {
            causes.push(Cause::Unknown);
        }
        self.lines.push(Line {
            node: demand.node.clone(),
            item: demand.item.clone(),
            source: why.and_then(|why| why.source.clone()),
            user: who.user.clone(),
            name: who.name.clone(),
            device: who.device.clone(),
            client: Arc::clone(&who.client),
            causes,
            video,
            plays: 0,
            seat_seconds: 0.0,
            seconds: 0.0,
            last: None,
        });
        let place = self.lines.len() - 1;
        self.places.insert(key, place);
        place
    }
}
