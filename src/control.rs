//! The loops beside the data path: comparing with `/Sessions`, ending jobs, the local time, the server's dialect and disk,
//! what users have used. And what is said to viewers for the operator.

mod disk;
mod usage;

use std::time::Duration;

use tokio::sync::mpsc;

pub use self::{
    disk::watch_disk,
    usage::{UsageFile, keep_usage, write_usage},
};
use crate::{
    admission::{Running, Today},
    clock, demand,
    gate::{EndJob, Ending, Gate},
    ident::{DeviceId, UserId},
    jellyfin::{Dialect, Encoding},
    telemetry::Telemetry,
    upstream::{Api, CallError, Health},
};

/// How often to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `/Sessions` while anything is held or waits.
    pub poll: Duration,
    /// `/Sessions` while nothing is.
    pub idle_poll: Duration,
    /// How full the disk is.
    pub disk_poll: Duration,
}

/// What stands over an operator's message.
const MESSAGE_HEADER: &str = "A word from your host";
/// How often `/health` is asked.
const HEALTH: Duration = Duration::from_secs(5);
/// How often while it does not answer: HAProxy must find Finweir ready before it finds the way round it.
const HEALTH_WHILE_AWAY: Duration = Duration::from_secs(1);
/// How often the version and the settings are asked for.
const SETTINGS: Duration = Duration::from_secs(300);

/// Compares the ledger with `/Sessions`, for ever.
pub async fn reconcile(
    api: Api,
    gate: Gate,
    telemetry: Telemetry,
    settings: Settings,
    encoding: impl Fn() -> Encoding + Send,
) {
    if !api.has_key() {
        tracing::warn!(node = %api.node(), "no API key: Finweir can't see what Jellyfin runs, and goes by what passes through it alone");
        return;
    }
    let mut failing = false;
    loop {
        match api.sessions().await {
            Ok(rows) => {
                let running: Vec<Running> = {
                    let encoding = encoding();
                    rows.iter()
                        .filter_map(|row| demand::running(row, &encoding))
                        .collect()
                };
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

/// Ends jobs that a rule wants ended, for ever. `words`: what the viewer on a device is told of it, if anything.
pub async fn end_jobs(
    api: Api,
    mut ends: mpsc::Receiver<EndJob>,
    words: impl Fn(&EndJob) -> Option<String> + Send,
) {
    while let Some(end) = ends.recv().await {
        let text = words(&end);
        let done = match end.ending {
            Ending::Job => end_job(&api, &end).await,
            Ending::Announce(_) | Ending::Spare => say(&api, &end, text).await,
            Ending::Player => match stop(&api, &end).await {
                // A player that does not hear of it loses its job all the same.
                Ok(()) => end_job(&api, &end).await,
                Err(error) => end_job(&api, &end).await.and(Err(error)),
            },
        };
        match done {
            Ok(()) => {
                tracing::info!(node = %end.node, ending = end.ending.as_str(), "did to a job what a rule wants");
            }
            Err(error) => {
                tracing::warn!(node = %end.node, ending = end.ending.as_str(), %error, "could not do to a job what a rule wants");
            }
        }
    }
}

/// Shows a message on the screen of a user's device.
///
/// # Errors
/// Jellyfin has no such session, or did not take it; the reason is for the operator.
pub async fn message(
    api: &Api,
    user: &UserId,
    device: &DeviceId,
    text: &str,
) -> Result<(), String> {
    let words = |error: CallError| error.to_string();
    let session = api.session_of(user, device).await.map_err(words)?;
    let session = session.ok_or("Jellyfin has no such session now")?;
    let told = api.message(&session, MESSAGE_HEADER, text);
    told.await.map_err(words)
}

async fn end_job(api: &Api, end: &EndJob) -> Result<(), CallError> {
    match &end.session {
        Some(session) => api.end_job(&end.device, session).await,
        // Nothing names it but its player.
        None => Ok(()),
    }
}

async fn say(api: &Api, end: &EndJob, text: Option<String>) -> Result<(), CallError> {
    let Some(text) = text else { return Ok(()) };
    match api.session_of(&end.user, &end.device).await? {
        Some(session) => api.message(&session, "Jellyfin", &text).await,
        None => Ok(()),
    }
}

async fn stop(api: &Api, end: &EndJob) -> Result<(), CallError> {
    match api.session_of(&end.user, &end.device).await? {
        Some(session) => api.stop(&session).await,
        None => Ok(()),
    }
}

/// Keeps the core's idea of the date and the time of the week right, daylight saving included, for ever.
pub async fn keep_time(gate: Gate) {
    loop {
        gate.set_minute_of_week(clock::minute_of_week());
        let left = tell_date(&gate);
        // A new date is told when it begins: who was told to come back then does.
        tokio::time::sleep(left.min(Duration::from_secs(30))).await;
    }
}

/// Tells the core which date it is here. Returns how long it lasts.
pub fn tell_date(gate: &Gate) -> Duration {
    let day = clock::local_day();
    gate.set_today(Today {
        date: day.date,
        day_left: day.day_left,
        week_left: day.week_left,
    });
    day.day_left.max(Duration::from_millis(1))
}

/// Looks whether the server answers, and asks for its version and settings when they may have changed, for ever.
pub async fn watch_server(
    api: Api,
    base_url: String,
    telemetry: Telemetry,
    learned: impl Fn(Dialect, Encoding) + Send,
) {
    let mut known: Option<(Dialect, Encoding)> = None;
    let mut asked = None;
    loop {
        let health = api.health().await;
        let up = matches!(health, Ok(Health::Healthy | Health::Starting));
        telemetry.reachable(api.node(), up);
        let now = clock::now();
        let due = asked.is_none_or(|at| now.saturating_duration_since(at) >= SETTINGS);
        // A server that was away may have come back as another version.
        asked = if up { asked } else { None };
        if up && due {
            match api.server(&base_url).await {
                Ok(server) => {
                    asked = Some(now);
                    if known.as_ref() != Some(&server) {
                        tell(&api, &server);
                        learned(server.0.clone(), server.1.clone());
                        known = Some(server);
                    }
                }
                Err(error) => {
                    tracing::debug!(node = %api.node(), %error, "Jellyfin does not say its version");
                }
            }
        }
        tokio::time::sleep(if up && known.is_some() {
            HEALTH
        } else {
            HEALTH_WHILE_AWAY
        })
        .await;
    }
}

fn tell(api: &Api, (dialect, encoding): &(Dialect, Encoding)) {
    let (major, minor) = dialect.version;
    tracing::info!(
        node = %api.node(),
        version = %format_args!("{major}.{minor}"),
        legacy_tokens = dialect.legacy_auth,
        tone_mapping = encoding.tone_mapping,
        "Jellyfin answers"
    );
}
