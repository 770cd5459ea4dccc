//! Why a play is not the file as it is: from what keeps the picture from being copied, and from what Jellyfin says.
//!
//! Neither is enough. Jellyfin's reasons name causes that are none: 12.0 often adds the sound, which it then copies.
//! And the address names only what the encode may put out: where subtitles are drawn into an HEVC film, the address
//! asks for H.264 though the player could show HEVC. So a barrier counts if Jellyfin names it too; a ceiling
//! that the file exceeds counts by itself.

use std::sync::Arc;

use crate::{
    admission::{Cause, Form, MOST_CAUSES, Why},
    ident::ItemId,
    jellyfin::{Barrier, Encoding, Plan, Query, Source, StreamQuery, Track, TrackKind, barriers},
};

/// What was asked for, as far as causes are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The query of the stream's address.
    pub query: &'a StreamQuery,
    /// It is a progressive stream.
    pub progressive: bool,
    /// The ceiling that the player sent, bit/s, if that is known.
    pub ceiling: Option<u64>,
}

/// Why a source of a PlaybackInfo answer is not played as it is. `ceiling`: what the player sent, bit/s.
pub fn why_of_source(
    source: &Source,
    plan: &Plan,
    encoding: &Encoding,
    ceiling: Option<u64>,
) -> Arc<Why> {
    let url = source.transcoding_url.as_deref().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let asked = Asked {
        query: &StreamQuery::read(&Query::parse(query), crate::jellyfin::Media::Video),
        progressive: !path.to_ascii_lowercase().ends_with(".m3u8"),
        ceiling,
    };
    why(asked, source.id.clone(), Some(source), plan, encoding)
}

/// Why a stream is not the file as it is.
pub fn why(
    asked: Asked<'_>,
    id: Option<ItemId>,
    source: Option<&Source>,
    plan: &Plan,
    encoding: &Encoding,
) -> Arc<Why> {
    let mut causes = match (plan, source.filter(|source| !source.streams.is_empty())) {
        (Plan::Direct, _) => Vec::new(),
        (Plan::Remux | Plan::Audio | Plan::Video(_), None) => vec![Cause::Unknown],
        (Plan::Remux | Plan::Audio, Some(source)) => beside(asked, source),
        (Plan::Video(_), Some(source)) => of_picture(asked, source, encoding),
    };
    if causes.is_empty() && *plan != Plan::Direct {
        causes.push(Cause::Unknown);
    }
    causes.sort();
    causes.dedup();
    causes.truncate(MOST_CAUSES);
    Arc::new(Why { source: id, causes })
}

/// What each would be enough for the picture to be encoded.
fn of_picture(asked: Asked<'_>, source: &Source, encoding: &Encoding) -> Vec<Cause> {
    let all = barriers(asked.query, asked.progressive, source, encoding);
    let told = |barrier: &Barrier| is_told(asked, source, *barrier);
    let (mut told, silent): (Vec<Barrier>, Vec<Barrier>) = all.iter().partition(|b| told(b));
    // A player that comes back after an error of its own asks so on top of what was wrong before.
    if told.len() > 1 {
        told.retain(|barrier| *barrier != Barrier::Forbidden);
    }
    let cause = |barrier: &Barrier| cause_of(asked, source, *barrier);
    let mut causes: Vec<Cause> = told.iter().map(cause).collect();
    // The player shows this codec, and the encode may not put it out: the sound alone, or the container, would lead to
    // an encode of the picture too.
    if causes.is_empty() || silent.contains(&Barrier::Codec) {
        causes.extend(beside(asked, source));
    }
    if causes.is_empty() {
        causes = silent.iter().map(cause).collect();
    }
    if causes.is_empty() {
        // The picture could be copied, and is not: a setting of the server's.
        causes.push(Cause::Demanded);
    }
    causes
}

/// What is wrong beside the picture.
fn beside(asked: Asked<'_>, source: &Source) -> Vec<Cause> {
    let named = |name: &str| names(asked.query, name);
    let mut causes = Vec::new();
    if let Some(audio) = audio(source, asked.query.audio) {
        let codec = audio.codec.as_deref().unwrap_or_default();
        let listed = &asked.query.audio_codecs;
        let copied = listed.is_empty() || listed.iter().any(|own| own == codec || own == "copy");
        let forms = [
            "AudioChannelsNotSupported",
            "AudioProfileNotSupported",
            "AudioSampleRateNotSupported",
            "AudioBitDepthNotSupported",
            "AudioBitrateNotSupported",
        ];
        if named("AudioCodecNotSupported") && !copied {
            causes.push(Cause::AudioCodec { codec: word(codec) });
        } else if forms.iter().any(|name| named(name)) {
            causes.push(Cause::AudioForm {
                codec: word(codec),
                channels: audio.channels.unwrap_or(0),
            });
        }
    }
    if over(asked, source) {
        causes.push(bitrate(asked));
    }
    // Jellyfin names the container on all sorts of occasions: only where nothing else is named, it is believed.
    if causes.is_empty() && named("ContainerNotSupported") {
        let container = source.container.as_deref().unwrap_or_default();
        let first = container.split(',').next().unwrap_or_default();
        causes.push(Cause::Container {
            container: word(first),
        });
    }
    // The player may have the file, and asks for something else.
    if causes.is_empty() && named("DirectPlayError") {
        causes.push(Cause::Demanded);
    }
    causes
}

/// Whether Jellyfin names this too, or it needs no naming.
fn is_told(asked: Asked<'_>, source: &Source, barrier: Barrier) -> bool {
    let reasons: &[&str] = match barrier {
        // Nobody but who asks can want these.
        Barrier::Forbidden | Barrier::Subtitle => return true,
        Barrier::Bitrate if over(asked, source) => return true,
        Barrier::Bitrate => &["ContainerBitrateExceedsLimit", "VideoBitrateNotSupported"],
        Barrier::Interlaced => &["InterlacedVideoNotSupported"],
        Barrier::Anamorphic => &["AnamorphicVideoNotSupported"],
        Barrier::Avc => &["VideoCodecTagNotSupported", "VideoProfileNotSupported"],
        Barrier::Codec => &["VideoCodecNotSupported", "VideoCodecTagNotSupported"],
        Barrier::Profile => &["VideoProfileNotSupported"],
        Barrier::Range => &["VideoRangeTypeNotSupported"],
        Barrier::Rotation => &["VideoRotationNotSupported"],
        Barrier::Size => &["VideoResolutionNotSupported"],
        Barrier::FrameRate => &["VideoFramerateNotSupported"],
        Barrier::Depth => &["VideoBitDepthNotSupported"],
        Barrier::References => &["RefFramesNotSupported"],
        Barrier::Level => &["VideoLevelNotSupported"],
    };
    reasons.iter().any(|name| names(asked.query, name))
}

fn cause_of(asked: Asked<'_>, source: &Source, barrier: Barrier) -> Cause {
    let video = source.video(asked.query.video);
    let codec = word(video.and_then(|v| v.codec.as_deref()).unwrap_or_default());
    let form = |what| Cause::VideoForm {
        codec: Arc::clone(&codec),
        what,
    };
    match barrier {
        Barrier::Forbidden => Cause::Demanded,
        Barrier::Interlaced => Cause::Interlaced,
        Barrier::Subtitle => subtitle(asked, source),
        Barrier::Codec => Cause::VideoCodec { codec },
        Barrier::Range => Cause::VideoRange {
            range: word(video.and_then(|v| v.range.as_deref()).unwrap_or_default()),
        },
        Barrier::Size => Cause::Resolution {
            height: video.and_then(|v| v.height).unwrap_or(0),
        },
        Barrier::FrameRate => Cause::FrameRate,
        Barrier::Bitrate => bitrate(asked),
        Barrier::Anamorphic => form(Form::Anamorphic),
        Barrier::Avc => form(Form::Avc),
        Barrier::Profile => form(Form::Profile),
        Barrier::Rotation => form(Form::Rotation),
        Barrier::Depth => form(Form::Depth),
        Barrier::References => form(Form::References),
        Barrier::Level => form(Form::Level),
    }
}

fn subtitle(asked: Asked<'_>, source: &Source) -> Cause {
    let index = asked.query.subtitle.unwrap_or(-1);
    let Some(track) = source.subtitle(index) else {
        return Cause::Demanded;
    };
    let codec = word(track.codec.as_deref().unwrap_or_default());
    if track.text {
        Cause::TextSubtitle { codec, index }
    } else {
        Cause::ImageSubtitle { codec, index }
    }
}

/// Whether the file is more than the ceiling that the player sent.
fn over(asked: Asked<'_>, source: &Source) -> bool {
    let known = asked.ceiling.zip(source.rate());
    known.map_or_else(
        || names(asked.query, "ContainerBitrateExceedsLimit"),
        |(ceiling, own)| own > ceiling,
    )
}

fn bitrate(asked: Asked<'_>) -> Cause {
    let query = asked.query;
    let sent = query
        .video_bitrate
        .unwrap_or(0)
        .saturating_add(query.audio_bitrate.unwrap_or(0));
    Cause::Bitrate {
        kilobits: asked.ceiling.unwrap_or(sent) / 1000,
    }
}

fn audio(source: &Source, wanted: Option<i64>) -> Option<&Track> {
    let tracks = || source.streams.iter().filter(|t| t.kind == TrackKind::Audio);
    tracks()
        .find(|track| Some(track.index) == wanted)
        .or_else(|| tracks().find(|track| track.default))
        .or_else(|| tracks().next())
}

fn names(query: &StreamQuery, reason: &str) -> bool {
    query
        .reasons
        .iter()
        .any(|own| own.eq_ignore_ascii_case(reason))
}

/// A codec as it may stand in a journal: short, and of plain letters.
fn word(text: &str) -> Arc<str> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let word: String = text.chars().filter(plain).take(24).collect();
    if word.is_empty() {
        return Arc::from("unknown");
    }
    Arc::from(word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jellyfin::Media;

    fn track(kind: TrackKind, index: i64, codec: &str) -> Track {
        Track {
            kind,
            index,
            codec: Some(codec.to_owned()),
            ..Track::default()
        }
    }

    fn film(codec: &str, url: &str) -> Source {
        Source {
            id: Some(ItemId::new("file")),
            container: Some("mkv".to_owned()),
            bitrate: Some(12_000_000),
            transcoding_url: Some(format!("/videos/a/master.m3u8?{url}")),
            streams: vec![
                Track {
                    bitrate: Some(11_000_000),
                    range: Some("SDR".to_owned()),
                    ..track(TrackKind::Video, 0, codec)
                },
                Track {
                    channels: Some(6),
                    ..track(TrackKind::Audio, 1, "ac3")
                },
                track(TrackKind::Subtitle, 2, "PGSSUB"),
                Track {
                    text: true,
                    ..track(TrackKind::Subtitle, 3, "ass")
                },
            ],
            ..Source::default()
        }
    }

    fn causes(source: &Source, ceiling: Option<u64>) -> Vec<Cause> {
        let encoding = Encoding::default();
        let plan = Plan::of_source(
            source,
            Media::Video,
            &encoding,
            crate::jellyfin::UserPolicy::default(),
        );
        let why = why_of_source(source, &plan, &encoding, ceiling);
        assert_eq!(why.source, source.id);
        why.causes.clone()
    }

    fn pgs() -> Cause {
        Cause::ImageSubtitle {
            codec: Arc::from("pgssub"),
            index: 2,
        }
    }

    #[test]
    fn a_subtitle_in_a_film_that_the_player_could_show_is_the_only_cause() {
        let url = "VideoCodec=h264&AudioCodec=ac3&VideoBitrate=100000000&SubtitleStreamIndex=2&SubtitleMethod=Encode&TranscodeReasons=SubtitleCodecNotSupported";
        assert_eq!(causes(&film("hevc", url), Some(120_000_000)), [pgs()]);
        let text = url.replace("Index=2", "Index=3");
        let ass = Cause::TextSubtitle {
            codec: Arc::from("ass"),
            index: 3,
        };
        assert_eq!(causes(&film("hevc", &text), None), [ass]);
    }

    #[test]
    fn sound_that_is_copied_is_no_cause_whatever_jellyfin_says() {
        let url = "VideoCodec=h264&AudioCodec=ac3&VideoBitrate=4000000&TranscodeReasons=ContainerBitrateExceedsLimit,AudioCodecNotSupported";
        let ceiling = [Cause::Bitrate { kilobits: 8000 }];
        assert_eq!(causes(&film("h264", url), Some(8_000_000)), ceiling);
    }

    #[test]
    fn a_ceiling_above_the_file_is_no_cause() {
        let url = "VideoCodec=h264&AudioCodec=aac&VideoBitrate=19000000&TranscodeReasons=VideoCodecNotSupported";
        let codec = Cause::VideoCodec {
            codec: Arc::from("hevc"),
        };
        assert_eq!(
            causes(&film("hevc", url), Some(20_000_000)),
            std::slice::from_ref(&codec)
        );
        // A ceiling below it is one of two.
        let both = [codec, Cause::Bitrate { kilobits: 8000 }];
        let url = url.replace("19000000", "7000000");
        assert_eq!(causes(&film("hevc", &url), Some(8_000_000)), both);
    }

    #[test]
    fn sound_stands_behind_an_encode_that_nothing_else_asks_for() {
        let url = "VideoCodec=h264&AudioCodec=aac&VideoBitrate=100000000&TranscodeReasons=AudioCodecNotSupported";
        let sound = [Cause::AudioCodec {
            codec: Arc::from("ac3"),
        }];
        // Encoded, though only the sound is wrong: the encode may not put out HEVC.
        assert_eq!(causes(&film("hevc", url), None), sound);
        // Where the codec is wrong anyway, the file needs another, and its sound is copied or not.
        let codec = Cause::VideoCodec {
            codec: Arc::from("hevc"),
        };
        let both = url.replace("Reasons=", "Reasons=VideoCodecNotSupported,");
        assert_eq!(causes(&film("hevc", &both), None), [codec]);
        // Copied: it costs the GPU nothing.
        assert_eq!(causes(&film("h264", url), None), sound);
    }

    #[test]
    fn a_player_that_asks_for_an_encode_is_a_cause_only_where_nothing_else_is() {
        let url = "VideoCodec=h264&AudioCodec=ac3&VideoBitrate=100000000&allowVideoStreamCopy=false&TranscodeReasons=DirectPlayError";
        assert_eq!(causes(&film("h264", url), None), [Cause::Demanded]);
        let url = url.replace("DirectPlayError", "VideoCodecNotSupported");
        let codec = Cause::VideoCodec {
            codec: Arc::from("hevc"),
        };
        assert_eq!(causes(&film("hevc", &url), None), [codec]);
        let copied = "VideoCodec=h264&AudioCodec=ac3&TranscodeReasons=DirectPlayError";
        assert_eq!(causes(&film("h264", copied), None), [Cause::Demanded]);
    }

    #[test]
    fn what_is_not_known_is_called_so() {
        let mut film = film("h264", "VideoCodec=h264&VideoBitrate=1000000");
        film.streams.clear();
        assert_eq!(causes(&film, None), [Cause::Unknown]);
    }

    #[test]
    fn a_codec_that_a_file_claims_is_cut_short() {
        assert_eq!(&*word("He\"VC\n; 01"), "hevc01");
        assert_eq!(word(&"x".repeat(999)).len(), 24);
        assert_eq!(&*word("…"), "unknown");
    }
}
