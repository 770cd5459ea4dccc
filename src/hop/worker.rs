//! What one event loop owns, and what all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

use super::{
    Settings,
    pool::{BODY, Buffers, HEAD, Idles, Pipes},
};
use crate::tasks::Tasks;

/// What one event loop owns. Its locks are never contended.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) settings: Arc<Settings>,
    pub(super) shared: Arc<Shared>,
    pub(super) heads: Buffers,
    pub(super) bodies: Buffers,
    pub(super) pipes: Pipes,
    pub(super) idles: Idles,
    pub(super) tasks: Tasks,
    /// Wakes idle connections when a drain begins.
    pub(super) drain: Notify,
}

/// What all event loops share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) draining: AtomicBool,
    pub(super) stopped: AtomicBool,
    /// Wakes accept loops when `draining` or `stopped` is set.
    pub(super) phase: Notify,
    /// Event loops that still accept.
    pub(super) accepting: AtomicUsize,
    pub(super) connections: AtomicUsize,
    /// Threads that have not ended.
    pub(super) threads: AtomicUsize,
    /// Connections that were upgraded. They end when it suits them.
    pub(super) tunnels: AtomicUsize,
    /// Something that a drain waits for has ended.
    pub(super) ended: Notify,
    pub(super) room: Arc<Semaphore>,
}

/// Counts something while it lives, and tells a drain when it ends.
#[derive(Debug)]
pub(super) struct Counted {
    shared: Arc<Shared>,
    of: fn(&Shared) -> &AtomicUsize,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(settings: Arc<Settings>, shared: Arc<Shared>) -> Self {
        Self {
            heads: Buffers::new(HEAD),
            bodies: Buffers::new(BODY),
            pipes: Pipes::default(),
            idles: Idles::new(settings.pool),
            tasks: Tasks::new(),
            drain: Notify::new(),
            settings,
            shared,
        }
    }

    /// No connection is to be kept any more.
    pub(super) fn draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            phase: Notify::new(),
            accepting: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            ended: Notify::new(),
            room: Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Counts one more of something until the guard is dropped.
    pub(super) fn count(self: &Arc<Self>, of: fn(&Self) -> &AtomicUsize) -> Counted {
        of(self).fetch_add(1, Ordering::AcqRel);
        Counted {
            shared: Arc::clone(self),
            of,
        }
    }

    /// Nothing new can come and nothing is left that ends by itself.
    pub(super) fn quiet(&self) -> bool {
        self.accepting.load(Ordering::Acquire) == 0
            && self.connections.load(Ordering::Acquire) <= self.tunnels.load(Ordering::Acquire)
    }

    /// Ends all event loops.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.phase.notify_waiters();
    }

    /// Waits until `reached` holds, asked whenever something has ended.
    pub(super) async fn wait_for(&self, reached: impl Fn(&Self) -> bool) {
        loop {
            let ended = self.ended.notified();
            if reached(self) {
                return;
            }
            ended.await;
        }
    }

    /// Waits until `reached` holds, asked after each change of phase.
    pub(super) async fn until(&self, reached: &AtomicBool) {
        loop {
            let changed = self.phase.notified();
            if reached.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

// === impl Counted ===

impl Drop for Counted {
    fn drop(&mut self) {
        (self.of)(&self.shared).fetch_sub(1, Ordering::AcqRel);
        self.shared.ended.notify_waiters();
    }
}
