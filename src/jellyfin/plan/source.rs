//! A media source and its streams, as PlaybackInfo, `/Items` and `/Sessions` describe them.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{
    ident::ItemId,
    jellyfin::members::{filled, flag, member, natural, number, small, text, thousandths, truth},
};

/// A media source, as PlaybackInfo or `/Items` describe it. It prints itself without its title and its URL, which
/// holds a token.
#[derive(Clone, Default, PartialEq)]
pub struct Source {
    /// `Id`.
    pub id: Option<ItemId>,
    /// `Name`. Not for logs.
    pub name: Option<Arc<str>>,
    /// `Container`.
    pub container: Option<String>,
    /// `Bitrate`, bit/s.
    pub bitrate: Option<u64>,
    /// `FallbackMaxStreamingBitrate`, bit/s: caps the bitrate of a live stream.
    pub fallback_bitrate: Option<u64>,
    /// `RunTimeTicks`, ticks of 100 ns.
    pub runtime_ticks: Option<u64>,
    /// `ETag`.
    pub tag: Option<String>,
    /// `SupportsDirectPlay`.
    pub direct_play: bool,
    /// `SupportsDirectStream`.
    pub direct_stream: bool,
    /// `SupportsTranscoding`.
    pub transcoding: bool,
    /// `TranscodingUrl`.
    pub transcoding_url: Option<String>,
    /// `IsInfiniteStream`, or a `LiveStreamId`: live television.
    pub live: bool,
    /// `LiveStreamId`.
    pub live_stream: Option<String>,
    /// `VideoType` is Dvd or BluRay: even `Static=true` runs FFmpeg.
    pub disc: bool,
    /// `MediaStreams`, in the order they came.
    pub streams: Vec<Track>,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackKind {
    /// A picture that moves.
    Video,
    /// Sound.
    Audio,
    /// Subtitles.
    Subtitle,
    /// A cover, lyrics, data.
    #[default]
    Other,
}

/// One of `MediaStreams`: what a plan needs of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// `Type`.
    pub kind: TrackKind,
    /// `Index`.
    pub index: i64,
    /// `Codec`, lower case.
    pub codec: Option<String>,
    /// `Profile`.
    pub profile: Option<String>,
    /// `Level`.
    pub level: Option<f64>,
    /// `Width`.
    pub width: Option<u32>,
    /// `Height`.
    pub height: Option<u32>,
    /// `ReferenceFrameRate`, or the rate it is made of, thousandths.
    pub millifps: Option<u32>,
    /// `BitDepth`.
    pub bits: Option<u8>,
    /// `BitRate`, bit/s.
    pub bitrate: Option<u64>,
    /// `RefFrames`.
    pub ref_frames: Option<u64>,
    /// `VideoRangeType`, or what `VideoRange` and `ColorTransfer` say where that is missing.
    pub range: Option<String>,
    /// `IsInterlaced`.
    pub interlaced: bool,
    /// `IsAnamorphic`.
    pub anamorphic: bool,
    /// `IsAVC`. `None`: not said.
    pub avc: Option<bool>,
    /// `Rotation`, degrees.
    pub rotation: i32,
    /// `Channels`.
    pub channels: Option<u32>,
    /// `IsExternal`.
    pub external: bool,
    /// `IsTextSubtitleStream`: drawn as text, else as a bitmap.
    pub text: bool,
    /// `DeliveryMethod`: how the player gets it, of a subtitle.
    pub delivery: Option<String>,
    /// `IsDefault`.
    pub default: bool,
    /// `IsForced`.
    pub forced: bool,
}

// === impl Source ===

impl Source {
    /// Reads one member of `MediaSources`, in either casing.
    pub fn read(value: &Value) -> Self {
        let live_stream = filled(value, "LiveStreamId").map(str::to_owned);
        let video_type = text(value, "VideoType").unwrap_or_default();
        Self {
            id: filled(value, "Id").map(ItemId::new),
            name: text(value, "Name").map(Arc::from),
            container: filled(value, "Container").map(str::to_owned),
            bitrate: natural(value, "Bitrate"),
            fallback_bitrate: natural(value, "FallbackMaxStreamingBitrate"),
            runtime_ticks: natural(value, "RunTimeTicks"),
            tag: filled(value, "ETag").map(str::to_owned),
            direct_play: flag(value, "SupportsDirectPlay"),
            direct_stream: flag(value, "SupportsDirectStream"),
            transcoding: flag(value, "SupportsTranscoding"),
            transcoding_url: filled(value, "TranscodingUrl").map(str::to_owned),
            live: flag(value, "IsInfiniteStream") || live_stream.is_some(),
            live_stream,
            disc: ["Dvd", "BluRay"]
                .iter()
                .any(|disc| disc.eq_ignore_ascii_case(video_type)),
            streams: member(value, "MediaStreams")
                .and_then(Value::as_array)
                .map(|streams| streams.iter().take(MAX_TRACKS).map(Track::read).collect())
                .unwrap_or_default(),
        }
    }

    /// The video track that Jellyfin takes: the one asked for, or else that of the lowest index.
    pub fn video(&self, wanted: Option<i64>) -> Option<&Track> {
        let videos = || self.streams.iter().filter(|t| t.kind == TrackKind::Video);
        videos()
            .find(|track| Some(track.index) == wanted)
            .or_else(|| videos().min_by_key(|track| track.index))
    }

    /// What the file carries in a second, bit/s: as it says, or as its tracks do together.
    pub fn rate(&self) -> Option<u64> {
        let tracks = self.streams.iter().filter_map(|track| track.bitrate);
        let tracks = tracks.fold(0, u64::saturating_add);
        self.bitrate
            .or(Some(tracks))
            .filter(|bits| *bits > 0)
            .or(self.fallback_bitrate)
    }

    /// The subtitle track of this index.
    pub fn subtitle(&self, index: i64) -> Option<&Track> {
        self.streams
            .iter()
            .find(|track| track.kind == TrackKind::Subtitle && track.index == index)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.id)
            .field("container", &self.container)
            .field("bitrate", &self.bitrate)
            .field("direct_play", &self.direct_play)
            .field("transcoding", &self.transcoding)
            .field("transcodes", &self.transcoding_url.is_some())
            .field("live", &self.live)
            .field("disc", &self.disc)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// More tracks than any file has; what comes after is not read.
const MAX_TRACKS: usize = 512;

// === impl Track ===

impl Track {
    /// Reads one member of `MediaStreams`, in either casing.
    pub fn read(value: &Value) -> Self {
        Self {
            kind: kind(text(value, "Type").unwrap_or_default()),
            index: number(value, "Index").map_or(-1, index),
            codec: filled(value, "Codec").map(str::to_ascii_lowercase),
            profile: filled(value, "Profile").map(str::to_owned),
            level: number(value, "Level"),
            width: small(value, "Width"),
            height: small(value, "Height"),
            millifps: ["ReferenceFrameRate", "RealFrameRate", "AverageFrameRate"]
                .iter()
                .find_map(|name| number(value, name))
                .and_then(thousandths),
            bits: small(value, "BitDepth"),
            bitrate: natural(value, "BitRate"),
            ref_frames: natural(value, "RefFrames"),
            range: range(value),
            interlaced: flag(value, "IsInterlaced"),
            anamorphic: flag(value, "IsAnamorphic"),
            avc: member(value, "IsAVC").and_then(truth),
            rotation: number(value, "Rotation").map_or(0, quarter_turns),
            channels: small(value, "Channels"),
            external: flag(value, "IsExternal"),
            text: flag(value, "IsTextSubtitleStream"),
            delivery: filled(value, "DeliveryMethod").map(str::to_owned),
            default: flag(value, "IsDefault"),
            forced: flag(value, "IsForced"),
        }
    }

    /// The picture as FFmpeg's filters see it: turned upright.
    pub fn size(&self) -> Option<(u32, u32)> {
        let (width, height) = (self.width?, self.height?);
        let sideways = self.rotation.rem_euclid(180) == 90;
        Some(if sideways {
            (height, width)
        } else {
            (width, height)
        })
    }

    /// Whether a subtitle reaches the player beside the picture or inside the file, to be shown by itself.
    pub fn is_delivered(&self) -> bool {
        self.delivery.as_deref().is_some_and(|method| {
            ["External", "Hls", "Embed"]
                .iter()
                .any(|way| method.eq_ignore_ascii_case(way))
        })
    }

    /// Whether the picture is one of the HDR kinds. Unknown counts as not.
    pub fn hdr(&self) -> bool {
        self.range.as_deref().is_some_and(is_hdr)
    }
}

/// Whether a `VideoRangeType` is HDR. `DOVIWithSDR` is shown as SDR.
fn is_hdr(range: &str) -> bool {
    ["HDR10", "HLG", "HDR10Plus"]
        .iter()
        .any(|r| r.eq_ignore_ascii_case(range))
        || (range
            .get(..4)
            .is_some_and(|r| r.eq_ignore_ascii_case("DOVI"))
            && !range.eq_ignore_ascii_case("DOVIWithSDR"))
}

fn kind(text: &str) -> TrackKind {
    match text.to_ascii_lowercase().as_str() {
        "video" => TrackKind::Video,
        "audio" => TrackKind::Audio,
        "subtitle" => TrackKind::Subtitle,
        _ => TrackKind::Other,
    }
}

fn range(value: &Value) -> Option<String> {
    let known = |text: &&str| !text.eq_ignore_ascii_case("Unknown");
    if let Some(range) = filled(value, "VideoRangeType").filter(known) {
        return Some(range.to_owned());
    }
    match text(value, "ColorTransfer") {
        Some("smpte2084") => Some("HDR10".to_owned()),
        Some("arib-std-b67") => Some("HLG".to_owned()),
        // What was added first of the HDR kinds, in servers that name no kind.
        Some(_) | None => match filled(value, "VideoRange").filter(known)? {
            "HDR" => Some("HDR10".to_owned()),
            other => Some(other.to_owned()),
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an `as` from float saturates"
)]
fn index(number: f64) -> i64 {
    number as i64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an `as` from float saturates"
)]
fn quarter_turns(degrees: f64) -> i32 {
    (degrees as i32).rem_euclid(360)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_source_is_read_in_either_casing() {
        let pascal = json!({"Id": "A0", "ETag": "t", "SupportsDirectPlay": true, "VideoType": "Dvd",
            "MediaStreams": [{"Type": "Video", "Index": 0, "Codec": "HEVC", "Width": 1920, "Height": 1080,
                "ReferenceFrameRate": 23.976025, "BitDepth": 10, "VideoRangeType": "HDR10"}]});
        let camel = json!({"id": "A0", "eTag": "t", "supportsDirectPlay": true, "videoType": "Dvd",
            "mediaStreams": [{"type": "Video", "index": 0, "codec": "HEVC", "width": 1920, "height": 1080,
                "referenceFrameRate": 23.976025, "bitDepth": 10, "videoRangeType": "HDR10"}]});
        let source = Source::read(&pascal);
        assert_eq!(source, Source::read(&camel));
        assert!(source.disc && source.direct_play);
        let video = source.video(None).unwrap();
        assert_eq!(video.codec.as_deref(), Some("hevc"));
        assert_eq!(video.millifps, Some(23_976));
        assert!(video.hdr());
    }

    #[test]
    fn a_source_prints_neither_its_title_nor_its_url() {
        let source =
            Source::read(&json!({"Name": "Secret Film", "TranscodingUrl": "/v?ApiKey=secret"}));
        let printed = format!("{source:?}").to_lowercase();
        assert!(!printed.contains("secret"), "{printed}");
    }

    #[test]
    fn a_picture_on_its_side_is_turned_upright() {
        let track =
            Track::read(&json!({"Type": "Video", "Width": 1920, "Height": 1080, "Rotation": -90}));
        assert_eq!(track.size(), Some((1080, 1920)));
    }

    #[test]
    fn servers_that_name_no_range_type_still_tell_hdr() {
        let pq = Track::read(&json!({"ColorTransfer": "smpte2084", "VideoRange": "HDR"}));
        let old = Track::read(&json!({"VideoRange": "HDR"}));
        let sdr = Track::read(&json!({"VideoRange": "SDR", "ColorTransfer": "bt709"}));
        assert!(pq.hdr() && old.hdr() && !sdr.hdr());
        assert!(!Track::read(&json!({"VideoRangeType": "DOVIWithSDR"})).hdr());
    }

    proptest! {
        #[test]
        fn reading_a_source_never_panics(number in any::<f64>(), word in "\\PC{0,12}") {
            for value in [json!(number), json!(word), json!(null), json!([word]), json!({"Index": word})] {
                let _ = Source::read(&value);
                let track = json!({"Type": word, "Index": value, "Rotation": value, "ReferenceFrameRate": value,
                    "BitRate": value, "Codec": value, "Width": value, "VideoRange": word});
                let _ = Source::read(&json!({"MediaStreams": [track, value], "LiveStreamId": value})).video(Some(1));
            }
        }
    }
}
