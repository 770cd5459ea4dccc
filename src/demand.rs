//! Jellyfin's plan and session → the core's words: the only place where a codec becomes a cost input.

use std::sync::Arc;

use core::net::IpAddr;

use crate::{
    admission::{Codec, Hdr, Kind, Policy, Rung, Running, Seats, Who, Work},
    ident::{DeviceId, NodeId, UserId},
    jellyfin::{Credentials, Encoding, Plan, SessionRow, Step, VideoWork},
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

/// The steps that are really cheaper than what comes before them, by more than a fiftieth, each with its rung. The
/// core takes the dearest that fits, so that a small saving costs nobody his picture.
pub fn rungs(
    steps: Vec<Step>,
    whole: Seats,
    price: impl Fn(&Kind) -> Seats,
) -> (Vec<Step>, Vec<Rung>) {
    let mut before = whole;
    let (mut kept, mut rungs) = (Vec::new(), Vec::new());
    for step in steps {
        let kind = kind_of(&step.plan);
        let cost = price(&kind);
        if u64::from(cost.milli()) * 50 < u64::from(before.milli()) * 49 {
            before = cost;
            let index = kept.len();
            rungs.push(Rung { kind, index });
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
    Some(Running {
        who,
        item: row.item.clone()?,
        kind: kind_of(&row.plan_with(encoding)),
        completion: row
            .job
            .as_ref()
            .and_then(|job| job.completion)
            .map(|percent| (percent / 100.0).clamp(0.0, 1.0)),
        runtime: row.runtime,
        position: row.position,
        paused: row.paused,
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
        let (steps, rungs) = rungs(ladder(), whole, price);
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
        let (steps, rungs) = rungs(vec![step(720)], Seats::from_milli(1000), |_| {
            Seats::from_milli(990)
        });
        assert!(steps.is_empty() && rungs.is_empty());
    }
}
