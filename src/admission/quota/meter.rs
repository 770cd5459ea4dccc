//! What each user has used on each date.
//!
//! GPU time is added up when a user's seats change, when the date changes and when it is asked for: a change costs one
//! look-up, whatever is held.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::civil::Date;

use super::{Amounts, Book, Measure, Period, Today, book::Pages};
use crate::{
    admission::{Seats, Who},
    ident::{DeviceId, UserId},
};

/// Users kept at most. Beyond it, the one whose last use is farthest from today is forgotten.
const MOST_USERS: usize = 4096;
/// Dates kept of a user: those next to today. More than twice a week, so that a week is whole on either side of a clock
/// that was wrong.
const MOST_DATES: usize = 16;

/// What each user has used on each date.
#[derive(Debug, Default, Clone)]
pub(in crate::admission) struct Meter {
    /// The moment up to which everything is known.
    at: Option<Instant>,
    /// What was told last, and when.
    today: Option<(Instant, Today)>,
    users: HashMap<UserId, Account>,
    /// Users whose jobs hold nothing, who may be forgotten: those who have used nothing first, then by the date of their last
    /// use, and of one date who has used least.
    idle: BTreeSet<(Spent, UserId)>,
    running: HashMap<UserId, Running>,
    changed: bool,
}

/// The date of the last use, and the GPU time in all.
type Spent = (Option<Date>, u64);

#[derive(Debug, Default, Clone)]
struct Account {
    /// As he asked last, to find his limits.
    who: Option<Who>,
    /// His name as it was kept.
    name: Option<Arc<str>>,
    days: BTreeMap<Date, Amounts>,
    /// The date on which something was used last.
    last: Option<Date>,
}

/// Seats that a user's jobs hold, not yet added up since then.
#[derive(Clone, Copy, Debug)]
struct Running {
    since: Instant,
    seats: Seats,
}

impl Meter {
    /// Time has come to `at`.
    pub(in crate::admission) fn run(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |known| known.max(at)));
    }

    /// From now on a user's jobs hold so many seats.
    pub(in crate::admission) fn set_seats(&mut self, user: &UserId, seats: Seats) {
        let Some(at) = self.at else { return };
        match self.running.get(user) {
            Some(running) if running.seats == seats => return,
            None if seats == Seats::ZERO => return,
            Some(_) | None => {}
        }
        self.add_up(user);
        let spent = self.users.get(user).map(Account::spent);
        if seats == Seats::ZERO {
            self.running.remove(user);
            self.idle.extend(spent.map(|spent| (spent, user.clone())));
        } else {
            let since = self.running.get(user).map_or(at, |running| running.since);
            self.running.insert(user.clone(), Running { since, seats });
            if let Some(spent) = spent {
                self.idle.remove(&(spent, user.clone()));
            }
        }
    }

    /// Nobody holds anything: all seats are about to be told anew.
    pub(in crate::admission) fn forget_seats(&mut self) {
        self.add_all_up();
        let running = std::mem::take(&mut self.running).into_keys();
        let known = running.filter_map(|user| Some((self.users.get(&user)?.spent(), user)));
        self.idle.extend(known);
    }

    /// `true`: it is another date than it was.
    pub(super) fn set_today(&mut self, today: Today) -> bool {
        let another = self.today.is_none_or(|(_, known)| known.date != today.date);
        // What runs on is charged to the date on which it ran.
        if another {
            self.add_all_up();
        }
        if let Some(at) = self.at {
            self.today = Some((at, today));
        }
        another
    }

    pub(super) fn is_told(&self) -> bool {
        self.today.is_some()
    }

    pub(super) fn add_play(&mut self, user: &UserId) {
        self.add(user, |amounts| {
            amounts.plays = amounts.plays.saturating_add(1);
        });
    }

    pub(super) fn add_bytes(&mut self, user: &UserId, bytes: u64) {
        if bytes > 0 {
            self.add(user, |amounts| {
                amounts.bytes = amounts.bytes.saturating_add(bytes);
            });
        }
    }

    /// Notes who asks. `quota`: he has one.
    pub(in crate::admission) fn note(&mut self, who: &Who, quota: bool) {
        if !quota && !self.users.contains_key(&who.user) {
            return;
        }
        self.change(&who.user, |account| {
            if account.who.as_ref() != Some(who) {
                account.who = Some(who.clone());
            }
        });
    }

    /// What was used in the period that today is in.
    pub(in crate::admission) fn used(
        &self,
        user: &UserId,
        measure: Measure,
        period: Period,
    ) -> u64 {
        let Some((_, today)) = self.today else {
            return 0;
        };
        let (from, to) = span(today.date, period);
        let days = self.users.get(user).map(|account| &account.days);
        let kept = days.into_iter().flat_map(|days| days.range(from..=to));
        let of = |amounts: &Amounts| match measure {
            Measure::GpuTime => amounts.gpu_time,
            Measure::Plays => amounts.plays,
            Measure::Bytes => amounts.bytes,
        };
        let kept = kept
            .map(|(_, amounts)| of(amounts))
            .fold(0, u64::saturating_add);
        let open = match (measure, self.running.get(user), self.at) {
            (Measure::GpuTime, Some(running), Some(at)) => running.amount(at).0,
            (Measure::GpuTime | Measure::Plays | Measure::Bytes, _, _) => 0,
        };
        kept.saturating_add(open)
    }

    /// When the period that today is in ends, from now.
    pub(super) fn renews(&self, period: Period) -> Option<Duration> {
        let (told, today) = self.today?;
        let since = self.at?.saturating_duration_since(told);
        let left = match period {
            Period::Day => today.day_left,
            Period::Week => today.week_left,
        };
        Some(left.saturating_sub(since))
    }

    /// Everybody who has used anything this week or asked since the start, as he asked last or else as he was kept.
    pub(super) fn users(&self) -> impl Iterator<Item = Who> {
        let week = self.today.map(|(_, today)| span(today.date, Period::Week));
        let current = move |account: &Account| {
            let used =
                week.is_some_and(|(from, to)| account.days.range(from..=to).next().is_some());
            used || account.who.is_some()
        };
        let users = self
            .users
            .iter()
            .filter(move |(_, account)| current(account));
        users.map(|(user, account)| {
            account.who.clone().unwrap_or_else(|| Who {
                user: user.clone(),
                name: account.name.clone(),
                admin: false,
                device: DeviceId::new(""),
                client: Arc::from(""),
                address: None,
            })
        })
    }

    pub(super) fn restore(&mut self, book: Book) {
        for (user, pages) in book.users.into_iter().take(MOST_USERS) {
            self.change(&UserId::new(user), |account| {
                account.name = pages.name;
                for (date, kept) in pages.days {
                    let amounts = account.days.entry(date).or_default();
                    amounts.gpu_time = amounts.gpu_time.saturating_add(kept.gpu_time);
                    amounts.plays = amounts.plays.saturating_add(kept.plays);
                    amounts.bytes = amounts.bytes.saturating_add(kept.bytes);
                }
                account.last = account.days.last_key_value().map(|(date, _)| *date);
            });
        }
    }

    pub(super) fn changed_book(&mut self) -> Option<Book> {
        self.add_all_up();
        std::mem::take(&mut self.changed).then(|| self.book())
    }

    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    fn book(&self) -> Book {
        let used = self
            .users
            .iter()
            .filter(|(_, account)| !account.days.is_empty());
        let users = used.map(|(user, account)| {
            let name = account.who.as_ref().and_then(|who| who.name.clone());
            let pages = Pages {
                name: name.or_else(|| account.name.clone()),
                days: account.days.clone(),
            };
            (user.to_string(), pages)
        });
        Book {
            users: users.collect(),
        }
    }

    #[cfg(test)]
    pub(in crate::admission) fn seats(&self, user: &UserId) -> Seats {
        self.running
            .get(user)
            .map_or(Seats::ZERO, |running| running.seats)
    }

    #[cfg(test)]
    pub(in crate::admission) fn charged(&self) -> impl Iterator<Item = &UserId> {
        self.running.keys()
    }

    fn add_all_up(&mut self) {
        let users: Vec<UserId> = self.running.keys().cloned().collect();
        for user in users {
            self.add_up(&user);
        }
    }

    /// Adds up what a user's jobs have used so far.
    fn add_up(&mut self, user: &UserId) {
        let (Some(at), Some(running)) = (self.at, self.running.get_mut(user)) else {
            return;
        };
        let (amount, took) = running.amount(at);
        running.since += took;
        if amount > 0 {
            self.add(user, |amounts| {
                amounts.gpu_time = amounts.gpu_time.saturating_add(amount);
            });
        }
    }

    fn add(&mut self, user: &UserId, change: impl FnOnce(&mut Amounts)) {
        let Some((_, today)) = self.today else {
            return;
        };
        self.change(user, |account| {
            account.last = Some(today.date);
            let days = &mut account.days;
            change(days.entry(today.date).or_default());
            if days.len() > MOST_DATES {
                let far = days
                    .keys()
                    .copied()
                    .max_by_key(|date| apart(*date, today.date));
                far.and_then(|date| days.remove(&date));
            }
        });
        self.changed = true;
    }

    /// The only way by which an account changes: its place among those that may be forgotten follows.
    fn change(&mut self, user: &UserId, change: impl FnOnce(&mut Account)) {
        if self.users.len() >= MOST_USERS && !self.users.contains_key(user) {
            self.forget_one();
        }
        let is_new = !self.users.contains_key(user);
        let account = self.users.entry(user.clone()).or_default();
        let before = account.spent();
        change(account);
        let after = account.spent();
        if (is_new || before != after) && !self.running.contains_key(user) {
            self.idle.remove(&(before, user.clone()));
            self.idle.insert((after, user.clone()));
        }
    }

    /// Who has used nothing is the first to go, then whose last use is farthest from today, then who has used least: a flood
    /// of names costs nobody his.
    fn forget_one(&mut self) {
        let first = self.idle.first();
        let today = self.today.map(|(_, today)| today.date);
        // After a wrong clock, the farthest date may lie ahead.
        let last = self.idle.last().and_then(|((date, _), _)| {
            let from = ((*date, 0), UserId::new(""));
            self.idle.range(from..).next()
        });
        let away = |entry: &&(Spent, UserId)| match (entry.0.0, today) {
            (Some(date), Some(today)) => apart(date, today),
            (Some(_) | None, _) => 0,
        };
        let unused = first.filter(|((date, _), _)| date.is_none());
        // Of two as far away, the earlier.
        let farthest = || last.into_iter().chain(first).max_by_key(away);
        if let Some(entry) = unused.or_else(farthest).cloned() {
            self.users.remove(&entry.1);
            self.idle.remove(&entry);
        }
    }

    /// The list as going through all accounts makes it.
    #[cfg(test)]
    pub(in crate::admission) fn lists_all_idle(&self) -> bool {
        let users = self.users.iter();
        let idle = users.filter(|(user, _)| !self.running.contains_key(*user));
        let recount = idle.map(|(user, account)| (account.spent(), user.clone()));
        self.idle == recount.collect()
    }
}

impl Account {
    fn spent(&self) -> Spent {
        let spent = self.days.values().map(|amounts| amounts.gpu_time);
        (self.last, spent.fold(0, u64::saturating_add))
    }
}

impl Running {
    /// What it comes to at `at`, and the time that this stands for: whole microseconds, so that nothing is lost by
    /// adding up often.
    fn amount(&self, at: Instant) -> (u64, Duration) {
        let took = at.saturating_duration_since(self.since).as_micros();
        let micros = u64::try_from(took).unwrap_or(u64::MAX);
        // Thousandths of a seat times millionths of a second.
        let amount = u64::from(self.seats.milli()).saturating_mul(micros);
        (amount, Duration::from_micros(micros))
    }
}

/// The dates of the period that `date` is in.
fn span(date: Date, period: Period) -> (Date, Date) {
    match period {
        Period::Day => (date, date),
        Period::Week => {
            let since = i64::from(date.weekday().to_monday_zero_offset());
            let days = |days| jiff::Span::new().days(days);
            // Only the first and the last week of the calendar have no such day.
            let monday = date.checked_sub(days(since)).unwrap_or(date);
            let sunday = monday.checked_add(days(6)).unwrap_or(date);
            (monday, sunday)
        }
    }
}

/// Days between two dates.
fn apart(a: Date, b: Date) -> u64 {
    a.duration_since(b).as_secs().unsigned_abs() / 86_400
}
