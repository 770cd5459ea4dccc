//! The listening side: accepts, reads a request, finds its route, answers like Kestrel.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::{
    Inner, Seen, Stop,
    auth::{self, Client, Who},
    ids, play, progressive,
    reply::{self, Reply},
    request::Ask,
    route::{self, Found, Need, Play, Route},
    sessions::Report,
    socket, system,
    world::{User, World},
};

/// The largest body a request may have: Kestrel's own limit.
const LARGEST_BODY: usize = 30_000_000;

/// Accepts until it is told to stop.
pub(super) async fn run(inner: Arc<Inner>, listener: TcpListener) {
    let mut stop = inner.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| stop.is_some()) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let own = Arc::clone(&inner);
                inner
                    .tasks
                    .spawn(async move { connection(own, stream).await });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(inner: Arc<Inner>, stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stop = inner.stop.subscribe();
    let own = Arc::clone(&inner);
    let service = service_fn(move |request| {
        let inner = Arc::clone(&own);
        async move { Ok::<_, Infallible>(answer(&inner, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let told = tokio::select! {
        _ended = serving.as_mut() => return,
        stop = stop.wait_for(|stop| stop.is_some()) => stop.ok().and_then(|stop| *stop),
    };
    if told == Some(Stop::Gently) {
        serving.as_mut().graceful_shutdown();
        let _ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
    }
}

async fn answer(inner: &Arc<Inner>, mut request: Request<Incoming>) -> Reply {
    let began = crate::clock::now();
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .filter(|_| is_websocket(&request));
    let (parts, body) = request.into_parts();
    let mut ask = Ask::read(parts.method, &parts.uri, parts.headers, inner.version);
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => ask.body = body.to_bytes().to_vec(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return reply::empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(_) => return reply::empty(StatusCode::BAD_REQUEST),
    }
    let (mut reply, name) = respond(inner, &ask, upgrade).await;
    record(inner, &ask, &reply, name);
    dress(&ask, &mut reply, began);
    if ask.method == Method::HEAD {
        headless(&mut reply);
    }
    reply
}

fn is_websocket(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get(header::UPGRADE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
}

/// What every answer carries.
fn dress(ask: &Ask, reply: &mut Reply, began: std::time::Instant) {
    let took = (crate::clock::now() - began).as_secs_f64() * 1000.0;
    reply::set(reply, header::SERVER, "Kestrel");
    if let Ok(name) = http::HeaderName::from_bytes(b"X-Response-Time-ms") {
        reply::set(reply, name, &format!("{took:.4}"));
    }
    if reply.headers().contains_key(header::CONTENT_TYPE) {
        reply::set(reply, header::CONTENT_LANGUAGE, "en-US");
    }
    if ask.headers.contains_key(header::ORIGIN) {
        reply::set(reply, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
}

/// The head of an answer alone.
fn headless(reply: &mut Reply) {
    let size = http_body::Body::size_hint(reply.body()).exact();
    if let Some(size) = size.filter(|n| *n > 0) {
        reply::set(reply, header::CONTENT_LENGTH, &size.to_string());
    }
    *reply.body_mut() = Body::empty();
}

fn record(inner: &Inner, ask: &Ask, reply: &Reply, route: Option<Route>) {
    let pairs: Vec<String> = ask
        .raw_query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _))
                if key.eq_ignore_ascii_case("ApiKey") || key.eq_ignore_ascii_case("api_key") =>
            {
                format!("{key}=..")
            }
            Some(_) | None => pair.to_owned(),
        })
        .collect();
    let path = format!("/{}", ask.parts.join("/"));
    let target = match pairs.join("&") {
        query if query.is_empty() => path.clone(),
        query => format!("{path}?{query}"),
    };
    let mut world = inner.world();
    let status = reply.status().as_u16();
    if matches!(status, 400 | 405 | 500) || route.is_none() {
        world.fault(format!("{} {path}: {status}", ask.method));
    }
    let at = world.now;
    world.note(Seen {
        method: ask.method.to_string(),
        target,
        route: route_name(route),
        status,
        at: Duration::from_secs_f64(at),
    });
}

fn route_name(route: Option<Route>) -> String {
    match route {
        Some(Route::Play(what)) => format!("{what:?}"),
        Some(route) => format!("{route:?}"),
        None => "Unknown".to_owned(),
    }
}

async fn respond(
    inner: &Arc<Inner>,
    ask: &Ask,
    upgrade: Option<OnUpgrade>,
) -> (Reply, Option<Route>) {
    if let Some(reply) = starting(inner, ask) {
        return (reply, Some(Route::Health));
    }
    let client = auth::client(&ask.headers, &ask.query, inner.version);
    let who = inner.world().who(client.clone());
    if upgrade.is_some() {
        let reply = if who.is_known() {
            socket::accept(inner, ask, &who, upgrade)
        } else {
            reply::error(StatusCode::FORBIDDEN)
        };
        return (reply, Some(Route::Socket));
    }
    let preflight = ask.method == Method::OPTIONS
        && ask.headers.contains_key(header::ORIGIN)
        && ask
            .headers
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    match route::find(ask) {
        _ if preflight => (allow_origin(ask), Some(Route::Root)),
        Found::Unknown => (reply::empty(StatusCode::NOT_FOUND), None),
        Found::OtherMethod => (reply::empty(StatusCode::METHOD_NOT_ALLOWED), None),
        Found::Route(route, need) => match refused(inner, &who, need) {
            Some(refused) => (refused, Some(route)),
            None => (serve(inner, ask, &who, &client, route).await, Some(route)),
        },
    }
}

fn refused(inner: &Inner, who: &Who, need: Need) -> Option<Reply> {
    let admin = match who {
        Who::Key { .. } => true,
        Who::Nobody => false,
        Who::User { user, .. } => inner.world().user(user).is_some_and(User::is_admin),
    };
    match need {
        Need::Nothing => None,
        Need::Token | Need::Admin if !who.is_known() => {
            Some(reply::empty(StatusCode::UNAUTHORIZED))
        }
        Need::Admin if !admin => Some(reply::empty(StatusCode::FORBIDDEN)),
        Need::Token | Need::Admin => None,
    }
}

fn allow_origin(ask: &Ask) -> Reply {
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    let pairs = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "access-control-request-method",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "access-control-request-headers",
        ),
    ];
    for (name, asked) in pairs {
        if let Some(value) = ask.header(asked) {
            reply::set(&mut reply, name, value);
        }
    }
    reply
}

/// While the server starts, a small one answers in its place.
fn starting(inner: &Inner, ask: &Ask) -> Option<Reply> {
    let startup = inner.startup?;
    let now = inner.world().now;
    let degraded = startup.degraded.as_secs_f64();
    let health = ask.route() == ["health"];
    if now < degraded {
        return Some(if health {
            reply::text(StatusCode::OK, "text/plain", "Degraded")
        } else {
            reply::empty(StatusCode::SERVICE_UNAVAILABLE)
        });
    }
    let loading = now < degraded + startup.loading.as_secs_f64();
    loading.then(|| {
        let text = "Jellyfin Server is loading. Please try again shortly.";
        reply::text(StatusCode::SERVICE_UNAVAILABLE, "text/html", text)
    })
}

fn health() -> Reply {
    let mut reply = reply::text(StatusCode::OK, "text/plain", "Healthy");
    reply::set(&mut reply, header::CACHE_CONTROL, "no-store, no-cache");
    reply::set(&mut reply, header::PRAGMA, "no-cache");
    reply
}

fn moved(to: &str) -> Reply {
    let mut reply = reply::empty(StatusCode::FOUND);
    reply::set(&mut reply, header::LOCATION, to);
    reply
}

async fn serve(inner: &Arc<Inner>, ask: &Ask, who: &Who, client: &Client, route: Route) -> Reply {
    let part = |at: usize| ask.parts.get(at).map_or("", String::as_str);
    if let Route::Play(what) = route {
        return match what {
            Play::Segment => play::segment(inner, ask, who).await,
            Play::Live => play::live(inner, ask, who).await,
            Play::Stream => progressive::stream(inner, ask, who),
            Play::Universal => progressive::universal(inner, ask, who),
            Play::Master => play::master(inner, ask, who),
            Play::Main => play::main(inner, ask, who),
            Play::LiveSegment => play::live_segment(inner, ask),
            Play::Download => progressive::download(inner, ask),
        };
    }
    let mut world = inner.world();
    let with_id = |at: usize, name: &str| {
        let id = part(at);
        ids::guid(id).ok_or_else(|| {
            let why = format!("The value '{id}' is not valid.");
            Box::new(reply::invalid(name, &why))
        })
    };
    match route {
        Route::Root => moved("web/"),
        Route::Health => health(),
        Route::Ping => reply::json(&json!("Jellyfin Server")),
        Route::PublicInfo => world.fixture("public"),
        Route::Info => world.fixture("info"),
        Route::Storage => world.storage(),
        Route::Configuration | Route::NamedConfiguration | Route::DisplayPreferences
            if ask.method == Method::POST =>
        {
            reply::empty(StatusCode::NO_CONTENT)
        }
        Route::Configuration => world.configuration(None),
        Route::NamedConfiguration => {
            let name = part(2).to_ascii_lowercase();
            world.configuration(Some(&name))
        }
        Route::DisplayPreferences => reply::json(&json!({"Id": part(1), "CustomPrefs": {}})),
        Route::Endpoint => reply::json(&json!({"IsLocal": true, "IsInNetwork": true})),
        Route::Branding => reply::json(&json!({"SplashscreenEnabled": false})),
        Route::BrandingCss => reply::text(StatusCode::OK, "text/css", ""),
        Route::UtcTime => {
            let now = world.date(world.now);
            reply::json(&json!({"RequestReceptionTime": now, "ResponseTransmissionTime": now}))
        }
        Route::QuickConnect => reply::json(&json!(false)),
        Route::Web => moved("index.html"),
        Route::Page => system::page(),
        Route::Socket | Route::OldPlaylist | Route::LiveFile => reply::empty(StatusCode::NOT_FOUND),
        Route::Users => world.list_users(),
        Route::PublicUsers => reply::json(&json!([])),
        Route::Me => world.me(who),
        Route::NewUser => world.new_user(ask),
        Route::Authenticate => world.authenticate(ask, client),
        Route::User => world.user_route(ask, part(1), false),
        Route::UserPolicy => world.user_route(ask, part(1), true),
        Route::Items | Route::UserItems => world.list_items(ask, who),
        Route::Item => match with_id(1, "itemId") {
            Ok(id) => world.one_item(ask, who, &id),
            Err(refused) => *refused,
        },
        Route::UserItem => match with_id(3, "itemId") {
            Ok(id) => world.one_item(ask, who, &id),
            Err(refused) => *refused,
        },
        Route::PlaybackInfo => match with_id(1, "itemId") {
            Ok(id) => world.playback_info(ask, who, &id),
            Err(refused) => *refused,
        },
        Route::Ancestors => match with_id(1, "itemId") {
            Ok(id) => world.ancestors(&id),
            Err(refused) => *refused,
        },
        Route::VirtualFolders => world.folders(true),
        Route::MediaFolders | Route::Views => world.folders(false),
        Route::Channels => world.channels(),
        Route::OpenLive => world.open_live(ask, who),
        Route::CloseLive => close_live(&mut world, ask),
        Route::Image | Route::Trickplay => play::image(),
        Route::Subtitles => play::subtitles(ask, inner.version),
        Route::ActiveEncodings => stop_encodings(&mut world, ask),
        Route::Sessions => world.list_sessions(ask, who),
        Route::Playing => world.report(ask, who, Report::Start),
        Route::Progress => world.report(ask, who, Report::Progress),
        Route::Stopped => world.report(ask, who, Report::Stopped),
        Route::SessionPing => ping(&mut world, ask),
        Route::Capabilities => capabilities(&mut world, ask, who),
        Route::Logout => {
            world
                .logins
                .retain(|l| Some(l.token.as_str()) != who.token());
            reply::empty(StatusCode::NO_CONTENT)
        }
        Route::Message => message(&mut world, ask, part(1)),
        Route::Command => command(&mut world, ask, part(1), part(3)),
        Route::Keys => world.keys(ask),
        Route::Devices => world.devices(),
        Route::BitrateTest => system::bitrate_test(ask),
        Route::Play(_) => reply::empty(StatusCode::NOT_FOUND),
    }
}

/// `DELETE /Videos/ActiveEncodings`: both ids are needed, and only the session is looked at.
fn stop_encodings(world: &mut World, ask: &Ask) -> Reply {
    for name in ["deviceId", "playSessionId"] {
        if ask.query.get(name).is_none() {
            return reply::invalid(name, &format!("The {name} field is required."));
        }
    }
    world.kill_all(ask.query.get("playSessionId"), None);
    reply::empty(StatusCode::NO_CONTENT)
}

fn ping(world: &mut World, ask: &Ask) -> Reply {
    match ask.query.get("playSessionId") {
        Some(play_session) => {
            world.sign(play_session);
            reply::empty(StatusCode::NO_CONTENT)
        }
        None => reply::invalid("playSessionId", "The playSessionId field is required."),
    }
}

fn capabilities(world: &mut World, ask: &Ask, who: &Who) -> Reply {
    let body = ask.json().unwrap_or(Value::Null);
    let profile = super::negotiate::member(&body, "DeviceProfile").cloned();
    let device = who.client().and_then(|c| c.device_id.clone());
    if let Some((device, profile)) = device.zip(profile) {
        world.profiles.insert(device, profile);
    }
    reply::empty(StatusCode::NO_CONTENT)
}

fn close_live(world: &mut World, ask: &Ask) -> Reply {
    if let Some(id) = ask.query.get("liveStreamId") {
        world.lives.remove(id);
        let own: Vec<_> = world
            .jobs
            .iter()
            .filter(|job| job.live.as_deref() == Some(id))
            .map(|job| job.id)
            .collect();
        for job in own {
            world.kill(job);
        }
    }
    reply::empty(StatusCode::NO_CONTENT)
}

fn message(world: &mut World, ask: &Ask, id: &str) -> Reply {
    let body = match ask.json() {
        Ok(body) if !body.is_null() => body,
        Ok(_) => return reply::invalid("", "A non-empty request body is required."),
        Err(error) => return reply::invalid("$", &error.to_string()),
    };
    let text = |name: &str| {
        super::negotiate::member(&body, name)
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let sent = json!({
        "MessageType": "GeneralCommand",
        "Data": {
            "Name": "DisplayMessage",
            "Arguments": {"Header": text("Header"), "Text": text("Text"), "TimeoutMs": text("TimeoutMs")},
        },
    });
    delivered(world.push(id, &sent))
}

fn command(world: &mut World, ask: &Ask, id: &str, name: &str) -> Reply {
    let seek = ask
        .query
        .get("seekPositionTicks")
        .and_then(|t| t.parse::<i64>().ok());
    let sent = json!({
        "MessageType": "Playstate",
        "Data": {"Command": name, "SeekPositionTicks": seek},
    });
    delivered(world.push(id, &sent))
}

fn delivered(known: bool) -> Reply {
    if known {
        reply::empty(StatusCode::NO_CONTENT)
    } else {
        reply::error(StatusCode::NOT_FOUND)
    }
}

/// Binds, so that the address is known before anything is served.
pub(super) async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
