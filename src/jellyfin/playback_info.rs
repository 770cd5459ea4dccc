//! PlaybackInfo, request and answer: the fields that are read; everything else is kept as it came.

use bytes::Bytes;
use serde_json::Value;

use super::{Query, Source};
use crate::ident::{ItemId, PlaySessionId, UserId};

/// What a client asks of PlaybackInfo. Each parameter may be in the query or the body; the query wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaybackRequest {
    /// `UserId`.
    pub user: Option<UserId>,
    /// `MediaSourceId`.
    pub source: Option<ItemId>,
    /// `LiveStreamId`.
    pub live_stream: Option<String>,
    /// `MaxStreamingBitrate`: query, body, else the profile's, bit/s.
    pub max_bitrate: Option<u64>,
    /// `EnableDirectPlay` is not `false`.
    pub direct_play: bool,
    /// `EnableDirectStream` is not `false`.
    pub direct_stream: bool,
    /// `AllowVideoStreamCopy` is not `false`.
    pub allow_video_copy: bool,
    /// `AutoOpenLiveStream`: the request opens a tuner and must not be sent twice.
    pub opens_live_stream: bool,
    /// `IsPlayback` is not `false`: without, it only informs.
    pub is_playback: bool,
    /// The body, if it was an object.
    pub body: Option<Value>,
}

/// Jellyfin's answer to PlaybackInfo.
#[derive(Clone, Debug)]
pub struct PlaybackAnswer {
    raw: Bytes,
    value: Value,
    changed: bool,
    sources: Vec<Source>,
}

/// An answer that is not what PlaybackInfo answers.
#[derive(Debug, thiserror::Error)]
#[error("not a PlaybackInfo answer: {0}")]
pub struct NotAnAnswer(pub(super) &'static str);

impl PlaybackRequest {
    /// Reads query and body. What can't be read is as if it were absent: Jellyfin will say so.
    pub fn read(query: &Query<'_>, body: &[u8]) -> Self {
        let _ = (query, body);
        Self::default()
    }
}

impl PlaybackAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is not JSON, or not an object with `MediaSources`.
    pub fn read(raw: Bytes) -> Result<Self, NotAnAnswer> {
        let _ = raw;
        Err(NotAnAnswer("not written yet"))
    }

    /// `PlaySessionId`.
    pub fn session(&self) -> Option<PlaySessionId> {
        None
    }

    /// `ErrorCode`.
    pub fn error_code(&self) -> Option<&str> {
        None
    }

    /// The media sources, in the order the client sees them.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The answer as text: byte for byte as it came, if nothing was changed.
    pub fn print(&self) -> Bytes {
        if self.changed {
            serde_json::to_vec(&self.value).map_or_else(|_| self.raw.clone(), Bytes::from)
        } else {
            self.raw.clone()
        }
    }
}
