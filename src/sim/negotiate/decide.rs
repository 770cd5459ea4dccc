//! The decision for one version of a film.

use super::{
    audio, listed_in, one_container,
    profile::{Comparison, Condition, DeviceProfile, Direct, Transcoding},
    reason::Reasons,
    subtitles::{self, Delivery},
};
use crate::sim::{
    Version,
    library::{Source, Stream, StreamKind},
};

/// What a request asks of a decision, besides the device profile.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Ask {
    pub(in crate::sim) version: Version,
    pub(in crate::sim) max_bitrate: Option<i64>,
    pub(in crate::sim) direct_play: bool,
    /// Neither the request nor the user's policy forbids copying.
    pub(in crate::sim) direct_stream: bool,
    /// Neither the request nor the user's policy forbids encoding.
    pub(in crate::sim) transcoding: bool,
    pub(in crate::sim) video_copy: bool,
    pub(in crate::sim) always_burn: bool,
    /// Asked for with the id of this version; otherwise the server chooses.
    pub(in crate::sim) audio_index: Option<i64>,
    pub(in crate::sim) subtitle_index: Option<i64>,
    pub(in crate::sim) max_channels: Option<i64>,
    pub(in crate::sim) start_ticks: i64,
}

/// How one version is played.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Decision {
    pub(in crate::sim) direct_play: bool,
    pub(in crate::sim) container: String,
    pub(in crate::sim) transcode: Option<Transcode>,
    /// There is a profile for transcoding, used or not.
    pub(in crate::sim) transcodable: bool,
    pub(in crate::sim) reasons: Reasons,
    pub(in crate::sim) subtitles: Vec<(i64, Delivery)>,
}

/// What the address of a transcode says.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Transcode {
    pub(super) music: bool,
    pub(super) hls: bool,
    pub(super) container: String,
    pub(super) video: Vec<String>,
    pub(super) audio: Vec<String>,
    pub(super) audio_index: Option<i64>,
    pub(super) subtitle_index: Option<i64>,
    pub(super) subtitle: Option<Delivery>,
    pub(super) video_rate: Option<i64>,
    pub(super) audio_rate: Option<i64>,
    pub(super) sample_rate: Option<i64>,
    pub(super) max_frames: Option<f64>,
    pub(super) max_width: Option<i64>,
    pub(super) max_height: Option<i64>,
    pub(super) segment_length: i64,
    pub(super) min_segments: i64,
    pub(super) break_on_non_key: bool,
    pub(super) require_non_anamorphic: bool,
    pub(super) max_channels: Option<i64>,
    pub(super) subtitles_in_manifest: bool,
    pub(super) copy_timestamps: bool,
    pub(super) require_avc: bool,
    pub(super) vbr: bool,
    pub(super) start_ticks: i64,
    /// `codec-option` and value, in their order.
    pub(super) options: Vec<(String, String)>,
}

/// Video codecs that HLS carries here.
const HLS_VIDEO: [&str; 4] = ["h264", "hevc", "vp9", "av1"];
const HLS_TS_AUDIO: [&str; 4] = ["aac", "ac3", "eac3", "mp3"];
const HLS_MP4_AUDIO: [&str; 9] = [
    "aac", "ac3", "eac3", "mp3", "alac", "flac", "opus", "dts", "truehd",
];

/// Decides one version of a title.
pub(in crate::sim) fn decide(
    source: &Source,
    profile: &DeviceProfile,
    ask: &Ask,
    is_audio: bool,
) -> Decision {
    if is_audio {
        let mut decision = audio::decide(source, profile, ask);
        decision.transcodable = has_profile(profile, "Audio");
        return decision;
    }
    let mut decision = Film {
        source,
        profile,
        ask,
    }
    .decide();
    decision.transcodable = has_profile(profile, "Video");
    decision
}

fn has_profile(profile: &DeviceProfile, kind: &str) -> bool {
    profile
        .transcoding
        .iter()
        .any(|t| t.kind == kind && t.streaming)
}

struct Film<'a> {
    source: &'a Source,
    profile: &'a DeviceProfile,
    ask: &'a Ask,
}

// === impl Film ===

impl Film<'_> {
    fn decide(&self) -> Decision {
        let (played, reasons) = self.direct_play();
        let all: Vec<&Direct> = self.profile.direct.iter().collect();
        let container = match played {
            Some(found) => one_container(self.source, &[found], "Video"),
            None => one_container(self.source, &all, "Video"),
        };
        let mut decision = Decision {
            direct_play: played.is_some(),
            container,
            reasons,
            ..Decision::none(self.source)
        };
        if played.is_none() {
            let allowed = self.ask.transcoding || self.ask.direct_stream;
            match self.transcoding_profile().filter(|_| allowed) {
                Some(found) => {
                    let (transcode, reasons) = self.transcode(found, reasons);
                    decision.reasons = reasons;
                    decision.transcode = Some(transcode);
                }
                None if has_profile(self.profile, "Video") => {
                    let audio = self.audio().map(|s| s.index);
                    decision.transcode = Some(Transcode::degenerate(audio));
                }
                None => {}
            }
        }
        let way = decision
            .transcode
            .as_ref()
            .map(|t| (t.container.as_str(), t.hls))
            .or_else(|| (!decision.direct_play).then_some(("", false)));
        let subtitles = self
            .source
            .streams
            .iter()
            .filter(|s| s.kind == StreamKind::Subtitle);
        decision.subtitles = subtitles
            .map(|s| (s.index, subtitles::delivery(self.profile, s, way)))
            .collect();
        decision
    }

    fn audio(&self) -> Option<&Stream> {
        self.source.audio(self.ask.audio_index)
    }

    /// Sounds that may be played as they are: the one asked for, or those marked as default.
    fn candidates(&self) -> Vec<&Stream> {
        match self.ask.audio_index {
            Some(_) => self.audio().into_iter().collect(),
            None => self
                .source
                .streams
                .iter()
                .filter(|s| s.kind == StreamKind::Audio && s.default)
                .collect(),
        }
    }

    fn subtitle_index(&self) -> Option<i64> {
        self.ask.subtitle_index.or(self.source.default_subtitle)
    }

    fn subtitle(&self) -> Option<&Stream> {
        self.source.subtitle(self.subtitle_index()?)
    }

    fn too_fast(&self) -> bool {
        let rate = self.source.bitrate.unwrap_or(40_000_000);
        self.ask.max_bitrate.is_some_and(|max| rate > max)
    }

    /// The profile that plays it as it is, or why none does.
    fn direct_play(&self) -> (Option<&Direct>, Reasons) {
        if self.too_fast() {
            return (None, Reasons::BITRATE);
        }
        let container = &self.source.container;
        let video = self.source.video();
        let always = self.profile.container_failures(container, video).and(
            match self
                .subtitle()
                .map(|s| subtitles::delivery(self.profile, s, None))
            {
                Some(way) if way.is("Encode") || way.is("Hls") => Reasons::SUBTITLE,
                Some(_) | None => Reasons::NONE,
            },
        );
        let video_failures = video.map_or(Reasons::NONE, |s| {
            self.profile.failures("Video", container, s, false)
        });
        let mut nearest: Option<Reasons> = None;
        for found in self.profile.direct.iter().filter(|p| p.kind == "Video") {
            let mut reasons = always;
            if !listed_in(found.container.as_deref(), container) {
                reasons = reasons.and(Reasons::CONTAINER);
            }
            let codec = video.map_or("", |s| s.codec.as_str());
            if listed_in(found.video.as_deref(), codec) {
                reasons = reasons.and(video_failures);
            } else {
                reasons = reasons.and(Reasons::VIDEO_CODEC);
            }
            reasons = reasons.and(self.direct_audio(found));
            if reasons.is_none() && self.ask.direct_play && !self.source.live {
                return (Some(found), reasons);
            }
            if nearest.is_none_or(|n| reasons.rank() > n.rank()) {
                nearest = Some(reasons);
            }
        }
        match nearest {
            Some(reasons) if !reasons.is_none() => (None, reasons),
            Some(_) | None => (None, Reasons::DIRECT_PLAY),
        }
    }

    fn direct_audio(&self, found: &Direct) -> Reasons {
        let candidates = self.candidates();
        if candidates.is_empty() {
            return Reasons::NONE;
        }
        let fits = candidates
            .iter()
            .find(|s| listed_in(found.audio.as_deref(), &s.codec));
        match fits {
            None => Reasons::AUDIO_CODEC,
            Some(stream) => {
                self.profile
                    .failures("VideoAudio", &self.source.container, stream, false)
            }
        }
    }

    /// The profile that needs the least work.
    fn transcoding_profile(&self) -> Option<&Transcoding> {
        let only_ts = self.source.live;
        let fits = |t: &&Transcoding| {
            t.kind == "Video" && t.streaming && (!only_ts || t.container.eq_ignore_ascii_case("ts"))
        };
        let rank = |t: &&Transcoding| {
            let has = |list: &[String], codec: &str| {
                list.is_empty() || list.iter().any(|c| c.eq_ignore_ascii_case(codec))
            };
            let video = match self.source.video() {
                Some(s) if self.ask.video_copy && has(&t.video, &s.codec) => {
                    let failed = self.profile.failures("Video", &t.container, s, false);
                    if failed.is_none() { 1 } else { 2 }
                }
                Some(_) | None => 3,
            };
            let sound = match self.audio() {
                Some(s) if has(&t.audio, &s.codec) => {
                    let failed = self.profile.failures("VideoAudio", &t.container, s, false);
                    if failed.is_none() { 1 } else { 2 }
                }
                Some(_) | None => 3,
            };
            (video, sound)
        };
        self.profile
            .transcoding
            .iter()
            .filter(fits)
            .min_by_key(rank)
    }

    fn transcode(&self, found: &Transcoding, reasons: Reasons) -> (Transcode, Reasons) {
        let mut reasons = reasons;
        let newer = self.ask.version == Version::V12_0;
        let container = found.container.to_ascii_lowercase();
        let keep = |list: &[String], known: &[&str]| -> Vec<String> {
            let legal = |c: &&String| !found.hls || known.iter().any(|k| k.eq_ignore_ascii_case(c));
            list.iter().filter(legal).cloned().collect()
        };
        let video = keep(&found.video, &HLS_VIDEO);
        let sounds = if container == "mp4" {
            keep(&found.audio, &HLS_MP4_AUDIO)
        } else {
            keep(&found.audio, &HLS_TS_AUDIO)
        };
        let has = |list: &[String], codec: &str| list.iter().any(|c| c.eq_ignore_ascii_case(codec));
        let own = self.source.video();
        if newer && own.is_some_and(|s| !has(&video, &s.codec)) {
            reasons = reasons.and(Reasons::VIDEO_CODEC);
        }
        let fitting = self
            .candidates()
            .into_iter()
            .find(|s| has(&sounds, &s.codec));
        if newer && fitting.is_none() {
            reasons = reasons.and(Reasons::AUDIO_CODEC);
        }
        let max_channels = found.channels;
        let limit = match (max_channels, self.ask.max_channels) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let crowded = fitting
            .is_some_and(|s| max_channels.is_some_and(|most| s.channels.unwrap_or(0) > most));
        if crowded {
            reasons = reasons.and(Reasons::CHANNELS);
        }
        let failures = fitting.map_or(Reasons::NONE, |s| {
            self.profile.failures("VideoAudio", &container, s, false)
        });
        reasons = reasons.and(failures);
        let direct =
            fitting.filter(|_| !crowded && failures.is_none() && !reasons.has(Reasons::BITRATE));
        let audio = self.audio();
        let codecs = direct.map_or_else(|| sounds.clone(), |s| vec![s.codec.clone()]);

        let mut out = Transcode {
            hls: found.hls,
            container,
            video,
            audio: codecs,
            audio_index: audio.map(|s| s.index),
            max_frames: own.and_then(|s| s.frames),
            segment_length: found.segment_length,
            min_segments: found.min_segments,
            break_on_non_key: found.break_on_non_key,
            max_channels,
            subtitles_in_manifest: found.subtitles_in_manifest,
            copy_timestamps: found.copy_timestamps,
            vbr: found.vbr,
            start_ticks: self.ask.start_ticks,
            ..Transcode::degenerate(None)
        };
        if let Some(stream) = own {
            out.describe_video(stream);
        }
        if let Some(sound) = direct {
            out.describe_audio(own, sound);
        }
        self.apply_profiles(&mut out, found);
        let target = out.target_channels(limit);
        let rate = audio::rate(self.ask.max_bitrate, &out.audio, audio, target);
        out.audio_rate = Some(rate);
        if let Some(max) = self.ask.max_bitrate {
            let video_rate = (max - rate).max(64_000);
            out.video_rate = Some(out.video_rate.map_or(video_rate, |r| r.min(video_rate)));
        }
        if let Some(index) = self.subtitle_index() {
            out.subtitle_index = Some(index);
            let way = self
                .subtitle()
                .map(|s| subtitles::delivery(self.profile, s, Some((&out.container, out.hls))));
            out.subtitle = way;
        }
        (out, reasons)
    }

    fn apply_profiles(&self, out: &mut Transcode, found: &Transcoding) {
        for condition in &found.conditions {
            out.apply(condition, None);
        }
        let container = out.container.clone();
        for (kind, codecs) in [
            ("Video", out.video.clone()),
            ("VideoAudio", out.audio.clone()),
        ] {
            let own = match kind {
                "Video" => self.source.video(),
                _ => self.audio(),
            };
            for p in self.profile.codecs.iter().rev().filter(|p| p.kind == kind) {
                let here = listed_in(p.container.as_deref(), &container);
                let holds = own.is_none_or(|s| p.apply.iter().all(|c| c.met(s, false)));
                if !here || !holds {
                    continue;
                }
                for codec in codecs.iter().filter(|c| listed_in(p.codec.as_deref(), c)) {
                    for condition in &p.conditions {
                        out.apply(condition, Some(codec));
                    }
                }
            }
        }
    }
}

// === impl Decision ===

impl Decision {
    pub(super) fn none(source: &Source) -> Self {
        Self {
            direct_play: false,
            container: source.container.clone(),
            transcode: None,
            transcodable: false,
            reasons: Reasons::NONE,
            subtitles: Vec::new(),
        }
    }
}

// === impl Transcode ===

impl Transcode {
    /// An address that says nothing: what the server gives if nothing is allowed but something would be possible.
    pub(super) fn degenerate(audio_index: Option<i64>) -> Self {
        Self {
            music: false,
            hls: false,
            container: String::new(),
            video: Vec::new(),
            audio: Vec::new(),
            audio_index,
            subtitle_index: None,
            subtitle: None,
            video_rate: None,
            audio_rate: None,
            sample_rate: None,
            max_frames: None,
            max_width: None,
            max_height: None,
            segment_length: 0,
            min_segments: 0,
            break_on_non_key: false,
            require_non_anamorphic: false,
            max_channels: None,
            subtitles_in_manifest: false,
            copy_timestamps: false,
            require_avc: false,
            vbr: false,
            start_ticks: 0,
            options: Vec::new(),
        }
    }

    pub(in crate::sim) fn is_hls(&self) -> bool {
        self.hls
    }

    pub(in crate::sim) fn container(&self) -> &str {
        &self.container
    }

    fn describe_video(&mut self, s: &Stream) {
        if let Some(level) = s.level {
            self.set(&s.codec, "level", level.to_string());
        }
        if let Some(bits) = s.bits {
            self.set(&s.codec, "videobitdepth", bits.to_string());
        }
        if let Some(profile) = &s.profile {
            self.set(&s.codec, "profile", profile.to_ascii_lowercase());
        }
    }

    fn describe_audio(&mut self, video: Option<&Stream>, s: &Stream) {
        self.sample_rate = s.sample_rate;
        if let (Some(video), Some(channels)) = (video, s.channels) {
            self.set(&video.codec, "audiochannels", channels.to_string());
        }
        if let Some(profile) = &s.profile {
            self.set(&s.codec, "profile", profile.to_ascii_lowercase());
        }
    }

    fn option(&self, codec: &str, name: &str) -> Option<&str> {
        let key = format!("{codec}-{name}");
        self.options
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value.as_str())
    }

    fn set(&mut self, codec: &str, name: &str, value: String) {
        let key = format!("{}-{name}", codec.to_ascii_lowercase());
        match self.options.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.options.push((key, value)),
        }
    }

    fn set_number(&mut self, codec: &str, name: &str, is: Comparison, value: i64) {
        let old = self.option(codec, name).and_then(|v| v.parse::<i64>().ok());
        if let Some(number) = bounded(old, is, value) {
            self.set(codec, name, number.to_string());
        }
    }

    fn target_channels(&self, limit: Option<i64>) -> Option<i64> {
        let codec = self.audio.first()?;
        let own = self
            .option(codec, "audiochannels")
            .and_then(|v| v.parse::<i64>().ok());
        match (own, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Writes a condition into the address.
    fn apply(&mut self, condition: &Condition, codec: Option<&str>) {
        let value = condition.value.trim();
        let is = condition.is;
        let number = value.parse::<i64>().ok();
        let codec = codec.unwrap_or_default();
        let yes = value.eq_ignore_ascii_case("true");
        let wanted = (is == Comparison::Equals && yes) || (is == Comparison::NotEquals && !yes);
        match (condition.property.as_str(), number) {
            ("AudioChannels", Some(n)) => self.set_number(codec, "audiochannels", is, n),
            ("AudioBitrate", Some(n)) => self.audio_rate = bounded(self.audio_rate, is, n),
            ("AudioSampleRate", Some(n)) => self.sample_rate = bounded(self.sample_rate, is, n),
            ("VideoBitrate", Some(n)) => self.video_rate = bounded(self.video_rate, is, n),
            ("Width", Some(n)) => self.max_width = bounded(self.max_width, is, n),
            ("Height", Some(n)) => self.max_height = bounded(self.max_height, is, n),
            ("VideoLevel", Some(n)) => self.set_number(codec, "level", is, n),
            ("VideoBitDepth", Some(n)) => self.set_number(codec, "videobitdepth", is, n),
            ("AudioBitDepth", Some(n)) => self.set_number(codec, "audiobitdepth", is, n),
            ("RefFrames", Some(n)) => self.set_number(codec, "maxrefframes", is, n),
            ("VideoProfile", _) => self.set_any(codec, "profile", is, value),
            ("VideoRangeType", _) => self.set_any(codec, "rangetype", is, value),
            ("VideoCodecTag", _) => self.set_any(codec, "codectag", is, value),
            ("AudioProfile", _) => self.set_any(codec, "profile", is, value),
            ("IsInterlaced", _) if !wanted => self.set(codec, "deinterlace", "true".to_owned()),
            ("IsAnamorphic", _) if !wanted => self.require_non_anamorphic = true,
            ("IsAvc", _) if wanted => self.require_avc = true,
            ("VideoFramerate", _) => {
                if let Ok(limit) = value.parse::<f64>() {
                    self.max_frames = Some(self.max_frames.map_or(limit, |f| f.min(limit)));
                }
            }
            _ => {}
        }
    }

    /// Values that are allowed. One that is set already stays if it is among them.
    fn set_any(&mut self, codec: &str, name: &str, is: Comparison, value: &str) {
        let values: Vec<&str> = value.split('|').map(str::trim).collect();
        match is {
            Comparison::Equals | Comparison::AnyOf => {
                let kept: Vec<String> = self
                    .option(codec, name)
                    .into_iter()
                    .flat_map(|old| old.split(','))
                    .filter(|old| values.iter().any(|v| v.eq_ignore_ascii_case(old)))
                    .map(str::to_owned)
                    .collect();
                let next = if kept.is_empty() {
                    values.join(",")
                } else {
                    kept.join(",")
                };
                self.set(codec, name, next);
            }
            Comparison::NotEquals | Comparison::AtMost | Comparison::AtLeast => {}
        }
    }
}

fn bounded(old: Option<i64>, is: Comparison, value: i64) -> Option<i64> {
    match is {
        Comparison::Equals | Comparison::AnyOf => Some(value),
        Comparison::AtMost => Some(old.map_or(value, |o| o.min(value))),
        Comparison::AtLeast => Some(old.map_or(value, |o| o.max(value))),
        Comparison::NotEquals => old,
    }
}
