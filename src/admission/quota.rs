//! Quotas over time: what each user has used, date by date, and what a rule says about it.
//!
//! Three things are measured:
//!
//! - *GPU time*: the seats that a user's transcodes hold while FFmpeg may run, times how long. A reservation costs
//!   nothing, and what Jellyfin encodes faster than it is watched costs only as long as it takes.
//! - *plays*: anything begun, direct play included. What goes on on the same screen (a seek, another track, the return of a
//!   transcode within the grace time) is no play more.
//! - *bytes*: of media, told from outside when a response has ended.
//!
//! Usage is kept by date of the local calendar, and a week is the sum of its seven days from Monday on. So nothing is
//! ever reset: a day of 23 or 25 hours, a clock set back, one set forward by mistake and back, another time zone all
//! find what was used on the date they come to, counted once. The date is told from outside ([`Today`]); until it is,
//! nothing is counted and nothing refused.
//!
//! A quota is asked when something begins. It never ends, delays or refuses what runs or comes back.

mod book;
mod meter;

use std::time::{Duration, Instant};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use self::book::{Amounts, Book};
pub(super) use self::meter::Meter;
use super::{
    Admission, Kind, Known, LeaseState, Mode, Policy, Reason, UserLimits, Who,
    claim::Claim,
    rules::{Asked, Judgement},
};
use crate::ident::{LeaseId, PlaySessionId, UserId};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Seats held while FFmpeg may run, times seconds.
    GpuTime,
    /// What was begun, direct play included.
    Plays,
    /// Bytes of media sent.
    Bytes,
}

/// How long a quota lasts before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
}

/// How much of one thing a user may use in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What is measured.
    pub measure: Measure,
    /// In which time.
    pub period: Period,
    /// How much: plays, bytes, or billionths of a seat-second ([`GPU_SECOND`]).
    pub limit: u64,
}

/// One seat for one second, in the unit that GPU time is counted in.
pub const GPU_SECOND: u64 = 1_000_000_000;

/// The local date, and how long it and its week last from the moment at which this is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// The date.
    #[serde(with = "book::dated")]
    pub date: Date,
    /// Until the next date begins.
    pub day_left: Duration,
    /// Until the next Monday begins.
    pub week_left: Duration,
}

/// One quota of one user now. GPU time is in seconds of one seat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuotaView {
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known.
    pub user_name: Option<std::sync::Arc<str>>,
    /// What is measured.
    pub measure: Measure,
    /// In which time.
    pub period: Period,
    /// How much was used.
    pub used: f64,
    /// How much may be.
    pub limit: f64,
    /// What is left.
    pub left: f64,
    /// When it begins anew, from now.
    #[serde(serialize_with = "super::seconds")]
    pub renews: Duration,
    /// Whether it is enforced.
    pub mode: Mode,
}

impl Admission {
    /// Says which date it is here.
    pub fn set_today(&mut self, now: Instant, today: Today) {
        self.advance(now);
        if self.ledger.meter.set_today(today) {
            // What was used up may not be any more.
            let waiting = self.queue.iter();
            let users: Vec<UserId> = waiting.map(|(_, w)| w.asked.account.user.clone()).collect();
            users.into_iter().for_each(|user| self.ledger.mark(user));
        }
        self.settle(now);
    }

    /// Charges bytes to a user.
    pub fn spend_bytes(&mut self, now: Instant, user: &UserId, bytes: u64) {
        self.advance(now);
        self.ledger.meter.add_bytes(user, bytes);
        self.settle(now);
    }

    /// Charges bytes to the user of this session. `false`: it is not known.
    pub fn spend_session_bytes(
        &mut self,
        now: Instant,
        session: &PlaySessionId,
        bytes: u64,
    ) -> bool {
        self.advance(now);
        let user = match self.sessions.get(session) {
            Some(Known::Lease(id) | Known::Alias(id)) => {
                let lease = self.leases.get(id);
                lease.map(|lease| lease.asked.account.user.clone())
            }
            Some(Known::Right(screen)) => Some(screen.0.clone()),
            None => None,
        };
        if let Some(user) = &user {
            self.ledger.meter.add_bytes(user, bytes);
        }
        self.settle(now);
        user.is_some()
    }

    /// Takes in what was used before a restart.
    pub fn restore_usage(&mut self, book: Book) {
        self.ledger.meter.restore(book);
    }

    /// What was used, to be kept over a restart. `None`: nothing has changed since the last call.
    pub fn changed_usage(&mut self, now: Instant) -> Option<Book> {
        self.advance(now);
        self.ledger.meter.changed_book()
    }

    /// What was taken could not be kept: [`Admission::changed_usage`] gives it again.
    pub fn usage_is_unsaved(&mut self) {
        self.ledger.meter.mark_changed();
    }

    /// Every quota of every user who has used anything this week or asked since the start, those with the least left
    /// first.
    pub fn quotas(&mut self, now: Instant) -> Vec<QuotaView> {
        self.advance(now);
        if self.policy.quotas().next().is_none() {
            return Vec::new();
        }
        let meter = &self.ledger.meter;
        let mut all: Vec<QuotaView> = meter
            .users()
            .flat_map(|who| {
                let limits = self.policy.limits_of(&who);
                let views = limits
                    .quotas
                    .iter()
                    .map(|quota| self.view(&who, limits, quota));
                views.collect::<Vec<_>>()
            })
            .collect();
        all.sort_by(|a, b| {
            let by_name = (&a.user, a.measure, a.period).cmp(&(&b.user, b.measure, b.period));
            b.ratio().total_cmp(&a.ratio()).then(by_name)
        });
        all
    }

    /// The quota that stands against a play of this kind, if it is the last of those used up to begin anew.
    pub fn used_up(&mut self, now: Instant, who: &Who, kind: &Kind) -> Option<QuotaView> {
        self.advance(now);
        let limits = self.policy.limits_of(who);
        let quota = self.exhausted(&who.user, limits, kind)?;
        Some(self.view(who, limits, quota))
    }

    fn view(&self, who: &Who, limits: &UserLimits, quota: &Quota) -> QuotaView {
        let meter = &self.ledger.meter;
        let used = meter.used(&who.user, quota.measure, quota.period);
        let amount = |amount| quota.measure.amount(amount);
        QuotaView {
            user: who.user.clone(),
            user_name: who.name.clone(),
            measure: quota.measure,
            period: quota.period,
            used: amount(used),
            limit: amount(quota.limit),
            left: amount(quota.limit.saturating_sub(used)),
            renews: meter.renews(quota.period).unwrap_or_default(),
            mode: self.mode(limits.mode),
        }
    }

    /// The quota that is used up and concerns this kind; of several the one that begins anew last.
    fn exhausted<'q>(
        &self,
        user: &UserId,
        limits: &'q UserLimits,
        kind: &Kind,
    ) -> Option<&'q Quota> {
        if limits.quotas.is_empty() {
            return None;
        }
        let meter = &self.ledger.meter;
        let full = limits.quotas.iter().filter(|quota| {
            quota.measure.concerns(kind)
                && meter.is_told()
                && meter.used(user, quota.measure, quota.period) >= quota.limit
        });
        full.max_by_key(|quota| meter.renews(quota.period))
    }

    /// Whether a quota of its user stands against a new play. No wait of a player's patience cures it.
    pub(super) fn judge_quota(&self, asked: &Asked, verdict: &mut Judgement) -> bool {
        let (user, limits) = (&asked.account.user, &asked.limits);
        let full = self.exhausted(user, limits, &asked.demand.kind).is_some();
        full && verdict.breach(self.mode(limits.mode), Reason::Quota, None)
    }

    /// When what is in its way begins anew, if that is a quota.
    pub(super) fn renewal(&self, asked: &Asked, reason: Reason) -> Option<Duration> {
        if reason != Reason::Quota {
            return None;
        }
        let quota = self.exhausted(&asked.account.user, &asked.limits, &asked.demand.kind)?;
        self.ledger.meter.renews(quota.period)
    }

    /// Counts a play when it begins, and once only.
    pub(super) fn count_play(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        if lease.state == LeaseState::Active && std::mem::take(&mut lease.uncounted) {
            self.ledger.meter.add_play(&lease.asked.account.user);
        }
    }
}

/// Whether a lease that takes no other's place begins a play, and does not go on with one.
pub(super) fn begins_play(claim: &Claim, reason: Reason) -> bool {
    !claim.goes_on() && !matches!(reason, Reason::Resume | Reason::Adopted)
}

// === impl Policy ===

impl Policy {
    /// Every quota of anybody.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        let users = self.users.iter().map(|rule| &rule.limits);
        let classes = self.classes.iter().filter_map(|class| class.user.as_ref());
        let all = std::iter::once(&self.user).chain(users).chain(classes);
        all.flat_map(|limits| limits.quotas.iter())
    }
}

// === impl QuotaView ===

impl QuotaView {
    /// The part of it that is used; more than one where something ran on.
    pub fn ratio(&self) -> f64 {
        if self.limit > 0.0 {
            self.used / self.limit
        } else {
            // A quota of nothing is used up.
            1.0
        }
    }
}

// === impl Measure ===

impl Measure {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::GpuTime, Self::Plays, Self::Bytes];

    /// The one spelling, in metrics and state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GpuTime => "gpu-time",
            Self::Plays => "plays",
            Self::Bytes => "bytes",
        }
    }

    /// Whether a play of this kind uses it.
    fn concerns(self, kind: &Kind) -> bool {
        match self {
            Self::GpuTime => kind.is_video(),
            Self::Plays | Self::Bytes => true,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what is shown needs no 53 bits; what is judged is whole"
    )]
    fn amount(self, counted: u64) -> f64 {
        match self {
            Self::GpuTime => (counted / (GPU_SECOND / 10)) as f64 / 10.0,
            Self::Plays | Self::Bytes => counted as f64,
        }
    }
}

// === impl Period ===

impl Period {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Day, Self::Week];

    /// The one spelling, in metrics and state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}
