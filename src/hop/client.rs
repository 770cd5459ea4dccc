//! Sends whole requests upstream for a handler, on hyper, over a pool of its own.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Body, Failure, Origin, Timeouts, fields, pool::lock, stream::Stream,
    transfer::Idle as IdleTimer,
};
use crate::{clock, tasks::Tasks};

/// Idle connections kept for each upstream.
const SPARE: usize = 16;
/// Kestrel closes idle connections after 130 s; well before that they are not trusted any more.
const IDLE: Duration = Duration::from_secs(90);

/// An answer of [`Client::exchange`]: read whole, or too long for that.
#[derive(Debug)]
pub enum Exchanged {
    /// The whole answer.
    Whole(Response<Bytes>),
    /// Longer than the bound: what was read and the rest, to be streamed on.
    Long(Response<Body>),
}

/// Sends whole requests upstream for a [`super::Handler`], over a pool of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    timeouts: Timeouts,
    tasks: Tasks,
    idle: Mutex<Vec<(Origin, Vec<Line>)>>,
}

/// A connection, closed at once when it is dropped.
#[derive(Debug)]
struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    since: Instant,
}

/// The rest of an answer after what was read of it.
struct Rest {
    first: Option<Bytes>,
    body: Incoming,
    origin: Origin,
    client: Client,
    line: Option<Line>,
    idle: IdleTimer,
}

// === impl Client ===

impl Client {
    /// Makes a client with the hop's time-outs.
    pub fn new(timeouts: Timeouts) -> Self {
        Self(Arc::new(Inner {
            timeouts,
            tasks: Tasks::new(),
            idle: Mutex::new(Vec::new()),
        }))
    }

    /// Sends `request` to `origin` and reads the answer up to `limit` bytes. Hop-by-hop headers are dropped on both
    /// ways; headers are otherwise sent as given. One retry on a stale pooled connection for GET and HEAD.
    ///
    /// # Errors
    /// The upstream failed.
    pub async fn exchange(
        &self,
        origin: &Origin,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Exchanged, Failure> {
        let (mut parts, body) = request.into_parts();
        strip(&mut parts.headers);
        parts.headers.remove(header::EXPECT);
        parts.headers.remove(header::CONTENT_LENGTH);
        if !body.is_empty() || parts.method == Method::POST || parts.method == Method::PUT {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if !parts.headers.contains_key(header::HOST) {
            parts
                .headers
                .insert(header::HOST, HeaderValue::from_static("localhost"));
        }
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let repeatable =
            body.is_empty() && (parts.method == Method::GET || parts.method == Method::HEAD);
        let request = || Request::from_parts(parts.clone(), Full::new(body.clone()));

        if let Some(line) = self.pooled(origin) {
            match self.ask(origin, line, request(), limit).await {
                Err(Asked::Unsent) => {}
                Err(Asked::Unanswered(_)) if repeatable => {}
                Err(Asked::Unanswered(f) | Asked::Failed(f)) => return Err(f),
                Ok(exchanged) => return Ok(exchanged),
            }
        }
        let line = self.open(origin).await?;
        match self.ask(origin, line, request(), limit).await {
            Err(Asked::Unsent) => Err(Failure::Truncated(Arc::clone(&origin.0.name))),
            Err(Asked::Unanswered(f) | Asked::Failed(f)) => Err(f),
            Ok(exchanged) => Ok(exchanged),
        }
    }

    async fn ask(
        &self,
        origin: &Origin,
        mut line: Line,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Exchanged, Asked> {
        let name = || Arc::clone(&origin.0.name);
        let answer = timeout(
            self.0.timeouts.first_byte,
            line.sender.try_send_request(request),
        );
        let answer = match answer.await {
            Err(_) => return Err(Asked::Failed(Failure::FirstByteTimeout(name()))),
            Ok(Ok(answer)) => answer,
            Ok(Err(mut error)) => {
                return Err(if error.take_message().is_some() {
                    Asked::Unsent
                } else if error.error().is_parse() {
                    Asked::Failed(Failure::Malformed(name()))
                } else {
                    Asked::Unanswered(Failure::Truncated(name()))
                });
            }
        };
        let (mut parts, mut body) = answer.into_parts();
        strip(&mut parts.headers);
        let mut read = BytesMut::new();
        loop {
            let frame = timeout(self.0.timeouts.idle, body.frame()).await;
            match frame.map_err(|_| Asked::Failed(Failure::IdleTimeout))? {
                None => {
                    self.keep(origin, line);
                    return Ok(Exchanged::Whole(Response::from_parts(parts, read.freeze())));
                }
                Some(Err(_)) => return Err(Asked::Failed(Failure::Truncated(name()))),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    read.extend_from_slice(&data);
                }
            }
            if read.len() > limit {
                let rest = Rest {
                    first: Some(read.freeze()),
                    body,
                    origin: origin.clone(),
                    client: self.clone(),
                    line: Some(line),
                    idle: IdleTimer::new(self.0.timeouts.idle),
                };
                return Ok(Exchanged::Long(Response::from_parts(parts, rest.boxed())));
            }
        }
    }

    /// The idle connection used last that still stands.
    fn pooled(&self, origin: &Origin) -> Option<Line> {
        let mut idle = lock(&self.0.idle);
        let (_, lines) = idle
            .iter_mut()
            .find(|(o, _)| Arc::ptr_eq(&o.0, &origin.0))?;
        let now = clock::now();
        lines.retain(|l| !l.sender.is_closed() && now.duration_since(l.since) < IDLE);
        let at = lines.iter().rposition(|l| l.sender.is_ready())?;
        Some(lines.remove(at))
    }

    fn keep(&self, origin: &Origin, mut line: Line) {
        if line.sender.is_closed() {
            return;
        }
        line.since = clock::now();
        let mut idle = lock(&self.0.idle);
        // Servers that nothing names any more.
        idle.retain(|(o, _)| Arc::strong_count(&o.0) > 1);
        match idle.iter_mut().find(|(o, _)| Arc::ptr_eq(&o.0, &origin.0)) {
            Some((_, lines)) if lines.len() < SPARE => lines.push(line),
            Some(_) => {}
            None => idle.push((origin.clone(), vec![line])),
        }
    }

    async fn open(&self, origin: &Origin) -> Result<Line, Failure> {
        let stream = Stream::connect(origin, self.0.timeouts.connect).await?;
        let connected = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            connected.map_err(|_| Failure::Connect(Arc::clone(&origin.0.name)))?;
        let driver = self.0.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection broke");
            }
        });
        Ok(Line {
            sender,
            driver,
            since: clock::now(),
        })
    }
}

/// Why a request got no answer.
enum Asked {
    /// Nothing of it was sent.
    Unsent,
    /// The connection ended before an answer.
    Unanswered(Failure),
    /// It must not be sent again.
    Failed(Failure),
}

// === impl Line ===

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

// === impl Rest ===

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.idle.moved();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                this.line = None;
                let name = Arc::clone(&this.origin.0.name);
                Poll::Ready(Some(Err(Failure::Truncated(name))))
            }
            Poll::Ready(None) => {
                if let Some(line) = this.line.take() {
                    this.client.keep(&this.origin, line);
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.idle.poll(cx));
                this.line = None;
                Poll::Ready(Some(Err(Failure::IdleTimeout)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |f| f.len() as u64);
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(hint.lower().saturating_add(first));
        hint
    }
}

/// Drops the headers that concern one connection only.
fn strip(headers: &mut HeaderMap) {
    let mut listed: Vec<String> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        let members = fields::list(value.as_bytes());
        listed.extend(
            members
                .filter_map(|m| std::str::from_utf8(m).ok())
                .map(str::to_owned),
        );
    }
    let hop_by_hop: Vec<_> = headers
        .keys()
        .filter(|k| {
            let name = k.as_str();
            fields::hop_by_hop(name)
                || listed.iter().any(|l| fields::is(name, l))
                    && !fields::kept_whatever_is_listed(name)
        })
        .cloned()
        .collect();
    for name in hop_by_hop {
        headers.remove(name);
    }
}
