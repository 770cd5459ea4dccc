//! An upgraded connection: bytes both ways, whatever they mean.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite as _;

use super::{pool::HEAD, stream::Stream, transfer::Idle, worker::Worker};

/// One direction of an upgraded connection.
#[derive(Debug, Default)]
struct Lane {
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    shut: bool,
    moved: u64,
}

impl Lane {
    /// Ready once this direction has ended and that was passed on.
    fn poll(
        &mut self,
        worker: &Worker,
        from: &mut Stream,
        to: &mut Stream,
        idle: &mut Idle,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.buffer.get(self.start..)
                && !rest.is_empty()
            {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += n;
                self.moved += n as u64;
                idle.moved();
            }
            worker.heads.put(&mut self.buffer);
            self.start = 0;
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            if self.shut {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.shut = true;
                continue;
            }
            let mut buffer = worker.heads.take();
            match from.poll_fill(cx, &mut buffer, HEAD) {
                Poll::Ready(Ok(0)) => {
                    worker.heads.put(&mut buffer);
                    self.ended = true;
                }
                Poll::Ready(Ok(_)) => {
                    idle.moved();
                    self.buffer = buffer;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    worker.heads.put(&mut buffer);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Carries an upgraded connection both ways until both have ended, one breaks, or nothing moves for too long.
/// Returns the bytes that went to the client.
pub(super) async fn tunnel(
    worker: &Worker,
    down: &mut Stream,
    up: &mut Stream,
    from_client: Vec<u8>,
    from_upstream: Vec<u8>,
) -> u64 {
    let mut idle = Idle::new(worker.settings.timeouts.tunnel);
    let mut there = Lane {
        buffer: from_client,
        ..Lane::default()
    };
    let mut back = Lane {
        buffer: from_upstream,
        ..Lane::default()
    };
    poll_fn(|cx| {
        let to_upstream = there.poll(worker, down, up, &mut idle, cx);
        let to_client = back.poll(worker, up, down, &mut idle, cx);
        match (to_upstream, to_client) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            (Poll::Pending | Poll::Ready(Ok(())), Poll::Pending | Poll::Ready(Ok(()))) => {
                idle.poll(cx)
            }
        }
    })
    .await;
    back.moved
}
