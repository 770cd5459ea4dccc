//! The query of a stream or playlist URL, as the controllers bind it, `params=` included.
//!
//! Names bind in any letter case and the first value counts. Conditions ("options") are every name whose first
//! letter is lower-case; they are looked up by exact spelling. A number that Jellyfin would answer with 400 is read
//! as absent: nothing starts. A negative one is read as 0, which no source keeps below.

mod params;

use std::time::Duration;

use super::{Media, Query, members};
use crate::ident::{DeviceId, ItemId, PlaySessionId};

/// The parameters that decide what FFmpeg would do, and whose job it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamQuery {
    /// `Static=true`. Only the progressive routes heed it, and not from `params=`.
    pub is_static: bool,
    /// `PlaySessionId`.
    pub session: Option<PlaySessionId>,
    /// `DeviceId`.
    pub device: Option<DeviceId>,
    /// `MediaSourceId`.
    pub source: Option<ItemId>,
    /// `LiveStreamId`.
    pub live_stream: Option<String>,
    /// `VideoCodec`, split at commas, lower case. Empty: absent.
    pub video_codecs: Vec<String>,
    /// `AudioCodec`, split at commas, lower case. Empty: absent.
    pub audio_codecs: Vec<String>,
    /// `AllowVideoStreamCopy` is not `false`.
    pub allow_video_copy: bool,
    /// `AllowAudioStreamCopy` is not `false`.
    pub allow_audio_copy: bool,
    /// `SubtitleStreamIndex`, if it is 0 or more.
    pub subtitle: Option<i64>,
    /// `SubtitleMethod`, lower case. `None` also for what is no method.
    pub subtitle_method: Option<String>,
    /// `AlwaysBurnInSubtitleWhenTranscoding=true`.
    pub always_burn_in: bool,
    /// `AudioStreamIndex`.
    pub audio: Option<i64>,
    /// `VideoStreamIndex`.
    pub video: Option<i64>,
    /// `VideoBitrate`, bit/s.
    pub video_bitrate: Option<u64>,
    /// `AudioBitrate`, bit/s.
    pub audio_bitrate: Option<u64>,
    /// `MaxWidth` or else `Width`, which is a limit too.
    pub max_width: Option<u32>,
    /// `MaxHeight` or else `Height`.
    pub max_height: Option<u32>,
    /// `MaxFramerate` or else `Framerate`, thousandths.
    pub max_millifps: Option<u32>,
    /// `Framerate`, thousandths: the output gets it, whatever the source has.
    pub millifps: Option<u32>,
    /// `MaxVideoBitDepth`.
    pub max_bits: Option<u64>,
    /// `MaxRefFrames`.
    pub max_ref_frames: Option<u64>,
    /// `Profile`, which overrides the options.
    pub profile: Option<String>,
    /// `Level`, which overrides the options.
    pub level: Option<String>,
    /// `DeInterlace=true`.
    pub deinterlace: bool,
    /// `RequireAvc=true`.
    pub require_avc: bool,
    /// `RequireNonAnamorphic=true`.
    pub require_non_anamorphic: bool,
    /// `SegmentLength`, seconds.
    pub segment_length: Option<u32>,
    /// `runtimeTicks` of a segment.
    pub segment_start: Option<Duration>,
    /// `actualSegmentLengthTicks` of a segment, ticks of 100 ns.
    pub segment_ticks: Option<u64>,
    /// `Tag`, the source's ETag.
    pub tag: Option<String>,
    /// Conditions: names that begin with a lower-case letter, letter case kept (`h264-level`, `hevc-rangetype`).
    pub options: Vec<(String, String)>,
    /// `TranscodeReasons`, as the server or a liar wrote them.
    pub reasons: Vec<String>,
}

impl Default for StreamQuery {
    /// A query without any parameter.
    fn default() -> Self {
        Self::read(&Query::default(), Media::Video)
    }
}

impl StreamQuery {
    /// Reads the parameters. A `params=` list overrides the named ones.
    pub fn read(query: &Query<'_>, media: Media) -> Self {
        let number = |name| query.value(name).and_then(int);
        let mut read = Self {
            is_static: is(query, "Static", "true"),
            session: query.value("PlaySessionId").map(PlaySessionId::new),
            device: query.value("DeviceId").map(DeviceId::new),
            source: query.value("MediaSourceId").map(ItemId::new),
            live_stream: owned(query, "LiveStreamId"),
            video_codecs: query.value("VideoCodec").map(codecs).unwrap_or_default(),
            audio_codecs: query.value("AudioCodec").map(codecs).unwrap_or_default(),
            allow_video_copy: !is(query, "AllowVideoStreamCopy", "false"),
            allow_audio_copy: !is(query, "AllowAudioStreamCopy", "false"),
            subtitle: number("SubtitleStreamIndex").filter(|index| *index >= 0),
            subtitle_method: query.value("SubtitleMethod").and_then(method),
            always_burn_in: is(query, "AlwaysBurnInSubtitleWhenTranscoding", "true"),
            audio: number("AudioStreamIndex"),
            video: number("VideoStreamIndex"),
            video_bitrate: number("VideoBitRate").map(natural),
            audio_bitrate: number("AudioBitRate").map(natural),
            max_width: number("MaxWidth").or_else(|| number("Width")).map(pixels),
            max_height: number("MaxHeight").or_else(|| number("Height")).map(pixels),
            max_millifps: None,
            millifps: query.value("Framerate").and_then(frames),
            max_bits: number("MaxVideoBitDepth").map(natural),
            max_ref_frames: number("MaxRefFrames").map(natural),
            profile: owned(query, "Profile"),
            level: owned(query, "Level"),
            deinterlace: is(query, "DeInterlace", "true"),
            require_avc: is(query, "RequireAvc", "true"),
            require_non_anamorphic: is(query, "RequireNonAnamorphic", "true"),
            segment_length: number("SegmentLength").map(pixels),
            segment_start: query.value("runtimeTicks").and_then(ticks).map(duration),
            segment_ticks: query.value("actualSegmentLengthTicks").and_then(ticks),
            tag: owned(query, "Tag"),
            options: options(query),
            reasons: query
                .value("TranscodeReasons")
                .map(list)
                .unwrap_or_default(),
        };
        read.max_millifps = query
            .value("MaxFramerate")
            .and_then(frames)
            .or(read.millifps);
        if let Some(list) = query.value("params") {
            read.override_with(list, media);
        }
        read
    }

    /// The condition `name` for a codec: `<codec>-<name>`, or else the bare name; an empty one is none.
    pub fn option(&self, codec: &str, name: &str) -> Option<&str> {
        let filled = |wanted: &str| {
            let (_, value) = self.options.iter().find(|(key, _)| key == wanted)?;
            Some(value.as_str()).filter(|value| !value.is_empty())
        };
        filled(&format!("{codec}-{name}")).or_else(|| filled(name))
    }
}

fn is(query: &Query<'_>, name: &str, wanted: &str) -> bool {
    query
        .value(name)
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}

fn owned(query: &Query<'_>, name: &str) -> Option<String> {
    query.value(name).map(str::to_owned)
}

fn codecs(text: &str) -> Vec<String> {
    list(text).iter().map(|c| c.to_ascii_lowercase()).collect()
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The names of `SubtitleDeliveryMethod`; the model binder takes their numbers too.
const METHODS: [&str; 5] = ["encode", "embed", "external", "hls", "drop"];

fn method(text: &str) -> Option<String> {
    let text = text.trim();
    let by_number = text.parse::<usize>().ok().and_then(|at| METHODS.get(at));
    let by_name = || METHODS.iter().find(|name| name.eq_ignore_ascii_case(text));
    by_number.or_else(by_name).map(|name| (*name).to_owned())
}

/// An `int` as .NET's Int32Converter reads it, which is what ASP.NET binds with: decimal, or hexadecimal after
/// `0x`, `#` or `&h`.
fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let hex = ["0x", "0X", "#", "&h", "&H"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let number = match hex {
        Some(digits) => i64::from(u32::from_str_radix(digits, 16).ok()?.cast_signed()),
        None => text.parse::<i64>().ok()?,
    };
    i32::try_from(number).is_ok().then_some(number)
}

fn ticks(text: &str) -> Option<u64> {
    text.trim().parse::<i64>().ok().map(natural)
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn pixels(number: i64) -> u32 {
    u32::try_from(natural(number)).unwrap_or(u32::MAX)
}

fn duration(ticks: u64) -> Duration {
    Duration::from_micros(ticks / 10)
}

fn frames(text: &str) -> Option<u32> {
    let rate: f64 = text.trim().parse().ok()?;
    rate.is_finite()
        .then(|| members::thousandths(rate.max(0.0)).unwrap_or(u32::MAX))
}

/// Every name that begins in lower case, as ASP.NET groups them: one entry for all spellings of a name, under the
/// spelling that came first, its values joined by commas.
fn options(query: &Query<'_>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (key, value) in query.pairs() {
        if let Some((_, joined)) = found.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(key)) {
            joined.push(',');
            joined.push_str(value);
        } else if found.len() < MAX_OPTIONS {
            found.push((key.to_owned(), value.to_owned()));
        }
    }
    // A token is no condition, and must not be printed with them.
    let token = |key: &str| {
        ["api_key", "ApiKey"]
            .iter()
            .any(|t| t.eq_ignore_ascii_case(key))
    };
    found.retain(|(key, _)| key.starts_with(char::is_lowercase) && !token(key));
    found
}

/// As many keys as ASP.NET takes in one query before it answers 400 (`FormReader.DefaultValueCountLimit`).
const MAX_OPTIONS: usize = 1024;

#[cfg(test)]
mod tests;
