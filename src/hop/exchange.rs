//! One exchange with an upstream: connect, send, wait, relay, and give the connection back.

use std::{future::poll_fn, io, sync::Arc, time::Instant};

use tokio::time::timeout;

use super::{
    Done, End, Failure, Forward, Handler, Meter, OnDone, Origin,
    connection::{After, Connection},
    fields::{Framing, push},
    pool::HEAD,
    request::Ask,
    response::{self, Answer},
    stream::Stream,
    transfer::{Download, Idle, Stopped, count, send, unless_left, unsent},
    tunnel::tunnel,
    upload::Uploaded,
};
use crate::clock;

/// Most interim answers (1xx) before the real one.
const INTERIM: usize = 16;
/// A piece of body up to this size is copied behind the head, to leave in one plain write.
const TOGETHER: usize = 4 << 10;

/// Why an exchange ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client left.
    Left,
    /// The client's body can't be read.
    Request(&'static str),
    /// The upstream failed before the client was sent anything: it can be told.
    Early(Failure),
    /// The upstream failed after that: the client's connection is cut.
    Late(Failure),
    /// A pooled connection had been closed before it answered anything.
    Stale(Failure),
}

/// Tells the handler how an exchange ended, once, even if it is dropped.
struct Ending<H: Handler> {
    handler: Arc<H>,
    on_done: Option<OnDone>,
    meter: Option<Meter>,
    done: Done,
    started: Instant,
}

/// What is on the way to the upstream, and what has come back.
struct Sent<'a> {
    head: &'a [u8],
    raw: &'a [u8],
    /// Bytes of the answer.
    reply: &'a mut Vec<u8>,
    /// It is given up when the client leaves.
    watch: bool,
}

// === impl Ending ===

impl<H: Handler> Drop for Ending<H> {
    fn drop(&mut self) {
        if let Some(on_done) = self.on_done.take() {
            on_done(&self.done);
        }
        self.handler.done(&self.done);
    }
}

/// Sends a request upstream and its answer back. `raw` is what was read of its body already.
pub(super) async fn forward<H: Handler>(
    connection: &mut Connection<H>,
    mut ask: Ask,
    mut head: Vec<u8>,
    forward: Forward,
    raw: Vec<u8>,
) -> After {
    let Forward {
        origin,
        kind,
        finish,
        meter,
        on_done,
    } = forward;
    let mut ending = Ending {
        handler: Arc::clone(&connection.handler),
        on_done,
        meter,
        done: Done {
            kind,
            status: None,
            bytes: 0,
            first_byte: None,
            end: End::ClientLeft,
        },
        started: clock::now(),
    };
    let mut reply = connection.worker.heads.take();
    let mut fresh = false;
    let result = loop {
        let mut sent = Sent {
            head: &head,
            raw: &raw,
            reply: &mut reply,
            watch: !finish,
        };
        match attempt(connection, &mut ask, &mut sent, &origin, fresh, &mut ending).await {
            Err(Broken::Stale(_)) if ask.repeatable && !fresh => fresh = true,
            result => break result,
        }
    };
    connection.worker.heads.put(&mut head);
    connection.worker.heads.put(&mut reply);
    let (failure, told) = match result {
        Ok(after) => {
            ending.done.end = End::Complete;
            return after;
        }
        Err(Broken::Left) => return After::Close,
        Err(Broken::Late(failure)) => (failure, false),
        Err(Broken::Early(failure) | Broken::Stale(failure)) => (failure, true),
        Err(Broken::Request(why)) => {
            ask.keep = false;
            let failure = Failure::BadRequest(why);
            let (status, _) = connection.fail(&mut ask, &failure).await;
            ending.done.status = status;
            return After::Linger;
        }
    };
    ending.done.end = End::Upstream(failure.clone());
    if !told {
        return After::Close;
    }
    let (status, after) = connection.fail(&mut ask, &failure).await;
    ending.done.status = status;
    after
}

async fn attempt<H: Handler>(
    connection: &mut Connection<H>,
    ask: &mut Ask,
    sent: &mut Sent<'_>,
    origin: &Origin,
    fresh: bool,
    ending: &mut Ending<H>,
) -> Result<After, Broken> {
    let name = || Arc::clone(&origin.0.name);
    let watch = sent.watch;
    let (mut up, pooled) = connect(connection, origin, ask.repeatable, fresh, watch).await?;
    let lost = |_: io::Error| match pooled {
        true => Broken::Stale(Failure::Truncated(name())),
        false => Broken::Early(Failure::Truncated(name())),
    };

    let mut idle = Idle::new(connection.idle());
    let uploaded = match send(&mut up, sent.head, sent.raw, &mut idle).await {
        Ok(()) if ask.body.done() => Uploaded::Whole,
        Ok(()) => connection.upload(ask, &mut up).run(sent.reply).await?,
        // It may have answered before it closed, if it was sent a body that it did not want.
        Err(_) if !ask.body.done() || !sent.raw.is_empty() => Uploaded::Early,
        Err(e) => return Err(lost(e)),
    };

    let limit = connection.worker.settings.timeouts.first_byte;
    let waited = timeout(
        limit,
        await_head(connection, ask, &mut up, sent.reply, watch),
    )
    .await;
    let (mut answer, mut head) = match waited {
        Ok(Ok(Some(found))) => found,
        Ok(Ok(None)) if sent.reply.is_empty() => {
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Ok(None)) => return Err(Broken::Early(Failure::Truncated(name()))),
        Ok(Err(Stopped::Left)) => return Err(Broken::Left),
        Ok(Err(Stopped::Truncated | Stopped::Malformed | Stopped::Idle)) => {
            return Err(Broken::Early(Failure::Malformed(name())));
        }
        Err(_) => return Err(Broken::Early(Failure::FirstByteTimeout(name()))),
    };
    ending.done.first_byte = Some(clock::now().saturating_duration_since(ending.started));
    if answer.status == 101 {
        return switch(connection, up, &mut head, sent.reply, &answer, ending).await;
    }

    // An answer to half a request leaves the other half on the wire.
    let whole = uploaded == Uploaded::Whole;
    let unframed = matches!(answer.body, Framing::Eof) || ask.old;
    let keep = connection.may_keep(ask) && whole && !unframed;
    if !keep {
        push(&mut head, "Connection", b"close");
    }
    head.extend_from_slice(b"\r\n");
    let relayed = relay(
        connection,
        ask,
        &mut up,
        sent.reply,
        &mut answer,
        &mut head,
        ending,
    )
    .await;
    connection.worker.heads.put(&mut head);
    match relayed {
        Ok(clean) => {
            if clean && answer.keep && whole {
                connection.worker.idles.put(origin, up, clock::now());
            }
            Ok(match (keep, whole) {
                (true, _) => After::Keep,
                (false, true) => After::Close,
                (false, false) => After::Linger,
            })
        }
        Err(Stopped::Left) => Err(Broken::Left),
        Err(Stopped::Truncated) => Err(Broken::Late(Failure::Truncated(name()))),
        Err(Stopped::Malformed) => Err(Broken::Late(Failure::Malformed(name()))),
        Err(Stopped::Idle) => Err(Broken::Late(Failure::IdleTimeout)),
    }
}

/// A pooled connection, or a new one. Only what can't be sent again pays for a close look at a pooled one.
async fn connect<H: Handler>(
    connection: &mut Connection<H>,
    origin: &Origin,
    repeatable: bool,
    fresh: bool,
    watch: bool,
) -> Result<(Stream, bool), Broken> {
    let worker = &connection.worker;
    if !fresh && let Some(up) = worker.idles.take(origin, clock::now(), !repeatable) {
        return Ok((up, true));
    }
    let connecting = Box::pin(Stream::connect(origin, worker.settings.timeouts.connect));
    let (down, inbox) = (&mut connection.down, &mut connection.inbox);
    match unless_left(worker, down, inbox, watch, connecting).await {
        Some(Ok(up)) => Ok((up, false)),
        Some(Err(failure)) => Err(Broken::Early(failure)),
        None => Err(Broken::Left),
    }
}

/// Waits for the head of the answer. `None`: the upstream closed before it was whole.
async fn await_head<H: Handler>(
    connection: &mut Connection<H>,
    ask: &Ask,
    up: &mut Stream,
    reply: &mut Vec<u8>,
    watch: bool,
) -> Result<Option<(Answer, Vec<u8>)>, Stopped> {
    let worker = Arc::clone(&connection.worker);
    let mut head = Vec::new();
    let mut interim = 0;
    loop {
        if !reply.is_empty() {
            if head.capacity() == 0 {
                head = worker.heads.take();
            }
            head.clear();
            let via = worker.settings.via.as_deref();
            match response::parse(reply, ask, via, &mut head) {
                // Upload::run relays a 100 that is waited for; any other interim answer is left out.
                Ok(Some(a)) if (100..200).contains(&a.status) && a.status != 101 => {
                    reply.drain(..a.len.min(reply.len()));
                    interim += 1;
                    if interim > INTERIM {
                        return Err(Stopped::Malformed);
                    }
                    continue;
                }
                Ok(Some(answer)) => return Ok(Some((answer, head))),
                Ok(None) if reply.len() >= HEAD => return Err(Stopped::Malformed),
                Ok(None) => {}
                Err(_) => return Err(Stopped::Malformed),
            }
        }
        let (down, inbox) = (&mut connection.down, &mut connection.inbox);
        let more = poll_fn(|cx| up.poll_fill(cx, reply, HEAD));
        match unless_left(&worker, down, inbox, watch, more).await {
            None => return Err(Stopped::Left),
            Some(Ok(n)) if n > 0 => {}
            Some(Ok(_) | Err(_)) => return Ok(None),
        }
    }
}

/// Sends the answer on. `true`: the upstream connection can be used again.
async fn relay<H: Handler>(
    connection: &mut Connection<H>,
    ask: &Ask,
    up: &mut Stream,
    reply: &mut Vec<u8>,
    answer: &mut Answer,
    head: &mut Vec<u8>,
    ending: &mut Ending<H>,
) -> Result<bool, Stopped> {
    let decode = ask.old && matches!(answer.body, Framing::Chunked(_));
    let first = reply.get(answer.len..).unwrap_or_default();
    ending.done.status = Some(answer.status);
    let mut idle = Idle::new(connection.idle());
    let mut clean = true;
    let left = |e: io::Error| unsent(&e);
    let down = &mut connection.down;
    if decode || matches!(answer.body, Framing::Empty) {
        clean = first.is_empty() || decode;
        send(down, head, &[], &mut idle).await.map_err(left)?;
    } else {
        let n = answer.body.take(first, |_| {});
        let n = n.map_err(|_| Stopped::Malformed)?;
        clean &= n == first.len();
        let body = first.get(..n).unwrap_or_default();
        if n <= TOGETHER {
            head.extend_from_slice(body);
            send(down, head, &[], &mut idle).await.map_err(left)?;
        } else {
            send(down, head, body, &mut idle).await.map_err(left)?;
        }
        ending.done.bytes += n as u64;
        count(ending.meter.as_ref(), n);
    }
    if answer.body.done() {
        return Ok(clean);
    }

    // Nothing but the two sockets is held while a long body runs.
    let worker = Arc::clone(&connection.worker);
    worker.heads.put(head);
    let decoded = if decode { first.to_vec() } else { Vec::new() };
    worker.heads.put(reply);
    if connection.inbox.is_empty() {
        worker.heads.put(&mut connection.inbox);
    }
    let mut download = Download {
        worker: &worker,
        up,
        down: &mut connection.down,
        inbox: &mut connection.inbox,
        body: &mut answer.body,
        decode,
        sent: &mut ending.done.bytes,
        meter: ending.meter.as_ref(),
        idle,
    };
    if decode {
        clean = download.pass(&decoded).await?;
    }
    let ended_clean = download.run().await?;
    Ok(clean && ended_clean)
}

/// The upstream changes the protocol: from here on the hop only carries bytes.
async fn switch<H: Handler>(
    connection: &mut Connection<H>,
    mut up: Stream,
    head: &mut Vec<u8>,
    reply: &mut Vec<u8>,
    answer: &Answer,
    ending: &mut Ending<H>,
) -> Result<After, Broken> {
    let worker = Arc::clone(&connection.worker);
    head.extend_from_slice(b"\r\n");
    let mut idle = Idle::new(connection.idle());
    let switched = send(&mut connection.down, head, &[], &mut idle).await;
    worker.heads.put(head);
    switched.map_err(|_| Broken::Left)?;
    ending.done.status = Some(101);
    reply.drain(..answer.len.min(reply.len()));
    let there = std::mem::take(&mut connection.inbox);
    let back = std::mem::take(reply);
    let _tunnel = worker.shared.count(|s| &s.tunnels);
    ending.done.bytes += tunnel(&worker, &mut connection.down, &mut up, there, back).await;
    Ok(After::Close)
}
