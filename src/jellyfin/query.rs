//! A query string as ASP.NET binds it: names in any letter case, the first value of a repeated name counts,
//! `+` is a space, and a query that was percent-encoded as a whole is split again.

use std::borrow::Cow;

/// The pairs of a query string, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    nested: bool,
}

impl<'a> Query<'a> {
    /// Splits `text` (without the `?`). Controllers see it like this; [`Query::for_auth`] is what authentication sees.
    pub fn parse(text: &'a str) -> Self {
        let outer = Self::for_auth(text);
        // UrlDecodeQueryFeature: exactly one key, its values empty, and the key holds a `=`.
        let Some((key, _)) = outer.pairs.first() else {
            return outer;
        };
        let alone = outer
            .pairs
            .iter()
            .all(|(other, value)| value.is_empty() && other.eq_ignore_ascii_case(key));
        if !alone || !key.contains('=') {
            return outer;
        }
        let pairs = split(key)
            .filter(|(k, _)| !is_misspelt(k))
            .map(|(k, v)| (Cow::Owned(k.to_owned()), Cow::Owned(v.to_owned())))
            .collect();
        Self {
            pairs,
            nested: true,
        }
    }

    /// Splits `text` as authentication sees it: a whole-encoded query is one odd key.
    pub fn for_auth(text: &'a str) -> Self {
        let pairs = split(text).map(|(k, v)| (decode(k), decode(v))).collect();
        Self {
            pairs,
            nested: false,
        }
    }

    /// The first value of `name`, in any letter case. An empty value is a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    }

    /// The first value of `name` if it is not empty: how scalar parameters are bound.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every value of `name`, in any letter case.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    }

    /// Every pair, in order, names as written.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Whether the query was percent-encoded as a whole.
    pub fn is_nested(&self) -> bool {
        self.nested
    }
}

/// The parameters that decide what is streamed and at what cost, as the controllers write them.
const PARAMETERS: &[&str] = &[
    "static",
    "params",
    "tag",
    "playSessionId",
    "segmentContainer",
    "segmentLength",
    "minSegments",
    "mediaSourceId",
    "deviceId",
    "audioCodec",
    "enableAutoStreamCopy",
    "allowVideoStreamCopy",
    "allowAudioStreamCopy",
    "audioSampleRate",
    "maxAudioBitDepth",
    "audioBitRate",
    "audioChannels",
    "maxAudioChannels",
    "profile",
    "level",
    "framerate",
    "maxFramerate",
    "startTimeTicks",
    "width",
    "height",
    "maxWidth",
    "maxHeight",
    "videoBitRate",
    "subtitleStreamIndex",
    "subtitleMethod",
    "deInterlace",
    "liveStreamId",
    "videoCodec",
    "subtitleCodec",
    "transcodeReasons",
    "audioStreamIndex",
    "videoStreamIndex",
    "container",
    "transcodingContainer",
    "transcodingProtocol",
    "runtimeTicks",
    "actualSegmentLengthTicks",
];

/// Only the names of a whole-encoded query are case-sensitive: Jellyfin keeps them in a plain dictionary, so a
/// controller does not see `Static` there.
fn is_misspelt(name: &str) -> bool {
    PARAMETERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name) && *known != name)
}

fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'+' || b == b'%') {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_repeated_names_counts_in_any_case() {
        let query = Query::parse("Static=true&static=false");
        assert_eq!(query.get("STATIC"), Some("true"));
    }

    #[test]
    fn a_query_encoded_as_a_whole_is_split_again_but_not_for_authentication() {
        let text = "static%3Dtrue%26ApiKey%3Dx";
        assert_eq!(Query::parse(text).get("static"), Some("true"));
        assert_eq!(Query::for_auth(text).get("ApiKey"), None);
    }

    #[test]
    fn a_whole_encoded_query_sent_twice_is_still_one() {
        let text = "videoCodec%3Dh264&VIDEOCODEC%3dh264=";
        assert_eq!(Query::parse(text).get("videoCodec"), Some("h264"));
        assert_eq!(Query::parse("a%3Db&c").get("a"), None);
    }

    #[test]
    fn names_in_a_whole_encoded_query_count_only_as_the_controllers_write_them() {
        let query = Query::parse("Static%3Dtrue%26videoCodec%3Dh264%26MAXWIDTH%3D1");
        assert_eq!(query.get("Static"), None);
        assert_eq!(query.get("VideoCodec"), Some("h264"));
        assert_eq!(query.get("maxWidth"), None);
    }
}
