//! `hop load MODE ADDR CONNECTIONS TARGET AMOUNT [RATE]`: one thread, one epoll, HTTP/1.1 keep-alive.
//!
//! - `closed`: each connection asks again as soon as it is answered, for AMOUNT seconds.
//! - `rate`: open loop, RATE requests a second for AMOUNT seconds. A request that finds no free connection waits in
//!   line; latency counts from the moment it was due, so a stall is seen in full (no coordinated omission). The
//!   first fifth is not counted in the latency.
//! - `bulk`: bodies until AMOUNT bytes have come, thrown away in the kernel (`MSG_TRUNC`).
//! - `idle`: one answer for each connection, then all are kept until standard input closes.
//! - `stall`: each connection reads AMOUNT bytes of its body and no more, until standard input closes.
//!
//! Prints `name=value` words: `n` answers, `bytes` of bodies, `secs`, `p50` and `p99` in µs, `cpu` seconds of its own.

use std::{
    collections::VecDeque,
    io::Read,
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::{
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
        poll,
    },
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, recv},
};

use crate::{Result, machine, origin::empty_event, workload::request};

/// Connections that ask at once while many are being built up to be held.
const AT_ONCE: usize = 32;
/// Longest wait for answers once everything was asked for.
const PATIENCE: Duration = Duration::from_secs(20);

struct Client {
    stream: TcpStream,
    head: Vec<u8>,
    /// Body bytes still to come; `None` while the head is.
    left: Option<u64>,
    got: u64,
    answers: usize,
    busy: bool,
    since: Duration,
}

enum Step {
    Later,
    More,
    Done,
}

struct Load {
    clients: Vec<Client>,
    target: String,
    /// The request, when it is the same for all.
    same: Option<Vec<u8>>,
    epoll: OwnedFd,
    events: Vec<Event>,
    scratch: Vec<u8>,
    start: Instant,
    latencies: Vec<Duration>,
}

/// Runs one mode.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [mode, address, connections, target, amount, rest @ ..] = args else {
        return Err("load MODE ADDR CONNECTIONS TARGET AMOUNT [RATE]".into());
    };
    let amount: f64 = amount.parse()?;
    let mut load = Load::new(address, connections.parse()?, target)?;
    match mode.as_str() {
        "closed" => load.closed(Duration::from_secs_f64(amount))?,
        "rate" => {
            let rate = rest.first().ok_or("rate needs a RATE")?.parse()?;
            load.rate(Duration::from_secs_f64(amount), rate)?;
        }
        "bulk" => load.bulk(amount as u64)?,
        "idle" => load.hold(None)?,
        "stall" => load.hold(Some(amount as u64))?,
        other => return Err(format!("no mode {other}").into()),
    }
    load.report()
}

// === impl Load ===

impl Load {
    fn new(address: &str, connections: usize, target: &str) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut clients = Vec::with_capacity(connections);
        for i in 0..connections {
            let client = Client::new(address)?;
            epoll::add(
                &epoll,
                &client.stream,
                EventData::new_u64(i as u64),
                EventFlags::IN,
            )?;
            clients.push(client);
        }
        Ok(Self {
            clients,
            target: target.to_owned(),
            same: (!target.contains('{')).then(|| request(target, 0, 0)),
            epoll,
            events: vec![empty_event(); 256],
            scratch: vec![0; 1 << 20],
            start: Instant::now(),
            latencies: Vec::new(),
        })
    }

    fn ask(&mut self, i: usize, since: Duration) -> Result<()> {
        let client = &mut self.clients[i];
        client.since = since;
        match &self.same {
            Some(bytes) => client.send(bytes),
            None => client.send(&request(&self.target, i, client.answers)),
        }
    }

    /// The clients that have something to read, after at most `wait`. Waits in ppoll: rustix's epoll rounds up to
    /// milliseconds, which is too coarse to pace requests by.
    fn ready(&mut self, wait: Duration) -> Result<Vec<usize>> {
        let wait = Timespec {
            tv_sec: i64::try_from(wait.as_secs())?,
            tv_nsec: wait.subsec_nanos().into(),
        };
        poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&wait))?;
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let count = epoll::wait(&self.epoll, &mut self.events[..], Some(&zero))?;
        Ok(self.events[..count]
            .iter()
            .map(|event| event.data.u64() as usize)
            .collect())
    }

    /// Reads what has come for client `i`, at most `most` receives; true when its answer is whole.
    fn drain(&mut self, i: usize, most: usize) -> Result<bool> {
        for _ in 0..most {
            match self.clients[i].step(&mut self.scratch)? {
                Step::More => {}
                Step::Later => return Ok(false),
                Step::Done => return Ok(true),
            }
        }
        Ok(false)
    }

    fn closed(&mut self, length: Duration) -> Result<()> {
        for i in 0..self.clients.len() {
            self.ask(i, self.start.elapsed())?;
        }
        let mut open = self.clients.len();
        while open > 0 {
            for i in self.ready(PATIENCE)? {
                if self.drain(i, usize::MAX)? {
                    let now = self.start.elapsed();
                    self.latencies.push(now - self.clients[i].since);
                    if now < length {
                        self.ask(i, now)?;
                    } else {
                        open -= 1;
                    }
                }
            }
            if self.start.elapsed() > length + PATIENCE {
                return Err(format!("{open} connections were not answered").into());
            }
        }
        Ok(())
    }

    fn rate(&mut self, length: Duration, rate: f64) -> Result<()> {
        let mut idle: VecDeque<usize> = (0..self.clients.len()).collect();
        let mut line: VecDeque<Duration> = VecDeque::new();
        let (mut asked, mut open) = (0_u32, 0);
        let mut next = Duration::ZERO;
        loop {
            let now = self.start.elapsed();
            while next <= now && next < length {
                line.push_back(next);
                asked += 1;
                next = Duration::from_secs_f64(f64::from(asked) / rate);
            }
            while !line.is_empty()
                && let Some(i) = idle.pop_front()
            {
                let due = line.pop_front().unwrap_or(now);
                self.ask(i, due)?;
                open += 1;
            }
            if next >= length && line.is_empty() && open == 0 {
                return Ok(());
            }
            if now > length + PATIENCE {
                return Err(format!("{open} requests were not answered").into());
            }
            let wait = if next < length {
                next.saturating_sub(self.start.elapsed())
            } else {
                PATIENCE
            };
            for i in self.ready(wait)? {
                if self.drain(i, usize::MAX)? {
                    let since = self.clients[i].since;
                    if since >= length / 5 {
                        self.latencies.push(self.start.elapsed() - since);
                    }
                    idle.push_back(i);
                    open -= 1;
                }
            }
        }
    }

    fn bulk(&mut self, bytes: u64) -> Result<()> {
        for i in 0..self.clients.len() {
            self.ask(i, Duration::ZERO)?;
        }
        let mut open = self.clients.len();
        let mut whole = 0;
        let mut counted = vec![0; open];
        while open > 0 {
            let ready = self.ready(PATIENCE)?;
            if ready.is_empty() {
                return Err(format!("{open} downloads stand still").into());
            }
            for i in ready {
                if self.drain(i, 4)? {
                    whole += self.clients[i].got - counted[i];
                    counted[i] = self.clients[i].got;
                    if whole < bytes {
                        self.ask(i, Duration::ZERO)?;
                    } else {
                        open -= 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes one answer (or the first `most` bytes of it) on each connection, a few at a time, says so, and holds them.
    fn hold(&mut self, most: Option<u64>) -> Result<()> {
        let count = self.clients.len();
        let (mut asked, mut held) = (0, 0);
        while held < count {
            while asked < count && asked - held < AT_ONCE {
                self.ask(asked, Duration::ZERO)?;
                asked += 1;
            }
            let ready = self.ready(PATIENCE)?;
            if ready.is_empty() {
                return Err(format!("{} connections stand still", asked - held).into());
            }
            for i in ready {
                let done = self.drain(i, 1)?;
                if done || most.is_some_and(|most| self.clients[i].got >= most) {
                    epoll::delete(&self.epoll, &self.clients[i].stream)?;
                    held += 1;
                }
            }
        }
        crate::say("READY")?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }

    fn report(mut self) -> Result<()> {
        let secs = self.start.elapsed().as_secs_f64();
        self.latencies.sort_unstable();
        let at = |part: f64| {
            let index = (self.latencies.len() as f64 * part) as usize;
            self.latencies
                .get(index.min(self.latencies.len().saturating_sub(1)))
                .map_or(0.0, |d| d.as_secs_f64() * 1e6)
        };
        let answers: usize = self.clients.iter().map(|c| c.answers).sum();
        let bytes: u64 = self.clients.iter().map(|c| c.got).sum();
        crate::say(&format!(
            "n={answers} bytes={bytes} secs={secs:.4} p50={:.1} p99={:.1} cpu={:.4}",
            at(0.5),
            at(0.99),
            machine::cpu_seconds(std::process::id()),
        ))
    }
}

// === impl Client ===

impl Client {
    fn new(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            head: Vec::new(),
            left: None,
            got: 0,
            answers: 0,
            busy: false,
            since: Duration::ZERO,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        self.head.clear();
        self.left = None;
        self.busy = true;
        Ok((&self.stream).write_all(bytes)?) // a request fits the socket buffer
    }

    /// One receive.
    fn step(&mut self, scratch: &mut [u8]) -> Result<Step> {
        if !self.busy {
            // An idle keep-alive connection has something to read: the end.
            return Err("closed between requests".into());
        }
        // Little at a time while the head is awaited, so that the body stays in the kernel.
        let (most, flags) = match self.left {
            None => (16 << 10, RecvFlags::empty()),
            Some(left) => (scratch.len().min(usize::try_from(left)?), RecvFlags::TRUNC),
        };
        let count = match recv(&self.stream, &mut scratch[..most], flags) {
            Err(Errno::AGAIN) => return Ok(Step::Later),
            other => other?.0,
        };
        if count == 0 {
            return Err("closed in an answer".into());
        }
        let body = match self.left {
            Some(_) => count as u64,
            None => {
                self.head.extend_from_slice(&scratch[..count]);
                let Some(end) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else {
                    return Ok(Step::More);
                };
                self.left = Some(length(&self.head[..end])?);
                (self.head.len() - end - 4) as u64
            }
        };
        self.got += body;
        let left = self.left.unwrap_or(0).checked_sub(body);
        self.left = Some(left.ok_or("more came than was announced")?);
        if left == Some(0) {
            self.busy = false;
            self.answers += 1;
            return Ok(Step::Done);
        }
        Ok(Step::More)
    }
}

/// The length announced by a head, which must be a 200.
fn length(head: &[u8]) -> Result<u64> {
    let head = std::str::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 200") {
        let line = head.lines().next().unwrap_or_default();
        return Err(format!("answered {line:?}").into());
    }
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("no Content-Length")?
        .1
        .trim()
        .parse()
        .map_err(Into::into)
}
