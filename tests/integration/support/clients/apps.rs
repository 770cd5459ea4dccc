//! The programs that people play with: how each calls itself, what it does of its own, and what its screen shows.
//!
//! [`App::Web`] was recorded (`tests/captures/*/web`). All others are after the sources of their programs as they were
//! read, not run: the order of their requests, the names of their members, their timers and their texts. What they say
//! they can play is taken from the profiles that the recorded servers were asked with.

/// A program that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum App {
    /// jellyfin-web in a browser. Recorded.
    Web,
    /// Jellyfin for Android TV.
    AndroidTv,
    /// Jellyfin for Android, with its own player.
    Android,
    /// Swiftfin: `Authorization` without quotes and in no order, twenty seconds of patience, and whatever has no
    /// TranscodingUrl is played as the file it is.
    Swiftfin,
    /// jellyfin-mpv-shim.
    MpvShim,
    /// The Kodi add-on: writes the bitrate and the size into the TranscodingUrl itself.
    Kodi,
    /// The Roku channel: its wishes stand in the query, and the server prefers them to the body.
    Roku,
    /// The Chromecast receiver.
    Chromecast,
    /// Jellyfin Vue.
    Vue,
    /// Streamyfin, which reads answers as Swiftfin does.
    Streamyfin,
    /// Findroid, which only plays files as they are.
    Findroid,
    /// Infuse, which asks nobody how to play.
    Infuse,
    /// A program that Finweir has no table for.
    Unknown,
}

/// How a program takes a refusal best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 200 with an `ErrorCode`.
    E,
    /// 200, the sources kept, nothing of them supported.
    N,
    /// 429.
    H,
}

/// What is done with the old stream when another is wanted on the same screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// PlaybackInfo, then DELETE of the old encoding, the new stream, and DELETE again. Recorded of the web client.
    DeletesTwice,
    /// PlaybackInfo, then DELETE of the old encoding, then the new stream.
    Deletes,
    /// PlaybackInfo, then Stopped of the old stream, then the new one.
    StopsAfter,
    /// Nothing is said of the old stream, ever.
    Silently,
    /// Stopped, and only then PlaybackInfo.
    StopsFirst,
    /// DELETE of the old encoding, and only then PlaybackInfo.
    DeletesFirst,
    /// Stopped and DELETE, and only then PlaybackInfo.
    StopsAndDeletesFirst,
}

// === impl App ===

impl App {
    /// Those that a transcode is made for.
    pub(crate) const TRANSCODE: [Self; 11] = [
        Self::Web,
        Self::AndroidTv,
        Self::Android,
        Self::Swiftfin,
        Self::MpvShim,
        Self::Kodi,
        Self::Roku,
        Self::Chromecast,
        Self::Vue,
        Self::Streamyfin,
        Self::Unknown,
    ];

    /// Those that only play files as they are.
    pub(crate) const FILES_ONLY: [Self; 2] = [Self::Findroid, Self::Infuse];

    /// Its name in the configuration.
    pub(crate) const fn key(self) -> &'static str {
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

    /// Its `User-Agent`.
    pub(crate) const fn agent(self) -> &'static str {
        match self {
            Self::Web | Self::Vue => super::BROWSER,
            Self::AndroidTv | Self::Android | Self::Findroid => "okhttp/4.12.0",
            Self::Swiftfin => "Swiftfin/1.6 CFNetwork/1498",
            Self::MpvShim => "Jellyfin-MPV-Shim/3.3.0",
            Self::Kodi => "Kodi/21.0",
            Self::Roku => "Roku/DVP-12.0",
            Self::Chromecast => "Mozilla/5.0 (X11; Linux armv7l) Chrome/90.0 CrKey/1.56",
            Self::Streamyfin => "Streamyfin/0.30",
            Self::Infuse => "Infuse-Direct/8.1",
            Self::Unknown => "HomeCinema/0.3",
        }
    }

    /// Its `Authorization` around a token.
    pub(crate) fn authorization(self, id: &str, token: Option<&str>) -> String {
        let name = match self {
            Self::Web => {
                return around(
                    "Client=\"Jellyfin%20Web\", Device=\"Chrome\"",
                    id,
                    "12.0.0",
                    token,
                );
            }
            Self::Swiftfin => {
                let token = token.map_or_else(String::new, |token| format!(", Token={token}"));
                return format!(
                    "MediaBrowser Version=1.6, DeviceId={id}{token}, Device=iPhone, Client=Swiftfin iOS"
                );
            }
            Self::Kodi => {
                let token = token.map_or_else(String::new, |token| format!(", Token={token}"));
                return format!(
                    "MediaBrowser Client=Kodi, Device=HTPC, DeviceId={id}, Version=2.1.0{token}"
                );
            }
            Self::AndroidTv => "Client=\"Jellyfin Android TV\", Device=\"Living room\"",
            Self::Android => "Client=\"Jellyfin for Android\", Device=\"Phone\"",
            Self::MpvShim => "Client=\"Jellyfin MPV Shim\", Device=\"desk\"",
            Self::Roku => "Client=\"Jellyfin Roku\", Device=\"Roku\"",
            Self::Chromecast => "Client=\"Chromecast\", Device=\"Kitchen\"",
            Self::Vue => "Client=\"Jellyfin Web (Vue)\", Device=\"Firefox\"",
            Self::Streamyfin => "Client=\"Streamyfin\", Device=\"iPhone\"",
            Self::Findroid => "Client=\"Findroid\", Device=\"Phone\"",
            Self::Infuse => "Client=\"Infuse-Direct\", Device=\"Apple TV\"",
            Self::Unknown => "Client=\"Home Cinema\", Device=\"Box\"",
        };
        around(name, id, "1.0", token)
    }

    /// The recorded profile that comes nearest to what it says it can play.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Web | Self::Chromecast | Self::Vue | Self::Unknown => "browser",
            Self::AndroidTv | Self::Kodi => "tv-box",
            Self::Android => "phone",
            Self::Swiftfin | Self::Streamyfin => "phone-sdr",
            Self::MpvShim | Self::Findroid | Self::Infuse => "player",
            Self::Roku => "stick",
        }
    }

    /// The shape in which it is to be refused.
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::Web
            | Self::Swiftfin
            | Self::Streamyfin
            | Self::Findroid
            | Self::Infuse
            | Self::Unknown => Shape::E,
            Self::AndroidTv | Self::Android | Self::Roku => Shape::N,
            Self::MpvShim | Self::Kodi | Self::Chromecast | Self::Vue => Shape::H,
        }
    }

    /// What its screen says when it was refused in its own shape; nothing where it says nothing.
    pub(crate) const fn says_of_a_refusal(self) -> Option<&'static str> {
        match self {
            Self::Web => Some("PlaybackError.RateLimitExceeded"),
            Self::AndroidTv => Some("This item cannot be played"),
            Self::Swiftfin | Self::Streamyfin => Some("Unable to load this item."),
            Self::MpvShim => Some("Could not play this item"),
            Self::Roku => Some("Server did not provide required transcoding data."),
            Self::Chromecast => Some("connectionerror"),
            Self::Vue => Some("cantPlayItem"),
            Self::Unknown => Some("RateLimitExceeded"),
            Self::Android | Self::Kodi | Self::Findroid | Self::Infuse => None,
        }
    }

    /// Whether it asks for something else when a file that it was given can't be decoded.
    pub(crate) const fn comes_back(self) -> bool {
        match self {
            Self::Web | Self::AndroidTv | Self::Android => true,
            Self::Swiftfin
            | Self::MpvShim
            | Self::Kodi
            | Self::Roku
            | Self::Chromecast
            | Self::Vue
            | Self::Streamyfin
            | Self::Findroid
            | Self::Infuse
            | Self::Unknown => false,
        }
    }

    /// Whether a message that the server sends appears on its screen.
    pub(crate) const fn shows_messages(self) -> bool {
        match self {
            Self::Web | Self::AndroidTv | Self::Kodi => true,
            Self::Android
            | Self::Swiftfin
            | Self::MpvShim
            | Self::Roku
            | Self::Chromecast
            | Self::Vue
            | Self::Streamyfin
            | Self::Findroid
            | Self::Infuse
            | Self::Unknown => false,
        }
    }

    /// Whether it takes the address of a stream as it is given.
    pub(crate) const fn keeps_addresses(self) -> bool {
        !matches!(self, Self::Kodi)
    }

    /// Whether it says which version it wants though nobody chose one.
    pub(crate) const fn names_the_version(self) -> bool {
        matches!(
            self,
            Self::AndroidTv | Self::Android | Self::Roku | Self::Vue
        )
    }

    /// Whether it takes its question back when the viewer goes elsewhere.
    pub(crate) const fn hangs_up(self) -> bool {
        matches!(self, Self::AndroidTv | Self::Android | Self::Swiftfin)
    }

    /// What it does with an old stream when its track or quality is changed.
    pub(crate) const fn leaves(self) -> Leaves {
        match self {
            Self::Web | Self::Vue | Self::Unknown => Leaves::DeletesTwice,
            Self::Android => Leaves::Deletes,
            Self::Swiftfin | Self::Streamyfin => Leaves::StopsAfter,
            Self::Chromecast => Leaves::Silently,
            Self::AndroidTv | Self::Roku | Self::Findroid | Self::Infuse => Leaves::StopsFirst,
            Self::MpvShim => Leaves::DeletesFirst,
            Self::Kodi => Leaves::StopsAndDeletesFirst,
        }
    }

    /// The same when another film or episode follows before the end of this one.
    pub(crate) const fn leaves_for_the_next(self) -> Leaves {
        match self {
            Self::Swiftfin | Self::Streamyfin => Leaves::StopsAfter,
            Self::Kodi => Leaves::StopsAndDeletesFirst,
            Self::Web
            | Self::AndroidTv
            | Self::Android
            | Self::MpvShim
            | Self::Roku
            | Self::Chromecast
            | Self::Vue
            | Self::Findroid
            | Self::Infuse
            | Self::Unknown => Leaves::StopsFirst,
        }
    }

    /// Whether it ends its encoding beside reporting that it stopped.
    pub(crate) const fn deletes_when_it_stops(self) -> bool {
        matches!(self, Self::Android | Self::MpvShim | Self::Kodi)
    }

    /// Whether it goes on reporting while it is paused. Of others the encoding dies after a minute.
    pub(crate) const fn reports_pauses(self) -> bool {
        !matches!(self, Self::Android | Self::Kodi | Self::Roku)
    }
}

fn around(name: &str, id: &str, version: &str, token: Option<&str>) -> String {
    let token = token.map_or_else(String::new, |token| format!(", Token=\"{token}\""));
    format!("MediaBrowser {name}, DeviceId=\"{id}\", Version=\"{version}\"{token}")
}
