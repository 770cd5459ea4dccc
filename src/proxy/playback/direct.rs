//! Direct play in place of a transcode.
//!
//! Mostly nothing but the bitrate's ceiling stands between a client and the file, and what Jellyfin says of its
//! reasons can't be relied on. So it is asked again with the ceiling raised to what the file has, and
//! that answer is believed: the client's own profile says then that it can play the file. Only where the line out of
//! the house can spare the file's bitrate: a transcode that would have waited must not keep the next from beginning.

use super::{Negotiation, Offer};
use crate::{
    admission::{Demand, Kind, Mode},
    demand::rate_of,
    ident::ItemId,
    jellyfin::{Change, Plan},
    proxy::{DirectPlay, tried::Attempt},
    telemetry,
    upstream::Verified,
};

/// What Jellyfin takes a file for that does not say its bitrate.
const UNKNOWN_BITRATE: u64 = 40_000_000;
/// Beyond the file's own bitrate: what the sound may take once it is encoded anew.
const SOUND: u64 = 8_000_000;

impl Negotiation<'_> {
    /// The offer, or a better one that costs nothing.
    pub(super) async fn or_direct(&self, offer: Offer, verified: Option<&Verified>) -> Offer {
        let proxy = self.proxy;
        let attempt = self.attempt(&offer);
        if !self.asked.direct_play {
            // It is never answered with direct play: a client that could not play would ask without end.
            if proxy.tried.comes_back(&attempt) {
                tracing::info!(node = %proxy.node.id, client = self.client.as_str(), "Could not play the file itself: not again for a day");
                proxy.telemetry.direct_play(telemetry::DirectPlay::Failed);
            }
            return offer;
        }
        let Some(ceiling) = self.ceiling(&offer).filter(|_| self.may_be_direct(&offer)) else {
            return offer;
        };
        if proxy.tried.has_failed(&attempt) {
            return offer;
        }
        let change = Change {
            ceiling: Some(ceiling),
            ..offer.change.clone()
        };
        let Some(direct) = self.changed(change, verified).await else {
            proxy
                .telemetry
                .direct_play(telemetry::DirectPlay::Unanswered);
            return offer;
        };
        // Another version may have come first.
        if !proxy.gate.spares(&direct.demand) {
            return offer;
        }
        let result = match direct.demand.kind {
            Kind::Direct if direct.source.direct_play => telemetry::DirectPlay::Played,
            Kind::Remux | Kind::Audio => telemetry::DirectPlay::Remuxed,
            // Without a way to play it at all there is nothing to run either.
            Kind::Direct | Kind::Video(_) => telemetry::DirectPlay::Unplayable,
        };
        proxy.telemetry.direct_play(result);
        match result {
            telemetry::DirectPlay::Played | telemetry::DirectPlay::Remuxed => {
                tracing::info!(node = %proxy.node.id, client = self.client.as_str(), result = result.as_str(), "Plays without a transcode what was to be one");
                proxy.tried.force(attempt);
                direct
            }
            telemetry::DirectPlay::Unplayable
            | telemetry::DirectPlay::Failed
            | telemetry::DirectPlay::Unanswered => offer,
        }
    }

    fn attempt(&self, offer: &Offer) -> Attempt {
        let who = &offer.demand.who;
        let item: &ItemId = self.item;
        (
            who.user.clone(),
            who.device.clone(),
            who.client.clone(),
            item.clone(),
        )
    }

    /// The ceiling under which the file could be played as it is. `None`: the ceiling is not what keeps it from that.
    pub(super) fn ceiling(&self, offer: &Offer) -> Option<u64> {
        let own = offer.source.bitrate.unwrap_or(UNKNOWN_BITRATE);
        let needed = own.saturating_add(own / 10).saturating_add(SOUND);
        self.asked
            .max_bitrate
            .filter(|asked| *asked < needed)
            .map(|_| needed)
    }

    /// Whether policy and moment are such that this transcode is to be avoided.
    fn may_be_direct(&self, offer: &Offer) -> bool {
        let gate = &self.proxy.gate;
        let live = offer.answer.sources().iter().any(|source| source.live);
        if !offer.demand.kind.is_video() || live {
            return false;
        }
        let policy = gate.policy();
        if policy.mode == Mode::Observe {
            return false;
        }
        let file = Demand {
            rate: rate_of(&Plan::Direct, Some(&offer.source), None),
            ..offer.demand.clone()
        };
        if !gate.spares(&file) {
            return false;
        }
        let class = &policy.class_of(&offer.demand.who).id;
        let current = self.proxy.current.load();
        match current.settings.cheaper.direct_play(self.client, class) {
            DirectPlay::Off => false,
            DirectPlay::Pressure => !gate.fits(&offer.demand),
            // Who changes the quality of what he watches has said what he wants.
            DirectPlay::Always => !gate.replaces(&offer.demand),
        }
    }
}
