//! The forms in which Jellyfin would serve a film to a player.

use super::{
    super::{
        file::Shelf,
        units::{Lines, Video},
    },
    Form, Offer, bits,
    players::{FULL_HD, LADDER, Player},
    viewer::Draw,
};
use crate::admission::Kind;

/// What a file whose picture is so wide usually has, bit/s.
fn usual_rate(width: u32) -> u64 {
    match width {
        3000.. => 60_000_000,
        2000..3000 => 25_000_000,
        1600..2000 => 10_000_000,
        1000..1600 => 5_000_000,
        0..1000 => 2_000_000,
    }
}

/// What production asks of an encoder for a picture so wide, bit/s (`jellyfin::ladder`).
fn encoded_rate(width: u32) -> u64 {
    match width {
        1281.. => 8_000_000,
        961..1281 => 4_000_000,
        641..961 => 1_500_000,
        0..641 => 700_000,
    }
}

/// What Jellyfin would do for each version, and what would do instead.
pub(super) fn offers(draw: &Draw<'_>, shelf: &Shelf, player: &Player, burn_in: bool) -> Vec<Offer> {
    let lines = draw.group.step_down.as_ref().unwrap_or(&player.step_down);
    let thin = draw.group.outside && draw.file.uplink.is_some() && player.name != "kodi";
    let of = |video: &Video, rate: Option<f64>, players: [&[String]; 3]| {
        let [direct, remux, ceiling] = players;
        let file = rate.map_or_else(|| usual_rate(video.size.0), bits);
        let is = |names: &[String]| !burn_in && names.contains(&player.name);
        let free = |kind: Kind| Form {
            kind,
            called: kind.to_string(),
            shape: None,
            rate: file,
        };
        let encode = |most: Option<Lines>| {
            let shape = video.shape(player.output, most.map(|lines| lines.0), burn_in);
            Form {
                kind: Kind::Video(shape.work()),
                called: format!("{}p", shape.size_out.1),
                rate: encoded_rate(shape.size_out.0).min(file),
                shape: Some(shape),
            }
        };
        let whole = if is(direct) {
            free(Kind::Direct)
        } else if is(remux) {
            free(Kind::Remux)
        } else {
            encode(None)
        };
        let encodes = whole.shape.is_some();
        let lines_out = whole.shape.as_ref().map_or(video.size.1, |s| s.size_out.1);
        let mut forms = vec![whole];
        if encodes {
            // Only what is cheaper than all before it is worth an offer.
            let mut rungs: Vec<Form> = lines.iter().map(|l| encode(Some(*l))).collect();
            rungs.sort_by_key(|form| std::cmp::Reverse(form.cost()));
            for rung in rungs {
                if forms.last().is_none_or(|last| rung.cost() < last.cost()) {
                    forms.push(rung);
                }
            }
        }
        let mut slim = Vec::new();
        if thin && !encodes {
            let sizes = std::iter::once(FULL_HD.size).chain(LADDER);
            slim.extend(sizes.map(|size| encode(Some(Lines(size)))));
            slim.retain(|form| form.rate < file);
        }
        Offer {
            forms,
            slim,
            direct: (encodes && is(ceiling)).then(|| free(Kind::Direct)),
            lines: lines_out,
        }
    };
    let own = [&*shelf.direct, &*shelf.remux, &*shelf.ceiling];
    let own = of(&shelf.video, shelf.bitrate, own);
    let others = shelf.versions.iter();
    std::iter::once(own)
        .chain(others.map(|v| of(&v.video, v.bitrate, [&*v.direct, &*v.remux, &*v.ceiling])))
        .collect()
}
