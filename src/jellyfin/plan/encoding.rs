//! What of a server's settings and a user's permissions decides between copy and encode, and into what.

use serde_json::Value;

use crate::jellyfin::members::{flag, text};

/// The settings of a server that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Major and minor version of the server.
    pub version: (u16, u16),
    /// HDR is tone-mapped when it is encoded.
    pub tone_mapping: bool,
    /// `AllowHevcEncoding`.
    pub hevc: bool,
    /// `AllowAv1Encoding`.
    pub av1: bool,
    /// Its FFmpeg can take dynamic HDR metadata out of a stream while it copies (Jellyfin's own can, from 7.1 on).
    pub strips_dynamic_hdr: bool,
}

/// The permissions of a user that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPolicy {
    /// `EnableVideoPlaybackTranscoding`: without it Jellyfin copies the video, fit or not. Requests without a user
    /// (anonymous, API key) have it.
    pub video_transcoding: bool,
}

// === impl Encoding ===

impl Default for Encoding {
    /// Jellyfin's settings as they come.
    fn default() -> Self {
        Self {
            version: (12, 0),
            tone_mapping: false,
            hevc: false,
            av1: false,
            strips_dynamic_hdr: true,
        }
    }
}

impl Encoding {
    /// What to assume of a server whose settings can't be read: HDR costs its tone mapping.
    pub fn dearest() -> Self {
        Self {
            tone_mapping: true,
            ..Self::default()
        }
    }

    /// Reads the answer of `GET /System/Configuration/encoding`.
    pub fn read(value: &Value, version: (u16, u16)) -> Self {
        let hardware = text(value, "HardwareAccelerationType").unwrap_or_default();
        let hardware = |name: &str| hardware.eq_ignore_ascii_case(name);
        Self {
            version,
            tone_mapping: flag(value, "EnableTonemapping")
                || (flag(value, "EnableVppTonemapping") && (hardware("qsv") || hardware("vaapi")))
                || (flag(value, "EnableVideoToolboxTonemapping") && hardware("videotoolbox")),
            hevc: flag(value, "AllowHevcEncoding"),
            av1: flag(value, "AllowAv1Encoding"),
            ..Self::default()
        }
    }

    /// The codec that the video would be encoded to: the first of the list, after those that the server does not
    /// encode to were moved to its end. `None`: no list.
    pub(super) fn codec_out(&self, listed: &[String]) -> Option<String> {
        let shifted = |codec: &&String| match codec.as_str() {
            "hevc" | "h265" => !self.hevc,
            "av1" => !self.av1,
            _ => false,
        };
        let first = listed
            .iter()
            .find(|codec| !shifted(codec))
            .or(listed.first())?;
        Some(match first.as_str() {
            "h265" => "hevc".to_owned(),
            other => other.to_owned(),
        })
    }
}

// === impl UserPolicy ===

impl Default for UserPolicy {
    /// A user who may have everything.
    fn default() -> Self {
        Self {
            video_transcoding: true,
        }
    }
}

impl UserPolicy {
    /// Reads the `Policy` of a user. What it does not say is allowed.
    pub fn read(value: &Value) -> Self {
        let member = crate::jellyfin::members::member(value, "EnableVideoPlaybackTranscoding");
        Self {
            video_transcoding: member != Some(&Value::Bool(false)),
        }
    }
}
