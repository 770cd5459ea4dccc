//! What Jellyfin will do for a source: direct, remux, audio, or a transcode of what into what.
//!
//! Jellyfin decides anew on every request of a stream, from the URL, the source, the user's permissions and its own
//! settings. The same is done here, and held to every FFmpeg command that was recorded. What is not known is taken
//! for the dearest that it could be.

mod copy;
mod encoding;
mod size;
mod source;

pub use self::{
    copy::Barrier,
    encoding::{Encoding, UserPolicy},
    source::{Source, Track, TrackKind},
};
use super::{Media, Query, StreamQuery};

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
    /// Frames per second of the source, or those that a `Framerate` blows it up to, thousandths. `None`: unknown.
    pub millifps: Option<u32>,
    /// Bits per sample of the source. `None`: unknown.
    pub bits: Option<u8>,
    /// `VideoRangeType` of the source. `None`: unknown.
    pub range: Option<String>,
    /// Codec of the output, lower case.
    pub codec_out: String,
    /// Width and height of the output, as the encoder will choose them (bitrate shrinks the picture).
    pub size_out: (u32, u32),
    /// Bitrate of the output's video, bit/s.
    pub bitrate: Option<u64>,
    /// HDR becomes SDR.
    pub tone_map: bool,
    /// Subtitles are drawn into the picture.
    pub burn_in: bool,
}

impl Plan {
    /// What a server with these settings will do for a media source of a PlaybackInfo answer, if the client plays it, for a
    /// user with this policy.
    pub fn of_source(
        source: &Source,
        media: Media,
        encoding: &Encoding,
        policy: UserPolicy,
    ) -> Self {
        let Some(url) = source.transcoding_url.as_deref() else {
            // Playable as it is, or not at all: nothing runs.
            return Self::Direct;
        };
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = path.to_ascii_lowercase();
        let media = if path.contains("/audio/") {
            Media::Audio
        } else {
            media
        };
        let progressive = !path.ends_with(".m3u8");
        let query = StreamQuery::read(&Query::parse(query), media);
        Self::of_stream(&query, media, progressive, Some(source), encoding, policy)
    }

    /// What it will do for a stream URL, in the same way. `source`: what is known of the file; without it, the dearest that
    /// it could be.
    pub fn of_stream(
        query: &StreamQuery,
        media: Media,
        progressive: bool,
        source: Option<&Source>,
        encoding: &Encoding,
        policy: UserPolicy,
    ) -> Self {
        // Only the progressive routes serve files, and a disc is no file.
        if progressive && query.is_static && !source.is_some_and(|source| source.disc) {
            return Self::Direct;
        }
        let video = source.and_then(|source| source.video(query.video));
        if media == Media::Audio
            || (video.is_none() && source.is_some_and(|s| !s.streams.is_empty()))
        {
            return Self::Audio;
        }
        let Some(codec_out) = encoding.codec_out(&query.video_codecs) else {
            return Self::Remux;
        };
        if codec_out == "copy" || !policy.video_transcoding {
            return Self::Remux;
        }
        if let Some((source, video)) = source.zip(video)
            && copy::can_copy(query, progressive, source, video, encoding)
        {
            return Self::Remux;
        }
        Self::Video(VideoWork::of(
            query,
            progressive,
            source,
            encoding,
            codec_out,
        ))
    }
}

/// What keeps the picture of a source from being copied under this address. Empty: nothing, or it has none.
pub fn barriers(
    query: &StreamQuery,
    progressive: bool,
    source: &Source,
    encoding: &Encoding,
) -> Vec<Barrier> {
    let video = source.video(query.video);
    video.map_or_else(Vec::new, |video| {
        copy::barriers(query, progressive, source, video, encoding).collect()
    })
}

// === impl VideoWork ===

impl VideoWork {
    fn of(
        query: &StreamQuery,
        progressive: bool,
        source: Option<&Source>,
        encoding: &Encoding,
        codec_out: String,
    ) -> Self {
        let video = source.and_then(|source| source.video(query.video));
        let bitrate = size::bitrate(query, source, video, &codec_out);
        let forced = query.millifps;
        let millifps = video.and_then(|video| video.millifps);
        Self {
            codec_in: video.and_then(|video| video.codec.clone()),
            size_in: video.and_then(Track::size),
            millifps: millifps.map_or_else(
                || forced.filter(|forced| *forced > COMMON_MILLIFPS),
                |own| Some(own.max(forced.unwrap_or(0))),
            ),
            bits: video.and_then(|video| video.bits),
            range: video.and_then(|video| video.range.clone()),
            size_out: size::size(query, source, video, &codec_out),
            codec_out,
            bitrate: Some(bitrate).filter(|bitrate| *bitrate > 0),
            tone_map: encoding.tone_mapping && video.is_none_or(Track::hdr),
            burn_in: burns(query, progressive, source),
        }
    }
}

/// The most frames per second that files have, thousandths: an unknown source has no more.
const COMMON_MILLIFPS: u32 = 60_000;

/// The video bitrate asked for, held to the ceiling of a live stream that could not be probed.
fn asked_bitrate(query: &StreamQuery, source: Option<&Source>) -> Option<u64> {
    let asked = query.video_bitrate?;
    let ceiling = source
        .filter(|_| query.live_stream.is_some())
        .and_then(|source| source.fallback_bitrate);
    Some(ceiling.map_or(asked, |ceiling| asked.min(ceiling)))
}

/// Whether a subtitle is asked for in a way that has to be drawn: this forbids a copy, even if there is no such
/// subtitle. Without a method it is Encode on the progressive routes and External on HLS.
fn burns_by_method(query: &StreamQuery, progressive: bool, source: Option<&Source>) -> bool {
    let Some(index) = query.subtitle else {
        return false;
    };
    let method = query.subtitle_method.as_deref();
    match method {
        Some("encode") => true,
        // DVB subtitles can't be embedded in anything.
        Some("embed") => source
            .and_then(|source| source.subtitle(index))
            .is_some_and(|track| track.codec.as_deref() == Some("dvbsub")),
        Some(_) => false,
        None => progressive,
    }
}

/// Whether an encode of the video draws a subtitle.
fn burns(query: &StreamQuery, progressive: bool, source: Option<&Source>) -> bool {
    let there = query.subtitle.is_some_and(|index| {
        source.is_none_or(|source| source.streams.is_empty() || source.subtitle(index).is_some())
    });
    there && (query.always_burn_in || burns_by_method(query, progressive, source))
}

#[cfg(test)]
mod tests;
