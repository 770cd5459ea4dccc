//! Calls Jellyfin: the few typed calls Finweir makes for itself, and who a token belongs to.

mod api;
mod identity;
mod media;
mod tls;

use std::{path::PathBuf, time::Duration};

pub use self::{
    api::{Api, CallError, Described, Health},
    identity::{Identities, Identity, Verified},
    media::Media,
    tls::{TlsError, client_config},
};
use crate::{
    hop::Origin,
    ident::{NodeId, Token},
};

/// How to call one Jellyfin server, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub node: NodeId,
    /// Where it is, for the data path.
    pub origin: Origin,
    /// Its base URL, for calls: `http://host:port/base`, or `unix:/path`.
    pub url: String,
    /// `/x`, or empty: the path in [`Settings::url`].
    pub base_url: String,
    /// An API key, for `/Sessions`, look-ups, messages and stops.
    pub api_key: Option<Token>,
    /// A file with roots to trust beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Less than this many bytes free where it writes its transcodes is worth a warning; 0: never.
    pub disk_free: u64,
}
