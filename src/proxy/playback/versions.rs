//! Which of several versions of a film comes first.
//!
//! Clients play the first that is listed, and 12.0 lists the dearest first. Where the client has asked
//! for no version, one that costs nothing is put first, or else one that costs less, as long as its picture is not
//! below the floor and the line out of the house can spare what it sends.

use super::Negotiation;
use crate::{
    admission::{Kind, Mode, Seats},
    demand,
    jellyfin::{PlaybackAnswer, Source},
    upstream::Verified,
};

/// A version, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
struct Version {
    way: Way,
    seats: Seats,
    height: u32,
    /// The line out of the house can spare what it sends.
    spared: bool,
}

/// How a version would be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Copied,
    Encoded,
    NotAtAll,
}

impl Negotiation<'_> {
    /// Puts the version first that this client had better play.
    pub(super) fn order_versions(&self, answer: &mut PlaybackAnswer, verified: Option<&Verified>) {
        let proxy = self.proxy;
        let sources = answer.sources();
        let chosen = self.asked.source.is_some() || self.asked.live_stream.is_some();
        if sources.len() < 2 || chosen || sources.iter().any(|source| source.live) {
            return;
        }
        let policy = proxy.gate.policy();
        let Some(floor) = proxy.current.load().settings.cheaper.version_floor else {
            return;
        };
        if policy.mode == Mode::Observe {
            return;
        }
        let who = demand::who(verified, &self.claims, None, self.peer.address);
        let versions: Vec<Version> = sources
            .iter()
            .map(|source| {
                let plan = self.plan(source, verified);
                let rate = demand::rate_of_source(source, &plan);
                let kind = demand::kind_of(&plan);
                let seats = demand::price(&policy, &proxy.node.id, &kind);
                Version {
                    spared: proxy.gate.spares_rate(&who, rate),
                    ..Version::of(source, &kind, seats)
                }
            })
            .collect();
        answer.put_first(best(&versions, floor));
    }
}

impl Version {
    fn of(source: &Source, kind: &Kind, seats: Seats) -> Self {
        let way = match kind {
            Kind::Direct if source.direct_play || source.direct_stream => Way::Direct,
            Kind::Direct => Way::NotAtAll,
            Kind::Remux | Kind::Audio => Way::Copied,
            Kind::Video(_) => Way::Encoded,
        };
        Self {
            way,
            seats,
            height: height(source),
            spared: true,
        }
    }
}

/// Lines of the picture; a wide one counts as if its bars were there.
fn height(source: &Source) -> u32 {
    let size = source.video(None).and_then(|track| track.size());
    size.map_or(0, |(width, height)| {
        height.max((u64::from(width) * 9 / 16).try_into().unwrap_or(u32::MAX))
    })
}

/// The place of the version to be played. What costs nothing stays where it is: nobody's picture shrinks for that.
fn best(versions: &[Version], floor: u32) -> usize {
    let Some(first) = versions.first() else {
        return 0;
    };
    match first.way {
        Way::Direct | Way::Copied => return 0,
        Way::Encoded | Way::NotAtAll => {}
    }
    let low = floor.min(first.height);
    let others = || {
        let all = versions.iter().enumerate();
        all.filter(|(_, version)| version.height >= low && version.spared)
    };
    let tallest = |way: Way| {
        others()
            .filter(|(_, version)| version.way == way)
            .min_by_key(|(nth, version)| (std::cmp::Reverse(version.height), *nth))
    };
    let cheapest = || {
        others()
            .filter(|(_, version)| version.way == Way::Encoded)
            .filter(|(_, version)| {
                first.way == Way::NotAtAll || cheaper(version.seats, first.seats)
            })
            .min_by_key(|(nth, version)| (version.seats, *nth))
    };
    tallest(Way::Direct)
        .or_else(|| tallest(Way::Copied))
        .or_else(cheapest)
        .map_or(0, |(nth, _)| nth)
}

/// Whether it is so by more than a tenth.
fn cheaper(seats: Seats, than: Seats) -> bool {
    u64::from(seats.milli()) * 10 < u64::from(than.milli()) * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(way: Way, milli: u32, height: u32) -> Version {
        Version {
            way,
            seats: Seats::from_milli(milli),
            height,
            spared: true,
        }
    }

    #[test]
    fn what_the_line_has_no_room_for_is_not_put_first() {
        let hd = version(Way::Encoded, 1000, 1080);
        let mut direct = version(Way::Direct, 0, 1080);
        assert_eq!(best(&[hd, direct], 1080), 1);
        direct.spared = false;
        assert_eq!(best(&[hd, direct], 1080), 0);
    }

    #[test]
    fn what_costs_nothing_comes_before_what_costs_seats() {
        let uhd = version(Way::Encoded, 3700, 2160);
        let hd = version(Way::Encoded, 1000, 1080);
        let copied = version(Way::Copied, 0, 1080);
        let direct = version(Way::Direct, 0, 1080);
        assert_eq!(best(&[uhd, hd, copied, direct], 1080), 3);
        assert_eq!(best(&[uhd, hd, copied], 1080), 2);
        assert_eq!(best(&[uhd, hd], 1080), 1);
    }

    #[test]
    fn no_picture_shrinks_below_the_floor_or_for_nothing() {
        let uhd = version(Way::Encoded, 3700, 2160);
        let sd = version(Way::Direct, 0, 576);
        assert_eq!(best(&[uhd, sd], 1080), 0);
        assert_eq!(best(&[uhd, sd], 576), 1);
        let copied = version(Way::Copied, 0, 2160);
        assert_eq!(best(&[copied, sd], 0), 0);
        let nearly = version(Way::Encoded, 3500, 1080);
        assert_eq!(best(&[uhd, nearly], 1080), 0);
    }

    #[test]
    fn a_film_that_is_below_the_floor_itself_may_be_swapped_for_its_equal() {
        let dear = version(Way::Encoded, 900, 576);
        let direct = version(Way::Direct, 0, 576);
        assert_eq!(best(&[dear, direct], 1080), 1);
    }

    #[test]
    fn what_can_not_be_played_at_all_is_not_put_first() {
        let dead = version(Way::NotAtAll, 0, 2160);
        let hd = version(Way::Encoded, 1000, 1080);
        assert_eq!(best(&[hd, dead], 0), 0);
        assert_eq!(best(&[dead, hd], 1080), 1);
    }

    #[test]
    fn the_tallest_of_those_that_cost_nothing_is_taken() {
        let uhd = version(Way::Encoded, 3700, 2160);
        let sd = version(Way::Direct, 0, 1080);
        let hd = version(Way::Direct, 0, 1440);
        assert_eq!(best(&[uhd, sd, hd], 0), 2);
    }
}
