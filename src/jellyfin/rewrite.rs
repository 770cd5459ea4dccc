//! Edits of answers, playlists and URLs: refuse in shape E or N, strip playlist variants that a lease does not
//! cover, replace a value of a TranscodingUrl.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{
    PlaybackAnswer, Query, Source,
    members::{key_of, remove, set},
};

impl PlaybackAnswer {
    /// Shape E: no sources, `ErrorCode: RateLimitExceeded`; the PlaySessionId stays.
    pub fn refuse_with_error_code(&mut self) {
        if let Some(answer) = self.value.as_object_mut() {
            set(answer, "MediaSources", json!([]));
            set(answer, "ErrorCode", json!("RateLimitExceeded"));
            self.edited();
        }
    }

    /// Shape N: the sources stay, nothing of them is supported, the Transcoding fields go.
    pub fn refuse_with_nothing_supported(&mut self) {
        for source in self.source_objects() {
            for name in [
                "SupportsDirectPlay",
                "SupportsDirectStream",
                "SupportsTranscoding",
            ] {
                set(source, name, json!(false));
            }
            drop_transcoding(source);
        }
        self.edited();
    }

    /// Gives a source, as it was read from this answer, another TranscodingUrl.
    pub fn set_transcoding_url(&mut self, source: &Source, url: &str) {
        let Some(old) = source.transcoding_url.as_deref() else {
            return;
        };
        for own in self.source_objects() {
            if filled_in(own, "TranscodingUrl") == Some(old) {
                set(own, "TranscodingUrl", json!(url));
            }
        }
        self.edited();
    }

    /// Puts the source at this place before all others: clients take the first. Nothing else changes.
    pub fn put_first(&mut self, nth: usize) {
        let sources = self.value.as_object_mut().and_then(|answer| {
            let key = key_of(answer, "MediaSources")?;
            answer.get_mut(&key)?.as_array_mut()
        });
        if let Some(sources) = sources
            && (1..sources.len()).contains(&nth)
        {
            let source = sources.remove(nth);
            sources.insert(0, source);
            self.edited();
        }
    }

    fn source_objects(&mut self) -> impl Iterator<Item = &mut Map<String, Value>> {
        self.value
            .as_object_mut()
            .and_then(|answer| {
                let key = key_of(answer, "MediaSources")?;
                answer.get_mut(&key)?.as_array_mut()
            })
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
    }
}

fn filled_in<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o str> {
    object.get(&key_of(object, name)?)?.as_str()
}

/// Takes what names a transcode out of a source. The protocol goes back to `http`, as Jellyfin writes it where
/// there is no transcode: left at `hls` it makes the web client feed a file to its HLS player, and without it the
/// Kotlin clients can't read the answer.
fn drop_transcoding(source: &mut Map<String, Value>) {
    remove(source, "TranscodingUrl");
    remove(source, "TranscodingContainer");
    if key_of(source, "TranscodingSubProtocol").is_some() {
        set(source, "TranscodingSubProtocol", json!("http"));
    }
}

/// Takes the variants out of a master playlist that encode video although the lease is for a copy.
/// `None`: nothing to take out.
///
/// The first variant is what the client asked for; those that Jellyfin adds for players that can't show HDR say
/// `AllowVideoStreamCopy=false`. If the first one says so too, the lease is for an encode and all may stay.
pub fn strip_encoding_variants(playlist: &[u8]) -> Option<Bytes> {
    let mut kept = Vec::with_capacity(playlist.len());
    let mut variant: Option<Vec<u8>> = None;
    let (mut seen, mut dropped) = (0_usize, 0_usize);
    for line in playlist.split_inclusive(|byte| *byte == b'\n') {
        let starts = line.starts_with(b"#EXT-X-STREAM-INF");
        if starts && let Some(unfinished) = variant.replace(Vec::new()) {
            kept.extend(unfinished);
        }
        let Some(held) = &mut variant else {
            kept.extend(line);
            continue;
        };
        held.extend(line);
        if line.starts_with(b"#") || line.trim_ascii().is_empty() {
            continue;
        }
        let encodes = forces_encode(line);
        if encodes && seen == 0 {
            return None;
        }
        seen += 1;
        let held = variant.take().unwrap_or_default();
        if encodes {
            dropped += 1;
        } else {
            kept.extend(held);
        }
    }
    kept.extend(variant.unwrap_or_default());
    (dropped > 0).then(|| Bytes::from(kept))
}

fn forces_encode(uri: &[u8]) -> bool {
    let uri = String::from_utf8_lossy(uri.trim_ascii());
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    Query::parse(query)
        .value("AllowVideoStreamCopy")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("false"))
}

/// What a value of a TranscodingUrl keeps unescaped: Jellyfin writes commas in its lists so.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b',')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

/// The URL with this value for `name`: in the place of the one that counts, which is the first, or else at the
/// end. Appended to one that is there it would be ignored.
pub fn set_query_value(url: &str, name: &str, value: &str) -> String {
    let value = utf8_percent_encode(value, VALUE);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parts: Vec<String> = query.split('&').map(str::to_owned).collect();
    let names = |part: &String| {
        let key = part.split_once('=').map_or(part.as_str(), |(key, _)| key);
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        key.eq_ignore_ascii_case(name)
    };
    if let Some(part) = parts.iter_mut().find(|part| names(part)) {
        let key = part.split_once('=').map_or(part.as_str(), |(key, _)| key);
        *part = format!("{key}={value}");
    } else {
        if query.is_empty() {
            parts.clear();
        }
        parts.push(format!("{name}={value}"));
    }
    format!("{path}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASCAL: &str = r#"{"MediaSources":[{"Id":"a","SupportsTranscoding":true,"SupportsDirectStream":false,"SupportsDirectPlay":false,"Name":"n","TranscodingUrl":"/videos/a/master.m3u8?x=1","TranscodingSubProtocol":"hls","TranscodingContainer":"ts","HasSegments":false}],"PlaySessionId":"p"}"#;
    const CAMEL: &str = r#"{"mediaSources":[{"id":"a","supportsTranscoding":true,"supportsDirectStream":false,"supportsDirectPlay":false,"transcodingUrl":"/videos/a/master.m3u8?x=1","transcodingSubProtocol":"hls","transcodingContainer":"ts"}],"playSessionId":"p"}"#;

    fn edited(text: &'static str, edit: fn(&mut PlaybackAnswer)) -> String {
        let mut answer = PlaybackAnswer::read(Bytes::from_static(text.as_bytes())).unwrap();
        edit(&mut answer);
        String::from_utf8(answer.print().to_vec()).unwrap()
    }

    #[test]
    fn shape_e_has_no_sources_and_keeps_the_session() {
        assert_eq!(
            edited(PASCAL, PlaybackAnswer::refuse_with_error_code),
            r#"{"MediaSources":[],"PlaySessionId":"p","ErrorCode":"RateLimitExceeded"}"#
        );
        assert_eq!(
            edited(CAMEL, PlaybackAnswer::refuse_with_error_code),
            r#"{"mediaSources":[],"playSessionId":"p","errorCode":"RateLimitExceeded"}"#
        );
    }

    #[test]
    fn shape_n_keeps_sources_that_support_nothing() {
        assert_eq!(
            edited(PASCAL, PlaybackAnswer::refuse_with_nothing_supported),
            r#"{"MediaSources":[{"Id":"a","SupportsTranscoding":false,"SupportsDirectStream":false,"SupportsDirectPlay":false,"Name":"n","TranscodingSubProtocol":"http","HasSegments":false}],"PlaySessionId":"p"}"#
        );
        assert_eq!(
            edited(CAMEL, PlaybackAnswer::refuse_with_nothing_supported),
            r#"{"mediaSources":[{"id":"a","supportsTranscoding":false,"supportsDirectStream":false,"supportsDirectPlay":false,"transcodingSubProtocol":"http"}],"playSessionId":"p"}"#
        );
    }

    #[test]
    fn only_the_url_that_was_read_is_replaced() {
        for text in [PASCAL, CAMEL] {
            let mut answer = PlaybackAnswer::read(Bytes::from_static(text.as_bytes())).unwrap();
            let source = answer.sources()[0].clone();
            answer.set_transcoding_url(&source, "/new?a=1&b=2");
            let printed = String::from_utf8(answer.print().to_vec()).unwrap();
            assert_eq!(
                printed,
                text.replace("/videos/a/master.m3u8?x=1", "/new?a=1&b=2")
            );
            assert_eq!(
                answer.sources()[0].transcoding_url.as_deref(),
                Some("/new?a=1&b=2")
            );
        }
    }

    #[test]
    fn the_version_put_first_stays_as_it_is_and_so_do_the_others() {
        const THREE: &str = r#"{"MediaSources":[{"Id":"a","B":[1]},{"Id":"b"},{"Id":"c","B":1.50}],"PlaySessionId":"p"}"#;
        assert_eq!(
            edited(THREE, |answer| answer.put_first(2)),
            r#"{"MediaSources":[{"Id":"c","B":1.5},{"Id":"a","B":[1]},{"Id":"b"}],"PlaySessionId":"p"}"#
        );
        for nth in [0, 3] {
            let mut answer = PlaybackAnswer::read(Bytes::from_static(THREE.as_bytes())).unwrap();
            answer.put_first(nth);
            assert_eq!(answer.print(), THREE);
        }
    }

    const MASTER: &[u8] = b"#EXTM3U\r\n#EXT-X-MEDIA:TYPE=SUBTITLES,URI=\"s\"\r\n#EXT-X-STREAM-INF:VIDEO-RANGE=PQ\r\nmain.m3u8?VideoCodec=hevc\r\n#EXT-X-STREAM-INF:VIDEO-RANGE=SDR\r\n\r\nmain.m3u8?VideoCodec=h264&allowvideostreamcopy=False\r\n#EXT-X-IMAGE-STREAM-INF:URI=\"t\"\r\n";

    #[test]
    fn only_the_variants_that_encode_are_taken_out_of_a_copys_master() {
        let kept = strip_encoding_variants(MASTER).unwrap();
        assert_eq!(
            &kept[..],
            b"#EXTM3U\r\n#EXT-X-MEDIA:TYPE=SUBTITLES,URI=\"s\"\r\n#EXT-X-STREAM-INF:VIDEO-RANGE=PQ\r\nmain.m3u8?VideoCodec=hevc\r\n#EXT-X-IMAGE-STREAM-INF:URI=\"t\"\r\n"
        );
        assert_eq!(strip_encoding_variants(&kept), None);
    }

    #[test]
    fn an_encodes_own_master_stays_whole() {
        let master = b"#EXTM3U\n#EXT-X-STREAM-INF:X\nmain.m3u8?AllowVideoStreamCopy=false\n#EXT-X-STREAM-INF:X\nmain.m3u8?AllowVideoStreamCopy=false&VideoBitrate=1\n";
        assert_eq!(strip_encoding_variants(master), None);
    }

    #[test]
    fn a_value_is_replaced_where_it_counts_and_added_only_if_missing() {
        let url = "/videos/a/master.m3u8?&VideoBitrate=9&videobitrate=8&h264-level=41";
        assert_eq!(
            set_query_value(url, "VideoBitRate", "300000"),
            "/videos/a/master.m3u8?&VideoBitrate=300000&videobitrate=8&h264-level=41"
        );
        assert_eq!(
            set_query_value("/a?b=1", "VideoCodec", "h264,hevc"),
            "/a?b=1&VideoCodec=h264,hevc"
        );
        assert_eq!(set_query_value("/a", "Tag", "a&b"), "/a?Tag=a%26b");
    }

    proptest! {
        #[test]
        fn a_value_that_was_set_is_the_one_that_counts(query in "[A-Za-z0-9=&%+,-]{0,60}", value in "[a-z0-9,&= ]{1,12}") {
            let url = set_query_value(&format!("/x?{query}"), "MaxWidth", &value);
            let read = url.split_once('?').unwrap().1;
            // A query whose only key holds an encoded `=` is split once more, and nothing can be added to it.
            if !Query::parse(&query).is_nested() {
                let read = Query::for_auth(read);
                prop_assert_eq!(read.get("MaxWidth"), Some(value.as_str()));
            }
        }

        #[test]
        fn stripping_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(strip_encoding_variants(&bytes).is_none_or(|kept| kept.len() < bytes.len()));
        }

        #[test]
        fn stripping_never_panics_and_only_takes_away(text in prop::collection::vec(
            prop_oneof![Just("#EXT-X-STREAM-INF:A\n"), Just("m?AllowVideoStreamCopy=false\n"), Just("m?a=b\n"), Just("#X\n"), Just("\n"), Just("m")], 0..12)) {
            let text = text.concat();
            if let Some(kept) = strip_encoding_variants(text.as_bytes()) {
                prop_assert!(kept.len() < text.len());
                let text = String::from_utf8(kept.to_vec()).unwrap();
                prop_assert!(text.lines().count() > 0);
            }
        }
    }
}
