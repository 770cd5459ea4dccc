//! What an encode puts out: bitrate and size (`GetVideoBitrateParamValue`, `ResolutionNormalizer`,
//! `EnforceResolutionLimit`, `GetSwScaleFilter`, and the recorded FFmpeg commands where these differ).
//!
//! The bitrate asked for is held to what the source is worth; a low one shrinks the picture, and then a `MaxHeight`
//! no longer counts. The law is a table from bitrate to width, for H.264 at 30 frames a second.

use super::{Source, Track, asked_bitrate};
use crate::jellyfin::StreamQuery;

/// Bitrate of the output's video in bit/s, 0 if none is asked for.
pub(super) fn bitrate(
    query: &StreamQuery,
    source: Option<&Source>,
    video: Option<&Track>,
    codec_out: &str,
) -> u64 {
    let Some(asked) = asked_bitrate(query, source) else {
        return 0;
    };
    let Some(video) = video else {
        return asked.min(HIGHEST);
    };
    let bounded = match video.bitrate {
        Some(own) => asked.min(worth(own)),
        None => asked,
    };
    let codec_in = video.codec.as_deref().unwrap_or_default();
    scaled(bounded, codec_in, codec_out).min(asked).min(HIGHEST)
}

/// Half of what an `int` holds: FFmpeg's buffer is told twice the bitrate.
const HIGHEST: u64 = 1_073_741_823;

/// What a source of this bitrate may become: sources of few bits are allowed more, as they are encoded anew.
fn worth(own: u64) -> u64 {
    match own {
        0..=2_000_000 => times(own, 5, 2),
        2_000_001..=3_000_000 => own.saturating_mul(2),
        _ => own,
    }
}

/// The bitrate in another codec that looks the same, with the allowance for few bits.
fn scaled(bitrate: u64, from: &str, to: &str) -> u64 {
    let (from, to) = (tenths(from), tenths(to));
    let by_codec = if to > from {
        times(bitrate, to, from)
    } else {
        bitrate
    };
    let by_need = match bitrate {
        0..=500_000 => bitrate * 4,
        500_001..=1_000_000 => bitrate * 3,
        1_000_001..=2_000_000 => times(bitrate, 5, 2),
        2_000_001..=3_000_000 => bitrate * 2,
        // Beyond this nothing is scaled: it would not be seen.
        30_000_000.. => return bitrate,
        _ => bitrate,
    };
    by_codec.max(by_need)
}

/// `number` × `by` ÷ `of`, rounded as .NET rounds: halves to the even neighbour.
fn times(number: u64, by: u64, of: u64) -> u64 {
    let product = number.saturating_mul(by);
    let (whole, rest) = (product / of, product % of);
    let up = rest * 2 > of || (rest * 2 == of && whole % 2 == 1);
    whole + u64::from(up)
}

/// How many bits a codec needs, in tenths of what H.264 needs.
fn tenths(codec: &str) -> u64 {
    match codec {
        "hevc" | "h265" | "vp9" => 6,
        "av1" => 5,
        _ => 10,
    }
}

/// The widest picture for a bitrate. That 960 ends at 2 Mbit/s is from the recordings (a play of 1.808 Mbit/s at
/// 60 frames a second came out 1280 wide, one of 0.5 Mbit/s at 30 came out 960 wide).
const WIDTHS: [(u64, u32); 8] = [
    (365_000, 416),
    (730_000, 640),
    (1_100_000, 768),
    (2_000_000, 960),
    (6_000_000, 1280),
    (13_500_000, 1920),
    (28_000_000, 2560),
    (50_000_000, 3840),
];

/// The limits that the encoder puts on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    width: Option<u32>,
    height: Option<u32>,
}

/// Size of the output. Without a source it is the largest that the URL can lead to.
pub(super) fn size(
    query: &StreamQuery,
    source: Option<&Source>,
    video: Option<&Track>,
    codec_out: &str,
) -> (u32, u32) {
    let bitrate = bitrate(query, source, video, codec_out);
    let asked = Limits {
        width: query.max_width,
        height: query.max_height,
    };
    let Some(video) = video else {
        let shrunk = scale(UNKNOWN, shrink(query, bitrate, codec_out, asked));
        // With a bitrate asked for, the source may have fewer bits than that, and then nothing shrinks.
        let whole = scale(UNKNOWN, asked);
        let may_stay = bitrate > 0 && area(whole) > area(shrunk);
        return if may_stay { whole } else { shrunk };
    };
    let size = video.size().unwrap_or(UNKNOWN);
    let asked_bitrate = asked_bitrate(query, source);
    let enough = |bitrate: u64| video.bitrate.is_some_and(|own| bitrate >= own);
    let anything_asked = asked.width.is_some() || asked.height.is_some();
    let limits = if !anything_asked && asked_bitrate.is_some_and(enough) {
        Limits {
            width: video.width,
            height: video.height,
        }
    } else if anything_asked && enough(bitrate) {
        asked
    } else {
        shrink(query, bitrate, codec_out, asked)
    };
    scale(size, limits)
}

/// What a source is taken for that is not known: 4K.
const UNKNOWN: (u32, u32) = (3840, 2160);

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

fn shrink(query: &StreamQuery, bitrate: u64, codec_out: &str, asked: Limits) -> Limits {
    let millifps = u64::from(query.max_millifps.unwrap_or(30_000));
    let at_30 = scaled(bitrate, codec_out, "h264")
        .saturating_mul(30_000)
        .checked_div(millifps)
        .unwrap_or(u64::MAX);
    let Some((_, widest)) = WIDTHS.iter().find(|(most, _)| at_30 <= *most) else {
        return asked;
    };
    let width = asked.width.map_or(*widest, |asked| asked.min(*widest));
    Limits {
        width: Some(width),
        // A height that was asked for together with a width that is given up is given up too.
        height: asked.height.filter(|_| asked.width == Some(width)),
    }
}

/// What the scale filter makes of a picture: never larger, in its own shape, of even size.
fn scale((width, height): (u32, u32), limits: Limits) -> (u32, u32) {
    let (iw, ih) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let wide = |height: u64| height.saturating_mul(iw) / ih;
    let high = |width: u64| width.saturating_mul(ih) / iw;
    let (w, h) = match (limits.width.map(u64::from), limits.height.map(u64::from)) {
        (Some(w), Some(h)) => (iw.min(w).min(wide(h)), ih.min(h).min(high(w))),
        (Some(w), None) => {
            let w = even(iw.min(w));
            (w, high(w))
        }
        (None, Some(h)) => {
            let h = ih.min(h);
            (wide(h), h)
        }
        (None, None) => (iw, ih),
    };
    (pixels(even(w)), pixels(even(h)))
}

fn even(number: u64) -> u64 {
    number - number % 2
}

fn pixels(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
