//! One client connection: heads in, what the handler says, one exchange after the other.

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Failure, Forward, Handler, Head, Peer, Step, Verdict, answer, exchange,
    fields::Framing,
    peer::{self, Proxied},
    pool::HEAD,
    request::{self, Ask},
    stream::Stream,
    transfer::{linger, unless_left},
    upload::Upload,
    worker::Worker,
};
use crate::clock;

/// A client connection.
pub(super) struct Connection<H> {
    pub(super) worker: Arc<Worker>,
    pub(super) handler: Arc<H>,
    pub(super) down: Stream,
    /// Bytes that were read but not used. Holds no room while it holds no bytes.
    pub(super) inbox: Vec<u8>,
    pub(super) peer: Peer,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    Keep,
    /// It is closed.
    Close,
    /// It is closed once the client has stopped sending.
    Linger,
}

/// Why no request came.
enum Unasked {
    Bad(&'static str),
    Gone,
}

/// What came of reading a body for the handler.
enum Taken {
    Whole(Vec<u8>),
    /// Longer than the bound. What was read, as it came, if the rest may go upstream.
    Longer(Vec<u8>),
    Bad(&'static str),
    Gone,
}

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(
    worker: Arc<Worker>,
    handler: Arc<H>,
    down: Stream,
    remote: Option<SocketAddr>,
) {
    let peer = peer::of_socket(&worker.settings.trusted, remote);
    let mut connection = Connection {
        worker,
        handler,
        down,
        inbox: Vec::new(),
        peer,
    };
    let after = connection.run().await;
    if after == After::Linger {
        linger(&connection.worker, &mut connection.down).await;
    }
}

impl<H: Handler> Connection<H> {
    async fn run(&mut self) -> After {
        if self.worker.settings.proxy_protocol && self.peer.trusted {
            match self.introduce().await {
                Ok(true) => {}
                Ok(false) => return self.refuse("unreadable PROXY header").await,
                Err(()) => return After::Close,
            }
        }
        let mut fresh = true;
        loop {
            let after = match self.next(fresh).await {
                Ok((ask, head, step)) => self.exchange(ask, head, step).await,
                Err(Unasked::Bad(why)) => self.refuse(why).await,
                Err(Unasked::Gone) => After::Close,
            };
            if after != After::Keep {
                return after;
            }
            fresh = false;
        }
    }

    /// Reads a PROXY header if there is one. `false`: it can't be read. `Err`: the client is gone.
    async fn introduce(&mut self) -> Result<bool, ()> {
        let limit = self.worker.settings.timeouts.head;
        let read = timeout(limit, async {
            loop {
                match peer::proxied(&self.inbox) {
                    Proxied::Absent => return Ok(true),
                    Proxied::Bad => return Ok(false),
                    Proxied::Partial => self.more().await.map_err(|_| ())?,
                    Proxied::Header(len, source) => {
                        self.inbox.drain(..len.min(self.inbox.len()));
                        if source.is_some() {
                            self.peer = peer::of_socket(&self.worker.settings.trusted, source);
                        }
                        return Ok(true);
                    }
                }
            }
        });
        read.await.unwrap_or(Err(()))
    }

    /// Waits for the next request. A fresh connection gets its first request served even in a drain.
    async fn next(&mut self, fresh: bool) -> Result<(Ask, Vec<u8>, Step), Unasked> {
        if self.inbox.is_empty() {
            self.worker.heads.put(&mut self.inbox);
            let timeouts = &self.worker.settings.timeouts;
            let limit = if fresh {
                timeouts.head
            } else {
                timeouts.keep_alive
            };
            match timeout(limit, self.first_bytes(fresh)).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(Unasked::Gone),
            }
        }
        let deadline = Instant::from_std(clock::now() + self.worker.settings.timeouts.head);
        let mut head = self.worker.heads.take();
        loop {
            while self.inbox.starts_with(b"\r\n") {
                self.inbox.drain(..2);
            }
            let settings = &self.worker.settings;
            match request::parse(&self.inbox, &self.peer, settings, &mut head) {
                Ok(Some(parsed)) => {
                    let step = self.handler.step(&Head {
                        method: parsed.method,
                        target: parsed.target,
                        peer: &parsed.ask.peer,
                    });
                    let ask = parsed.ask;
                    self.inbox.drain(..ask.len.min(self.inbox.len()));
                    return Ok((ask, head, step));
                }
                Ok(None) if self.inbox.len() >= HEAD => {
                    self.worker.heads.put(&mut head);
                    return Err(Unasked::Bad("head too long"));
                }
                Ok(None) => {}
                Err(why) => {
                    self.worker.heads.put(&mut head);
                    return Err(Unasked::Bad(why));
                }
            }
            match timeout_at(deadline, self.more()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => {
                    self.worker.heads.put(&mut head);
                    return Err(Unasked::Gone);
                }
            }
        }
    }

    /// Waits, holding nothing, for the first bytes of a request. `false`: the client left, or a drain began.
    async fn first_bytes(&mut self, fresh: bool) -> bool {
        let worker = Arc::clone(&self.worker);
        let mut drain = pin!(worker.drain.notified());
        poll_fn(|cx| {
            let mut buffer = worker.heads.take();
            match self.down.poll_fill(cx, &mut buffer, HEAD) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.inbox = buffer;
                    return Poll::Ready(true);
                }
                Poll::Ready(Ok(_) | Err(_)) => {
                    worker.heads.put(&mut buffer);
                    return Poll::Ready(false);
                }
                Poll::Pending => worker.heads.put(&mut buffer),
            }
            if !fresh && (worker.draining() || drain.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads more into the inbox, which has room. The end of the stream is an error.
    pub(super) async fn more(&mut self) -> io::Result<()> {
        let (worker, down, inbox) = (&self.worker, &mut self.down, &mut self.inbox);
        let n = poll_fn(|cx| {
            if inbox.capacity() == 0 {
                *inbox = worker.heads.take();
            }
            if inbox.len() == inbox.capacity() {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            down.poll_fill(cx, inbox, HEAD)
        })
        .await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Does what the handler said.
    async fn exchange(&mut self, mut ask: Ask, mut head: Vec<u8>, step: Step) -> After {
        match step {
            Step::Forward(forward) => exchange::forward(self, ask, head, forward, Vec::new()).await,
            Step::Answer(response) => {
                self.worker.heads.put(&mut head);
                answer::write(self, &mut ask, response).await.1
            }
            Step::Decide => {
                let request = match request::typed(&head, Bytes::new()) {
                    Ok(request) => request.map(|_| ()),
                    Err(why) => return self.refuse(why).await,
                };
                let verdict = Arc::clone(&self.handler).decide(request, ask.peer.clone());
                let verdict = Box::pin(verdict);
                let (worker, down, inbox) = (&self.worker, &mut self.down, &mut self.inbox);
                match unless_left(worker, down, inbox, true, verdict).await {
                    None => After::Close,
                    Some(Verdict::Forward(forward)) => {
                        exchange::forward(self, ask, head, forward, Vec::new()).await
                    }
                    Some(Verdict::Answer(response)) => {
                        self.worker.heads.put(&mut head);
                        answer::write(self, &mut ask, response).await.1
                    }
                }
            }
            Step::Take {
                limit,
                overflow,
                finish,
            } => self.take(ask, head, limit, overflow, finish).await,
        }
    }

    /// Reads a body for the handler and gives its answer.
    async fn take(
        &mut self,
        mut ask: Ask,
        mut head: Vec<u8>,
        limit: usize,
        overflow: Option<Forward>,
        finish: bool,
    ) -> After {
        let body = match self.read_body(&mut ask, limit, overflow.is_some()).await {
            Taken::Whole(body) => body,
            Taken::Longer(raw) => {
                return match overflow {
                    Some(forward) => exchange::forward(self, ask, head, forward, raw).await,
                    None => self.fail(&mut ask, &Failure::TooLarge(limit)).await.1,
                };
            }
            Taken::Bad(why) => return self.refuse(why).await,
            Taken::Gone => return After::Close,
        };
        let request = match request::typed(&head, Bytes::from(body)) {
            Ok(request) => request,
            Err(why) => return self.refuse(why).await,
        };
        self.worker.heads.put(&mut head);
        let response = Box::pin(Arc::clone(&self.handler).answer(request, ask.peer.clone()));
        let (worker, down, inbox) = (&self.worker, &mut self.down, &mut self.inbox);
        match unless_left(worker, down, inbox, !finish, response).await {
            Some(response) => answer::write(self, &mut ask, response).await.1,
            None => After::Close,
        }
    }

    async fn read_body(&mut self, ask: &mut Ask, limit: usize, keep_raw: bool) -> Taken {
        if let Framing::Fixed(length) = ask.body
            && length > limit as u64
        {
            return Taken::Longer(Vec::new());
        }
        if ask.expect && self.inbox.is_empty() {
            let go = self.down.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            if go.await.is_err() {
                return Taken::Gone;
            }
        }
        // The client has its 100 now, or did not wait for one.
        ask.expect = false;
        let idle = self.worker.settings.timeouts.idle;
        let (mut content, mut raw) = (Vec::new(), Vec::new());
        loop {
            let taken = ask.body.take(&self.inbox, |c| content.extend_from_slice(c));
            let n = match taken {
                Ok(n) => n.min(self.inbox.len()),
                Err(why) => return Taken::Bad(why),
            };
            let used = self.inbox.drain(..n);
            if keep_raw {
                raw.extend_from_slice(used.as_slice());
            }
            drop(used);
            // Chunks of one byte each must not make a small body a large one here.
            if content.len() > limit || raw.len() > 2 * limit + HEAD {
                return Taken::Longer(raw);
            }
            if ask.body.done() {
                return Taken::Whole(content);
            }
            match timeout(idle, self.more()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Taken::Gone,
            }
        }
    }

    /// Answers a request that can't be read. Nothing that follows it on the connection can be either.
    async fn refuse(&mut self, why: &'static str) -> After {
        let mut ask = Ask::unreadable(&self.peer);
        self.fail(&mut ask, &Failure::BadRequest(why)).await.1
    }

    /// Answers a request that failed. Returns the status that was sent.
    pub(super) async fn fail(&mut self, ask: &mut Ask, failure: &Failure) -> (Option<u16>, After) {
        let response = self.handler.failed(failure);
        answer::write(self, ask, response).await
    }

    /// Drops a request body that nobody will read, as far as it is here already. `true`: it is all gone.
    pub(super) fn discard(&mut self, ask: &mut Ask) -> bool {
        let n = ask.body.take(&self.inbox, |_| {}).unwrap_or_default();
        self.inbox.drain(..n.min(self.inbox.len()));
        ask.body.done()
    }

    /// An upload of what is left of the request's body.
    pub(super) fn upload<'a>(&'a mut self, ask: &'a mut Ask, up: &'a mut Stream) -> Upload<'a> {
        Upload {
            worker: &self.worker,
            down: &mut self.down,
            inbox: &mut self.inbox,
            ask,
            up,
        }
    }

    /// The connection may be kept after an answer to `ask`.
    pub(super) fn may_keep(&self, ask: &Ask) -> bool {
        ask.keep && !self.worker.draining()
    }

    /// How long nothing may move.
    pub(super) fn idle(&self) -> Duration {
        self.worker.settings.timeouts.idle
    }
}
