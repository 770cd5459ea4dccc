//! Jellyfin's plan and session → the core's words: the only place where a codec becomes a cost input.

mod causes;

use std::sync::Arc;

use core::net::IpAddr;

pub use self::causes::{Asked, why, why_of_source};

use crate::{
    admission::{Bitrate, Codec, Hdr, Kind, Policy, Rung, Running, Seats, Who, Work},
    ident::{DeviceId, NodeId, UserId},
    jellyfin::{
        Credentials, Encoding, Media, Plan, Query, SessionRow, Source, Step, StreamQuery, VideoWork,
    },
    upstream::Verified,
};

/// What the core knows as this plan. What Jellyfin does not say of a source is taken as the dearest
/// (design 3: unknown work is 4K24 HDR).
pub fn kind_of(plan: &Plan) -> Kind {
    match plan {
        Plan::Direct => Kind::Direct,
        Plan::Remux => Kind::Remux,
        Plan::Audio => Kind::Audio,
        Plan::Video(work) => Kind::Video(work_of(work)),
    }
}

/// What this takes of the GPU that a server encodes on.
pub fn price(policy: &Policy, node: &NodeId, kind: &Kind) -> Seats {
    let Kind::Video(work) = kind else {
        return Seats::ZERO;
    };
    let gpu = policy
        .nodes
        .iter()
        .find(|own| own.id == *node)
        .and_then(|own| policy.gpus.iter().find(|gpu| gpu.id == own.gpu));
    match gpu {
        Some(gpu) => policy.cost.seats_on(work, gpu),
        None => policy.cost.seats(work),
    }
}

/// What a play of this plan sends to its viewer. `sound`: what is asked for sound that is encoded.
pub fn rate_of(plan: &Plan, source: Option<&Source>, sound: Option<u64>) -> Bitrate {
    let own = source.and_then(Source::rate);
    let bits = match plan {
        Plan::Direct | Plan::Remux => own.unwrap_or(COMMON_RATE),
        Plan::Audio => sound.or(own).unwrap_or(SOUND),
        Plan::Video(work) => {
            let picture = work.bitrate.or(own).unwrap_or(COMMON_RATE);
            picture.saturating_add(sound.unwrap_or(SOUND))
        }
    };
    Bitrate::new(bits.min(MOST_RATE))
}

/// What a source of a PlaybackInfo answer sends to its viewer.
pub fn rate_of_source(source: &Source, plan: &Plan) -> Bitrate {
    let Some(url) = &source.transcoding_url else {
        let playable = source.direct_play || source.direct_stream;
        return if playable {
            rate_of(plan, Some(source), None)
        } else {
            Bitrate::ZERO
        };
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let sound = StreamQuery::read(&Query::parse(query), Media::Video).audio_bitrate;
    rate_of(plan, Some(source), sound)
}

/// A broadcast in HD, or a film of a streaming service: what is taken of a file that says nothing.
const COMMON_RATE: u64 = 8_000_000;
/// Sound of two channels.
const SOUND: u64 = 192_000;
/// No file has more; a number beyond it is a mistake.
const MOST_RATE: u64 = 10_000_000_000;

/// The steps that are really cheaper than what comes before them, by more than a fiftieth, each with its rung. The
/// core takes the dearest that fits, so that a small saving costs nobody his picture. `slim`: half the bitrate is a
/// saving too, as the line out of the house is short.
pub fn rungs(
    steps: Vec<Step>,
    (whole, rate): (Seats, Bitrate),
    slim: bool,
    price: impl Fn(&Kind) -> Seats,
) -> (Vec<Step>, Vec<Rung>) {
    let (mut before, mut wide) = (whole, rate.bits());
    let (mut kept, mut rungs) = (Vec::new(), Vec::new());
    for step in steps {
        let kind = kind_of(&step.plan);
        let cost = price(&kind);
        let cheaper = u64::from(cost.milli()) * 50 < u64::from(before.milli()) * 49;
        let slimmer = slim && cost <= before && step.ceiling.saturating_mul(2) <= wide;
        if cheaper || slimmer {
            (before, wide) = (cost, step.ceiling);
            let index = kept.len();
            let rate = Bitrate::new(step.ceiling);
            rungs.push(Rung { kind, rate, index });
            kept.push(step);
        }
    }
    (kept, rungs)
}

fn work_of(video: &VideoWork) -> Work {
    let unknown = Work::UNKNOWN;
    let (width, height) = video.size_out;
    Work {
        codec_in: video.codec_in.as_deref().map_or(unknown.codec_in, codec_of),
        size_in: video.size_in.unwrap_or(unknown.size_in),
        millifps: video.millifps.unwrap_or(unknown.millifps),
        bits: video.bits.unwrap_or(if video.codec_in.is_some() {
            8
        } else {
            unknown.bits
        }),
        hdr: video
            .range
            .as_deref()
            .map_or(if video.tone_map { Hdr::Hdr } else { Hdr::Sdr }, hdr_of),
        codec_out: codec_of(&video.codec_out),
        size_out: if width == 0 || height == 0 {
            unknown.size_out
        } else {
            video.size_out
        },
        tone_map: video.tone_map,
        burn_in: video.burn_in,
    }
}

fn codec_of(name: &str) -> Codec {
    match name {
        "h264" | "avc" => Codec::H264,
        "hevc" | "h265" => Codec::Hevc,
        "av1" => Codec::Av1,
        "vp9" => Codec::Vp9,
        _ => Codec::Other,
    }
}

fn hdr_of(range: &str) -> Hdr {
    if range.starts_with("DOVI") {
        Hdr::DolbyVision
    } else if range.eq_ignore_ascii_case("SDR") || range.eq_ignore_ascii_case("Unknown") {
        Hdr::Sdr
    } else {
        Hdr::Hdr
    }
}

/// Who asks: what Jellyfin said of the token, and what the client claims of itself.
pub fn who(
    verified: Option<&Verified>,
    claims: &Credentials,
    device: Option<&DeviceId>,
    address: Option<IpAddr>,
) -> Who {
    let (user, name, admin) = match verified {
        Some(Verified::User(identity)) => {
            (identity.user.clone(), identity.name.clone(), identity.admin)
        }
        Some(Verified::ApiKey) => (UserId::new("api-key"), None, true),
        // A token that could not be checked is somebody's: he is judged as a user of his own, device by device.
        None if claims.token.is_some() => {
            let device = claims
                .device
                .as_ref()
                .or(device)
                .map_or("", DeviceId::as_str);
            (UserId::new(format!("unknown-{device}")), None, false)
        }
        Some(Verified::Refused) | None => (UserId::anonymous(), None, false),
    };
    Who {
        user,
        name,
        admin,
        device: claims
            .device
            .as_ref()
            .or(device)
            .cloned()
            .unwrap_or_else(|| DeviceId::new("")),
        client: claims.client.clone().unwrap_or_else(|| Arc::from("")),
        address,
    }
}

/// What Jellyfin says is playing in a session. `None`: nothing plays there, or it can't be told for whom.
pub fn running(row: &SessionRow, encoding: &Encoding) -> Option<Running> {
    let who = Who {
        user: row.user.clone()?,
        name: row.user_name.as_deref().map(Arc::from),
        admin: false,
        device: row.device.clone(),
        client: Arc::from(row.client.as_str()),
        address: row.address.as_deref().and_then(|a| a.parse().ok()),
    };
    let plan = row.plan(encoding);
    let job = row.job.as_ref().and_then(|job| job.bitrate);
    let rate = match plan {
        Plan::Direct | Plan::Remux => None,
        Plan::Audio | Plan::Video(_) => job,
    };
    let rate = rate.unwrap_or_else(|| rate_of(&plan, Some(&row.source), None).bits());
    Some(Running {
        who,
        item: row.item.clone()?,
        kind: kind_of(&plan),
        completion: row
            .job
            .as_ref()
            .and_then(|job| job.completion)
            .map(|percent| (percent / 100.0).clamp(0.0, 1.0)),
        runtime: row.runtime,
        position: row.position,
        paused: row.paused,
        rate: Bitrate::new(rate.min(MOST_RATE)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(height: u32) -> Step {
        let work = VideoWork {
            codec_in: Some("hevc".to_owned()),
            size_in: Some((3840, 2160)),
            millifps: Some(24_000),
            bits: Some(10),
            range: Some("HDR10".to_owned()),
            codec_out: "h264".to_owned(),
            size_out: (height * 16 / 9, height),
            bitrate: None,
            tone_map: true,
            burn_in: false,
        };
        Step {
            ceiling: u64::from(height),
            url: String::new(),
            plan: Plan::Video(work),
        }
    }

    #[test]
    fn only_steps_that_save_something_are_rungs() {
        let ladder = || [1080, 720, 540, 360].map(step).to_vec();
        let cost = crate::admission::CostModel::default();
        let price = |kind: &Kind| match kind {
            Kind::Video(work) => cost.seats(work),
            Kind::Direct | Kind::Remux | Kind::Audio => Seats::ZERO,
        };
        let whole = price(&kind_of(&step(1080).plan));
        let (steps, rungs) = rungs(ladder(), (whole, Bitrate::ZERO), false, price);
        // 1080p is what it has already, and 360p saves next to nothing: decoding and tone-mapping 4K stay.
        let heights: Vec<u64> = steps.iter().map(|step| step.ceiling).collect();
        assert_eq!(heights, [720, 540], "{rungs:?}");
        let costs: Vec<Seats> = rungs.iter().map(|rung| price(&rung.kind)).collect();
        assert!(costs.is_sorted_by(|a, b| a > b), "{costs:?}");
        assert!(
            rungs
                .iter()
                .enumerate()
                .all(|(nth, rung)| rung.index == nth)
        );
    }

    #[test]
    fn what_saves_nothing_is_no_rung() {
        let (steps, rungs) = rungs(
            vec![step(720)],
            (Seats::from_milli(1000), Bitrate::ZERO),
            false,
            |_| Seats::from_milli(990),
        );
        assert!(steps.is_empty() && rungs.is_empty());
    }

    #[test]
    fn where_the_line_is_short_half_the_bitrate_is_a_rung() {
        let ladder = || {
            [720, 540, 360].map(|height| Step {
                ceiling: u64::from(height) * 5_000,
                ..step(height)
            })
        };
        let same = |_: &Kind| Seats::from_milli(1000);
        let whole = (Seats::from_milli(1000), Bitrate::new(6_000_000));
        let (_, none) = rungs(ladder().to_vec(), whole, false, same);
        assert!(none.is_empty());
        let (steps, rungs) = rungs(ladder().to_vec(), whole, true, same);
        let ceilings: Vec<u64> = steps.iter().map(|step| step.ceiling).collect();
        assert_eq!(ceilings, [2_700_000]);
        assert_eq!(rungs[0].rate, Bitrate::new(2_700_000));
    }

    #[test]
    fn a_play_is_charged_what_it_sends() {
        let file = Source {
            bitrate: Some(38_000_000),
            direct_play: true,
            ..Source::default()
        };
        assert_eq!(rate_of_source(&file, &Plan::Direct).bits(), 38_000_000);
        let remux = Source {
            transcoding_url: Some("/videos/a/master.m3u8?VideoCodec=copy".to_owned()),
            ..file.clone()
        };
        assert_eq!(rate_of_source(&remux, &Plan::Remux).bits(), 38_000_000);
        let url = "/videos/a/master.m3u8?VideoBitrate=3000000&AudioBitrate=384000";
        let encoded = Source {
            transcoding_url: Some(url.to_owned()),
            ..file.clone()
        };
        let Plan::Video(mut work) = step(1080).plan else {
            unreachable!()
        };
        work.bitrate = Some(2_600_000);
        assert_eq!(
            rate_of_source(&encoded, &Plan::Video(work)).bits(),
            2_984_000
        );
        let dead = Source {
            direct_play: false,
            ..file
        };
        assert_eq!(rate_of_source(&dead, &Plan::Direct), Bitrate::ZERO);
    }
}
