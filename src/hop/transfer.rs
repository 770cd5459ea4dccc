//! Moves bodies: copied through lent buffers, or spliced past this process.
//!
//! While it waits it holds nothing. It takes bytes from the upstream only when the client's socket has room for
//! some, so a slow reader slows the upstream and costs no memory here.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use rustix::pipe::{SpliceFlags, splice};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _, Interest},
    time::Sleep,
};

use super::{
    Meter,
    fields::Framing,
    pool::{BODY, HEAD, PIPE, Pipe},
    stream::Stream,
    worker::Worker,
};
use crate::clock;

/// Below this, two more system calls cost more than the copy they save.
const SPLICE_FROM: u64 = 128 << 10;

/// Why a body stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The client is gone.
    Left,
    /// The upstream ended or broke in the middle.
    Truncated,
    /// The upstream's chunks can't be followed.
    Malformed,
    /// Nothing moved for too long.
    Idle,
}

/// Fires when nothing has moved for its limit. Costs a timer only once something has to be waited for.
#[derive(Debug)]
pub(super) struct Idle {
    limit: Duration,
    moved: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// A body on its way from an upstream to a client.
#[derive(Debug)]
pub(super) struct Download<'a> {
    pub(super) worker: &'a Worker,
    pub(super) up: &'a mut Stream,
    pub(super) down: &'a mut Stream,
    /// What the client has sent ahead.
    pub(super) inbox: &'a mut Vec<u8>,
    pub(super) body: &'a mut Framing,
    /// Chunks are taken apart for a client that knows none.
    pub(super) decode: bool,
    /// Body bytes that were sent.
    pub(super) sent: &'a mut u64,
    /// Shows them while it runs.
    pub(super) meter: Option<&'a Meter>,
    pub(super) idle: Idle,
}

// === impl Idle ===

impl Idle {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            moved: clock::now(),
            sleep: None,
        }
    }

    /// Something moved.
    pub(super) fn moved(&mut self) {
        self.moved = clock::now();
    }

    /// Ready when nothing has moved for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.moved + self.limit;
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
            ready!(sleep.as_mut().poll(cx));
            if clock::now() >= deadline {
                return Poll::Ready(());
            }
            // It moved since the timer was set; setting it anew each time would cost more.
            sleep.as_mut().reset(deadline.into());
        }
    }
}

/// Ready when the client has left. What it sends ahead goes into `inbox`, up to a head's worth.
pub(super) fn poll_left(
    worker: &Worker,
    down: &mut Stream,
    inbox: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        if inbox.capacity() == 0 {
            *inbox = worker.heads.take();
        }
        if inbox.len() >= inbox.capacity() {
            return Poll::Pending;
        }
        match down.poll_fill(cx, inbox, HEAD) {
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => {
                if inbox.is_empty() {
                    worker.heads.put(inbox);
                }
                return Poll::Pending;
            }
        }
    }
}

/// Runs `work` to its end, unless the client leaves first.
pub(super) async fn unless_left<F: Future>(
    worker: &Worker,
    down: &mut Stream,
    inbox: &mut Vec<u8>,
    watch: bool,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if watch && poll_left(worker, down, inbox, cx).is_ready() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// Writes two pieces, in one system call if it can be.
pub(super) async fn send(
    to: &mut Stream,
    first: &[u8],
    second: &[u8],
    idle: &mut Idle,
) -> io::Result<()> {
    let (mut first, mut second) = (first, second);
    poll_fn(|cx| {
        loop {
            let written = if first.is_empty() && second.is_empty() {
                break;
            } else if first.is_empty() {
                Pin::new(&mut *to).poll_write(cx, second)
            } else if second.is_empty() {
                Pin::new(&mut *to).poll_write(cx, first)
            } else {
                let slices = [IoSlice::new(first), IoSlice::new(second)];
                Pin::new(&mut *to).poll_write_vectored(cx, &slices)
            };
            match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    let of_first = n.min(first.len());
                    first = first.get(of_first..).unwrap_or_default();
                    second = second.get(n - of_first..).unwrap_or_default();
                    idle.moved();
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    ready!(idle.poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        // TLS keeps a record back until it is flushed; sockets have nothing to flush.
        Pin::new(&mut *to).poll_flush(cx)
    })
    .await
}

/// What a failed write to the client means.
pub(super) fn unsent(error: &io::Error) -> Stopped {
    if error.kind() == io::ErrorKind::TimedOut {
        Stopped::Idle
    } else {
        Stopped::Left
    }
}

impl Download<'_> {
    /// Moves the body to its end. `true`: the upstream sent nothing beyond it.
    pub(super) async fn run(&mut self) -> Result<bool, Stopped> {
        let mut may_splice = self.up.raw().is_some() && self.down.raw().is_some();
        let mut clean = true;
        while !self.body.done() {
            if may_splice
                && let Framing::Fixed(left) = self.body
                && *left >= SPLICE_FROM
            {
                let mut rest = *left;
                let done = self.splice(&mut rest).await;
                *self.body = Framing::Fixed(rest);
                may_splice = done?;
                continue;
            }
            let Some(mut data) = self.receive().await? else {
                return match self.body {
                    Framing::Eof => Ok(false),
                    Framing::Empty | Framing::Fixed(_) | Framing::Chunked(_) => {
                        Err(Stopped::Truncated)
                    }
                };
            };
            clean = self.pass(&data).await?;
            self.worker.bodies.put(&mut data);
        }
        Ok(clean)
    }

    /// Sends on what of `data` belongs to the body. `true`: all of it did.
    pub(super) async fn pass(&mut self, data: &[u8]) -> Result<bool, Stopped> {
        let mut decoded = Vec::new();
        let n = self
            .body
            .take(data, |content| {
                if self.decode {
                    decoded.extend_from_slice(content);
                }
            })
            .map_err(|_| Stopped::Malformed)?;
        let raw = data.get(..n).unwrap_or_default();
        let out = if self.decode { decoded.as_slice() } else { raw };
        send(self.down, out, &[], &mut self.idle)
            .await
            .map_err(|e| unsent(&e))?;
        *self.sent += out.len() as u64;
        count(self.meter, out.len());
        Ok(n == data.len())
    }

    /// Waits for a piece of the body. `None`: the upstream ended.
    async fn receive(&mut self) -> Result<Option<Vec<u8>>, Stopped> {
        let most = match self.body {
            Framing::Fixed(left) => usize::try_from(*left).map_or(BODY, |l| l.min(BODY)),
            Framing::Empty | Framing::Chunked(_) | Framing::Eof => BODY,
        };
        let (worker, idle) = (self.worker, &mut self.idle);
        let (up, down, inbox) = (&mut *self.up, &mut *self.down, &mut *self.inbox);
        poll_fn(|cx| {
            if let Poll::Ready(ready) = down.poll_writable(cx) {
                if ready.is_err() {
                    return Poll::Ready(Err(Stopped::Left));
                }
                let mut buffer = worker.bodies.take();
                match up.poll_fill(cx, &mut buffer, most) {
                    Poll::Ready(Ok(0)) => {
                        worker.bodies.put(&mut buffer);
                        return Poll::Ready(Ok(None));
                    }
                    Poll::Ready(Ok(_)) => {
                        idle.moved();
                        return Poll::Ready(Ok(Some(buffer)));
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Stopped::Truncated)),
                    Poll::Pending => worker.bodies.put(&mut buffer),
                }
            }
            poll_waiting(worker, down, inbox, idle, cx).map(Err)
        })
        .await
    }

    /// Moves `left` bytes by `splice(2)`. `false`: it can't be done here; what is left must be copied.
    async fn splice(&mut self, left: &mut u64) -> Result<bool, Stopped> {
        let mut pipe: Option<Pipe> = None;
        let mut held = 0usize;
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let (worker, idle, sent) = (self.worker, &mut self.idle, &mut *self.sent);
        let meter = self.meter;
        let (up, down, inbox) = (&mut *self.up, &mut *self.down, &mut *self.inbox);
        poll_fn(|cx| {
            loop {
                if held == 0 && *left == 0 {
                    pipe.take().into_iter().for_each(|p| worker.pipes.put(p));
                    return Poll::Ready(Ok(true));
                }
                match down.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Stopped::Left)),
                    Poll::Pending => {
                        if held == 0 {
                            pipe.take().into_iter().for_each(|p| worker.pipes.put(p));
                        }
                        return poll_waiting(worker, down, inbox, idle, cx).map(Err);
                    }
                }
                if held > 0 {
                    let (Some(pipe), Some(to)) = (&pipe, down.raw()) else {
                        return Poll::Ready(Err(Stopped::Left));
                    };
                    let moved = down.try_io(Interest::WRITABLE, || {
                        Ok(splice(&pipe.read, None, to, None, held, flags)?)
                    });
                    match moved {
                        Ok(n) => {
                            held -= n.min(held);
                            *sent += n as u64;
                            count(meter, n);
                            idle.moved();
                        }
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Poll::Ready(Err(Stopped::Left)),
                    }
                    continue;
                }
                match up.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Stopped::Truncated)),
                    Poll::Pending => {
                        pipe.take().into_iter().for_each(|p| worker.pipes.put(p));
                        return poll_waiting(worker, down, inbox, idle, cx).map(Err);
                    }
                }
                let lent = pipe.take().map_or_else(|| worker.pipes.take(), Ok);
                let (Ok(lent), Some(from)) = (lent, up.raw()) else {
                    return Poll::Ready(Ok(false));
                };
                let most = usize::try_from(*left).map_or(PIPE, |l| l.min(PIPE));
                let moved = up.try_io(Interest::READABLE, || {
                    Ok(splice(from, None, &lent.write, None, most, flags)?)
                });
                match moved {
                    Ok(0) => return Poll::Ready(Err(Stopped::Truncated)),
                    Ok(n) => {
                        held = n;
                        *left -= n as u64;
                        pipe = Some(lent);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => pipe = Some(lent),
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                        return Poll::Ready(Err(Stopped::Truncated));
                    }
                    Err(_) => return Poll::Ready(Ok(false)),
                }
            }
        })
        .await
    }
}

/// Shows that so many more bytes were sent.
pub(super) fn count(meter: Option<&Meter>, bytes: usize) {
    if let Some(meter) = meter {
        meter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// While nothing moves: the client may leave, or the limit may pass.
fn poll_waiting(
    worker: &Worker,
    down: &mut Stream,
    inbox: &mut Vec<u8>,
    idle: &mut Idle,
    cx: &mut Context<'_>,
) -> Poll<Stopped> {
    if poll_left(worker, down, inbox, cx).is_ready() {
        return Poll::Ready(Stopped::Left);
    }
    idle.poll(cx).map(|()| Stopped::Idle)
}

/// Ends a connection on which the client may still be sending: an immediate close would reset it, and the answer
/// with it.
pub(super) async fn linger(worker: &Worker, down: &mut Stream) {
    const LIMIT: Duration = Duration::from_secs(2);
    const MOST: usize = 1 << 20;
    if down.shutdown().await.is_err() {
        return;
    }
    let mut buffer = worker.heads.take();
    let drained = tokio::time::timeout(LIMIT, async {
        let mut total = 0;
        while total < MOST {
            buffer.clear();
            match poll_fn(|cx| down.poll_fill(cx, &mut buffer, HEAD)).await {
                Ok(n) if n > 0 => total += n,
                Ok(_) | Err(_) => break,
            }
        }
    });
    // Whether it ended or ran out of time, the connection is closed now.
    drained.await.unwrap_or_default();
    worker.heads.put(&mut buffer);
}
