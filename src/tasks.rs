//! The only place that spawns; what is spawned here is counted and joined by drain.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::{AbortHandle, JoinHandle};
use tokio::{runtime::Handle, sync::Notify};

/// Counts running tasks, so that a drain can wait for them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Where tasks run; `None`: where they are spawned.
    runtime: Option<Handle>,
    running: AtomicUsize,
    idle: Notify,
    loops: Mutex<Vec<AbortHandle>>,
}

struct Running(Tasks);

// === impl Tasks ===

impl Tasks {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs everything on `runtime`, wherever it is spawned: what a request leaves behind must outlive the thread that
    /// served it.
    pub fn on(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            runtime: Some(runtime),
            ..Inner::default()
        }))
    }

    /// Runs `task` beside everything else.
    #[expect(clippy::disallowed_methods, reason = "this module is the spawner")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = self.enter();
        let counted = async move {
            let _running = running;
            task.await
        };
        match &self.0.runtime {
            Some(runtime) => runtime.spawn(counted),
            None => tokio::spawn(counted),
        }
    }

    /// Runs a loop that never ends by itself: it is not joined, but ended by [`Tasks::end_loops`].
    #[expect(clippy::disallowed_methods, reason = "this module is the spawner")]
    pub fn spawn_loop<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = tokio::spawn(task).abort_handle();
        self.0
            .loops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
    }

    /// Ends every loop.
    pub fn end_loops(&self) {
        for handle in self
            .0
            .loops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            handle.abort();
        }
    }

    /// Tasks that run now.
    pub fn count(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Waits until nothing runs, at most `limit`. `false`: something still runs.
    pub async fn join(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, async {
            loop {
                let idle = self.0.idle.notified();
                if self.count() == 0 {
                    return;
                }
                idle.await;
            }
        })
        .await
        .is_ok()
    }

    fn enter(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        Running(self.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.idle.notify_waiters();
        }
    }
}
