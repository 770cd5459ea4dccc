//! One socket, whatever it is: TCP, Unix, or TLS over TCP.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BufMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Address, Failure, Origin};

/// A connection to a client or an upstream.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Stream ===

impl Stream {
    /// Connects to `origin`, TLS handshake included, within `limit`.
    pub(super) async fn connect(origin: &Origin, limit: Duration) -> Result<Self, Failure> {
        let name = || Arc::clone(&origin.0.name);
        match timeout(limit, Self::open(origin)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::ConnectTimeout(name())),
        }
    }

    async fn open(origin: &Origin) -> Result<Self, Failure> {
        let refused = |_: io::Error| Failure::Connect(Arc::clone(&origin.0.name));
        match &origin.0.address {
            Address::Tcp { host, port } => {
                let tcp = tcp(host, *port).await.map_err(refused)?;
                Ok(Self::Tcp(tcp))
            }
            Address::Tls { host, port, config } => {
                let tcp = tcp(host, *port).await.map_err(refused)?;
                let broken = || Failure::Tls(Arc::clone(&origin.0.name));
                let server = host
                    .trim_matches(['[', ']'])
                    .to_owned()
                    .try_into()
                    .map_err(|_| broken())?;
                let tls = TlsConnector::from(Arc::clone(config))
                    .connect(server, tcp)
                    .await
                    .map_err(|_| broken())?;
                Ok(Self::Tls(Box::new(tls)))
            }
            Address::Unix(path) => {
                let unix = UnixStream::connect(path).await.map_err(refused)?;
                Ok(Self::Unix(unix))
            }
        }
    }

    /// Reads at most `most` bytes into the spare room of `buf`, which must have some. `Pending` leaves it as it was.
    ///
    /// One call, one future, never a second kind of wait after a `Pending`: polling a read and then awaiting
    /// `readable()` spins for ever once tokio's budget is spent.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let room = most.min(buf.capacity() - buf.len());
        debug_assert!(room > 0, "an empty read looks like the end of the stream");
        let mut limited = buf.limit(room);
        pin!(self.read_buf(&mut limited)).poll(cx)
    }

    /// Waits until the kernel takes bytes. TLS has no such wait: it is always ready.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_write_ready(cx),
            Self::Unix(s) => s.poll_write_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Waits until there is something to read. TLS has no such wait: it is always ready.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_read_ready(cx),
            Self::Unix(s) => s.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// The descriptor, if bytes may be moved past this process.
    pub(super) fn raw(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tcp(s) => Some(s.as_fd()),
            Self::Unix(s) => Some(s.as_fd()),
            Self::Tls(_) => None,
        }
    }

    /// Runs a system call on the socket and notes when it would block.
    pub(super) fn try_io<T>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(s) => s.try_io(interest, call),
            Self::Unix(s) => s.try_io(interest, call),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// An idle connection that has anything to read is of no use: it was closed, or answers what nobody asked.
    ///
    /// `thorough` asks the kernel; otherwise what the event loop has seen so far must do.
    pub(super) fn stale(&mut self, thorough: bool) -> bool {
        if thorough && let Some(fd) = self.raw() {
            let mut byte = [0u8; 1];
            let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
            let peeked = rustix::net::recv(fd, byte.as_mut_slice(), flags);
            return !matches!(peeked, Err(e) if e == rustix::io::Errno::AGAIN);
        }
        let mut byte = [0u8; 1];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut byte = ReadBuf::new(&mut byte);
        Pin::new(self).poll_read(&mut cx, &mut byte).is_ready()
    }
}

/// Connects with small writes sent at once.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(s) => s.is_write_vectored(),
            Self::Unix(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s.as_mut()).poll_shutdown(cx),
        }
    }
}
