//! What a worker lends out and takes back: buffers, pipes, idle upstream connections.
//!
//! A buffer or pipe is held only while it holds bytes, so that idle connections and stalled downloads cost next to
//! nothing.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::{Origin, stream::Stream};

/// Room for one message head.
pub(super) const HEAD: usize = 16 << 10;
/// Room for a piece of a body that is copied. Measured: half the cost per byte of 16 KiB; 256 KiB saves another
/// fifth but is held by each stalled stream.
pub(super) const BODY: usize = 64 << 10;
/// Size of a pipe. Measured: the knee; above it the kernel's allowance per user runs out early.
pub(super) const PIPE: usize = 256 << 10;
/// Spare buffers and pipes kept.
const SPARE: usize = 64;
/// Kestrel closes idle connections after 130 s; well before that they are not trusted any more.
const IDLE: Duration = Duration::from_secs(90);

/// Buffers of one size.
#[derive(Debug)]
pub(super) struct Buffers {
    size: usize,
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Pipes for `splice`.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    spare: Mutex<Vec<Pipe>>,
}

/// Both ends of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

/// Idle connections per upstream, the last used first.
#[derive(Debug)]
pub(super) struct Idles {
    bound: usize,
    by_origin: Mutex<Vec<(Origin, Vec<Idle>)>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
}

// === impl Buffers ===

impl Buffers {
    pub(super) const fn new(size: usize) -> Self {
        Self {
            size,
            spare: Mutex::new(Vec::new()),
        }
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        let spare = lock(&self.spare).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(self.size))
    }

    /// Gives a buffer back and leaves an empty one without room in its place. Does nothing to one that has no room.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        let mut buffer = std::mem::take(buffer);
        if buffer.capacity() == 0 {
            return;
        }
        buffer.clear();
        let mut spare = lock(&self.spare);
        // One that had to grow is not kept.
        if buffer.capacity() == self.size && spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

// === impl Pipes ===

impl Pipes {
    /// An empty pipe of full size.
    pub(super) fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = lock(&self.spare).pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused when the user's allowance is spent; a two-page pipe would be worse than copying.
        fcntl_setpipe_size(&write, PIPE)?;
        Ok(Pipe { read, write })
    }

    /// Gives an *empty* pipe back.
    pub(super) fn put(&self, pipe: Pipe) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}

// === impl Idles ===

impl Idles {
    pub(super) const fn new(bound: usize) -> Self {
        Self {
            bound,
            by_origin: Mutex::new(Vec::new()),
        }
    }

    /// The connection used last that is still good.
    pub(super) fn take(&self, origin: &Origin, now: Instant, thorough: bool) -> Option<Stream> {
        let mut all = lock(&self.by_origin);
        let (_, idle) = all.iter_mut().find(|(o, _)| same(o, origin))?;
        while let Some(Idle { mut stream, since }) = idle.pop() {
            if now.duration_since(since) >= IDLE {
                // The rest has been idle for longer.
                idle.clear();
                return None;
            }
            if !stream.stale(thorough) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange ended cleanly.
    pub(super) fn put(&self, origin: &Origin, stream: Stream, now: Instant) {
        let mut all = lock(&self.by_origin);
        if all.iter().map(|(_, idle)| idle.len()).sum::<usize>() >= self.bound {
            return;
        }
        let idle = Idle { stream, since: now };
        match all.iter_mut().find(|(o, _)| same(o, origin)) {
            Some((_, list)) => list.push(idle),
            None => all.push((origin.clone(), vec![idle])),
        }
    }

    /// Closes what has been idle for too long, and all connections to servers that nothing names any more.
    pub(super) fn sweep(&self, now: Instant) {
        lock(&self.by_origin).retain_mut(|(origin, idle)| {
            idle.retain_mut(|i| now.duration_since(i.since) < IDLE && !i.stream.stale(false));
            Arc::strong_count(&origin.0) > 1 && !idle.is_empty()
        });
    }
}

fn same(a: &Origin, b: &Origin) -> bool {
    Arc::ptr_eq(&a.0, &b.0)
}

/// A lock under which nothing panics.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_one_that_grew_does_not() {
        let buffers = Buffers::new(16);
        let mut a = buffers.take();
        a.extend_from_slice(b"secret");
        buffers.put(&mut a);
        assert_eq!(a.capacity(), 0);
        buffers.put(&mut a);
        let mut b = buffers.take();
        assert!(b.is_empty());
        b.extend_from_slice(&[0; 100]);
        buffers.put(&mut b);
        assert_eq!(lock(&buffers.spare).len(), 0);
    }

    fn connection() -> (Stream, tokio::net::UnixStream) {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        (Stream::Unix(ours), theirs)
    }

    #[tokio::test]
    async fn an_idle_connection_is_used_last_in_first_out_until_it_is_old_or_closed() {
        let origin = Origin::new("a", crate::hop::Address::Unix("a".into()));
        let other = Origin::new("a", crate::hop::Address::Unix("a".into()));
        let idles = Idles::new(3);
        let now = crate::clock::now();
        let mut theirs = Vec::new();
        for _ in 0..4 {
            let (ours, other_end) = connection();
            idles.put(&origin, ours, now);
            theirs.push(other_end);
        }
        // The fourth found no room and was closed.
        let fourth = theirs.pop().unwrap();
        fourth.readable().await.unwrap();
        assert_eq!(fourth.try_read(&mut [0]).unwrap(), 0);
        assert!(idles.take(&other, now, true).is_none());
        assert!(idles.take(&origin, now, true).is_some());
        drop(theirs.remove(1));
        // The second was closed by its server, the first still stands.
        assert!(idles.take(&origin, now, true).is_some());
        assert!(idles.take(&origin, now, true).is_none());
        let (ours, _theirs) = connection();
        idles.put(&origin, ours, now);
        assert!(idles.take(&origin, now + IDLE, true).is_none());
        let (ours, _theirs) = connection();
        idles.put(&origin, ours, now);
        idles.sweep(now);
        assert_eq!(lock(&idles.by_origin).len(), 1);
        idles.sweep(now + IDLE);
        assert_eq!(lock(&idles.by_origin).len(), 0);
    }
}
