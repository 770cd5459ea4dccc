//! The listener of the admin side and its thread.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::{Semaphore, oneshot, watch};

use super::{Handles, Settings, Side, auth::Peer, live::LISTENERS, router};
use crate::tasks::Tasks;

/// Connections at once: open pages, of which [`LISTENERS`] may listen for ever, and as many again for scrapers, health
/// checks and whatever a browser keeps open beside. More wait in the backlog.
const CONNECTIONS: usize = 2 * LISTENERS;
/// A head has this long to arrive.
const HEAD: Duration = Duration::from_secs(10);
/// A connection is closed at the next pause after this, so that idle ones don't use up [`CONNECTIONS`]; one whose page
/// listens is not.
const LIFE: Duration = Duration::from_secs(300);
/// What is under way may take this long to end.
const GRACE: Duration = Duration::from_secs(5);

/// The connection that a request came by.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Set when its page listens from now on: it may last.
    listens: Arc<AtomicBool>,
    /// Changes, or has no sender, when the listener stops.
    pub(super) stop: watch::Receiver<()>,
}

/// An admin listener that is bound, but doesn't serve yet.
#[derive(Debug)]
pub struct BoundAdmin {
    settings: Settings,
    listener: std::net::TcpListener,
    address: SocketAddr,
}

/// An admin listener that serves. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct RunningAdmin {
    address: SocketAddr,
    stop: watch::Sender<()>,
    done: oneshot::Receiver<()>,
}

/// Binds the admin listener.
///
/// # Errors
/// The address can't be had, or it isn't loopback and there is no token.
pub fn bind(settings: &Settings) -> io::Result<BoundAdmin> {
    let open = !settings.listen.ip().to_canonical().is_loopback();
    let guarded = settings
        .token
        .as_ref()
        .is_some_and(|token| !token.expose().is_empty());
    if open && !guarded {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not loopback: set an admin token", settings.listen),
        ));
    }
    let listener = std::net::TcpListener::bind(settings.listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(BoundAdmin {
        settings: settings.clone(),
        listener,
        address,
    })
}

// === impl BoundAdmin ===

impl BoundAdmin {
    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a thread of its own.
    ///
    /// # Errors
    /// The thread or its runtime can't be had.
    pub fn serve(self, handles: Handles) -> io::Result<RunningAdmin> {
        let (stop, stopped) = watch::channel(());
        let (finished, done) = oneshot::channel();
        let side = Side::new(&self.settings, handles);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        thread::Builder::new()
            .name("finweir-admin".to_owned())
            .spawn(move || {
                runtime.block_on(accept(listener, side, stopped));
                // Nobody may be waiting any more.
                finished.send(()).ok();
            })?;
        Ok(RunningAdmin {
            address: self.address,
            stop,
            done,
        })
    }
}

// === impl RunningAdmin ===

impl RunningAdmin {
    /// The address it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets answers under way finish, then ends the thread.
    pub async fn stop(self) {
        drop(self.stop);
        // An error says that the thread is gone, which is what is wanted.
        self.done.await.ok();
    }
}

// === impl Line ===

impl Line {
    /// Its page listens from now on.
    pub(super) fn listens(&self) {
        self.listens.store(true, Ordering::Relaxed);
    }
}

async fn accept(listener: tokio::net::TcpListener, side: Side, mut stop: watch::Receiver<()>) {
    let tasks = Tasks::new();
    side.start(&tasks);
    let router: Router = router(side);
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let permit = free.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.changed() => break,
        };
        let (Ok(permit), Ok((stream, peer))) = (permit, accepted) else {
            // Out of descriptors, most likely: waiting is all that helps.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let inner = TowerToHyperService::new(router.clone());
        let line = Line {
            listens: Arc::default(),
            stop: stop.clone(),
        };
        let listens = line.listens.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(line.clone());
            inner.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut stop = stop.clone();
        tasks.spawn(async move {
            let _permit = permit;
            let mut connection = pin!(connection);
            tokio::select! {
                // What a scraper or a browser does to its connection is not worth a line.
                _ = connection.as_mut() => return,
                _ = stop.changed() => {}
                () = life(&listens) => {}
            }
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.ok();
        });
    }
    drop(listener);
    tasks.end_loops();
    tasks.join(GRACE).await;
}

/// Ends when a connection has lasted long enough.
async fn life(listens: &AtomicBool) {
    tokio::time::sleep(LIFE).await;
    if listens.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
