//! Who may see and do what on the admin listener.
//!
//! - A read from loopback needs no token. It must name the server by address or as `localhost`: a page that made a
//!   browser believe that its own name is 127.0.0.1 (DNS rebinding) is turned away. A request that a proxy carried
//!   does not count as loopback.
//! - Any other read needs the token, as `Bearer` or as the password of `Basic`, or a session.
//! - An action needs the token as `Bearer`, which a browser never adds on its own; or a session, whose cookie no other
//!   site can make a browser send, together with the session's second secret in the form and an origin that is this
//!   one. So no foreign page can act.
//! - A session is had for the token ([`super::login`]); the form for it and what it looks like may be read by anybody.
//!
//! The token is never taken from the URL, which ends up in logs and histories.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Limited};
use subtle::ConstantTimeEq;

use super::{
    form::Fields,
    session::{Session, Sessions, called},
};
use crate::{clock, ident::Token};

/// The peer of a connection, put into each of its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Holds the token and the sessions.
#[derive(Debug)]
pub(super) struct Guard {
    token: Option<Token>,
    /// Who has logged in.
    pub(super) sessions: Sessions,
}

/// Who asks, put into each request that passes.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// May read.
    Reader,
    /// Has given the token; this is what it is called in the record.
    Token(Arc<str>),
    /// Has logged in.
    Operator(Session),
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It needs the token.
    Token,
    /// It is an action, and no token is configured.
    NoTokenConfigured,
    /// It names the server by a name that isn't known to be this machine.
    Host,
    /// It was sent by a page of somebody else, or by a page that is too old.
    Foreign,
    /// Its form is too long or can't be read.
    Form,
}

/// A form has this long to arrive.
const FORM: Duration = Duration::from_secs(10);

/// Most bytes of a form that are read.
const LONGEST_FORM: usize = 64 << 10;

/// What may be had by anybody: the form for the token, and how it looks.
const OPEN: [&str; 4] = ["/login", "/page.css", "/page.js", "/mark.svg"];

/// Headers of every answer. Nothing is fetched from elsewhere, framed, cached or guessed. A form tells this site where
/// it comes from, and no other.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Lets a request through, or answers it; adds the headers either way.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(response) => response,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

// === impl Guard ===

impl Guard {
    /// An empty token is none: it would be the password of anybody.
    pub(super) fn new(token: Option<Token>) -> Self {
        Self {
            token: token.filter(|token| !token.expose().is_empty()),
            sessions: Sessions::default(),
        }
    }

    /// Whether there is a token, so that anything can be done.
    pub(super) fn acts(&self) -> bool {
        self.token.is_some()
    }

    /// Checks a request, and puts into it who asks and, for an action, its fields.
    async fn admit(&self, request: Request) -> Result<Request, Response> {
        let (mut parts, body) = request.into_parts();
        // No peer: the request did not come by the listener of this module, so nothing is known of it.
        let peer = parts.extensions.get::<Peer>().map(|p| p.0.ip());
        let verdict = self.check(&parts.method, &parts.uri, &parts.headers, peer);
        let turned_away = |denied: Denied| {
            // A person is shown the form; programs are told.
            let form = denied == Denied::Token && self.acts() && wants_html(&parts.headers);
            if form && (reads(&parts.method) && parts.uri.path() == "/" || !reads(&parts.method)) {
                (StatusCode::SEE_OTHER, [(header::LOCATION, "login")]).into_response()
            } else {
                denied.into_response()
            }
        };
        let caller = verdict.map_err(turned_away)?;
        if reads(&parts.method) {
            parts.extensions.insert(caller);
            return Ok(Request::from_parts(parts, body));
        }
        // One that trickles would hold its connection, and enough of those every other.
        let form = Limited::new(body, LONGEST_FORM).collect();
        let form = tokio::time::timeout(FORM, form).await;
        let form = form
            .map_err(|_| Denied::Form.into_response())?
            .map_err(|_| Denied::Form.into_response())?
            .to_bytes();
        let text = std::str::from_utf8(&form).map_err(|_| Denied::Form.into_response())?;
        let query = Fields::read(parts.uri.query().unwrap_or_default());
        let fields = Fields::read(text);
        if let Caller::Operator(session) = &caller
            && !session.form.is(fields.get("csrf"))
        {
            return Err(Denied::Foreign.into_response());
        }
        parts.extensions.insert(caller);
        parts.extensions.insert(Asked { query, fields });
        Ok(Request::from_parts(parts, Body::empty()))
    }

    /// Says who asks, if the request may pass.
    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Caller, Denied> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.trim()));
        let given = given
            .as_ref()
            .map(|(scheme, rest)| (scheme.as_str(), *rest));
        if matches!(given, Some(("bearer", token)) if self.is_token(token.as_bytes())) {
            return Ok(Caller::Token(Arc::from(called("token", peer))));
        }
        let session = headers
            .get(header::COOKIE)
            .and_then(|value| value.to_str().ok())
            .and_then(|cookies| self.sessions.find(clock::now(), cookies));
        let open = OPEN.contains(&uri.path());

        if !reads(method) {
            return match (&self.token, session) {
                (None, _) => Err(Denied::NoTokenConfigured),
                (Some(_), _) if !is_ours(headers) => Err(Denied::Foreign),
                (Some(_), Some(session)) if !open => Ok(Caller::Operator(session)),
                (Some(_), _) if open => Ok(Caller::Reader),
                (Some(_), _) => Err(Denied::Token),
            };
        }
        if let Some(session) = session {
            return Ok(Caller::Operator(session));
        }
        let basic = matches!(given, Some(("basic", pair))
            if password(pair).is_some_and(|token| self.is_token(&token)));
        if basic || open {
            return Ok(Caller::Reader);
        }
        if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) || was_carried(headers) {
            return Err(Denied::Token);
        }
        if names_this_machine(uri, headers) {
            Ok(Caller::Reader)
        } else {
            Err(Denied::Host)
        }
    }

    /// Whether this is the token; how long the answer takes says nothing about it.
    pub(super) fn is_token(&self, given: &[u8]) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| token.expose().as_bytes().ct_eq(given).into())
    }
}

/// The fields of an action.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Of its address: what it is about.
    pub(super) query: Fields,
    /// Of its form.
    pub(super) fields: Fields,
}

// === impl Denied ===

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                [(
                    header::WWW_AUTHENTICATE,
                    "Bearer realm=\"finweir\", Basic realm=\"finweir\", charset=\"UTF-8\"",
                )],
                "the admin token is needed: Authorization: Bearer <token>\n",
            )
                .into_response(),
            Self::NoTokenConfigured => (
                StatusCode::FORBIDDEN,
                "actions need an admin token, and none is configured\n",
            )
                .into_response(),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "this form is not of a page that you have open: load the page again\n",
            )
                .into_response(),
            Self::Form => (
                StatusCode::BAD_REQUEST,
                "the form is too long or can't be read\n",
            )
                .into_response(),
            Self::Host => (
                StatusCode::FORBIDDEN,
                "ask by address or as localhost, or with the admin token\n",
            )
                .into_response(),
        }
    }
}

fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Whether a form comes from a page of this site, as far as the browser says. Scripts that are no browser say nothing.
fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text("origin") else {
        return true;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == text("host")
}

/// Whether a proxy passed the request on: then loopback is the proxy, not the one who asks.
fn was_carried(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// An address can't be rebound, and `localhost` is never asked of DNS. No `Host` at all: not a browser.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match (uri.authority(), headers.get(header::HOST)) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => match host.to_str() {
            Ok(host) => host,
            Err(_) => return false,
        },
        (None, None) => return true,
    };
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if bracketed.is_some_and(|host| host.parse::<IpAddr>().is_ok()) {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

/// The password in the credentials of `Basic`.
fn password(pair: &str) -> Option<Vec<u8>> {
    let pair = base64(pair)?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Decodes base64 (RFC 4648, 4), with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let missing = 4 - chunk.len();
        bits <<= 6 * missing;
        let [_, bytes @ ..] = bits.to_be_bytes();
        match missing {
            0..=2 => out.extend_from_slice(bytes.get(..3 - missing)?),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_the_rfc_writes_it() {
        for (text, plain) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYg", Some("foob")),
            ("Zm9vYmFy", Some("foobar")),
            ("Z", None),
            ("Zm9v!", None),
            ("Zg==Zg==", None),
        ] {
            assert_eq!(base64(text).as_deref(), plain.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn only_an_address_or_localhost_names_this_machine() {
        let named = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            names_this_machine(&Uri::from_static("/"), &headers)
        };
        for host in [
            "localhost",
            "LOCALHOST:9097",
            "127.0.0.1",
            "127.0.0.1:9097",
            "[::1]",
            "[::1]:9097",
            "192.168.1.4:9097",
        ] {
            assert!(named(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9097",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "",
        ] {
            assert!(!named(host), "{host}");
        }
    }
}
