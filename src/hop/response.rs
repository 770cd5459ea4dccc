//! Reads an answer's head strictly and writes the head that goes to the client.

use std::mem::MaybeUninit;

use httparse::Status;

use super::{
    fields::{self, Framing, Lengths, is, push},
    request::{Ask, FIELDS},
};

/// What the hop must know of an answer once its head has been written anew.
#[derive(Debug)]
pub(super) struct Answer {
    /// Bytes of head in the buffer.
    pub(super) len: usize,
    /// Its status.
    pub(super) status: u16,
    /// How its body ends.
    pub(super) body: Framing,
    /// The upstream keeps the connection.
    pub(super) keep: bool,
}

/// Reads a head and writes the one for the client to `out`, without `Connection` and without the empty line at its
/// end. `None`: it is not all there.
pub(super) fn parse(
    buf: &[u8],
    ask: &Ask,
    via: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<Option<Answer>, &'static str> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut response, buf, &mut room) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err("malformed head"),
    };
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err("malformed head");
    };
    if !fields::ends_lines_well(buf.get(..len).unwrap_or_default())
        || !(100..=599).contains(&status)
        || status == 101 && !ask.upgrade
    {
        return Err("malformed head");
    }
    // What has no body by its status must not be read as if it had one.
    let never = status < 200 || status == 204;
    let switching = status == 101;
    let mut lengths = Lengths::default();
    let mut keep = version == 1;
    let mut listed: Vec<&[u8]> = Vec::new();
    for h in response.headers.iter() {
        if lengths.note(h.name, h.value)? {
            continue;
        }
        if is(h.name, "connection") {
            for member in fields::list(h.value) {
                if member.eq_ignore_ascii_case(b"close") {
                    keep = false;
                } else if !member.eq_ignore_ascii_case(b"keep-alive")
                    && !member.eq_ignore_ascii_case(b"upgrade")
                {
                    listed.push(member);
                }
            }
        }
    }
    if lengths.chunked() && version == 0 {
        return Err("chunks in HTTP/1.0");
    }
    let body = if ask.head_only || never || status == 304 {
        Framing::Empty
    } else {
        lengths.framing(Framing::Eof)
    };

    let mut number = [b'0'; 3];
    for (place, divisor) in number.iter_mut().zip([100, 10, 1]) {
        *place += u8::try_from(status / divisor % 10).unwrap_or_default();
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&number);
    out.push(b' ');
    out.extend_from_slice(response.reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for h in response.headers.iter() {
        let dropped = never && is(h.name, "content-length")
            || fields::hop_by_hop(h.name) && !(switching && is(h.name, "upgrade"))
            || listed
                .iter()
                .any(|l| l.eq_ignore_ascii_case(h.name.as_bytes()))
                && !fields::kept_whatever_is_listed(h.name);
        if !dropped {
            push(out, h.name, h.value);
        }
    }
    // HTTP/1.0 has no chunks: the client gets their content and the end of the connection.
    if lengths.chunked() && !ask.old && !never {
        push(out, "Transfer-Encoding", b"chunked");
    }
    if let Some(via) = via {
        push(out, "Via", [b"1.1 ", via.as_bytes()].concat().as_slice());
    }
    if switching {
        push(out, "Connection", b"Upgrade");
    }
    Ok(Some(Answer {
        len,
        status,
        keep: keep && !matches!(body, Framing::Eof),
        body,
    }))
}
