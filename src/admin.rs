//! Shows state to operators and Prometheus: `/metrics` `/live` `/ready` `/state` and the status page, on a listener
//! and thread of its own.
//!
//! A thread of its own, so that it answers while the data path is busy or stuck. Reads from loopback need no token;
//! everything else does, see [`auth`].

mod accept;
mod act;
mod auth;
mod explain;
mod form;
mod history;
mod live;
mod login;
mod page;
mod serve;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Json, Response},
    routing::{get, post},
};
use tokio::sync::Semaphore;

pub use self::{
    act::{Message, Sent},
    explain::Explain,
    serve::{BoundAdmin, RunningAdmin, bind},
    state::{NodeView, Readiness, View},
};
use self::{
    auth::{Caller, Guard},
    history::History,
    live::{LISTENERS, Live, Parts},
    page::{Door, Eye, Sheet},
    serve::Line,
};
use crate::{
    clock,
    gate::Gate,
    ident::{NodeId, Token},
    tasks::Tasks,
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

/// What the admin side shows, and what it can do. Cheap to clone.
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
    /// Shows a message on a viewer's screen.
    pub message: Arc<dyn Fn(Message) -> Sent + Send + Sync>,
    /// Explains decisions. `None`: there is no journal.
    pub explain: Option<Explain>,
}

/// Everything behind the routes. Cheap to clone.
#[derive(Clone, Debug)]
struct Side {
    handles: Handles,
    guard: Arc<Guard>,
    history: Arc<History>,
    /// For who reads, and for who may act.
    live: Arc<[Live; 2]>,
}

/// Quotas shown, those with the least left: of a house, all.
const QUOTAS: usize = 500;

/// The type that Prometheus' text format 0.0.4 is served as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of OpenMetrics, for who asks for it.
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Builds the routes, behind the check of who asks.
fn router(side: Side) -> Router {
    let guard = side.guard.clone();
    let mut router = Router::new()
        .route("/", get(index))
        .route("/events", get(events))
        .route("/login", get(login::form).post(login::login))
        .route("/logout", post(login::logout))
        .route("/page.css", get(css))
        .route("/page.js", get(js))
        .route("/mark.svg", get(mark))
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/state", get(state))
        .route("/explain", get(explain::explain));
    for path in act::PATHS {
        router = router.route(path, post(act::act));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
        })
        .with_state(side)
        .layer(middleware::from_fn_with_state(guard, auth::guard))
}

async fn index(State(side): State<Side>, Extension(caller): Extension<Caller>) -> Html<String> {
    let sheet = side.sheet(Eye::of(&caller));
    let said;
    let door = match &caller {
        Caller::Operator(session) => {
            said = side.guard.sessions.said(session);
            Door::Open {
                session,
                said: said.as_deref(),
            }
        }
        Caller::Reader | Caller::Token(_) if side.guard.acts() => Door::Closed,
        Caller::Reader | Caller::Token(_) => Door::None,
    };
    Html(page::document(&sheet, &door))
}

async fn events(
    State(side): State<Side>,
    Extension(caller): Extension<Caller>,
    Extension(line): Extension<Line>,
) -> Response {
    let eye = Eye::of(&caller);
    let stop = line.stop.clone();
    match side.live_of(eye).listen(stop, now, || side.parts(eye)) {
        Some(feed) => {
            line.listens();
            let headers = [(header::CONTENT_TYPE, "text/event-stream")];
            (headers, Body::new(feed)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response(),
    }
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

async fn mark() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "image/svg+xml")],
        include_str!("admin/mark.svg"),
    )
}

async fn metrics(
    State(Side { handles, .. }): State<Side>,
    headers: HeaderMap,
) -> impl IntoResponse {
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

async fn ready(State(Side { handles, .. }): State<Side>, RawQuery(query): RawQuery) -> Response {
    let checks = handles.readiness.checks(&handles.telemetry);
    let status = if checks.ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p == "verbose" || p == "verbose=1"));
    (status, checks.text(verbose)).into_response()
}

async fn state(State(Side { handles, .. }): State<Side>) -> Json<View> {
    Json(handles.view())
}

/// Seconds since 1970.
fn now() -> f64 {
    clock::unix(clock::wall())
}

// === impl Side ===

impl Side {
    fn new(settings: &Settings, handles: Handles) -> Self {
        let free = Arc::new(Semaphore::new(LISTENERS));
        Self {
            handles,
            guard: Arc::new(Guard::new(settings.token.clone())),
            history: Arc::default(),
            live: Arc::new([Live::new(free.clone()), Live::new(free)]),
        }
    }

    /// Begins to note what was, and to draw for whoever listens.
    fn start(&self, tasks: &Tasks) {
        let side = self.clone();
        tasks.spawn_loop(async move {
            loop {
                side.history.note(now(), &side.handles.gate.snapshot());
                tokio::time::sleep(history::EVERY).await;
            }
        });
        for eye in [Eye::Reader, Eye::Operator] {
            let side = self.clone();
            tasks.spawn_loop(async move {
                side.live_of(eye).run(now, || side.parts(eye)).await;
            });
        }
    }

    fn live_of(&self, eye: Eye) -> &Live {
        let [reader, operator] = &*self.live;
        match eye {
            Eye::Reader => reader,
            Eye::Operator => operator,
        }
    }

    /// What a page is drawn from.
    fn sheet(&self, eye: Eye) -> Sheet {
        let view = self.handles.view();
        let past = view
            .gpus
            .iter()
            .map(|gpu| self.history.of(&gpu.gpu, view.at));
        Sheet {
            past: past.collect(),
            view,
            explains: self.handles.explain.is_some(),
            eye,
        }
    }

    fn parts(&self, eye: Eye) -> Parts {
        page::parts(&self.sheet(eye))
    }
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
