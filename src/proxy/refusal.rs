//! Reason + client → response; failure → response. The only place that writes a status of 400 or above.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::{Settings, quota};
use crate::{
    admission::{Effect, QuotaView, Reason, Until},
    hop::{Body, Failure},
    jellyfin::{Client, Moment, PlaybackAnswer, Shape},
};

/// What is refused, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) reason: Reason,
    pub(super) retry_after: Duration,
    pub(super) client: Client,
    /// `Accept-Language`, for the text.
    pub(super) language: Option<&'a str>,
    /// What is used up, if that is why.
    pub(super) quota: Option<&'a QuotaView>,
}

/// A whole body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

impl Refusal<'_> {
    /// The text for the viewer.
    pub(super) fn text(&self, settings: &Settings) -> String {
        let reason = match (self.reason, self.quota) {
            // It began anew a moment ago: there is nothing to name, and the next try is let in.
            (Reason::Quota, None) => Reason::WaitedOut,
            (reason, _) => reason,
        };
        let (language, text) = settings
            .texts
            .find(self.language, reason.as_str())
            .unwrap_or(("en", "The server is busy. Please try again later."));
        let text = match self.quota {
            Some(quota) => quota::fill(text, language, quota),
            None => text.to_owned(),
        };
        text.replace(
            "{retry_after}",
            &self.retry_after.as_secs().max(1).to_string(),
        )
    }

    /// The shape that this client takes best at this moment, unless the operator chose another.
    pub(super) fn shape(&self, settings: &Settings, moment: Moment) -> Shape {
        settings
            .shapes
            .get(self.client.as_str())
            .copied()
            .unwrap_or_else(|| self.client.shape(moment))
    }

    /// Refuses a PlaybackInfo. `answer`: Jellyfin's, edited for shapes E and N; without it E is written from nothing.
    pub(super) fn playback_info(
        &self,
        settings: &Settings,
        shape: Shape,
        answer: Option<PlaybackAnswer>,
    ) -> Response<Body> {
        match (shape, answer) {
            (Shape::ErrorCode, Some(mut answer)) => {
                answer.refuse_with_error_code();
                json_response(answer.print())
            }
            (Shape::NothingSupported, Some(mut answer)) => {
                answer.refuse_with_nothing_supported();
                json_response(answer.print())
            }
            (Shape::ErrorCode | Shape::NothingSupported, None) => json_response(
                Bytes::from_static(br#"{"MediaSources":[],"ErrorCode":"RateLimitExceeded"}"#),
            ),
            (Shape::Http, _) => self.http(settings),
        }
    }

    /// Shape H: 429 with `Retry-After` and a problem document. What waiting does not change is 403.
    pub(super) fn http(&self, settings: &Settings) -> Response<Body> {
        let status = status_of(self.reason);
        let seconds = self.retry_after.as_secs().max(1);
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.text(settings),
            "reason": self.reason.as_str(),
        });
        let mut response = problem(status, &body);
        if status == StatusCode::TOO_MANY_REQUESTS {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Never 401 (clients log out), 500 (Python clients read it as nothing) or 502 (they retry).
fn status_of(reason: Reason) -> StatusCode {
    // What can't be read is no wish that could be forbidden.
    if reason == Reason::Unreadable {
        return StatusCode::BAD_REQUEST;
    }
    match reason.effect() {
        Effect::Refuses {
            until: Until::Never,
            ..
        } => StatusCode::FORBIDDEN,
        Effect::Refuses {
            until:
                Until::Room
                | Until::Window
                | Until::Renewal
                | Until::Operator
                | Until::Pace
                | Until::Moment,
            ..
        }
        | Effect::LetsIn
        | Effect::Shrinks => StatusCode::TOO_MANY_REQUESTS,
    }
}

/// The answer to a request that failed on the way, which says what failed.
pub(super) fn failure(failure: &Failure) -> Response<Body> {
    let status = match failure {
        Failure::Connect(_) | Failure::Tls(_) | Failure::Truncated(_) | Failure::Malformed(_) => {
            StatusCode::BAD_GATEWAY
        }
        Failure::ConnectTimeout(_) | Failure::FirstByteTimeout(_) | Failure::IdleTimeout => {
            StatusCode::GATEWAY_TIMEOUT
        }
        Failure::BadRequest(_) => StatusCode::BAD_REQUEST,
        Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": failure.to_string(),
        "reason": failure.as_str(),
    });
    problem(status, &body)
}

/// A target that can't be read, but might be media: 400, never waved through.
pub(super) fn unreadable(why: &str) -> Response<Body> {
    let body = json!({
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": why,
        "reason": Reason::Unreadable.as_str(),
    });
    problem(StatusCode::BAD_REQUEST, &body)
}

fn problem(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(whole(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    shared(response)
}

fn json_response(body: Bytes) -> Response<Body> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    shared(response)
}

/// A browser on another origin sees only a network error without CORS headers.
fn shared(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
