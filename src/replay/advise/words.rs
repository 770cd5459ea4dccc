//! Causes in plain words, and what to do about each.

use crate::admission::{Cause, Form};

/// What a cause is called: causes of one name are one group.
pub(super) fn name(cause: &Cause) -> String {
    match cause {
        Cause::VideoCodec { codec } => format!("{} picture", codec_name(codec)),
        Cause::VideoForm { codec, what } => format!("{} {}", codec_name(codec), form(*what)),
        Cause::VideoRange { range } => format!("{} picture", range_name(range)),
        Cause::Resolution { height: 0 } => "size of the picture".to_owned(),
        Cause::Resolution { height } if *height > 1200 => "4K picture".to_owned(),
        Cause::Resolution { height } => format!("{height}p picture"),
        Cause::FrameRate => "pictures a second".to_owned(),
        Cause::Interlaced => "interlaced picture".to_owned(),
        Cause::Bitrate { .. } => "bitrate ceiling".to_owned(),
        Cause::ImageSubtitle { codec, .. } | Cause::TextSubtitle { codec, .. } => {
            format!("{} subtitles", codec_name(codec))
        }
        Cause::AudioCodec { codec } => format!("{} sound", codec_name(codec)),
        Cause::AudioForm { codec, channels } => match channels {
            0..=2 => format!("form of {} sound", codec_name(codec)),
            more => format!("{} sound of {more} channels", codec_name(codec)),
        },
        Cause::Container { container } => format!("{container} container"),
        Cause::Demanded => "encodes that the player asked for".to_owned(),
        Cause::Unknown => "an unknown cause".to_owned(),
    }
}

/// What to do about it, as the rest of a sentence.
pub(super) fn remedy(cause: &Cause) -> &'static str {
    match cause {
        Cause::VideoCodec { .. } => {
            "convert the files to H.264, or watch on a player that has a decoder"
        }
        Cause::VideoForm { what, .. } => match what {
            Form::Depth => "convert the files to 8 bit, or watch on a player that decodes 10 bit",
            Form::Profile | Form::Level | Form::References | Form::Avc => {
                "convert the files to H.264 High, level 4.1, or watch on another player"
            }
            Form::Anamorphic | Form::Rotation => {
                "convert the files to square pixels and an upright picture"
            }
        },
        Cause::VideoRange { .. } => {
            "keep an SDR version beside the file, or watch on a player and screen that show HDR"
        }
        Cause::Resolution { .. } => "keep a 1080p version beside the file",
        Cause::FrameRate => "keep a version with fewer pictures a second beside the file",
        Cause::Interlaced => "deinterlace the files once",
        Cause::Bitrate { .. } => {
            "raise the quality setting of the player, or set direct_play: always"
        }
        Cause::ImageSubtitle { .. } => "convert the tracks to SRT",
        Cause::TextSubtitle { .. } => {
            "set subtitles: external, or convert the tracks to SRT; and have the player not burn them in"
        }
        Cause::AudioCodec { .. } => {
            "add an AAC track to the files, or let the player pass this sound through"
        }
        Cause::AudioForm { .. } => "add a stereo AAC track to the files",
        Cause::Container { .. } => "copy the files into MP4 (nothing is re-encoded)",
        Cause::Demanded => {
            "the player came back for an encode after an error of its own, or a setting of the player's or the user's asks for it: look there"
        }
        Cause::Unknown => {
            "nothing: it ran before Finweir saw it, or Jellyfin says too little about the file"
        }
    }
}

/// Whether another file would help, so that it belongs on a list of files to convert.
pub(super) fn is_of_file(cause: &Cause) -> bool {
    match cause {
        Cause::VideoCodec { .. }
        | Cause::VideoForm { .. }
        | Cause::VideoRange { .. }
        | Cause::Resolution { .. }
        | Cause::FrameRate
        | Cause::Interlaced
        | Cause::ImageSubtitle { .. }
        | Cause::TextSubtitle { .. }
        | Cause::AudioCodec { .. }
        | Cause::AudioForm { .. }
        | Cause::Container { .. } => true,
        Cause::Bitrate { .. } | Cause::Demanded | Cause::Unknown => false,
    }
}

/// A codec as people write it.
fn codec_name(codec: &str) -> String {
    match codec {
        "h264" => "H.264".to_owned(),
        "pgssub" | "hdmv_pgs_subtitle" => "PGS".to_owned(),
        "dvdsub" | "dvd_subtitle" => "VobSub".to_owned(),
        "dvbsub" | "dvb_subtitle" => "DVB".to_owned(),
        "subrip" => "SRT".to_owned(),
        "mpeg2video" => "MPEG-2".to_owned(),
        "mpeg4" => "MPEG-4".to_owned(),
        "ac3" => "AC-3".to_owned(),
        "eac3" => "E-AC-3".to_owned(),
        "truehd" => "TrueHD".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

fn range_name(range: &str) -> String {
    if range.starts_with("dovi") {
        return "Dolby Vision".to_owned();
    }
    range.to_ascii_uppercase()
}

const fn form(what: Form) -> &'static str {
    match what {
        Form::Profile => "profile",
        Form::Level => "level",
        Form::Depth => "of more than 8 bit",
        Form::References => "with many reference frames",
        Form::Anamorphic => "with pixels that are not square",
        Form::Rotation => "that is turned",
        Form::Avc => "that is not AVC",
    }
}
