//! What an evening came to: plays, waits, refusals, and seats over time.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{Moment, bill::Bill, traces::Usual, what::What};
use crate::{
    admission::{Admission, Event, Reason, Seats, Subject},
    ident::{DeviceId, ItemId, UserId},
    journal::Reading,
};

/// Points of the line of seats over time.
const POINTS: usize = 480;
/// Tries for the same item on the same device with less than this between them are one wish, seconds.
pub(super) const ONE_WISH: f64 = 600.0;

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It played as it was wished.
    Played,
    /// It played in a cheaper form.
    SteppedDown,
    /// It never played.
    Refused,
    /// Its viewer left while it waited.
    Left,
    /// It waits still.
    Waiting,
}

/// One viewer's wish to play one thing, however often he tried.
#[derive(Clone, Debug, Serialize)]
pub struct Wish {
    /// When he first tried, seconds since 1970.
    pub at: f64,
    /// When he last tried.
    #[serde(skip)]
    pub(super) last: f64,
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known.
    pub name: Option<std::sync::Arc<str>>,
    /// The device.
    pub device: DeviceId,
    /// The client program.
    pub client: std::sync::Arc<str>,
    /// The item.
    pub item: ItemId,
    /// The first decision about it.
    pub id: crate::ident::DecisionId,
    /// What of what into what, at last.
    pub work: String,
    /// Seats, at last.
    pub cost: Seats,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub reason: Reason,
    /// How long it waited before it played, seconds. `None`: it did not wait.
    pub waited: Option<f64>,
    /// How often it was refused.
    pub refusals: u32,
    /// It was a video transcode, or would have been.
    pub video: bool,
}

/// What an evening came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Wishes.
    pub wishes: usize,
    /// Wishes for a video transcode.
    pub transcodes: usize,
    /// Wishes that never played.
    pub refused: usize,
    /// Answers with a refusal: a player may ask several times for one wish.
    pub refusals: usize,
    /// Wishes that waited.
    pub queued: usize,
    /// Median of the waits that ended in playing, seconds.
    pub wait_median: Option<f64>,
    /// The longest of them.
    pub wait_longest: Option<f64>,
    /// Wishes that played in a cheaper form.
    pub stepped_down: usize,
    /// Wishes whose viewer left while he waited.
    pub left: usize,
    /// Decisions that rules which only observe would have made otherwise.
    pub observed: usize,
    /// Refusals by reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// The most seats held at once.
    pub peak_seats: f64,
    /// Seats held, over time.
    pub seat_hours: f64,
    /// What the GPUs may hand out together, the most of the time.
    pub capacity: f64,
    /// The most seats held in each stretch of the whole.
    pub line: Vec<f64>,
    /// The first and the last moment, seconds since 1970.
    pub span: (f64, f64),
    /// Each wish, by time.
    #[serde(skip)]
    pub list: Vec<Wish>,
    /// How long plays last.
    #[serde(skip)]
    pub(super) usual: Usual,
    /// Seat-seconds of video by item and by client.
    #[serde(skip)]
    pub(super) items: HashMap<ItemId, f64>,
    #[serde(skip)]
    pub(super) clients: HashMap<std::sync::Arc<str>, f64>,
    /// Who held seats because of what, if that is asked for.
    #[serde(skip)]
    pub(super) bill: Option<Box<Bill>>,
    #[serde(skip)]
    open: HashMap<(UserId, DeviceId, ItemId), usize>,
    #[serde(skip)]
    held: f64,
    #[serde(skip)]
    last: Option<f64>,
}

impl Tally {
    pub(super) fn new(reading: &Reading) -> Self {
        let begin = |part: &crate::journal::Part| part.wall(part.header.t);
        let starts = reading.parts.iter().map(begin);
        let ends = reading.parts.iter().map(|part| part.wall(part.end()));
        Self {
            span: (
                starts.fold(f64::INFINITY, f64::min),
                ends.fold(0.0, f64::max),
            ),
            line: vec![0.0; POINTS],
            ..Self::default()
        }
    }

    /// Takes in what happened at a moment, and what is held after it.
    pub(super) fn take(&mut self, moment: Moment, core: &Admission, events: &[Event]) {
        for event in events {
            self.note(moment.wall, event);
        }
        if let Some(bill) = &mut self.bill {
            bill.take(moment.wall, core, !events.is_empty());
        }
        let (wall, held) = (moment.wall, core.held().as_f64());
        if let Some(last) = self.last.filter(|last| wall > *last) {
            self.seat_hours += self.held * (wall - last) / 3600.0;
            // Between two moments nothing moves.
            let (from, to) = (self.place(last), self.place(wall));
            for point in self.line.iter_mut().take(to + 1).skip(from) {
                *point = point.max(self.held);
            }
        }
        let place = self.place(wall);
        if let Some(point) = self.line.get_mut(place) {
            *point = point.max(held);
        }
        self.peak_seats = self.peak_seats.max(held);
        self.held = held;
        self.last = Some(wall);
        if self.capacity <= 0.0 || !events.is_empty() {
            let gpus = &core.policy().gpus;
            self.capacity = gpus.iter().map(|gpu| gpu.capacity.as_f64()).sum();
        }
    }

    /// A process ended: nothing is held until the next begins.
    pub(super) fn pause(&mut self) {
        if let Some(bill) = &mut self.bill {
            bill.pause();
        }
        self.held = 0.0;
        self.last = None;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a picture, kept in its bounds"
    )]
    fn place(&self, wall: f64) -> usize {
        let (from, to) = self.span;
        let part = (wall - from) / (to - from).max(1.0);
        ((part * POINTS as f64).max(0.0) as usize).min(POINTS - 1)
    }

    fn note(&mut self, wall: f64, event: &Event) {
        match What::of(event) {
            What::Admitted {
                subject,
                reason,
                would,
            } => {
                self.observed += usize::from(would.is_some());
                // A known session that comes back is no new wish.
                if reason != Reason::Resume {
                    self.wish(wall, subject, Fate::Played, would.unwrap_or(reason));
                }
            }
            What::Queued { subject, reason } => {
                let wish = self.wish(wall, subject, Fate::Waiting, reason);
                wish.waited.get_or_insert(0.0);
            }
            What::Granted {
                subject, waited, ..
            } => {
                let wish = self.wish(wall, subject, Fate::Played, Reason::Waited);
                wish.waited = Some(wish.waited.unwrap_or(0.0) + waited.as_secs_f64());
            }
            What::Stepped {
                subject,
                ticket,
                reason,
                waited,
                ..
            } => {
                let wish = self.wish(wall, subject, Fate::SteppedDown, reason);
                if ticket.is_some() {
                    wish.waited = Some(wish.waited.unwrap_or(0.0) + waited.as_secs_f64());
                }
            }
            // The viewer has gone on to something else, or Finweir stopped: no configuration refused him.
            What::Refused {
                subject,
                reason: reason @ (Reason::Superseded | Reason::Draining),
                ..
            } => {
                self.wish(wall, subject, Fate::Left, reason);
            }
            What::Refused {
                subject, reason, ..
            } => {
                self.refusals += 1;
                *self.reasons.entry(reason.as_str()).or_default() += 1;
                let wish = self.wish(wall, subject, Fate::Refused, reason);
                wish.refusals += 1;
            }
            What::Left { subject, .. } => {
                self.wish(wall, subject, Fate::Left, Reason::WaitedOut);
            }
            What::Ended {
                subject,
                ended,
                lasted,
                ..
            } => {
                self.usual.note(subject, ended, lasted);
                if subject.gpu.is_some() {
                    let work = subject.cost.as_f64() * lasted.as_secs_f64();
                    *self.items.entry(subject.item.clone()).or_default() += work;
                    *self
                        .clients
                        .entry(std::sync::Arc::clone(&subject.client))
                        .or_default() += work;
                }
            }
            What::Other => {}
        }
    }

    fn wish(&mut self, wall: f64, subject: &Subject, fate: Fate, reason: Reason) -> &mut Wish {
        let key = (
            subject.user.clone(),
            subject.device.clone(),
            subject.item.clone(),
        );
        let known = self.open.get(&key).copied();
        let same = known.filter(|place| {
            let wish = self.list.get(*place);
            // What has played and is asked for again is wished anew; what is about to play was only refined.
            wish.is_some_and(|wish| wall - wish.last < ONE_WISH)
        });
        let place = same.unwrap_or_else(|| {
            self.list.push(Wish {
                at: wall,
                last: wall,
                user: subject.user.clone(),
                name: subject.user_name.clone(),
                device: subject.device.clone(),
                client: std::sync::Arc::clone(&subject.client),
                item: subject.item.clone(),
                id: subject.decision,
                work: String::new(),
                cost: subject.cost,
                fate,
                reason,
                waited: None,
                refusals: 0,
                video: false,
            });
            let place = self.list.len() - 1;
            self.open.insert(key, place);
            place
        });
        let wish = self
            .list
            .get_mut(place)
            .expect("it was found or made just now");
        wish.last = wall;
        // A later refusal takes nothing away from who plays.
        let plays = matches!(wish.fate, Fate::Played | Fate::SteppedDown);
        if same.is_none() || !plays || matches!(fate, Fate::Played | Fate::SteppedDown) {
            wish.fate = fate;
            wish.reason = reason;
            wish.work.clone_from(&subject.work);
            wish.cost = subject.cost;
        }
        wish.video |= subject.gpu.is_some();
        wish
    }

    /// Adds up.
    pub(super) fn close(&mut self) {
        let count = |fate: Fate| self.list.iter().filter(|wish| wish.fate == fate).count();
        self.refused = count(Fate::Refused);
        self.stepped_down = count(Fate::SteppedDown);
        self.left = count(Fate::Left);
        self.wishes = self.list.len();
        self.transcodes = self.list.iter().filter(|wish| wish.video).count();
        self.queued = self.list.iter().filter(|w| w.waited.is_some()).count();
        let mut waits: Vec<f64> = self
            .list
            .iter()
            .filter(|wish| matches!(wish.fate, Fate::Played | Fate::SteppedDown))
            .filter_map(|wish| wish.waited)
            .collect();
        waits.sort_by(f64::total_cmp);
        self.wait_median = waits.get(waits.len() / 2).copied();
        self.wait_longest = waits.last().copied();
    }
}
