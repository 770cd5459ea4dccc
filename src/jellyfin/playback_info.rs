//! PlaybackInfo, request and answer: the fields that are read; everything else is kept as it came.
//!
//! An answer that is not edited leaves byte for byte as it came. An edited one is printed anew: every member that
//! was not edited keeps its value and its place.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::{
    Query, Source,
    members::{any_case, count, filled, member, truth},
};
use crate::ident::{ItemId, PlaySessionId, UserId};

/// What a client asks of PlaybackInfo. Each parameter may be in the query or the body; the query wins.
#[derive(Clone, Default, PartialEq)]
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
    /// `AlwaysBurnInSubtitleWhenTranscoding`.
    pub always_burn_in: bool,
    /// `AudioStreamIndex`.
    pub audio: Option<i64>,
    /// `SubtitleStreamIndex`; -1 is none.
    pub subtitle: Option<i64>,
    /// `StartTimeTicks`, ticks of 100 ns.
    pub start_ticks: Option<u64>,
    /// `AutoOpenLiveStream`: the request opens a tuner and must not be sent twice.
    pub opens_live_stream: bool,
    /// `IsPlayback` is not `false`: without, it only informs.
    pub is_playback: bool,
    /// The body, if it was an object.
    pub body: Option<Value>,
}

/// Jellyfin's answer to PlaybackInfo.
#[derive(Clone)]
pub struct PlaybackAnswer {
    pub(super) raw: Bytes,
    pub(super) value: Value,
    pub(super) changed: bool,
    pub(super) sources: Vec<Source>,
}

/// An answer that is not what PlaybackInfo answers.
#[derive(Debug, thiserror::Error)]
#[error("not a PlaybackInfo answer: {0}")]
pub struct NotAnAnswer(pub(super) &'static str);

// Bodies hold titles, paths and tokens, so neither is printed.

impl fmt::Debug for PlaybackRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaybackRequest")
            .field("user", &self.user)
            .field("source", &self.source)
            .field("max_bitrate", &self.max_bitrate)
            .field("direct_play", &self.direct_play)
            .field("direct_stream", &self.direct_stream)
            .field("allow_video_copy", &self.allow_video_copy)
            .field("audio", &self.audio)
            .field("subtitle", &self.subtitle)
            .field("opens_live_stream", &self.opens_live_stream)
            .field("is_playback", &self.is_playback)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PlaybackAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaybackAnswer")
            .field("changed", &self.changed)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

// === impl PlaybackRequest ===

/// Where a parameter can stand: in the query, or in the body.
struct Parameters<'q> {
    query: &'q Query<'q>,
    body: Option<&'q Value>,
}

impl PlaybackRequest {
    /// Reads query and body. What can't be read is as if it were absent: Jellyfin will say so.
    pub fn read(query: &Query<'_>, body: &[u8]) -> Self {
        let body: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
        let from = Parameters {
            query,
            body: body.as_ref(),
        };
        Self {
            user: from.text("UserId").map(UserId::new),
            source: from.text("MediaSourceId").map(ItemId::new),
            live_stream: from.text("LiveStreamId").map(str::to_owned),
            max_bitrate: from.max_bitrate(),
            direct_play: from.truth("EnableDirectPlay").unwrap_or(true),
            direct_stream: from.truth("EnableDirectStream").unwrap_or(true),
            allow_video_copy: from.truth("AllowVideoStreamCopy").unwrap_or(true),
            always_burn_in: from
                .member("AlwaysBurnInSubtitleWhenTranscoding")
                .and_then(truth)
                .unwrap_or(false),
            audio: from.index("AudioStreamIndex"),
            subtitle: from.index("SubtitleStreamIndex"),
            start_ticks: from.count("StartTimeTicks"),
            opens_live_stream: from.truth("AutoOpenLiveStream").unwrap_or(false),
            is_playback: from.truth("IsPlayback").unwrap_or(true),
            body,
        }
    }
}

impl<'q> Parameters<'q> {
    fn member(&self, name: &str) -> Option<&'q Value> {
        any_case(self.body?, name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'q str> {
        let in_body = || self.member(name)?.as_str().filter(|text| !text.is_empty());
        self.query.value(name).or_else(in_body)
    }

    fn truth(&self, name: &str) -> Option<bool> {
        match self.query.value(name) {
            Some(text) => text.trim().parse_bool(),
            None => truth(self.member(name)?),
        }
    }

    fn count(&self, name: &str) -> Option<u64> {
        match self.query.value(name) {
            Some(text) => text.trim().parse().ok(),
            None => count(self.member(name)?),
        }
    }

    fn index(&self, name: &str) -> Option<i64> {
        match (self.query.value(name), self.member(name)) {
            (Some(text), _) => text.trim().parse().ok(),
            (None, Some(Value::String(text))) => text.trim().parse().ok(),
            (None, Some(value)) => value.as_i64(),
            (None, None) => None,
        }
    }

    /// A profile that names no ceiling has one of 8 Mbit/s; one that names `null` has none.
    fn max_bitrate(&self) -> Option<u64> {
        self.count("MaxStreamingBitrate").or_else(|| {
            let profile = self.member("DeviceProfile").filter(|p| p.is_object())?;
            match any_case(profile, "MaxStreamingBitrate") {
                Some(ceiling) => count(ceiling),
                None => Some(8_000_000),
            }
        })
    }
}

/// `true` and `false` in any letter case: what ASP.NET takes for a truth value.
trait ParseBool {
    fn parse_bool(&self) -> Option<bool>;
}

impl ParseBool for str {
    fn parse_bool(&self) -> Option<bool> {
        if self.eq_ignore_ascii_case("true") {
            Some(true)
        } else if self.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }
}

// === impl PlaybackAnswer ===

impl PlaybackAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is not JSON, or not an object with `MediaSources`.
    pub fn read(raw: Bytes) -> Result<Self, NotAnAnswer> {
        let value: Value = serde_json::from_slice(&raw).map_err(|_| NotAnAnswer("not JSON"))?;
        if !value.is_object() {
            return Err(NotAnAnswer("not an object"));
        }
        if !member(&value, "MediaSources").is_some_and(Value::is_array) {
            return Err(NotAnAnswer("no list of media sources"));
        }
        let mut answer = Self {
            raw,
            value,
            changed: false,
            sources: Vec::new(),
        };
        answer.read_sources();
        Ok(answer)
    }

    /// `PlaySessionId`.
    pub fn session(&self) -> Option<PlaySessionId> {
        filled(&self.value, "PlaySessionId").map(PlaySessionId::new)
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

    /// Notes an edit: the answer is printed anew from now on, and its sources are those of the edit.
    pub(super) fn edited(&mut self) {
        self.changed = true;
        self.read_sources();
    }

    fn read_sources(&mut self) {
        let listed = member(&self.value, "MediaSources").and_then(Value::as_array);
        self.sources = listed
            .map(|sources| sources.iter().map(Source::read).collect())
            .unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
