//! The token for a session: a form, and an end of it.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    Side,
    auth::{Asked, Caller, Peer},
    page,
    session::{WINDOW, no_cookie},
};
use crate::clock;

/// The form.
pub(super) async fn form(State(side): State<Side>) -> Html<String> {
    Html(page::login(side.guard.acts(), None))
}

/// Takes the token, and gives a session.
pub(super) async fn login(
    State(side): State<Side>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Extension(asked): Extension<Asked>,
) -> Response {
    let from = peer.map(|Extension(Peer(peer))| peer.ip());
    let now = clock::now();
    let sessions = &side.guard.sessions;
    if !sessions.may_try(now, from) {
        let wait = WINDOW.as_secs();
        let page = page::login(true, Some("Too many tries. Wait a minute."));
        let headers = [(header::RETRY_AFTER, wait.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, headers, Html(page)).into_response();
    }
    if !side
        .guard
        .is_token(asked.fields.get("token").trim().as_bytes())
    {
        sessions.failed(now, from);
        tracing::warn!(
            from = from.map(|from| from.to_string()),
            "A login on the status page failed"
        );
        let page = page::login(true, Some("That is not the admin token."));
        return (StatusCode::UNAUTHORIZED, Html(page)).into_response();
    }
    let Some(session) = sessions.open(now, asked.fields.get("name"), from) else {
        let page = page::login(true, Some("The system gives no random numbers."));
        return (StatusCode::INTERNAL_SERVER_ERROR, Html(page)).into_response();
    };
    tracing::info!(who = &*session.who, "The operator logged in");
    let secure = headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    back(Some(session.cookie(secure)))
}

/// Ends the session.
pub(super) async fn logout(
    State(side): State<Side>,
    Extension(caller): Extension<Caller>,
) -> Response {
    match caller {
        Caller::Operator(session) => {
            side.guard.sessions.close(&session);
            back(Some(no_cookie()))
        }
        Caller::Reader | Caller::Token(_) => back(None),
    }
}

/// To the page, so that going back or loading it again sends no form a second time.
pub(super) fn back(cookie: Option<String>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| cookie.parse().ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
