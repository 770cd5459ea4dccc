//! Every job that a recorded server started, against the plan for the URL that started it: copy or encode, codec,
//! size, filters, bitrate. The source is the one that the same file showed before; a plan without it must not be
//! cheaper.

use std::collections::HashMap;

use finweir::jellyfin::{
    Encoding, Media, Plan, PlaybackAnswer, Query, Source, StreamQuery, UserPolicy, VideoWork,
    strip_encoding_variants,
};
use serde_json::Value;

use super::recording::{self, Check, Job, Record, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "flows",
        takes: |_| true,
        run: plans_agree_with_ffmpeg,
    },
    Check {
        name: "variants",
        takes: |_| true,
        run: plans_agree_with_the_master,
    },
    Check {
        name: "masters",
        takes: |_| true,
        run: masters_keep_what_a_copy_needs,
    },
];

/// What a file has shown so far.
#[derive(Default)]
struct Seen {
    /// Sources by their id, by item where it has none of that id, and by live stream.
    sources: HashMap<String, Source>,
    /// Policies by user.
    policies: HashMap<String, UserPolicy>,
    /// Users by token.
    users: HashMap<String, String>,
    /// What the server said of its settings.
    encoding: Option<Value>,
}

/// The request that started a job: from a record, or retold in a note.
struct Started<'r> {
    record: &'r Record,
    target: String,
    token: Option<String>,
    jobs: Vec<Job>,
}

fn plans_agree_with_ffmpeg(server: &Server, set: &Set, tally: &mut Tally) {
    let mut seen = Seen::default();
    let mut unknown = 0;
    for record in &set.records {
        for started in started(record) {
            for job in &started.jobs {
                let wrong = disagreement(server, &seen, &started, job, &mut unknown);
                tally.compare(started.record, wrong.is_none(), || {
                    wrong.unwrap_or_default()
                });
            }
        }
        seen.learn(record);
    }
    if unknown > 0 {
        tally.remark(format!(
            "{unknown} of them without a source in this file: only not cheaper"
        ));
    }
}

fn started(record: &Record) -> Vec<Started<'_>> {
    let mut found = Vec::new();
    if let Some(request) = &record.request
        && !record.jobs.is_empty()
    {
        found.push(Started {
            record,
            target: request.target.clone(),
            token: token(&request.target, &request.headers),
            jobs: recording::jobs(record.whole.get("jobs")),
        });
    }
    if let Some(note) = &record.note
        && let Some(target) = note["target"].as_str()
    {
        found.push(Started {
            record,
            target: target.to_owned(),
            token: token(target, &[]),
            jobs: recording::jobs(note.get("jobs")),
        });
    }
    found
}

/// A stream URL, read.
struct Asked {
    path: String,
    media: Media,
    progressive: bool,
    query: StreamQuery,
}

impl Asked {
    fn read(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let path = path.to_ascii_lowercase();
        let media = if path.contains("/audio/") {
            Media::Audio
        } else {
            Media::Video
        };
        Self {
            media,
            progressive: !path.contains("/hls1/") && !path.ends_with(".m3u8"),
            query: StreamQuery::read(&Query::parse(query), media),
            path,
        }
    }

    fn plan(&self, source: Option<&Source>, encoding: &Encoding, policy: UserPolicy) -> Plan {
        Plan::of_stream_with(
            &self.query,
            self.media,
            self.progressive,
            source,
            encoding,
            policy,
        )
    }
}

fn disagreement(
    server: &Server,
    seen: &Seen,
    started: &Started<'_>,
    job: &Job,
    unknown: &mut usize,
) -> Option<String> {
    let asked = Asked::read(&started.target);
    let encoding = seen.encoding(server);
    let policy = seen.policy(started.token.as_deref());
    let source = seen.source(&asked.path, &asked.query);
    let blind = asked.plan(None, &encoding, policy);
    let real = Ran::read(job);
    if let Some(wrong) = real.cheaper(&blind) {
        return Some(format!("without the source: {wrong}"));
    }
    if source.is_none() {
        *unknown += 1;
        return None;
    }
    let plan = asked.plan(source, &encoding, policy);
    real.against(&plan, source)
}

/// What FFmpeg's command line says that ran.
#[derive(Debug)]
struct Ran<'j> {
    kind: &'j str,
    /// `None`: no video.
    encoder: Option<&'j str>,
    scale: Option<&'j str>,
    tone_maps: bool,
    burns: bool,
    max_rate: Option<u64>,
}

impl<'j> Ran<'j> {
    fn read(job: &'j Job) -> Self {
        let command = job.command.as_str();
        let argument = |name: &str| {
            let at = command.find(&format!(" {name} "))?;
            command.get(at..)?.split_whitespace().nth(1)
        };
        let filters = ["-vf", "-filter_complex"]
            .iter()
            .find_map(|name| command.split_once(&format!(" {name} \"")))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(filters, _)| filters);
        Self {
            kind: &job.kind,
            encoder: argument("-codec:v:0").or_else(|| argument("-c:v:0")),
            scale: scale_of(filters),
            tone_maps: filters.contains("tonemap"),
            burns: filters.contains("subtitles=") || filters.contains("overlay"),
            max_rate: argument("-maxrate")
                .or_else(|| argument("-b:v"))
                .and_then(|rate| rate.parse().ok()),
        }
    }

    /// The codec that the encoder writes.
    fn codec(&self) -> Option<&'j str> {
        let encoder = self.encoder?;
        let bare = encoder.strip_prefix("lib").unwrap_or(encoder);
        let bare = bare.split('_').next().unwrap_or(bare);
        Some(match bare {
            "x264" => "h264",
            "x265" => "hevc",
            "svtav1" | "aom-av1" => "av1",
            "vpx-vp9" => "vp9",
            "vpx" => "vp8",
            other => other,
        })
    }

    /// How the plan differs from what ran.
    fn against(&self, plan: &Plan, source: Option<&Source>) -> Option<String> {
        let expected = match (self.kind, self.encoder) {
            (_, None) => "audio",
            (_, Some("copy")) | ("DirectStream" | "Remux", _) => "remux",
            (_, Some(_)) => "video",
        };
        let planned = match plan {
            Plan::Direct => "direct",
            Plan::Remux => "remux",
            Plan::Audio => "audio",
            Plan::Video(_) => "video",
        };
        if planned != expected {
            return Some(format!("{expected} ran, planned was {plan:?}"));
        }
        let Plan::Video(work) = plan else {
            return None;
        };
        self.against_work(work, source)
    }

    fn against_work(&self, work: &VideoWork, source: Option<&Source>) -> Option<String> {
        let mut wrong = Vec::new();
        if self.codec() != Some(work.codec_out.as_str()) {
            wrong.push(format!(
                "{:?} wrote what was planned as {}",
                self.encoder, work.codec_out
            ));
        }
        if self.tone_maps != work.tone_map {
            wrong.push(format!(
                "tone mapping: {} ran, {} planned",
                self.tone_maps, work.tone_map
            ));
        }
        if self.burns != work.burn_in {
            wrong.push(format!(
                "burn-in: {} ran, {} planned",
                self.burns, work.burn_in
            ));
        }
        if self.max_rate.unwrap_or(0) != work.bitrate.unwrap_or(0) {
            wrong.push(format!(
                "{:?} bit/s ran, {:?} planned",
                self.max_rate, work.bitrate
            ));
        }
        let video = source.and_then(|source| source.video(None));
        if let Some(size) = video.and_then(finweir::jellyfin::Track::size) {
            let ran = self.scale.map_or(Some(size), |scale| evaluate(scale, size));
            if ran != Some(work.size_out) {
                wrong.push(format!(
                    "{ran:?} ran ({:?}), {:?} planned",
                    self.scale, work.size_out
                ));
            }
            if work.size_in != Some(size) || work.millifps.is_none() || work.codec_in.is_none() {
                wrong.push(format!("the source is not told: {work:?}"));
            }
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// How a plan made without the source is cheaper than what ran.
    fn cheaper(&self, plan: &Plan) -> Option<String> {
        match (self.encoder, plan) {
            (None | Some("copy"), _) => None,
            (Some(_), Plan::Video(work)) => {
                let most = self.scale.and_then(|scale| evaluate(scale, (3840, 2160)))?;
                let area = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
                // A scale to the source's own size says nothing about another source.
                let bounded = !self.scale.is_some_and(|scale| scale.contains("*a)\\,min("));
                (bounded && area(work.size_out) < area(most))
                    .then(|| format!("{most:?} ran, {:?} planned", work.size_out))
            }
            (Some(_), Plan::Direct | Plan::Remux | Plan::Audio) => {
                Some(format!("an encode ran, planned was {plan:?}"))
            }
        }
    }
}

/// The two expressions of the scale filter.
fn scale_of(filters: &str) -> Option<&str> {
    let (_, rest) = filters.split_once("scale=")?;
    // Commas inside the expressions are escaped; the one that ends the filter is not.
    let bytes = rest.as_bytes();
    let end =
        (0..bytes.len()).find(|at| bytes[*at] == b',' && (*at == 0 || bytes[*at - 1] != b'\\'));
    Some(end.map_or(rest, |end| &rest[..end]))
}

/// What a scale filter makes of a picture, evaluated as FFmpeg does: an own little calculator, so that the test
/// does not share a mistake with the library.
fn evaluate(scale: &str, (iw, ih): (u32, u32)) -> Option<(u32, u32)> {
    let clean = scale.replace("\\,", ",");
    let (w, h) = split_outside(&clean, ':')?;
    let mut names: HashMap<&str, f64> = HashMap::new();
    names.insert("iw", f64::from(iw));
    names.insert("ih", f64::from(ih));
    names.insert("a", f64::from(iw) / f64::from(ih));
    let whole = |value: f64| value as u32;
    if w.contains("oh") {
        let oh = Calculator::run(h, &names)?.trunc();
        names.insert("oh", oh);
        return Some((whole(Calculator::run(w, &names)?), whole(oh)));
    }
    let ow = Calculator::run(w, &names)?.trunc();
    names.insert("ow", ow);
    Some((whole(ow), whole(Calculator::run(h, &names)?)))
}

fn split_outside(text: &str, at: char) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if c == at && depth == 0 => return Some((&text[..index], &text[index + 1..])),
            _ => {}
        }
    }
    None
}

/// Sums, products, `min`, `max`, `trunc`, and names.
struct Calculator<'t> {
    rest: &'t str,
    names: &'t HashMap<&'t str, f64>,
}

impl<'t> Calculator<'t> {
    fn run(text: &'t str, names: &'t HashMap<&'t str, f64>) -> Option<f64> {
        let mut calculator = Self { rest: text, names };
        let value = calculator.product()?;
        calculator.rest.is_empty().then_some(value)
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.take('*') {
                value *= self.factor()?;
            } else if self.take('/') {
                value /= self.factor()?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if !self.take('(') {
            return word.parse().ok().or_else(|| self.names.get(word).copied());
        }
        let first = self.product()?;
        let value = match word {
            "" => first,
            // FFmpeg divides doubles too, and a hair below a whole number is the whole number to it.
            "trunc" => (first + 1e-9).trunc(),
            "min" | "max" => {
                self.take(',').then_some(())?;
                let second = self.product()?;
                if word == "min" {
                    first.min(second)
                } else {
                    first.max(second)
                }
            }
            _ => return None,
        };
        self.take(')').then_some(value)
    }

    fn take(&mut self, c: char) -> bool {
        self.rest
            .strip_prefix(c)
            .map(|rest| self.rest = rest)
            .is_some()
    }
}

// === impl Seen ===

impl Seen {
    fn learn(&mut self, record: &Record) {
        let (Some(request), Some(response)) = (&record.request, &record.response) else {
            return;
        };
        let path = request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if let Some(user) = path
            .strip_prefix("/users/")
            .and_then(|rest| rest.strip_suffix("/policy"))
        {
            let policy = request
                .body
                .as_deref()
                .and_then(|body| serde_json::from_str(body).ok());
            if let Some(policy) = policy.filter(|_| response.status < 300) {
                self.policies.insert(bare(user), UserPolicy::read(&policy));
            }
        }
        let Some(body) = response.json().filter(|_| response.status == 200) else {
            return;
        };
        if path.ends_with("/playbackinfo") {
            self.learn_answer(&path, response.body.as_deref().unwrap_or_default());
        } else if path.ends_with("/configuration/encoding") {
            self.encoding = Some(body);
        } else if let Some(token) = body["AccessToken"].as_str() {
            let user = bare(body["User"]["Id"].as_str().unwrap_or_default());
            self.policies
                .insert(user.clone(), UserPolicy::read(&body["User"]["Policy"]));
            self.users.insert(token.to_owned(), user);
        } else {
            let single = std::slice::from_ref(&body);
            for item in body["Items"].as_array().map_or(single, Vec::as_slice) {
                let id = item["Id"].as_str().map(bare);
                for (at, source) in item["MediaSources"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    self.learn_source(Source::read(source), id.as_deref().filter(|_| at == 0));
                }
            }
        }
    }

    fn learn_answer(&mut self, path: &str, body: &str) {
        let item = path.rsplit('/').nth(1).map(bare);
        let Ok(answer) = PlaybackAnswer::read(body.to_owned().into()) else {
            return;
        };
        for source in answer.sources() {
            self.learn_source(source.clone(), item.as_deref());
        }
    }

    fn learn_source(&mut self, source: Source, item: Option<&str>) {
        if source.streams.is_empty() {
            return;
        }
        if let Some(live) = &source.live_stream {
            self.sources.insert(live.clone(), source.clone());
        }
        if let Some(id) = &source.id {
            self.sources.insert(bare(id.as_str()), source.clone());
        }
        if let Some(item) = item {
            self.sources.entry(item.to_owned()).or_insert(source);
        }
    }

    /// The source that the server used: the live stream, the source asked for, or the item's own.
    fn source(&self, path: &str, query: &StreamQuery) -> Option<&Source> {
        if let Some(live) = &query.live_stream {
            return self.sources.get(live);
        }
        let asked = query.source.as_ref().map(|id| bare(id.as_str()));
        let item = path
            .split('/')
            .skip_while(|part| *part != "videos" && *part != "audio")
            .nth(1)
            .map(bare);
        asked.or(item).and_then(|id| self.sources.get(&id))
    }

    fn encoding(&self, server: &Server) -> Encoding {
        let nothing = Value::Null;
        Encoding::read(
            self.encoding.as_ref().unwrap_or(&nothing),
            server.dialect.version,
        )
    }

    fn policy(&self, token: Option<&str>) -> UserPolicy {
        token
            .and_then(|token| self.policies.get(self.users.get(token)?))
            .copied()
            .unwrap_or_default()
    }
}

fn bare(id: &str) -> String {
    id.replace('-', "").to_ascii_lowercase()
}

/// The token of a request, where these recordings put it.
fn token(target: &str, headers: &[(String, String)]) -> Option<String> {
    let query = Query::for_auth(target.split_once('?').map_or("", |(_, query)| query));
    if let Some(token) = query.get("ApiKey").or(query.get("api_key")) {
        return Some(token.to_owned());
    }
    headers.iter().find_map(|(_, value)| {
        let (_, rest) = value.split_once("Token=\"")?;
        rest.split_once('"').map(|(token, _)| token.to_owned())
    })
}

/// The size and the codec that the server promises in a master playlist are those of the plan. There are many more
/// masters than jobs, of all the qualities that the web client offers.
fn plans_agree_with_the_master(server: &Server, set: &Set, tally: &mut Tally) {
    let mut seen = Seen::default();
    for record in &set.records {
        if let Some((target, promised)) = promised(record) {
            let asked = Asked::read(target);
            match seen.source(&asked.path, &asked.query) {
                Some(source) => {
                    let headers = record.request.as_ref().map_or(&[][..], |r| &r.headers);
                    let policy = seen.policy(token(target, headers).as_deref());
                    let plan = asked.plan(Some(source), &seen.encoding(server), policy);
                    let wrong = promised.against(&plan, source);
                    tally.compare(record, wrong.is_none(), || wrong.unwrap_or_default());
                }
                None => tally.skip(),
            }
        }
        seen.learn(record);
    }
}

/// What the first variant of a master promises.
struct Promised {
    size: (u32, u32),
    codec: &'static str,
}

fn promised(record: &Record) -> Option<(&str, Promised)> {
    let request = record.request.as_ref()?;
    let body = record.response.as_ref()?.body.as_deref()?;
    let line = body
        .lines()
        .find(|line| line.starts_with("#EXT-X-STREAM-INF"))?;
    let (_, rest) = line.split_once("RESOLUTION=")?;
    let (width, height) = rest.split(',').next()?.split_once('x')?;
    let (_, codecs) = line.split_once("CODECS=\"")?;
    let codec = [
        ("avc1", "h264"),
        ("hvc1", "hevc"),
        ("hev1", "hevc"),
        ("av01", "av1"),
        ("vp09", "vp9"),
    ]
    .iter()
    .find(|(name, _)| codecs.starts_with(name))?;
    let size = (width.parse().ok()?, height.parse().ok()?);
    Some((
        &request.target,
        Promised {
            size,
            codec: codec.1,
        },
    ))
}

impl Promised {
    fn against(&self, plan: &Plan, source: &Source) -> Option<String> {
        let video = source.video(None)?;
        let (size, codec) = match plan {
            Plan::Video(work) => (Some(work.size_out), Some(work.codec_out.as_str())),
            Plan::Remux => (video.size(), video.codec.as_deref()),
            Plan::Direct | Plan::Audio => (None, None),
        };
        // The playlist's size is not rounded to even numbers.
        let near = |own: u32, told: u32| own.abs_diff(told) <= 1;
        let agrees = size.is_some_and(|(w, h)| near(w, self.size.0) && near(h, self.size.1));
        (!agrees || codec != Some(self.codec)).then(|| {
            format!(
                "{:?} of {} promised, planned {plan:?}",
                self.size, self.codec
            )
        })
    }
}

/// A master playlist without its encodes is the rest of its very bytes, and holds no encode any more.
fn masters_keep_what_a_copy_needs(_: &Server, set: &Set, tally: &mut Tally) {
    for record in &set.records {
        let Some(body) = record
            .response
            .as_ref()
            .and_then(|response| response.body.as_deref())
        else {
            continue;
        };
        if !body.starts_with("#EXTM3U") || !body.contains("#EXT-X-STREAM-INF") {
            continue;
        }
        let lines: Vec<&str> = body.lines().collect();
        let variants: Vec<bool> = lines
            .iter()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                line.to_ascii_lowercase()
                    .contains("allowvideostreamcopy=false")
            })
            .collect();
        let expected = if variants.first() == Some(&false) {
            variants.iter().filter(|encodes| **encodes).count()
        } else {
            0
        };
        let stripped = strip_encoding_variants(body.as_bytes());
        let gone = stripped.as_ref().map_or(0, |kept| {
            let kept = String::from_utf8_lossy(kept);
            let left = kept.lines().count();
            let subset = kept.lines().all(|line| lines.contains(&line));
            if subset {
                (lines.len() - left) / 2
            } else {
                usize::MAX
            }
        });
        tally.compare(record, gone == expected, || {
            format!("{gone} of {expected} variants went")
        });
    }
}
