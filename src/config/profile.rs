//! What GPUs of a kind can bear: raw seats and the factor for tone-mapping.
//!
//! Calibrated on Intel's published charts, the quicksync_calc database and single machines of users; good to about
//! 25 %. `docs/sources.md`, GPUs and seats, says which number is from where, and which is an estimate. Intel numbers hold
//! with low-power encoding on.

use schemars::JsonSchema;
use serde::Deserialize;

/// Without low-power encoding an Intel GPU gives this part of its capacity for H.264 output
/// (`docs/sources.md`, GPUs and seats).
pub(super) const LOW_POWER_OFF: f64 = 0.6;

/// Seats of one physical core (`docs/sources.md`, GPUs and seats).
pub(super) const SEATS_PER_CORE: f64 = 0.5;

macro_rules! profiles {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $raw:literal, $tone_map:literal;)*) => {
        /// A kind of GPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        pub(super) enum Profile { $($(#[$doc])* #[serde(rename = $word)] $variant,)* }

        impl Profile {
            /// Every one.
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it can bear, in seats. Zero: it depends on the cores.
            pub(super) const fn raw(self) -> f64 {
                match self { $(Self::$variant => $raw,)* }
            }

            /// Its factor on decode work for tone-mapping.
            pub(super) const fn tone_map(self) -> f64 {
                match self { $(Self::$variant => $tone_map,)* }
            }
        }
    };
}

profiles! {
    /// Pentium and Celeron of the 6th and 7th generation.
    IntelHd510 = "intel-hd510", 3.0, 0.5;
    /// HD 520 and 530, Skylake; no 10-bit HEVC.
    IntelHd530 = "intel-hd530", 6.0, 0.4;
    /// Gemini Lake: J4105, J4125, N4x00.
    IntelUhd600 = "intel-uhd600", 7.5, 1.0;
    /// HD and UHD 610 to 620, mobile.
    IntelUhd620 = "intel-uhd620", 8.0, 0.5;
    /// Jasper Lake: N5095, N5105, N6005.
    IntelJasper = "intel-jasper", 8.0, 0.5;
    /// Kaby Lake.
    IntelHd630 = "intel-hd630", 9.0, 0.4;
    /// Coffee and Comet Lake.
    IntelUhd630 = "intel-uhd630", 11.0, 0.4;
    /// N95, N97, N100, N150, N305.
    IntelN100 = "intel-n100", 9.0, 0.25;
    /// UHD 710, 730, 750, and U-series of the 12th and 13th generation.
    IntelUhd730 = "intel-uhd730", 10.0, 0.25;
    /// UHD 770: two media engines.
    IntelUhd770 = "intel-uhd770", 18.0, 0.25;
    /// Iris Xe: two media engines.
    IntelIrisXe = "intel-irisxe", 18.0, 0.25;
    /// Core Ultra 1xx and 2xx.
    IntelXeLpg = "intel-xe-lpg", 22.0, 0.25;
    /// Arc A310 and A380.
    IntelArcA3xx = "intel-arc-a3xx", 24.0, 0.25;
    /// Arc A580 to A770, B570, B580.
    IntelArc = "intel-arc", 28.0, 0.25;
    /// One weak NVDEC: P400, T400, GTX 1650.
    NvidiaEntry = "nvidia-entry", 6.0, 0.25;
    /// P2000, 1660 and more, 20xx.
    NvidiaTuring = "nvidia-turing", 18.0, 0.25;
    /// 30xx.
    NvidiaAmpere = "nvidia-ampere", 18.0, 0.25;
    /// 40xx, RTX 4000 Ada.
    NvidiaAda = "nvidia-ada", 28.0, 0.25;
    /// 50xx.
    NvidiaBlackwell = "nvidia-blackwell", 28.0, 0.25;
    /// VCN 2 to 4 of a processor.
    AmdApu = "amd-apu", 8.0, 0.25;
    /// VCN 2 to 4 of a card.
    AmdDgpu = "amd-dgpu", 14.0, 0.25;
    /// Apple M.
    AppleM = "apple-m", 14.0, 0.25;
    /// RK3588.
    Rk3588 = "rk3588", 6.0, 0.25;
    /// The CPU: half a seat per physical core.
    Software = "software", 0.0, 2.0;
}

impl Profile {
    /// Whether it has low-power encoders that Jellyfin can turn off.
    pub(super) fn has_low_power(self) -> bool {
        self.as_str().starts_with("intel-") && !matches!(self, Self::IntelArc | Self::IntelArcA3xx)
    }

    /// Whether its driver counts sessions.
    pub(super) fn counts_sessions(self) -> bool {
        self.as_str().starts_with("nvidia-")
    }
}
