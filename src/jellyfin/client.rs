//! Which player this is, how long it waits, and how it takes a refusal (clients 1, 11, 14).

use std::time::Duration;

/// A player that is known to behave in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// jellyfin-web and its wrappers.
    Web,
    /// Jellyfin for Android TV.
    AndroidTv,
    /// Jellyfin for Android.
    Android,
    /// Swiftfin on any Apple platform.
    Swiftfin,
    /// jellyfin-mpv-shim.
    MpvShim,
    /// The Kodi add-on.
    Kodi,
    /// The Roku channel.
    Roku,
    /// The Chromecast receiver.
    Chromecast,
    /// Jellyfin Vue.
    Vue,
    /// Streamyfin, which behaves as Swiftfin.
    Streamyfin,
    /// Findroid, which only direct plays.
    Findroid,
    /// Infuse, which only direct plays.
    Infuse,
    /// Anything else.
    Unknown,
}

/// The shape of a refusal (clients 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// E: 200 with `ErrorCode: RateLimitExceeded` and no sources.
    ErrorCode,
    /// N: 200, the sources kept, nothing of them supported.
    NothingSupported,
    /// H: HTTP 429 with `Retry-After` and problem+json.
    Http,
}

/// When something is refused or held, as far as players take it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The first PlaybackInfo of a film.
    Initial,
    /// The first PlaybackInfo of a live channel.
    LiveTv,
    /// A PlaybackInfo while something plays on that device.
    MidPlay,
}

impl Client {
    /// Recognises a player by the `Client` it claims and, where there is none, its `User-Agent`.
    pub fn of(client: Option<&str>, user_agent: Option<&str>) -> Self {
        let _ = (client, user_agent);
        Self::Unknown
    }

    /// The name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::AndroidTv => "android-tv",
            Self::Android => "android",
            Self::Swiftfin => "swiftfin",
            Self::MpvShim => "mpv-shim",
            Self::Kodi => "kodi",
            Self::Roku => "roku",
            Self::Chromecast => "chromecast",
            Self::Vue => "vue",
            Self::Streamyfin => "streamyfin",
            Self::Findroid => "findroid",
            Self::Infuse => "infuse",
            Self::Unknown => "unknown",
        }
    }

    /// How long it waits for a PlaybackInfo, what Jellyfin needs included (clients 11.2).
    pub fn patience(self) -> Duration {
        Duration::from_secs(15)
    }

    /// How it wants to be refused.
    pub fn shape(self, moment: Moment) -> Shape {
        let _ = moment;
        Shape::ErrorCode
    }

    /// Whether it shows a `DisplayMessage` (clients 13).
    pub fn shows_messages(self) -> bool {
        false
    }
}
