//! The websocket: keep-alives, and messages to a session.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{
    Inner,
    auth::Who,
    reply::{self, Reply},
    request::Ask,
};

/// Messages that wait for a slow socket.
const WAITING: usize = 64;
/// A longer frame from a client ends the connection.
const LONGEST: usize = 64 * 1024;
/// A socket that says nothing for this long is closed.
const SILENCE: Duration = Duration::from_secs(60);

/// Answers an upgrade and serves the socket beside everything else.
pub(super) fn accept(
    inner: &Arc<Inner>,
    ask: &Ask,
    who: &Who,
    upgrade: Option<OnUpgrade>,
) -> Reply {
    let key = ask.header("sec-websocket-key").unwrap_or_default();
    let (Some(upgrade), false) = (upgrade, key.is_empty()) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let (send, receive) = mpsc::channel(WAITING);
    let hello = json!({"MessageType": "ForceKeepAlive", "Data": 60}).to_string();
    if send.try_send(hello).is_err() {
        return reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    {
        let mut world = inner.world();
        if let Some(at) = world.session_of(who)
            && let Some(session) = world.sessions.get_mut(at)
        {
            session.sockets.push(send.clone());
        }
    }
    let mut stop = inner.stop.subscribe();
    inner.tasks.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        tokio::select! {
            () = serve(TokioIo::new(upgraded), send, receive) => {}
            _ = stop.wait_for(|stop| stop.is_some()) => {}
        }
    });
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(value) = HeaderValue::from_str(&accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    }
    reply
}

async fn serve(
    io: TokioIo<Upgraded>,
    own: mpsc::Sender<String>,
    mut outgoing: mpsc::Receiver<String>,
) {
    let (mut read, mut write) = tokio::io::split(io);
    let mut seen = BytesMut::new();
    loop {
        tokio::select! {
            message = outgoing.recv() => {
                let Some(message) = message else { return };
                if write.write_all(&frame(1, message.as_bytes())).await.is_err() {
                    return;
                }
            }
            count = tokio::time::timeout(SILENCE, read.read_buf(&mut seen)) => {
                if !matches!(count, Ok(Ok(1..))) || seen.len() > LONGEST {
                    return;
                }
                while let Some((kind, payload)) = take_frame(&mut seen) {
                    let answer = match kind {
                        1 => keep_alive(&payload).map(|text| frame(1, text.as_bytes())),
                        8 => {
                            let _ended = write.write_all(&frame(8, &payload)).await;
                            return;
                        }
                        9 => Some(frame(10, &payload)),
                        _ => None,
                    };
                    if let Some(answer) = answer && write.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        }
        if own.is_closed() {
            return;
        }
    }
}

fn keep_alive(payload: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(payload).ok()?;
    let kind = message.get("MessageType")?.as_str()?;
    kind.eq_ignore_ascii_case("KeepAlive")
        .then(|| json!({"MessageType": "KeepAlive"}).to_string())
}

/// A frame of a server: not masked.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | kind];
    match payload.len() {
        short @ 0..126 => out.push(u8::try_from(short).unwrap_or(0)),
        long => match u16::try_from(long) {
            Ok(length) => {
                out.push(126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(127);
                out.extend_from_slice(&u64::try_from(long).unwrap_or(u64::MAX).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(payload);
    out
}

/// A whole masked frame from the front of what was read.
fn take_frame(seen: &mut BytesMut) -> Option<(u8, Bytes)> {
    let mut view = seen.as_ref();
    if view.remaining() < 2 {
        return None;
    }
    let (first, second) = (view.get_u8(), view.get_u8());
    let mut length = usize::from(second & 0x7f);
    let mut head = 2;
    if length == 126 {
        if view.remaining() < 2 {
            return None;
        }
        length = usize::from(view.get_u16());
        head += 2;
    } else if length == 127 {
        if view.remaining() < 8 {
            return None;
        }
        length = usize::try_from(view.get_u64()).unwrap_or(usize::MAX);
        head += 8;
    }
    let masked = second & 0x80 != 0;
    let mut mask = [0_u8; 4];
    if masked {
        if view.remaining() < 4 {
            return None;
        }
        view.copy_to_slice(&mut mask);
        head += 4;
    }
    if view.remaining() < length {
        return None;
    }
    seen.advance(head);
    let mut payload = seen.split_to(length);
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Some((first & 0x0f, payload.freeze()))
}

fn accept_key(key: &str) -> String {
    let joined = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(&sha1(joined.as_bytes()))
}

/// SHA-1, for the handshake only (RFC 6455, 4.2.2).
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let bits = u64::try_from(text.len()).unwrap_or(0) * 8;
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&bits.to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> = block
            .chunks_exact(4)
            .map(|four| {
                four.iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
            .collect();
        for at in 16..80_usize {
            let word = [3, 8, 14, 16]
                .iter()
                .filter_map(|back| words.get(at - back))
                .fold(0, |word, other| word ^ other);
            words.push(word.rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mix, key) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mix)
                .wrapping_add(e)
                .wrapping_add(key)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(add);
        }
    }
    let mut out = [0; 20];
    for (place, byte) in out
        .iter_mut()
        .zip(state.iter().flat_map(|word| word.to_be_bytes()))
    {
        *place = byte;
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for at in 0..4 {
            let sign = SIGNS.get(word >> (18 - 6 * at) & 63).copied();
            match sign {
                Some(sign) if at <= three.len() => out.push(char::from(sign)),
                Some(_) | None => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_answers_as_the_standard_says() {
        assert_eq!(
            accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut seen = BytesMut::from(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f][..]);
        assert_eq!(take_frame(&mut seen), None);
        seen.extend_from_slice(&[0x4d, 0x51, 0x58]);
        assert_eq!(take_frame(&mut seen), Some((1, Bytes::from("Hello"))));
    }
}
