//! PlaybackInfo: ask Jellyfin, decide, answer.
//!
//! Before a transcode is decided about, something cheaper is looked for: [`versions`], [`subtitles`], [`direct`],
//! [`copied`]. What does not fit may still get a smaller picture ([`smaller`]), or less bitrate ([`uplink`]).

mod again;
mod copied;
mod direct;
mod smaller;
mod subtitles;
mod uplink;
mod versions;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request, response};

use super::{OnError, Proxy, Refusal, header_text, refusal, refused::Said};
use crate::{
    admission::{Demand, Origin, Reason, Who},
    clock, demand,
    gate::Outcome,
    hop::{Body, Exchanged, Peer},
    ident::{DeviceId, ItemId, Token},
    jellyfin::{
        Change, Client, Credentials, Media, Moment, Plan, PlaybackAnswer, PlaybackRequest, Query,
        Shape, Source, Step,
    },
    telemetry::FailOpen,
    upstream::Verified,
};

/// What is left of a client's patience for the way back.
const MARGIN: Duration = Duration::from_millis(500);

/// One PlaybackInfo on its way.
struct Negotiation<'a> {
    proxy: &'a Arc<Proxy>,
    item: &'a ItemId,
    began: Instant,
    claims: Credentials,
    asked: PlaybackRequest,
    client: Client,
    peer: &'a Peer,
    /// The head as it was sent upstream, to ask again.
    head: request::Parts,
}

/// An answer of Jellyfin's, and what it comes to if the client gets it.
struct Offer {
    head: response::Parts,
    answer: PlaybackAnswer,
    /// The source that the client will play.
    source: Source,
    demand: Demand,
    /// What was changed in the request for it.
    change: Change,
    /// Its picture is smaller than it was: the viewer is told once it is let in.
    slimmed: bool,
    /// Smaller pictures, by the index of the demand's rungs.
    steps: Vec<Step>,
}

/// Asks Jellyfin, decides about what it would do, and answers.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    item: &ItemId,
    request: Request<Bytes>,
    peer: &Peer,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let claims = proxy.claims(&parts.headers, Some(&query));
    // The answer has to be read: compressed, it can't be.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let negotiation = Negotiation {
        proxy,
        item,
        began: clock::now(),
        asked: PlaybackRequest::read(&Query::parse(&query), &body),
        client: Client::of(
            claims.client.as_deref(),
            header_text(&parts.headers, &header::USER_AGENT),
        ),
        claims,
        peer,
        head: parts.clone(),
    };
    if let (Some(device), Some(language)) = (
        &negotiation.claims.device,
        header_text(&negotiation.head.headers, &header::ACCEPT_LANGUAGE),
    ) {
        proxy.languages.note(device, language);
    }
    if let Some(refused) = negotiation.refused_just_now() {
        return refused;
    }
    let max_answer = proxy.current.load().settings.max_answer;
    let exchange = proxy.exchange(Request::from_parts(parts, body), max_answer);
    let (exchanged, verified) = tokio::join!(exchange, proxy.verify(&negotiation.claims));
    match exchanged {
        Ok(Exchanged::Whole(response)) => negotiation.judge(response, verified.as_ref()).await,
        Ok(Exchanged::Long(response)) => {
            tracing::warn!(node = %proxy.node.id, limit = max_answer, "a PlaybackInfo answer is longer than its bound; it passes unjudged");
            proxy.telemetry.fail_open(FailOpen::TooLong);
            response
        }
        Err(failed) => failed,
    }
}

// === impl Negotiation ===

impl Negotiation<'_> {
    /// The answer to a wish that was refused a moment ago. Shape N needs Jellyfin's answer, so it is asked.
    fn refused_just_now(&self) -> Option<Response<Body>> {
        let Said {
            reason,
            retry_after,
            quota,
        } = self.proxy.refused.recent(&self.key()?)?;
        let current = self.proxy.current.load();
        let language = header_text(&self.head.headers, &header::ACCEPT_LANGUAGE);
        let refusal = Refusal {
            reason,
            retry_after,
            client: self.client,
            language,
            quota: quota.as_ref(),
        };
        let shape = refusal.shape(&current.settings, Moment::Initial);
        match shape {
            Shape::ErrorCode | Shape::Http => {
                Some(refusal.playback_info(&current.settings, shape, None))
            }
            Shape::NothingSupported => None,
        }
    }

    fn key(&self) -> Option<(Token, Option<DeviceId>, ItemId)> {
        Some((
            self.claims.token.clone()?,
            self.claims.device.clone(),
            self.item.clone(),
        ))
    }

    async fn judge(
        &self,
        response: Response<Bytes>,
        verified: Option<&Verified>,
    ) -> Response<Body> {
        let proxy = self.proxy;
        let (parts, body) = response.into_parts();
        let refused = matches!(verified, Some(Verified::Refused));
        // What was believed of the token and what Jellyfin did differ: ask again next time.
        let differs = (parts.status == StatusCode::UNAUTHORIZED) != refused;
        if let Some(token) = self.claims.token.as_ref().filter(|_| differs) {
            proxy.identities.forget(token);
        }
        if parts.status != StatusCode::OK {
            return Response::from_parts(parts, refusal::whole(body));
        }
        let mut answer = match PlaybackAnswer::read(body.clone()) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(node = %proxy.node.id, %error, "a PlaybackInfo answer can't be understood");
                return self.unjudged(
                    FailOpen::Answer,
                    Response::from_parts(parts, refusal::whole(body)),
                );
            }
        };
        proxy.media.learn(answer.sources());
        if self.asked.is_playback {
            self.order_versions(&mut answer, verified);
        }
        // Info dialogs and detail pages ask without meaning to play.
        let Some(source) = self.chosen(&answer).filter(|_| self.asked.is_playback) else {
            return Response::from_parts(parts, refusal::whole(answer.print()));
        };
        // Jellyfin answered, so somebody asked; only who is not known. A look-up that failed is counted already.
        if refused || self.claims.token.is_none() {
            proxy.telemetry.fail_open(FailOpen::Identity);
        }
        if verified.is_none_or(|v| *v == Verified::Refused)
            && proxy.current.load().settings.on_error == OnError::Reject
        {
            return self.refuse_unjudged();
        }

        let offer = self.offer(parts, answer, source, verified).await;
        let offer = self.or_external(offer, verified).await;
        let offer = self.or_direct(offer, verified).await;
        let offer = self.or_copied(offer, verified).await;
        let offer = self.or_slimmer(offer, verified).await;
        self.decide(offer, verified).await
    }

    async fn decide(&self, offer: Offer, verified: Option<&Verified>) -> Response<Body> {
        let proxy = self.proxy;
        let who = offer.demand.who.clone();
        let playing = proxy.gate.plays(&who.user, &who.device);
        // Jellyfin may have been asked again since the offer was made.
        let demand = Demand {
            patience: self.patience(),
            ..offer.demand.clone()
        };
        match proxy.enter(demand).await {
            Outcome::Admitted(reservation) => {
                if offer.slimmed {
                    self.tell_smaller(&who);
                }
                reservation.bind(offer.answer.session().as_ref());
                Response::from_parts(offer.head, refusal::whole(offer.answer.print()))
            }
            Outcome::Downgraded { reservation, rung } => match offer.steps.get(rung).cloned() {
                Some(step) => self.step_down(offer, &step, reservation, verified).await,
                None => {
                    // The whole does not fit, and what else was meant can't be told.
                    tracing::error!(node = %proxy.node.id, rung, "a rung was chosen that was not offered; the answer passes as it came");
                    reservation.bind(offer.answer.session().as_ref());
                    Response::from_parts(offer.head, refusal::whole(offer.answer.print()))
                }
            },
            Outcome::Rejected {
                reason,
                retry_after,
            } => {
                self.close_live_stream(&offer.source);
                let said = Said {
                    reason,
                    retry_after,
                    quota: self.proxy.used_up(reason, &who, &offer.demand.kind),
                };
                // Who has waited may wait again.
                let waited = matches!(reason, Reason::Superseded | Reason::WaitedOut);
                if let Some(key) = self.key().filter(|_| !waited) {
                    self.proxy.refused.note(key, said.clone());
                }
                self.refuse(offer.answer, &offer.source, &who, playing, &said)
            }
        }
    }

    /// The source that the client will play: the one it asked for, else as clients choose.
    fn chosen(&self, answer: &PlaybackAnswer) -> Option<Source> {
        let sources = answer.sources();
        let asked = self
            .asked
            .source
            .as_ref()
            .and_then(|id| sources.iter().find(|s| s.id.as_ref() == Some(id)));
        let direct = || match self.client {
            Client::Web | Client::Chromecast | Client::Vue => {
                sources.iter().find(|s| s.direct_play || s.direct_stream)
            }
            Client::AndroidTv
            | Client::Android
            | Client::Swiftfin
            | Client::MpvShim
            | Client::Kodi
            | Client::Roku
            | Client::Streamyfin
            | Client::Findroid
            | Client::Infuse
            | Client::Unknown => None,
        };
        asked.or_else(direct).or_else(|| sources.first()).cloned()
    }

    /// What Jellyfin would do for this source.
    fn plan(&self, source: &Source, verified: Option<&Verified>) -> Plan {
        let policy = verified.map(Verified::policy).unwrap_or_default();
        let encoding = self.proxy.node.encoding.load();
        Plan::of_source(source, Media::Video, &encoding, policy)
    }

    /// How long the client still waits, less the way back.
    fn patience(&self) -> Duration {
        let spent = clock::now().saturating_duration_since(self.began) + MARGIN;
        self.proxy.patience(self.client).saturating_sub(spent)
    }

    async fn offer(
        &self,
        head: response::Parts,
        answer: PlaybackAnswer,
        source: Source,
        verified: Option<&Verified>,
    ) -> Offer {
        let proxy = self.proxy;
        let plan = self.plan(&source, verified);
        let (kind, rate) = (
            demand::kind_of(&plan),
            demand::rate_of_source(&source, &plan),
        );
        let ceiling = self.asked.max_bitrate;
        let why = demand::why_of_source(&source, &plan, &proxy.node.encoding.load(), ceiling);
        let policy = proxy.gate.policy();
        let (steps, rungs) = self.steps(&policy, &source, (&kind, rate), verified);
        let demand = Demand {
            who: demand::who(verified, &self.claims, None, self.peer.address),
            item: self.item.clone(),
            session: answer.session(),
            node: proxy.node.id.clone(),
            kind,
            origin: Origin::Negotiation,
            library: proxy.library(self.item).await,
            rate,
            rungs,
            would: None,
            patience: self.patience(),
            replaces: self.client.stops_after_the_next(),
            why: Some(why),
        };
        Offer {
            head,
            answer,
            source,
            demand,
            change: Change::default(),
            slimmed: false,
            steps,
        }
    }

    fn refuse(
        &self,
        answer: PlaybackAnswer,
        source: &Source,
        who: &Who,
        playing: bool,
        said: &Said,
    ) -> Response<Body> {
        let current = self.proxy.current.load();
        let language = header_text(&self.head.headers, &header::ACCEPT_LANGUAGE);
        let refusal = Refusal {
            reason: said.reason,
            retry_after: said.retry_after,
            client: self.client,
            language,
            quota: said.quota.as_ref(),
        };
        let moment = if playing {
            Moment::MidPlay
        } else if source.live {
            Moment::LiveTv
        } else {
            Moment::Initial
        };
        let shape = refusal.shape(&current.settings, moment);
        // E carries a text of the client's own; a message on top of it would be one dialog more. But what is used up,
        // and until when, that text does not say.
        let says_nothing = shape != Shape::ErrorCode || said.quota.is_some();
        if current.settings.messages && self.client.shows_messages() && says_nothing {
            self.tell(who, refusal.text(&current.settings));
        }
        refusal.playback_info(&current.settings, shape, Some(answer))
    }

    /// What can't be judged passes, unless the operator prefers a refusal.
    fn unjudged(&self, why: FailOpen, response: Response<Body>) -> Response<Body> {
        self.proxy.telemetry.fail_open(why);
        match self.proxy.current.load().settings.on_error {
            OnError::Admit => response,
            OnError::Reject => self.refuse_unjudged(),
        }
    }

    fn refuse_unjudged(&self) -> Response<Body> {
        let current = self.proxy.current.load();
        let refusal = Refusal {
            reason: Reason::FailOpen,
            retry_after: Duration::from_secs(10),
            client: self.client,
            language: header_text(&self.head.headers, &header::ACCEPT_LANGUAGE),
            quota: None,
        };
        let shape = refusal.shape(&current.settings, Moment::Initial);
        refusal.playback_info(&current.settings, shape, None)
    }

    /// A tuner that this request opened would stay open.
    fn close_live_stream(&self, source: &Source) {
        let (Some(id), Some(token), true) = (
            &source.live_stream,
            &self.claims.token,
            self.asked.opens_live_stream,
        ) else {
            return;
        };
        let (api, id, token) = (self.proxy.node.api.clone(), id.clone(), token.clone());
        self.proxy.tasks.spawn(async move {
            if let Err(error) = api.close_live_stream(&id, &token).await {
                tracing::warn!(node = %api.node(), %error, "could not close the live stream of a refused play");
            }
        });
    }

    /// Says why on the screen of the one who asked. It may be lost; nothing waits for it.
    fn tell(&self, who: &Who, text: String) {
        let (api, user, device) = (
            self.proxy.node.api.clone(),
            who.user.clone(),
            who.device.clone(),
        );
        if !api.has_key() {
            return;
        }
        self.proxy.tasks.spawn(async move {
            let told = async {
                match api.session_of(&user, &device).await? {
                    Some(session) => api.message(&session, "Jellyfin", &text).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = told.await {
                tracing::debug!(node = %api.node(), %error, "could not show a message");
            }
        });
    }
}
