//! Binds, accepts on one event loop per worker, and drains.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::time::timeout;

use super::{
    Handler, Listen, Settings, connection,
    stream::Stream,
    worker::{Counted, Shared, Worker},
};
use crate::clock;

/// Connections that may wait to be accepted, per worker.
const BACKLOG: i32 = 1024;
/// A listener that is about to close takes what arrives until nothing has for this long: a handshake under way must
/// get to its end.
const QUIET: Duration = Duration::from_millis(100);
/// After an error of `accept` (too many open files), before the next try.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks for idle upstream connections that are too old.
const SWEEP: Duration = Duration::from_secs(30);

/// A bound listener, not yet serving: its address is known.
#[derive(Debug)]
pub struct Bound {
    settings: Arc<Settings>,
    listeners: Vec<Listener>,
    address: Option<SocketAddr>,
    file: Option<SocketFile>,
}

/// A hop that serves. Dropped, it cuts everything; see [`Running::drain`].
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The same, known to an event loop.
#[derive(Debug)]
enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// The name of a Unix socket, and which file that was when it was bound.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

// === impl Bound ===

impl Bound {
    /// Binds, with `SO_REUSEPORT` on TCP, so that an upgrade can bind beside it.
    ///
    /// # Errors
    /// The address can't be had.
    pub fn bind(settings: Settings) -> io::Result<Self> {
        let workers = settings.workers.max(1);
        let mut listeners = Vec::with_capacity(workers);
        let mut address = None;
        let mut file = None;
        match &settings.listen {
            Listen::Tcp(wanted) => {
                let mut wanted = *wanted;
                for _ in 0..workers {
                    let listener = bind_tcp(wanted)?;
                    // With port 0 the first one chooses for all.
                    wanted = listener.local_addr()?;
                    listeners.push(Listener::Tcp(listener));
                }
                address = Some(wanted);
            }
            Listen::Unix(path) => {
                let listener = bind_unix(path)?;
                file = Some(SocketFile::at(path)?);
                for _ in 1..workers {
                    listeners.push(Listener::Unix(listener.try_clone()?));
                }
                listeners.push(Listener::Unix(listener));
            }
        }
        Ok(Self {
            settings: Arc::new(settings),
            listeners,
            address,
            file,
        })
    }

    /// The address that was bound; `None` for a Unix socket.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Starts serving on worker threads.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the workers own it from here on"
    )]
    pub fn serve<H: Handler>(self, handler: Arc<H>) -> Running {
        let shared = Arc::new(Shared::new(self.settings.max_connections));
        for (i, listener) in self.listeners.into_iter().enumerate() {
            let worker = Arc::new(Worker::new(Arc::clone(&self.settings), Arc::clone(&shared)));
            let handler = Arc::clone(&handler);
            let thread = shared.count(|s| &s.threads);
            let accepting = shared.count(|s| &s.accepting);
            let run = move || {
                if let Err(error) = run_to_end(serve(worker, handler, listener, accepting)) {
                    tracing::error!(%error, "a listener could not be used");
                }
                drop(thread);
            };
            let name = format!("hop-{i}");
            if let Err(error) = std::thread::Builder::new().name(name).spawn(run) {
                tracing::error!(%error, "a worker thread could not be started");
            }
        }
        Running {
            shared,
            file: self.file,
        }
    }
}

// === impl Running ===

impl Running {
    /// Client connections now.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Takes no new connections (those in the backlog are still served), ends idle ones, lets exchanges finish for
    /// `limit`, then cuts what is left. Returns how many were cut. Upgraded connections are not waited for once
    /// nothing else is left: they end when it suits them.
    pub async fn drain(self, limit: Duration) -> usize {
        if let Some(file) = &self.file {
            file.remove();
        }
        self.shared.draining.store(true, Ordering::Release);
        self.shared.phase.notify_waiters();
        let shared = &self.shared;
        // When the limit passes, the count says what is left.
        timeout(limit, shared.wait_for(Shared::quiet))
            .await
            .unwrap_or_default();
        let cut = self.connections();
        shared.stop();
        let gone = shared.wait_for(|s| s.threads.load(Ordering::Acquire) == 0);
        if timeout(Duration::from_secs(5), gone).await.is_err() {
            tracing::error!("a worker thread does not end");
        }
        cut
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

// === impl SocketFile ===

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            inode: (meta.dev(), meta.ino()),
        })
    }

    /// Removes the file, unless another process has put its own there.
    fn remove(&self) {
        let ours = Self::at(&self.path).is_ok_and(|now| now.inode == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the socket file could not be removed");
        }
    }
}

// === impl Accepting ===

impl Accepting {
    fn new(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(l) => Self::Tcp(tokio::net::TcpListener::from_std(l)?),
            Listener::Unix(l) => Self::Unix(tokio::net::UnixListener::from_std(l)?),
        })
    }

    async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // A connection that is already gone says so when it is read.
                stream.set_nodelay(true).unwrap_or_default();
                Ok((Stream::Tcp(stream), Some(remote)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }

    /// Lets no new handshake begin, so that the backlog can run empty. The client tries again within a second and
    /// reaches whoever has bound the port beside this listener, which is closed by then.
    fn refuse_new(&self) {
        // Load the TCP flags; SYN set: drop, else: pass.
        let filter = [
            SockFilter::new(0x30, 0, 0, 13),
            SockFilter::new(0x45, 0, 1, 0x02),
            SockFilter::new(0x06, 0, 0, 0),
            SockFilter::new(0x06, 0, 0, u32::MAX),
        ];
        match self {
            Self::Tcp(listener) => {
                if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
                    // Each event loop has a listener of its own, and the system the same to say to all.
                    static TOLD: std::sync::Once = std::sync::Once::new();
                    TOLD.call_once(|| {
                        tracing::warn!(%error, "The system lets no filter before the listener: who connects in the moment in which it closes may be reset, and has to connect again");
                    });
                }
            }
            // Its file is gone or another's: nothing new can arrive.
            Self::Unix(_) => {}
        }
    }
}

/// One event loop: accepts until a drain begins, empties the backlog, then runs until it is stopped.
async fn serve<H: Handler>(
    worker: Arc<Worker>,
    handler: Arc<H>,
    listener: Listener,
    accepting: Counted,
) -> io::Result<()> {
    let listener = Accepting::new(listener)?;
    let shared = Arc::clone(&worker.shared);
    worker.tasks.spawn(sweep(Arc::clone(&worker)));
    worker.tasks.spawn(end_idle(Arc::clone(&worker)));
    tokio::select! {
        biased;
        () = shared.until(&shared.stopped) => return Ok(()),
        () = accept(&worker, &handler, &listener) => {}
    }
    listener.refuse_new();
    let emptied = async {
        while let Ok(accepted) = timeout(QUIET, listener.accept()).await {
            take(&worker, &handler, accepted).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.until(&shared.stopped) => return Ok(()),
        () = emptied => {}
    }
    drop(listener);
    drop(accepting);
    shared.until(&shared.stopped).await;
    Ok(())
}

/// Accepts until a drain begins. What was accepted is served, however the drain falls.
async fn accept<H: Handler>(worker: &Arc<Worker>, handler: &Arc<H>, listener: &Accepting) {
    let shared = &worker.shared;
    loop {
        let next = async {
            // Without room for one more, they wait in the backlog.
            drop(shared.room.acquire().await);
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = shared.until(&shared.draining) => return,
            accepted = next => accepted,
        };
        take(worker, handler, accepted).await;
    }
}

/// Serves one connection beside the others.
async fn take<H: Handler>(
    worker: &Arc<Worker>,
    handler: &Arc<H>,
    accepted: io::Result<(Stream, Option<SocketAddr>)>,
) {
    let (stream, remote) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            // The client gave up before it was accepted: not worth a word.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
            return;
        }
    };
    let counted = worker.shared.count(|s| &s.connections);
    let permit = Arc::clone(&worker.shared.room).acquire_owned().await;
    let (worker, handler) = (Arc::clone(worker), Arc::clone(handler));
    let tasks = worker.tasks.clone();
    tasks.spawn(async move {
        connection::serve(worker, handler, stream, remote).await;
        drop(permit);
        drop(counted);
    });
}

/// Beside the accept loop, which may itself be waiting for an idle connection to make room.
async fn end_idle(worker: Arc<Worker>) {
    worker.shared.until(&worker.shared.draining).await;
    worker.drain.notify_waiters();
}

async fn sweep(worker: Arc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        worker.idles.sweep(clock::now());
    }
}

/// Runs one event loop on this thread. Made here and not at the bind, because a runtime may not be dropped where async
/// code runs, and a program that fails to start drops what it had bound.
fn run_to_end(served: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(served);
    // Cuts what is left.
    runtime.shutdown_background();
    served
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds under another name and renames, so that the name always leads to a socket that is served.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&beside)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o660))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}
