//! (method, target) → [`Route`]: the one place that knows paths and letter case.
//!
//! Recognised as ASP.NET recognises them: any letter case, percent-encoding, dot segments, a trailing slash,
//! absolute-form targets. Every route that matters is told by the *end* of its path, so whatever stands before it
//! (BaseUrl, `/emby`, `/mediabrowser`, a prefix that nobody configured) hides nothing: what the server answers with
//! 404 is recognised too, which costs nothing.

mod target;
#[cfg(test)]
mod tests;

use self::target::Target;
use super::{Dialect, Query};
use crate::ident::ItemId;

/// What a request is, as far as admission is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET|POST /Items/{id}/PlaybackInfo`.
    PlaybackInfo {
        /// The item.
        item: ItemId,
        /// GET decides nothing and names no TranscodingUrl.
        post: bool,
    },
    /// `POST /LiveStreams/Open`: opens a tuner, answers with one media source.
    OpenLiveStream,
    /// `master.m3u8`: text only.
    Master {
        /// Which controller.
        media: Media,
        /// The item.
        item: ItemId,
    },
    /// `main.m3u8`: text only.
    Main {
        /// Which controller.
        media: Media,
        /// The item.
        item: ItemId,
    },
    /// `live.m3u8`: starts FFmpeg.
    LivePlaylist {
        /// The item.
        item: ItemId,
    },
    /// `hls1/{playlist}/{index}.{ext}`: starts, joins or restarts FFmpeg.
    Segment {
        /// Which controller.
        media: Media,
        /// The item.
        item: ItemId,
        /// The segment's number, -1 for the init file.
        index: i64,
    },
    /// `hls/{playlist}/{file}`: a file of a running live job; carries no token and no query.
    LiveSegment {
        /// The item.
        item: ItemId,
        /// The playlist id, which is the job's output hash.
        playlist: String,
    },
    /// `stream[.ext]`: a static file or FFmpeg, by its query.
    Progressive {
        /// Which controller.
        media: Media,
        /// The item.
        item: ItemId,
        /// The extension, if there is one.
        container: Option<Container>,
        /// HEAD never starts FFmpeg.
        head: bool,
    },
    /// `/Audio/{id}/universal`.
    Universal {
        /// The item.
        item: ItemId,
        /// HEAD never starts FFmpeg.
        head: bool,
    },
    /// A report of a player.
    Report(Report),
    /// `DELETE /Videos/ActiveEncodings`.
    StopEncoding,
    /// A login: its answer tells whose token it is.
    Login,
    /// `/Playback/BitrateTest`: never touched, never delayed.
    BitrateTest,
    /// `/socket`, or any request that upgrades.
    Socket,
    /// `/health`.
    Health,
    /// Anything that starts nothing.
    Other,
}

/// Which controller serves a media route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `/Videos`.
    Video,
    /// `/Audio`.
    Audio,
}

/// A report of a player about its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// `/Sessions/Playing`.
    Start,
    /// `/Sessions/Playing/Progress`.
    Progress,
    /// `/Sessions/Playing/Ping`.
    Ping,
    /// `/Sessions/Playing/Stopped`, `DELETE /PlayingItems/{id}`.
    Stopped,
}

/// An extension, lower case, without the dot.
pub type Container = String;

/// A request that was recognised, with its query as it stands in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed<'a> {
    /// What it is.
    pub route: Route,
    /// The query, without the `?`, not decoded.
    pub query: Option<&'a str>,
}

/// A target that Finweir can't read but Jellyfin might serve as media. It is refused, never waved through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request target can't be read: {0}")]
pub struct Unreadable(pub &'static str);

/// Whether a request makes Jellyfin start, join or restart FFmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// It never does.
    No,
    /// A file as it is, unless the source is a DVD or BluRay folder, which only a look-up can tell (protocol 3.3).
    Static,
    /// It does, or may.
    Yes,
}

/// Recognises a request. `target` is exactly what stood in the request line.
///
/// # Errors
/// The target can't be read, and a media controller might serve it.
pub fn classify<'a>(
    method: &str,
    target: &'a str,
    dialect: &Dialect,
) -> Result<Routed<'a>, Unreadable> {
    let method = Method::of(method);
    let target = Target::read(target);
    let route = recognise(method, &target.path, dialect)?;
    let doubt = target.doubt.or_else(|| {
        let odd = route.is_stream() && target.query.is_some_and(has_odd_byte);
        odd.then_some("a control character or fragment in the query")
    });
    if let Some(why) = doubt
        && (route.is_stream() || recognise(method, &target.at_worst(), dialect)?.is_stream())
    {
        return Err(Unreadable(why));
    }
    Ok(Routed {
        route,
        query: target.query,
    })
}

/// The methods that any route cares for, in any letter case: Kestrel takes `get` for `GET`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
    Post,
    Delete,
    Else,
}

/// The last five parts of a path, the last one first. What is not there is empty.
struct Tail<'a> {
    last: &'a str,
    second: &'a str,
    third: &'a str,
    fourth: &'a str,
    fifth: &'a str,
}

fn recognise(method: Method, path: &str, dialect: &Dialect) -> Result<Route, Unreadable> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let tail = Tail::of(path);
    let found = match method {
        Method::Get | Method::Head => get(&tail, method == Method::Head)?,
        Method::Post => post(&tail)?,
        Method::Delete => delete(&tail),
        Method::Else => None,
    };
    Ok(found.unwrap_or_else(|| {
        if is_rooted(path, "health", dialect) {
            Route::Health
        } else if is_rooted(path, "socket", dialect) || is_rooted(path, "embywebsocket", dialect) {
            Route::Socket
        } else {
            Route::Other
        }
    }))
}

fn get(tail: &Tail<'_>, head: bool) -> Result<Option<Route>, Unreadable> {
    if let Some(media) = Media::of(tail.third)
        && !tail.second.is_empty()
    {
        return stream(media, tail.second, tail.last, head);
    }
    if let Some(media) = Media::of(tail.fifth)
        && !head
        && ![tail.fourth, tail.second, tail.last].contains(&"")
    {
        if is(tail.third, "hls1") {
            return Ok(Some(Route::Segment {
                media,
                item: item(tail.fourth)?,
                index: segment_number(tail.last)?,
            }));
        }
        if is(tail.third, "hls") {
            return Ok(Some(Route::LiveSegment {
                item: item(tail.fourth)?,
                playlist: tail.second.to_owned(),
            }));
        }
    }
    if head {
        return Ok(None);
    }
    if let Some(route) = playback_info(tail, false)? {
        return Ok(Some(route));
    }
    let test = is(tail.last, "bitratetest") && is(tail.second, "playback");
    Ok(test.then_some(Route::BitrateTest))
}

/// `/Videos|Audio/{id}/{name}`.
fn stream(media: Media, id: &str, name: &str, head: bool) -> Result<Option<Route>, Unreadable> {
    let container = match name.split_at_checked("stream".len()) {
        Some((stem, "")) if is(stem, "stream") => Some(None),
        Some((stem, rest)) if is(stem, "stream") => rest.strip_prefix('.').map(Some),
        Some(_) | None => None,
    };
    if let Some(container) = container {
        return Ok(Some(Route::Progressive {
            media,
            item: item(id)?,
            container: container.map(str::to_ascii_lowercase),
            head,
        }));
    }
    let route = if is(name, "master.m3u8") {
        Route::Master {
            media,
            item: item(id)?,
        }
    } else if is(name, "main.m3u8") && !head {
        Route::Main {
            media,
            item: item(id)?,
        }
    } else if is(name, "live.m3u8") && !head && media == Media::Video {
        Route::LivePlaylist { item: item(id)? }
    } else if is(name, "universal") && media == Media::Audio {
        Route::Universal {
            item: item(id)?,
            head,
        }
    } else {
        return Ok(None);
    };
    Ok(Some(route))
}

fn post(tail: &Tail<'_>) -> Result<Option<Route>, Unreadable> {
    if let Some(route) = playback_info(tail, true)? {
        return Ok(Some(route));
    }
    let report = if is(tail.second, "sessions") && is(tail.last, "playing") {
        Some(Report::Start)
    } else if is(tail.second, "playing") && is(tail.third, "sessions") {
        [
            ("progress", Report::Progress),
            ("ping", Report::Ping),
            ("stopped", Report::Stopped),
        ]
        .into_iter()
        .find(|(name, _)| is(tail.last, name))
        .map(|(_, report)| report)
    } else if is(tail.third, "playingitems") && is(tail.last, "progress") {
        Some(Report::Progress)
    } else if is(tail.second, "playingitems") {
        Some(Report::Start)
    } else {
        None
    };
    if let Some(report) = report {
        return Ok(Some(Route::Report(report)));
    }
    let login = is(tail.second, "users")
        && (is(tail.last, "authenticatebyname") || is(tail.last, "authenticatewithquickconnect"))
        || is(tail.third, "users") && is(tail.last, "authenticate");
    if login {
        return Ok(Some(Route::Login));
    }
    let open = is(tail.second, "livestreams") && is(tail.last, "open");
    Ok(open.then_some(Route::OpenLiveStream))
}

fn delete(tail: &Tail<'_>) -> Option<Route> {
    if is(tail.second, "videos") && is(tail.last, "activeencodings") {
        Some(Route::StopEncoding)
    } else if is(tail.second, "playingitems") {
        Some(Route::Report(Report::Stopped))
    } else {
        None
    }
}

fn playback_info(tail: &Tail<'_>, post: bool) -> Result<Option<Route>, Unreadable> {
    if !is(tail.last, "playbackinfo") || !is(tail.third, "items") || tail.second.is_empty() {
        return Ok(None);
    }
    Ok(Some(Route::PlaybackInfo {
        item: item(tail.second)?,
        post,
    }))
}

/// An item id as .NET parses a GUID: surrounding white space, braces or parentheses don't count. Its fourth form,
/// `{0x…,0x…,…}`, is nobody's and is not read.
fn item(text: &str) -> Result<ItemId, Unreadable> {
    let text = text.trim();
    let bare = [('{', '}'), ('(', ')')]
        .into_iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close))
        .unwrap_or(text);
    if bare.contains(['{', '(', ',']) {
        return Err(Unreadable("the item id"));
    }
    Ok(ItemId::new(bare))
}

/// The number of `{n}.{ext}`. .NET reads more spellings of a number than this; they are refused.
fn segment_number(file: &str) -> Result<i64, Unreadable> {
    file.rsplit_once('.')
        .map_or(file, |(number, _)| number)
        .parse()
        .map_err(|_| Unreadable("the segment's number"))
}

/// Whether a path is `/name`, alone or behind a prefix that the server strips.
fn is_rooted(path: &str, name: &str, dialect: &Dialect) -> bool {
    let Some((prefix, last)) = path.rsplit_once('/') else {
        return false;
    };
    is(last, name)
        && (prefix.is_empty()
            || prefix.eq_ignore_ascii_case(dialect.base_url.trim_end_matches('/'))
            || dialect.legacy_prefixes() && (is(prefix, "/emby") || is(prefix, "/mediabrowser")))
}

fn is(text: &str, name: &str) -> bool {
    text.eq_ignore_ascii_case(name)
}

/// Control characters, and the `#` at which some readers of URLs stop and others don't.
fn has_odd_byte(query: &str) -> bool {
    query.bytes().any(|b| b < 0x20 || b == 0x7f || b == b'#')
}

// === impl Routed ===

impl Routed<'_> {
    /// Whether this request makes Jellyfin start FFmpeg.
    pub fn starts_ffmpeg(&self) -> Starts {
        match &self.route {
            Route::Progressive { head: false, .. } if self.is_static() => Starts::Static,
            Route::Progressive { head: false, .. }
            | Route::Universal { head: false, .. }
            | Route::LivePlaylist { .. }
            | Route::Segment { .. } => Starts::Yes,
            Route::Progressive { head: true, .. }
            | Route::Universal { head: true, .. }
            | Route::PlaybackInfo { .. }
            | Route::OpenLiveStream
            | Route::Master { .. }
            | Route::Main { .. }
            | Route::LiveSegment { .. }
            | Route::Report(_)
            | Route::StopEncoding
            | Route::Login
            | Route::BitrateTest
            | Route::Socket
            | Route::Health
            | Route::Other => Starts::No,
        }
    }

    /// Whether the controller will find `static=true` and nothing beside it that could mean something else.
    fn is_static(&self) -> bool {
        let Some(text) = self.query else {
            return false;
        };
        let query = Query::parse(text);
        query
            .get("static")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
            && query.value("params").is_none()
    }
}

// === impl Route ===

impl Route {
    /// Whether a media controller serves it by a name that a client can write in many ways.
    fn is_stream(&self) -> bool {
        match self {
            Self::Master { .. }
            | Self::Main { .. }
            | Self::LivePlaylist { .. }
            | Self::Segment { .. }
            | Self::Progressive { .. }
            | Self::Universal { .. } => true,
            Self::PlaybackInfo { .. }
            | Self::OpenLiveStream
            | Self::LiveSegment { .. }
            | Self::Report(_)
            | Self::StopEncoding
            | Self::Login
            | Self::BitrateTest
            | Self::Socket
            | Self::Health
            | Self::Other => false,
        }
    }
}

// === impl Method ===

impl Method {
    fn of(name: &str) -> Self {
        [
            ("GET", Self::Get),
            ("HEAD", Self::Head),
            ("POST", Self::Post),
            ("DELETE", Self::Delete),
        ]
        .into_iter()
        .find(|(known, _)| is(name, known))
        .map_or(Self::Else, |(_, method)| method)
    }
}

// === impl Media ===

impl Media {
    fn of(controller: &str) -> Option<Self> {
        if is(controller, "videos") {
            Some(Self::Video)
        } else if is(controller, "audio") {
            Some(Self::Audio)
        } else {
            None
        }
    }
}

// === impl Tail ===

impl<'a> Tail<'a> {
    fn of(path: &'a str) -> Self {
        let mut parts = path.rsplit('/');
        let mut next = || parts.next().unwrap_or("");
        Self {
            last: next(),
            second: next(),
            third: next(),
            fourth: next(),
            fifth: next(),
        }
    }
}
