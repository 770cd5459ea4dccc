//! A form of less bitrate, where the line out of the house has no room for the file.
//!
//! A transcode steps down like any other. A file that is played as it is, or copied, has no such steps: Jellyfin is
//! asked again under what is left of the line, and makes a transcode of it. That is done at once, whatever the rule
//! says of waiting: when the line has room again can't be told.

use super::{Negotiation, Offer};
use crate::{
    admission::{Mode, WhenFull},
    jellyfin::{Change, Client, ceilings},
    upstream::Verified,
};

impl Negotiation<'_> {
    /// The offer, or one of less bitrate that fits.
    pub(super) async fn or_slimmer(&self, offer: Offer, verified: Option<&Verified>) -> Offer {
        let proxy = self.proxy;
        let Some(ceiling) = self.narrow(&offer) else {
            return offer;
        };
        let change = Change {
            ceiling: Some(ceiling),
            ..offer.change.clone()
        };
        let Some(slimmer) = self.changed(change, verified).await else {
            return offer;
        };
        let gate = &proxy.gate;
        let less = slimmer.demand.rate < offer.demand.rate;
        if !less || !gate.fits(&slimmer.demand) {
            return offer;
        }
        tracing::info!(node = %proxy.node.id, client = self.client.as_str(), ceiling, "The line out of the house has no room for the file: it is encoded smaller");
        Offer {
            slimmed: true,
            ..slimmer
        }
    }

    /// The ceiling under which it would fit. `None`: it fits as it is, or nothing is to be done about it.
    fn narrow(&self, offer: &Offer) -> Option<u64> {
        let gate = &self.proxy.gate;
        let demand = &offer.demand;
        let live = offer.answer.sources().iter().any(|source| source.live);
        // Kodi writes a bitrate of its own into the address.
        if demand.kind.is_video() || live || self.client == Client::Kodi {
            return None;
        }
        let policy = gate.policy();
        if policy.mode == Mode::Observe || policy.uplink.mode == Mode::Observe {
            return None;
        }
        let room = gate
            .line_room(&demand.who)
            .filter(|room| demand.rate > *room)?;
        let limits = policy.limits_of(&demand.who);
        match limits.when_full {
            WhenFull::WaitThenStepDown | WhenFull::StepDownThenWait | WhenFull::StepDown => {}
            WhenFull::Wait => return None,
        }
        // It may go on on its own screen, whatever the room is.
        if gate.fits(demand) {
            return None;
        }
        let floor = limits.floor.unwrap_or(0);
        ceilings()
            .filter(|(_, height)| *height >= floor)
            .map(|(ceiling, _)| ceiling)
            .find(|ceiling| *ceiling <= room.bits())
    }
}
