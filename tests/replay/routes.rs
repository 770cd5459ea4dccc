//! Every recorded request is classified: what started FFmpeg must be charged, what the server served must not be
//! refused, and no other writing of an address that started FFmpeg gets round the gate.

use finweir::jellyfin::{Dialect, Route, Starts, classify};
use serde_json::Value;

use super::recording::{Check, Record, Request, Response, Server, Set, Tally, jobs};

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "routes",
        takes: |_| true,
        run: charged,
    },
    Check {
        name: "evasion",
        takes: |set| !set.starts_with("web/"),
        run: evasion,
    },
];

/// Records whose request started FFmpeg, by the jobs beside it or in the note about it.
fn started(set: &Set, at: usize) -> bool {
    let Some(record) = set.records.get(at) else {
        return false;
    };
    let noted = set
        .records
        .get(at + 1)
        .and_then(|next| next.note.as_ref())
        .filter(|note| note.get("name").and_then(Value::as_str) == Some(record.name.as_str()))
        .is_some_and(|note| !jobs(note.get("jobs")).is_empty());
    noted || !record.jobs.is_empty()
}

fn charged(server: &Server, set: &Set, tally: &mut Tally) {
    let (mut running, mut charged, mut over) = (0, 0, Vec::new());
    let mut processes = None;
    for (at, record) in set.records.iter().enumerate() {
        let Some(request) = &record.request else {
            processes = record.ffmpeg.or(processes);
            tally.skip();
            continue;
        };
        // A process more than after the exchange before is as good as a job in the log.
        let risen = record.ffmpeg > processes && processes.is_some();
        processes = record.ffmpeg;
        let started = started(set, at) || risen;
        running += usize::from(started);
        let routed = classify(&request.method, &request.target, &server.dialect);
        let starts = routed.as_ref().map(|routed| routed.starts_ffmpeg());
        let served = record
            .response
            .as_ref()
            .is_some_and(|response| response.status < 300);
        if starts == Ok(Starts::Yes) {
            charged += 1;
            if !started {
                over.push(record.label());
            }
        }
        let wrong = match &routed {
            Ok(_) if started && starts != Ok(Starts::Yes) => {
                Some(format!("it started FFmpeg and is not charged: {routed:?}"))
            }
            Ok(routed) => unlike_the_answer(record, &routed.route),
            Err(why) if started || served => {
                Some(format!("the server took it and it is refused: {why}"))
            }
            Err(_) => None,
        };
        tally.compare(record, wrong.is_none(), || wrong.unwrap_or_default());
    }
    if running + charged > 0 && !set.name.starts_with("web/") {
        tally.remark(format!("{running} started FFmpeg, {charged} charged"));
    }
    // Where the note after each request says what it started, a charge too many is worth a look; elsewhere it is
    // the next segment of a job that runs.
    if set.name == "routes" {
        for label in over {
            tally.remark(format!("charged, started nothing: {label}"));
        }
    }
}

/// Holds a route to what the answer shows of it.
fn unlike_the_answer(record: &Record, route: &Route) -> Option<String> {
    let response = record
        .response
        .as_ref()
        .filter(|response| matches!(response.status, 200 | 206))?;
    if response.sha256.is_some() && response.bytes > 0 && is_film_or_music(response) {
        let right = match route {
            Route::Progressive { .. }
            | Route::Universal { .. }
            | Route::Segment { .. }
            | Route::LiveSegment { .. } => true,
            Route::Other | Route::Download { .. } => is_a_whole_file(record),
            Route::PlaybackInfo { .. }
            | Route::OpenLiveStream
            | Route::Master { .. }
            | Route::Main { .. }
            | Route::LivePlaylist { .. }
            | Route::Report(_)
            | Route::StopEncoding
            | Route::Login
            | Route::BitrateTest
            | Route::Socket
            | Route::Health => false,
        };
        return (!right).then(|| format!("the answer is a stream, the route {route:?}"));
    }
    let body = response.body.as_deref()?;
    let get = record.request.as_ref()?.method == "GET";
    let (what, right) = if body.starts_with("#EXTM3U") {
        (
            "a playlist",
            matches!(
                route,
                Route::Master { .. }
                    | Route::Main { .. }
                    | Route::LivePlaylist { .. }
                    | Route::Universal { .. }
            ),
        )
    } else if body.contains("\"AccessToken\":") && body.contains("\"SessionInfo\":") {
        ("a login", *route == Route::Login)
    } else if body.starts_with("{\"MediaSources\":") && body.contains("\"PlaySessionId\":") {
        (
            "a PlaybackInfo",
            matches!(route, Route::PlaybackInfo { post, .. } if *post != get),
        )
    } else {
        return None;
    };
    (!right).then(|| format!("the answer is {what}, the route {route:?}"))
}

fn is_film_or_music(response: &Response) -> bool {
    response.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type")
            && (value.starts_with("video/") || value.starts_with("audio/"))
    })
}

/// Downloads and live recordings: files that no FFmpeg makes.
fn is_a_whole_file(record: &Record) -> bool {
    record.request.as_ref().is_some_and(|request| {
        let path = request.target.split('?').next().unwrap_or("");
        let path = path.to_ascii_lowercase();
        path.ends_with("/download") || path.ends_with("/file") || path.contains("/livetv/")
    })
}

fn evasion(server: &Server, set: &Set, tally: &mut Tally) {
    let (mut addresses, mut writings, mut ways) = (0, 0, 0);
    for (at, record) in set.records.iter().enumerate() {
        let (Some(request), true) = (&record.request, started(set, at)) else {
            continue;
        };
        addresses += 1;
        let mut round = Vec::new();
        for target in other_writings(request) {
            writings += 1;
            if is_round(&request.method, &target, &server.dialect) {
                round.push(target);
            }
        }
        ways += round.len();
        tally.compare(record, round.is_empty(), || {
            let some = round.iter().take(5).map(String::as_str);
            format!(
                "{} ways round the gate: {}",
                round.len(),
                some.collect::<Vec<_>>().join(" ")
            )
        });
    }
    if addresses > 0 {
        tally.remark(format!(
            "{addresses} addresses in {writings} writings, ways round the gate: {ways}"
        ));
    }
}

fn is_round(method: &str, target: &str, dialect: &Dialect) -> bool {
    classify(method, target, dialect).is_ok_and(|routed| routed.starts_ffmpeg() != Starts::Yes)
}

/// The same address as ASP.NET reads it, written in other ways.
fn other_writings(request: &Request) -> Vec<String> {
    let origin = match request.target.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(0)).1,
        None => request.target.as_str(),
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    let escaped = path.contains('%');
    let mut paths = vec![path.to_ascii_uppercase(), path.to_ascii_lowercase()];
    paths.push(
        path.char_indices()
            .map(|(at, c)| match at % 2 {
                0 => c.to_ascii_uppercase(),
                _ => c.to_ascii_lowercase(),
            })
            .collect(),
    );
    for (at, byte) in path.bytes().enumerate() {
        let (before, after) = path.split_at(at);
        if byte == b'/' {
            for dots in ["/.", "/%2E", "/x/..", "/x/%2e%2E", "/./y/../z/.."] {
                paths.push(format!("{before}{dots}{after}"));
            }
        } else if !escaped && byte.is_ascii() {
            let rest = after.split_at(1).1;
            paths.push(format!("{before}%{byte:02x}{rest}"));
            paths.push(format!("{before}%{byte:02X}{rest}"));
        }
    }
    if !escaped {
        let all = path.split('/').map(|part| {
            part.bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect::<String>()
        });
        paths.push(all.collect::<Vec<_>>().join("/"));
    }
    for prefix in [
        "/emby",
        "/MEDIABROWSER",
        "/%65mby",
        "/jellyfin",
        "/..",
        "//",
    ] {
        paths.push(format!("{prefix}{path}"));
    }
    if !path.ends_with('/') {
        paths.push(format!("{path}/"));
    }
    let mut targets: Vec<String> = paths
        .into_iter()
        .map(|path| format!("{path}?{query}"))
        .collect();
    targets.extend(other_queries(query).map(|query| format!("{path}?{query}")));
    for form in ["http://h", "HTTPS://user@h:1", "x://h"] {
        targets.push(format!("{form}{path}?{query}"));
        targets.push(format!("{form}{path}#?static=true"));
        targets.push(format!("{form}{}?{query}", path.replace('/', "\\")));
        targets.push(format!("{form}/{}?{query}", path.replace('/', "%2f")));
    }
    targets.push(format!("{path}#?static=true"));
    targets.push(format!("{path}?{query}#&static=true"));
    targets
}

fn other_queries(query: &str) -> impl Iterator<Item = String> {
    let upper = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => format!("{}={value}", key.to_ascii_uppercase()),
            None => pair.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&");
    // A query that is encoded already is left alone: encoded twice it is another one.
    let whole = (!query.contains('%')).then(|| {
        let encoded: String = query
            .bytes()
            .map(|byte| match byte {
                b'=' | b'&' => format!("%{byte:02X}"),
                _ => char::from(byte).to_string(),
            })
            .collect();
        [
            encoded.clone(),
            format!("{encoded}="),
            format!("&{encoded}&"),
        ]
    });
    [
        upper,
        format!("static=false&{query}&static=true"),
        format!("STATIC=false&{query}&static=true&Static=true&videoCodec=copy"),
        format!("static=&{query}&static=true"),
        format!("st%61tic=0&{query}&static=true"),
        format!("{query}&static%3Dtrue"),
        format!("{query}&Static%3dtrue%26videoCodec%3dcopy"),
        format!("static=false&{query}&params=a;b;true"),
        format!("static=false&{query};static=true"),
    ]
    .into_iter()
    .chain(whole.into_iter().flatten())
}
