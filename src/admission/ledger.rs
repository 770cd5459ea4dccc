//! Who holds what, per GPU, user, class, library and in all; the invariant lives here.
//!
//! A lease holds a [`Hold`] at an [`Account`]; it changes only through [`Ledger::change`], which takes the old
//! hold off and puts the new one on in one go. So the totals always equal the sum over the leases. Counting here
//! is total: what may be handed out is judged elsewhere, since a running stream may exceed a limit (it was
//! adopted, it came back, the limit was lowered), and then nothing more is admitted until it fits again.

use std::collections::HashMap;

use super::{Bitrate, Seats, quota::Meter};
use crate::ident::UserId;

/// What one lease holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) seats: Seats,
    /// A video transcode that may encode.
    pub(super) transcode: bool,
    /// Somebody watches, or will at once.
    pub(super) stream: bool,
    /// FFmpeg has not started.
    pub(super) reserved: bool,
    /// Of the line out of the house.
    pub(super) rate: Bitrate,
}

/// Where a hold is charged: places in the policy's lists, and the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: UserId,
    pub(super) class: usize,
    pub(super) gpu: Option<usize>,
    /// Library rules that count it.
    pub(super) libraries: Vec<usize>,
}

/// The sum of holds at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) seats: Seats,
    pub(super) reserved: Seats,
    pub(super) transcodes: u32,
    pub(super) streams: u32,
    pub(super) rate: Bitrate,
}

impl Usage {
    fn add(&mut self, hold: Hold) {
        self.seats = self.seats.plus(hold.seats);
        if hold.reserved {
            self.reserved = self.reserved.plus(hold.seats);
        }
        self.transcodes += u32::from(hold.transcode);
        self.streams += u32::from(hold.stream);
        self.rate = self.rate.plus(hold.rate);
    }

    fn take(&mut self, hold: Hold) {
        self.seats = self.seats.less(hold.seats);
        if hold.reserved {
            self.reserved = self.reserved.less(hold.seats);
        }
        self.transcodes = self.transcodes.saturating_sub(u32::from(hold.transcode));
        self.streams = self.streams.saturating_sub(u32::from(hold.stream));
        self.rate = self.rate.less(hold.rate);
    }
}

/// All totals.
#[derive(Debug, Default, Clone)]
pub(super) struct Ledger {
    all: Usage,
    gpus: Vec<Usage>,
    classes: Vec<Usage>,
    /// Seats of each class on each GPU, GPU by GPU.
    parts: Vec<Seats>,
    libraries: Vec<Usage>,
    users: HashMap<UserId, Usage>,
    /// Users whose usage has changed since the queue was last settled.
    moved: Vec<UserId>,
    /// What users have used over time.
    pub(super) meter: Meter,
}

impl Ledger {
    pub(super) fn new(gpus: usize, classes: usize, libraries: usize) -> Self {
        Self {
            all: Usage::default(),
            gpus: vec![Usage::default(); gpus],
            classes: vec![Usage::default(); classes],
            parts: vec![Seats::ZERO; gpus * classes],
            libraries: vec![Usage::default(); libraries],
            users: HashMap::new(),
            moved: Vec::new(),
            meter: Meter::default(),
        }
    }

    /// Replaces `old` by `new` at `account`.
    pub(super) fn change(&mut self, account: &Account, old: Hold, new: Hold) {
        if old == new {
            return;
        }
        let user = self.users.entry(account.user.clone()).or_default();
        let libraries = &mut self.libraries;
        let places = account.libraries.iter();
        let apply = |usage: &mut Usage| {
            usage.take(old);
            usage.add(new);
        };
        apply(user);
        let running = user.seats.less(user.reserved);
        self.meter.set_seats(&account.user, running);
        if *user == Usage::default() {
            self.users.remove(&account.user);
        }
        apply(&mut self.all);
        self.classes.get_mut(account.class).map(apply);
        account
            .gpu
            .and_then(|gpu| self.gpus.get_mut(gpu))
            .map(apply);
        if let Some(gpu) = account.gpu
            && let Some(part) = self.parts.get_mut(gpu * self.classes.len() + account.class)
        {
            *part = part.less(old.seats).plus(new.seats);
        }
        for place in places {
            libraries.get_mut(*place).map(apply);
        }
        self.moved.push(account.user.clone());
    }

    pub(super) fn all(&self) -> Usage {
        self.all
    }

    pub(super) fn gpu(&self, gpu: usize) -> Usage {
        self.gpus.get(gpu).copied().unwrap_or_default()
    }

    pub(super) fn class(&self, class: usize) -> Usage {
        self.classes.get(class).copied().unwrap_or_default()
    }

    /// Seats that a class holds on a GPU.
    pub(super) fn part(&self, gpu: usize, class: usize) -> Seats {
        let at = gpu * self.classes.len() + class;
        self.parts.get(at).copied().unwrap_or_default()
    }

    pub(super) fn library(&self, rule: usize) -> Usage {
        self.libraries.get(rule).copied().unwrap_or_default()
    }

    pub(super) fn user(&self, user: &UserId) -> Usage {
        self.users.get(user).copied().unwrap_or_default()
    }

    /// Whether anything has moved since [`Ledger::take_moved`].
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// The users whose usage has moved since the last call.
    pub(super) fn take_moved(&mut self) -> Vec<UserId> {
        std::mem::take(&mut self.moved)
    }

    /// Have waiting demands of this user looked at again.
    pub(super) fn mark(&mut self, user: UserId) {
        self.moved.push(user);
    }

    #[cfg(test)]
    pub(super) fn users(&self) -> impl Iterator<Item = (&UserId, &Usage)> {
        self.users.iter()
    }
}
