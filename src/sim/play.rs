//! Stream addresses, playlists and segments.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, StatusCode};

use super::{
    Inner, Version,
    auth::Who,
    hls, ids,
    jobs::{Ready, Until, Wanted},
    library::{Item, Library, Source},
    reply::{self, Reply},
    request::Ask,
    stream::{Address, Plan, Rights},
    world::World,
};
use crate::gpu::model::JobId;

/// When every file of the simulated disk was written.
pub(super) const MODIFIED: &str = "Mon, 23 Nov 2026 00:59:39 GMT";
/// The longest real wait between two looks at a job.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Nothing waits longer for a segment, virtual seconds.
const PATIENCE: f64 = 900.0;
/// Parameters that name codecs or containers, and the most characters they may have.
const NAMES: [&str; 5] = [
    "Container",
    "SegmentContainer",
    "AudioCodec",
    "VideoCodec",
    "SubtitleCodec",
];
const LONGEST_NAME: usize = 40;

/// A stream address, looked up.
pub(super) struct Playable<'a> {
    pub(super) item: &'a Item,
    pub(super) source: &'a Source,
    pub(super) audio_route: bool,
    hls: bool,
    ending: Option<String>,
}

// === impl Playable ===

impl<'a> Playable<'a> {
    /// Finds the title and the version that an address names.
    pub(super) fn find(
        library: &'a Library,
        ask: &Ask,
        hls: bool,
        ending: Option<&str>,
    ) -> Result<Self, Box<Reply>> {
        let id = ask.parts.get(1).map_or("", String::as_str);
        let Some(id) = ids::guid(id) else {
            return Err(Box::new(reply::invalid(
                "itemId",
                &format!("The value '{id}' is not valid."),
            )));
        };
        for name in NAMES {
            if ask.query.get(name).is_some_and(|v| !is_name(v)) {
                return Err(Box::new(reply::invalid(
                    name,
                    "The field does not match its pattern.",
                )));
            }
        }
        if ending.is_some_and(|e| !is_name(e)) {
            return Err(Box::new(reply::invalid(
                "container",
                "The field does not match its pattern.",
            )));
        }
        let item = library
            .find(&id)
            .ok_or_else(|| Box::new(reply::error(StatusCode::NOT_FOUND)))?;
        let wanted = ask.query.get("MediaSourceId");
        let source = item
            .source(wanted)
            .ok_or_else(|| Box::new(reply::error(StatusCode::NOT_FOUND)))?;
        let audio_route = ask
            .parts
            .first()
            .is_some_and(|p| p.eq_ignore_ascii_case("audio"));
        Ok(Self {
            item,
            source,
            audio_route,
            hls,
            ending: ending.map(str::to_ascii_lowercase),
        })
    }

    pub(super) fn plan(&self, world: &World, ask: &Ask, who: &Who) -> Plan {
        let user = who.user().and_then(|id| world.user(id));
        let may = |switch: &str| user.is_none_or(|u| u.allows(switch, true));
        Address {
            query: &ask.query,
            item: self.item,
            source: self.source,
            audio_route: self.audio_route || !hls::has_video(self.item),
            hls: self.hls,
            ending: self.ending.as_deref(),
            rights: Rights {
                video: may("EnableVideoPlaybackTranscoding"),
                audio: may("EnableAudioPlaybackTranscoding"),
            },
            tone_mapping: world.tone_mapping,
        }
        .plan()
    }

    pub(super) fn wanted<'b>(&'b self, ask: &Ask, plan: &'b Plan, from: f64) -> Wanted<'b> {
        let text = |name: &str| ask.query.get(name).map(str::to_owned);
        let device = text("DeviceId");
        let play_session = text("PlaySessionId");
        let output = ids::derived(&[
            &self.source.path(),
            ask.header("user-agent").unwrap_or_default(),
            device.as_deref().unwrap_or_default(),
            play_session.as_deref().unwrap_or_default(),
        ]);
        Wanted {
            output,
            play_session,
            device,
            item: self.item,
            source: self.source,
            plan,
            from,
            live: text("LiveStreamId"),
        }
    }
}

fn is_name(value: &str) -> bool {
    value.len() <= LONGEST_NAME
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._,|".contains(&b))
}

/// `master.m3u8`
pub(super) fn master(inner: &Inner, ask: &Ask, who: &Who) -> Reply {
    if ask.query.get("MediaSourceId").is_none() {
        return reply::invalid("mediaSourceId", "The mediaSourceId field is required.");
    }
    playlist(inner, ask, who, |ask, source, plan| {
        let text = if ask.method == Method::HEAD {
            String::new()
        } else {
            hls::master(ask, source, plan, "")
        };
        hls::playlist(text, true)
    })
}

/// `main.m3u8`
pub(super) fn main(inner: &Inner, ask: &Ask, who: &Who) -> Reply {
    playlist(inner, ask, who, |ask, source, plan| {
        hls::playlist(hls::main(ask, source, plan), false)
    })
}

fn playlist(
    inner: &Inner,
    ask: &Ask,
    who: &Who,
    write: impl Fn(&Ask, &Source, &Plan) -> Reply,
) -> Reply {
    let world = inner.world();
    let library = world.library.clone();
    match Playable::find(&library, ask, true, None) {
        Ok(found) => {
            if let Some(refused) = closed(&world, ask) {
                return refused;
            }
            let plan = found.plan(&world, ask, who);
            write(ask, found.source, &plan)
        }
        Err(refused) => *refused,
    }
}

/// The answer for a live stream that is not open.
pub(super) fn closed(world: &World, ask: &Ask) -> Option<Reply> {
    let id = ask.query.get("LiveStreamId")?;
    (!world.lives.contains_key(id)).then(|| {
        reply::error(match world.version {
            Version::V12_0 => StatusCode::NOT_FOUND,
            Version::V10_11 => StatusCode::INTERNAL_SERVER_ERROR,
        })
    })
}

/// `hls1/…`: starts FFmpeg, joins it or starts it anew, and waits for the segment.
pub(super) async fn segment(inner: &Arc<Inner>, ask: &Ask, who: &Who) -> Reply {
    let file = ask.parts.get(4).map_or("", String::as_str);
    let Some((number, ending)) = hls::segment_number(file) else {
        return reply::invalid("segmentId", &format!("The value '{file}' is not valid."));
    };
    let mut ticks = 0;
    for name in ["runtimeTicks", "actualSegmentLengthTicks"] {
        match ask.query.number(name) {
            Ok(Some(value)) if name == "runtimeTicks" => ticks = value,
            Ok(Some(_)) => {}
            Ok(None) => return reply::invalid(name, &format!("The {name} field is required.")),
            Err(malformed) => return reply::malformed(&malformed),
        }
    }
    if matches!(ask.query.number("StartTimeTicks"), Ok(Some(1..))) {
        return reply::error(StatusCode::BAD_REQUEST);
    }
    let started = {
        let mut world = inner.world();
        let library = world.library.clone();
        let found = match Playable::find(&library, ask, true, Some(ending)) {
            Ok(found) => found,
            Err(refused) => return *refused,
        };
        let plan = found.plan(&world, ask, who);
        let wanted = found.wanted(ask, &plan, super::seconds(ticks));
        let other = world.jobs.iter().any(|job| {
            job.hls && job.play_session == wanted.play_session && job.output != wanted.output
        });
        if other && wanted.play_session.is_some() {
            world.fault("one play session under two user agents or devices");
        }
        let id = world.segment(&wanted, number);
        world.touch(id);
        (id, plan)
    };
    let (id, plan) = started;
    match wait(inner, id, Until::Segment(number)).await {
        Ready::Yes => {}
        Ready::In(_) | Ready::Gone => return reply::error(StatusCode::NOT_FOUND),
    }
    inner.world().served(id, number);
    let kind = if plan.container == "mp4" {
        "video/mp4"
    } else {
        "video/mp2t"
    };
    let size = hls::segment_bytes(ask, &plan, number);
    reply::file(kind, size, ask.header("range"), MODIFIED)
}

/// Waits until a segment is there.
async fn wait(inner: &Inner, id: JobId, until: Until) -> Ready {
    let began = inner.world().now;
    loop {
        let changed = inner.changed.notified();
        let (ready, now) = {
            let world = inner.world();
            (world.ready(id, until), world.now)
        };
        match ready {
            Ready::In(seconds) if now - began < PATIENCE => {
                let real = Duration::from_secs_f64((seconds / inner.speed).clamp(0.0005, 60.0));
                tokio::select! {
                    () = tokio::time::sleep(real.min(LOOK)) => {}
                    () = changed => {}
                }
            }
            Ready::Yes | Ready::In(_) | Ready::Gone => return ready,
        }
    }
}

/// `live.m3u8`: starts FFmpeg and gives its growing playlist.
pub(super) async fn live(inner: &Arc<Inner>, ask: &Ask, who: &Who) -> Reply {
    let (id, plan, output) = {
        let mut world = inner.world();
        let library = world.library.clone();
        let found = match Playable::find(&library, ask, true, None) {
            Ok(found) => found,
            Err(refused) => return *refused,
        };
        if let Some(refused) = closed(&world, ask) {
            return refused;
        }
        let plan = found.plan(&world, ask, who);
        let wanted = found.wanted(ask, &plan, 0.0);
        let output = wanted.output.clone();
        let id = world.segment(&wanted, 0);
        world.touch(id);
        (id, plan, output)
    };
    match wait(inner, id, Until::First).await {
        Ready::Yes => {}
        Ready::In(_) | Ready::Gone => return reply::error(StatusCode::NOT_FOUND),
    }
    let mut world = inner.world();
    world.served(id, 0);
    let count = world
        .gpu
        .progress(id)
        .map_or(1.0, |p| (p.encoded_to / plan.segment).floor());
    #[expect(clippy::cast_possible_truncation, reason = "segments of one film")]
    hls::playlist(hls::live(&output, &plan, count as i64), false)
}

/// A segment of a live playlist: neither token nor query.
pub(super) fn live_segment(inner: &Inner, ask: &Ask) -> Reply {
    let output = ask.parts.get(3).cloned().unwrap_or_default();
    let file = ask.parts.get(4).map_or("", String::as_str);
    let number = hls::segment_number(file)
        .map(|_| file)
        .or_else(|| file.rsplit_once('.').map(|(name, _)| name))
        .and_then(|name| name.split('.').next())
        .and_then(|name| name.strip_prefix(output.as_str()))
        .and_then(|number| number.parse::<i64>().ok());
    let mut world = inner.world();
    let job = world
        .jobs
        .iter()
        .find(|job| job.output == output)
        .map(|job| (job.id, job.bytes_per_second * job.segment));
    let (Some(number), Some((id, bytes))) = (number, job) else {
        return reply::error(StatusCode::NOT_FOUND);
    };
    world.touch(id);
    let encoded = world.gpu.progress(id).map_or(0.0, |p| p.encoded_to);
    let segment = world.job(id).map_or(3.0, |job| job.segment);
    #[expect(clippy::cast_precision_loss, reason = "segments of one film")]
    if (number + 1) as f64 * segment > encoded {
        return reply::error(StatusCode::NOT_FOUND);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few megabytes"
    )]
    let size = bytes as u64;
    reply::file("video/mp2t", size, ask.header("range"), MODIFIED)
}

/// A subtitle stream as text.
pub(super) fn subtitles(ask: &Ask, version: Version) -> Reply {
    let file = ask.parts.last().map_or("", String::as_str);
    let text = match version {
        Version::V10_11 => "WEBVTT\n\n00:00:01.021 --> 00:00:30.021\nA text subtitle\n",
        Version::V12_0 => "WEBVTT\n\n00:00:01.021 --> 00:00:30.021\nA text subtitle",
    };
    match file
        .rsplit_once('.')
        .map(|(_, e)| e.to_ascii_lowercase())
        .as_deref()
    {
        Some("js") => reply::text(StatusCode::OK, "application/json", "{\"TrackEvents\":[]}"),
        Some("vtt") => reply::text(StatusCode::OK, "text/vtt", text),
        Some(_) | None => reply::text(StatusCode::OK, "text/plain", text),
    }
}

/// A picture of no picture.
pub(super) fn image() -> Reply {
    let body = Body::new(reply::Filler::new(60_000));
    reply::with(StatusCode::OK, "image/jpeg", body)
}
