//! Whether Jellyfin copies the video: its own test, condition by condition (`CanStreamCopyVideo`).
//!
//! The server runs the same test on every request, so the answer follows the URL and the source, never the
//! TranscodeReasons.

use super::{Encoding, Source, Track, burns_by_method};
use crate::jellyfin::StreamQuery;

/// What keeps a picture from being copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The address forbids a copy.
    Forbidden,
    /// It is interlaced.
    Interlaced,
    /// Its pixels are not square.
    Anamorphic,
    /// A subtitle is drawn into it.
    Subtitle,
    /// It is H.264 that is not in AVC form.
    Avc,
    /// Its codec.
    Codec,
    /// Its profile.
    Profile,
    /// Its range of brightness.
    Range,
    /// It stands on its side.
    Rotation,
    /// Its width or height.
    Size,
    /// Its pictures a second.
    FrameRate,
    /// Its bitrate.
    Bitrate,
    /// Its bits per sample.
    Depth,
    /// Its reference frames.
    References,
    /// Its level.
    Level,
}

/// Whether every condition for a copy holds.
pub(super) fn can_copy(
    query: &StreamQuery,
    progressive: bool,
    source: &Source,
    video: &Track,
    encoding: &Encoding,
) -> bool {
    barriers(query, progressive, source, video, encoding)
        .next()
        .is_none()
}

/// The conditions for a copy that do not hold.
pub(super) fn barriers(
    query: &StreamQuery,
    progressive: bool,
    source: &Source,
    video: &Track,
    encoding: &Encoding,
) -> impl Iterator<Item = Barrier> {
    let codec = video.codec.as_deref().unwrap_or_default();
    let not_avc = (codec == "h264" && video.avc == Some(false) && query.require_avc)
        // A leftover of one television series: H.264 in AVI that is not in AVC form.
        || (source.container.as_deref() == Some("avi") && codec == "h264" && video.avc != Some(true));
    let numbers = numbers_over(query, codec, video);
    let stands = [
        (Barrier::Forbidden, !query.allow_video_copy),
        (
            Barrier::Interlaced,
            video.interlaced && deinterlaces(query, codec),
        ),
        (
            Barrier::Anamorphic,
            video.anamorphic && query.require_non_anamorphic,
        ),
        (
            Barrier::Subtitle,
            burns_by_method(query, progressive, Some(source)),
        ),
        (Barrier::Avc, not_avc),
        (Barrier::Codec, !codec_is_listed(query, codec)),
        (Barrier::Profile, !profile_fits(query, codec, video)),
        (Barrier::Range, !range_fits(query, codec, video, encoding)),
        (
            Barrier::Rotation,
            !rotation_fits(query, codec, video, encoding),
        ),
        (Barrier::Size, !size_fits(query, video)),
        (Barrier::FrameRate, !rate_fits(query, video, encoding)),
        (Barrier::Bitrate, !bitrate_fits(query, source, video)),
        (Barrier::Depth, numbers.0),
        (Barrier::References, numbers.1),
        (Barrier::Level, numbers.2),
    ];
    stands
        .into_iter()
        .filter_map(|(barrier, stands)| stands.then_some(barrier))
}

fn deinterlaces(query: &StreamQuery, codec: &str) -> bool {
    query.deinterlace
        || query
            .option(codec, "deinterlace")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn codec_is_listed(query: &StreamQuery, codec: &str) -> bool {
    let listed = &query.video_codecs;
    !codec.is_empty() && (listed.is_empty() || listed.iter().any(|c| c == codec))
}

fn profile_fits(query: &StreamQuery, codec: &str, video: &Track) -> bool {
    let asked = query
        .profile
        .as_deref()
        .or_else(|| query.option(codec, "profile"));
    let asked: Vec<&str> = asked.map(split_conditions).unwrap_or_default();
    let (Some(first), Some(profile)) = (asked.first(), video.profile.as_deref()) else {
        return true;
    };
    let profile = profile.replace(' ', "");
    if asked.iter().any(|p| p.eq_ignore_ascii_case(&profile)) {
        return true;
    }
    // A profile that is not ranked is refused; one not above the first that was asked for is taken.
    match rank(codec, &profile) {
        None => false,
        own => own <= rank(codec, &first.replace(' ', "")),
    }
}

fn split_conditions(text: &str) -> Vec<&str> {
    text.split([',', '|']).filter(|p| !p.is_empty()).collect()
}

/// Profiles from the simplest to the richest, as Jellyfin ranks them.
fn rank(codec: &str, profile: &str) -> Option<usize> {
    const H264: [&str; 8] = [
        "ConstrainedBaseline",
        "Baseline",
        "Extended",
        "Main",
        "High",
        "ProgressiveHigh",
        "ConstrainedHigh",
        "High10",
    ];
    let ranked: &[&str] = match codec {
        "h264" => &H264,
        "hevc" => &["Main", "Main10"],
        "av1" => &["Main", "High", "Professional"],
        _ => &[],
    };
    ranked
        .iter()
        .position(|name| name.eq_ignore_ascii_case(profile))
}

fn range_fits(query: &StreamQuery, codec: &str, video: &Track, encoding: &Encoding) -> bool {
    let asked: Vec<&str> = query
        .option(codec, "rangetype")
        .map(split_conditions)
        .unwrap_or_default();
    if asked.is_empty() {
        return true;
    }
    let Some(range) = video.range.as_deref() else {
        return false;
    };
    let has = |wanted: &str| asked.iter().any(|r| r.eq_ignore_ascii_case(wanted));
    let is = |kind: &str| range.eq_ignore_ascii_case(kind);
    // A Dolby Vision stream with a fallback is what its fallback is (since 10.9).
    let falls_back = encoding.version >= (10, 9)
        && ((has("HDR10") && is("DOVIWithHDR10"))
            || (has("HLG") && is("DOVIWithHLG"))
            || (has("SDR") && is("DOVIWithSDR")));
    if encoding.version < (10, 11) {
        return has(range) || falls_back;
    }
    if asked.len() == 1 && has("SDR") && !is("SDR") {
        return false;
    }
    if is("DOVI") && !has("DOVI") {
        return false;
    }
    if has(range) || falls_back || (has("HDR10") && is("HDR10Plus")) {
        return true;
    }
    if ["HDR10Plus", "HDR10", "HLG"].iter().any(|r| is(r)) {
        return false;
    }
    encoding.strips_dynamic_hdr || !must_strip(&has, range)
}

/// Whether dynamic HDR metadata has to be taken out of the stream for a client that asks for these ranges.
fn must_strip(has: &dyn Fn(&str) -> bool, range: &str) -> bool {
    let is = |kind: &str| range.eq_ignore_ascii_case(kind);
    (is("DOVIWithEL") && !has("DOVIWithEL") && has("HDR10"))
        || (is("DOVIInvalid") && has("DOVI"))
        || is("DOVIWithELHDR10Plus")
        || (is("DOVIWithHDR10Plus") && has("DOVI"))
}

fn rotation_fits(query: &StreamQuery, codec: &str, video: &Track, encoding: &Encoding) -> bool {
    if encoding.version < (12, 0) || video.rotation == 0 {
        return true;
    }
    let Some(asked) = query.option(codec, "rotation") else {
        return true;
    };
    let asked = split_conditions(asked);
    // The same turn is written 270 or -90.
    let turned = |r: &&str| {
        r.parse::<i32>()
            .is_ok_and(|r| r.rem_euclid(360) == video.rotation)
    };
    asked.is_empty() || asked.iter().any(turned)
}

fn size_fits(query: &StreamQuery, video: &Track) -> bool {
    let fits = |limit: Option<u32>, own: Option<u32>| {
        limit.is_none_or(|limit| own.is_some_and(|own| own <= limit))
    };
    fits(query.max_width, video.width) && fits(query.max_height, video.height)
}

fn rate_fits(query: &StreamQuery, video: &Track, encoding: &Encoding) -> bool {
    // Files say 23.976 and are 23.98: a twentieth of a frame is forgiven since 10.10.
    let slack = if encoding.version >= (10, 10) { 50 } else { 0 };
    query.max_millifps.is_none_or(|limit| {
        video
            .millifps
            .is_some_and(|own| own <= limit.saturating_add(slack))
    })
}

fn bitrate_fits(query: &StreamQuery, source: &Source, video: &Track) -> bool {
    let Some(limit) = super::asked_bitrate(query, Some(source)) else {
        return true;
    };
    match video.bitrate {
        Some(own) => own <= limit,
        // Live television that tells no bitrate is copied if all else fits.
        None => query.live_stream.is_some(),
    }
}

/// Whether bits, reference frames and level are over what is asked for.
fn numbers_over(query: &StreamQuery, codec: &str, video: &Track) -> (bool, bool, bool) {
    let count = |named: Option<u64>, option: &str| {
        named.or_else(|| query.option(codec, option)?.trim().parse().ok())
    };
    let bits = count(query.max_bits, "videobitdepth");
    let frames = count(query.max_ref_frames, "maxrefframes");
    let level = query
        .level
        .as_deref()
        .or_else(|| query.option(codec, "level"));
    // .NET takes commas for thousands' separators here, so two values given for one level are one great number.
    let level = level.and_then(|l| l.replace(',', "").trim().parse::<f64>().ok());
    (
        !within(video.bits.map(u64::from), bits),
        !within(video.ref_frames, frames),
        !within(video.level, level),
    )
}

/// Whether both are known and one exceeds the other is false.
fn within<T: PartialOrd>(own: Option<T>, limit: Option<T>) -> bool {
    match (own, limit) {
        (Some(own), Some(limit)) => own <= limit,
        (None, _) | (_, None) => true,
    }
}
