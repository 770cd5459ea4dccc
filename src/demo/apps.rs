//! The programs that viewers play with: how each calls itself, what it can play, how it asks and what it shows.
//!
//! After the sources of the real ones, as far as the difference matters to a gate.

use serde_json::{Value, json};

use super::house::Viewer;

/// A program that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    /// jellyfin-web in a browser.
    Web,
    /// Jellyfin for Android TV.
    AndroidTv,
    /// Swiftfin on an iPad or a phone.
    Swiftfin,
    /// The Roku channel.
    Roku,
    /// The Kodi add-on.
    Kodi,
    /// jellyfin-mpv-shim.
    MpvShim,
    /// curl in a script.
    Bare,
}

/// How a wish to play is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The file as it is.
    Direct {
        /// Its address.
        url: String,
        /// Seconds it lasts.
        seconds: f64,
        /// Bytes of one second.
        rate: f64,
    },
    /// Through FFmpeg; whether it copies or encodes is in the lease.
    Playlist {
        /// The address of the master playlist.
        url: String,
    },
    /// Not at all.
    Refused,
}

/// Every codec there is, for those who play all.
const ALL_VIDEO: &str = "h264,hevc,av1,vp9,mpeg2video,vc1";
const ALL_AUDIO: &str = "aac,mp3,ac3,eac3,dts,truehd,flac,opus,vorbis";

// === impl App ===

impl App {
    /// What the viewer would call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::AndroidTv => "Android TV",
            Self::Swiftfin => "Swiftfin",
            Self::Roku => "Roku",
            Self::Kodi => "Kodi",
            Self::MpvShim => "mpv",
            Self::Bare => "curl",
        }
    }

    /// What it calls itself.
    const fn client(self) -> &'static str {
        match self {
            Self::Web => "Jellyfin Web",
            Self::AndroidTv => "Jellyfin for Android TV",
            Self::Swiftfin => "Swiftfin iPadOS",
            Self::Roku => "Jellyfin Roku",
            Self::Kodi => "Kodi",
            Self::MpvShim => "Jellyfin MPV Shim",
            Self::Bare => "",
        }
    }

    /// Its `User-Agent`. Jellyfin tells the outputs of jobs apart by it.
    pub(super) const fn agent(self) -> &'static str {
        match self {
            Self::Web => "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36",
            Self::AndroidTv => "Jellyfin Android TV/0.19.10",
            Self::Swiftfin => "Swiftfin/1.6",
            Self::Roku => "Roku/DVP-14.5",
            Self::Kodi => "Kodi/21.1",
            Self::MpvShim => "Jellyfin-MPV-Shim/3.3.0",
            Self::Bare => "curl/8.5.0",
        }
    }

    /// Seconds between two reports of progress.
    pub(super) const fn progress(self) -> f64 {
        match self {
            Self::Web => 10.0,
            Self::AndroidTv => 3.0,
            Self::Swiftfin | Self::MpvShim => 5.0,
            Self::Roku => 30.0,
            Self::Kodi | Self::Bare => 250.0,
        }
    }

    /// Whether it goes on reporting while it is paused.
    pub(super) const fn reports_pauses(self) -> bool {
        match self {
            Self::Web | Self::AndroidTv | Self::Swiftfin | Self::MpvShim => true,
            Self::Roku | Self::Kodi | Self::Bare => false,
        }
    }

    /// Whether it ends its encoding beside reporting that it stopped.
    pub(super) const fn deletes_encodings(self) -> bool {
        match self {
            Self::MpvShim | Self::Kodi => true,
            Self::Web | Self::AndroidTv | Self::Swiftfin | Self::Roku | Self::Bare => false,
        }
    }

    /// What its screen shows when a film is refused.
    pub(super) const fn shows(self) -> &'static str {
        match self {
            Self::Web => "“This media cannot be played at this time due to rate limits.”",
            Self::AndroidTv => "“This item cannot be played”",
            Self::Swiftfin => "“Unable to load this item.”",
            Self::Roku => "“Error Getting Playback Information”",
            Self::Kodi => "nothing; its log has the status",
            Self::MpvShim => "“Could not play this item”",
            Self::Bare => "a status and a text",
        }
    }

    /// The `Authorization` header. Some write it without quotes.
    pub(super) fn authorization(self, viewer: &Viewer, id: &str, token: Option<&str>) -> String {
        let quote = match self {
            Self::Swiftfin | Self::Kodi => "",
            Self::Web | Self::AndroidTv | Self::Roku | Self::MpvShim | Self::Bare => "\"",
        };
        let mut parts = vec![
            ("Client", self.client().replace(' ', "%20")),
            ("Device", viewer.device.replace(' ', "%20")),
            ("DeviceId", id.to_owned()),
            ("Version", "1.0.0".to_owned()),
        ];
        if quote == "\"" {
            for (_, value) in &mut parts {
                *value = value.replace("%20", " ");
            }
        }
        parts.extend(token.map(|token| ("Token", token.to_owned())));
        let parts: Vec<String> = parts
            .into_iter()
            .map(|(name, value)| format!("{name}={quote}{value}{quote}"))
            .collect();
        format!("MediaBrowser {}", parts.join(", "))
    }

    /// Query and body of the question how a film is to be played.
    pub(super) fn question(self, viewer: &Viewer, user: &str) -> (String, Value) {
        let bits = viewer.megabits * 1_000_000;
        let profile = self.profile(viewer, bits);
        match self {
            Self::Roku => (
                format!(
                    "?UserId={user}&StartTimeTicks=0&IsPlayback=true&AutoOpenLiveStream=true&MaxStreamingBitrate={bits}"
                ),
                json!({"DeviceProfile": profile}),
            ),
            Self::AndroidTv | Self::Kodi | Self::MpvShim | Self::Bare => (
                String::new(),
                json!({"UserId": user, "AutoOpenLiveStream": true, "DeviceProfile": profile}),
            ),
            Self::Web | Self::Swiftfin => (
                String::new(),
                json!({
                    "UserId": user, "StartTimeTicks": 0, "IsPlayback": true, "AutoOpenLiveStream": true,
                    "MaxStreamingBitrate": bits, "DeviceProfile": profile,
                }),
            ),
        }
    }

    /// What it says it can play.
    fn profile(self, viewer: &Viewer, bits: i64) -> Value {
        let (containers, video, audio) = match self {
            Self::Web => ("mp4,m4v,webm", "h264,av1,vp9", "aac,mp3,opus,flac,vorbis"),
            Self::AndroidTv if viewer.uhd => (
                "mp4,mkv,ts,webm",
                "h264,hevc,av1,vp9",
                "aac,mp3,ac3,eac3,flac",
            ),
            Self::AndroidTv => ("mp4,mkv,ts", "h264", "aac,mp3,ac3,eac3"),
            Self::Swiftfin => ("mp4,mkv,mov", "h264,hevc", "aac,mp3,ac3,eac3,flac"),
            Self::Roku => ("mp4,mkv", "h264", "aac,mp3,ac3"),
            Self::Kodi | Self::MpvShim | Self::Bare => ("", ALL_VIDEO, ALL_AUDIO),
        };
        let mut codecs = vec![json!({
            "Type": "Video", "Codec": "h264",
            "Conditions": [{"Condition": "EqualsAny", "Property": "VideoRangeType", "Value": "SDR", "IsRequired": false}],
        })];
        if !viewer.uhd {
            codecs.push(json!({
                "Type": "Video",
                "Conditions": [
                    {"Condition": "LessThanEqual", "Property": "Width", "Value": "1920", "IsRequired": false},
                    {"Condition": "EqualsAny", "Property": "VideoRangeType", "Value": "SDR", "IsRequired": false},
                ],
            }));
        }
        json!({
            "MaxStreamingBitrate": bits,
            "DirectPlayProfiles": [{"Type": "Video", "Container": containers, "VideoCodec": video, "AudioCodec": audio}],
            "TranscodingProfiles": [{
                "Type": "Video", "Container": "ts", "Protocol": "hls", "Context": "Streaming",
                "VideoCodec": "h264", "AudioCodec": "aac", "MaxAudioChannels": "2", "MinSegments": 1,
                "BreakOnNonKeyFrames": true,
            }],
            "CodecProfiles": codecs,
            "SubtitleProfiles": [{"Format": "vtt", "Method": "External"}, {"Format": "srt", "Method": "External"}],
        })
    }

    /// Reads an answer as this program does: what it plays, or that it plays nothing.
    pub(super) fn reads(self, answer: &Value, film: &str) -> Answer {
        if answer.get("ErrorCode").is_some_and(|code| !code.is_null()) {
            return Answer::Refused;
        }
        let sources = answer.get("MediaSources").and_then(Value::as_array);
        let sources = sources.map(Vec::as_slice).unwrap_or_default();
        let says = |source: &Value, name: &str| source.get(name) == Some(&Value::Bool(true));
        let direct = |source: &&Value| {
            says(source, "SupportsDirectPlay") || says(source, "SupportsDirectStream")
        };
        let chosen = match self {
            Self::Web => sources.iter().find(direct).or_else(|| sources.first()),
            Self::AndroidTv
            | Self::Swiftfin
            | Self::Roku
            | Self::Kodi
            | Self::MpvShim
            | Self::Bare => sources.first(),
        };
        let Some(source) = chosen else {
            return Answer::Refused;
        };
        let text = |name: &str| source.get(name).and_then(Value::as_str);
        let number = |name: &str| source.get(name).and_then(Value::as_i64).unwrap_or(0);
        match text("TranscodingUrl") {
            Some(url) if !direct(&source) => Answer::Playlist {
                url: url.to_owned(),
            },
            Some(_) | None if direct(&source) || self == Self::Swiftfin => Answer::Direct {
                url: format!(
                    "/Videos/{film}/stream?static=true&mediaSourceId={}",
                    text("Id").unwrap_or_default()
                ),
                seconds: seconds(number("RunTimeTicks")),
                rate: bytes(number("Bitrate")),
            },
            Some(_) | None => Answer::Refused,
        }
    }
}

/// Seconds of a number of ticks; a tick is 100 ns.
#[expect(clippy::cast_precision_loss, reason = "a film is short")]
fn seconds(ticks: i64) -> f64 {
    ticks as f64 / 1e7
}

/// Bytes a second of a bit rate.
#[expect(clippy::cast_precision_loss, reason = "a bit rate")]
fn bytes(rate: i64) -> f64 {
    rate as f64 / 8.0
}
