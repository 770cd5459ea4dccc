//! A request as the simulated server reads it: path segments, query, body.

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Version, negotiate::member};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// The path's parts, decoded. An empty part stays, so that a doubled slash finds no route.
    pub(super) parts: Vec<String>,
    /// The query as it was sent.
    pub(super) raw_query: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The parameters of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    /// The pairs came out of one encoded blob, which authentication does not look into.
    blob: bool,
}

/// A parameter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) name: String,
    pub(super) value: String,
}

// === impl Ask ===

impl Ask {
    pub(super) fn read(method: Method, uri: &Uri, headers: HeaderMap, version: Version) -> Self {
        let raw_query = uri.query().unwrap_or_default().to_owned();
        Self {
            method,
            parts: parts(uri.path(), version),
            query: Query::read(&raw_query),
            raw_query,
            headers,
            body: Vec::new(),
        }
    }

    /// The path's parts in lower case.
    pub(super) fn route(&self) -> Vec<String> {
        self.parts.iter().map(|p| p.to_ascii_lowercase()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON. `Ok(Null)`: there is none.
    pub(super) fn json(&self) -> Result<Value, serde_json::Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
    }
}

/// Decodes a path and removes its dot parts, as Kestrel does: an encoded slash stays encoded.
fn parts(path: &str, version: Version) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for raw in path.strip_prefix('/').unwrap_or(path).split('/') {
        let kept = raw.replace("%2F", "%252F").replace("%2f", "%252f");
        let part = percent_decode_str(&kept).decode_utf8_lossy().into_owned();
        match part.as_str() {
            "." => {}
            ".." => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    if out.len() > 1 && out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    let prefixed = out
        .first()
        .is_some_and(|p| p.eq_ignore_ascii_case("emby") || p.eq_ignore_ascii_case("mediabrowser"));
    if version == Version::V10_11 && prefixed {
        out.remove(0);
    }
    out
}

// === impl Query ===

impl Query {
    pub(super) fn read(raw: &str) -> Self {
        let pairs = split(raw);
        match pairs.as_slice() {
            [(key, value)] if value.is_empty() && key.contains('=') => Self {
                pairs: split_decoded(key),
                blob: true,
            },
            _ => Self { pairs, blob: false },
        }
    }

    /// The first value of a parameter in any letter case. An empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of an option, whose letter case counts.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter as authentication sees them: joined with commas.
    pub(super) fn joined(&self, name: &str) -> Option<String> {
        if self.blob {
            return None;
        }
        let all: Vec<&str> = self
            .pairs
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        Some(all.join(",")).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.malformed(name)),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Malformed> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<i64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.malformed(name)),
            },
        }
    }

    fn malformed(&self, name: &str) -> Malformed {
        Malformed {
            name: name.to_owned(),
            value: self.get(name).unwrap_or_default().to_owned(),
        }
    }
}

fn split(raw: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn split_decoded(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A wish that may be in the query or in the body: the query wins.
pub(super) struct Wish<'a> {
    pub(super) query: &'a Query,
    pub(super) body: &'a Value,
}

impl Wish<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.query
            .get(name)
            .map(str::to_owned)
            .or_else(|| match member(self.body, name)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
            .filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        match self.text(name).map(|t| t.to_ascii_lowercase()).as_deref() {
            Some("true") => true,
            Some("false") => false,
            Some(_) | None => default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> String {
        parts(path, Version::V12_0).join("|")
    }

    #[test]
    fn a_path_is_decoded_and_its_dots_removed_but_doubled_slashes_stay() {
        assert_eq!(path("/%56ideos/./a/../b/stream/"), "Videos|b|stream");
        assert_eq!(path("/%2e/Videos"), "Videos");
        assert_eq!(path("/Videos%2Fa"), "Videos%2Fa");
        assert_eq!(path("/%2556ideos"), "%56ideos");
        assert_eq!(path("/Videos//a"), "Videos||a");
    }

    #[test]
    fn only_the_older_server_knows_the_old_prefixes() {
        assert_eq!(parts("/emby/Videos", Version::V10_11), ["Videos"]);
        assert_eq!(parts("/emby/Videos", Version::V12_0), ["emby", "Videos"]);
    }

    #[test]
    fn a_query_in_one_blob_is_read_but_carries_no_token() {
        let query = Query::read("static%3Dtrue%26ApiKey%3Dx");
        assert_eq!(query.get("Static"), Some("true"));
        assert_eq!(query.joined("ApiKey"), None);
        assert_eq!(Query::read("a=1&A=2").get("a"), Some("1"));
        assert_eq!(Query::read("a=1&A=2").joined("a").as_deref(), Some("1,2"));
    }
}
