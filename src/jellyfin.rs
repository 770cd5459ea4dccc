//! What this program knows of Jellyfin's protocol, without I/O.
//!
//! What is said here and elsewhere of Jellyfin and its clients was read in their sources, or seen on real servers:
//! `tests/captures` holds the recordings, and `cargo test --test captures` holds this module to them.

mod again;
mod client;
mod credentials;
mod ladder;
mod members;
mod plan;
mod playback_info;
mod query;
mod rewrite;
mod route;
mod session;
mod storage;
mod stream;

pub use self::{
    again::{Again, Change},
    client::{Client, Moment, Shape},
    credentials::{Credentials, credentials},
    ladder::{Step, ceilings, steps},
    plan::{Barrier, Encoding, Plan, Source, Track, TrackKind, UserPolicy, VideoWork, barriers},
    playback_info::{NotAnAnswer, PlaybackAnswer, PlaybackRequest},
    query::Query,
    rewrite::{set_query_value, strip_encoding_variants},
    route::{Container, Media, Report, Route, Routed, Starts, Unreadable, classify},
    session::{Job, SessionRow, sessions},
    storage::{Space, transcode_space},
    stream::StreamQuery,
};

/// What differs between servers: its version and the settings that change how requests are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Major and minor version: `(10, 11)`, `(12, 0)`.
    pub version: (u16, u16),
    /// Whether legacy token carriers count (`EnableLegacyAuthorization`): always before 10.11, by default in
    /// 10.11, not by default from 12.0.
    pub legacy_auth: bool,
    /// `/x`, or empty.
    pub base_url: String,
}

impl Dialect {
    /// The dialect of a server of this version with default settings.
    pub fn of(version: (u16, u16)) -> Self {
        Self {
            version,
            legacy_auth: version < (12, 0),
            base_url: String::new(),
        }
    }

    /// Whether `/emby` and `/mediabrowser` prefixes are stripped before routing (until 10.11).
    pub fn legacy_prefixes(&self) -> bool {
        self.version < (12, 0)
    }
}

impl Default for Dialect {
    /// What to assume of a server that has not said: everything that any version accepts.
    fn default() -> Self {
        Self::of((10, 11))
    }
}
