//! The places a token can be, per server version: exactly those that the server would accept.
//!
//! The order of the carriers and the grammar of the header are Jellyfin's own, oddities included:
//! the first carrier that is not empty counts, and if its token is wrong, a right one elsewhere does not help.
//! What a client *claims* beside the token is read more kindly, since only the shape of an answer depends on it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{Dialect, Query};
use crate::ident::{DeviceId, Token};

/// What a request claims about its sender. Only the token can be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The token that the server would look up.
    pub token: Option<Token>,
    /// The device, from the header.
    pub device: Option<DeviceId>,
    /// The client program, from the header.
    pub client: Option<Arc<str>>,
    /// Its version, from the header.
    pub version: Option<Arc<str>>,
}

const X_EMBY_AUTHORIZATION: HeaderName = HeaderName::from_static("x-emby-authorization");
const X_EMBY_TOKEN: HeaderName = HeaderName::from_static("x-emby-token");
const X_MEDIABROWSER_TOKEN: HeaderName = HeaderName::from_static("x-mediabrowser-token");

/// Reads the credentials of a request. `query` is the raw query, without the `?`.
pub fn credentials(headers: &HeaderMap, query: Option<&str>, dialect: &Dialect) -> Credentials {
    let accepted = accepted_header(headers, dialect)
        .and_then(|text| parameters(text, dialect.legacy_auth))
        .unwrap_or_default();
    let token = accepted
        .get("Token")
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .or_else(|| {
            dialect
                .legacy_auth
                .then(|| joined(headers, &X_EMBY_TOKEN))
                .flatten()
        })
        .or_else(|| {
            dialect
                .legacy_auth
                .then(|| joined(headers, &X_MEDIABROWSER_TOKEN))
                .flatten()
        })
        .or_else(|| query.and_then(|text| query_token(text, dialect)));
    let claimed = |name| {
        let kindly = || {
            claims(headers)
                .into_iter()
                .find_map(|claims| claims.kindly(name))
        };
        let named = accepted.get(name).filter(|value| !value.trim().is_empty());
        named.map(str::to_owned).or_else(kindly)
    };
    Credentials {
        token: token
            .filter(|token| !token.trim().is_empty())
            .map(Token::new),
        device: claimed("DeviceId").map(DeviceId::new),
        client: claimed("Client").map(Arc::from),
        version: claimed("Version").map(Arc::from),
    }
}

/// The one header that this server reads parameters from.
fn accepted_header<'h>(headers: &'h HeaderMap, dialect: &Dialect) -> Option<&'h str> {
    let standard = || first(headers, &AUTHORIZATION);
    let legacy = || {
        dialect
            .legacy_auth
            .then(|| first(headers, &X_EMBY_AUTHORIZATION))
            .flatten()
    };
    // 10.11 turned the order round.
    if dialect.version < (10, 11) {
        legacy().or_else(standard)
    } else {
        standard().or_else(legacy)
    }
}

/// Everything that may hold claims, whether or not the server takes a token from it.
fn claims(headers: &HeaderMap) -> [Parameters; 2] {
    [AUTHORIZATION, X_EMBY_AUTHORIZATION].map(|name| {
        first(headers, &name)
            .and_then(|text| parameters(text, true))
            .unwrap_or_default()
    })
}

/// The first of a header's values, unless all are empty.
fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    if headers.get_all(name).iter().all(HeaderValue::is_empty) {
        return None;
    }
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// A header's values as .NET turns them into one string.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    join(
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()),
    )
}

/// How .NET makes one string of several: with commas, the empty ones left out.
fn join<'v>(values: impl Iterator<Item = &'v str>) -> Option<String> {
    let full: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
    (!full.is_empty()).then(|| full.join(","))
}

fn query_token(text: &str, dialect: &Dialect) -> Option<String> {
    let query = Query::for_auth(text);
    let joined = |name| join(query.all(name));
    joined("ApiKey").or_else(|| dialect.legacy_auth.then(|| joined("api_key")).flatten())
}

/// The parameters of a header, in order; a later one of the same name counts.
#[derive(Default)]
struct Parameters(Vec<(String, String)>);

/// Splits `<scheme> key=value, key="value"…`. `None`: another scheme.
fn parameters(text: &str, emby: bool) -> Option<Parameters> {
    let (scheme, rest) = text.split_once(' ')?;
    let known =
        scheme.eq_ignore_ascii_case("MediaBrowser") || emby && scheme.eq_ignore_ascii_case("Emby");
    if !known {
        return None;
    }
    let mut found = Vec::new();
    let (mut quoted, mut key, mut piece) = (false, "", rest);
    // `piece` begins where the current key or value does.
    for (at, c) in rest.char_indices() {
        let start = rest.len() - piece.len();
        let Some((before, after)) = rest
            .get(start..)
            .and_then(|open| open.split_at_checked(at.checked_sub(start)?))
        else {
            continue;
        };
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                if !before.is_empty() {
                    found.push((key.to_owned(), value(before)));
                    key = "";
                }
                piece = after.get(1..).unwrap_or("");
            }
            '=' if !quoted => {
                key = before.trim();
                piece = after.get(1..).unwrap_or("");
            }
            _ => {}
        }
    }
    if !piece.is_empty() {
        found.push((key.to_owned(), value(piece)));
    }
    Some(Parameters(found))
}

/// Outer quotes go, then percent-encoding, with `+` for a space. White space before a quote keeps the quote.
fn value(raw: &str) -> String {
    let bare = raw.trim_matches('"');
    if !bare.contains(['%', '+']) {
        return bare.to_owned();
    }
    let spaced = bare.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

// === impl Parameters ===

impl Parameters {
    /// The value of a name, in exactly this letter case.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a name in any letter case, stray white space and quotes taken off.
    fn kindly(&self, name: &str) -> Option<String> {
        let (_, value) = self
            .0
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        let bare = value.trim().trim_matches('"').trim();
        (!bare.is_empty()).then(|| bare.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn token(
        pairs: &[(&'static str, &'static str)],
        query: Option<&str>,
        version: (u16, u16),
    ) -> Option<String> {
        credentials(&headers(pairs), query, &Dialect::of(version))
            .token
            .map(|token| token.expose().to_owned())
    }

    #[test]
    fn the_new_server_ignores_what_the_old_one_takes() {
        for pair in [
            ("authorization", r#"Emby Token="t""#),
            ("x-emby-authorization", r#"MediaBrowser Token="t""#),
            ("x-emby-token", "t"),
            ("x-mediabrowser-token", "t"),
        ] {
            assert_eq!(token(&[pair], None, (10, 11)).as_deref(), Some("t"));
            assert_eq!(token(&[pair], None, (12, 0)), None);
        }
        assert_eq!(
            token(&[], Some("api_key=t"), (10, 11)).as_deref(),
            Some("t")
        );
        assert_eq!(token(&[], Some("api_key=t"), (12, 0)), None);
    }

    #[test]
    fn of_two_tokens_the_server_s_choice_is_taken() {
        let both = [
            ("authorization", r#"MediaBrowser Token="a""#),
            ("x-emby-authorization", r#"MediaBrowser Token="b""#),
        ];
        assert_eq!(token(&both, None, (10, 10)).as_deref(), Some("b"));
        assert_eq!(token(&both, None, (10, 11)).as_deref(), Some("a"));
        let one = [("x-emby-token", "a")];
        let query = Some("ApiKey=b");
        assert_eq!(token(&one, query, (10, 11)).as_deref(), Some("a"));
        assert_eq!(token(&one, query, (12, 0)).as_deref(), Some("b"));
        let query = Some("api_key=a&apikey=b");
        assert_eq!(token(&[], query, (10, 11)).as_deref(), Some("b"));
    }

    #[test]
    fn another_scheme_hides_the_legacy_header_but_not_the_query() {
        let basic = [
            ("authorization", "Basic Zm9v"),
            ("x-emby-authorization", r#"MediaBrowser Token="b""#),
        ];
        assert_eq!(token(&basic, None, (10, 11)), None);
        assert_eq!(
            token(&basic, Some("ApiKey=q"), (10, 11)).as_deref(),
            Some("q")
        );
    }

    #[test]
    fn a_repeated_key_in_the_query_is_no_token_that_anybody_has() {
        assert_eq!(
            token(&[], Some("ApiKey=a&ApiKey=a"), (12, 0)).as_deref(),
            Some("a,a")
        );
        assert_eq!(
            token(&[], Some("ApiKey=&apikey=a"), (12, 0)).as_deref(),
            Some("a")
        );
    }

    #[test]
    fn claims_are_read_without_quotes_in_any_order_and_from_carriers_that_carry_no_token() {
        let swiftfin = [(
            "authorization",
            "MediaBrowser DeviceId=d%2B1, Token=t, Client=Swiftfin iOS, Version=1.6",
        )];
        let read = credentials(&headers(&swiftfin), None, &Dialect::of((12, 0)));
        assert_eq!(read.client.as_deref(), Some("Swiftfin iOS"));
        assert_eq!(read.device, Some(DeviceId::new("d+1")));
        let legacy = [(
            "x-emby-authorization",
            r#"MediaBrowser client="Kodi", deviceid="d", Token="t""#,
        )];
        let read = credentials(&headers(&legacy), None, &Dialect::of((12, 0)));
        assert_eq!(read.client.as_deref(), Some("Kodi"));
        assert_eq!(read.device, Some(DeviceId::new("d")));
        assert_eq!(read.token, None);
    }

    #[test]
    fn a_quote_that_is_not_closed_swallows_the_rest() {
        let odd = [("authorization", r#"MediaBrowser Client="a\"b", Token="t""#)];
        assert_eq!(token(&odd, None, (12, 0)), None);
    }
}
