//! Every address the simulated server knows.

use http::Method;

use super::request::Ask;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    Health,
    Ping,
    PublicInfo,
    Info,
    Storage,
    Configuration,
    NamedConfiguration,
    Endpoint,
    Branding,
    BrandingCss,
    UtcTime,
    QuickConnect,
    Web,
    Page,
    Socket,
    Users,
    PublicUsers,
    Me,
    NewUser,
    Authenticate,
    User,
    UserPolicy,
    UserItems,
    UserItem,
    Views,
    Items,
    Item,
    PlaybackInfo,
    Ancestors,
    Image,
    VirtualFolders,
    MediaFolders,
    Channels,
    OpenLive,
    CloseLive,
    LiveFile,
    ActiveEncodings,
    OldPlaylist,
    Subtitles,
    Trickplay,
    Sessions,
    Playing,
    Progress,
    Stopped,
    SessionPing,
    Capabilities,
    Logout,
    Message,
    Command,
    Keys,
    Devices,
    BitrateTest,
    DisplayPreferences,
    /// A stream, a playlist or a file.
    Play(Play),
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Play {
    Stream,
    Master,
    Main,
    Live,
    Segment,
    LiveSegment,
    Universal,
    Download,
}

/// Who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Token,
    Admin,
}

/// One line: the path in lower case (`*` is any part), methods by first letter, and who may use it.
type Line = (&'static str, &'static str, Need, Route);

use Need::{Admin, Nothing, Token};

const ROUTES: &[Line] = &[
    ("", "GH", Nothing, Route::Root),
    ("health", "GH", Nothing, Route::Health),
    ("system/ping", "GP", Nothing, Route::Ping),
    ("system/info/public", "G", Nothing, Route::PublicInfo),
    ("system/info", "G", Token, Route::Info),
    ("system/info/storage", "G", Admin, Route::Storage),
    ("system/configuration", "GP", Token, Route::Configuration),
    (
        "system/configuration/*",
        "GP",
        Token,
        Route::NamedConfiguration,
    ),
    ("system/endpoint", "G", Token, Route::Endpoint),
    ("branding/configuration", "G", Nothing, Route::Branding),
    ("branding/css", "G", Nothing, Route::BrandingCss),
    ("branding/css.css", "G", Nothing, Route::BrandingCss),
    ("getutctime", "G", Nothing, Route::UtcTime),
    ("quickconnect/enabled", "G", Nothing, Route::QuickConnect),
    ("web", "GH", Nothing, Route::Web),
    ("web/index.html", "GH", Nothing, Route::Page),
    ("socket", "GH", Nothing, Route::Socket),
    ("users", "G", Token, Route::Users),
    ("users/public", "G", Nothing, Route::PublicUsers),
    ("users/me", "G", Token, Route::Me),
    ("users/new", "P", Admin, Route::NewUser),
    (
        "users/authenticatebyname",
        "P",
        Nothing,
        Route::Authenticate,
    ),
    ("users/*", "G", Token, Route::User),
    ("users/*/policy", "P", Admin, Route::UserPolicy),
    ("users/*/items", "G", Token, Route::UserItems),
    ("users/*/items/*", "G", Token, Route::UserItem),
    ("users/*/views", "G", Token, Route::Views),
    ("userviews", "G", Token, Route::Views),
    ("items", "G", Token, Route::Items),
    ("items/*", "G", Token, Route::Item),
    ("items/*/playbackinfo", "GP", Token, Route::PlaybackInfo),
    ("items/*/ancestors", "G", Token, Route::Ancestors),
    ("items/*/images/*", "GH", Nothing, Route::Image),
    ("items/*/images/*/*", "GH", Nothing, Route::Image),
    ("items/*/download", "G", Token, Route::Play(Play::Download)),
    ("items/*/file", "G", Token, Route::Play(Play::Download)),
    ("library/virtualfolders", "G", Token, Route::VirtualFolders),
    ("library/mediafolders", "G", Token, Route::MediaFolders),
    ("livetv/channels", "G", Token, Route::Channels),
    ("livestreams/open", "P", Token, Route::OpenLive),
    ("livestreams/close", "P", Token, Route::CloseLive),
    (
        "livetv/livestreamfiles/*/stream.*",
        "G",
        Nothing,
        Route::LiveFile,
    ),
    ("videos/activeencodings", "D", Token, Route::ActiveEncodings),
    ("videos/*/stream", "GH", Nothing, Route::Play(Play::Stream)),
    (
        "videos/*/stream.*",
        "GH",
        Nothing,
        Route::Play(Play::Stream),
    ),
    ("audio/*/stream", "GH", Nothing, Route::Play(Play::Stream)),
    ("audio/*/stream.*", "GH", Nothing, Route::Play(Play::Stream)),
    (
        "audio/*/universal",
        "GH",
        Token,
        Route::Play(Play::Universal),
    ),
    (
        "videos/*/master.m3u8",
        "GH",
        Token,
        Route::Play(Play::Master),
    ),
    (
        "audio/*/master.m3u8",
        "GH",
        Token,
        Route::Play(Play::Master),
    ),
    ("videos/*/main.m3u8", "G", Token, Route::Play(Play::Main)),
    ("audio/*/main.m3u8", "G", Token, Route::Play(Play::Main)),
    ("videos/*/live.m3u8", "G", Token, Route::Play(Play::Live)),
    ("videos/*/hls1/*/*", "G", Token, Route::Play(Play::Segment)),
    ("audio/*/hls1/*/*", "G", Token, Route::Play(Play::Segment)),
    ("videos/*/hls/*/stream.m3u8", "G", Token, Route::OldPlaylist),
    (
        "videos/*/hls/*/*",
        "G",
        Nothing,
        Route::Play(Play::LiveSegment),
    ),
    (
        "videos/*/*/subtitles/*/stream.*",
        "G",
        Nothing,
        Route::Subtitles,
    ),
    (
        "videos/*/*/subtitles/*/*/stream.*",
        "G",
        Nothing,
        Route::Subtitles,
    ),
    ("videos/*/trickplay/*/*", "G", Token, Route::Trickplay),
    ("sessions", "G", Token, Route::Sessions),
    ("sessions/playing", "P", Token, Route::Playing),
    ("sessions/playing/progress", "P", Token, Route::Progress),
    ("sessions/playing/stopped", "P", Token, Route::Stopped),
    ("sessions/playing/ping", "P", Token, Route::SessionPing),
    ("sessions/capabilities", "P", Token, Route::Capabilities),
    (
        "sessions/capabilities/full",
        "P",
        Token,
        Route::Capabilities,
    ),
    ("sessions/logout", "P", Token, Route::Logout),
    ("sessions/*/message", "P", Token, Route::Message),
    ("sessions/*/playing/*", "P", Token, Route::Command),
    ("sessions/*/command", "P", Token, Route::Command),
    ("auth/keys", "GP", Admin, Route::Keys),
    ("devices", "G", Admin, Route::Devices),
    ("playback/bitratetest", "G", Token, Route::BitrateTest),
    (
        "displaypreferences/*",
        "GP",
        Token,
        Route::DisplayPreferences,
    ),
];

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Route(Route, Need),
    /// The address is known, the method is not.
    OtherMethod,
    Unknown,
}

/// Looks a request up.
pub(super) fn find(ask: &Ask) -> Found {
    let parts = ask.route();
    let mut other = false;
    for (path, methods, need, route) in ROUTES {
        if !matches(path, &parts) {
            continue;
        }
        let letter = match ask.method {
            Method::GET => 'G',
            Method::HEAD => 'H',
            Method::POST => 'P',
            Method::DELETE => 'D',
            _ => '-',
        };
        if methods.contains(letter) {
            return Found::Route(*route, *need);
        }
        other = true;
    }
    if other {
        Found::OtherMethod
    } else {
        Found::Unknown
    }
}

fn matches(path: &str, parts: &[String]) -> bool {
    let pattern: Vec<&str> = path.split('/').collect();
    pattern.len() == parts.len()
        && pattern.iter().zip(parts).all(|(pattern, part)| {
            match (*pattern, pattern.strip_suffix('*')) {
                ("*", _) => !part.is_empty(),
                (_, Some(start)) => part.len() > start.len() && part.starts_with(start),
                (exact, None) => exact == part,
            }
        })
}
