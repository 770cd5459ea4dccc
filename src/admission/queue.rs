//! The waiting demands: order, bounds, dispatch.
//!
//! Each waiting demand stands in exactly one *line*: that of the first limit which blocks it. A line is ordered by
//! the priority of the class, then by arrival. Only the head of a shared line is looked at again when something
//! moves; a head that is blocked by something else meanwhile changes lines and makes room for the next. So
//! whoever is blocked by his own user's or class's limit blocks nobody else, and on one GPU nobody is overtaken
//! for ever. Finding the next demand costs O(log n), whatever waits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use super::{Reason, rules::Asked};
use crate::ident::{DeviceId, Ticket, UserId};

/// A user's device: the screen that a stream is watched on.
pub(super) type Screen = (UserId, DeviceId);

/// The limit that a demand waits for. The user's own comes last, so that the shared ones are a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Class(usize),
    Library(usize),
    Server,
    Gpu(usize),
    User(UserId),
}

/// A place in line: higher classes first, then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<u32>,
    order: u64,
}

/// One waiting demand.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) asked: Arc<Asked>,
    pub(super) place: Place,
    pub(super) line: Line,
    pub(super) reason: Reason,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// When another lease of the same screen may have become replaceable.
    pub(super) recheck: Option<Instant>,
}

/// All waiting demands.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: HashMap<Ticket, Waiter>,
    lines: BTreeMap<Line, BTreeMap<Place, Ticket>>,
    screens: HashMap<Screen, Vec<Ticket>>,
    users: HashMap<UserId, Vec<Ticket>>,
    order: u64,
}

impl Queue {
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

    /// A new place behind all of the same priority.
    pub(super) fn place(&mut self, priority: u32) -> Place {
        self.order += 1;
        Place {
            priority: Reverse(priority),
            order: self.order,
        }
    }

    /// A place before everybody: what it is judged by stands in nobody's way.
    pub(super) const fn first() -> Place {
        Place {
            priority: Reverse(u32::MAX),
            order: 0,
        }
    }

    /// The same turn under another priority, after a new policy.
    pub(super) fn keep_turn(place: Place, priority: u32) -> Place {
        Place {
            priority: Reverse(priority),
            ..place
        }
    }

    /// Whether somebody stands in `line` before `place`.
    pub(super) fn is_behind(&self, line: &Line, place: Place) -> bool {
        self.lines
            .get(line)
            .and_then(|line| line.first_key_value())
            .is_some_and(|(first, _)| *first < place)
    }

    pub(super) fn line_len(&self, line: &Line) -> usize {
        self.lines.get(line).map_or(0, BTreeMap::len)
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
