//! What a transcode takes: [`Work`] → [`Seats`].
//!
//! One formula with five knobs explains the published and measured numbers of a machine to about a quarter:
//!
//! ```text
//! D, E  = pixels per second decoded, encoded, in units of 1080p30
//! seats = (0.5 D codec_in (ten_bit if > 8 bits) + 0.5 E codec_out + (tone_map D if HDR becomes SDR))
//!         * (uhd_surcharge if the source is 2560x1440 or more) * (dolby_vision) * (burn_in)
//! ```
//!
//! Floating point stays inside the formula: what leaves it is whole thousandths.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Gpu;

/// A number of seats in thousandths. 1 seat = one 1080p30 8-bit H.264 → 1080p H.264 transcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seats(u32);

/// A video codec, as far as its cost differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
    /// MPEG-2, VC-1, MPEG-4 part 2 and what else is decoded at the same price.
    Other,
}

/// The dynamic range of a video stream, as far as its cost differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hdr {
    /// Standard range.
    Sdr,
    /// HDR10, HDR10+ or HLG.
    Hdr,
    /// Dolby Vision of any profile.
    DolbyVision,
}

/// What must be done for one video transcode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Codec of the source.
    pub codec_in: Codec,
    /// Width and height of the source, pixels.
    pub size_in: (u32, u32),
    /// Frames per second of the source, thousandths.
    pub millifps: u32,
    /// Bits per sample of the source.
    pub bits: u8,
    /// Dynamic range of the source.
    pub hdr: Hdr,
    /// Codec of the output.
    pub codec_out: Codec,
    /// Width and height of the output, pixels.
    pub size_out: (u32, u32),
    /// HDR becomes SDR.
    pub tone_map: bool,
    /// Subtitles are drawn into the picture.
    pub burn_in: bool,
}

/// The knobs of the cost formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// Factor on decode work for tone-mapping; each GPU may have its own.
    pub tone_map: f64,
    /// Factor for sources of 2560x1440 and more.
    pub uhd_surcharge: f64,
    /// Factor for more than 8 bits.
    pub ten_bit: f64,
    /// Factor for Dolby Vision.
    pub dolby_vision: f64,
    /// Factor for burned-in subtitles.
    pub burn_in: f64,
}

// === impl Seats ===

impl Seats {
    /// None.
    pub const ZERO: Self = Self(0);

    /// Takes thousandths.
    pub const fn from_milli(milli: u32) -> Self {
        Self(milli)
    }

    /// Rounds to thousandths; what is negative or not a number is zero.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped just before"
    )]
    pub fn from_f64(seats: f64) -> Self {
        Self((seats * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32)
    }

    /// Returns thousandths.
    pub const fn milli(self) -> u32 {
        self.0
    }

    /// For metrics and people only; the ledger never computes with this.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Adds, stopping at the largest number.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_add(50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

impl Serialize for Seats {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Seats {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f64::deserialize(from).map(Self::from_f64)
    }
}

// === impl CostModel ===

impl Default for CostModel {
    fn default() -> Self {
        Self {
            tone_map: 0.25,
            uhd_surcharge: 1.15,
            ten_bit: 1.25,
            dolby_vision: 1.25,
            burn_in: 1.25,
        }
    }
}

impl CostModel {
    /// One unit of work: 1920x1080 at 30 frames a second.
    const REFERENCE: f64 = 1920.0 * 1080.0 * 30.0;
    /// The least that a transcode takes, in thousandths: starting FFmpeg is never free.
    const LEAST: Seats = Seats(250);

    /// What `work` takes, before it is clamped to a GPU.
    pub fn seats(&self, work: &Work) -> Seats {
        self.priced(work, self.tone_map)
    }

    /// What `work` takes of `gpu`: with its own tone-mapping factor, and never more than all of it.
    pub fn seats_on(&self, work: &Work, gpu: &Gpu) -> Seats {
        let whole = self.priced(work, gpu.tone_map);
        if gpu.capacity >= Self::LEAST {
            whole.min(gpu.capacity)
        } else {
            whole
        }
    }

    /// Whether `work` would need more than all of `gpu`, so that it may only run alone there.
    pub fn is_wider(&self, work: &Work, gpu: &Gpu) -> bool {
        self.priced(work, gpu.tone_map) > gpu.capacity
    }

    fn priced(&self, work: &Work, tone_map: f64) -> Seats {
        let decode = Self::pixel_rate(work.size_in, work.millifps);
        let encode = Self::pixel_rate(work.size_out, work.millifps);
        let ten_bit = if work.bits > 8 { self.ten_bit } else { 1.0 };
        let mut seats = 0.5 * decode * work.codec_in.decode() * ten_bit
            + 0.5 * encode * work.codec_out.encode();
        if work.tone_map {
            seats += tone_map * decode;
        }
        if u64::from(work.size_in.0) * u64::from(work.size_in.1) >= 2560 * 1440 {
            seats *= self.uhd_surcharge;
        }
        if work.hdr == Hdr::DolbyVision {
            seats *= self.dolby_vision;
        }
        if work.burn_in {
            seats *= self.burn_in;
        }
        Seats::from_f64(seats).max(Self::LEAST)
    }

    /// A source that names no frame rate is taken for film.
    fn pixel_rate(size: (u32, u32), millifps: u32) -> f64 {
        let fps = if millifps == 0 { 24_000 } else { millifps };
        f64::from(size.0) * f64::from(size.1) * f64::from(fps) / 1000.0 / Self::REFERENCE
    }
}

// === impl Codec ===

impl Codec {
    /// Its name in `/state` and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
            Self::Other => "other",
        }
    }

    const fn decode(self) -> f64 {
        match self {
            Self::H264 | Self::Hevc | Self::Other => 1.0,
            Self::Vp9 => 1.10,
            Self::Av1 => 1.15,
        }
    }

    const fn encode(self) -> f64 {
        match self {
            Self::H264 | Self::Vp9 | Self::Other => 1.0,
            Self::Hevc => 1.25,
            Self::Av1 => 1.35,
        }
    }
}

// === impl Work ===

impl Work {
    /// What an unknown source is priced as: 4K24 HDR10 HEVC to 1080p H.264 (design 3).
    pub const UNKNOWN: Self = Self {
        codec_in: Codec::Hevc,
        size_in: (3840, 2160),
        millifps: 24_000,
        bits: 10,
        hdr: Hdr::Hdr,
        codec_out: Codec::H264,
        size_out: (1920, 1080),
        tone_map: true,
        burn_in: false,
    };

    /// Whether the source is 4K, for rules about 4K.
    pub fn is_uhd(&self) -> bool {
        self.size_in.0 > 2560 || self.size_in.1 > 1440
    }
}

/// `hevc 2160p hdr -> h264 1080p`.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = match self.hdr {
            Hdr::Sdr => "",
            Hdr::Hdr => " hdr",
            Hdr::DolbyVision => " dv",
        };
        let (from, to) = (lines(self.size_in), lines(self.size_out));
        let (codec_in, codec_out) = (self.codec_in.as_str(), self.codec_out.as_str());
        write!(f, "{codec_in} {from}p{range} -> {codec_out} {to}p")?;
        if self.burn_in {
            f.write_str(" + subtitles")?;
        }
        Ok(())
    }
}

/// Lines as people name them: a film of 3840x1600 is a 2160p one with black bars cut off.
fn lines((width, height): (u32, u32)) -> u32 {
    const NAMED: [(u32, u32); 5] = [
        (3840, 2160),
        (2560, 1440),
        (1920, 1080),
        (1280, 720),
        (854, 480),
    ];
    NAMED
        .iter()
        .find(|(w, h)| width >= *w || height >= *h)
        .map_or(height, |(_, h)| *h)
}
