//! Plays every recorded request against the simulated server of that version and compares the answers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use finweir::{
    gpu::model,
    sim::{Library, Options, Sim, SimUser, Startup, Version},
};
use serde_json::Value;

use super::recording::{Check, Record, Server, Set, Tally};

/// The checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "sim",
        takes: |set| SETS.contains(&set),
        run: replay,
    },
    Check {
        name: "sim-start",
        takes: |set| set == "health",
        run: replay_start,
    },
];

const SETS: [&str; 10] = [
    "negotiation",
    "flags",
    "carriers",
    "routes",
    "flows",
    "reports",
    "sharing",
    "users",
    "http",
    "live",
];

/// Differences that are known, each as narrow as it is: version, set, part of the record's name, field, reason.
/// `docs/simulator.md` tells the same.
const KNOWN: &[(&str, &str, &str, &str, &str)] = &[
    (
        "*",
        "flows",
        "browser / Remux: main",
        "TARGETDURATION",
        KEY_FRAMES,
    ),
    ("*", "flows", "phone / Hdr: main", "EXTINF", KEY_FRAMES),
    ("*", "flows", "browser / Subs: main", "entries", KEY_FRAMES),
    (
        "*",
        "flows",
        "browser / Subs: main",
        "TARGETDURATION",
        KEY_FRAMES,
    ),
    ("*", "sharing", " copy: main", "TARGETDURATION", KEY_FRAMES),
    ("*", "sharing", "copy: main", "EXTINF", KEY_FRAMES),
    (
        "*",
        "users",
        "{\"EnableVideoPlaybackTranscoding\": false}: main",
        "EXTINF",
        KEY_FRAMES,
    ),
    (
        "*",
        "routes",
        "live.m3u8",
        "entries",
        "how far FFmpeg was is its speed",
    ),
    (
        "*",
        "routes",
        "live.m3u8",
        "EXTINF",
        "FFmpeg cuts a film without a given frame rate by its own",
    ),
    (
        "12.0",
        "carriers",
        "anonymous progressive transcode",
        "started",
        "the recorder missed the log line; its note shows the process",
    ),
    (
        "10.11",
        "http",
        "CORS",
        "TranscodingUrl",
        "the real server remembers the sound last chosen for a title",
    ),
    ("10.11", "negotiation", "login", "shape", FIRST_LOGIN),
    ("10.11", "users", "family: login", "shape", FIRST_LOGIN),
    ("10.11", "users", "family: me", "shape", FIRST_LOGIN),
    (
        "10.11",
        "users",
        ": item",
        "shape",
        "the item is shown as the administrator has played it",
    ),
];

const KEY_FRAMES: &str = "a copied file is cut at key frames, which are in no recording";
const FIRST_LOGIN: &str = "10.11 has no date of the last login before the second";

struct Play {
    sim: Sim,
    /// Recorded ids and tokens, with what they are here.
    names: BTreeMap<String, String>,
    differences: Vec<(String, String)>,
}

fn replay(server: &Server, set: &Set, tally: &mut Tally) {
    let runtime = runtime();
    let sim = runtime
        .block_on(Sim::start(options(server, set, version_of(server))))
        .unwrap();
    let mut play = Play {
        sim,
        names: BTreeMap::new(),
        differences: Vec::new(),
    };
    let mut used = BTreeSet::new();
    let mut clock = Clock::default();
    for record in &set.records {
        play.differences.clear();
        let counted = if record.request.is_some() && record.response.is_some() {
            clock.before(&play.sim, record);
            play.exchange(record);
            clock.after(&play.sim, record);
            true
        } else {
            play.observe(record, &clock)
        };
        if !counted {
            tally.skip();
            continue;
        }
        let mut left = Vec::new();
        for (field, what) in &play.differences {
            let known = KNOWN.iter().position(|(version, of, name, known, _)| {
                (*version == "*" || *version == server.name)
                    && *of == set.name
                    && record.name.contains(name)
                    && known == field
            });
            match known {
                Some(at) => {
                    used.insert(at);
                }
                None => left.push(format!("{field}: {what}")),
            }
        }
        tally.compare(record, left.is_empty(), || left.join("; "));
    }
    for (at, (of, in_set, name, field, _)) in KNOWN.iter().enumerate() {
        let here = *in_set == set.name && (*of == "*" || *of == server.name);
        // Other recordings need not show what these do.
        let shipped = std::env::var_os("FINWEIR_CAPTURES").is_none();
        if here && shipped && !used.contains(&at) {
            tally.replayed += 1;
            tally.disagreements.push(format!(
                "'{name}' is listed as known to differ in {field}, and does not"
            ));
        }
    }
    if !used.is_empty() {
        tally.remark(format!("{} known differences hold", used.len()));
    }
    play.sim.kill();
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn options(server: &Server, set: &Set, version: Version) -> Options {
    let items = set
        .records
        .iter()
        .find(|r| r.name == "items")
        .and_then(|r| r.response.as_ref()?.json());
    let mut library = match &items {
        Some(items) => Library::from_items(items.get("Items")),
        None => Library::default(),
    };
    library.add_channels(version);
    let made = server.name != "10.11" || set.name != "users";
    let mut users = vec![SimUser {
        id: recorded_user(set, "login"),
        ..SimUser::admin("admin", "adminpw")
    }];
    if !made {
        for name in ["guest", "family"] {
            users.push(SimUser {
                id: recorded_user(set, &format!("{name}: login")),
                ..SimUser::new(name, &format!("pw-{name}"))
            });
        }
    }
    Options {
        version,
        library,
        users,
        speed: 10.0,
        gpu: model::Options {
            capacity_seats: 6.0,
            tone_map: 0.25,
        },
        ..Options::default()
    }
}

/// What is answered while the server starts. The times at which nothing listens are left out.
fn replay_start(server: &Server, set: &Set, tally: &mut Tally) {
    let runtime = runtime();
    let options = Options {
        startup: Some(Startup {
            degraded: Duration::from_secs(4),
            loading: Duration::from_secs(12),
        }),
        ..options(server, set, version_of(server))
    };
    let sim = runtime.block_on(Sim::start(options)).unwrap();
    for record in &set.records {
        let Some(note) = &record.note else {
            tally.skip();
            continue;
        };
        let at = note.get("at").and_then(Value::as_f64).unwrap_or(0.0);
        let recorded = |what: &str| {
            let answer = note.get(what)?;
            Some((
                answer.get(0)?.as_u64()?,
                answer.get(1)?.as_str()?.to_owned(),
            ))
        };
        let (Some(health), Some(info)) = (recorded("answer"), recorded("info")) else {
            tally.skip();
            continue;
        };
        sim.advance(Duration::from_secs_f64(at).saturating_sub(sim.now()));
        let ask = |path: &str| {
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n");
            let answer = send(sim.address(), &head, "", MOST_READ, false).unwrap();
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            (u64::from(answer.status), body)
        };
        let here = ask("/health");
        tally.compare(record, here == health, || {
            format!("recorded {health:?}, here {here:?}")
        });
        let here = ask("/System/Info/Public").0;
        tally.compare(record, here == info.0, || {
            format!("recorded {info:?}, here {here}")
        });
    }
    sim.kill();
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn version_of(server: &Server) -> Version {
    if server.name.starts_with("10.") {
        Version::V10_11
    } else {
        Version::V12_0
    }
}

fn recorded_user(set: &Set, name: &str) -> Option<String> {
    let record = set.records.iter().find(|r| r.name == name)?;
    let body = record.response.as_ref()?.json()?;
    Some(body.pointer("/User/Id")?.as_str()?.to_owned())
}

/// The recording's own time, so that timers run as they ran there.
#[derive(Default)]
struct Clock {
    zero: Option<f64>,
    last: f64,
}

impl Clock {
    fn before(&mut self, sim: &Sim, record: &Record) {
        let Some(t) = record.whole.get("t").and_then(Value::as_f64) else {
            return;
        };
        let zero = *self.zero.get_or_insert(t);
        self.reach(sim, t - zero);
    }

    fn after(&mut self, sim: &Sim, record: &Record) {
        let number = |name: &str| record.whole.get(name).and_then(Value::as_f64);
        if let (Some(zero), Some(t)) = (self.zero, number("t")) {
            let recorded = t - zero + number("ms").unwrap_or(0.0) / 1000.0;
            self.last = recorded.max(sim.now().as_secs_f64());
        }
    }

    fn reach(&self, sim: &Sim, at: f64) {
        let ahead = at - sim.now().as_secs_f64();
        if ahead > 0.0 {
            sim.advance(Duration::from_secs_f64(ahead));
        }
    }
}

// === impl Play ===

impl Play {
    fn differ(&mut self, field: &str, what: impl Into<String>) {
        self.differences.push((field.to_owned(), what.into()));
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, field: &str, recorded: &T, here: &T) {
        if recorded != here {
            self.differ(field, format!("recorded {recorded:?}, here {here:?}"));
        }
    }

    fn renamed(&self, text: &str) -> String {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        names
            .into_iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn exchange(&mut self, record: &Record) {
        let (Some(request), Some(recorded)) = (&record.request, &record.response) else {
            return;
        };
        let before: BTreeSet<_> = self.job_keys();
        let started = self.sim.started();
        let head = self.request_text(request);
        let body = request
            .body
            .as_deref()
            .map(|b| self.renamed(b))
            .unwrap_or_default();
        let enough = usize::try_from(recorded.bytes)
            .unwrap_or(usize::MAX)
            .clamp(1, MOST_READ);
        let here = send(
            self.sim.address(),
            &head,
            &body,
            enough,
            request.method == "HEAD",
        );
        let here = match here {
            Ok(here) => here,
            Err(error) => return self.differ("answer", error),
        };
        self.same("status", &recorded.status, &here.status);
        let kind = |headers: &[(String, String)]| {
            headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
                .map(|(_, value)| value.clone())
        };
        self.same(
            "content type",
            &kind(&recorded.headers),
            &kind(&here.headers),
        );
        for name in [
            "content-range",
            "accept-ranges",
            "access-control-allow-origin",
            "location",
        ] {
            let value = |headers: &[(String, String)]| {
                headers
                    .iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case(name))
                    .map(|(_, v)| v.clone())
            };
            self.same(name, &value(&recorded.headers), &value(&here.headers));
        }
        if recorded.status == here.status {
            let text = String::from_utf8_lossy(&here.body).into_owned();
            match (recorded.json(), serde_json::from_str::<Value>(&text).ok()) {
                (Some(recorded), Some(here)) => self.compare_json(&recorded, &here),
                (Some(_), None) => self.differ("body", format!("no JSON: {text:.80}")),
                (None, _) => {
                    let recorded = recorded.body.as_deref().unwrap_or(&text);
                    if recorded.starts_with("#EXTM3U") {
                        self.compare_playlist(recorded, &text);
                    } else if recorded.len() < 64 {
                        self.same("body", &recorded.to_owned(), &text);
                    }
                }
            }
        }
        let kinds: Vec<String> = record.jobs.iter().map(|job| job.kind.clone()).collect();
        let new: Vec<String> = self
            .sim
            .jobs()
            .iter()
            .filter(|job| !before.contains(&format!("{:?}{:?}", job.session, job.started)))
            .map(|job| job.kind.name().to_owned())
            .collect();
        let count = self.sim.started() - started;
        self.same("started", &kinds.len(), &usize::try_from(count).unwrap());
        if recorded.status == 200 && new.len() == kinds.len() {
            self.same("jobs", &kinds, &new);
        }
    }

    fn job_keys(&self) -> BTreeSet<String> {
        self.sim
            .jobs()
            .iter()
            .map(|job| format!("{:?}{:?}", job.session, job.started))
            .collect()
    }

    fn request_text(&self, request: &super::recording::Request) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\n",
            request.method,
            self.renamed(&request.target)
        );
        for (name, value) in &request.headers {
            let own = ["connection", "content-length", "accept-encoding"];
            if !own.iter().any(|n| name.eq_ignore_ascii_case(n)) {
                head.push_str(&format!("{name}: {}\r\n", self.renamed(value)));
            }
        }
        head
    }

    /// A note about FFmpeg processes at a time.
    fn observe(&mut self, record: &Record, clock: &Clock) -> bool {
        let Some(note) = &record.note else {
            return false;
        };
        let at = note.get("at").and_then(Value::as_f64);
        let running = note.get("running").and_then(Value::as_u64);
        let (Some(at), Some(running)) = (at, running) else {
            return false;
        };
        // A reader that went is noticed by the server in its own time: answers are waited for until it has.
        let ping = "GET /System/Ping HTTP/1.1\r\nHost: a\r\n";
        let noticed = (0..2_000).any(|_| {
            send(self.sim.address(), ping, "", MOST_READ, false).unwrap();
            self.sim.readers() == 0
        });
        assert!(noticed, "a progressive reader never ends");
        clock.reach(&self.sim, clock.last.max(self.sim.now().as_secs_f64()) + at);
        let here = u64::try_from(self.sim.running()).unwrap();
        self.same("running", &running, &here);
        true
    }

    fn compare_json(&mut self, recorded: &Value, here: &Value) {
        self.learn(recorded, here);
        if recorded.get("MediaSources").is_some()
            && recorded.get("Items").is_none()
            && recorded.get("Type").is_none()
        {
            self.compare_decision(recorded, here);
        }
        let mut wrong = Vec::new();
        shape("", recorded, here, &mut wrong);
        if !wrong.is_empty() {
            wrong.truncate(4);
            self.differ("shape", wrong.join(", "));
        }
    }

    /// Remembers what recorded names are here.
    fn learn(&mut self, recorded: &Value, here: &Value) {
        match (recorded, here) {
            (Value::Object(a), Value::Object(b)) => {
                for (name, value) in a {
                    let Some(other) = b.get(name) else { continue };
                    let (Some(from), Some(to)) = (value.as_str(), other.as_str()) else {
                        self.learn(value, other);
                        continue;
                    };
                    let id = matches!(
                        name.as_str(),
                        "AccessToken" | "PlaySessionId" | "LiveStreamId" | "Id"
                    );
                    if id && from != to && from.len() >= 32 {
                        self.names.insert(from.to_owned(), to.to_owned());
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                for (a, b) in a.iter().zip(b) {
                    self.learn(a, b);
                }
            }
            _ => {}
        }
    }

    fn compare_decision(&mut self, recorded: &Value, here: &Value) {
        self.same(
            "ErrorCode",
            &recorded.get("ErrorCode"),
            &here.get("ErrorCode"),
        );
        let list = |v: &Value| {
            v.get("MediaSources")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let (recorded, here) = (list(recorded), list(here));
        let order = |list: &[Value]| -> Vec<Option<i64>> {
            list.iter()
                .map(|s| s.get("Size").and_then(Value::as_i64))
                .collect()
        };
        self.same("order", &order(&recorded), &order(&here));
        for (recorded, here) in recorded.iter().zip(&here) {
            for name in [
                "SupportsDirectPlay",
                "SupportsDirectStream",
                "SupportsTranscoding",
                "Container",
                "TranscodingContainer",
                "TranscodingSubProtocol",
                "DefaultAudioStreamIndex",
                "DefaultSubtitleStreamIndex",
            ] {
                self.same(name, &recorded.get(name), &here.get(name));
            }
            let ways = |v: &Value| -> Vec<Option<String>> {
                let streams = v.get("MediaStreams").and_then(Value::as_array);
                streams
                    .into_iter()
                    .flatten()
                    .map(|s| s.get("DeliveryMethod")?.as_str().map(str::to_owned))
                    .collect()
            };
            self.same("DeliveryMethod", &ways(recorded), &ways(here));
            let url = |v: &Value| {
                v.get("TranscodingUrl")
                    .and_then(Value::as_str)
                    .map(plain_url)
            };
            let (a, b) = (url(recorded), url(here));
            if a != b {
                let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
                let only = |a: &[String], b: &[String]| -> Vec<String> {
                    a.iter().filter(|p| !b.contains(p)).cloned().collect()
                };
                let (mut missing, mut extra) = (only(&a, &b), only(&b, &a));
                if missing.is_empty() && extra.is_empty() {
                    missing = a.clone();
                    extra = b.clone();
                }
                self.differ(
                    "TranscodingUrl",
                    format!("recorded {missing:?}, here {extra:?}"),
                );
            }
        }
    }

    fn compare_playlist(&mut self, recorded: &str, here: &str) {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        let (a, b) = (lines(recorded), lines(here));
        let count = |l: &[String]| {
            l.iter()
                .filter(|l| !l.starts_with('#') && !l.is_empty())
                .count()
        };
        self.same("entries", &count(&a), &count(&b));
        for (a, b) in a.iter().zip(&b) {
            let (x, y) = (plain_line(a), plain_line(b));
            if x != y {
                let field = match a.split(':').next() {
                    Some("#EXTINF") => "EXTINF",
                    Some("#EXT-X-TARGETDURATION") => "TARGETDURATION",
                    Some("#EXT-X-STREAM-INF") => "STREAM-INF",
                    Some(_) | None => "line",
                };
                self.differ(field, format!("recorded {x:?}, here {y:?}"));
                return;
            }
        }
    }
}

/// The parts of an address that are decided: ids and tokens are left out.
fn plain_url(url: &str) -> Vec<String> {
    url.split(['?', '&'])
        .enumerate()
        .filter(|(_, part)| {
            let key = part.split('=').next().unwrap_or_default();
            !["PlaySessionId", "ApiKey", "LiveStreamId"].contains(&key)
        })
        .map(|(at, part)| {
            let live = part.starts_with("MediaSourceId");
            if live && url.contains("LiveStreamId") {
                "MediaSourceId".to_owned()
            } else {
                format!("{}{part}", if at == 0 { "" } else { "&" })
            }
        })
        .collect()
}

/// A line of a playlist without what is random.
fn plain_line(line: &str) -> Vec<String> {
    if line.starts_with("hls/") {
        return vec!["hls/".to_owned()];
    }
    if line.starts_with('#') && !line.contains('?') {
        return vec![line.to_owned()];
    }
    let mut parts = plain_url(line);
    for part in &mut parts {
        for key in [
            "MediaSourceId",
            "&mediaSourceId",
            "&playSessionId",
            "&userId",
        ] {
            if part.starts_with(key) {
                *part = key.to_owned();
            }
        }
        if part.starts_with("&actualSegmentLengthTicks") || part.starts_with("&runtimeTicks") {
            part.clear();
        }
    }
    parts
}

/// Members that one has and the other has not, and members of another type.
fn shape(path: &str, recorded: &Value, here: &Value, wrong: &mut Vec<String>) {
    match (recorded, here) {
        (Value::Object(a), Value::Object(b)) => {
            // How fast a file is copied is the disk's: a copy may be done in one and not in the other.
            let copied = a.get("IsVideoDirect") == Some(&Value::Bool(true));
            let timed =
                |name: &str| copied && ["Framerate", "CompletionPercentage"].contains(&name);
            for (name, value) in a.iter().filter(|(name, _)| !timed(name)) {
                match b.get(name) {
                    Some(other) => shape(&format!("{path}/{name}"), value, other, wrong),
                    None => wrong.push(format!("{path}/{name} is missing")),
                }
            }
            let extra = b
                .keys()
                .filter(|name| !a.contains_key(*name) && !timed(name));
            wrong.extend(extra.map(|name| format!("{path}/{name} is extra")));
        }
        (Value::Array(a), Value::Array(b)) => {
            if let (Some(a), Some(b)) = (a.first(), b.first()) {
                shape(&format!("{path}[]"), a, b, wrong);
            } else if a.is_empty() != b.is_empty() {
                wrong.push(format!("{path} has {} of {}", b.len(), a.len()));
            }
        }
        (a, b) => {
            let kind = |v: &Value| match v {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "text",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            if kind(a) != kind(b) {
                wrong.push(format!("{path} is {} and was {}", kind(b), kind(a)));
            }
        }
    }
}

/// No more of an answer that is not text is read.
const MOST_READ: usize = 200_000;

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Sends a request as it was written and reads as much of the answer as the recorder read.
fn send(
    to: SocketAddr,
    head: &str,
    body: &str,
    enough: usize,
    headless: bool,
) -> Result<Answer, String> {
    let exchange = || -> std::io::Result<(Answer, bool)> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = body.len();
        let text = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(text.as_bytes())?;
        let mut seen = Vec::new();
        let mut piece = vec![0; 65_536];
        loop {
            let count = stream.read(&mut piece)?;
            seen.extend_from_slice(&piece[..count]);
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut parsed = httparse::Response::new(&mut headers);
            let Ok(httparse::Status::Complete(start)) = parsed.parse(&seen) else {
                if count == 0 {
                    return Err(std::io::Error::other("no whole head"));
                }
                continue;
            };
            let status = parsed.code.unwrap_or(0);
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|h| {
                    (
                        h.name.to_owned(),
                        String::from_utf8_lossy(h.value).into_owned(),
                    )
                })
                .collect();
            let chunked = headers
                .iter()
                .any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v == "chunked");
            if count > 0 && !headless && seen.len() < start + enough {
                continue;
            }
            let body = if chunked {
                unchunked(&seen[start..])
            } else {
                seen[start..].to_vec()
            };
            let textual = headers.iter().any(|(n, v)| {
                n.eq_ignore_ascii_case("content-type")
                    && (v.contains("json") || v.contains("mpegurl"))
            });
            let done = count == 0 || headless || (!textual && body.len() >= enough);
            if done {
                return Ok((
                    Answer {
                        status,
                        headers,
                        body,
                    },
                    true,
                ));
            }
        }
    };
    exchange()
        .map(|(answer, _)| answer)
        .map_err(|error| error.to_string())
}

fn unchunked(mut raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(raw) else {
            return out;
        };
        let size = usize::try_from(size).unwrap();
        let end = (start + size).min(raw.len());
        out.extend_from_slice(&raw[start.min(raw.len())..end]);
        if size == 0 || end + 2 > raw.len() {
            return out;
        }
        raw = &raw[end + 2..];
    }
}
