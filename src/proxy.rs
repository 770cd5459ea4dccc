//! Carries requests: the [`hop::Handler`] that routes, decides, rewrites and refuses.
//!
//! [`Proxy::step`] looks at the head of every request and lets nearly all of them pass at once. A PlaybackInfo is
//! answered by [`playback`], a request that starts FFmpeg is decided by [`stream`], a report is passed on and
//! noted by [`report`]. What is refused is written by [`refusal`].
//!
//! Beside them, `place` is the viewer's page; `flows` and `charge` count bytes; `fingerprints`, `refused`, `tried` and
//! `languages` remember for a while.

mod charge;
mod fingerprints;
mod flows;
mod languages;
mod place;
mod playback;
mod quota;
mod refusal;
mod refused;
mod report;
mod settings;
mod stream;
mod tried;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};

use self::{
    fingerprints::Fingerprints, flows::Flows, languages::Languages, refusal::Refusal,
    refused::Refused, tried::Tried,
};
pub use self::{
    flows::measure,
    settings::{Cheaper, DirectPlay, Notice, OnError, Settings, Starts, Subtitles, Texts},
};
use crate::{
    admission::{Demand, Kind, Mode, Reason},
    gate::{EndJob, Ending, Gate, Outcome, Throttle},
    hop::{self, Body, Done, End, Exchanged, Failure, Forward, Handler, Head, Peer, Step, Verdict},
    ident::NodeId,
    jellyfin::{Client, Credentials, Dialect, Encoding, Report, Route, classify, credentials},
    tasks::Tasks,
    telemetry::{FailOpen, Served, Telemetry},
    upstream::{self, Api, Identities, Verified},
};

/// A Jellyfin server, as the data path sees it.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    origin: hop::Origin,
    api: Api,
    dialect: ArcSwap<Dialect>,
    encoding: ArcSwap<Encoding>,
}

/// The data path's handler.
#[derive(Debug)]
pub struct Proxy {
    node: Node,
    current: ArcSwap<Current>,
    gate: Gate,
    telemetry: Telemetry,
    client: hop::Client,
    identities: Identities,
    media: upstream::Media,
    judged: Fingerprints,
    refused: Refused,
    tried: Tried,
    languages: Languages,
    seen: place::Seen,
    flows: Flows,
    tasks: Tasks,
}

/// What a reload swaps.
#[derive(Debug)]
struct Current {
    settings: Settings,
    throttle: Option<Throttle>,
}

/// What a [`Proxy`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where requests go.
    pub node: Node,
    /// How they are judged.
    pub settings: Settings,
    /// Who is let in.
    pub gate: Gate,
    /// Who counts.
    pub telemetry: Telemetry,
    /// Sends whole requests.
    pub client: hop::Client,
    /// Runs what outlives a request.
    pub tasks: Tasks,
}

// === impl Node ===

impl Node {
    /// Prepares a server; until [`Proxy::learn`], everything that any version accepts is recognised.
    pub fn new(settings: &upstream::Settings, api: Api) -> Self {
        let dialect = Dialect {
            base_url: settings.base_url.clone(),
            ..Dialect::default()
        };
        Self {
            id: settings.node.clone(),
            origin: settings.origin.clone(),
            api,
            dialect: ArcSwap::from_pointee(dialect),
            encoding: ArcSwap::from_pointee(Encoding::dearest()),
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// Puts it together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            node,
            settings,
            gate,
            telemetry,
            client,
            tasks,
        } = parts;
        Self {
            node,
            current: ArcSwap::from_pointee(Current::new(settings)),
            gate,
            telemetry,
            client,
            identities: Identities::default(),
            media: upstream::Media::default(),
            judged: Fingerprints::default(),
            refused: Refused::default(),
            tried: Tried::default(),
            languages: Languages::default(),
            seen: place::Seen::default(),
            flows: Flows::default(),
            tasks,
        }
    }

    /// Swaps what a reload may change.
    pub fn set_settings(&self, settings: Settings) {
        self.tried.forget();
        self.current.store(Arc::new(Current::new(settings)));
    }

    /// The server has said its version, how it reads tokens, and how it encodes.
    pub fn learn(&self, dialect: Dialect, encoding: Encoding) {
        self.node.dialect.store(Arc::new(dialect));
        self.node.encoding.store(Arc::new(encoding));
    }

    /// What the viewer of a stream is told of its end, in the language that his device asked in last. `None`: nothing.
    pub fn notice_of(&self, end: &EndJob) -> Option<String> {
        let (notice, grace) = match end.ending {
            Ending::Announce(grace) => (Notice::Preempted, grace),
            Ending::Spare => (Notice::Spared, Duration::ZERO),
            Ending::Job | Ending::Player => return None,
        };
        let current = self.current.load();
        let language = self.languages.of(&end.device);
        let texts = current
            .settings
            .messages
            .then_some(&current.settings.texts)?;
        let text = texts.notice(language.as_deref(), notice)?;
        Some(text.replace("{seconds}", &grace.as_secs().max(1).to_string()))
    }

    /// How the server encodes, as far as it has said.
    pub fn encoding(&self) -> Encoding {
        self.node.encoding.load().as_ref().clone()
    }

    fn forward(&self, served: Served) -> Forward {
        Forward {
            origin: self.node.origin.clone(),
            // Its place in `Served::ALL`, by which `done` finds it again.
            kind: served as u8,
            finish: false,
            meter: None,
            on_done: None,
        }
    }

    /// Sends a request on that is read whole. `Err`: Jellyfin failed, which is counted, and that is the answer.
    async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Exchanged, Response<Body>> {
        let exchange = self.client.exchange(&self.node.origin, request, limit);
        exchange.await.map_err(|failure| {
            self.telemetry
                .upstream_failure(&self.node.id, failure.as_str());
            refusal::failure(&failure)
        })
    }

    /// What a request claims of its sender. Where the server, as far as it has said, would see no token, one in any
    /// place that some server reads counts: it may have been set to read it, and must not be a way round.
    fn claims(&self, headers: &HeaderMap, query: Option<&str>) -> Credentials {
        let dialect = self.node.dialect.load();
        let strict = credentials(headers, query, &dialect);
        if strict.token.is_some() || dialect.legacy_auth {
            return strict;
        }
        let any = Dialect {
            legacy_auth: true,
            ..Dialect::clone(&dialect)
        };
        credentials(headers, query, &any)
    }

    /// Whose the token is. `None`: there is no token, or Jellyfin could not be asked (which is counted).
    async fn verify(&self, claims: &Credentials) -> Option<Verified> {
        let token = claims.token.as_ref()?;
        match self.identities.verify(&self.node.api, token).await {
            Ok(verified) => Some(verified),
            Err(error) => {
                // The warning, held to a line in ten seconds, is the counter's.
                tracing::debug!(node = %self.node.id, %error, "could not find out whose token this is");
                self.telemetry.fail_open(FailOpen::Identity);
                None
            }
        }
    }

    /// Throttles, then asks the gate.
    async fn enter(&self, mut demand: Demand) -> Outcome {
        let current = self.current.load_full();
        if let (Kind::Video(_), Some(throttle), Some(starts)) =
            (&demand.kind, &current.throttle, &current.settings.starts)
            && !self.gate.replaces(&demand)
            && let Err(wait) = throttle.start(&demand.who.user)
        {
            if self.gate.policy().mode == Mode::Enforce && starts.mode == Mode::Enforce {
                return self.gate.refuse(&demand, Reason::StartRate, wait);
            }
            demand.would = Some(Reason::StartRate);
        }
        self.gate.enter(demand).await
    }

    fn patience(&self, client: Client) -> Duration {
        self.current
            .load()
            .settings
            .patience
            .get(client.as_str())
            .copied()
            .unwrap_or_else(|| client.patience())
    }

    /// The library of an item, if a rule asks for it.
    async fn library(&self, item: &crate::ident::ItemId) -> Option<Arc<str>> {
        if self.gate.policy().libraries.is_empty() {
            None
        } else {
            self.media.library(&self.node.api, item).await
        }
    }
}

impl Current {
    fn new(settings: Settings) -> Self {
        let throttle = settings
            .starts
            .map(|starts| Throttle::new(starts.per_minute, starts.burst));
        Self { settings, throttle }
    }
}

impl Handler for Proxy {
    fn step(&self, head: &Head<'_>) -> Step {
        let dialect = self.node.dialect.load();
        let routed = match classify(head.method, head.target, &dialect) {
            Ok(routed) => routed,
            Err(why) => return Step::Answer(refusal::unreadable(&why.to_string())),
        };
        match &routed.route {
            Route::PlaybackInfo { post: true, .. } => Step::Take {
                limit: self.current.load().settings.max_request,
                // A PlaybackInfo starts no FFmpeg: what can't be read passes, and is decided at the stream.
                overflow: Some(self.forward(Served::PlaybackInfo)),
                finish: false,
            },
            Route::PlaybackInfo { post: false, .. } | Route::OpenLiveStream => {
                Step::Forward(self.forward(Served::PlaybackInfo))
            }
            Route::Master { .. }
            | Route::LivePlaylist { .. }
            | Route::Universal { head: false, .. } => Step::Decide,
            Route::Main { .. } => {
                stream::touch_playlist(self, routed.query);
                Step::Forward(self.forward(Served::Playlist))
            }
            Route::Segment { media, item, index } => {
                stream::segment(self, *media, item, *index, routed.query)
            }
            Route::LiveSegment { .. } => Step::Forward(self.forward(Served::Segment)),
            Route::Progressive { head: true, .. } | Route::Universal { head: true, .. } => {
                Step::Forward(self.forward(Served::Stream))
            }
            Route::Progressive {
                media,
                item,
                head: false,
                ..
            } => stream::progressive(
                self,
                *media,
                item,
                routed.starts_ffmpeg(),
                routed.query,
                head.peer,
            ),
            Route::Report(Report::Ping) => {
                report::ping(self, routed.query);
                Step::Forward(self.finished(Served::Report))
            }
            Route::Report(Report::Start | Report::Progress | Report::Stopped) => Step::Take {
                limit: self.current.load().settings.max_request,
                overflow: Some(self.finished(Served::Report)),
                finish: true,
            },
            Route::StopEncoding => Step::Take {
                limit: self.current.load().settings.max_request,
                overflow: Some(self.finished(Served::Report)),
                finish: true,
            },
            Route::Socket => Step::Forward(self.forward(Served::Socket)),
            Route::Health => Step::Forward(self.forward(Served::Health)),
            // Whose bytes they are is found out on the longer way.
            Route::Download { .. } if self.counts_bytes() => Step::Decide,
            Route::Download { .. } => Step::Forward(self.forward_file(head.peer, None, true)),
            Route::Login | Route::BitrateTest => Step::Forward(self.forward(Served::Other)),
            Route::Other => match self.own_file(head.method, head.target) {
                Some(file) => file.fixed().map_or(Step::Decide, Step::Answer),
                None => Step::Forward(self.forward(Served::Other)),
            },
        }
    }

    async fn decide(self: Arc<Self>, request: Request<()>, peer: Peer) -> Verdict {
        let target = request.uri().path_and_query().map_or("", |p| p.as_str());
        if self.own_file(request.method().as_str(), target).is_some() {
            return place::tell(&self, &request).await;
        }
        stream::decide(&self, request, &peer).await
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        let dialect = self.node.dialect.load_full();
        let target = request
            .uri()
            .path_and_query()
            .map_or_else(|| request.uri().path(), |p| p.as_str())
            .to_owned();
        match classify(request.method().as_str(), &target, &dialect).map(|routed| routed.route) {
            Ok(Route::PlaybackInfo { item, .. }) => {
                playback::answer(&self, &item, request, &peer).await
            }
            Ok(Route::Report(report)) => report::answer(&self, Some(report), request).await,
            Ok(_) => report::answer(&self, None, request).await,
            Err(why) => refusal::unreadable(&why.to_string()),
        }
    }

    fn failed(&self, failure: &Failure) -> Response<Body> {
        refusal::failure(failure)
    }

    fn done(&self, done: &Done) {
        let served = Served::ALL
            .get(usize::from(done.kind))
            .copied()
            .unwrap_or(Served::Other);
        self.telemetry
            .request(served, done.status, done.first_byte, done.bytes);
        match &done.end {
            End::Upstream(failure) => self
                .telemetry
                .upstream_failure(&self.node.id, failure.as_str()),
            End::Complete | End::ClientLeft => {}
        }
    }
}

impl Proxy {
    /// The file of the viewer's page that a request names, if there is such a page.
    fn own_file(&self, method: &str, target: &str) -> Option<place::File> {
        let base_url = &self.node.dialect.load().base_url;
        place::File::named(method, target, base_url)
            .filter(|_| self.current.load().settings.viewer_page)
    }

    /// A report is finished upstream even if its client hangs up: a closing tab does, within 10 ms.
    fn finished(&self, served: Served) -> Forward {
        Forward {
            finish: true,
            ..self.forward(served)
        }
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
