//! `hop origin`: the server behind every target, as cheap as one event loop makes it.
//!
//! HTTP/1.1 with keep-alive over a level-triggered epoll. A small answer is one `send`. A large body is one `send`
//! of the head with `MSG_MORE`, then `sendfile(2)` from a file on tmpfs, at most 2 MiB for each event; with
//! `copies` the body is written from a buffer instead, 64 KiB at a time, as Jellyfin's Kestrel does. The file has
//! real pages, not holes, and is read round and round for bodies larger than it.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fs::sendfile,
    net::{SendFlags, send},
};

use crate::{Result, workload};

const FILE: u64 = 256 << 20;
const CHUNK: u64 = 2 << 20;
const LISTENER: u64 = u64::MAX;

/// What is answered to one kind of request: a head, with the body behind it or `body` bytes of the file.
#[derive(Clone)]
struct Reply {
    head: Vec<u8>,
    body: u64,
}

struct Site {
    /// By a part of the address; the first that fits.
    replies: Vec<(&'static str, Reply)>,
    missing: Reply,
    file: File,
    copied: Option<Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    reply: Option<Reply>,
    sent: usize,
    file_sent: u64,
    wants_out: bool,
}

/// Serves for ever; says its port on standard output first.
pub(crate) fn run(copies: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let site = Site::new(copies)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    crate::say(&format!("port={}", listener.local_addr()?.port()))?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = vec![empty_event(); 256];
    let mut scratch = vec![0; 16 << 10];
    loop {
        let count = match epoll::wait(&poll, &mut events[..], None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        for event in &events[..count] {
            let (flags, data) = (event.flags, event.data.u64());
            if data == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let at = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    epoll::add(
                        &poll,
                        &stream,
                        EventData::new_u64(at as u64),
                        EventFlags::IN,
                    )?;
                    connections[at] = Some(Connection::new(stream));
                }
                continue;
            }
            let at = data as usize;
            let Some(connection) = connections[at].as_mut() else {
                continue;
            };
            let open = connection
                .turn(flags, &site, &mut scratch)
                .and_then(|wants| {
                    if wants != connection.wants_out {
                        connection.wants_out = wants;
                        let flags = if wants {
                            EventFlags::IN | EventFlags::OUT
                        } else {
                            EventFlags::IN
                        };
                        epoll::modify(&poll, &connection.stream, event.data, flags)?;
                    }
                    Ok(())
                });
            if open.is_err() {
                connections[at] = None; // closing takes it out of the epoll
                free.push(at);
            }
        }
    }
}

/// An event to be filled in.
pub(crate) fn empty_event() -> Event {
    Event {
        flags: EventFlags::empty(),
        data: EventData::new_u64(0),
    }
}

// === impl Site ===

impl Site {
    fn new(copies: bool) -> Result<Self> {
        let mut file =
            tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile_in("/tmp"))?;
        if !copies {
            let block = vec![b'x'; 1 << 20];
            for _ in 0..FILE >> 20 {
                file.write_all(&block)?;
            }
        }
        let user = r#"{"Name":"bench","Id":"8f0c5b2b7e1d4b7f9a3f1f2d6c7b8a90","Policy":{"IsAdministrator":false,"EnableVideoPlaybackTranscoding":true}}"#;
        let mut small =
            r#"{"Id":"dacff066de8493d578b5115be2d2abbb","Name":"Item","Pad":""#.to_owned();
        small.push_str(&"p".repeat(workload::SMALL as usize - small.len() - 2));
        small.push_str("\"}");
        let info = r#"{"ServerName":"bench","Version":"10.11.0","Id":"0b1c"}"#;
        let segment = Reply::file("video/mp2t", workload::SEGMENT);
        Ok(Self {
            replies: vec![
                ("/Images/Primary", Reply::text("200 OK", &small)),
                ("/hls1/", segment.clone()),
                ("/stream.mp4", segment),
                (
                    "/stream.mkv",
                    Reply::file("video/x-matroska", workload::BIG),
                ),
                // What Finweir itself asks for.
                ("/Users/Me", Reply::text("200 OK", user)),
                ("/System/Info", Reply::text("200 OK", info)),
                ("/Sessions", Reply::text("200 OK", "[]")),
            ],
            missing: Reply::text("404 Not Found", "{}"),
            file,
            copied: copies.then(|| vec![b'x'; 64 << 10]),
        })
    }

    fn answer(&self, head: &[u8]) -> Reply {
        let target = head.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let has = |part: &str| target.windows(part.len()).any(|w| w == part.as_bytes());
        let known = self.replies.iter().find(|(part, _)| has(part));
        known.map_or(&self.missing, |(_, reply)| reply).clone()
    }
}

// === impl Reply ===

impl Reply {
    fn text(status: &str, body: &str) -> Self {
        let length = body.len();
        Self {
            head: format!(
                "HTTP/1.1 {status}\r\nServer: Kestrel\r\nContent-Type: application/json; charset=utf-8\r\nX-Response-Time-ms: 1.2\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
            body: 0,
        }
    }

    fn file(kind: &str, body: u64) -> Self {
        Self {
            head: format!(
                "HTTP/1.1 200 OK\r\nServer: Kestrel\r\nContent-Type: {kind}\r\nAccept-Ranges: bytes\r\nX-Response-Time-ms: 1.2\r\nContent-Length: {body}\r\n\r\n"
            )
            .into_bytes(),
            body,
        }
    }
}

// === impl Connection ===

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            reply: None,
            sent: 0,
            file_sent: 0,
            wants_out: false,
        }
    }

    /// Reads and writes what the socket lets it; true when it has more to write. An error ends the connection.
    fn turn(&mut self, flags: EventFlags, site: &Site, scratch: &mut [u8]) -> io::Result<bool> {
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            if self.reply.is_none() {
                let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") else {
                    return Ok(false);
                };
                if !self.input.starts_with(b"GET ") {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                self.reply = Some(site.answer(&self.input[..end]));
                self.input.drain(..end + 4);
                (self.sent, self.file_sent) = (0, 0);
            }
            match self.write(site) {
                Ok(true) => self.reply = None,
                Ok(false) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// True when the answer is out.
    fn write(&mut self, site: &Site) -> io::Result<bool> {
        let Some(reply) = &self.reply else {
            return Ok(true);
        };
        while self.sent < reply.head.len() {
            let more = if reply.body > 0 {
                SendFlags::MORE
            } else {
                SendFlags::empty()
            };
            self.sent += send(
                &self.stream,
                &reply.head[self.sent..],
                SendFlags::NOSIGNAL | more,
            )?;
        }
        let left = reply.body - self.file_sent;
        if left > 0 {
            let mut offset = self.file_sent % FILE;
            self.file_sent += match &site.copied {
                Some(block) => {
                    let count = block.len().min(left as usize);
                    send(&self.stream, &block[..count], SendFlags::NOSIGNAL)? as u64
                }
                None => {
                    let count = left.min(FILE - offset).min(CHUNK) as usize;
                    sendfile(&self.stream, &site.file, Some(&mut offset), count)? as u64
                }
            };
        }
        Ok(self.file_sent == reply.body)
    }
}
