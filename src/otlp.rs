//! A span for each decision, sent to an OpenTelemetry collector. Only with the cargo feature `otlp`.
//!
//! Where to is told by the variables that OpenTelemetry has for it: `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, and `OTEL_EXPORTER_OTLP_HEADERS` for a token; without an endpoint there are no spans. They
//! are sent as JSON over HTTP, by a thread of the SDK, from a queue of bounded length: a decision never waits for them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use opentelemetry::{
    KeyValue,
    trace::{Span, Status, Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use crate::{
    clock,
    tasks::Tasks,
    telemetry::{Telemetry, Traced},
    upstream::{TlsError, client_config},
};

/// Any of these says where spans go.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// A collector has this long to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is still in the queue at the end has this long to be sent.
const FAREWELL: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 << 10;

/// Why spans can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The variables of the environment are wrong.
    #[error("spans can't be sent: {0}")]
    Exporter(String),
}

/// Sends spans until it is told to end.
#[derive(Clone, Debug)]
pub struct Spans(SdkTracerProvider);

/// Posts by reqwest, on the runtime of the program, whatever thread asks.
struct Client {
    http: reqwest::Client,
    tasks: Tasks,
}

// === impl Spans ===

impl Spans {
    /// Sends a span for each decision that `telemetry` counts, if the environment says where to.
    ///
    /// # Errors
    /// The environment is wrong, or TLS can't be set up.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(telemetry: &Telemetry) -> Result<Option<Self>, OtlpError> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.into_iter().any(set) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new()?)
            .with_protocol(Protocol::HttpJson)
            .build()
            .map_err(|error| OtlpError::Exporter(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name("finweir")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("finweir");
        telemetry.trace(move |decision| span(&tracer, decision, clock::wall()));
        Ok(Some(Self(provider)))
    }

    /// Sends what is left.
    pub async fn end(self) {
        let provider = self.0;
        // It blocks, and needs the runtime meanwhile.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FAREWELL));
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::warn!("The last spans were not sent");
        }
    }
}

fn span(tracer: &impl Tracer, decision: &Traced<'_>, now: SystemTime) {
    let text = |key: &'static str, value: &str| KeyValue::new(key, value.to_owned());
    let mut attributes = vec![
        KeyValue::new("finweir.decision", decision.decision),
        KeyValue::new("finweir.reason", decision.reason),
        text("finweir.class", decision.class),
        text("finweir.node", decision.node),
        text("finweir.work", decision.work),
        KeyValue::new("finweir.seats", decision.seats),
        KeyValue::new("finweir.waited_seconds", decision.waited.as_secs_f64()),
        text("user.id", decision.user),
        text("client.name", decision.client),
        text("finweir.id", &decision.id.to_string()),
    ];
    for (key, value) in [
        ("finweir.would", decision.would),
        ("finweir.gpu", decision.gpu),
        ("user.name", decision.name),
    ] {
        attributes.extend(value.map(|value| text(key, value)));
    }
    let began = now.checked_sub(decision.waited).unwrap_or(now);
    let mut span = tracer
        .span_builder("decision")
        .with_start_time(began)
        .with_attributes(attributes)
        .start(tracer);
    if decision.decision == "reject" {
        span.set_status(Status::error(decision.reason));
    }
    span.end_with_timestamp(now);
}

// === impl Client ===

impl Client {
    fn new() -> Result<Self, TlsError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&*client_config(None)?))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| rustls::Error::General(error.without_url().to_string()))?;
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        Ok(Self { http, tasks })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.tasks.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let mut answer = http.execute(request).await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > LONGEST_ANSWER {
                    break;
                }
                body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>((answer.status(), body))
        });
        let (status, body) = sent.await?.map_err(reqwest::Error::without_url)?;
        Ok(Response::builder().status(status).body(Bytes::from(body))?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
