//! Shows state to operators and Prometheus: `/metrics` `/live` `/ready` `/state` and the status page, on a listener
//! and thread of its own.
//!
//! A thread of its own, so that it answers while the data path is busy or stuck. Reads from loopback need no token;
//! everything else does, see [`auth`].

mod accept;
mod auth;
mod page;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use self::words::reason as in_words;

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Json, Response},
    routing::{get, post},
};

pub use self::{
    page::render,
    serve::{BoundAdmin, RunningAdmin, bind},
    state::{NodeView, Readiness, View},
};
use crate::{
    clock,
    gate::Gate,
    ident::{NodeId, Token},
    telemetry::Telemetry,
};

/// Where the admin listener is and who may use it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Needed by every request from anywhere but loopback, and by every action.
    pub token: Option<Token>,
}

/// What the admin side shows, and the one thing it can do. Cheap to clone.
#[derive(Clone)]
pub struct Handles {
    /// What is held and waiting.
    pub gate: Gate,
    /// Metrics, last decisions, health of the nodes.
    pub telemetry: Telemetry,
    /// Whether the data path takes requests.
    pub readiness: Readiness,
    /// Nodes that the configuration gives no API key for.
    pub keyless: Vec<NodeId>,
    /// Begins a drain. Called on the admin thread; it may not block.
    pub drain: Arc<dyn Fn() + Send + Sync>,
}

/// Quotas shown, those with the least left: of a house, all.
const QUOTAS: usize = 500;

/// The type that Prometheus' text format 0.0.4 is served as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of OpenMetrics, for who asks for it.
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Builds the routes, behind the check of who asks.
pub fn router(settings: &Settings, handles: Handles) -> Router {
    let gate = Arc::new(auth::Guard::new(settings.token.clone()));
    Router::new()
        .route("/", get(index))
        .route("/fragment", get(fragment))
        .route("/page.css", get(css))
        .route("/page.js", get(js))
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/state", get(state))
        .route("/drain", post(drain))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
        })
        .with_state(handles)
        .layer(middleware::from_fn_with_state(gate, auth::guard))
}

async fn index(State(handles): State<Handles>) -> Html<String> {
    Html(page::document(&handles.view()))
}

async fn fragment(State(handles): State<Handles>) -> Html<String> {
    Html(render(&handles.view()))
}

async fn css() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("admin/page.css"),
    )
}

async fn js() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("admin/page.js"),
    )
}

async fn metrics(State(handles): State<Handles>, headers: HeaderMap) -> impl IntoResponse {
    handles.telemetry.observe(&handles.gate.snapshot());
    handles.telemetry.quotas(&handles.gate.quotas());
    let (kind, text) = if accept::open_metrics(&headers) {
        (OPEN_METRICS_TYPE, handles.telemetry.gather_open())
    } else {
        (METRICS_TYPE, handles.telemetry.gather())
    };
    (
        [(header::CONTENT_TYPE, kind), (header::VARY, "accept")],
        text,
    )
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(handles): State<Handles>, RawQuery(query): RawQuery) -> Response {
    let checks = handles.readiness.checks(&handles.telemetry);
    let status = if checks.ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p == "verbose" || p == "verbose=1"));
    (status, checks.text(verbose)).into_response()
}

async fn state(State(handles): State<Handles>) -> Json<View> {
    Json(handles.view())
}

async fn drain(State(handles): State<Handles>) -> impl IntoResponse {
    tracing::info!("Drain asked for on the admin listener");
    handles.readiness.draining();
    (handles.drain)();
    (StatusCode::ACCEPTED, "draining\n")
}

// === impl Handles ===

impl Handles {
    fn view(&self) -> View {
        let mut quotas = self.gate.quotas();
        quotas.truncate(QUOTAS);
        let view = View::new(
            clock::wall(),
            self.gate.snapshot(),
            self.telemetry.recent(),
            self.telemetry.nodes(),
            &self.keyless,
            &self.readiness.checks(&self.telemetry),
        );
        View { quotas, ..view }
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("readiness", &self.readiness)
            .field("keyless", &self.keyless)
            .finish_non_exhaustive()
    }
}
