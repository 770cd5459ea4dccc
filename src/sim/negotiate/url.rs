//! Writes the address of a transcode, in the order the version writes it.

use std::fmt::Write as _;

use super::{
    decide::{Ask, Decision},
    transcode::Transcode,
};
use crate::sim::{Version, ids, library::Source};

/// What belongs to the session and not to the decision.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Session {
    pub(in crate::sim) item: String,
    pub(in crate::sim) device: Option<String>,
    pub(in crate::sim) play_session: String,
    pub(in crate::sim) token: String,
    pub(in crate::sim) live_stream: Option<String>,
    pub(in crate::sim) audio_copy: bool,
}

impl Decision {
    /// The address, if the decision is a transcode.
    pub(in crate::sim) fn url(
        &self,
        source: &Source,
        ask: &Ask,
        session: &Session,
    ) -> Option<String> {
        let transcode = self.transcode.as_ref()?;
        let kind = if transcode.music { "audio" } else { "videos" };
        let file = match (transcode.hls, transcode.container.as_str()) {
            (true, _) => "master.m3u8".to_owned(),
            (false, "") => "stream".to_owned(),
            (false, container) => format!("stream.{container}"),
        };
        let mut query = Query::default();
        transcode.write(&mut query, source, ask, session);
        query.text("TranscodeReasons", &self.reasons.names().join(","));
        if !ask.video_copy {
            query.text("allowVideoStreamCopy", "false");
        }
        if !session.audio_copy {
            query.text("allowAudioStreamCopy", "false");
        }
        if ask.always_burn {
            query.text("alwaysBurnInSubtitleWhenTranscoding", "true");
        }
        let joint = match ask.version {
            Version::V10_11 => "?&",
            Version::V12_0 => "?",
        };
        let item = ids::dashed(&session.item);
        let query = query.0.strip_prefix('&').unwrap_or(&query.0);
        Some(format!("/{kind}/{item}/{file}{joint}{query}"))
    }
}

impl Transcode {
    fn write(&self, query: &mut Query, source: &Source, ask: &Ask, session: &Session) {
        query.some("DeviceId", session.device.as_deref());
        query.text("MediaSourceId", &source.id);
        query.text("VideoCodec", &self.video.join(","));
        query.text("AudioCodec", &self.audio.join(","));
        query.number("AudioStreamIndex", self.audio_index);
        let external = self.subtitle.as_ref().is_some_and(|s| s.is("External"));
        let shown = self.subtitle_index.filter(|i| *i != -1);
        query.number(
            "SubtitleStreamIndex",
            shown.filter(|_| ask.always_burn || !external),
        );
        query.number("VideoBitrate", self.video_rate);
        query.number("AudioBitrate", self.audio_rate);
        query.number("AudioSampleRate", self.sample_rate);
        query.some("MaxFramerate", self.max_frames.map(frames).as_deref());
        query.number("MaxWidth", self.max_width);
        query.number("MaxHeight", self.max_height);
        if self.hls {
            query.text("SegmentContainer", &self.container);
            query.number(
                "SegmentLength",
                Some(self.segment_length).filter(|n| *n > 0),
            );
            query.number("MinSegments", Some(self.min_segments).filter(|n| *n > 0));
            if ask.version == Version::V10_11 {
                let on = if self.break_on_non_key {
                    "True"
                } else {
                    "False"
                };
                query.text("BreakOnNonKeyFrames", on);
            }
        } else {
            query.number("StartTimeTicks", Some(self.start_ticks).filter(|n| *n != 0));
        }
        query.text("PlaySessionId", &session.play_session);
        query.text("ApiKey", &session.token);
        query.some("LiveStreamId", session.live_stream.as_deref());
        query.flag("RequireNonAnamorphic", self.require_non_anamorphic);
        query.number("TranscodingMaxAudioChannels", self.max_channels);
        query.flag("EnableSubtitlesInManifest", self.subtitles_in_manifest);
        query.flag("CopyTimestamps", self.copy_timestamps);
        if !self.music {
            query.text(
                "RequireAvc",
                if self.require_avc { "true" } else { "false" },
            );
        }
        query.text(
            "EnableAudioVbrEncoding",
            if self.vbr { "true" } else { "false" },
        );
        query.some("Tag", source.tag.as_deref());
        if self.subtitle_index.is_some() && !external {
            let way = self.subtitle.as_ref();
            query.text(
                "SubtitleMethod",
                way.map_or("Encode", |s| s.method.as_str()),
            );
            if let Some(embedded) = way.filter(|s| s.is("Embed")) {
                query.text("SubtitleCodec", &embedded.format);
            }
        }
        for (key, value) in &self.options {
            query.text(key, &value.replace(' ', ""));
        }
    }
}

/// Frames per second as the server prints them: the shortest text that is the same single.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the server's own number is a single"
)]
fn frames(value: f64) -> String {
    (value as f32).to_string()
}

#[derive(Default)]
struct Query(String);

impl Query {
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            write!(self.0, "&{key}={value}").unwrap_or_default();
        }
    }

    fn some(&mut self, key: &str, value: Option<&str>) {
        self.text(key, value.unwrap_or_default());
    }

    fn number(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            write!(self.0, "&{key}={value}").unwrap_or_default();
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.text(key, "True");
        }
    }
}
