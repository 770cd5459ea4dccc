//! Which player this is, how long it waits, and how it takes a refusal.

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

/// The shape of a refusal.
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

/// Names that clients give themselves, lower case, by how they begin. The first that fits counts: Android TV stands
/// before Android, Vue before web.
const NAMES: &[(&str, Client)] = &[
    ("jellyfin for android tv", Client::AndroidTv),
    ("jellyfin android tv", Client::AndroidTv),
    ("android tv", Client::AndroidTv),
    ("jellyfin for android", Client::Android),
    ("jellyfin android", Client::Android),
    ("swiftfin", Client::Swiftfin),
    ("jellyfin mpv shim", Client::MpvShim),
    ("jellyfin-mpv-shim", Client::MpvShim),
    ("kodi", Client::Kodi),
    ("jellycon", Client::Kodi),
    ("jellyfin roku", Client::Roku),
    ("jellyfin for roku", Client::Roku),
    ("roku", Client::Roku),
    ("chromecast", Client::Chromecast),
    ("jellyfin chromecast", Client::Chromecast),
    ("jellyfin web (vue)", Client::Vue),
    ("jellyfin vue", Client::Vue),
    ("streamyfin", Client::Streamyfin),
    ("findroid", Client::Findroid),
    ("infuse", Client::Infuse),
    // The web client, and what wraps it.
    ("jellyfin web", Client::Web),
    ("jellyfin media player", Client::Web),
    ("jellyfin desktop", Client::Web),
    ("jellium desktop", Client::Web),
    ("jellyfin theater", Client::Web),
    ("jellyfin ios", Client::Web),
    ("jellyfin for ios", Client::Web),
    ("jellyfin mobile", Client::Web),
    ("jellyfin tizen", Client::Web),
    ("jellyfin for tizen", Client::Web),
    ("jellyfin webos", Client::Web),
    ("jellyfin for webos", Client::Web),
    ("jellyfin for windows", Client::Web),
    ("jellyfin xbox", Client::Web),
    ("jellyfin for xbox", Client::Web),
];

/// What a `User-Agent` contains, lower case. A browser comes last: many programs call themselves one.
const AGENTS: &[(&str, Client)] = &[
    ("jellyfin android tv", Client::AndroidTv),
    ("jellyfin for android tv", Client::AndroidTv),
    ("androidtv", Client::AndroidTv),
    ("jellyfin android", Client::Android),
    ("jellyfin for android", Client::Android),
    ("swiftfin", Client::Swiftfin),
    ("mpv shim", Client::MpvShim),
    ("mpv-shim", Client::MpvShim),
    ("kodi", Client::Kodi),
    ("roku", Client::Roku),
    ("crkey", Client::Chromecast),
    ("streamyfin", Client::Streamyfin),
    ("findroid", Client::Findroid),
    ("infuse", Client::Infuse),
    ("jellyfinmediaplayer", Client::Web),
    ("jellyfindesktop", Client::Web),
    ("mozilla/", Client::Web),
];

impl Client {
    /// Every player.
    pub const ALL: [Self; 13] = [
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
        Self::Findroid,
        Self::Infuse,
        Self::Unknown,
    ];

    /// Recognises a player by the `Client` it claims and, where there is none, its `User-Agent`.
    ///
    /// Both are the client's own words: they shape an answer and are no basis for trust.
    pub fn of(client: Option<&str>, user_agent: Option<&str>) -> Self {
        if let Some(name) = client.map(str::trim).filter(|name| !name.is_empty()) {
            return NAMES
                .iter()
                .find(|(known, _)| begins(name, known))
                .map_or(Self::Unknown, |(_, client)| *client);
        }
        let Some(agent) = user_agent else {
            return Self::Unknown;
        };
        AGENTS
            .iter()
            .find(|(known, _)| contains(agent, known))
            .map_or(Self::Unknown, |(_, client)| *client)
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

    /// How long it waits for a PlaybackInfo, what Jellyfin needs included.
    pub const fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Web => 55,
            Self::AndroidTv
            | Self::Android
            | Self::MpvShim
            | Self::Kodi
            | Self::Roku
            | Self::Chromecast => 25,
            // Swiftfin gives up at 20 s.
            Self::Swiftfin | Self::Streamyfin => 16,
            Self::Vue | Self::Findroid | Self::Infuse | Self::Unknown => 15,
        })
    }

    /// How it wants to be refused (the web client as it was seen running).
    pub const fn shape(self, moment: Moment) -> Shape {
        match self {
            // In mid-play E leaves the old film running, H shows nothing, and N kills the player.
            Self::Web => Shape::ErrorCode,
            Self::AndroidTv => match moment {
                // E leaves a black player with a spinner, except on a live channel, the only place that reads it.
                Moment::Initial | Moment::MidPlay => Shape::NothingSupported,
                Moment::LiveTv => Shape::ErrorCode,
            },
            // It shows nothing of any shape; without a source it crashes.
            Self::Android => Shape::NothingSupported,
            // Without a source it probably crashes; N it shows.
            Self::Roku => Shape::NothingSupported,
            // N it would direct-play.
            Self::Swiftfin | Self::Streamyfin => Shape::ErrorCode,
            Self::MpvShim | Self::Kodi | Self::Chromecast | Self::Vue => Shape::Http,
            Self::Findroid | Self::Infuse | Self::Unknown => Shape::ErrorCode,
        }
    }

    /// Whether it comes back by itself when a direct play fails, and asks for something else. Any
    /// other would leave its viewer before a player that died.
    pub const fn returns_after_failed_direct_play(self) -> bool {
        match self {
            Self::Web | Self::AndroidTv | Self::Android => true,
            // Roku asks for the same address three times; mpv shows a button.
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

    /// Whether it asks for another film while it plays one only to play that instead, and reports that it stopped the
    /// old one once it has the new answer. Others either stop first, or it is not known that
    /// they ask for nothing else meanwhile (a second tab, a download).
    pub const fn stops_after_the_next(self) -> bool {
        match self {
            Self::Swiftfin => true,
            Self::Web
            | Self::AndroidTv
            | Self::Android
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

    /// Whether it shows a `DisplayMessage`.
    pub const fn shows_messages(self) -> bool {
        match self {
            Self::Web | Self::AndroidTv | Self::Kodi => true,
            // Android's web view shows it, under the player.
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
}

fn begins(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

fn contains(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_player_is_known_by_the_name_it_gives_itself() {
        for (name, client) in [
            ("Jellyfin Web", Client::Web),
            ("Jellyfin Media Player", Client::Web),
            ("Jellyfin Desktop", Client::Web),
            ("Jellyfin iOS", Client::Web),
            ("Jellyfin for Android TV", Client::AndroidTv),
            ("Jellyfin for Android TV (debug)", Client::AndroidTv),
            ("Jellyfin for Android", Client::Android),
            ("Swiftfin iPadOS", Client::Swiftfin),
            ("Swiftfin téléviseur", Client::Swiftfin),
            ("Jellyfin MPV Shim", Client::MpvShim),
            ("Kodi", Client::Kodi),
            ("Jellyfin Roku", Client::Roku),
            ("Chromecast", Client::Chromecast),
            ("Jellyfin Web (Vue)", Client::Vue),
            ("Streamyfin", Client::Streamyfin),
            ("Findroid", Client::Findroid),
            ("Infuse-Direct", Client::Infuse),
            (" jellyfin web ", Client::Web),
            ("Capture", Client::Unknown),
        ] {
            assert_eq!(Client::of(Some(name), None), client, "{name}");
        }
    }

    #[test]
    fn the_user_agent_counts_only_where_no_client_is_claimed() {
        let browser = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0 Safari/537.36";
        assert_eq!(Client::of(None, Some(browser)), Client::Web);
        assert_eq!(Client::of(Some(""), Some(browser)), Client::Web);
        assert_eq!(Client::of(Some("Kodi"), Some(browser)), Client::Kodi);
        assert_eq!(Client::of(Some("Mine"), Some(browser)), Client::Unknown);
        let receiver = "Mozilla/5.0 (X11; Linux armv7l) Chrome/90.0 Safari/537.36 CrKey/1.56";
        assert_eq!(Client::of(None, Some(receiver)), Client::Chromecast);
        assert_eq!(Client::of(None, Some("curl/8.5.0")), Client::Unknown);
        assert_eq!(Client::of(None, None), Client::Unknown);
    }

    #[test]
    fn every_player_is_listed_once_and_names_differ() {
        let mut names: Vec<_> = Client::ALL.iter().map(|client| client.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Client::ALL.len());
        for (_, client) in NAMES.iter().chain(AGENTS) {
            assert!(Client::ALL.contains(client));
        }
    }

    #[test]
    fn the_web_client_is_refused_with_an_error_code_and_never_otherwise_in_mid_play() {
        for moment in [Moment::Initial, Moment::LiveTv, Moment::MidPlay] {
            assert_eq!(Client::Web.shape(moment), Shape::ErrorCode);
        }
    }

    #[test]
    fn each_player_is_refused_in_the_shape_that_it_shows() {
        use Shape::{ErrorCode, Http, NothingSupported};
        for (client, initial, live) in [
            (Client::Web, ErrorCode, ErrorCode),
            (Client::AndroidTv, NothingSupported, ErrorCode),
            (Client::Android, NothingSupported, NothingSupported),
            (Client::Swiftfin, ErrorCode, ErrorCode),
            (Client::Streamyfin, ErrorCode, ErrorCode),
            (Client::MpvShim, Http, Http),
            (Client::Kodi, Http, Http),
            (Client::Roku, NothingSupported, NothingSupported),
            (Client::Chromecast, Http, Http),
            (Client::Vue, Http, Http),
            (Client::Findroid, ErrorCode, ErrorCode),
            (Client::Infuse, ErrorCode, ErrorCode),
            (Client::Unknown, ErrorCode, ErrorCode),
        ] {
            assert_eq!(client.shape(Moment::Initial), initial, "{client:?}");
            assert_eq!(client.shape(Moment::LiveTv), live, "{client:?}");
        }
    }

    #[test]
    fn nobody_is_held_longer_than_it_waits() {
        for (client, limit) in [
            (Client::Web, 60),
            (Client::AndroidTv, 30),
            (Client::Android, 30),
            (Client::Swiftfin, 20),
            (Client::Streamyfin, 20),
            (Client::MpvShim, 30),
            (Client::Kodi, 30),
            (Client::Roku, 30),
            (Client::Unknown, 20),
        ] {
            assert!(client.patience() < Duration::from_secs(limit), "{client:?}");
        }
    }

    #[test]
    fn only_who_comes_back_is_made_to_play_directly() {
        let back: Vec<_> = Client::ALL
            .into_iter()
            .filter(|client| client.returns_after_failed_direct_play())
            .collect();
        assert_eq!(back, [Client::Web, Client::AndroidTv, Client::Android]);
    }

    #[test]
    fn messages_go_only_where_they_are_seen() {
        let shown: Vec<_> = Client::ALL
            .into_iter()
            .filter(|client| client.shows_messages())
            .collect();
        assert_eq!(shown, [Client::Web, Client::AndroidTv, Client::Kodi]);
    }
}
