//! The waiting demands: order, bounds, dispatch.
//!
//! Each waiting demand stands in exactly one *line*: that of the first limit which blocks it. Only the head of a
//! shared line is looked at again when something moves; a head that is blocked by something else meanwhile changes
//! lines and makes room for the next. So whoever is blocked by his own user's or class's limit blocks nobody else.
//!
//! **Order.** A line is ordered by the priority of the class, then by *turn*: start-time fair queueing between
//! users. In the paper a flow's next start is put off by the work it has been given; how long a film will run is not
//! known, so here it is put off by the seats that its user holds now or waits for already, [`PER_SEAT`] of waiting
//! for each. One 4K film weighs as much as it costs, not as one request. Turns are moments: who waits gains on
//! whoever comes later, so each demand is passed only by such as come before its turn is up, however many they
//! are. A turn moves when its user's holdings do, and only then.
//!
//! **Lanes.** Before a GPU, demands of one class and price stand in a lane of their own. A lane has one order for
//! ever; which lane goes first is found among the lanes, since it depends on the shares of the classes (`share`),
//! and what is small enough to pass a blocked head is found among their prices (`backfill`). Finding the next
//! demand costs O(log n) for each lane, and there are as many lanes as different prices, not as demands.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Bitrate, Reason, Seats, rules::Asked};
use crate::ident::{DeviceId, ItemId, Ticket, UserId};

/// How much later the turn of a demand comes for each seat that its user has already. Players wait for a quarter of
/// a minute or half of one: two seats more are as much as anybody can make up for by waiting.
const PER_SEAT: Duration = Duration::from_secs(10);
/// Places kept for who may ask again.
const MOST_KEPT: usize = 256;
/// Demands that might be served without the line out of the house, which are looked at whenever something moves.
const MOST_TORN: usize = 8;
/// Demands before one in a lane that are counted for its expected wait; further ones only make it longer.
const COUNTED: usize = 256;

/// A user's device: the screen that a stream is watched on.
pub(super) type Screen = (UserId, DeviceId);

/// The limit that a demand waits for. The user's own comes last, so that the shared ones are a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Class(usize),
    Library(usize),
    Server,
    Uplink,
    Gpu(Lane),
    User(UserId),
}

/// Demands of one class and one price before a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) gpu: usize,
    pub(super) class: usize,
    /// What must come free for it.
    pub(super) need: Seats,
}

/// When a demand came: it stays with whoever asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    /// Since the core began.
    at: Duration,
    order: u64,
}

/// A place in line: higher classes first, then whose turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<u32>,
    turn: Duration,
    order: u64,
}

impl Place {
    /// Before everybody: what is judged by it stands in nobody's way.
    pub(super) const FIRST: Self = Self {
        priority: Reverse(u32::MAX),
        turn: Duration::ZERO,
        order: 0,
    };

    /// `charged`: seats that the user of the demand holds, and waits for since before.
    pub(super) fn new(priority: u32, arrival: Arrival, charged: Seats) -> Self {
        let later = PER_SEAT.saturating_mul(charged.milli()) / 1000;
        Self {
            priority: Reverse(priority),
            turn: arrival.at.saturating_add(later),
            order: arrival.order,
        }
    }
}

/// One waiting demand.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) asked: Arc<Asked>,
    pub(super) arrival: Arrival,
    pub(super) place: Place,
    pub(super) line: Line,
    pub(super) reason: Reason,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// Seats that have gone past it.
    pub(super) passed: Seats,
    /// When another lease of the same screen may have become replaceable.
    pub(super) recheck: Option<Instant>,
    /// When it is the last moment to preempt somebody for it.
    pub(super) preempts: Option<Instant>,
    /// What it hopes for, if it waits for the line out of the house and need not be the first for that.
    pub(super) thirst: Thirst,
}

/// What a small demand needs of the line out of the house to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thirst {
    /// So many bit/s must be free at least, where they were not when it was looked at.
    pub(super) needs: Option<i64>,
    /// A form of it had room there, and something else was in its way.
    pub(super) torn: bool,
}

/// All waiting demands.
#[derive(Debug, Default, Clone)]
pub(super) struct Queue {
    waiters: HashMap<Ticket, Waiter>,
    lines: BTreeMap<Line, BTreeMap<Place, Ticket>>,
    screens: HashMap<Screen, Vec<Ticket>>,
    users: HashMap<UserId, Vec<Ticket>>,
    /// Who would be served if the line out of the house had so much room.
    thirsty: BTreeSet<(i64, Place, Ticket)>,
    /// Who waits for that line, and might be served without it.
    torn: BTreeSet<(Place, Ticket)>,
    /// Bitrates of all, together.
    wanted: u128,
    order: u64,
    kept: HashMap<Whose, Turn>,
    /// When each kept place is given up.
    kept_until: VecDeque<(Instant, Whose)>,
}

/// The screen and the item of a demand.
type Whose = (Screen, ItemId);

/// What stays with a demand that is made again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) arrival: Arrival,
    /// Seats that have gone past it.
    pub(super) passed: Seats,
}

impl Queue {
    /// Keeps the turn of a demand whose client has gone or been refused, until then.
    pub(super) fn keep(&mut self, now: Instant, until: Instant, asked: &Asked, turn: Turn) {
        while let Some((at, whose)) = self.kept_until.front()
            && (*at <= now || self.kept_until.len() >= MOST_KEPT)
        {
            self.kept.remove(whose);
            self.kept_until.pop_front();
        }
        let whose = (asked.screen(), asked.demand.item.clone());
        if until <= now || whose.0.0 == UserId::anonymous() {
            return;
        }
        // Times come in order but for a new policy: then some are forgotten a little late or early.
        self.kept_until.retain(|(_, kept)| *kept != whose);
        self.kept_until.push_back((until, whose.clone()));
        self.kept.insert(whose, turn);
    }

    /// The turn that this demand had a moment ago.
    pub(super) fn take_kept(&mut self, now: Instant, asked: &Asked) -> Option<Turn> {
        let whose = (asked.screen(), asked.demand.item.clone());
        let turn = self.kept.remove(&whose)?;
        let at = self
            .kept_until
            .iter()
            .position(|(_, kept)| *kept == whose)?;
        let (until, _) = self.kept_until.remove(at)?;
        (now < until).then_some(turn)
    }

    #[cfg(test)]
    pub(super) fn kept_places(&self) -> usize {
        self.kept.len().max(self.kept_until.len())
    }

    /// Whether the lists beside the lines are what going through all demands makes them.
    #[cfg(test)]
    pub(super) fn lists_all(&self) -> bool {
        let all = || self.waiters.iter();
        let thirsty = all().filter_map(|(t, w)| Some((w.thirst.needs?, w.place, *t)));
        let torn = all().filter(|(_, w)| w.thirst.torn);
        let torn = torn.map(|(ticket, waiter)| (waiter.place, *ticket));
        let wanted = all().map(|(_, waiter)| u128::from(waiter.asked.rate.bits()));
        self.thirsty == thirsty.collect()
            && self.torn == torn.collect()
            && self.wanted == wanted.sum()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// The demands of this user, in the order of their places.
    pub(super) fn of_user(&self, user: &UserId) -> Vec<Ticket> {
        let mut tickets = self.users.get(user).cloned().unwrap_or_default();
        tickets.sort_by_key(|ticket| self.waiters.get(ticket).map(|waiter| waiter.place));
        tickets
    }

    pub(super) fn of_screen(&self, screen: &Screen) -> Vec<Ticket> {
        self.screens.get(screen).cloned().unwrap_or_default()
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiter> {
        self.waiters.get(&ticket)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiter> {
        self.waiters.get_mut(&ticket)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &Waiter)> {
        self.waiters
            .iter()
            .map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// Comes now: behind all who came before.
    pub(super) fn arrive(&mut self, since_start: Duration) -> Arrival {
        self.order += 1;
        Arrival {
            at: since_start,
            order: self.order,
        }
    }

    /// Seats that this user waits for since before `arrival`.
    pub(super) fn wanted_before(&self, user: &UserId, arrival: Arrival) -> Seats {
        let tickets = self.users.get(user).into_iter().flatten();
        tickets
            .filter_map(|ticket| self.waiters.get(ticket))
            .filter(|waiter| waiter.arrival.order < arrival.order)
            .fold(Seats::ZERO, |sum, waiter| sum.plus(waiter.asked.cost))
    }

    /// Gives a demand another place in the line it stands in.
    pub(super) fn move_to(&mut self, ticket: Ticket, place: Place) {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return;
        };
        let left = std::mem::replace(&mut waiter.place, place);
        let (line, thirst) = (waiter.line.clone(), waiter.thirst);
        if left != place {
            self.leave(&line, left);
            self.lines.entry(line).or_default().insert(place, ticket);
            self.list(ticket, left, thirst, false);
            self.list(ticket, place, thirst, true);
        }
    }

    /// Notes what a demand hopes for of the line out of the house.
    pub(super) fn set_thirst(&mut self, ticket: Ticket, thirst: Thirst) {
        if let Some(waiter) = self.waiters.get_mut(&ticket)
            && waiter.thirst != thirst
        {
            let place = waiter.place;
            let before = std::mem::replace(&mut waiter.thirst, thirst);
            self.list(ticket, place, before, false);
            self.list(ticket, place, thirst, true);
        }
    }

    fn list(&mut self, ticket: Ticket, place: Place, thirst: Thirst, is: bool) {
        if let Some(needs) = thirst.needs {
            let entry = (needs, place, ticket);
            if is {
                self.thirsty.insert(entry);
            } else {
                self.thirsty.remove(&entry);
            }
        }
        if thirst.torn {
            if is {
                self.torn.insert((place, ticket));
            } else {
                self.torn.remove(&(place, ticket));
            }
        }
    }

    /// The first of those who are served as soon as the line out of the house has so much room. One look for each
    /// different bitrate that has room at once, and no more than are worth looking at.
    pub(super) fn first_thirsty(&self, room: i64) -> Option<Ticket> {
        let mut first: Option<(Place, Ticket)> = None;
        let mut next = self.thirsty.first();
        for _ in 0..COUNTED {
            let Some((needs, place, ticket)) = next.filter(|(needs, ..)| *needs <= room) else {
                break;
            };
            first = first.into_iter().chain([(*place, *ticket)]).min();
            let after = (needs.saturating_add(1), Place::FIRST, Ticket(0));
            next = self.thirsty.range(after..).next();
        }
        first.map(|(_, ticket)| ticket)
    }

    /// Who waits for the line out of the house and might be served without it: the first few.
    pub(super) fn torn(&self) -> Vec<Ticket> {
        let torn = self.torn.iter().take(MOST_TORN);
        torn.map(|(_, ticket)| *ticket).collect()
    }

    /// The bitrates of all demands, but for those of one screen.
    pub(super) fn wanted_beside(&self, screen: &Screen) -> Bitrate {
        let own = self.screens.get(screen).into_iter().flatten();
        let own = own.filter_map(|ticket| self.waiters.get(ticket));
        let own: u128 = own.map(|waiter| u128::from(waiter.asked.rate.bits())).sum();
        let others = self.wanted.saturating_sub(own);
        Bitrate::new(u64::try_from(others).unwrap_or(u64::MAX))
    }

    /// Whether somebody stands in `line` before `place`.
    pub(super) fn is_behind(&self, line: &Line, place: Place) -> bool {
        self.lines
            .get(line)
            .and_then(|line| line.first_key_value())
            .is_some_and(|(first, _)| *first < place)
    }

    pub(super) fn line_len(&self, line: &Line) -> u32 {
        let line = self.lines.get(line);
        u32::try_from(line.map_or(0, BTreeMap::len)).unwrap_or(u32::MAX)
    }

    /// How many stand in `line` before `place`; no more than are worth counting.
    pub(super) fn ahead(&self, line: &Line, place: Place) -> u32 {
        let line = self.lines.get(line);
        let ahead = line.map_or(0, |line| line.range(..place).take(COUNTED).count());
        u32::try_from(ahead).unwrap_or(u32::MAX)
    }

    /// The lanes before a GPU that somebody stands in, each with its first.
    pub(super) fn lanes(&self, gpu: usize) -> impl Iterator<Item = (Lane, Place, Ticket)> {
        self.lines
            .range(lanes_of(gpu))
            .filter_map(|(line, members)| {
                let (place, ticket) = members.first_key_value()?;
                match line {
                    Line::Gpu(lane) => Some((*lane, *place, *ticket)),
                    Line::Class(_)
                    | Line::Library(_)
                    | Line::Server
                    | Line::Uplink
                    | Line::User(_) => None,
                }
            })
    }

    /// The first in a lane that is not `but`.
    pub(super) fn first_but(&self, lane: Lane, but: Ticket) -> Option<(Place, Ticket)> {
        let members = self.lines.get(&Line::Gpu(lane))?;
        let mut members = members.iter().map(|(place, ticket)| (*place, *ticket));
        members.find(|(_, ticket)| *ticket != but)
    }

    /// Behind every lane before a GPU.
    pub(super) fn last_lane(gpu: usize) -> Line {
        lanes_of(gpu).into_inner().1
    }

    /// How many wait for a GPU.
    pub(super) fn len_of_gpu(&self, gpu: usize) -> usize {
        let lanes = self.lines.range(lanes_of(gpu));
        lanes.map(|(_, members)| members.len()).sum()
    }

    pub(super) fn head(&self, line: &Line) -> Option<Ticket> {
        self.lines
            .get(line)?
            .first_key_value()
            .map(|(_, ticket)| *ticket)
    }

    /// The shared line after `line` that somebody stands in.
    pub(super) fn next_shared(&self, after: Option<&Line>) -> Option<Line> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (line, _) = self.lines.range((from, Bound::Unbounded)).next()?;
        (!matches!(line, Line::User(_))).then(|| line.clone())
    }

    pub(super) fn insert(&mut self, ticket: Ticket, waiter: Waiter) {
        self.wanted += u128::from(waiter.asked.rate.bits());
        self.list(ticket, waiter.place, waiter.thirst, true);
        let who = &waiter.asked.demand.who;
        self.users.entry(who.user.clone()).or_default().push(ticket);
        self.screens
            .entry(waiter.asked.screen())
            .or_default()
            .push(ticket);
        self.lines
            .entry(waiter.line.clone())
            .or_default()
            .insert(waiter.place, ticket);
        self.waiters.insert(ticket, waiter);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.wanted = self.wanted.saturating_sub(waiter.asked.rate.bits().into());
        self.list(ticket, waiter.place, waiter.thirst, false);
        self.leave(&waiter.line, waiter.place);
        let who = &waiter.asked.demand.who;
        if let Some(tickets) = self.users.get_mut(&who.user) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.users.remove(&who.user);
            }
        }
        let screen = waiter.asked.screen();
        if let Some(tickets) = self.screens.get_mut(&screen) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.screens.remove(&screen);
            }
        }
        Some(waiter)
    }

    /// Moves a demand to the line of another limit; its turn stays.
    pub(super) fn shift(&mut self, ticket: Ticket, line: Line, reason: Reason) {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return;
        };
        let place = waiter.place;
        let left = std::mem::replace(&mut waiter.line, line.clone());
        waiter.reason = reason;
        self.leave(&left, place);
        self.lines.entry(line).or_default().insert(place, ticket);
    }

    fn leave(&mut self, line: &Line, place: Place) {
        if let Some(members) = self.lines.get_mut(line) {
            members.remove(&place);
            if members.is_empty() {
                self.lines.remove(line);
            }
        }
    }
}

fn lanes_of(gpu: usize) -> std::ops::RangeInclusive<Line> {
    let edge = |class, need| Line::Gpu(Lane { gpu, class, need });
    edge(0, Seats::ZERO)..=edge(usize::MAX, Seats::from_milli(u32::MAX))
}
