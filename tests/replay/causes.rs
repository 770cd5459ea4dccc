//! Why something is encoded, against what was recorded: every encode has a cause that the file or the request shows.

use bytes::Bytes;
use finweir::{
    admission::{Cause, MOST_CAUSES},
    demand,
    jellyfin::{
        Encoding, Media, Plan, PlaybackAnswer, PlaybackRequest, Query, Source, TrackKind,
        UserPolicy,
    },
};

use super::{
    negotiation::answers,
    recording::{Check, Server, Set, Tally},
};

pub(crate) const CHECKS: &[Check] = &[Check {
    name: "causes",
    takes: |_| true,
    run: causes_are_real,
}];

fn causes_are_real(server: &Server, set: &Set, tally: &mut Tally) {
    let encoding = Encoding {
        version: server.dialect.version,
        ..Encoding::default()
    };
    for (record, body) in answers(set) {
        let edited = ["made", "edited"]
            .iter()
            .any(|by| record.whole.get(by).is_some());
        let (Some(request), Ok(answer), false) = (
            &record.request,
            PlaybackAnswer::read(Bytes::copy_from_slice(body.as_bytes())),
            edited,
        ) else {
            tally.skip();
            continue;
        };
        let query = Query::parse(request.query().unwrap_or_default());
        let asked = request.body.as_deref().unwrap_or_default();
        let asked = PlaybackRequest::read(&query, asked.as_bytes());
        let mut wrong = Vec::new();
        for source in answer.sources() {
            let policy = UserPolicy::default();
            let plan = Plan::of_source(source, Media::Video, &encoding, policy);
            let why = demand::why_of_source(source, &plan, &encoding, asked.max_bitrate);
            if (plan == Plan::Direct) != why.causes.is_empty() || why.causes.len() > MOST_CAUSES {
                wrong.push(format!("{plan:?} because of {:?}", why.causes));
            }
            let lies = why
                .causes
                .iter()
                .filter(|cause| !holds(cause, source, &asked, &plan));
            wrong.extend(lies.map(|cause| format!("{cause:?} is no cause of {plan:?}")));
        }
        tally.compare(record, wrong.is_empty(), || wrong.join("; "));
    }
}

/// Whether the file and the request show this cause, read by another way than the library's.
fn holds(cause: &Cause, source: &Source, asked: &PlaybackRequest, plan: &Plan) -> bool {
    let url = source.transcoding_url.as_deref().unwrap_or_default();
    let query = Query::parse(url.split_once('?').map_or("", |(_, query)| query));
    let lists = |name: &str, codec: &str| {
        let listed = query.value(name).unwrap_or_default();
        listed.split(',').any(|own| own.eq_ignore_ascii_case(codec))
    };
    let has = |kind: TrackKind, codec: &str| {
        let mut tracks = source.streams.iter().filter(|track| track.kind == kind);
        tracks.any(|track| track.codec.as_deref() == Some(codec))
    };
    let video = source.video(None);
    match cause {
        Cause::VideoCodec { codec } => has(TrackKind::Video, codec) && !lists("VideoCodec", codec),
        Cause::VideoForm { codec, .. } => has(TrackKind::Video, codec),
        Cause::VideoRange { range } => video
            .and_then(|video| video.range.as_deref())
            .is_some_and(|own| own.eq_ignore_ascii_case(range) && !range.contains("sdr")),
        Cause::Resolution { height } => video.and_then(|video| video.height) == Some(*height),
        Cause::FrameRate => video.is_some_and(|video| video.millifps > Some(30_000)),
        Cause::Interlaced => video.is_some_and(|video| video.interlaced),
        Cause::Bitrate { kilobits } => {
            let under = |ceiling: u64| source.bitrate.is_none_or(|own| own > ceiling);
            asked.max_bitrate.is_none_or(|ceiling| {
                ceiling / 1000 == *kilobits && (under(ceiling) || matches!(plan, Plan::Video(_)))
            })
        }
        Cause::ImageSubtitle { codec, index } | Cause::TextSubtitle { codec, index } => {
            source
                .subtitle(*index)
                .and_then(|track| track.codec.as_deref())
                == Some(codec)
                && query.value("SubtitleStreamIndex") == Some(index.to_string().as_str())
        }
        Cause::AudioCodec { codec } => has(TrackKind::Audio, codec) && !lists("AudioCodec", codec),
        Cause::AudioForm { codec, .. } => has(TrackKind::Audio, codec),
        Cause::Container { .. } => source.container.is_some(),
        // Whoever asks forbids the copy, or takes no file as it is.
        Cause::Demanded => !asked.allow_video_copy || lists("TranscodeReasons", "DirectPlayError"),
        Cause::Unknown => !matches!(plan, Plan::Video(_)) || video.is_none(),
    }
}
