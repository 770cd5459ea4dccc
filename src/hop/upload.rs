//! The body of a request on its way up, with an eye on an upstream that answers before it has it all.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
};

use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

use super::{
    Failure,
    exchange::Broken,
    pool::HEAD,
    request::Ask,
    response,
    stream::Stream,
    transfer::{Idle, poll_left},
    worker::Worker,
};

/// The body of a request on its way up.
pub(super) struct Upload<'a> {
    pub(super) worker: &'a Worker,
    pub(super) down: &'a mut Stream,
    pub(super) inbox: &'a mut Vec<u8>,
    pub(super) ask: &'a mut Ask,
    pub(super) up: &'a mut Stream,
}

/// What came of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uploaded {
    Whole,
    /// The upstream answers already, or has closed: what is left is of no use to it.
    Early,
}

// === impl Upload ===

impl Upload<'_> {
    /// Sends the body as it comes from the client, keeping an eye on the upstream, which may answer early.
    pub(super) async fn run(&mut self, reply: &mut Vec<u8>) -> Result<Uploaded, Broken> {
        let mut idle = Idle::new(self.worker.settings.timeouts.idle);
        loop {
            let taken = self.ask.body.take(self.inbox, |_| {});
            let n = taken.map_err(Broken::Request)?;
            if n > 0 {
                let done = self.write(n, reply, &mut idle).await?;
                self.inbox.drain(..n.min(self.inbox.len()));
                if !done {
                    return Ok(Uploaded::Early);
                }
            }
            if self.ask.body.done() {
                return Ok(Uploaded::Whole);
            }
            let (worker, down, up) = (self.worker, &mut *self.down, &mut *self.up);
            let inbox = &mut *self.inbox;
            let turned = poll_fn(|cx| {
                let before = inbox.len();
                let left = poll_left(worker, down, inbox, cx).is_ready();
                if inbox.len() > before {
                    idle.moved();
                    return Poll::Ready(Ok(None));
                }
                if left {
                    return Poll::Ready(Err(Broken::Left));
                }
                if reply.len() < reply.capacity()
                    && let Poll::Ready(n) = up.poll_fill(cx, reply, HEAD)
                {
                    return Poll::Ready(Ok(Some(n.unwrap_or_default())));
                }
                idle.poll(cx).map(|()| Err(Broken::Request("body stopped")))
            })
            .await?;
            match turned {
                None => {}
                Some(0) => return Ok(Uploaded::Early),
                Some(_) if self.interim(reply).await? => {}
                Some(_) => return Ok(Uploaded::Early),
            }
        }
    }

    /// Takes an interim answer off `reply` and passes on the 100 that the client waits for. `false`: it is the real
    /// answer.
    async fn interim(&mut self, reply: &mut Vec<u8>) -> Result<bool, Broken> {
        let mut scratch = self.worker.heads.take();
        let parsed = response::parse(reply, self.ask, None, &mut scratch);
        self.worker.heads.put(&mut scratch);
        let answer = match parsed {
            Ok(Some(answer)) => answer,
            // Half a head: the other half will tell.
            Ok(None) => return Ok(reply.len() < reply.capacity()),
            Err(_) => return Ok(false),
        };
        if !(100..200).contains(&answer.status) {
            return Ok(false);
        }
        reply.drain(..answer.len.min(reply.len()));
        if answer.status == 100 && std::mem::take(&mut self.ask.expect) {
            let go = self.down.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go.map_err(|_| Broken::Left)?;
        }
        Ok(reply.is_empty())
    }

    /// Sends the first `n` bytes of the inbox. `false`: the upstream does not take them any more.
    async fn write(
        &mut self,
        n: usize,
        reply: &mut Vec<u8>,
        idle: &mut Idle,
    ) -> Result<bool, Broken> {
        let mut rest = self.inbox.get(..n).unwrap_or_default();
        let up = &mut *self.up;
        let sent = poll_fn(|cx| {
            while !rest.is_empty() {
                match Pin::new(&mut *up).poll_write(cx, rest) {
                    Poll::Ready(Ok(k)) if k > 0 => {
                        rest = rest.get(k..).unwrap_or_default();
                        idle.moved();
                    }
                    Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(Ok(false)),
                    Poll::Pending => {
                        // It may have stopped reading because it is answering.
                        if reply.len() < reply.capacity()
                            && up.poll_fill(cx, reply, HEAD).is_ready()
                        {
                            return Poll::Ready(Ok(false));
                        }
                        ready!(idle.poll(cx));
                        return Poll::Ready(Err(Broken::Early(Failure::IdleTimeout)));
                    }
                }
            }
            match ready!(Pin::new(&mut *up).poll_flush(cx)) {
                Ok(()) => Poll::Ready(Ok(true)),
                Err(_) => Poll::Ready(Ok(false)),
            }
        });
        sent.await
    }
}
