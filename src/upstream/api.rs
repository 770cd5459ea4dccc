//! The few calls Finweir makes for itself: bounded in time and size, no redirects, no proxy, no decompression.

mod library;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

pub use self::library::Described;
use super::{Settings, TlsError, client_config};
use crate::{
    ident::{DeviceId, ItemId, NodeId, PlaySessionId, Token, UserId},
    jellyfin::{Dialect, Encoding, SessionRow, Space, sessions, transcode_space},
};

/// Most bytes of an answer that are read: `/Sessions` of a large server is some hundred kilobytes.
const MAX_ANSWER: usize = 16 << 20;

/// Calls one Jellyfin server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    node: NodeId,
    key: Option<Token>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No API key is configured.
    #[error("no API key is configured for this node")]
    NoKey,
    /// It was not answered: no connection, no answer in time.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// It was answered with an error.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The answer was longer than its bound.
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    /// The answer was not what it should be.
    #[error("the answer can't be read: {0}")]
    Malformed(String),
}

/// What `/health` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `Healthy`.
    Healthy,
    /// `Degraded`: 10.11 and later answer so while they start.
    Starting,
    /// Anything else.
    Unhealthy,
}

// === impl CallError ===

impl CallError {
    /// Whether the server does not want to answer, and would not in a moment either: it does not know the key or the
    /// address.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoKey => true,
            Self::Status(status) => matches!(
                *status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
            ),
            Self::Unreachable(_) | Self::TooLong | Self::Malformed(_) => false,
        }
    }
}

// === impl Api ===

impl Api {
    /// Prepares calls to a server.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn new(settings: &Settings) -> Result<Self, TlsError> {
        let tls = client_config(settings.ca_file.as_deref())?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(4);
        let base = match settings.url.strip_prefix("unix:") {
            Some(path) => {
                builder = builder.unix_socket(path.to_owned());
                format!("http://jellyfin{}", settings.base_url)
            }
            None => settings.url.trim_end_matches('/').to_owned(),
        };
        let http = builder
            .build()
            .map_err(|e| rustls::Error::General(e.without_url().to_string()))?;
        Ok(Self {
            http,
            base,
            node: settings.node.clone(),
            key: settings.api_key.clone(),
        })
    }

    /// Which server this calls.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Whether there is an API key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The version, from `/System/Info/Public`.
    ///
    /// # Errors
    /// The server did not say.
    pub async fn version(&self) -> Result<(u16, u16), CallError> {
        let info = self
            .json(self.request(Method::GET, "/System/Info/Public"))
            .await?;
        // The start-up server of 10.11 answers in camelCase.
        let text = info
            .get("Version")
            .or_else(|| info.get("version"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut parts = text.split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
            _ => Err(CallError::Malformed("no Version".to_owned())),
        }
    }

    /// The server's version and settings. Without an API key they are the version's own, and the dearest.
    ///
    /// # Errors
    /// The server did not say its version.
    pub async fn server(&self, base_url: &str) -> Result<(Dialect, Encoding), CallError> {
        let version = self.version().await?;
        let mut dialect = Dialect {
            base_url: base_url.to_owned(),
            ..Dialect::of(version)
        };
        let mut encoding = Encoding {
            version,
            ..Encoding::dearest()
        };
        if let Some(config) = self.setting("/System/Configuration").await
            && let Some(legacy) = config
                .get("EnableLegacyAuthorization")
                .and_then(Value::as_bool)
        {
            dialect.legacy_auth = legacy;
        }
        if let Some(config) = self.setting("/System/Configuration/encoding").await {
            encoding = Encoding::read(&config, version);
        }
        Ok((dialect, encoding))
    }

    async fn setting(&self, path: &str) -> Option<Value> {
        self.json(self.keyed(Method::GET, path).ok()?).await.ok()
    }

    /// What `/health` says. The body counts, not only the status.
    ///
    /// # Errors
    /// No answer.
    pub async fn health(&self) -> Result<Health, CallError> {
        let response = self
            .request(Method::GET, "/health")
            .send()
            .await
            .map_err(unreachable)?;
        let ok = response.status().is_success();
        let body = read(response).await?;
        Ok(match (ok, body.as_slice()) {
            (true, b"Healthy") => Health::Healthy,
            (true, b"Degraded") => Health::Starting,
            (true | false, _) => Health::Unhealthy,
        })
    }

    /// Whose token this is, from `/Users/Me`. `None`: an API key, which is nobody's.
    ///
    /// # Errors
    /// [`CallError::Status`] 401: Jellyfin knows no such token.
    pub async fn whose(&self, token: &Token) -> Result<Option<Value>, CallError> {
        let request = authorized(self.request(Method::GET, "/Users/Me"), token);
        match self.json(request).await {
            Ok(user) => Ok(Some(user)),
            // An API key has no user.
            Err(CallError::Status(StatusCode::BAD_REQUEST)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every session.
    ///
    /// # Errors
    /// No key, or no answer that can be read.
    pub async fn sessions(&self) -> Result<Vec<SessionRow>, CallError> {
        let request = self.keyed(Method::GET, "/Sessions?activeWithinSeconds=960")?;
        let body = self.bytes(request).await?;
        sessions(&body).map_err(|e| CallError::Malformed(e.to_string()))
    }

    /// The session that this user has on this device, if there is one.
    ///
    /// # Errors
    /// No key, or no answer that can be read.
    pub async fn session_of(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<Option<String>, CallError> {
        let own = |row: &SessionRow| row.device == *device && row.user.as_ref() == Some(user);
        let rows = self.sessions().await?;
        Ok(rows.into_iter().find(own).map(|row| row.id))
    }

    /// How much room there is where the server writes its transcodes. `None`: it does not know.
    ///
    /// # Errors
    /// No key, or no answer that can be read. Servers before 10.11 have no such address.
    pub async fn transcode_space(&self) -> Result<Option<Space>, CallError> {
        let request = self.keyed(Method::GET, "/System/Info/Storage")?;
        Ok(transcode_space(&self.json(request).await?))
    }

    /// The media sources of an item, with all their streams.
    ///
    /// # Errors
    /// No key, or no answer that can be read.
    pub async fn media_sources(&self, item: &ItemId) -> Result<Vec<Value>, CallError> {
        let request = self.keyed(
            Method::GET,
            &format!("/Items/{}/PlaybackInfo", segment(item.as_str())),
        )?;
        match self
            .json(request)
            .await?
            .get_mut("MediaSources")
            .map(Value::take)
        {
            Some(Value::Array(sources)) => Ok(sources),
            Some(_) | None => Err(CallError::Malformed("no MediaSources".to_owned())),
        }
    }

    /// The names of the libraries that an item is in.
    ///
    /// # Errors
    /// No key, or no answer that can be read.
    pub async fn libraries_of(&self, item: &ItemId) -> Result<Vec<String>, CallError> {
        let request = self.keyed(
            Method::GET,
            &format!("/Items/{}/Ancestors", segment(item.as_str())),
        )?;
        let Value::Array(ancestors) = self.json(request).await? else {
            return Err(CallError::Malformed("not a list".to_owned()));
        };
        let is_library =
            |a: &&Value| a.get("Type").and_then(Value::as_str) == Some("CollectionFolder");
        let name = |a: &Value| Some(a.get("Name")?.as_str()?.to_owned());
        Ok(ancestors
            .iter()
            .filter(is_library)
            .filter_map(name)
            .collect())
    }

    /// Ends the job of a PlaySession. The device is asked for but not looked at.
    ///
    /// # Errors
    /// No key, or no answer.
    pub async fn end_job(
        &self,
        device: &DeviceId,
        session: &PlaySessionId,
    ) -> Result<(), CallError> {
        let device = if device.as_str().is_empty() {
            "finweir"
        } else {
            device.as_str()
        };
        let path = format!(
            "/Videos/ActiveEncodings?deviceId={}&playSessionId={}",
            segment(device),
            segment(session.as_str())
        );
        self.bytes(self.keyed(Method::DELETE, &path)?)
            .await
            .map(drop)
    }

    /// Closes a live stream that a refused PlaybackInfo had opened.
    ///
    /// # Errors
    /// No answer.
    pub async fn close_live_stream(&self, id: &str, token: &Token) -> Result<(), CallError> {
        let path = format!("/LiveStreams/Close?liveStreamId={}", segment(id));
        self.bytes(authorized(self.request(Method::POST, &path), token))
            .await
            .map(drop)
    }

    /// Shows a message on a session's screen for a few seconds.
    ///
    /// # Errors
    /// No key, or no answer.
    pub async fn message(
        &self,
        session_id: &str,
        header: &str,
        text: &str,
    ) -> Result<(), CallError> {
        let request = self.keyed(
            Method::POST,
            &format!("/Sessions/{}/Message", segment(session_id)),
        )?;
        // Without TimeoutMs the web client shows a dialog that must be clicked away.
        let body = json!({ "Header": header, "Text": text, "TimeoutMs": 8000 });
        self.bytes(request.json(&body)).await.map(drop)
    }

    /// Tells the player of a session to stop.
    ///
    /// # Errors
    /// No key, or no answer.
    pub async fn stop(&self, session_id: &str) -> Result<(), CallError> {
        let path = format!("/Sessions/{}/Playing/Stop", segment(session_id));
        self.bytes(self.keyed(Method::POST, &path)?).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    fn keyed(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        let key = self.key.as_ref().ok_or(CallError::NoKey)?;
        Ok(authorized(self.request(method, path), key))
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, CallError> {
        serde_json::from_slice(&self.bytes(request).await?)
            .map_err(|e| CallError::Malformed(e.to_string()))
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, CallError> {
        let response = request.send().await.map_err(unreachable)?;
        if response.status().is_success() {
            read(response).await
        } else {
            Err(CallError::Status(response.status()))
        }
    }
}

/// Only the token: a device or version of Finweir's would overwrite what Jellyfin stored for the user's.
fn authorized(request: RequestBuilder, token: &Token) -> RequestBuilder {
    let value = format!("MediaBrowser Token=\"{}\"", segment(token.expose()));
    match header::HeaderValue::from_str(&value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(header::AUTHORIZATION, value)
        }
        Err(_) => request,
    }
}

fn segment(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A URL may hold a token, so it is left out.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unreachable(error: reqwest::Error) -> CallError {
    let kind = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke"
    };
    CallError::Unreachable(kind.to_owned())
}
