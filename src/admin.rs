//! Shows state to operators and Prometheus: `/metrics` `/live` `/ready` `/state` and the status page, on a listener
//! and thread of its own.

use std::net::SocketAddr;

use crate::ident::Token;

/// Where the admin listener is and who may use it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Needed by every request from anywhere but loopback, and by every action.
    pub token: Option<Token>,
}
