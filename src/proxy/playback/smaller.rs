//! A smaller picture in place of the one that does not fit.
//!
//! What steps there are is offered with the demand. If the core chooses one, Jellyfin is asked again under its ceiling;
//! where that can't be done, or comes out dearer than what was reserved, the TranscodingUrl is edited.

use http::{Response, header};

use super::{Negotiation, Offer};
use crate::{
    admission::{Bitrate, Kind, Policy, Rung, Who},
    demand,
    gate::Reservation,
    hop::Body,
    jellyfin::{Change, Client, PlaybackAnswer, Source, Step, steps},
    proxy::{header_text, refusal},
    upstream::Verified,
};

/// What the viewer reads.
const WORDS: [(&str, &str); 2] = [
    (
        "en",
        "The server is busy just now, so this plays in a lower quality.",
    ),
    (
        "de",
        "Der Server ist gerade ausgelastet, deshalb läuft das in geringerer Qualität.",
    ),
];

impl Negotiation<'_> {
    /// The smaller pictures that this client could get instead, each really cheaper than the one before it.
    pub(super) fn steps(
        &self,
        policy: &Policy,
        source: &Source,
        whole: (&Kind, Bitrate),
        verified: Option<&Verified>,
    ) -> (Vec<Step>, Vec<Rung>) {
        let (whole, rate) = whole;
        // Kodi writes bitrate and size into the address itself, after the answer.
        if !whole.is_video() || self.client == Client::Kodi {
            return (Vec::new(), Vec::new());
        }
        let user = verified.map(Verified::policy).unwrap_or_default();
        let all = steps(source, &self.proxy.node.encoding.load(), user);
        let price = |kind: &Kind| demand::price(policy, &self.proxy.node.id, kind);
        let address = self.peer.address;
        let slim = policy.uplink.limit.is_some() && policy.uplink.carries(address);
        demand::rungs(all, (price(whole), rate), slim, price)
    }

    /// Answers with this step, whose seats are reserved.
    pub(super) async fn step_down(
        &self,
        offer: Offer,
        step: &Step,
        reservation: Reservation,
        verified: Option<&Verified>,
    ) -> Response<Body> {
        let Offer {
            mut head,
            mut answer,
            source,
            demand,
            change,
            ..
        } = offer;
        let live = answer.sources().iter().any(|source| source.live);
        let again = if live {
            None
        } else {
            let change = Change {
                ceiling: Some(step.ceiling),
                ..change
            };
            self.smaller(step, &change, verified).await
        };
        match again {
            Some((new_head, new_answer)) => (head, answer) = (new_head, new_answer),
            None => answer.set_transcoding_url(&source, &step.url),
        }
        reservation.bind(answer.session().as_ref());
        self.tell_smaller(&demand.who);
        Response::from_parts(head, refusal::whole(answer.print()))
    }

    /// Jellyfin's own answer under the ceiling of this step, if it takes no more than the step.
    async fn smaller(
        &self,
        step: &Step,
        change: &Change,
        verified: Option<&Verified>,
    ) -> Option<(http::response::Parts, PlaybackAnswer)> {
        let (head, mut answer) = self.again(change).await?;
        self.order_versions(&mut answer, verified);
        let source = self.chosen(&answer)?;
        source.transcoding_url.as_ref()?;
        let policy = self.proxy.gate.policy();
        let price = |plan| demand::price(&policy, &self.proxy.node.id, &demand::kind_of(plan));
        let fits = price(&self.plan(&source, verified)) <= price(&step.plan);
        fits.then_some((head, answer))
    }

    pub(super) fn tell_smaller(&self, who: &Who) {
        let current = self.proxy.current.load();
        if current.settings.messages && self.client.shows_messages() {
            let language = header_text(&self.head.headers, &header::ACCEPT_LANGUAGE);
            self.tell(who, words(language).to_owned());
        }
    }
}

/// The words in the first language of an `Accept-Language` that there are some for, else English.
fn words(accept_language: Option<&str>) -> &'static str {
    let wanted = accept_language
        .into_iter()
        .flat_map(|languages| languages.split(','))
        .filter_map(|language| language.split(['-', ';']).next());
    wanted
        .map(str::trim)
        .chain(["en"])
        .find_map(|wanted| {
            WORDS
                .iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(wanted))
        })
        .map_or("", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_viewer_is_told_in_his_language_or_in_english() {
        assert!(words(Some("fr, de-CH;q=0.8, en")).starts_with("Der Server"));
        assert!(words(Some("fr")).starts_with("The server"));
        assert!(words(None).starts_with("The server"));
    }
}
