//! PlaybackInfo as it was recorded: answers survive reading and printing, and the plan agrees with what they say.
#![expect(
    clippy::indexing_slicing,
    reason = "what a JSON value does not have reads as null"
)]

use bytes::Bytes;
use finweir::jellyfin::{
    Encoding, Media, Plan, PlaybackAnswer, PlaybackRequest, Query, Source, UserPolicy,
};
use serde_json::Value;

use super::recording::{Check, Record, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "answers",
        takes: |_| true,
        run: answers_survive,
    },
    Check {
        name: "requests",
        takes: |_| true,
        run: requests_are_read,
    },
    Check {
        name: "negotiation",
        takes: |_| true,
        run: plans_agree,
    },
];

/// The PlaybackInfo exchanges of a set that were answered with an answer, as bytes.
pub(crate) fn answers(set: &Set) -> impl Iterator<Item = (&Record, &str)> {
    set.records.iter().filter_map(|record| {
        let request = record.request.as_ref()?;
        let response = record.response.as_ref()?;
        let path = request.target.split('?').next()?.to_ascii_lowercase();
        let compressed = response
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        let body = response.body.as_deref()?;
        let wanted = path.trim_end_matches('/').ends_with("/playbackinfo")
            && response.status == 200
            && request.method != "OPTIONS"
            && !compressed;
        wanted.then_some((record, body))
    })
}

/// Byte for byte when nothing is changed; value for value, in order, when something is.
fn answers_survive(_: &Server, set: &Set, tally: &mut Tally) {
    for (record, body) in answers(set) {
        let wrong = survives(body).err();
        tally.compare(record, wrong.is_none(), || wrong.unwrap_or_default());
    }
}

fn survives(body: &str) -> Result<(), String> {
    let raw = Bytes::copy_from_slice(body.as_bytes());
    let read = PlaybackAnswer::read(raw.clone()).map_err(|error| error.to_string())?;
    if read.print() != raw {
        return Err("printing an unedited answer changed it".to_owned());
    }
    let before: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;

    let mut refused = read.clone();
    refused.refuse_with_error_code();
    let after = json(&refused)?;
    if after["MediaSources"] != Value::Array(Vec::new())
        || after["ErrorCode"] != "RateLimitExceeded"
        || after["PlaySessionId"] != before["PlaySessionId"]
    {
        return Err("shape E is not".to_owned());
    }

    // What shape N changes is put back by hand: then everything must be as it was, and in its place.
    let mut refused = read;
    refused.refuse_with_nothing_supported();
    let mut after = json(&refused)?;
    let listed = |value: &Value| {
        value["MediaSources"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    for (at, source) in listed(&before).iter().enumerate() {
        let edited = &mut after["MediaSources"][at];
        if edited.get("TranscodingUrl").is_some() || edited["TranscodingSubProtocol"] == "hls" {
            return Err("shape N leaves a transcode".to_owned());
        }
        let flags = [
            "SupportsDirectPlay",
            "SupportsDirectStream",
            "SupportsTranscoding",
        ];
        if flags.iter().any(|flag| edited[*flag] != false) {
            return Err("shape N supports something".to_owned());
        }
        let mut kept = names(source);
        kept.retain(|name| name != "TranscodingUrl" && name != "TranscodingContainer");
        let mut printed = names(edited);
        printed.retain(|name| kept.contains(name) || !flags.contains(&name.as_str()));
        if kept != printed {
            return Err(format!("members moved: {kept:?} became {printed:?}"));
        }
        *edited = source.clone();
    }
    if after != before || names(&after) != names(&before) {
        return Err("an edit changed something else".to_owned());
    }
    // Numbers too are what they were, to the last digit.
    if digits(&after.to_string()) != digits(&before.to_string()) {
        return Err("an edit changed a number".to_owned());
    }
    Ok(())
}

fn json(answer: &PlaybackAnswer) -> Result<Value, String> {
    serde_json::from_slice(&answer.print()).map_err(|error| error.to_string())
}

fn names(value: &Value) -> Vec<String> {
    value
        .as_object()
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// What was asked is what the recorder says it asked: the JSON body's own members, or the query's.
fn requests_are_read(_: &Server, set: &Set, tally: &mut Tally) {
    for record in &set.records {
        let Some(request) = &record.request else {
            continue;
        };
        let path = request.target.split('?').next().unwrap_or_default();
        if request.method != "POST" || !path.to_ascii_lowercase().ends_with("/playbackinfo") {
            continue;
        }
        let query = Query::parse(request.query().unwrap_or_default());
        let body = request.body.as_deref().unwrap_or_default();
        let read = PlaybackRequest::read(&query, body.as_bytes());
        let asked = |name: &str| asked(&query, body, name);
        let off = |name: &str| asked(name).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let agrees = read.direct_play != off("EnableDirectPlay")
            && read.direct_stream != off("EnableDirectStream")
            && read.allow_video_copy != off("AllowVideoStreamCopy")
            && asked("MaxStreamingBitrate")
                .and_then(|value| value.parse::<u64>().ok())
                .is_none_or(|ceiling| read.max_bitrate == Some(ceiling))
            && read.source.as_ref().map(|id| id.as_str().replace('-', ""))
                == asked("MediaSourceId").map(|id| id.replace('-', "").to_ascii_lowercase())
            && read.subtitle == asked("SubtitleStreamIndex").and_then(|value| value.parse().ok());
        tally.compare(record, agrees, || format!("read as {read:?}"));
    }
}

/// A parameter as text, by another way than the library's: the query's if it has one, else the body's.
fn asked(query: &Query<'_>, body: &str, name: &str) -> Option<String> {
    let in_query = query
        .pairs()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    if let Some((_, value)) = in_query.filter(|(_, value)| !value.is_empty()) {
        return Some(value.to_owned());
    }
    let body: Value = serde_json::from_str(body).ok()?;
    let members = body.as_object()?;
    let (_, value) = members
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The plan follows the answer's own evidence: a source that plays directly runs nothing, an encode has a reason
/// in the URL or the source, and a copy could not have one.
fn plans_agree(server: &Server, set: &Set, tally: &mut Tally) {
    let encoding = Encoding {
        version: server.dialect.version,
        ..Encoding::default()
    };
    for (record, body) in answers(set) {
        // What the recording proxy made or edited is no evidence of what Jellyfin says.
        if ["made", "edited"]
            .iter()
            .any(|by| record.whole.get(by).is_some())
        {
            tally.skip();
            continue;
        }
        let Ok(answer) = PlaybackAnswer::read(Bytes::copy_from_slice(body.as_bytes())) else {
            tally.compare(record, false, || "not read".to_owned());
            continue;
        };
        let wrong: Vec<String> = answer
            .sources()
            .iter()
            .filter_map(|source| contradiction(source, &encoding))
            .collect();
        tally.compare(record, wrong.is_empty(), || wrong.join("; "));
    }
}

fn contradiction(source: &Source, encoding: &Encoding) -> Option<String> {
    let plan = Plan::of_source(source, Media::Video, encoding, UserPolicy::default());
    let Some(url) = source.transcoding_url.as_deref() else {
        return (plan != Plan::Direct)
            .then(|| format!("{plan:?} though nothing is to be transcoded"));
    };
    let (path, query) = url.split_once('?')?;
    let query = Query::parse(query);
    let number = |name: &str| {
        query
            .value(name)
            .and_then(|value| value.parse::<u64>().ok())
    };
    let video = source.video(None);
    let listed = query
        .value("VideoCodec")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let codecs: Vec<&str> = listed
        .split(',')
        .filter(|codec| !codec.is_empty())
        .collect();
    if source.direct_play {
        return Some("both directly playable and to be transcoded".to_owned());
    }
    match &plan {
        Plan::Direct => Some("runs nothing though it has a TranscodingUrl".to_owned()),
        Plan::Audio => {
            let silent = path.to_ascii_lowercase().contains("/audio/") || video.is_none();
            (!silent).then(|| "audio, but the URL is for video".to_owned())
        }
        Plan::Remux => {
            let video = video?;
            let codec = video.codec.as_deref().unwrap_or_default();
            let forbidden = query
                .value("AllowVideoStreamCopy")
                .is_some_and(|value| value.eq_ignore_ascii_case("false"));
            let burns = number("SubtitleStreamIndex").is_some()
                && query.value("SubtitleMethod") == Some("Encode");
            let over = |limit: &str, own: Option<u64>| {
                number(limit).is_some_and(|limit| own.is_none_or(|own| own > limit))
            };
            let wrong = !codecs.is_empty()
                && (!codecs.contains(&codec)
                    || forbidden
                    || burns
                    || over("VideoBitrate", video.bitrate)
                    || over("MaxWidth", video.width.map(u64::from))
                    || over("MaxHeight", video.height.map(u64::from)));
            wrong.then(|| format!("a copy against its own URL: {listed} of {codec}"))
        }
        Plan::Video(work) => {
            let fits = codecs.contains(&work.codec_out.as_str());
            let within = number("MaxWidth").is_none_or(|most| u64::from(work.size_out.0) <= most);
            let (w, h) = work.size_in?;
            let grown = work.size_out.0 > w || work.size_out.1 > h;
            (!fits || !within || grown || codecs.is_empty())
                .then(|| format!("encodes to {work:?} against {listed}"))
        }
    }
}
