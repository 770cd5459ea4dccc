//! The loops beside the data path: comparing with `/Sessions`, ending jobs, the local time, the server's dialect.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{
    admission::Running,
    clock, demand,
    gate::{EndJob, Gate},
    jellyfin::Dialect,
    telemetry::Telemetry,
    upstream::{Api, CallError},
};

/// How often to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `/Sessions` while anything is held or waits.
    pub poll: Duration,
    /// `/Sessions` while nothing is.
    pub idle_poll: Duration,
}

/// How often the version and the token settings are asked for, once they are known.
const DIALECT: Duration = Duration::from_secs(300);
/// How often they are asked for until they are.
const DIALECT_RETRY: Duration = Duration::from_secs(2);

/// Compares the ledger with `/Sessions`, for ever.
pub async fn reconcile(api: Api, gate: Gate, telemetry: Telemetry, settings: Settings) {
    if !api.has_key() {
        tracing::warn!(node = %api.node(), "no API key: Finweir can't see what Jellyfin runs, and goes by what passes through it alone");
        return;
    }
    let mut failing = false;
    loop {
        match api.sessions().await {
            Ok(rows) => {
                let running: Vec<Running> = rows.iter().filter_map(demand::running).collect();
                gate.reconcile(api.node(), &running);
                telemetry.polled(api.node(), true);
                if std::mem::take(&mut failing) {
                    tracing::info!(node = %api.node(), "/Sessions answers again");
                }
            }
            Err(error) => {
                telemetry.polled(api.node(), false);

                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(node = %api.node(), %error, "/Sessions can't be read; leases go by what passes through alone");
                }
            }
        }
        let snapshot = gate.snapshot();
        let busy = !snapshot.leases.is_empty() || !snapshot.waiting.is_empty();
        tokio::time::sleep(if busy {
            settings.poll
        } else {
            settings.idle_poll
        })
        .await;
    }
}

/// Ends jobs that a rule wants ended, for ever.
pub async fn end_jobs(api: Api, mut ends: mpsc::Receiver<EndJob>) {
    while let Some(end) = ends.recv().await {
        match api.end_job(&end.device, &end.session).await {
            Ok(()) => tracing::info!(node = %end.node, "ended a job that a rule wanted ended"),
            Err(error) => {
                tracing::warn!(node = %end.node, %error, "could not end a job that a rule wants ended")
            }
        }
    }
}

/// Keeps the core's idea of the time of the week right, daylight saving included, for ever.
pub async fn keep_time(gate: Gate) {
    loop {
        gate.set_minute_of_week(clock::minute_of_week());
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
}

/// Asks the server for its version and how it reads tokens, and passes it on when it changes, for ever.
pub async fn learn_dialect(
    api: Api,
    base_url: String,
    telemetry: Telemetry,
    learned: impl Fn(Dialect) + Send,
) {
    let mut known: Option<Dialect> = None;
    loop {
        match api.dialect(&base_url).await {
            Ok(dialect) => {
                telemetry.reachable(api.node(), true);
                if known.as_ref() != Some(&dialect) {
                    let (major, minor) = dialect.version;
                    tracing::info!(node = %api.node(), version = %format_args!("{major}.{minor}"), legacy_tokens = dialect.legacy_auth, "Jellyfin answers");
                    learned(dialect.clone());
                    known = Some(dialect);
                }
            }
            Err(error) => {
                telemetry.reachable(api.node(), !matches!(error, CallError::Unreachable(_)));
                tracing::debug!(node = %api.node(), %error, "Jellyfin does not say its version");
            }
        }
        tokio::time::sleep(if known.is_some() {
            DIALECT
        } else {
            DIALECT_RETRY
        })
        .await;
    }
}
