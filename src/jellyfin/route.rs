//! (method, target) → [`Route`]: the one place that knows paths and letter case.
//!
//! Recognised as ASP.NET recognises them: any letter case, percent-encoding, dot segments, a trailing slash,
//! absolute-form targets. Every route that matters is told by the *end* of its path, so whatever stands before it
//! (BaseUrl, `/emby`, `/mediabrowser`, a prefix that nobody configured) hides nothing: what the server answers with
//! 404 is recognised too, which costs nothing.

mod path;
mod target;
#[cfg(test)]
mod tests;

use self::{
    path::{Method, recognise},
    target::Target,
};
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
    /// `/Items/{id}/Download`, `/Items/{id}/File`: the file, to be kept.
    Download {
        /// The item.
        item: ItemId,
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
    /// A file as it is, unless the source is a DVD or BluRay folder, which only a look-up can tell.
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

/// Control characters, and the `#` at which some readers of URLs stop and others don't.
///
/// Without a way out before the end, so that it is compiled to vector instructions: queries are long.
fn has_odd_byte(query: &str) -> bool {
    query.bytes().fold(false, |odd, byte| {
        odd | (byte < 0x20) | (byte == 0x7f) | (byte == b'#')
    })
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
            | Route::Download { .. }
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
        let asked = query.get("static");
        asked.is_some_and(|value| value.eq_ignore_ascii_case("true"))
            && query.value("params").is_none()
            // A letter outside ASCII might be folded into one of `static`.
            && query.pairs().all(|(name, _)| name.is_ascii())
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
            | Self::Download { .. }
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
