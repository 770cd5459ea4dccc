//! (method, path) → [`Route`], told by the last five parts of the path.

use super::{Media, Report, Route, Unreadable};
use crate::{ident::ItemId, jellyfin::Dialect};

/// The methods that any route cares for, in any letter case: Kestrel takes `get` for `GET`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
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

/// What a path is for a method. What no route fits is [`Route::Other`].
pub(super) fn recognise(
    method: Method,
    path: &str,
    dialect: &Dialect,
) -> Result<Route, Unreadable> {
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
    if is(tail.third, "items") && (is(tail.last, "download") || is(tail.last, "file")) {
        // What can't be read as an id is Jellyfin's to refuse: nothing starts.
        let item = ItemId::new(tail.second.trim());
        return Ok(Some(Route::Download { item }));
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

/// The number of `{n}.{ext}`, in the spellings that .NET reads. Others are refused.
fn segment_number(file: &str) -> Result<i64, Unreadable> {
    let number = file.rsplit_once('.').map_or(file, |(number, _)| number);
    let number = number.trim();
    let hex = ["0x", "0X", "&h", "&H"]
        .into_iter()
        .find_map(|prefix| number.strip_prefix(prefix));
    match hex {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => number.parse(),
    }
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

// === impl Method ===

impl Method {
    pub(super) fn of(name: &str) -> Self {
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
