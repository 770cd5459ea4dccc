//! What FFmpeg does for the address of a stream: the server decides it anew on every request.

use super::{
    library::{Item, Source, Stream},
    negotiate::Reasons,
    request::Query,
};
use crate::gpu::model::Shape;

/// What a job does to the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The video is encoded, or it is a stream of sound alone.
    Transcode,
    /// The video is copied, the sound encoded.
    DirectStream,
    /// All is copied.
    Remux,
}

/// The work behind an address.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) video_copy: bool,
    pub(super) audio_copy: bool,
    /// The codecs that come out.
    pub(super) video_codec: Option<String>,
    pub(super) audio_codec: String,
    pub(super) size: Option<(u32, u32)>,
    pub(super) video_rate: i64,
    pub(super) audio_rate: i64,
    pub(super) channels: i64,
    pub(super) shape: Option<Shape>,
    pub(super) hdr: bool,
    pub(super) container: String,
    pub(super) reasons: Reasons,
    /// Seconds of one segment.
    pub(super) segment: f64,
}

/// Whose rights hold for a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub(super) video: bool,
    pub(super) audio: bool,
}

/// Everything the decision reads.
pub(super) struct Address<'a> {
    pub(super) query: &'a Query,
    pub(super) item: &'a Item,
    pub(super) source: &'a Source,
    /// `/Audio/…`
    pub(super) audio_route: bool,
    pub(super) hls: bool,
    /// The ending of the path, if it has one.
    pub(super) ending: Option<&'a str>,
    pub(super) rights: Rights,
    /// HDR becomes SDR.
    pub(super) tone_mapping: bool,
}

/// Encoded widths by bit rate, bit/s: a rate up to the second gets a picture up to the first (`docs/sources.md`, Copy or
/// encode).
const WIDTHS: [(i64, i64); 4] = [
    (960, 500_000),
    (1280, 2_500_000),
    (1920, 13_500_000),
    (2560, 28_000_000),
];

// === impl Kind ===

impl Kind {
    /// The word of the server's log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcode => "Transcode",
            Self::DirectStream => "DirectStream",
            Self::Remux => "Remux",
        }
    }
}

// === impl Address ===

impl Address<'_> {
    pub(super) fn plan(&self) -> Plan {
        let query = self.query;
        let video = self
            .source
            .video()
            .filter(|_| !self.audio_route && !self.item.is_audio());
        let audio = self.source.audio(number(query, "AudioStreamIndex"));
        let video_copy = video.is_some_and(|stream| self.copies_video(stream));
        let audio_copy = audio.is_some_and(|stream| self.copies_audio(stream));
        let video_codec = video.map(|stream| self.video_codec(stream, video_copy));
        let audio_codec = match audio {
            Some(stream) if audio_copy => stream.codec.clone(),
            Some(_) | None => self.audio_codec(),
        };
        let (channels, audio_rate) = self.sound(audio);
        let asked_rate = number(query, "VideoBitRate");
        let video_rate = video.map_or(0, |s| stream_rate(s, asked_rate));
        let size = video.and_then(|s| self.size(s, video_copy, asked_rate));
        let shape = match (video, size, &video_codec) {
            (Some(stream), Some(size), Some(codec)) if !video_copy => {
                Some(self.shape(stream, size, codec))
            }
            _ => None,
        };
        let kind = match (video.is_some(), video_copy, audio_copy || audio.is_none()) {
            (false, _, _) | (true, false, _) => Kind::Transcode,
            (true, true, true) => Kind::Remux,
            (true, true, false) => Kind::DirectStream,
        };
        Plan {
            kind,
            video_copy,
            audio_copy,
            video_codec,
            audio_codec,
            size,
            video_rate,
            audio_rate,
            channels,
            shape,
            hdr: video_copy && video.is_some_and(Stream::is_hdr),
            container: self.container(),
            reasons: query
                .get("TranscodeReasons")
                .map_or(Reasons::NONE, Reasons::read),
            segment: self.segment(video_copy),
        }
    }

    fn container(&self) -> String {
        let given = if self.hls {
            self.query.get("SegmentContainer")
        } else {
            self.ending.or_else(|| self.query.get("Container"))
        };
        given.unwrap_or("ts").to_ascii_lowercase()
    }

    /// 3 s if it is encoded, else 6; stretched so that whole pictures fit.
    fn segment(&self, copy: bool) -> f64 {
        let asked = number(self.query, "SegmentLength").filter(|n| *n > 0);
        let length = match (asked, copy) {
            #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
            (Some(seconds), _) => seconds as f64,
            (None, true) => 6.0,
            (None, false) => 3.0,
        };
        let rate = self
            .query
            .get("Framerate")
            .or_else(|| self.query.get("MaxFramerate"))
            .and_then(|t| t.parse::<f64>().ok())
            .filter(|f| *f > 0.0);
        match rate {
            Some(frames) if !copy => (length * 1000.0 * frames.ceil() / frames).ceil() / 1000.0,
            Some(_) | None => length,
        }
    }

    fn codecs(&self, name: &str) -> Vec<String> {
        let list = self.query.get(name).unwrap_or_default();
        list.split(',')
            .map(|c| c.trim().to_ascii_lowercase())
            .filter(|c| !c.is_empty())
            .collect()
    }

    /// The codec of an encoded picture: HEVC and AV1 come last, because encoding to them is off.
    fn video_codec(&self, stream: &Stream, copy: bool) -> String {
        let codecs = self.codecs("VideoCodec");
        if copy {
            return stream.codec.clone();
        }
        let plain = |c: &&String| !matches!(c.as_str(), "hevc" | "h265" | "av1");
        codecs
            .iter()
            .find(plain)
            .or_else(|| codecs.first())
            .cloned()
            .unwrap_or_else(|| "h264".to_owned())
    }

    fn audio_codec(&self) -> String {
        let codecs = self.codecs("AudioCodec");
        codecs
            .first()
            .cloned()
            .or_else(|| self.audio_of_ending())
            .unwrap_or_else(|| "aac".to_owned())
    }

    /// The codec that an address without one gets from its ending.
    fn audio_of_ending(&self) -> Option<String> {
        let codec = match self.ending?.to_ascii_lowercase().as_str() {
            "mp3" => "mp3",
            "ogg" | "oga" | "webm" | "webma" => "vorbis",
            "flac" => "flac",
            "opus" => "opus",
            _ => "aac",
        };
        Some(codec.to_owned())
    }

    fn burns(&self) -> Option<&Stream> {
        let index = number(self.query, "SubtitleStreamIndex").filter(|i| *i >= 0)?;
        let method = self.query.get("SubtitleMethod").unwrap_or(if self.hls {
            "External"
        } else {
            "Encode"
        });
        let stream = self.source.subtitle(index)?;
        let drawn = method.eq_ignore_ascii_case("Encode")
            || (method.eq_ignore_ascii_case("Embed")
                && stream.codec.eq_ignore_ascii_case("DVBSUB"));
        drawn.then_some(stream)
    }

    /// Whether a subtitle that is sent beside the picture is drawn into it all the same, as it is encoded anyway.
    fn always_burns(&self) -> bool {
        let wanted = self.query.get("AlwaysBurnInSubtitleWhenTranscoding");
        let index = number(self.query, "SubtitleStreamIndex");
        wanted.is_some_and(|on| on.eq_ignore_ascii_case("true"))
            && index.is_some_and(|index| self.source.subtitle(index).is_some())
    }

    fn copies_video(&self, s: &Stream) -> bool {
        let query = self.query;
        let codecs = self.codecs("VideoCodec");
        if codecs.first().is_none_or(|c| c == "copy") || !self.rights.video {
            return true;
        }
        let says = |name: &str| query.get(name).map(|v| v.eq_ignore_ascii_case("true"));
        let option = |name: &str| {
            query
                .option(&format!("{}-{name}", s.codec.to_ascii_lowercase()))
                .or_else(|| query.option(name))
        };
        if says("AllowVideoStreamCopy") == Some(false) || self.burns().is_some() {
            return false;
        }
        let deinterlaced = says("DeInterlace") == Some(true)
            || option("deinterlace").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if (s.interlaced && deinterlaced)
            || (s.anamorphic && says("RequireNonAnamorphic") == Some(true))
            || (s.avc == Some(false) && s.codec == "h264" && says("RequireAvc") == Some(true))
            || !codecs.iter().any(|c| c.eq_ignore_ascii_case(&s.codec))
        {
            return false;
        }
        let listed = |value: &str, own: &str| {
            let own = own.replace(' ', "");
            value
                .split([',', '|'])
                .any(|v| v.replace(' ', "").eq_ignore_ascii_case(&own))
        };
        if let (Some(wanted), Some(own)) = (option("profile"), &s.profile)
            && !listed(wanted, own)
        {
            return false;
        }
        if let Some(wanted) = option("rangetype")
            && !listed(wanted, &s.range)
        {
            return false;
        }
        let within = |own: Option<i64>, most: Option<i64>| match (own, most) {
            (_, None) => true,
            (Some(own), Some(most)) => own <= most,
            (None, Some(_)) => false,
        };
        let limit = |name: &str| option(name).and_then(|v| v.parse::<i64>().ok());
        let frames = query
            .get("MaxFramerate")
            .or_else(|| query.get("Framerate"))
            .and_then(|v| v.parse::<f64>().ok());
        let smooth = frames.is_none_or(|most| s.frames.is_none_or(|own| own <= most + 0.05));
        let level = limit("level").is_none_or(|most| {
            #[expect(clippy::cast_precision_loss, reason = "a level has three digits")]
            let most = most as f64;
            s.level.is_none_or(|own| own <= most)
        });
        smooth
            && level
            && within(s.width, number(query, "MaxWidth"))
            && within(s.height, number(query, "MaxHeight"))
            && (within(s.bitrate, number(query, "VideoBitRate")) || self.source.live)
            && within(s.bits, limit("videobitdepth"))
            && within(s.ref_frames, limit("maxrefframes"))
    }

    fn copies_audio(&self, s: &Stream) -> bool {
        let query = self.query;
        let codecs = self.codecs("AudioCodec");
        let codecs = if codecs.is_empty() {
            self.audio_of_ending().into_iter().collect()
        } else {
            codecs
        };
        let refused = query
            .get("AllowAudioStreamCopy")
            .is_some_and(|v| v.eq_ignore_ascii_case("false"));
        if codecs.first().is_some_and(|c| c == "copy") || !self.rights.audio {
            return true;
        }
        let limits = [
            "MaxAudioChannels",
            "TranscodingMaxAudioChannels",
            "AudioChannels",
        ];
        let most = limits.iter().filter_map(|n| number(query, n)).min();
        let own_limit = query
            .option(&format!("{}-audiochannels", s.codec.to_ascii_lowercase()))
            .and_then(|v| v.parse::<i64>().ok());
        let most = most.into_iter().chain(own_limit).min();
        let fits = |own: Option<i64>, most: Option<i64>| {
            most.is_none_or(|most| own.is_some_and(|own| own <= most))
        };
        !self.audio_route
            && !refused
            && codecs.iter().any(|c| c.eq_ignore_ascii_case(&s.codec))
            && fits(s.channels, most)
            && fits(s.bitrate, number(query, "AudioBitRate"))
            && fits(s.sample_rate, number(query, "AudioSampleRate"))
    }

    fn sound(&self, stream: Option<&Stream>) -> (i64, i64) {
        let own = stream.and_then(|s| s.channels).unwrap_or(2);
        let limits = ["MaxAudioChannels", "TranscodingMaxAudioChannels"];
        let most = limits.iter().filter_map(|n| number(self.query, n)).min();
        let most = if self.audio_route {
            Some(most.unwrap_or(2))
        } else {
            most
        };
        let channels = own.min(most.unwrap_or(own));
        let usual = match channels {
            ..2 => 128_000,
            2..5 => 256_000,
            5.. => 640_000,
        };
        let asked = number(self.query, "AudioBitRate").unwrap_or(usual);
        (channels, asked.min(usual))
    }

    fn size(&self, s: &Stream, copy: bool, rate: Option<i64>) -> Option<(u32, u32)> {
        let own = (
            u32::try_from(s.width?).ok()?,
            u32::try_from(s.height?).ok()?,
        );
        if copy {
            return Some(own);
        }
        let mut width = number(self.query, "MaxWidth");
        let mut height = number(self.query, "MaxHeight");
        if let Some(rate) = rate {
            let frames = s.frames.unwrap_or(24.0).max(30.0);
            #[expect(clippy::cast_precision_loss, reason = "a bit rate")]
            let per_30 = rate as f64 * 30.0 / frames * if s.codec == "hevc" { 0.6 } else { 1.0 };
            #[expect(clippy::cast_precision_loss, reason = "a bit rate")]
            let fit = WIDTHS.iter().find(|(_, most)| per_30 <= *most as f64);
            if let Some((most, _)) = fit {
                width = Some(width.map_or(*most, |w| w.min(*most)));
                height = None;
            }
        }
        Some(shrunk(own, width, height))
    }

    fn shape(&self, s: &Stream, size: (u32, u32), codec: &str) -> Shape {
        Shape {
            codec_in: s.codec.clone(),
            size_in: (
                s.width.and_then(|n| u32::try_from(n).ok()).unwrap_or(1920),
                s.height.and_then(|n| u32::try_from(n).ok()).unwrap_or(1080),
            ),
            frames: s.frames.unwrap_or(24.0),
            bits: s.bits.and_then(|n| u8::try_from(n).ok()).unwrap_or(8),
            hdr: s.is_hdr(),
            dolby_vision: s.range.starts_with("DOVI"),
            codec_out: codec.to_owned(),
            size_out: size,
            tone_map: self.tone_mapping && s.is_hdr(),
            burn_in: self.burns().is_some() || self.always_burns(),
        }
    }
}

/// Fits a picture into limits, even numbers only.
fn shrunk(own: (u32, u32), width: Option<i64>, height: Option<i64>) -> (u32, u32) {
    let factor = |own: u32, most: Option<i64>| match most.and_then(|m| u32::try_from(m).ok()) {
        Some(most) if most > 0 && most < own => f64::from(most) / f64::from(own),
        Some(_) | None => 1.0,
    };
    let factor = factor(own.0, width).min(factor(own.1, height));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "smaller than what it was"
    )]
    let even = |n: u32| ((f64::from(n) * factor / 2.0).round() as u32).max(1) * 2;
    (even(own.0), even(own.1))
}

/// The rate of the outgoing video: the source's own, more of it for an older codec, at most what was asked.
fn stream_rate(s: &Stream, asked: Option<i64>) -> i64 {
    let Some(own) = s.bitrate else {
        return asked.unwrap_or(0);
    };
    let by_codec = match s.codec.as_str() {
        "hevc" | "h265" | "vp9" => 1.0 / 0.6,
        "av1" => 2.0,
        _ => 1.0,
    };
    let by_rate = match own {
        ..=2_000_000 => 2.5,
        2_000_001..=3_000_000 => 2.0,
        3_000_001.. => 1.0,
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a bit rate"
    )]
    let scaled = (own as f64 * f64::max(by_codec, by_rate)).round() as i64;
    asked.map_or(scaled, |asked| asked.min(scaled))
}

pub(super) fn number(query: &Query, name: &str) -> Option<i64> {
    query.get(name)?.parse().ok()
}
