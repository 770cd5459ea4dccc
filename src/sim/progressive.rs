//! Progressive streams and plain files.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, StatusCode, header};
use tokio::sync::mpsc;

use super::{
    Inner,
    auth::Who,
    hls,
    library::Source,
    negotiate::listed_in,
    play::{LOOK, MODIFIED, Playable, closed},
    reply::{self, Reply, Written},
    request::Ask,
};
use crate::gpu::model::JobId;

/// Pieces that wait for a slow reader of a progressive stream.
const PIECES: usize = 4;
/// Bytes of one piece.
const PIECE: usize = 65_424;

/// `stream`, `stream.mkv`: a file as it is, or FFmpeg's output as it comes.
pub(super) fn stream(inner: &Arc<Inner>, ask: &Ask, who: &Who) -> Reply {
    let file = ask.parts.get(2).map_or("", String::as_str);
    let ending = file.split_once('.').map(|(_, ending)| ending);
    if ask.query.get("params").is_some() {
        return reply::error(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let as_it_is = match ask.query.flag("static") {
        Ok(flag) => flag.unwrap_or(false),
        Err(malformed) => return reply::malformed(&malformed),
    };
    let mut world = inner.world();
    let library = world.library.clone();
    let found = match Playable::find(&library, ask, false, ending) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    if as_it_is {
        return plain_file(ask, found.source);
    }
    if let Some(refused) = closed(&world, ask) {
        return refused;
    }
    let plan = found.plan(&world, ask, who);
    let own = extension(&found.source.path());
    let container = match ending {
        Some(ending) => ending.to_owned(),
        None if ask.query.get("VideoCodec").is_none() => own,
        None => "ts".to_owned(),
    };
    let kind = reply::media_type(&container, found.audio_route);
    if ask.method == Method::HEAD {
        let mut reply = reply::with(StatusCode::OK, kind, Body::empty());
        reply::set(&mut reply, header::ACCEPT_RANGES, "none");
        return reply;
    }
    let mismatched = found.audio_route && container == "mp3" && plan.audio_codec != "mp3";
    if mismatched {
        world.started += 1;
        let mut reply = reply::error(StatusCode::INTERNAL_SERVER_ERROR);
        reply::set(&mut reply, header::ACCEPT_RANGES, "none");
        return reply;
    }
    let from = super::seconds(
        ask.query
            .number("StartTimeTicks")
            .ok()
            .flatten()
            .unwrap_or(0),
    );
    let id = world.progressive(&found.wanted(ask, &plan, from));
    drop(world);
    progressive(inner, id, kind)
}

/// The end of FFmpeg's output follows its speed; when the reader goes, the job has ten seconds.
fn progressive(inner: &Arc<Inner>, id: JobId, kind: &str) -> Reply {
    let (send, receive) = mpsc::channel(PIECES);
    inner.world().reader(id, true);
    let own = Arc::clone(inner);
    let mut stop = inner.stop.subscribe();
    inner.tasks.spawn(async move {
        tokio::select! {
            () = pump(&own, id, &send) => {}
            () = send.closed() => {}
            _ = stop.wait_for(|stop| stop.is_some()) => {}
        }
        own.world().reader(id, false);
    });
    let mut reply = reply::with(StatusCode::OK, kind, Body::new(Written(receive)));
    reply::set(&mut reply, header::ACCEPT_RANGES, "none");
    reply
}

async fn pump(inner: &Inner, id: JobId, send: &mpsc::Sender<bytes::Bytes>) {
    let mut sent = 0.0;
    loop {
        let changed = inner.changed.notified();
        let (made, rate, finished, speed) = {
            let world = inner.world();
            let Some((job, progress)) = world.job(id).zip(world.gpu.progress(id)) else {
                return;
            };
            let made = (progress.encoded_to - job.from) * job.bytes_per_second;
            (
                made,
                job.bytes_per_second,
                progress.finished,
                progress.speed,
            )
        };
        let open: f64 = made - sent;
        #[expect(clippy::cast_precision_loss, reason = "one piece")]
        let whole = PIECE as f64;
        if open >= whole || (finished && open >= 1.0) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most one piece"
            )]
            let piece = open.min(whole) as usize;
            if send.send(reply::filler(piece)).await.is_err() {
                return;
            }
            sent += open.min(whole);
        } else if finished {
            return;
        } else {
            let pace = (rate * speed * inner.speed).max(1.0);
            let real = Duration::from_secs_f64(((whole - open) / pace).clamp(0.001, 60.0));
            tokio::select! {
                () = tokio::time::sleep(real.min(LOOK)) => {}
                () = changed => {}
            }
        }
    }
}

fn extension(path: &str) -> String {
    path.rsplit_once('.')
        .map(|(_, e)| e.to_ascii_lowercase())
        .unwrap_or_default()
}

fn plain_file(ask: &Ask, source: &Source) -> Reply {
    let kind = reply::media_type(&extension(&source.path()), source.video().is_none());
    reply::file(kind, source.size, ask.header("range"), MODIFIED)
}

/// `/Items/{id}/Download` and `/Items/{id}/File`
pub(super) fn download(inner: &Inner, ask: &Ask) -> Reply {
    let library = inner.world().library.clone();
    match Playable::find(&library, ask, false, None) {
        Ok(found) => plain_file(ask, found.source),
        Err(refused) => *refused,
    }
}

/// `universal`: music as it is if the device plays it, else a playlist or FFmpeg's output.
pub(super) fn universal(inner: &Arc<Inner>, ask: &Ask, who: &Who) -> Reply {
    let hls = ask
        .query
        .get("TranscodingProtocol")
        .is_some_and(|p| p.eq_ignore_ascii_case("hls"));
    let mut world = inner.world();
    let library = world.library.clone();
    let wanted_container = ask
        .query
        .get("TranscodingContainer")
        .unwrap_or("mp3")
        .to_owned();
    let found = match Playable::find(&library, ask, hls, Some(&wanted_container)) {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let plays = ask.query.get("Container");
    if plays.is_some()
        && found.source.video().is_none()
        && listed_in(plays, &found.source.container)
    {
        return plain_file(ask, found.source);
    }
    let plan = found.plan(&world, ask, who);
    if hls {
        let extra = format!(
            "&SegmentContainer={wanted_container}&TranscodeReasons=ContainerNotSupported, VideoCodecNotSupported, AudioCodecNotSupported"
        );
        return hls::playlist(hls::master(ask, found.source, &plan, &extra), true);
    }
    let kind = reply::media_type(&wanted_container, true);
    if ask.method == Method::HEAD {
        return reply::with(StatusCode::OK, kind, Body::empty());
    }
    let id = world.progressive(&found.wanted(ask, &plan, 0.0));
    drop(world);
    progressive(inner, id, kind)
}
