//! `finweir run`: serves until a signal, reloads on SIGHUP or file change, drains on SIGTERM.

use std::{io, path::PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{Bound, Source, StartError};
use crate::{
    config::{Config, Loaded},
    telemetry::{self, init_logging},
};

/// Why `run` ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log could not be set up.
    #[error("the log can't be set up")]
    Log(#[from] telemetry::LogError),
    /// The process could not get threads or signals.
    #[error("the process can't be set up")]
    Process(#[from] io::Error),
}

/// The signals that mean something here.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

enum Told {
    Stop,
    Reload,
}

/// Serves `loaded` until a signal ends it. `source` reads the configuration again.
///
/// # Errors
/// It could not start.
pub fn run(loaded: Loaded, source: Source) -> Result<(), RunError> {
    let _guard = init_logging(&loaded.config.telemetry)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    allow_descriptors(loaded.config.hop.max_connections);
    // The data path has threads of its own; here are only the loops beside it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(serve(loaded.config, loaded.sources, source))
}

async fn serve(config: Config, sources: Vec<PathBuf>, source: Source) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let running = Bound::bind(config.clone())?.serve()?;
    let at = running
        .address()
        .map_or_else(|| config.hop.listen.to_string(), |a| a.to_string());
    tracing::info!(listen = at, admin = %running.admin_address(), mode = config.policy.mode.as_str(), "Finweir serves");

    let (reload, told) = mpsc::channel(1);
    let reloads = running.reloader(source, config).run(sources, told);
    tokio::pin!(reloads);
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break,
                // One word is enough: the channel holds one.
                Told::Reload => {
                    reload.try_send(()).ok();
                }
            },
            () = running.drain_asked() => break,
            () = &mut reloads => {}
        }
    }
    let drain = running.drain();
    tokio::pin!(drain);
    loop {
        tokio::select! {
            _ = &mut drain => return Ok(()),
            told = signals.next() => match told {
                Told::Stop => {
                    tracing::warn!("Told twice: stopping at once");
                    return Ok(());
                }
                Told::Reload => {}
            },
        }
    }
}

/// Raises the limit of open files as far as `connections` need and the system lets: a shell gives a thousand, which is
/// 250 streams.
fn allow_descriptors(connections: usize) {
    // Both ends of a connection, and a pipe to move bodies through.
    const EACH: u64 = 4;
    const OTHERS: u64 = 256;
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(EACH)
        .saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    let Some(limit) = current.filter(|limit| *limit < needed) else {
        return;
    };
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    let limit = if limit < wanted && setrlimit(Resource::Nofile, raised).is_ok() {
        wanted
    } else {
        limit
    };
    if limit < needed {
        tracing::warn!(
            needed,
            limit,
            "The system lets fewer files be open than server.max_connections needs: raise its limit (LimitNOFILE, ulimit -n) \
             or lower server.max_connections"
        );
    }
}

// === impl Signals ===

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.reload.recv() => Told::Reload,
        }
    }
}
