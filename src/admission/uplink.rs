//! The line out of the house: what flows over it, and who may begin.
//!
//! The plays of viewers outside hold the bitrate of what they watch, as they hold seats: as long as they watch, and
//! not only while FFmpeg runs. What else flows (downloads, players that never asked) is measured, and told by
//! [`Admission::set_flow`]. A play that does not fit waits, or gets a form of less bitrate. One that goes on on its own
//! screen is beyond this limit, like a replacement is beyond all others.
//!
//! Who waits for the line is not overtaken, but for plays of an eighth of it at most: a phone's transcode does not wait
//! behind a film in 4K that may not get its room before its player gives up.
//!
//! What Finweir itself makes of a play (the file in place of a transcode, a better version) must leave a quarter of the
//! line free, and what others wait for: it must not be the reason why the next cheap transcode can't begin.

use std::{fmt, time::Instant};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Admission, Mode, Reason, Who,
    claim::Claim,
    queue::{Line, Place, Thirst},
    rules::{Asked, Judgement},
};
use crate::ident::UserId;

/// Plays of this part of the line at most go past who waits for it.
const SMALL: u64 = 8;
/// This part of the line stays free of what Finweir itself chose.
const SPARE: u64 = 4;

/// Networks that need no line out of the house: private, link-local and loopback.
const LOCAL: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// A number of bits in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u64);

/// What the line out of the house carries, and who does not use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uplink {
    /// What it carries. `None`: it is not counted.
    pub limit: Option<Bitrate>,
    /// Networks inside the house.
    pub local: Vec<IpNet>,
    /// Mode of this limit.
    pub mode: Mode,
}

/// The line out of the house now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UplinkView {
    /// What it carries, bit/s. `None`: it is not limited.
    pub limit: Option<Bitrate>,
    /// Bitrate of all plays of viewers outside, bit/s.
    pub held: Bitrate,
    /// Measured: what else flows, bit/s.
    pub other: Bitrate,
    /// Demands that wait for it.
    pub waiting: u32,
}

/// What comes free of its own screen if a demand is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    /// Streams of this user that it takes the place of.
    pub(super) streams: u32,
    /// Their bitrate.
    pub(super) rate: Bitrate,
    /// It goes on with what its screen plays.
    pub(super) goes_on: bool,
}

// === impl Bitrate ===

impl Bitrate {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many bit/s.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// In bit/s.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// In bytes a second, for metrics.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    pub fn bytes(self) -> f64 {
        self.0 as f64 / 8.0
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// In Mbit/s with one decimal.
impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_add(50_000) / 100_000;
        write!(f, "{}.{} Mbit/s", tenths / 10, tenths % 10)
    }
}

impl Serialize for Bitrate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bitrate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

// === impl Uplink ===

impl Default for Uplink {
    fn default() -> Self {
        Self {
            limit: None,
            local: LOCAL.iter().filter_map(|net| net.parse().ok()).collect(),
            mode: Mode::Enforce,
        }
    }
}

impl Uplink {
    /// Whether what goes to this viewer leaves the house. Who comes from nowhere known is taken to be outside.
    pub fn carries(&self, address: Option<core::net::IpAddr>) -> bool {
        address.is_none_or(|address| {
            let address = address.to_canonical();
            !self.local.iter().any(|net| net.contains(&address))
        })
    }
}

impl Admission {
    /// What flows out of the house beside the known plays, as measured.
    pub fn set_flow(&mut self, now: Instant, flow: Bitrate) {
        self.advance(now);
        let before = std::mem::replace(&mut self.flow, flow);
        if flow < before && self.queue.len() > 0 {
            // Whoever waits for the line is looked at.
            self.ledger.mark(UserId::anonymous());
        }
        self.settle(now);
    }

    /// Whether the line out of the house can spare so much for what Finweir itself would choose for this viewer.
    pub fn spares(&self, who: &Who, rate: Bitrate) -> bool {
        let uplink = &self.policy.uplink;
        let Some(limit) = uplink.limit.filter(|_| uplink.carries(who.address)) else {
            return true;
        };
        let waited_for = self
            .queue
            .wanted_beside(&(who.user.clone(), who.device.clone()));
        let spare = Bitrate(limit.0 / SPARE);
        let wanted = self.line_used().plus(waited_for).plus(spare).plus(rate);
        wanted <= limit
    }

    /// What is left of the line for a new play of this viewer. `None`: it does not use the line, or that is not limited.
    pub fn line_room(&self, who: &Who) -> Option<Bitrate> {
        let uplink = &self.policy.uplink;
        let limit = uplink.limit.filter(|_| uplink.carries(who.address))?;
        Some(limit.less(self.line_used()))
    }

    fn line_used(&self) -> Bitrate {
        self.ledger.all().rate.plus(self.flow)
    }

    /// The line out of the house, for people.
    pub(super) fn uplink_view(&self) -> UplinkView {
        UplinkView {
            limit: self.policy.uplink.limit,
            held: self.ledger.all().rate,
            other: self.flow,
            waiting: self.queue.line_len(&Line::Uplink),
        }
    }

    /// Whether the line out of the house is in the way.
    pub(super) fn judge_uplink(
        &self,
        asked: &Asked,
        place: Place,
        freed: Freed,
        verdict: &mut Judgement,
    ) -> bool {
        let uplink = &self.policy.uplink;
        let (Some(limit), false) = (uplink.limit, asked.rate == Bitrate::ZERO) else {
            return false;
        };
        // What goes on with no more than before changes nothing.
        if freed.goes_on && asked.rate <= freed.rate {
            return false;
        }
        let behind = !is_small(asked.rate, limit) && self.queue.is_behind(&Line::Uplink, place);
        let wanted = self.line_used().less(freed.rate).plus(asked.rate);
        let line = (asked.rate <= limit).then_some(Line::Uplink);
        let full = wanted > limit || behind;
        full && verdict.breach(self.mode(uplink.mode), Reason::UplinkFull, line)
    }

    /// What a demand that waits in `line` hopes for: the bitrate of the slimmest small form that has no room now, and whether
    /// one has.
    pub(super) fn thirst(&self, asked: &Asked, line: &Line, claim: &Claim) -> Thirst {
        let mut thirst = Thirst::default();
        // The right to come back may be all that the line out of the house is in the way of, wherever it waits.
        let here = *line == Line::Uplink;
        let Some(limit) = self.policy.uplink.limit.filter(|_| here || claim.right) else {
            return thirst;
        };
        let room = self.line_left();
        let steps = asked.steps.iter().map(|step| asked.charged(step.rate()));
        let steps = steps.filter(|_| asked.limits.when_full.steps_first());
        for rate in std::iter::once(asked.rate).chain(steps) {
            let needs = signed(rate).saturating_sub(signed(claim.freed.rate));
            // Who comes back to his screen stands behind nobody either.
            if !is_small(rate, limit) && !claim.right {
                // Only as the first in the line, who is looked at anyway.
            } else if needs <= room || rate == Bitrate::ZERO {
                thirst.torn = here;
            } else {
                thirst.needs = Some(thirst.needs.map_or(needs, |least| least.min(needs)));
            }
        }
        thirst
    }

    /// Room on the line; less than nothing if more flows than it carries.
    fn line_left(&self) -> i64 {
        let limit = self.policy.uplink.limit.unwrap_or_default();
        signed(limit).saturating_sub(signed(self.line_used()))
    }

    /// A small one may go though the first can't. Who might be served without the line is looked at each time.
    pub(super) fn settle_small(&mut self, now: Instant) {
        while let Some(ticket) = self.queue.first_thirsty(self.line_left()) {
            self.retry(now, ticket);
        }
        for ticket in self.queue.torn() {
            self.retry(now, ticket);
        }
    }
}

/// Whether a play of this rate goes past who waits for the line.
fn is_small(rate: Bitrate, limit: Bitrate) -> bool {
    rate.0.saturating_mul(SMALL) <= limit.0
}

fn signed(rate: Bitrate) -> i64 {
    i64::try_from(rate.0).unwrap_or(i64::MAX)
}
