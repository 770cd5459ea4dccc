//! Answers as Kestrel writes them, and bodies that cost no memory.

use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::request::Malformed;

pub(super) type Reply = Response<Body>;

/// Bytes that stand for media: transport stream packets without content.
static FILLER: LazyLock<Bytes> = LazyLock::new(|| {
    let mut packet = [0_u8; 188];
    for (at, byte) in [0x47, 0x1f, 0xff, 0x10].into_iter().enumerate() {
        if let Some(place) = packet.get_mut(at) {
            *place = byte;
        }
    }
    Bytes::from(packet.repeat(348))
});

/// Media of a known length, cut from shared bytes.
pub(super) struct Filler {
    left: u64,
    at: usize,
}

/// A body whose length is not announced: it goes out in chunks.
struct Unannounced(Option<Bytes>);

/// A body that something else writes while it is sent.
pub(super) struct Written(pub(super) mpsc::Receiver<Bytes>);

/// As many bytes of media as asked for, at most one piece.
pub(super) fn filler(length: usize) -> Bytes {
    FILLER.slice(..length.min(FILLER.len()))
}

pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Reply {
    with(status, kind, Body::from(text.into()))
}

pub(super) fn json(value: &Value) -> Reply {
    json_with(StatusCode::OK, value)
}

pub(super) fn json_with(status: StatusCode, value: &Value) -> Reply {
    let body = Body::new(Unannounced(Some(Bytes::from(value.to_string()))));
    with(status, "application/json; charset=utf-8", body)
}

pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

/// What the exception middleware says.
pub(super) fn error(status: StatusCode) -> Reply {
    text(status, "text/plain", "Error processing request.")
}

/// What ASP.NET says of a status by itself.
pub(super) fn problem(status: StatusCode) -> Reply {
    let title = status.canonical_reason().unwrap_or_default();
    json_with(
        status,
        &json!({"type": section(status), "title": title, "status": status.as_u16(), "traceId": TRACE}),
    )
}

/// What ASP.NET says of parameters that cannot be read.
pub(super) fn invalid(name: &str, why: &str) -> Reply {
    let status = StatusCode::BAD_REQUEST;
    json_with(
        status,
        &json!({
            "type": section(status),
            "title": "One or more validation errors occurred.",
            "status": status.as_u16(),
            "errors": {name: [why]},
            "traceId": TRACE,
        }),
    )
}

pub(super) fn malformed(found: &Malformed) -> Reply {
    invalid(
        &found.name,
        &format!("The value '{}' is not valid.", found.value),
    )
}

const TRACE: &str = "00-00000000000000000000000000000000-0000000000000000-00";

fn section(status: StatusCode) -> &'static str {
    if status == StatusCode::NOT_FOUND {
        "https://tools.ietf.org/html/rfc9110#section-15.5.5"
    } else {
        "https://tools.ietf.org/html/rfc9110#section-15.5.1"
    }
}

pub(super) fn with(status: StatusCode, kind: &str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    set(&mut reply, header::CONTENT_TYPE, kind);
    reply
}

pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// A file that is read with or without a range.
pub(super) fn file(kind: &str, size: u64, range: Option<&str>, modified: &str) -> Reply {
    let (status, first, length) = match range.and_then(single_range) {
        None => (StatusCode::OK, 0, size),
        Some((Some(first), _)) if first >= size => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        Some((Some(first), last)) => {
            let last = last.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            (
                StatusCode::PARTIAL_CONTENT,
                first,
                (last + 1).saturating_sub(first),
            )
        }
        Some((None, last)) => {
            let length = last.unwrap_or(0).min(size);
            (StatusCode::PARTIAL_CONTENT, size - length, length)
        }
    };
    let mut reply = with(status, kind, Body::new(Filler::new(length)));
    set(&mut reply, header::ACCEPT_RANGES, "bytes");
    set(&mut reply, header::LAST_MODIFIED, modified);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + length.saturating_sub(1);
        set(
            &mut reply,
            header::CONTENT_RANGE,
            &format!("bytes {first}-{last}/{size}"),
        );
    } else if status == StatusCode::RANGE_NOT_SATISFIABLE {
        set(
            &mut reply,
            header::CONTENT_RANGE,
            &format!("bytes */{size}"),
        );
    }
    reply
}

/// First and last of a header with one range; more than one is ignored.
fn single_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let spec = text.strip_prefix("bytes=")?;
    if spec.contains(',') {
        return None;
    }
    let (first, last) = spec.split_once('-')?;
    let read = |t: &str| {
        if t.is_empty() {
            Ok(None)
        } else {
            t.parse::<u64>().map(Some)
        }
    };
    match (read(first.trim()).ok()?, read(last.trim()).ok()?) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        range => Some(range),
    }
}

/// The type of a file of that ending.
pub(super) fn media_type(ending: &str, audio: bool) -> &'static str {
    match ending.to_ascii_lowercase().as_str() {
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "mp4" | "m4v" if !audio => "video/mp4",
        "mov" => "video/quicktime",
        "avi" => "video/x-msvideo",
        "ts" | "m2ts" | "" => "video/mp2t",
        "mp3" => "audio/mpeg",
        "aac" | "m4a" | "mp4" => "audio/mp4",
        "flac" => "audio/flac",
        "ogg" | "opus" => "audio/ogg",
        "m3u8" => "application/vnd.apple.mpegurl",
        _ => "application/octet-stream",
    }
}

// === impl Filler ===

impl Filler {
    pub(super) fn new(length: u64) -> Self {
        Self {
            left: length,
            at: 0,
        }
    }
}

impl http_body::Body for Filler {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let rest = FILLER.len() - self.at;
        let length = usize::try_from(self.left).unwrap_or(rest).min(rest);
        let piece = FILLER.slice(self.at..self.at + length);
        self.at = (self.at + length) % FILLER.len();
        self.left -= u64::try_from(length).unwrap_or(self.left);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl http_body::Body for Unannounced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_two_are_ignored() {
        let status = |range| file("video/mp4", 1000, Some(range), "").status().as_u16();
        assert_eq!(status("bytes=0-99"), 206);
        assert_eq!(status("bytes=-100"), 206);
        assert_eq!(status("bytes=0-9,20-29"), 200);
        assert_eq!(status("bytes=5000-"), 416);
    }
}
