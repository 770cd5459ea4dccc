//! Times, durations and pictures as people write them in a scenario.

use serde::{Deserialize, Deserializer, de::Error};

use super::chance::Chance;
use crate::{
    admission::{Codec, Hdr},
    gpu::model::Shape,
};

/// Milliseconds of virtual time.
pub(super) type Ms = u64;

/// The nearest whole milliseconds of a number of seconds; what is negative or no number is zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped just before"
)]
pub(super) fn ms(seconds: f64) -> Ms {
    (seconds * 1000.0).round().clamp(0.0, 1e15) as Ms
}

/// Seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "an evening is far below 2^52 ms"
)]
pub(super) fn seconds(time: Ms) -> f64 {
    time as f64 / 1000.0
}

/// A duration: `20s`, `5m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Ms);

/// A duration that is drawn anew each time: `10m-30m`, or one that is not: `10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Between(pub(super) Ms, pub(super) Ms);

/// A number of times that is drawn anew: `1-3`, or one that is not: `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64, pub(super) u64);

/// A time of day: `20:00`. Small hours belong to the evening before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock(pub(super) Ms);

/// When people come: `20:00-20:30`, evenly spread, or all at `20:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours(pub(super) Clock, pub(super) Clock);

/// A picture: `hevc 2160p 24 10bit hdr`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Video {
    pub(super) codec: Codec,
    pub(super) size: (u32, u32),
    pub(super) frames: f64,
    pub(super) bits: u8,
    pub(super) hdr: Hdr,
}

/// What Jellyfin makes for a player: `h264 1080p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) codec: Codec,
    pub(super) size: (u32, u32),
}

/// The size of a cheaper form: `720p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lines(pub(super) (u32, u32));

// === impl Span, Between, Count, Clock, Hours ===

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no duration; write 20s, 5m or 1h30m");
        let mut total: Ms = 0;
        let mut digits = String::new();
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let number: Ms = digits.parse().map_err(|_| bad())?;
            digits.clear();
            let unit = match c {
                's' => 1000,
                'm' => 60_000,
                'h' => 3_600_000,
                _ => return Err(bad()),
            };
            total = total.saturating_add(number.saturating_mul(unit));
        }
        match (digits.as_str(), text.trim()) {
            ("", rest) if !rest.is_empty() => Ok(Self(total)),
            ("0", "0") => Ok(Self(0)),
            _ => Err(bad()),
        }
    }
}

impl std::str::FromStr for Between {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (Span(from), Span(to)) = (from.parse()?, to.parse()?);
        if from > to {
            return Err(format!("`{text}` goes backwards"));
        }
        Ok(Self(from, to))
    }
}

impl Between {
    pub(super) fn draw(self, chance: &mut Chance) -> Ms {
        chance.between(self.0, self.1)
    }
}

impl std::str::FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |_| format!("`{text}` is no count; write 2 or 1-3");
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let from = from.trim().parse().map_err(bad)?;
        let to = to.trim().parse().map_err(bad)?;
        if from > to {
            return Err(format!("`{text}` goes backwards"));
        }
        Ok(Self(from, to))
    }
}

impl Count {
    pub(super) fn draw(self, chance: &mut Chance) -> u64 {
        chance.between(self.0, self.1)
    }
}

impl std::str::FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no time of day; write \"20:00\"");
        let (hour, minute) = text.trim().split_once(':').ok_or_else(bad)?;
        let hour: Ms = hour.parse().map_err(|_| bad())?;
        let minute: Ms = minute.parse().map_err(|_| bad())?;
        if hour > 24 || minute > 59 {
            return Err(bad());
        }
        Ok(Self((hour * 60 + minute) * 60_000))
    }
}

impl Clock {
    /// After the beginning of the evening; what seems to be before it is the next day.
    pub(super) fn since(self, from: Self) -> Ms {
        const DAY: Ms = 24 * 3_600_000;
        (self.0 + DAY - from.0 % DAY) % DAY
    }
}

impl std::str::FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Ok(Self(from.parse()?, to.parse()?))
    }
}

// === impl Video, Output, Lines ===

fn codec(word: &str) -> Option<Codec> {
    Some(match word {
        "h264" => Codec::H264,
        "hevc" => Codec::Hevc,
        "av1" => Codec::Av1,
        "vp9" => Codec::Vp9,
        "mpeg2" | "vc1" => Codec::Other,
        _ => return None,
    })
}

fn size(word: &str) -> Option<(u32, u32)> {
    Some(match word {
        "2160p" => (3840, 2160),
        "1440p" => (2560, 1440),
        "1080p" => (1920, 1080),
        "720p" => (1280, 720),
        "480p" => (854, 480),
        "360p" => (640, 360),
        other => {
            let (width, height) = other.split_once('x')?;
            (width.parse().ok()?, height.parse().ok()?)
        }
    })
}

impl std::str::FromStr for Video {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut video = Self {
            codec: Codec::H264,
            size: (0, 0),
            frames: 24.0,
            bits: 8,
            hdr: Hdr::Sdr,
        };
        let mut named = false;
        for word in text.split_whitespace() {
            if let Some(codec) = codec(word) {
                video.codec = codec;
                named = true;
            } else if let Some(size) = size(word) {
                video.size = size;
            } else if let Some(bits) = word.strip_suffix("bit").and_then(|b| b.parse().ok()) {
                video.bits = bits;
            } else if let Some(frames) = word.parse().ok().filter(|f| (1.0..=120.0).contains(f)) {
                video.frames = frames;
            } else {
                match word {
                    "hdr" => (video.hdr, video.bits) = (Hdr::Hdr, 10),
                    "dv" => (video.hdr, video.bits) = (Hdr::DolbyVision, 10),
                    "sdr" => video.hdr = Hdr::Sdr,
                    _ => {
                        return Err(format!(
                            "`{word}` says nothing about a picture; write one like `hevc 2160p 24 10bit hdr`"
                        ));
                    }
                }
            }
        }
        if !named || video.size == (0, 0) {
            return Err(format!(
                "`{text}` must name a codec and a size, as in `h264 1080p`"
            ));
        }
        Ok(video)
    }
}

impl std::str::FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let video: Video = text.parse()?;
        Ok(Self {
            codec: video.codec,
            size: video.size,
        })
    }
}

impl std::str::FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        size(text.trim()).map(Self).ok_or_else(|| {
            format!("`{text}` is no size; write 2160p 1440p 1080p 720p 480p 360p or 1280x720")
        })
    }
}

impl Video {
    /// What FFmpeg has to do to show this to a player that takes `output`, no larger than `most`.
    pub(super) fn shape(&self, output: Output, most: Option<(u32, u32)>, burn_in: bool) -> Shape {
        let mut size_out = output.size;
        for limit in [Some(self.size), most].into_iter().flatten() {
            if limit.0 < size_out.0 {
                size_out = limit;
            }
        }
        let hdr = self.hdr != Hdr::Sdr;
        Shape {
            codec_in: self.codec.as_str().to_owned(),
            size_in: self.size,
            frames: self.frames,
            bits: self.bits,
            hdr,
            dolby_vision: self.hdr == Hdr::DolbyVision,
            codec_out: output.codec.as_str().to_owned(),
            size_out,
            tone_map: hdr,
            burn_in,
        }
    }
}

macro_rules! from_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
from_text!(Span Between Count Clock Hours Video Output Lines);
