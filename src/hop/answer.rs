//! Writes an answer that a handler gave.

use std::fmt::Write as _;

use http::{Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{
    Body, Handler,
    connection::{After, Connection},
    fields,
    request::Ask,
    transfer::{Idle, send, unless_left},
};
use crate::clock;

/// Bodies up to this length leave with their head, in one write.
const TOGETHER: usize = 16 << 10;

/// Writes `response` to the client. Returns the status, if it was sent, and what becomes of the connection.
pub(super) async fn write<H: Handler>(
    connection: &mut Connection<H>,
    ask: &mut Ask,
    response: Response<Body>,
) -> (Option<u16>, After) {
    let read_whole = connection.discard(ask);
    let keep = connection.may_keep(ask) && read_whole;
    let after = match (keep, read_whole) {
        (true, _) => After::Keep,
        (false, true) => After::Close,
        (false, false) => After::Linger,
    };
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    let bodiless = ask.head_only || status < 200 || status == 204 || status == 304;
    let length = body.size_hint().exact();
    let chunked = !bodiless && length.is_none() && !ask.old;

    let mut out = connection.worker.heads.take();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(
        parts
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    );
    out.extend_from_slice(b"\r\n");
    let given_length = parts.headers.get(header::CONTENT_LENGTH);
    for (name, value) in &parts.headers {
        let framing = name == header::CONTENT_LENGTH || name == header::TRAILER;
        if !framing && !fields::hop_by_hop(name.as_str()) {
            fields::push(&mut out, name.as_str(), value.as_bytes());
        }
    }
    if !parts.headers.contains_key(header::DATE)
        && let Some(date) = date()
    {
        fields::push(&mut out, "Date", date.as_bytes());
    }
    if let (true, Some(given)) = (ask.head_only, given_length) {
        // A HEAD is answered with the length that GET would have.
        fields::push(&mut out, "Content-Length", given.as_bytes());
    } else if let (Some(length), false) = (length, status == 204 || status == 304) {
        fields::push(&mut out, "Content-Length", length.to_string().as_bytes());
    }
    if chunked {
        fields::push(&mut out, "Transfer-Encoding", b"chunked");
    }
    let unframed = !bodiless && length.is_none() && !chunked;
    if !keep || unframed {
        fields::push(&mut out, "Connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
    let body = if bodiless { None } else { Some(body) };
    let sent = write_body(connection, &mut out, body, chunked, length).await;
    connection.worker.heads.put(&mut out);
    match sent {
        Some(true) if unframed => (Some(status), After::Close),
        Some(true) => (Some(status), after),
        Some(false) => (Some(status), After::Close),
        None => (None, After::Close),
    }
}

/// Writes the head in `out` and the body. `None`: nothing could be sent; `false`: the body broke off.
async fn write_body<H: Handler>(
    connection: &mut Connection<H>,
    out: &mut Vec<u8>,
    body: Option<Body>,
    chunked: bool,
    length: Option<u64>,
) -> Option<bool> {
    let mut idle = Idle::new(connection.idle());
    let Some(mut body) = body else {
        send(&mut connection.down, out, &[], &mut idle).await.ok()?;
        return Some(true);
    };
    // Without a wait for more, the head leaves with what there is.
    let mut head_sent = false;
    let mut left = length;
    loop {
        let frame = {
            let (worker, down) = (&connection.worker, &mut connection.down);
            let inbox = &mut connection.inbox;
            let next = tokio::time::timeout(worker.settings.timeouts.idle, body.frame());
            unless_left(worker, down, inbox, true, next).await
        };
        let data = match frame {
            Some(Ok(Some(Ok(frame)))) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
            Some(Ok(None)) => break,
            // The client left, the body broke, or nothing came for too long: an honest end is not possible.
            None | Some(Ok(Some(Err(_))) | Err(_)) => return head_sent.then_some(false),
        };
        if let Some(left) = &mut left {
            *left = left.checked_sub(data.len() as u64)?;
        }
        if chunked {
            if data.is_empty() {
                continue;
            }
            let mut size = String::new();
            write!(size, "{:x}\r\n", data.len()).ok()?;
            out.extend_from_slice(size.as_bytes());
        }
        if data.len() <= TOGETHER {
            out.extend_from_slice(&data);
            if chunked {
                out.extend_from_slice(b"\r\n");
            }
            // A body in one piece ends here.
            if left == Some(0) {
                break;
            }
            send(&mut connection.down, out, &[], &mut idle).await.ok()?;
        } else {
            send(&mut connection.down, out, &data, &mut idle)
                .await
                .ok()?;
            if chunked {
                send(&mut connection.down, b"\r\n", &[], &mut idle)
                    .await
                    .ok()?;
            }
        }
        out.clear();
        head_sent = true;
    }
    if chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    send(&mut connection.down, out, &[], &mut idle).await.ok()?;
    Some(left.unwrap_or_default() == 0)
}

/// The time as HTTP writes it.
fn date() -> Option<String> {
    let now = jiff::Timestamp::try_from(clock::wall()).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&now)
        .ok()
}
