//! What Jellyfin will do for a source: direct, remux, audio, or a transcode of what into what (protocol 4).

use std::sync::Arc;

use serde_json::Value;

use super::{Media, StreamQuery};
use crate::ident::ItemId;

/// What Jellyfin will do.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The file as it is.
    Direct,
    /// Video copied; audio copied or encoded.
    Remux,
    /// No video, or only audio encoded in an audio stream.
    Audio,
    /// Video encoded.
    Video(VideoWork),
}

/// A video transcode, in Jellyfin's own terms.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoWork {
    /// Codec of the source, lower case, as Jellyfin names it. `None`: unknown.
    pub codec_in: Option<String>,
    /// Width and height of the source. `None`: unknown.
    pub size_in: Option<(u32, u32)>,
    /// Frames per second of the source, thousandths. `None`: unknown.
    pub millifps: Option<u32>,
    /// Bits per sample of the source. `None`: unknown.
    pub bits: Option<u8>,
    /// `VideoRangeType` of the source. `None`: unknown.
    pub range: Option<String>,
    /// Codec of the output, lower case.
    pub codec_out: String,
    /// Width and height of the output, as the encoder will choose them (protocol 4.3: bitrate shrinks the picture).
    pub size_out: (u32, u32),
    /// Bitrate of the output's video, bit/s.
    pub bitrate: Option<u64>,
    /// HDR becomes SDR.
    pub tone_map: bool,
    /// Subtitles are drawn into the picture.
    pub burn_in: bool,
}

/// A media source, as PlaybackInfo or `/Items` describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// `Id`.
    pub id: Option<ItemId>,
    /// `Name`. Not for logs.
    pub name: Option<Arc<str>>,
    /// `Container`.
    pub container: Option<String>,
    /// `Bitrate`, bit/s.
    pub bitrate: Option<u64>,
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
    /// `MediaStreams`, as they came.
    pub streams: Vec<Value>,
}

impl Source {
    /// Reads one member of `MediaSources`, in either casing.
    pub fn read(value: &Value) -> Self {
        let _ = value;
        Self::default()
    }
}

impl Plan {
    /// What Jellyfin will do for a media source of a PlaybackInfo answer, if the client plays it.
    pub fn of_source(source: &Source, media: Media) -> Self {
        let _ = (source, media);
        Self::Direct
    }

    /// What Jellyfin will do for a stream URL. `source`: what is known of the file; without it, the dearest that it could be.
    pub fn of_stream(
        query: &StreamQuery,
        media: Media,
        progressive: bool,
        source: Option<&Source>,
    ) -> Self {
        let _ = (query, media, progressive, source);
        Self::Direct
    }
}
