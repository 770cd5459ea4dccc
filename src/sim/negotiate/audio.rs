//! Bit rates of sound, and how music is decided.

use super::{
    decide::{Ask, Decision},
    listed_in, one_container,
    profile::DeviceProfile,
    reason::Reasons,
    transcode::Transcode,
};
use crate::sim::library::{Source, Stream};

/// The rate that a codec gets for so many channels.
pub(super) fn default_rate(codec: &str, channels: i64) -> i64 {
    let lossless = matches!(codec.to_ascii_lowercase().as_str(), "flac" | "alac");
    match (lossless, channels) {
        (false, ..2) => 128_000,
        (false, 2..5) => 384_000,
        (false, 5..) => 640_000,
        (true, ..2) => 768_000,
        (true, 2..5) => 1_536_000,
        (true, 5..) => 3_584_000,
    }
}

/// The most that sound gets of a total.
fn share(total: i64) -> i64 {
    match total {
        ..640_000 => 128_000,
        640_000..=2_000_000 => 384_000,
        2_000_001..=3_000_000 => 448_000,
        3_000_001..=4_000_000 => 640_000,
        4_000_001..=5_000_000 => 768_000,
        5_000_001..=10_000_000 => 1_536_000,
        10_000_001..=15_000_000 => 2_304_000,
        15_000_001..=20_000_000 => 3_584_000,
        20_000_001.. => 7_168_000,
    }
}

/// The rate of the sound in an encoded film.
pub(super) fn rate(
    total: Option<i64>,
    codecs: &[String],
    stream: Option<&Stream>,
    channels: Option<i64>,
) -> i64 {
    let codec = codecs.first().map_or("", String::as_str);
    let mut most = i64::MAX;
    let rate = match stream {
        None => 192_000,
        Some(stream) => {
            if stream.channels == Some(1) && stream.bitrate.unwrap_or(0) < 64_000 {
                most = 64_000;
            }
            match (channels, stream.channels) {
                (Some(target), Some(own)) if own > target => default_rate(codec, target),
                (Some(target), Some(own))
                    if own <= target
                        && !codecs.is_empty()
                        && !codecs.iter().any(|c| c.eq_ignore_ascii_case(&stream.codec)) =>
                {
                    default_rate(codec, own)
                }
                _ => stream
                    .bitrate
                    .unwrap_or_else(|| default_rate(codec, channels.unwrap_or(2))),
            }
        }
    };
    let rate = match total {
        Some(total) if total > 0 => rate.min(share(total)),
        Some(_) | None => rate,
    };
    rate.min(most)
}

/// Decides a piece of music.
pub(super) fn decide(source: &Source, profile: &DeviceProfile, ask: &Ask) -> Decision {
    let stream = source.audio(None);
    let codec = stream.map_or("", |s| s.codec.as_str());
    let mut reasons = Reasons::NONE;
    let over = ask
        .max_bitrate
        .is_some_and(|max| source.bitrate.unwrap_or(0) > max);
    if over {
        reasons = reasons.and(Reasons::BITRATE);
    }
    let plays = profile.direct.iter().find(|p| {
        p.kind == "Audio"
            && listed_in(p.container.as_deref(), &source.container)
            && listed_in(p.audio.as_deref(), codec)
    });
    let failures = stream.map_or(Reasons::NONE, |s| {
        profile.failures("Audio", &source.container, s, false)
    });
    match plays {
        Some(found) if !over && failures.is_none() && ask.direct_play => {
            return Decision {
                direct_play: true,
                container: one_container(source, &[found], "Audio"),
                ..Decision::none(source)
            };
        }
        Some(_) => reasons = reasons.and(failures),
        None => reasons = reasons.and(Reasons::CONTAINER),
    }
    if reasons.is_none() {
        reasons = Reasons::DIRECT_PLAY;
    }
    let container = one_container(source, &profile.direct.iter().collect::<Vec<_>>(), "Audio");
    let chosen = profile
        .transcoding
        .iter()
        .find(|t| t.kind == "Audio" && t.streaming);
    let transcode = chosen.filter(|_| ask.transcoding).map(|found| {
        let limit = ask.max_bitrate.unwrap_or(i64::MAX);
        let rate = profile.music_bitrate.unwrap_or(128_000).min(limit);
        Transcode {
            hls: found.hls,
            container: found.container.clone(),
            audio: found.audio.clone(),
            audio_rate: Some(rate),
            max_channels: found.channels,
            min_segments: found.min_segments,
            break_on_non_key: found.break_on_non_key,
            vbr: found.vbr,
            music: true,
            ..Transcode::degenerate(None)
        }
    });
    Decision {
        container,
        transcode,
        reasons,
        ..Decision::none(source)
    }
}
