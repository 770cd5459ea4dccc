//! The decision for one version of a film.

use super::{
    audio, listed_in, one_container,
    profile::{DeviceProfile, Direct, Transcoding},
    reason::Reasons,
    subtitles::{self, Delivery},
    transcode::Transcode,
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
