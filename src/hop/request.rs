//! Reads a request head strictly and writes the head that goes upstream.

use std::{io::Write as _, mem::MaybeUninit, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use httparse::{EMPTY_HEADER, Header, Status};
use ipnet::IpNet;

use super::{
    Peer, Settings,
    fields::{self, Framing, Lengths, is, push},
    peer,
};

/// Most fields of one head.
pub(super) const FIELDS: usize = 100;

/// Most names in `Connection`: each is compared with each field.
const LISTED: usize = 16;

/// What the hop must know of a request once its head has been written anew.
#[derive(Debug)]
pub(super) struct Ask {
    /// Bytes of head in the buffer.
    pub(super) len: usize,
    /// How its body ends.
    pub(super) body: Framing,
    /// HEAD: the answer has no body.
    pub(super) head_only: bool,
    /// GET or HEAD without a body: may be sent again.
    pub(super) repeatable: bool,
    /// HTTP/1.0.
    pub(super) old: bool,
    /// The client wants to keep the connection.
    pub(super) keep: bool,
    /// The client waits for `100 Continue`.
    pub(super) expect: bool,
    /// The client wants another protocol.
    pub(super) upgrade: bool,
    /// Who asks.
    pub(super) peer: Peer,
}

/// A parsed head: what the handler sees, and what the hop needs.
#[derive(Debug)]
pub(super) struct Parsed<'b> {
    pub(super) method: &'b str,
    pub(super) target: &'b str,
    pub(super) ask: Ask,
}

/// What `Connection` and the other connection-wide fields ask for.
#[derive(Debug, Default)]
struct Wishes<'b> {
    listed: Vec<&'b [u8]>,
    close: bool,
    upgrade: bool,
    protocol: bool,
    h2c: bool,
}

/// Reads a head and writes the one that goes upstream to `out`. `None`: it is not all there.
///
/// # Errors
/// The head is not beyond doubt; nothing of it may go upstream.
pub(super) fn parse<'b>(
    buf: &'b [u8],
    socket: &Peer,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<Option<Parsed<'b>>, &'static str> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_request_with_uninit_headers(&mut request, buf, &mut room) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("too many fields"),
        Err(_) => return Err("malformed head"),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err("malformed head");
    };
    if !fields::ends_lines_well(buf.get(..len).unwrap_or_default()) {
        return Err("line does not end in CRLF");
    }
    let headers: &[Header<'b>] = request.headers;
    let old = version == 0;
    check_method(method)?;
    let (lengths, host, wishes) = survey(headers, old)?;
    let authority = check_target(method, target, host)?;

    let body = lengths.framing(Framing::Empty);
    let bare = body.done();
    let expect = match headers.iter().find(|h| is(h.name, "expect")) {
        Some(h) if !h.value.eq_ignore_ascii_case(b"100-continue") => {
            return Err("unknown expectation");
        }
        Some(_) => !old && !bare,
        None => false,
    };
    // Only a request without a body can change the protocol; h2c would take the connection out of sight.
    let upgrade = wishes.upgrade && wishes.protocol && !wishes.h2c && bare && !old;

    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let peer = write_fields(headers, &wishes, upgrade, expect, socket, settings, out);
    if host.is_none() {
        push(out, "Host", authority.unwrap_or("localhost").as_bytes());
    }
    if lengths.chunked() {
        push(out, "Transfer-Encoding", b"chunked");
    }
    if upgrade {
        push(out, "Connection", b"Upgrade");
    }
    if let Some(via) = &settings.via {
        let version = if old { "1.0 " } else { "1.1 " };
        push(
            out,
            "Via",
            [version.as_bytes(), via.as_bytes()].concat().as_slice(),
        );
    }
    out.extend_from_slice(b"\r\n");
    let head_only = method == "HEAD";
    Ok(Some(Parsed {
        method,
        target,
        ask: Ask {
            len,
            body,
            head_only,
            repeatable: bare && !upgrade && (head_only || method == "GET"),
            old,
            keep: !old && !wishes.close,
            expect,
            upgrade,
            peer,
        },
    }))
}

/// The request as the handler gets it: what would go upstream, as `http` types.
pub(super) fn typed(head: &[u8], body: Bytes) -> Result<Request<Bytes>, &'static str> {
    let mut room = [EMPTY_HEADER; FIELDS + 8];
    let mut parsed = httparse::Request::new(&mut room);
    let (Ok(_), Some(method), Some(target)) = (parsed.parse(head), parsed.method, parsed.path)
    else {
        return Err("malformed head");
    };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "bad field name")?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| "bad field value")?;
        headers.append(name, value);
    }
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(body)
        .map_err(|_| "target can't be read")?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn check_method(method: &str) -> Result<(), &'static str> {
    if is(method, "CONNECT") || is(method, "TRACE") || is(method, "PRI") {
        return Err("method not served");
    }
    // Whether `head` has a body in its answer is anyone's guess.
    if is(method, "HEAD") && method != "HEAD" {
        return Err("HEAD in odd letter case");
    }
    Ok(())
}

/// Checks the target's form. An absolute one names its server, which must be the one that `Host` names.
fn check_target<'b>(
    method: &str,
    target: &'b str,
    host: Option<&[u8]>,
) -> Result<Option<&'b str>, &'static str> {
    if !target.bytes().all(|b| b.is_ascii_graphic()) || target.contains('#') {
        return Err("bad character in the target");
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(None);
    }
    let authority = target
        .split_once("://")
        .filter(|(scheme, _)| is(scheme, "http") || is(scheme, "https"))
        .and_then(|(_, rest)| rest.split(['/', '?']).next())
        .filter(|a| !a.is_empty() && !a.bytes().any(|b| odd_in_host(&b)))
        .ok_or("target has no known form")?;
    match host {
        Some(host) if !host.eq_ignore_ascii_case(authority.as_bytes()) => {
            Err("target and Host name different servers")
        }
        Some(_) | None => Ok(Some(authority)),
    }
}

fn odd_in_host(byte: &u8) -> bool {
    !byte.is_ascii_graphic() || b",/\\?#@\"<>".contains(byte)
}

/// Goes over the fields once for what decides on the others.
fn survey<'b>(
    headers: &[Header<'b>],
    old: bool,
) -> Result<(Lengths, Option<&'b [u8]>, Wishes<'b>), &'static str> {
    let mut lengths = Lengths::default();
    let mut host: Option<&[u8]> = None;
    let mut wishes = Wishes::default();
    for h in headers {
        if lengths.note(h.name, h.value)? {
            continue;
        }
        if is(h.name, "host") {
            if host.is_some() || h.value.iter().any(odd_in_host) {
                return Err("not exactly one good Host");
            }
            host = Some(h.value);
        } else if is(h.name, "connection") {
            for member in fields::list(h.value) {
                if member.eq_ignore_ascii_case(b"close") {
                    wishes.close = true;
                } else if member.eq_ignore_ascii_case(b"upgrade") {
                    wishes.upgrade = true;
                } else if !member.eq_ignore_ascii_case(b"keep-alive") {
                    wishes.listed.push(member);
                    if wishes.listed.len() > LISTED {
                        return Err("too many connection options");
                    }
                }
            }
        } else if is(h.name, "upgrade") {
            let mut members = fields::list(h.value);
            if members.any(|m| m.eq_ignore_ascii_case(b"h2c")) {
                wishes.h2c = true;
            } else {
                wishes.protocol = true;
            }
        }
    }
    if host.is_none() && !old {
        return Err("no Host");
    }
    if old && lengths.chunked() {
        return Err("chunks in HTTP/1.0");
    }
    Ok((lengths, host, wishes))
}

/// Writes the fields that go on, in their order and letters, and says who asks.
fn write_fields(
    headers: &[Header<'_>],
    wishes: &Wishes<'_>,
    upgrade: bool,
    expect: bool,
    socket: &Peer,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Peer {
    let mut forwarded: Vec<&[u8]> = Vec::new();
    for h in headers {
        if is(h.name, "x-forwarded-for") {
            if socket.trusted {
                forwarded.push(h.value);
            }
            continue;
        }
        let listed = !wishes.listed.is_empty()
            && wishes
                .listed
                .iter()
                .any(|l| l.eq_ignore_ascii_case(h.name.as_bytes()))
            && !fields::kept_whatever_is_listed(h.name);
        let gone = fields::hop_by_hop(h.name) && !(upgrade && is(h.name, "upgrade"))
            || is(h.name, "trailer")
            || is(h.name, "expect") && !expect
            || claims_origin(h.name) && !socket.trusted;
        if !listed && !gone {
            push(out, h.name, h.value);
        }
    }
    write_forwarded(&forwarded, socket.address, out);
    let mut peer = socket.clone();
    if !forwarded.is_empty() {
        peer.address = viewer(&settings.trusted, socket.address, &forwarded);
    }
    peer
}

fn viewer(nets: &[IpNet], peer: Option<IpAddr>, lines: &[&[u8]]) -> Option<IpAddr> {
    peer::viewer(nets, peer, lines.iter().copied())
}

/// Writes one `X-Forwarded-For`: what a trusted peer said, and that peer.
fn write_forwarded(lines: &[&[u8]], peer: Option<IpAddr>, out: &mut Vec<u8>) {
    if lines.is_empty() && peer.is_none() {
        return;
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(line);
    }
    if let Some(peer) = peer {
        if !lines.is_empty() {
            out.extend_from_slice(b", ");
        }
        write!(out, "{peer}").unwrap_or_default();
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields by which a proxy says where a request came from.
fn claims_origin(name: &str) -> bool {
    name.get(..12).is_some_and(|p| is(p, "x-forwarded-"))
        || is(name, "forwarded")
        || is(name, "x-real-ip")
}

impl Ask {
    /// Stands for a request that can't be read: its answer is the last on the connection.
    pub(super) fn unreadable(peer: &Peer) -> Self {
        Self {
            len: 0,
            body: Framing::Eof,
            head_only: false,
            repeatable: false,
            old: false,
            keep: false,
            expect: false,
            upgrade: false,
            peer: peer.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hop::{Listen, Timeouts};

    fn settings() -> Settings {
        Settings {
            listen: Listen::Unix("unused".into()),
            trusted: Vec::new(),
            proxy_protocol: false,
            via: None,
            timeouts: Timeouts::default(),
            pool: 0,
            workers: 1,
            max_connections: 1,
        }
    }

    const SEEDS: &[&str] = &[
        "GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\nX: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nhost:h\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HEAD http://h/ HTTP/1.0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// However a head is damaged: it is refused, or the head that goes on is one that this strict parser reads
        /// the same way, line by line, with nothing after it.
        #[test]
        fn a_head_that_goes_on_means_what_it_meant(
            seed in 0..SEEDS.len(),
            edits in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(b"\r\n\0 \t:,;x0+\xff\"#".to_vec()), 0..3u8),
                0..4,
            ),
        ) {
            let mut head = SEEDS.get(seed).map(|s| s.as_bytes().to_vec()).unwrap_or_default();
            for (at, byte, kind) in edits {
                let at = at.index(head.len());
                match kind {
                    0 => head.insert(at, byte),
                    1 => { head.remove(at); }
                    _ => if let Some(b) = head.get_mut(at) { *b = byte },
                }
            }
            let peer = Peer { trusted: true, ..Peer::default() };
            let mut out = Vec::new();
            let Ok(Some(first)) = parse(&head, &peer, &settings(), &mut out) else {
                return Ok(());
            };
            let mut again = Vec::new();
            let second = parse(&out, &peer, &settings(), &mut again).unwrap().unwrap();
            prop_assert_eq!(second.ask.len, out.len());
            prop_assert_eq!(first.method, second.method);
            prop_assert_eq!(first.target, second.target);
            prop_assert_eq!(format!("{:?}", first.ask.body), format!("{:?}", second.ask.body));
            prop_assert_eq!(first.ask.upgrade, second.ask.upgrade);
            let sorted = |head: &[u8]| {
                let mut lines: Vec<Vec<u8>> = head.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(sorted(&out), sorted(&again), "a second hop changes no field");
            prop_assert!(typed(&out, Bytes::new()).is_ok() || !first.target.starts_with('/') || first.target.contains(['\"', '<']));
        }
    }
}
