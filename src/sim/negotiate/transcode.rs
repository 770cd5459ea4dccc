//! What the address of a transcode says, and how conditions get into it.

use super::{
    profile::{Comparison, Condition},
    subtitles::Delivery,
};
use crate::sim::library::Stream;

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

    pub(super) fn describe_video(&mut self, s: &Stream) {
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

    pub(super) fn describe_audio(&mut self, video: Option<&Stream>, s: &Stream) {
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

    pub(super) fn target_channels(&self, limit: Option<i64>) -> Option<i64> {
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
    pub(super) fn apply(&mut self, condition: &Condition, codec: Option<&str>) {
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
