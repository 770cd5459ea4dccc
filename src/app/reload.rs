//! SIGHUP or a changed file → new configuration → swapped. A bad file keeps the last good one, loudly.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::Watcher;
use tokio::sync::mpsc;

use super::Built;
use crate::{
    clock,
    config::{Config, Loaded, Mistakes},
    journal::Note,
};

/// A file that is written in several steps is read once, after this pause.
const SETTLE: Duration = Duration::from_millis(500);

/// Reads the configuration anew, from wherever it came at the start.
pub type Source = Box<dyn Fn() -> Result<Loaded, Mistakes> + Send>;

/// Reloads the configuration of a running program.
pub struct Reload {
    built: Built,
    source: Source,
    config: Config,
}

// === impl Reload ===

impl Reload {
    pub(super) fn new(built: Built, source: Source, config: Config) -> Self {
        Self {
            built,
            source,
            config,
        }
    }

    /// Reads the configuration and puts it in force. `false`: it was rejected, and the last good one stays.
    pub fn reload(&mut self) -> bool {
        let loaded = match (self.source)() {
            Ok(loaded) => loaded,
            Err(mistakes) => {
                // Whoever reads the line finds the metric and the page saying the same.
                self.built
                    .readiness
                    .config_error(Some(mistakes.to_string()));
                self.built.telemetry.reloaded(false, clock::wall());
                if let Some(journal) = self.built.gate.journal() {
                    let error = mistakes.to_string();
                    journal.note(clock::now(), Note::ConfigRejected { error });
                }
                tracing::error!(
                    "The configuration was NOT reloaded; the last good one stays in force:\n{mistakes}"
                );
                return false;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = loaded.config;
        for change in self.config.changes(&config) {
            tracing::info!("Configuration: {change}");
        }
        let restart = self.config.needs_restart(&config);
        if !restart.is_empty() {
            tracing::warn!(
                keys = restart.join(", "),
                "These changes need a restart; until then the old values stay"
            );
        }
        self.built.apply(&config);
        self.built.readiness.config_error(None);
        self.built.telemetry.reloaded(true, clock::wall());
        tracing::info!("Configuration reloaded");
        self.config = config;
        true
    }

    /// Whether something else is written by now than what is in force.
    fn is_stale(&self) -> bool {
        (self.source)().map_or(true, |now| !self.config.changes(&now.config).is_empty())
    }

    /// Reloads at each word on `told` and at each change of a file in `paths`' directories, for ever. Directories are
    /// watched, not files: editors and orchestrators put a new file in the old one's place. What changed between the
    /// start and the first look is not missed. What came through a pipe (`--config <(decrypt it)`) is never read again: the
    /// second time it is empty, and the defaults would be in force.
    pub async fn run(mut self, paths: Vec<PathBuf>, mut told: mpsc::Receiver<()>) {
        if let Some(path) = paths.iter().find(|path| is_read_once(path)) {
            while told.recv().await.is_some() {
                tracing::warn!(path = %path.display(), "NOT reloaded: this is no file that can be read again; changes need a restart");
            }
            return std::future::pending().await;
        }
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let _watcher = watch(&paths, changed);
        if self.is_stale() {
            self.reload();
        }
        loop {
            tokio::select! {
                Some(()) = told.recv() => {}
                Some(()) = changes.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changes.try_recv().is_ok() {}
                }
                else => return std::future::pending().await,
            }
            self.reload();
        }
    }
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

/// Whether it is a pipe, a terminal or the like.
fn is_read_once(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn watch(paths: &[PathBuf], changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    // Events name whole paths, so ours must be whole too: `--config finweir.yaml` is relative.
    let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let watched: Vec<PathBuf> = paths.iter().map(whole).collect();
    let ours = watched.clone();
    let seen = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_ours = |path: &PathBuf| {
            ours.iter().any(|own| {
                path == own || own.is_dir() && path.starts_with(own) || path.ends_with("..data")
            })
        };
        if (event.kind.is_modify() || event.kind.is_create() || event.kind.is_remove())
            && event.paths.iter().any(is_ours)
        {
            // One word is enough: the channel holds one.
            changed.try_send(()).ok();
        }
    };
    let mut watcher = match notify::recommended_watcher(seen) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "files can't be watched; reload with SIGHUP");
            return None;
        }
    };
    for path in &watched {
        let directory = if path.is_dir() {
            path.as_path()
        } else {
            path.parent().unwrap_or(path)
        };
        if let Err(error) = watcher.watch(directory, notify::RecursiveMode::NonRecursive) {
            tracing::warn!(path = %directory.display(), %error, "can't be watched; reload with SIGHUP");
        }
    }
    Some(watcher)
}
