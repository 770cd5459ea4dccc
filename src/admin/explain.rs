//! Why something was decided, from the journal.

use std::{fmt, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::{Side, page};
use crate::ident::DecisionId;

/// Explains decisions: blocks while the journal is read.
#[derive(Clone)]
pub struct Explain {
    ask: Arc<dyn Fn(DecisionId) -> Result<String, String> + Send + Sync>,
    /// One at a time: each reads the whole journal.
    free: Arc<Semaphore>,
}

impl Explain {
    /// `ask` says why, in lines for people, or why that can't be told.
    pub fn new(ask: impl Fn(DecisionId) -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self {
            ask: Arc::new(ask),
            free: Arc::new(Semaphore::new(1)),
        }
    }

    async fn answer(&self, id: DecisionId) -> Result<String, String> {
        let busy = |_| "The journal is no longer read.".to_owned();
        let turn = self.free.clone().acquire_owned().await.map_err(busy)?;
        let ask = self.ask.clone();
        let told = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask(id)
        });
        told.await
            .unwrap_or_else(|_| Err("The journal could not be read.".to_owned()))
    }
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explain")
    }
}

/// `/explain?id=d-1k3j9x2m`.
pub(super) async fn explain(State(side): State<Side>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("id="))
        .and_then(DecisionId::parse);
    let Some(id) = id else {
        let text = "say which: /explain?id=d-1k3j9x2m\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let answer = match &side.handles.explain {
        Some(explain) => explain.answer(id).await,
        None => Err("There is no journal: set `journal.dir` or `state.dir`.".to_owned()),
    };
    let status = if answer.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    (status, Html(page::explained(id, &answer))).into_response()
}
