//! Playlists, segments and progressive streams: recognised, confirmed, or decided late.
//!
//! A segment whose address was judged before costs one look-up and one touch. Everything else is decided here:
//! a player that skipped PlaybackInfo, a URL that was edited, the first request after a restart.

mod smaller;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};

use super::{Proxy, Refusal, charge::Payer, header_text, refusal};
use crate::{
    admission::{Activity, Bitrate, Covered, Demand, Kind, Origin, Reason, Rung, Why},
    demand,
    gate::Outcome,
    hop::{Exchanged, Forward, Peer, Step, Verdict},
    ident::{ItemId, PlaySessionId},
    jellyfin::{
        Client, Credentials, Media, Plan, Query, Route, Source, Starts, StreamQuery, UserPolicy,
        classify, strip_encoding_variants,
    },
    telemetry::{FailOpen, Served},
    upstream::Verified,
};

/// A master playlist of an unknown session may be held this long: Android's player waits 8 s.
const HOLD_PLAYLIST: Duration = Duration::from_secs(7);
/// Most bytes of a master playlist that are read to take variants out of it.
const MAX_PLAYLIST: usize = 1 << 20;

/// A request for media, taken apart.
struct Asked<'a> {
    wish: Wish,
    media: Media,
    item: ItemId,
    query: &'a str,
    stream: StreamQuery,
    session: PlaySessionId,
    /// The address alone says what Jellyfin does, whoever asks.
    lasting: bool,
}

/// What is asked for, as far as it is judged differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// `master.m3u8`: starts nothing, but lists what does.
    Master,
    /// `live.m3u8`.
    Live,
    /// A segment or init file.
    Segment {
        /// Its number.
        index: i64,
    },
    /// A progressive stream, which needs no login.
    Stream,
    /// Audio that the server decides about; needs a login.
    Universal,
}

/// A playlist shows intent.
pub(super) fn touch_playlist(proxy: &Proxy, query: Option<&str>) {
    if let Some(session) = session_in(query) {
        proxy.gate.touch(&session, Activity::Playlist);
    }
}

/// A segment of a judged address passes at once; any other is decided.
pub(super) fn segment(
    proxy: &Proxy,
    media: Media,
    item: &ItemId,
    index: i64,
    query: Option<&str>,
) -> Step {
    let known = session_in(query).and_then(|session| {
        let fingerprint = proxy
            .judged
            .of(media, item.as_str(), query.unwrap_or_default());
        let kind = proxy.judged.judged(&session, fingerprint)?;
        match proxy
            .gate
            .confirm(&session, &kind, Activity::Segment { index })
        {
            Covered::Yes(_) => Some(()),
            Covered::Dearer(_) | Covered::Unknown => None,
        }
    });
    match known {
        Some(()) => {
            let forward = proxy.forward(Served::Segment);
            Step::Forward(proxy.charged(forward, || Payer::of_session(session_in(query))))
        }
        None => Step::Decide,
    }
}

/// A static file passes, unless it is a disc folder; anything else is decided.
pub(super) fn progressive(
    proxy: &Proxy,
    media: Media,
    item: &ItemId,
    starts: Starts,
    query: Option<&str>,
    peer: &Peer,
) -> Step {
    let stream = StreamQuery::read(&Query::parse(query.unwrap_or_default()), media);
    let source = stream.source.as_ref().unwrap_or(item);
    let is_file = match proxy.media.is_disc(source) {
        Some(is_disc) => !is_disc,
        // It is looked up once, if it can be.
        None => !proxy.node.api.has_key(),
    };
    // Whose bytes they are is found out on the longer way.
    if starts == Starts::Static && is_file && !proxy.counts_bytes() {
        return Step::Forward(proxy.forward_file(peer, stream.device.as_ref(), false));
    }
    Step::Decide
}

/// Decides about a request that starts FFmpeg, or whose answer lists such requests.
pub(super) async fn decide(proxy: &Arc<Proxy>, request: Request<()>, peer: &Peer) -> Verdict {
    let target = request
        .uri()
        .path_and_query()
        .map_or_else(|| request.uri().path(), |p| p.as_str())
        .to_owned();
    let dialect = proxy.node.dialect.load_full();
    let (route, query, starts) = match classify(request.method().as_str(), &target, &dialect) {
        Ok(routed) => {
            let starts = routed.starts_ffmpeg();
            (routed.route, routed.query.unwrap_or_default(), starts)
        }
        Err(why) => return Verdict::Answer(refusal::unreadable(&why.to_string())),
    };
    let claims = proxy.claims(request.headers(), Some(query));
    if matches!(route, Route::Download { .. }) {
        return proxy.download(&claims, peer).await;
    }
    let Some(mut asked) = Asked::new(&route, query, &claims, peer) else {
        return Verdict::Forward(proxy.forward(Served::Other));
    };
    // A file only where nothing in the query could be read otherwise.
    asked.stream.is_static &= starts == Starts::Static;

    let source = proxy
        .media
        .source(
            &proxy.node.api,
            &asked.item,
            asked.stream.source.as_ref(),
            asked.stream.live_stream.as_deref(),
        )
        .await;
    let verified = proxy.verify(&claims).await;
    let policy = verified.as_ref().map(Verified::policy).unwrap_or_default();
    // Who may not transcode is given a copy; the next who asks for the same address may be given an encode.
    asked.lasting = policy == UserPolicy::default();
    let plan = Plan::of_stream(
        &asked.stream,
        asked.media,
        asked.wish.is_progressive(),
        source.as_deref(),
        &proxy.node.encoding.load(),
        policy,
    );
    let payer = || Payer {
        user: demand::who(verified.as_ref(), &claims, None, None).user,
        session: asked.stream.session.clone(),
    };
    if plan == Plan::Direct {
        let device = asked.stream.device.as_ref().or(claims.device.as_ref());
        let forward = proxy.forward_file(peer, device, false);
        return Verdict::Forward(proxy.charged(forward, payer));
    }
    let kind = demand::kind_of(&plan);
    if source.is_none() && matches!(kind, Kind::Video(_)) {
        proxy.telemetry.fail_open(FailOpen::Source);
    }

    let rate = demand::rate_of(&plan, source.as_deref(), asked.stream.audio_bitrate);
    let steps = match &source {
        Some(source) if asked.wish == Wish::Master => {
            let uplink = &proxy.gate.policy().uplink;
            let slim = uplink.limit.is_some() && uplink.carries(peer.address);
            smaller::steps(proxy, source, &target, (&kind, rate), slim, policy)
        }
        Some(_) | None => smaller::Steps::default(),
    };
    if asked.is_covered(proxy, &kind) {
        return match steps.under(proxy, &asked.session, &kind) {
            Some(smaller) => smaller::master(proxy, smaller, request).await,
            None => asked.pass(proxy, kind, request, payer).await,
        };
    }
    let who = (verified.as_ref(), &claims);
    let rungs = steps.rungs.clone();
    let why = asked.why(proxy, source.as_deref(), &plan);
    match admit(
        proxy,
        &asked,
        who,
        (kind, rate, rungs, why),
        peer,
        request.headers(),
    )
    .await
    {
        Ok(None) => asked.pass(proxy, kind, request, payer).await,
        Ok(Some(rung)) => match steps.nth(rung) {
            Some(smaller) => smaller::master(proxy, smaller, request).await,
            None => asked.pass(proxy, kind, request, payer).await,
        },
        Err(refused) => refused,
    }
}

/// Asks the gate. `Some`: only this smaller form of it was let in.
async fn admit(
    proxy: &Arc<Proxy>,
    asked: &Asked<'_>,
    (verified, claims): (Option<&Verified>, &Credentials),
    (kind, rate, rungs, why): (Kind, Bitrate, Vec<Rung>, Arc<Why>),
    peer: &Peer,
    headers: &http::HeaderMap,
) -> Result<Option<usize>, Verdict> {
    let stranger = match verified {
        Some(Verified::User(_) | Verified::ApiKey) => false,
        Some(Verified::Refused) => true,
        // A token that could not be checked is not the same as none.
        None => claims.token.is_none(),
    };
    if stranger && asked.wish != Wish::Stream {
        // Jellyfin wants a login here and answers 401 itself; nothing starts.
        return Err(Verdict::Forward(proxy.forward(asked.wish.served())));
    }
    let client = Client::of(
        claims.client.as_deref(),
        header_text(headers, &header::USER_AGENT),
    );
    let demand = Demand {
        who: demand::who(verified, claims, asked.stream.device.as_ref(), peer.address),
        item: asked.item.clone(),
        session: Some(asked.session.clone()),
        node: proxy.node.id.clone(),
        kind,
        origin: asked.wish.origin(),
        library: proxy.library(&asked.item).await,
        rate,
        rungs,
        would: None,
        patience: if asked.wish == Wish::Master {
            HOLD_PLAYLIST
        } else {
            Duration::ZERO
        },
        replaces: false,
        why: Some(why),
    };
    let asking = demand.who.clone();
    let refuse = |reason: Reason, retry_after: Duration| {
        let quota = proxy.used_up(reason, &asking, &kind);
        let language = header_text(headers, &header::ACCEPT_LANGUAGE);
        let refusal = Refusal {
            reason,
            retry_after,
            client,
            language,
            quota: quota.as_ref(),
        };
        Verdict::Answer(refusal.http(&proxy.current.load().settings))
    };
    match proxy.enter(demand).await {
        Outcome::Admitted(reservation) => {
            reservation.bind(Some(&asked.session));
            // A playlist only shows intent; what starts FFmpeg makes the lease active.
            asked.is_covered(proxy, &kind);
            Ok(None)
        }
        // Only a playlist is offered in smaller forms.
        Outcome::Downgraded { reservation, rung } => {
            reservation.bind(Some(&asked.session));
            proxy.gate.touch(&asked.session, Activity::Playlist);
            Ok(Some(rung))
        }
        Outcome::Rejected {
            reason,
            retry_after,
        } => Err(refuse(reason, retry_after)),
    }
}

// === impl Wish ===

impl Wish {
    fn activity(self) -> Activity {
        match self {
            Self::Master => Activity::Playlist,
            Self::Live => Activity::Segment { index: 0 },
            Self::Segment { index } => Activity::Segment { index },
            Self::Stream | Self::Universal => Activity::Stream,
        }
    }

    /// A playlist starts nothing; a segment in mid-film may belong to a job that runs since before a restart.
    fn origin(self) -> Origin {
        match self {
            Self::Master => Origin::Negotiation,
            Self::Segment { index } if index > 0 => Origin::Running,
            Self::Segment { .. } | Self::Live | Self::Stream | Self::Universal => Origin::Stream,
        }
    }

    fn served(self) -> Served {
        match self {
            Self::Master | Self::Live => Served::Playlist,
            Self::Segment { .. } => Served::Segment,
            Self::Stream | Self::Universal => Served::Stream,
        }
    }

    fn is_progressive(self) -> bool {
        match self {
            Self::Stream | Self::Universal => true,
            Self::Master | Self::Live | Self::Segment { .. } => false,
        }
    }

    /// What a route asks for. `None`: nothing that is decided here.
    fn of(route: &Route) -> Option<(Self, Media, &ItemId)> {
        match route {
            Route::Master { media, item } => Some((Self::Master, *media, item)),
            Route::LivePlaylist { item } => Some((Self::Live, Media::Video, item)),
            Route::Segment { media, item, index } => {
                Some((Self::Segment { index: *index }, *media, item))
            }
            Route::Progressive { media, item, .. } => Some((Self::Stream, *media, item)),
            Route::Universal { item, .. } => Some((Self::Universal, Media::Audio, item)),
            Route::PlaybackInfo { .. }
            | Route::OpenLiveStream
            | Route::Main { .. }
            | Route::LiveSegment { .. }
            | Route::Download { .. }
            | Route::Report(_)
            | Route::StopEncoding
            | Route::Login
            | Route::BitrateTest
            | Route::Socket
            | Route::Health
            | Route::Other => None,
        }
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn new(route: &Route, query: &'a str, claims: &Credentials, peer: &Peer) -> Option<Self> {
        let (wish, media, item) = Wish::of(route)?;
        let stream = StreamQuery::read(&Query::parse(query), media);
        let session = stream
            .session
            .clone()
            .unwrap_or_else(|| stand_in(item, claims, &stream, peer));
        Some(Self {
            wish,
            media,
            item: item.clone(),
            query,
            stream,
            session,
            lasting: true,
        })
    }

    /// Why it is not the file as it is.
    fn why(&self, proxy: &Proxy, source: Option<&Source>, plan: &Plan) -> Arc<Why> {
        let asked = demand::Asked {
            query: &self.stream,
            progressive: self.wish.is_progressive(),
            ceiling: None,
        };
        let id = self.stream.source.clone();
        demand::why(asked, id, source, plan, &proxy.node.encoding.load())
    }

    /// Whether the session's lease covers this; if it does, the sign of life is noted.
    fn is_covered(&self, proxy: &Proxy, kind: &Kind) -> bool {
        // One session is no pass for another film.
        if !proxy.gate.is_about(&self.session, &self.item) {
            return false;
        }
        if self.wish == Wish::Master {
            // A playlist is covered by any lease of its session: what it lists is judged by itself.
            return proxy.gate.touch(&self.session, Activity::Playlist);
        }
        match proxy
            .gate
            .confirm(&self.session, kind, self.wish.activity())
        {
            Covered::Yes(_) => true,
            Covered::Dearer(_) | Covered::Unknown => false,
        }
    }

    async fn pass(
        &self,
        proxy: &Arc<Proxy>,
        kind: Kind,
        request: Request<()>,
        payer: impl Fn() -> Payer,
    ) -> Verdict {
        let forward = proxy.forward(self.wish.served());
        match self.wish {
            Wish::Master if kind == Kind::Remux => self.copied_master(proxy, request).await,
            Wish::Master | Wish::Live => Verdict::Forward(forward),
            Wish::Segment { .. } => {
                let fingerprint = proxy.judged.of(self.media, self.item.as_str(), self.query);
                if self.lasting {
                    proxy.judged.learn(&self.session, fingerprint, kind);
                }
                Verdict::Forward(proxy.charged(forward, payer))
            }
            Wish::Stream | Wish::Universal => {
                let (gate, session) = (proxy.gate.clone(), self.session.clone());
                let ended = move |_: &crate::hop::Done| {
                    gate.touch(&session, Activity::StreamEnded);
                };
                let forward = Forward {
                    on_done: Some(Box::new(ended)),
                    ..forward
                };
                Verdict::Forward(proxy.charged(forward, payer))
            }
        }
    }

    /// The master playlist of a copy may list variants that encode: they are taken out.
    async fn copied_master(&self, proxy: &Arc<Proxy>, request: Request<()>) -> Verdict {
        let (mut parts, ()) = request.into_parts();
        // Compressed, it can't be read.
        parts.headers.remove(header::ACCEPT_ENCODING);
        let request = Request::from_parts(parts, ());
        playlist(proxy, request, strip_encoding_variants).await
    }
}

/// Answers with a playlist of Jellyfin's. `edit`: what it becomes, if it does not go on as it is.
async fn playlist(
    proxy: &Proxy,
    request: Request<()>,
    edit: impl FnOnce(&[u8]) -> Option<Bytes>,
) -> Verdict {
    let request = request.map(|()| Bytes::new());
    Verdict::Answer(match proxy.exchange(request, MAX_PLAYLIST).await {
        Ok(Exchanged::Whole(response)) => {
            let (mut parts, body) = response.into_parts();
            let edited = edit(&body);
            if edited.is_some() {
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            http::Response::from_parts(parts, refusal::whole(edited.unwrap_or(body)))
        }
        Ok(Exchanged::Long(response)) => response,
        Err(failed) => failed,
    })
}

fn session_in(query: Option<&str>) -> Option<PlaySessionId> {
    Query::parse(query?)
        .value("PlaySessionId")
        .map(PlaySessionId::new)
}

/// A stream without a PlaySessionId is tracked by who reads what: Jellyfin itself then goes by the device.
fn stand_in(
    item: &ItemId,
    claims: &Credentials,
    stream: &StreamQuery,
    peer: &Peer,
) -> PlaySessionId {
    let device = stream
        .device
        .as_ref()
        .or(claims.device.as_ref())
        .map(|d| d.as_str().to_owned());
    let reader = device
        .or_else(|| peer.address.map(|a| a.to_string()))
        .unwrap_or_default();
    PlaySessionId::new(format!("~{reader}/{item}"))
}
