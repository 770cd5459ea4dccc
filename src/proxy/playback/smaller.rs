//! A smaller picture in place of the one that does not fit.
//!
//! What steps there are is offered with the demand. If the core chooses one, Jellyfin is asked again under its ceiling;
//! where that can't be done, or comes out dearer than what was reserved, the TranscodingUrl is edited. Kodi makes its
//! own address of the answer, so it is served at the master playlist (`proxy::stream`).

use http::{Response, header};

use super::{Negotiation, Offer};
use crate::{
    admission::{Bitrate, Kind, Policy, Rung, Who},
    demand,
    gate::Reservation,
    hop::Body,
    jellyfin::{Change, Client, PlaybackAnswer, Source, Step, steps},
    proxy::{Notice, header_text, refusal},
    upstream::Verified,
};

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
        if !whole.is_video() {
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
        // Kodi writes bitrate and size into the address itself, after the answer: its master playlist is what is made
        // smaller, under this lease.
        if self.client == Client::Kodi {
            reservation.bind(answer.session().as_ref());
            self.tell_smaller(&demand.who);
            return Response::from_parts(head, refusal::whole(answer.print()));
        }
        // A PlaybackInfo may open a tuner; it is not asked twice.
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
            let text = current.settings.texts.notice(language, Notice::SteppedDown);
            if let Some(text) = text {
                self.tell(who, text.to_owned());
            }
        }
    }
}
