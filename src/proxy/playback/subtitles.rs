//! A text subtitle beside the picture, instead of one that is drawn into it.
//!
//! Drawing makes an encode of what could be copied or played as it is, or makes an encode dearer. Jellyfin draws a text
//! subtitle for a player that wants it so whenever it transcodes (`AlwaysBurnInSubtitleWhenTranscoding`), though it could
//! show it by itself: its profile says so. Then Jellyfin is asked again without that wish, and its answer is believed if
//! the subtitle is still delivered, and the play costs less.

use super::{Negotiation, Offer};
use crate::{
    admission::{Kind, Mode},
    demand,
    jellyfin::{Change, Media, Query, Source, StreamQuery},
    proxy::Subtitles,
    upstream::Verified,
};

impl Negotiation<'_> {
    /// The offer, or a cheaper one with the subtitle beside the picture.
    pub(super) async fn or_external(&self, offer: Offer, verified: Option<&Verified>) -> Offer {
        let proxy = self.proxy;
        let Some(index) = self.drawn(&offer) else {
            return offer;
        };
        let change = Change {
            burn_in: Some(false),
            ..offer.change.clone()
        };
        let Some(external) = self.changed(change, verified).await else {
            return offer;
        };
        let policy = proxy.gate.policy();
        let price = |offer: &Offer| demand::price(&policy, &proxy.node.id, &offer.demand.kind);
        let shown = external
            .source
            .subtitle(index)
            .is_some_and(|track| track.is_delivered());
        let same = external.source.id == offer.source.id;
        if !shown || !same || price(&external) >= price(&offer) {
            return offer;
        }
        tracing::info!(node = %proxy.node.id, client = self.client.as_str(), "A text subtitle goes beside the picture instead of into it");
        external
    }

    /// The text subtitle that would be drawn into the picture though it need not be.
    fn drawn(&self, offer: &Offer) -> Option<i64> {
        // Who could not play a moment ago is not sent another thing to try.
        if !self.asked.always_burn_in || !self.asked.direct_play {
            return None;
        }
        let live = offer.answer.sources().iter().any(|source| source.live);
        let index = drawn_by(&offer.source)?;
        let track = offer.source.subtitle(index)?;
        let draws = matches!(offer.demand.kind, Kind::Video(work) if work.burn_in);
        if live || !draws || !track.text || !track.is_delivered() {
            return None;
        }
        let gate = &self.proxy.gate;
        if gate.policy().mode == Mode::Observe {
            return None;
        }
        let current = self.proxy.current.load();
        let wanted = match current.settings.cheaper.subtitles {
            Subtitles::AsIs => false,
            Subtitles::Pressure => !gate.fits(&offer.demand),
            Subtitles::External => true,
        };
        wanted.then_some(index)
    }
}

/// The subtitle that a source's TranscodingUrl names.
fn drawn_by(source: &Source) -> Option<i64> {
    let (_, query) = source.transcoding_url.as_deref()?.split_once('?')?;
    StreamQuery::read(&Query::parse(query), Media::Video).subtitle
}
