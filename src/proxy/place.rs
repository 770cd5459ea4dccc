//! The viewer's page: what I play, what I wait for, what my place is, and how long yet. Off unless configured.
//!
//! It stands beside Jellyfin, at `/finweir/` below its base path: there a browser that is logged in to Jellyfin holds the
//! login, which the page sends with its question. Jellyfin has nothing by that name, and only addresses that are no route
//! of Jellyfin's that matters here are looked at, so nothing is shadowed, and a house without the page pays one
//! comparison for requests that are forwarded anyway.
//!
//! A viewer is told of himself alone. However many ask, the core is asked once a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Proxy, refusal::whole};
use crate::{
    admission::{LeaseView, Snapshot, WaiterView},
    clock,
    hop::{Body, Verdict},
    ident::UserId,
    upstream::Verified,
};

/// How long a look at the core is good for.
const FRESH: Duration = Duration::from_secs(1);

/// What there is below `/finweir/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    /// The page.
    Page,
    /// How it looks.
    Style,
    /// What it does.
    Script,
    /// The answer to its question.
    Place,
}

/// The last look at the core.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Option<(Instant, Arc<Snapshot>)>>);

impl File {
    /// What a target names, if it is one of these.
    pub(super) fn named(method: &str, target: &str, base_url: &str) -> Option<Self> {
        let path = target.strip_prefix(base_url)?.strip_prefix("/finweir/")?;
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let file = match path {
            "" => Self::Page,
            "place.css" => Self::Style,
            "place.js" => Self::Script,
            "place.json" => Self::Place,
            _ => return None,
        };
        (method == "GET").then_some(file)
    }

    /// The file, where it is the same for everybody.
    pub(super) fn fixed(self) -> Option<Response<Body>> {
        let (kind, text) = match self {
            Self::Page => ("text/html; charset=utf-8", include_str!("place/place.html")),
            Self::Style => ("text/css; charset=utf-8", include_str!("place/place.css")),
            Self::Script => (
                "text/javascript; charset=utf-8",
                include_str!("place/place.js"),
            ),
            Self::Place => return None,
        };
        Some(answer(
            StatusCode::OK,
            kind,
            Bytes::from_static(text.as_bytes()),
        ))
    }
}

/// Tells a viewer of himself.
pub(super) async fn tell(proxy: &Proxy, request: &Request<()>) -> Verdict {
    let claims = proxy.claims(request.headers(), request.uri().query());
    let (status, said) = match proxy.verify(&claims).await {
        Some(Verified::User(identity)) => {
            let snapshot = proxy.seen.look(|| proxy.gate.snapshot());
            (StatusCode::OK, of(&identity.user, &snapshot))
        }
        Some(Verified::ApiKey | Verified::Refused) | None => (
            StatusCode::UNAUTHORIZED,
            json!({"error": "a login of Jellyfin is needed"}),
        ),
    };
    let body = Bytes::from(said.to_string());
    Verdict::Answer(answer(status, "application/json", body))
}

/// What concerns this user. Places are counted over everybody who waits.
fn of(user: &UserId, snapshot: &Snapshot) -> Value {
    let waiting: Vec<Value> = snapshot
        .waiting
        .iter()
        .zip(1_u32..)
        .filter(|(waiter, _)| waiter.user == *user)
        .map(|(waiter, place)| waits(waiter, place))
        .collect();
    let playing: Vec<Value> = snapshot
        .leases
        .iter()
        .filter(|lease| lease.user == *user)
        .map(plays)
        .collect();
    json!({"waiting": waiting, "in_line": snapshot.waiting.len(), "playing": playing, "paused": snapshot.paused})
}

fn waits(waiter: &WaiterView, place: u32) -> Value {
    json!({
        "place": place,
        "client": &*waiter.client,
        "waited_s": waiter.waited.as_secs(),
        "expected_s": waiter.expected.map(|expected| expected.as_secs()),
        "gives_up_s": waiter.left.as_secs(),
    })
}

fn plays(lease: &LeaseView) -> Value {
    json!({
        "client": &*lease.client,
        "work": lease.work,
        "since_s": lease.age.as_secs(),
    })
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    const HEADERS: [(header::HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

// === impl Seen ===

impl Seen {
    fn look(&self, look: impl FnOnce() -> Snapshot) -> Arc<Snapshot> {
        let now = clock::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, snapshot)) = seen.as_ref()
            && now.saturating_duration_since(*at) < FRESH
        {
            return snapshot.clone();
        }
        let snapshot = Arc::new(look());
        *seen = Some((now, snapshot.clone()));
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_addresses_are_taken_from_jellyfin() {
        for (target, base, wanted) in [
            ("/finweir/", "", Some(File::Page)),
            ("/finweir/place.json?x=1", "", Some(File::Place)),
            (
                "/jellyfin/finweir/place.js",
                "/jellyfin",
                Some(File::Script),
            ),
            ("/finweir/", "/jellyfin", None),
            ("/finweir", "", None),
            ("/finweirs/", "", None),
            ("/Finweir/", "", None),
            ("/web/finweir/", "", None),
            ("/finweir/../Items", "", None),
        ] {
            assert_eq!(File::named("GET", target, base), wanted, "{target}");
        }
        assert_eq!(File::named("POST", "/finweir/", ""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_core_is_asked_once_a_second() {
        let seen = Seen::default();
        let first = seen.look(Snapshot::default);
        let again = seen.look(|| unreachable!("it was looked a moment ago"));
        assert!(Arc::ptr_eq(&first, &again));
        tokio::time::advance(FRESH).await;
        assert!(!Arc::ptr_eq(&first, &seen.look(Snapshot::default)));
    }
}
