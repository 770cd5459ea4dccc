//! Posts words: bounded in time, no redirects, no proxy, and nothing of a URL in what is said about it.

use std::{sync::Arc, time::Duration};

use reqwest::{StatusCode, header};
use tokio::sync::watch;

use super::{
    Settings,
    queue::Queue,
    receiver::{Login, Receiver},
    word::Word,
};
use crate::{
    telemetry::{Sent, Telemetry},
    upstream::TlsError,
};

/// Posts to receivers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sender(reqwest::Client);

/// Why a word did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// There was no answer: it may be there later.
    #[error("{0}")]
    Away(&'static str),
    /// It is busy or broken, and may have said when to come again.
    #[error("it answered {0}")]
    Busy(StatusCode, Option<Duration>),
    /// It does not want the word.
    #[error("it answered {0}")]
    Rejected(StatusCode),
}

// === impl Sender ===

impl Sender {
    pub(super) fn new(tls: &rustls::ClientConfig) -> Result<Self, TlsError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("finweir/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|e| rustls::Error::General(e.without_url().to_string()))?;
        Ok(Self(client))
    }

    /// Posts one word, once.
    pub(super) async fn send(
        &self,
        receiver: &Receiver,
        word: &Word,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let mut request = self
            .0
            .post(receiver.target.clone())
            .timeout(settings.pace.patience)
            .json(&receiver.body(word, &settings.name));
        if let Some((name, value)) = receiver.header() {
            request = request.header(name, value);
        }
        request = match &receiver.login {
            Login::None => request,
            Login::Basic(user, password) => request.basic_auth(user, Some(password)),
            Login::Bearer(token) => request.bearer_auth(token),
        };
        // The error itself holds the URL.
        let answer = request.send().await.map_err(|error| {
            Failure::Away(if error.is_timeout() {
                "it did not answer in time"
            } else if error.is_connect() {
                "no connection to it"
            } else {
                "the connection broke"
            })
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let busy = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        if busy {
            let after = answer.headers().get(header::RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Err(Failure::Busy(status, after.map(Duration::from_secs)))
        } else {
            Err(Failure::Rejected(status))
        }
    }
}

/// Sends what is in `queue` to its receiver, for as long as that is configured. One that is away is tried again, ever
/// more rarely, without end: the queue holds no more than what is the case.
pub(super) async fn serve(
    sender: Sender,
    receiver: Receiver,
    queue: Arc<Queue>,
    settings: watch::Receiver<Settings>,
    telemetry: Telemetry,
) {
    let mut failures = 0_u32;
    while let Some((number, word)) = queue.next().await {
        let now = settings.borrow().clone();
        let failure = match sender.send(&receiver, &word, &now).await {
            Ok(()) => {
                telemetry.sent(Sent::Sent);
                queue.done(number);
                if std::mem::take(&mut failures) > 0 {
                    tracing::info!(%receiver, "Word arrives again");
                }
                continue;
            }
            Err(failure) => failure,
        };
        let asked = match failure {
            Failure::Rejected(_) => {
                telemetry.sent(Sent::Failed);
                queue.done(number);
                tracing::warn!(%receiver, %failure, "A word to the operator was not taken");
                continue;
            }
            Failure::Busy(_, asked) => asked,
            Failure::Away(_) => None,
        };
        telemetry.sent(Sent::Retried);
        if failures == 0 {
            tracing::warn!(%receiver, %failure, "A word to the operator did not arrive; it is tried again");
        }
        let pace = now.pace;
        let doubled = pace.retry.saturating_mul(1 << failures.min(16));
        let wait = asked.map_or(doubled, |asked| asked.max(pace.retry));
        failures = failures.saturating_add(1);
        tokio::time::sleep(wait.min(pace.retry_at_most)).await;
    }
}
