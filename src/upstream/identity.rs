//! Token → identity: Jellyfin is asked once, the answer is kept for a minute.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Api, CallError};
use crate::{
    clock,
    ident::{Token, UserId},
    jellyfin::UserPolicy,
};

/// How long an answer is believed. Short: logging in again ends the older token.
const FRESH: Duration = Duration::from_secs(60);
/// How long a refusal is believed.
const REFUSED: Duration = Duration::from_secs(5);
/// How long a look-up that failed is not repeated: whoever waited for it meanwhile must not wait as long again.
const FAILED: Duration = Duration::from_secs(2);
/// Tokens remembered; beyond it stale ones are dropped, then all.
const TOKENS: usize = 4096;

/// A user, as Jellyfin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user: UserId,
    /// The user's name.
    pub name: Option<Arc<str>>,
    /// Jellyfin calls the user an administrator.
    pub admin: bool,
    /// What Jellyfin lets the user do.
    pub policy: UserPolicy,
}

/// What Jellyfin says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// A user's.
    User(Identity),
    /// An API key: nobody's, and unlimited in Jellyfin's eyes.
    ApiKey,
    /// Jellyfin does not know it: its own 401 is the answer.
    Refused,
}

/// Tokens and whose they are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Identities(Arc<DashMap<Token, Arc<Slot>>>);

/// One look-up in flight per token: whoever comes meanwhile waits for the same answer. `None`: it could not be had.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<(Instant, Option<Verified>)>>);

impl Verified {
    /// What Jellyfin lets the owner of the token do; a key may do everything.
    pub fn policy(&self) -> UserPolicy {
        match self {
            Self::User(identity) => identity.policy,
            Self::ApiKey | Self::Refused => UserPolicy::default(),
        }
    }
}

// === impl Identities ===

impl Identities {
    /// Whose token this is.
    ///
    /// # Errors
    /// Jellyfin could not be asked.
    pub async fn verify(&self, api: &Api, token: &Token) -> Result<Verified, CallError> {
        let slot = self.slot(token);
        let mut known = slot.0.lock().await;
        let now = clock::now();
        if let Some((until, verified)) = known.as_ref()
            && *until > now
        {
            let failed = || CallError::Unreachable("it did not answer a moment ago".to_owned());
            return verified.clone().ok_or_else(failed);
        }
        let read = |user: Option<Value>| user.as_ref().map(Identity::read).transpose();
        let verified = match api.whose(token).await.and_then(read) {
            Ok(Some(user)) => Verified::User(user),
            Ok(None) => Verified::ApiKey,
            Err(CallError::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                Verified::Refused
            }
            Err(error) => {
                *known = Some((clock::now() + FAILED, None));
                return Err(error);
            }
        };
        let keep = if verified == Verified::Refused {
            REFUSED
        } else {
            FRESH
        };
        *known = Some((now + keep, Some(verified.clone())));
        Ok(verified)
    }

    /// Forgets a token: Jellyfin has answered 401 to it.
    pub fn forget(&self, token: &Token) {
        self.0.remove(token);
    }

    fn slot(&self, token: &Token) -> Arc<Slot> {
        if let Some(slot) = self.0.get(token) {
            return slot.clone();
        }
        if self.0.len() >= TOKENS {
            let now = clock::now();
            self.0.retain(|_, slot| {
                slot.0
                    .try_lock()
                    .is_ok_and(|known| known.as_ref().is_some_and(|(t, _)| *t > now))
            });
            if self.0.len() >= TOKENS {
                self.0.clear();
            }
        }
        self.0.entry(token.clone()).or_default().clone()
    }
}

// === impl Identity ===

impl Identity {
    fn read(user: &Value) -> Result<Self, CallError> {
        let id = user
            .get("Id")
            .and_then(Value::as_str)
            .ok_or_else(|| CallError::Malformed("no Id".to_owned()))?;
        let admin = user
            .pointer("/Policy/IsAdministrator")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let policy = user.get("Policy").map(UserPolicy::read).unwrap_or_default();
        Ok(Self {
            user: UserId::new(id),
            name: user.get("Name").and_then(Value::as_str).map(Arc::from),
            admin,
            policy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hop::{Address, Origin},
        ident::NodeId,
        upstream::Settings,
    };

    #[tokio::test]
    async fn who_waits_for_a_look_up_that_fails_does_not_wait_for_another() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let host = address.ip().to_string();
        let timeout = Duration::from_millis(300);
        let api = Api::new(&Settings {
            node: NodeId::new("node"),
            origin: Origin::new(
                "node",
                Address::Tcp {
                    host,
                    port: address.port(),
                },
            ),
            url: format!("http://{address}"),
            base_url: String::new(),
            api_key: None,
            ca_file: None,
            timeout,
            disk_free: 0,
        })
        .unwrap();
        let (identities, token) = (Identities::default(), Token::new("t"));
        let began = clock::now();
        let all = (0..10).map(|_| identities.verify(&api, &token));
        let answers = futures_util::future::join_all(all).await;
        assert!(answers.iter().all(Result::is_err));
        // Ten look-ups one after the other would take ten times the limit.
        assert!(clock::now() - began < timeout * 5);
    }
}
