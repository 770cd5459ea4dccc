//! Playlists and segments.

use std::fmt::Write as _;

use http::StatusCode;

use super::{
    library::{Item, Source},
    reply::{self, Reply},
    request::Ask,
    stream::{Plan, number},
};

/// Frames between key frames of a copied HEVC file, and of any other: chosen to fit the recorded
/// playlists (captures `flows`).
const KEY_FRAMES_HEVC: f64 = 250.0;
const KEY_FRAMES: f64 = 48.0;

/// The master playlist.
pub(super) fn master(ask: &Ask, source: &Source, plan: &Plan, extra: &str) -> String {
    let mut out = String::from("#EXTM3U\n");
    let file = if source.ticks.is_some() {
        "main.m3u8"
    } else {
        "live.m3u8"
    };
    let query = format!("{}{extra}", chosen_audio(ask, plan));
    info(&mut out, ask, source, plan, plan.hdr);
    writeln!(out, "{file}?{query}").unwrap_or_default();
    if plan.hdr {
        info(&mut out, ask, source, plan, false);
        let codec = replaced(&query, "VideoCodec", "h264");
        writeln!(out, "{file}?{codec}&AllowVideoStreamCopy=false").unwrap_or_default();
    }
    out
}

/// The query with the codec of the sound that was chosen: `copy` if it is copied.
fn chosen_audio(ask: &Ask, plan: &Plan) -> String {
    let chosen = if plan.audio_copy {
        "copy"
    } else {
        plan.audio_codec.as_str()
    };
    match ask.query.get("AudioCodec") {
        Some(asked) if asked != chosen => {
            let trimmed = ask.raw_query.trim_start_matches('&');
            replaced(trimmed, "AudioCodec", chosen)
        }
        Some(_) | None => ask.raw_query.clone(),
    }
}

fn replaced(query: &str, key: &str, value: &str) -> String {
    let mut done = false;
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((k, _)) if !done && k.eq_ignore_ascii_case(key) => {
                done = true;
                format!("{k}={value}")
            }
            Some(_) | None => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

fn info(out: &mut String, ask: &Ask, source: &Source, plan: &Plan, as_hdr: bool) {
    let rate = plan.video_rate + plan.audio_rate;
    write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={rate},AVERAGE-BANDWIDTH={rate}"
    )
    .unwrap_or_default();
    if plan.video_codec.is_some() {
        let range = if as_hdr { "PQ" } else { "SDR" };
        write!(out, ",VIDEO-RANGE={range}").unwrap_or_default();
    }
    let mut codecs: Vec<String> = plan
        .video_codec
        .iter()
        .map(|codec| {
            let codec = if plan.hdr && !as_hdr { "h264" } else { codec };
            video_tag(ask, source, codec)
        })
        .collect();
    codecs.push(audio_tag(&plan.audio_codec).to_owned());
    write!(out, ",CODECS=\"{}\"", codecs.join(",")).unwrap_or_default();
    if let Some((width, height)) = plan.size {
        write!(out, ",RESOLUTION={width}x{height}").unwrap_or_default();
    }
    if let Some(frames) = source.video().and_then(|s| s.frames)
        && plan.video_codec.is_some()
    {
        let rounded = (frames * 1000.0).round() / 1000.0;
        write!(out, ",FRAME-RATE={rounded}").unwrap_or_default();
    }
    out.push('\n');
}

fn video_tag(ask: &Ask, source: &Source, codec: &str) -> String {
    let option = |name: &str| ask.query.option(&format!("{codec}-{name}"));
    let level = option("level").and_then(|l| l.parse::<i64>().ok());
    let own = source.video().map_or("", |s| s.codec.as_str());
    match codec {
        "hevc" | "h265" => {
            let profile = if option("profile").is_some_and(|p| p.contains("10")) {
                "2"
            } else {
                "1"
            };
            format!("hvc1.{profile}.4.L{}.B0", level.unwrap_or(150))
        }
        "av1" => "av01.0.08M.08".to_owned(),
        "vp9" => "vp09.00.40.08".to_owned(),
        _ => {
            let high = option("profile").is_some_and(|p| p.starts_with("high"));
            let profile = if high { "6400" } else { "4240" };
            let level = level.filter(|_| own == codec || high).unwrap_or(41);
            format!("avc1.{profile}{level:x}")
        }
    }
}

fn audio_tag(codec: &str) -> &'static str {
    match codec {
        "ac3" => "ac-3",
        "eac3" => "ec-3",
        "mp3" => "mp4a.40.34",
        "opus" => "Opus",
        "flac" => "fLaC",
        "alac" => "alac",
        _ => "mp4a.40.2",
    }
}

/// Where the segments of a film are cut, seconds each.
pub(super) fn lengths(source: &Source, plan: &Plan) -> Vec<f64> {
    let total = source.seconds().unwrap_or(0.0);
    let frames = source.video().and_then(|s| s.frames).unwrap_or(24.0);
    let length = if plan.video_copy && source.container.contains("mkv") && frames > 0.0 {
        let hevc = source.video().is_some_and(|s| s.codec == "hevc");
        let group = if hevc { KEY_FRAMES_HEVC } else { KEY_FRAMES } / frames;
        (plan.segment / group - 1e-6).ceil().max(1.0) * group
    } else {
        plan.segment
    };
    let mut left = total;
    let mut out = Vec::new();
    while left > 1e-7 && out.len() < 100_000 {
        out.push(left.min(length));
        left -= length;
    }
    out
}

/// The playlist of all segments.
pub(super) fn main(ask: &Ask, source: &Source, plan: &Plan) -> String {
    let lengths = lengths(source, plan);
    let mp4 = plan.container == "mp4";
    let ending = if mp4 { "mp4" } else { "ts" };
    let target = lengths.iter().copied().fold(0.0, f64::max).ceil();
    let query = &ask.raw_query;
    let mut out = String::from("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    let version = if mp4 { 7 } else { 3 };
    writeln!(
        out,
        "#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}"
    )
    .unwrap_or_default();
    writeln!(out, "#EXT-X-MEDIA-SEQUENCE:0").unwrap_or_default();
    if mp4 {
        writeln!(
            out,
            "#EXT-X-MAP:URI=\"hls1/main/-1.mp4?{query}&runtimeTicks=0&actualSegmentLengthTicks=0\""
        )
        .unwrap_or_default();
    }
    let mut at = 0;
    for (n, length) in lengths.iter().enumerate() {
        let ticks = super::ticks(*length);
        writeln!(
            out,
            "#EXTINF:{length:.6}, nodesc\nhls1/main/{n}.{ending}?{query}&runtimeTicks={at}&actualSegmentLengthTicks={ticks}"
        ).unwrap_or_default();
        at += ticks;
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}

/// FFmpeg's own growing playlist.
pub(super) fn live(output: &str, plan: &Plan, count: i64) -> String {
    let length = plan.segment;
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n",
        length.round()
    );
    for n in 0..count.max(1) {
        writeln!(out, "#EXTINF:{length:.6},\nhls/{output}/{output}{n}.ts").unwrap_or_default();
    }
    out
}

pub(super) fn playlist(text: String, expires: bool) -> Reply {
    let mut reply = reply::text(StatusCode::OK, "application/vnd.apple.mpegurl", text);
    if expires {
        reply::set(&mut reply, http::header::EXPIRES, "0");
    }
    reply
}

/// The number in the name of a segment.
pub(super) fn segment_number(name: &str) -> Option<(i64, &str)> {
    let (number, ending) = name.rsplit_once('.')?;
    Some((number.parse().ok()?, ending))
}

/// Bytes of a segment: what its rates make of its length.
pub(super) fn segment_bytes(ask: &Ask, plan: &Plan, number_of: i64) -> u64 {
    if number_of < 0 {
        return 1328;
    }
    let ticks = number(&ask.query, "actualSegmentLengthTicks").unwrap_or(0);
    let seconds = if ticks > 0 {
        super::seconds(ticks)
    } else {
        plan.segment
    };
    let rate = plan.video_rate + plan.audio_rate;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few megabytes"
    )]
    let packets = ((rate as f64 * seconds / 8.0 / 188.0).ceil().max(1.0)) as u64;
    packets * 188
}

/// Whether an item can be asked for pictures at all.
pub(super) fn has_video(item: &Item) -> bool {
    !item.is_audio()
}
