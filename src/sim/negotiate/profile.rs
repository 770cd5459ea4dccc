//! The device profile of a request, read as leniently as the server reads it.

use serde_json::Value;

use super::{listed_in, reason::Reasons};
use crate::sim::library::Stream;

/// What a device says it can play.
#[derive(Clone, Debug)]
pub(in crate::sim) struct DeviceProfile {
    /// `None`: no limit.
    pub(super) max_bitrate: Option<i64>,
    pub(super) music_bitrate: Option<i64>,
    pub(super) direct: Vec<Direct>,
    pub(super) transcoding: Vec<Transcoding>,
    pub(super) codecs: Vec<CodecProfile>,
    pub(super) containers: Vec<CodecProfile>,
    pub(super) subtitles: Vec<Subtitles>,
}

#[derive(Clone, Debug)]
pub(super) struct Direct {
    pub(super) kind: String,
    pub(super) container: Option<String>,
    pub(super) video: Option<String>,
    pub(super) audio: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Transcoding {
    pub(super) kind: String,
    pub(super) container: String,
    pub(super) video: Vec<String>,
    pub(super) audio: Vec<String>,
    pub(super) hls: bool,
    pub(super) streaming: bool,
    pub(super) channels: Option<i64>,
    pub(super) min_segments: i64,
    pub(super) segment_length: i64,
    pub(super) break_on_non_key: bool,
    pub(super) vbr: bool,
    pub(super) copy_timestamps: bool,
    pub(super) subtitles_in_manifest: bool,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct CodecProfile {
    pub(super) kind: String,
    pub(super) codec: Option<String>,
    pub(super) container: Option<String>,
    pub(super) conditions: Vec<Condition>,
    pub(super) apply: Vec<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct Subtitles {
    pub(super) format: String,
    pub(super) method: String,
    pub(super) container: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) is: Comparison,
    pub(super) property: String,
    pub(super) value: String,
    pub(super) required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    NotEquals,
    AtMost,
    AtLeast,
    AnyOf,
}

/// A member of an object in any letter case.
pub(in crate::sim) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

fn text(value: &Value, name: &str) -> Option<String> {
    match member(value, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value, name: &str) -> Option<i64> {
    text(value, name)?.parse().ok()
}

fn flag(value: &Value, name: &str) -> Option<bool> {
    match text(value, name)?.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn list<T>(value: &Value, name: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    let items = member(value, name).and_then(Value::as_array);
    items.into_iter().flatten().map(read).collect()
}

fn names(value: &Value, name: &str) -> Vec<String> {
    let all = text(value, name).unwrap_or_default();
    all.split(',')
        .map(|n| n.trim().to_owned())
        .filter(|n| !n.is_empty())
        .collect()
}

// === impl DeviceProfile ===

impl DeviceProfile {
    pub(in crate::sim) fn read(value: &Value) -> Self {
        let absent = |name: &str| {
            value
                .as_object()
                .is_none_or(|o| !o.keys().any(|key| key.eq_ignore_ascii_case(name)))
        };
        Self {
            max_bitrate: if absent("MaxStreamingBitrate") {
                Some(8_000_000)
            } else {
                number(value, "MaxStreamingBitrate")
            },
            music_bitrate: if absent("MusicStreamingTranscodingBitrate") {
                Some(128_000)
            } else {
                number(value, "MusicStreamingTranscodingBitrate")
            },
            direct: list(value, "DirectPlayProfiles", |v| Direct {
                kind: text(v, "Type").unwrap_or_default(),
                container: text(v, "Container"),
                video: text(v, "VideoCodec"),
                audio: text(v, "AudioCodec"),
            }),
            transcoding: list(value, "TranscodingProfiles", Transcoding::read),
            codecs: list(value, "CodecProfiles", CodecProfile::read),
            containers: list(value, "ContainerProfiles", CodecProfile::read),
            subtitles: list(value, "SubtitleProfiles", |v| Subtitles {
                format: text(v, "Format").unwrap_or_default(),
                method: text(v, "Method").unwrap_or_default(),
                container: text(v, "Container"),
            }),
        }
    }

    /// Conditions of codec profiles that hold for this stream and that it fails.
    pub(super) fn failures(
        &self,
        kind: &str,
        container: &str,
        stream: &Stream,
        secondary: bool,
    ) -> Reasons {
        let holds = |p: &&CodecProfile| {
            p.kind == kind
                && listed_in(p.codec.as_deref(), &stream.codec)
                && listed_in(p.container.as_deref(), container)
                && p.apply.iter().all(|c| c.met(stream, secondary))
        };
        self.codecs
            .iter()
            .filter(holds)
            .flat_map(|p| &p.conditions)
            .filter(|c| !c.met(stream, secondary))
            .map(|c| c.reason(kind != "Video"))
            .fold(Reasons::NONE, Reasons::and)
    }

    /// Conditions of container profiles that the video fails.
    pub(super) fn container_failures(&self, container: &str, video: Option<&Stream>) -> Reasons {
        let Some(video) = video else {
            return Reasons::NONE;
        };
        self.containers
            .iter()
            .filter(|p| p.kind == "Video" && listed_in(p.container.as_deref(), container))
            .flat_map(|p| &p.conditions)
            .filter(|c| !c.met(video, false))
            .map(|c| c.reason(false))
            .fold(Reasons::NONE, Reasons::and)
    }
}

impl Transcoding {
    fn read(v: &Value) -> Self {
        Self {
            kind: text(v, "Type").unwrap_or_default(),
            container: text(v, "Container").unwrap_or_default(),
            video: names(v, "VideoCodec"),
            audio: names(v, "AudioCodec"),
            hls: text(v, "Protocol").is_some_and(|p| p.eq_ignore_ascii_case("hls")),
            streaming: text(v, "Context").is_none_or(|c| c.eq_ignore_ascii_case("streaming")),
            channels: number(v, "MaxAudioChannels"),
            min_segments: number(v, "MinSegments").unwrap_or(0),
            segment_length: number(v, "SegmentLength").unwrap_or(0),
            break_on_non_key: flag(v, "BreakOnNonKeyFrames").unwrap_or(false),
            vbr: flag(v, "EnableAudioVbrEncoding").unwrap_or(true),
            copy_timestamps: flag(v, "CopyTimestamps").unwrap_or(false),
            subtitles_in_manifest: flag(v, "EnableSubtitlesInManifest").unwrap_or(false),
            conditions: list(v, "Conditions", Condition::read),
        }
    }
}

impl CodecProfile {
    fn read(v: &Value) -> Self {
        Self {
            kind: text(v, "Type").unwrap_or_default(),
            codec: text(v, "Codec"),
            container: text(v, "Container"),
            conditions: list(v, "Conditions", Condition::read),
            apply: list(v, "ApplyConditions", Condition::read),
        }
    }
}

// === impl Condition ===

impl Condition {
    fn read(v: &Value) -> Self {
        let is = match text(v, "Condition").unwrap_or_default().as_str() {
            "NotEquals" => Comparison::NotEquals,
            "LessThanEqual" => Comparison::AtMost,
            "GreaterThanEqual" => Comparison::AtLeast,
            "EqualsAny" => Comparison::AnyOf,
            _ => Comparison::Equals,
        };
        Self {
            is,
            property: text(v, "Property").unwrap_or_default(),
            value: text(v, "Value").unwrap_or_default(),
            required: flag(v, "IsRequired").unwrap_or(false),
        }
    }

    /// Whether a stream meets it. What is unknown passes unless it is required.
    pub(super) fn met(&self, stream: &Stream, secondary: bool) -> bool {
        let Some(actual) = self.actual(stream, secondary) else {
            return !self.required;
        };
        let same = |value: &str| match (actual.parse::<f64>(), value.trim().parse::<f64>()) {
            (Ok(a), Ok(b)) => (a - b).abs() < 1e-9,
            _ => actual.eq_ignore_ascii_case(value.trim()),
        };
        let order = || {
            Some((
                actual.parse::<f64>().ok()?,
                self.value.trim().parse::<f64>().ok()?,
            ))
        };
        match self.is {
            Comparison::Equals => same(&self.value),
            Comparison::NotEquals => !same(&self.value),
            Comparison::AnyOf => self.value.split('|').any(same),
            Comparison::AtMost => order().is_some_and(|(a, b)| a <= b),
            Comparison::AtLeast => order().is_some_and(|(a, b)| a >= b),
        }
    }

    fn actual(&self, s: &Stream, secondary: bool) -> Option<String> {
        let int = |n: Option<i64>| n.filter(|n| *n != 0).map(|n| n.to_string());
        match self.property.as_str() {
            "AudioChannels" => int(s.channels),
            "AudioBitrate" | "VideoBitrate" => int(s.bitrate),
            "AudioProfile" | "VideoProfile" => s.profile.clone(),
            "AudioSampleRate" => int(s.sample_rate),
            "AudioBitDepth" | "VideoBitDepth" => int(s.bits),
            "Width" => int(s.width),
            "Height" => int(s.height),
            "VideoFramerate" => s.frames.map(|f| f.to_string()),
            "VideoLevel" => s.level.map(|l| l.to_string()),
            "RefFrames" => int(s.ref_frames),
            "IsAnamorphic" => Some(s.anamorphic.to_string()),
            "IsInterlaced" => Some(s.interlaced.to_string()),
            "IsAvc" => s.avc.map(|a| a.to_string()),
            "IsSecondaryAudio" => Some(secondary.to_string()),
            "VideoRangeType" => Some(s.range.clone()).filter(|r| !r.is_empty()),
            "VideoCodecTag" => s.tag.clone(),
            _ => None,
        }
    }

    fn reason(&self, audio: bool) -> Reasons {
        Reasons::named(match (self.property.as_str(), audio) {
            ("AudioChannels", _) => "AudioChannelsNotSupported",
            ("AudioBitrate", _) => "AudioBitrateNotSupported",
            ("AudioProfile", _) => "AudioProfileNotSupported",
            ("AudioSampleRate", _) => "AudioSampleRateNotSupported",
            ("AudioBitDepth", _) => "AudioBitDepthNotSupported",
            ("Width" | "Height", _) => "VideoResolutionNotSupported",
            ("IsAnamorphic", _) => "AnamorphicVideoNotSupported",
            ("IsInterlaced", _) => "InterlacedVideoNotSupported",
            ("IsSecondaryAudio", _) => "SecondaryAudioNotSupported",
            ("RefFrames", _) => "RefFramesNotSupported",
            ("VideoBitDepth", _) => "VideoBitDepthNotSupported",
            ("VideoBitrate", _) => "VideoBitrateNotSupported",
            ("VideoCodecTag", _) => "VideoCodecTagNotSupported",
            ("VideoFramerate", _) => "VideoFramerateNotSupported",
            ("VideoLevel", _) => "VideoLevelNotSupported",
            ("VideoProfile", _) => "VideoProfileNotSupported",
            ("VideoRangeType", _) => "VideoRangeTypeNotSupported",
            _ => "",
        })
    }
}

// === impl DeviceProfile ===

impl DeviceProfile {
    /// The limit that holds if the request names none.
    pub(in crate::sim) fn max_bitrate(&self) -> Option<i64> {
        self.max_bitrate
    }
}
