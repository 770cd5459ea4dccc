//! The hop: HTTP/1.1 from sockets to sockets, with a [`Handler`] that says what may pass.
//!
//! Knows nothing of Jellyfin or admission. Every request goes through one forwarder: httparse for the heads, checked
//! again where httparse is lenient, bodies passed on as they come, `splice(2)` for large ones. What it costs beside
//! HAProxy is in `docs/performance.md`; and since Upgrade, Expect, chunks and TLS take the same way, there is no second
//! parser that could read a message differently. hyper carries [`Client`], the whole requests that a handler makes
//! itself.
//!
//! One event loop per worker thread, each with its own listener (`SO_REUSEPORT`), buffers and upstream connections;
//! a connection stays on its loop. `connection` reads heads and asks the handler, `exchange` takes one request
//! upstream and back, `upload`, `transfer` and `tunnel` move bodies, `request` and `response` parse strictly and write anew, `listen` binds
//! and drains.

mod answer;
mod chunked;
mod client;
mod connection;
mod exchange;
mod fields;
mod listen;
mod peer;
mod pool;
mod request;
mod response;
mod stream;
mod transfer;
mod tunnel;
mod upload;
mod worker;

pub use client::{Client, Exchanged};
pub use listen::{Bound, Running};

use std::{
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use ipnet::IpNet;

/// The body of an answer that a [`Handler`] gives.
pub type Body = BoxBody<Bytes, Failure>;

/// Where the hop listens and how it treats the wire.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: Listen,
    /// Peers whose `X-Forwarded-*` and PROXY headers count.
    pub trusted: Vec<IpNet>,
    /// Take a PROXY protocol header (v1 or v2) from trusted peers.
    pub proxy_protocol: bool,
    /// Add a `Via` header with this pseudonym.
    pub via: Option<String>,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Idle upstream connections kept per worker.
    pub pool: usize,
    /// Worker threads, one event loop each.
    pub workers: usize,
    /// Client connections at once.
    pub max_connections: usize,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Time-outs of the hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A client has this long to send a request head.
    pub head: Duration,
    /// A client connection may be idle between requests.
    pub keep_alive: Duration,
    /// Connecting upstream.
    pub connect: Duration,
    /// From the whole request sent to the first byte of the answer. Jellyfin may need a minute for a first segment.
    pub first_byte: Duration,
    /// Nothing moved in either direction of a body.
    pub idle: Duration,
    /// Nothing moved in either direction of an upgraded connection.
    pub tunnel: Duration,
}

/// An upstream server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Origin(pub Arc<OriginInner>);

/// What an [`Origin`] is.
pub struct OriginInner {
    /// Its name, for errors and metrics.
    pub name: Arc<str>,
    /// Where it is.
    pub address: Address,
}

/// Where an upstream server is.
#[derive(Clone)]
pub enum Address {
    /// `http://host:port`.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`.
    Tls {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Roots to trust.
        config: Arc<rustls::ClientConfig>,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Who is at the other end of a client connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The viewer's address: the socket's, or what a trusted peer says it is.
    pub address: Option<IpAddr>,
    /// The peer is trusted.
    pub trusted: bool,
}

/// The head of a request, as it came.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The request target, exactly as sent.
    pub target: &'a str,
    /// Who sent it.
    pub peer: &'a Peer,
}

/// What to do with a request, decided from its head alone and at once.
#[derive(Debug)]
pub enum Step {
    /// Goes upstream as it is.
    Forward(Forward),
    /// [`Handler::decide`] is awaited first. The body is not read before.
    Decide,
    /// The body is read, then [`Handler::answer`] gives the answer.
    Take {
        /// Most bytes of body to read.
        limit: usize,
        /// A longer body goes upstream unread by the handler; `None`: it is refused with 413.
        overflow: Option<Forward>,
        /// The answer is worked out to the end even if the client leaves.
        finish: bool,
    },
    /// Answered here.
    Answer(Response<Body>),
}

/// What came of [`Handler::decide`].
#[derive(Debug)]
pub enum Verdict {
    /// Goes upstream.
    Forward(Forward),
    /// Answered here.
    Answer(Response<Body>),
}

/// How a request goes upstream.
pub struct Forward {
    /// Where to.
    pub origin: Origin,
    /// What kind of request it is, by a number of the handler's own: [`Done`] brings it back.
    pub kind: u8,
    /// It is finished upstream even if the client leaves.
    pub finish: bool,
    /// Counts the body bytes of the answer as they are sent.
    pub meter: Option<Meter>,
    /// Called once, when the exchange is over however it ended (also when it is dropped).
    pub on_done: Option<OnDone>,
}

/// Bytes that have been sent so far.
pub type Meter = Arc<std::sync::atomic::AtomicU64>;

/// Called when an exchange is over.
pub type OnDone = Box<dyn FnOnce(&Done) + Send>;

/// How an exchange ended.
#[derive(Clone, Debug)]
pub struct Done {
    /// [`Forward::kind`].
    pub kind: u8,
    /// The status that the client was sent, if one was.
    pub status: Option<u16>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// Until the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// How it ended.
    pub end: End,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// To the last byte.
    Complete,
    /// The client left.
    ClientLeft,
    /// The upstream failed.
    Upstream(Failure),
}

/// What broke, and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection: refused, unreachable, no such socket.
    #[error("cannot connect to {0}")]
    Connect(Arc<str>),
    /// Connecting took too long.
    #[error("connecting to {0} took too long")]
    ConnectTimeout(Arc<str>),
    /// TLS failed.
    #[error("TLS with {0} failed")]
    Tls(Arc<str>),
    /// No answer in time.
    #[error("{0} did not answer in time")]
    FirstByteTimeout(Arc<str>),
    /// It stopped in the middle of an answer.
    #[error("{0} stopped in the middle of its answer")]
    Truncated(Arc<str>),
    /// Its answer can't be read.
    #[error("the answer of {0} can't be read")]
    Malformed(Arc<str>),
    /// The body moved nothing for too long.
    #[error("nothing moved for too long")]
    IdleTimeout,
    /// The client's request can't be read.
    #[error("the request can't be read: {0}")]
    BadRequest(&'static str),
    /// Larger than its bound.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
}

/// Says what may pass. One per process, shared by all workers.
pub trait Handler: Send + Sync + 'static {
    /// Says at once, from the head alone, what to do. Runs for every request: it must be quick and may not block.
    fn step(&self, head: &Head<'_>) -> Step;

    /// Decides about a request before it goes upstream. Dropped when the client leaves.
    fn decide(
        self: Arc<Self>,
        request: Request<()>,
        peer: Peer,
    ) -> impl Future<Output = Verdict> + Send;

    /// Answers a request whose body was read. Dropped when the client leaves, unless [`Step::Take::finish`].
    fn answer(
        self: Arc<Self>,
        request: Request<Bytes>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to a request that failed on the way: the only place where errors of the hop become HTTP.
    fn failed(&self, failure: &Failure) -> Response<Body>;

    /// Called once for each request that went upstream.
    fn done(&self, done: &Done);
}

// === impl Failure ===

impl Failure {
    /// The label for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::ConnectTimeout(_) => "connect-timeout",
            Self::Tls(_) => "tls",
            Self::FirstByteTimeout(_) => "first-byte-timeout",
            Self::Truncated(_) => "truncated",
            Self::Malformed(_) => "malformed",
            Self::IdleTimeout => "idle-timeout",
            Self::BadRequest(_) => "bad-request",
            Self::TooLarge(_) => "too-large",
        }
    }
}

// === impl Origin ===

impl Origin {
    /// Names a server.
    pub fn new(name: impl Into<Arc<str>>, address: Address) -> Self {
        Self(Arc::new(OriginInner {
            name: name.into(),
            address,
        }))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Tls { host, port, .. } => write!(f, "https://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Listen {
    /// As it is configured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for OriginInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forward(kind {} to {:?})", self.kind, self.origin)
    }
}

impl fmt::Debug for Head<'_> {
    /// The target is left out: it may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} ..)", self.method)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            keep_alive: Duration::from_secs(75),
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(150),
            idle: Duration::from_secs(3600),
            tunnel: Duration::from_secs(3600),
        }
    }
}
