//! Does in Jellyfin what rules want done to streams.

use tokio::sync::mpsc;

use super::desk;
use crate::{
    gate::{EndJob, Ending},
    tasks::Tasks,
    upstream::{Api, CallError},
};

/// Ends jobs that a rule wants ended, for ever, a few at a time. `words`: what the viewer on a device is told of it, if
/// anything.
pub async fn end_jobs(
    api: Api,
    tasks: Tasks,
    ends: mpsc::Receiver<EndJob>,
    mut words: impl FnMut(&EndJob) -> Option<String> + Send,
) {
    desk::serve(tasks, ends, |end| {
        let text = words(&end);
        let api = api.clone();
        async move { carry_out(&api, &end, text).await }
    })
    .await;
}

async fn carry_out(api: &Api, end: &EndJob, text: Option<String>) {
    let done = match end.ending {
        Ending::Job => end_job(api, end).await,
        Ending::Announce(_) | Ending::Spare => say(api, end, text).await,
        Ending::Player => match stop(api, end).await {
            // A player that does not hear of it loses its job all the same.
            Ok(()) => end_job(api, end).await,
            Err(error) => end_job(api, end).await.and(Err(error)),
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
