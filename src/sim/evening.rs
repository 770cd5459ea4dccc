//! A small library for demonstrations: what a family plays of an evening.

use serde_json::{Value, json};

use super::{ids::derived, library::Item};

struct Film {
    name: &'static str,
    library: &'static str,
    minutes: i64,
    container: &'static str,
    versions: &'static [Video],
    audio: (&'static str, i64, i64),
    subtitles: Option<&'static str>,
}

#[derive(Clone, Copy)]
struct Video {
    codec: &'static str,
    size: (i64, i64),
    megabits: i64,
    bits: i64,
    range: &'static str,
    frames: f64,
}

const FULL: Video = Video {
    codec: "h264",
    size: (1920, 1080),
    megabits: 12,
    bits: 8,
    range: "SDR",
    frames: 23.976_025,
};
const HEVC: Video = Video {
    codec: "hevc",
    megabits: 8,
    bits: 10,
    ..FULL
};
const UHD: Video = Video {
    codec: "hevc",
    size: (3840, 2160),
    megabits: 58,
    bits: 10,
    range: "HDR10",
    ..FULL
};
const AAC: (&str, i64, i64) = ("aac", 2, 192_000);
const AC3: (&str, i64, i64) = ("ac3", 6, 640_000);
const EAC3: (&str, i64, i64) = ("eac3", 6, 768_000);
const TRUEHD: (&str, i64, i64) = ("truehd", 8, 4_500_000);

const fn film(name: &'static str, minutes: i64, versions: &'static [Video]) -> Film {
    Film {
        name,
        library: "Movies",
        minutes,
        container: "mkv",
        versions,
        audio: AC3,
        subtitles: None,
    }
}

const FILMS: &[Film] = &[
    Film {
        container: "mp4",
        audio: AAC,
        ..film(
            "Harbour Lights",
            96,
            &[Video {
                megabits: 5,
                ..FULL
            }],
        )
    },
    film("The Long Field", 112, &[FULL]),
    film(
        "Paper Rivers",
        103,
        &[Video {
            megabits: 34,
            ..FULL
        }],
    ),
    film("Northern Line", 88, &[HEVC]),
    Film {
        subtitles: Some("PGSSUB"),
        ..film("Winter Orchard", 121, &[HEVC])
    },
    Film {
        library: "4K Movies",
        audio: TRUEHD,
        ..film("Meridian", 131, &[UHD])
    },
    Film {
        library: "4K Movies",
        audio: EAC3,
        ..film("Saltwater", 118, &[UHD, FULL])
    },
    Film {
        library: "4K Movies",
        audio: EAC3,
        subtitles: Some("PGSSUB"),
        ..film(
            "The Observatory",
            144,
            &[Video {
                megabits: 74,
                ..UHD
            }],
        )
    },
    Film {
        library: "4K Movies",
        audio: EAC3,
        ..film(
            "Copper Sky",
            109,
            &[Video {
                range: "DOVIWithHDR10",
                ..UHD
            }],
        )
    },
    film(
        "Sprint",
        47,
        &[Video {
            frames: 59.940_06,
            megabits: 16,
            ..HEVC
        }],
    ),
    Film {
        audio: AAC,
        ..film(
            "Open Window",
            92,
            &[Video {
                codec: "av1",
                megabits: 6,
                ..HEVC
            }],
        )
    },
    Film {
        audio: AAC,
        subtitles: Some("subrip"),
        ..film("Two Kitchens", 99, &[FULL])
    },
];

/// The films as items.
pub(super) fn films() -> Vec<Item> {
    FILMS
        .iter()
        .filter_map(|film| Item::read(&film.shown()))
        .collect()
}

// === impl Film ===

impl Film {
    fn shown(&self) -> Value {
        let id = derived(&["evening", self.name]);
        let sources: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(at, video)| {
                let own = if at == 0 {
                    id.clone()
                } else {
                    derived(&["evening", self.name, &at.to_string()])
                };
                self.source(&own, *video)
            })
            .collect();
        json!({
            "Name": self.name,
            "Id": id,
            "Container": self.container,
            "MediaSources": sources,
            "ChannelId": null,
            "RunTimeTicks": self.ticks(),
            "IsFolder": false,
            "Type": "Movie",
            "Library": self.library,
            "UserData": {"PlaybackPositionTicks": 0, "PlayCount": 0, "IsFavorite": false, "Played": false, "Key": id, "ItemId": id},
            "VideoType": "VideoFile",
            "ImageTags": {},
            "BackdropImageTags": [],
            "LocationType": "FileSystem",
            "MediaType": "Video",
        })
    }

    fn ticks(&self) -> i64 {
        self.minutes * 600_000_000
    }

    fn source(&self, id: &str, video: Video) -> Value {
        let (codec, channels, audio_rate) = self.audio;
        let rate = video.megabits * 1_000_000;
        let hdr = video.range != "SDR";
        let level = match (video.codec, video.size.0) {
            ("h264", _) => 41,
            ("av1", _) => 8,
            (_, 3840..) => 153,
            _ => 123,
        };
        let profile = match (video.codec, video.bits) {
            ("h264", _) => "High",
            ("hevc", 10) => "Main 10",
            _ => "Main",
        };
        let mut streams = vec![
            json!({
                "Codec": video.codec, "Type": "Video", "Index": 0, "Profile": profile, "Level": level,
                "Width": video.size.0, "Height": video.size.1, "BitRate": rate, "BitDepth": video.bits,
                "RefFrames": 1, "IsInterlaced": false, "IsAnamorphic": false, "IsAVC": video.codec == "h264",
                "AverageFrameRate": video.frames, "RealFrameRate": video.frames, "ReferenceFrameRate": video.frames,
                "VideoRange": if hdr { "HDR" } else { "SDR" }, "VideoRangeType": video.range,
                "IsDefault": true, "IsForced": false, "IsExternal": false,
                "IsTextSubtitleStream": false, "SupportsExternalStream": false,
            }),
            json!({
                "Codec": codec, "Type": "Audio", "Index": 1, "Channels": channels, "BitRate": audio_rate,
                "SampleRate": 48_000, "IsDefault": true, "IsForced": false, "IsExternal": false,
                "VideoRange": "Unknown", "VideoRangeType": "Unknown",
                "IsTextSubtitleStream": false, "SupportsExternalStream": false,
            }),
        ];
        if let Some(format) = self.subtitles {
            streams.push(json!({
                "Codec": format, "Type": "Subtitle", "Index": 2, "Language": "eng", "IsDefault": false,
                "IsForced": false, "IsExternal": false, "VideoRange": "Unknown", "VideoRangeType": "Unknown",
                "IsTextSubtitleStream": format == "subrip", "SupportsExternalStream": true,
            }));
        }
        json!({
            "Protocol": "File",
            "Id": id,
            "Path": format!("/media/evening/{id}.{}", self.container),
            "Type": "Default",
            "Container": self.container,
            "Size": (rate + audio_rate) / 8 * self.minutes * 60,
            "Name": format!("{}p", video.size.1),
            "IsRemote": false,
            "ETag": derived(&["etag", id]),
            "RunTimeTicks": self.ticks(),
            "SupportsTranscoding": true,
            "SupportsDirectStream": true,
            "SupportsDirectPlay": true,
            "IsInfiniteStream": false,
            "RequiresOpening": false,
            "RequiresClosing": false,
            "SupportsProbing": true,
            "VideoType": "VideoFile",
            "MediaStreams": streams,
            "MediaAttachments": [],
            "Formats": [],
            "Bitrate": rate + audio_rate,
            "RequiredHttpHeaders": {},
            "TranscodingSubProtocol": "http",
            "DefaultAudioStreamIndex": 1,
            "HasSegments": false,
        })
    }
}
