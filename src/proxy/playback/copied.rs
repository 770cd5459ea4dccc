//! The picture copied and only the sound encoded, where a player set its ceiling a little below the file's bitrate.
//!
//! Players that don't come back by themselves are never made to play a file as it is (`direct`). A copy in the
//! container that they asked for is no such risk: Jellyfin answers so every day. But many of them measure the line and
//! set their ceiling by it, so it is raised by a quarter at most, and direct play is asked not to be the answer.

use super::{Negotiation, Offer};
use crate::{
    admission::{Kind, Mode},
    jellyfin::{Change, Client},
    proxy::DirectPlay,
    telemetry,
    upstream::Verified,
};

impl Negotiation<'_> {
    /// The offer, or one that copies the picture.
    pub(super) async fn or_copied(&self, offer: Offer, verified: Option<&Verified>) -> Offer {
        let proxy = self.proxy;
        let Some(ceiling) = self.a_little_above(&offer) else {
            return offer;
        };
        let change = Change {
            ceiling: Some(ceiling),
            direct_play: Some(false),
            ..offer.change.clone()
        };
        let Some(copied) = self.changed(change, verified).await else {
            proxy
                .telemetry
                .direct_play(telemetry::DirectPlay::Unanswered);
            return offer;
        };
        let copies = match copied.demand.kind {
            Kind::Remux | Kind::Audio => copied.source.transcoding_url.is_some(),
            Kind::Direct | Kind::Video(_) => false,
        };
        if !copies {
            proxy
                .telemetry
                .direct_play(telemetry::DirectPlay::Unplayable);
            return offer;
        }
        if !proxy.gate.spares(&copied.demand) {
            return offer;
        }
        proxy.telemetry.direct_play(telemetry::DirectPlay::Remuxed);
        tracing::info!(node = %proxy.node.id, client = self.client.as_str(), "Copies the picture of what was to be a transcode");
        copied
    }

    /// The ceiling under which the picture could be copied, if that is near enough to the player's own.
    fn a_little_above(&self, offer: &Offer) -> Option<u64> {
        let gate = &self.proxy.gate;
        let live = offer.answer.sources().iter().any(|source| source.live);
        // Who asks without direct play, or without copies, could not play a moment ago.
        let escalated = !self.asked.direct_play || !self.asked.allow_video_copy;
        // Kodi writes its own ceiling into the address, so that it would be encoded after all.
        let rewrites = self.client == Client::Kodi;
        if escalated || live || rewrites || !offer.demand.kind.is_video() {
            return None;
        }
        let policy = gate.policy();
        if policy.mode == Mode::Observe {
            return None;
        }
        let ceiling = self.ceiling(offer)?;
        let own = offer.source.bitrate?;
        let asked = self.asked.max_bitrate?;
        if own > asked.saturating_add(asked / 4) {
            return None;
        }
        let class = &policy.class_of(&offer.demand.who).id;
        let current = self.proxy.current.load();
        let wanted = match current.settings.cheaper.copies(self.client, class) {
            DirectPlay::Off => false,
            DirectPlay::Pressure => !gate.fits(&offer.demand),
            DirectPlay::Always => !gate.replaces(&offer.demand),
        };
        wanted.then_some(ceiling)
    }
}
