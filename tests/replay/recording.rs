//! The recorded exchanges as typed records, and the tally of what replaying them showed.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use finweir::jellyfin::Dialect;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// Everything recorded from one server.
pub(crate) struct Server {
    /// The name of its directory: `10.11`, `12.0`.
    pub(crate) name: String,
    /// What the directory's name says of the protocol.
    pub(crate) dialect: Dialect,
    /// Its sets by name.
    pub(crate) sets: Vec<Set>,
}

/// One file of exchanges, in the order they happened.
pub(crate) struct Set {
    /// `routes`, `web/1-direct`.
    pub(crate) name: String,
    /// Its lines.
    pub(crate) records: Vec<Record>,
}

/// One line: an exchange, or a note between exchanges.
#[derive(Debug)]
pub(crate) struct Record {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// What was tried. Empty for what a browser sent.
    pub(crate) name: String,
    /// What was sent.
    pub(crate) request: Option<Request>,
    /// What came back, if anything did.
    pub(crate) response: Option<Response>,
    /// FFmpeg processes of the server right after.
    pub(crate) ffmpeg: Option<u64>,
    /// The jobs that this exchange started.
    pub(crate) jobs: Vec<Job>,
    /// An observation between exchanges.
    pub(crate) note: Option<Value>,
    /// The whole line, for the members that only one check reads.
    pub(crate) whole: Value,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Exactly as it was sent.
    pub(crate) target: String,
    /// In the order they were sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Length of what was read.
    pub(crate) bytes: u64,
    /// Text only.
    pub(crate) body: Option<String>,
    /// Of what is not text.
    pub(crate) sha256: Option<String>,
}

/// A job as Jellyfin logged it.
#[derive(Debug, PartialEq)]
pub(crate) struct Job {
    /// `Transcode`, `DirectStream` or `Remux`.
    pub(crate) kind: String,
    /// FFmpeg's command line.
    pub(crate) command: String,
}

/// A way to replay sets: what it is called, which sets it is for, and how.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) takes: fn(set: &str) -> bool,
    pub(crate) run: fn(&Server, &Set, &mut Tally),
}

/// What one check found in one set.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Records that were compared.
    pub(crate) replayed: usize,
    /// Records that say nothing about this check.
    pub(crate) skipped: usize,
    /// One line for each record that came out otherwise.
    pub(crate) disagreements: Vec<String>,
    /// Lines for the reader that fail nothing.
    pub(crate) remarks: Vec<String>,
}

/// Reads every recording under `FINWEIR_CAPTURES`, or under `tests/captures`.
pub(crate) fn load() -> Result<Vec<Server>, String> {
    let root = env::var_os("FINWEIR_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures"),
        PathBuf::from,
    );
    let mut servers = Vec::new();
    let (dirs, files): (Vec<_>, Vec<_>) = entries(&root)?.into_iter().partition(|p| p.is_dir());
    if let Some(stray) = files.iter().find(|path| stem(&file_name(path)).is_some()) {
        return Err(format!(
            "{}: recordings belong in a directory per server version",
            stray.display()
        ));
    }
    for dir in dirs {
        let name = file_name(&dir);
        let mut sets = Vec::new();
        read_sets(&dir, "", &mut sets)?;
        if sets.is_empty() {
            continue;
        }
        servers.push(Server {
            dialect: version(&name).map(Dialect::of).unwrap_or_default(),
            name,
            sets,
        });
    }
    if servers.is_empty() {
        return Err(format!(
            "{}: no VERSION/*.jsonl or *.jsonl.gz in it",
            root.display()
        ));
    }
    Ok(servers)
}

fn read_sets(dir: &Path, prefix: &str, sets: &mut Vec<Set>) -> Result<(), String> {
    for path in entries(dir)? {
        let file = file_name(&path);
        if path.is_dir() {
            read_sets(&path, &format!("{prefix}{file}/"), sets)?;
            continue;
        }
        let Some(stem) = stem(&file) else {
            continue;
        };
        let text = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let records = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| {
                let whole = serde_json::from_str(line)
                    .map_err(|error| format!("{}:{}: {error}", path.display(), at + 1))?;
                Ok(Record::read(at + 1, whole))
            })
            .collect::<Result<_, String>>()?;
        sets.push(Set {
            name: format!("{prefix}{stem}"),
            records,
        });
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<String> {
    let bytes = fs::read(path)?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return String::from_utf8(bytes).map_err(std::io::Error::other);
    }
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    Ok(text)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|found| found.path()))
            .collect()
    };
    let mut paths = read().map_err(|error| format!("{}: {error}", dir.display()))?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The name of a set, if this is the name of its file.
fn stem(file: &str) -> Option<&str> {
    file.strip_suffix(".jsonl")
        .or_else(|| file.strip_suffix(".jsonl.gz"))
}

/// The first `N.N` of a name: `10.11`, `v12.0-rc5`.
fn version(name: &str) -> Option<(u16, u16)> {
    let mut numbers = name
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

// === impl Record ===

impl Record {
    fn read(line: usize, whole: Value) -> Self {
        let request = whole.get("request").map(|request| Request {
            method: text(request, "method").unwrap_or_default(),
            target: text(request, "target").unwrap_or_default(),
            headers: pairs(request.get("headers")),
            body: text(request, "body"),
        });
        let response = whole.get("response").and_then(|response| {
            Some(Response {
                status: response.get("status")?.as_u64()?.try_into().ok()?,
                headers: pairs(response.get("headers")),
                bytes: response.get("bytes").and_then(Value::as_u64).unwrap_or(0),
                body: text(response, "body"),
                sha256: text(response, "sha256"),
            })
        });
        Self {
            line,
            name: text(&whole, "name").unwrap_or_default(),
            request,
            response,
            ffmpeg: whole.get("ffmpeg").and_then(Value::as_u64),
            jobs: jobs(whole.get("jobs")),
            note: whole.get("note").cloned(),
            whole,
        }
    }

    /// A short name for a report: line, name, method and target without the values that are only long.
    pub(crate) fn label(&self) -> String {
        let mut label = format!("line {}", self.line);
        if !self.name.is_empty() {
            label.push_str(&format!(" '{}'", self.name));
        }
        if let Some(request) = &self.request {
            let target: String = request.target.chars().take(160).collect();
            label.push_str(&format!(" {} {target}", request.method));
        }
        label
    }
}

impl Request {
    /// The query of the target, without the `?`.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The headers as a server sees them. What is no legal header is left out.
    pub(crate) fn header_map(&self) -> HeaderMap {
        header_map(&self.headers)
    }
}

impl Response {
    /// The body as JSON, if it is.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(self.body.as_deref()?).ok()
    }
}

/// The jobs in a `jobs` member of a record or of a note.
pub(crate) fn jobs(value: Option<&Value>) -> Vec<Job> {
    let listed = value.and_then(Value::as_array).into_iter().flatten();
    listed
        .map(|job| Job {
            kind: text(job, "kind").unwrap_or_default(),
            command: text(job, "command").unwrap_or_default(),
        })
        .collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// Headers are an object, or an array of pairs where one is repeated.
fn pairs(value: Option<&Value>) -> Vec<(String, String)> {
    match value {
        Some(Value::Object(members)) => members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| {
                let name = item.get(0)?.as_str()?;
                Some((name.to_owned(), item.get(1)?.as_str()?.to_owned()))
            })
            .collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {
            Vec::new()
        }
    }
}

fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    pairs
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect()
}

// === impl Tally ===

impl Tally {
    /// Counts a record as replayed, and as a disagreement unless `agrees`.
    pub(crate) fn compare(&mut self, record: &Record, agrees: bool, why: impl FnOnce() -> String) {
        self.replayed += 1;
        if !agrees {
            self.disagreements
                .push(format!("{}: {}", record.label(), why()));
        }
    }

    /// Counts a record that says nothing about this check.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// Says something that fails nothing.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }
}
