//! The parts of `GET /Sessions` that reconciliation reads.
//!
//! `TranscodingInfo` is found by the DeviceId of the stream URL and lingers after a kill: it is evidence of a job, not
//! proof. It holds no PlaySessionId.

use std::time::Duration;

use serde_json::Value;

use super::{
    Encoding, Plan, Source, VideoWork,
    members::{filled, flag, member, natural, number, small, text},
    plan::Track,
};
use crate::ident::{DeviceId, ItemId, UserId};

/// One session that plays something.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    /// `Id`, for messages and commands.
    pub id: String,
    /// `UserId`.
    pub user: Option<UserId>,
    /// `UserName`.
    pub user_name: Option<String>,
    /// `DeviceId`.
    pub device: DeviceId,
    /// `Client`.
    pub client: String,
    /// `RemoteEndPoint`, without a port.
    pub address: Option<String>,
    /// `NowPlayingItem.Id`, or of the media source that plays.
    pub item: Option<ItemId>,
    /// `NowPlayingItem.RunTimeTicks`.
    pub runtime: Option<Duration>,
    /// `PlayState.PositionTicks`.
    pub position: Option<Duration>,
    /// `PlayState.IsPaused`.
    pub paused: bool,
    /// `PlayState.PlayMethod`.
    pub method: Option<String>,
    /// `TranscodingInfo`, if there is one.
    pub job: Option<Job>,
    /// What is known of the source, from `NowPlayingItem.MediaStreams`.
    pub source: Source,
}

/// `TranscodingInfo`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// `IsVideoDirect`.
    pub video_copied: bool,
    /// `VideoCodec` of the output.
    pub video_codec: Option<String>,
    /// `CompletionPercentage`, 0..=100.
    pub completion: Option<f64>,
    /// `Framerate`.
    pub framerate: Option<f64>,
    /// `Width` and `Height` of the output.
    pub size: Option<(u32, u32)>,
    /// `Bitrate` of the output.
    pub bitrate: Option<u64>,
    /// `TranscodeReasons`.
    pub reasons: Vec<String>,
}

/// Reads the answer of `GET /Sessions`: every session, playing or not.
///
/// # Errors
/// It is not a JSON array.
pub fn sessions(body: &[u8]) -> Result<Vec<SessionRow>, serde_json::Error> {
    let rows: Vec<Value> = serde_json::from_slice(body)?;
    Ok(rows.iter().filter_map(SessionRow::read).collect())
}

// === impl SessionRow ===

impl SessionRow {
    /// Reads one session, in either casing. `None`: it names no device, so nothing can be tied to it.
    fn read(row: &Value) -> Option<Self> {
        let nothing = Value::Null;
        let state = member(row, "PlayState").unwrap_or(&nothing);
        let item = member(row, "NowPlayingItem").unwrap_or(&nothing);
        Some(Self {
            id: text(row, "Id").unwrap_or_default().to_owned(),
            user: filled(row, "UserId")
                .filter(|id| !is_empty_guid(id))
                .map(UserId::new),
            user_name: filled(row, "UserName").map(str::to_owned),
            device: DeviceId::new(filled(row, "DeviceId")?),
            client: text(row, "Client").unwrap_or_default().to_owned(),
            address: filled(row, "RemoteEndPoint").map(without_port),
            item: filled(item, "Id")
                .or_else(|| filled(state, "MediaSourceId"))
                .map(ItemId::new),
            runtime: natural(item, "RunTimeTicks").map(ticks),
            position: natural(state, "PositionTicks").map(ticks),
            paused: flag(state, "IsPaused"),
            method: filled(state, "PlayMethod").map(str::to_owned),
            job: member(row, "TranscodingInfo")
                .filter(|info| info.is_object())
                .map(Job::read),
            source: Source::read(item),
        })
    }

    /// What runs for this session on a server with these settings, as far as the row tells. Without a job it is
    /// [`Plan::Direct`]: nothing does.
    pub fn plan(&self, encoding: &Encoding) -> Plan {
        let Some(job) = &self.job else {
            return Plan::Direct;
        };
        let Some(codec_out) = job.video_codec.clone() else {
            return Plan::Audio;
        };
        if job.video_copied {
            return Plan::Remux;
        }
        let video = self.source.video(None);
        let burns = job
            .reasons
            .iter()
            .any(|reason| reason == "SubtitleCodecNotSupported");
        Plan::Video(VideoWork {
            codec_in: video.and_then(|video| video.codec.clone()),
            size_in: video.and_then(Track::size),
            millifps: video.and_then(|video| video.millifps),
            bits: video.and_then(|video| video.bits),
            range: video.and_then(|video| video.range.clone()),
            codec_out: codec_out.to_ascii_lowercase(),
            size_out: job.size.unwrap_or(UNKNOWN_SIZE),
            bitrate: job.bitrate,
            tone_map: encoding.tone_mapping && video.is_none_or(Track::hdr),
            burn_in: burns,
        })
    }
}

/// What a job's picture is taken for that does not tell its size: what most are held to.
const UNKNOWN_SIZE: (u32, u32) = (1920, 1080);

// === impl Job ===

impl Job {
    fn read(info: &Value) -> Self {
        let positive = |name| small::<u32>(info, name).filter(|n| *n > 0);
        let completion = number(info, "CompletionPercentage");
        Self {
            video_copied: flag(info, "IsVideoDirect"),
            video_codec: filled(info, "VideoCodec").map(str::to_owned),
            completion: completion.map(|percent| percent.clamp(0.0, 100.0)),
            framerate: number(info, "Framerate"),
            size: positive("Width").zip(positive("Height")),
            bitrate: natural(info, "Bitrate"),
            reasons: match member(info, "TranscodeReasons") {
                Some(Value::Array(reasons)) => reasons
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                // Servers before 10.9 write one string.
                Some(Value::String(reasons)) => reasons.split(", ").map(str::to_owned).collect(),
                Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                    Vec::new()
                }
            },
        }
    }
}

fn is_empty_guid(id: &str) -> bool {
    id.chars().all(|c| c == '0' || c == '-')
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_micros(ticks / 10)
}

/// The address of `1.2.3.4:5`, `[::1]:5`, `::1`.
fn without_port(text: &str) -> String {
    if let Some((address, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.to_owned();
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => address.to_owned(),
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn row(value: &Value) -> SessionRow {
        let body = json!([value]).to_string();
        sessions(body.as_bytes()).unwrap().remove(0)
    }

    fn playing(info: &Value) -> Value {
        json!({
            "Id": "s", "UserId": "b2eb2f9cc27c4ddd800c955f0ac93d6f", "DeviceId": "d", "Client": "c",
            "RemoteEndPoint": "[fd00::1]:9", "TranscodingInfo": info,
            "PlayState": {"PositionTicks": 50_000_000, "IsPaused": true, "PlayMethod": "Transcode"},
            "NowPlayingItem": {"Id": "i", "RunTimeTicks": 600_000_000, "MediaStreams": [
                {"Type": "Video", "Index": 0, "Codec": "hevc", "Width": 3840, "Height": 2160, "BitDepth": 10,
                 "VideoRangeType": "HDR10", "ReferenceFrameRate": 24}]},
        })
    }

    #[test]
    fn a_row_tells_who_plays_what_and_where() {
        let row = row(&playing(&json!(null)));
        assert_eq!(row.user, Some("b2eb2f9cc27c4ddd800c955f0ac93d6f".into()));
        assert_eq!(row.address.as_deref(), Some("fd00::1"));
        assert_eq!(row.position, Some(Duration::from_secs(5)));
        assert_eq!(row.runtime, Some(Duration::from_secs(60)));
        assert!(row.paused);
        assert_eq!(row.job, None);
        assert_eq!(row.plan(&Encoding::default()), Plan::Direct);
    }

    #[test]
    fn an_encode_is_priced_from_the_job_and_the_source() {
        let info = json!({"IsVideoDirect": false, "VideoCodec": "h264", "Width": 1280, "Height": 720,
            "Bitrate": 4_000_000, "CompletionPercentage": 12.5, "TranscodeReasons": ["SubtitleCodecNotSupported"]});
        let row = row(&playing(&info));
        let Plan::Video(work) = row.plan(&Encoding::dearest()) else {
            panic!("no encode: {row:?}");
        };
        assert_eq!(work.size_in, Some((3840, 2160)));
        assert_eq!(work.size_out, (1280, 720));
        assert!(work.tone_map && work.burn_in);
        assert_eq!(row.job.unwrap().completion, Some(12.5));
    }

    #[test]
    fn copies_and_audio_are_told_apart() {
        let copied = row(&playing(
            &json!({"IsVideoDirect": true, "VideoCodec": "hevc"}),
        ));
        let audio = row(&playing(
            &json!({"IsVideoDirect": false, "AudioCodec": "mp3"}),
        ));
        assert_eq!(copied.plan(&Encoding::default()), Plan::Remux);
        assert_eq!(audio.plan(&Encoding::default()), Plan::Audio);
        let idle = row(&json!({"DeviceId": "d", "UserId": "00000000-0000-0000-0000-000000000000"}));
        assert_eq!(
            (idle.plan(&Encoding::default()), idle.user),
            (Plan::Direct, None)
        );
    }

    #[test]
    fn camel_case_reads_the_same() {
        let camel = row(&json!({"id": "s", "deviceId": "d", "client": "c",
            "transcodingInfo": {"isVideoDirect": true, "videoCodec": "h264"}}));
        let pascal = row(&json!({"Id": "s", "DeviceId": "d", "Client": "c",
            "TranscodingInfo": {"IsVideoDirect": true, "VideoCodec": "h264"}}));
        assert_eq!(camel, pascal);
    }

    #[test]
    fn ports_are_cut_from_addresses() {
        let cut = ["1.2.3.4:5", "1.2.3.4", "::1", "[::1]:5", "host"].map(without_port);
        assert_eq!(cut, ["1.2.3.4", "1.2.3.4", "::1", "::1", "host"]);
    }

    proptest! {
        #[test]
        fn reading_sessions_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), word in "\\PC{0,8}") {
            let array = serde_json::from_slice::<Vec<Value>>(&bytes).is_ok();
            prop_assert_eq!(sessions(&bytes).is_ok(), array);
            for value in [json!(word), json!([word]), json!({"Id": word}), json!(1.5e300), json!(-1)] {
                let row = json!([{"DeviceId": "d", "PlayState": value, "NowPlayingItem": value, "TranscodingInfo": value,
                    "RemoteEndPoint": word}, value, {"DeviceId": "d", "TranscodingInfo": {"Width": value,
                    "CompletionPercentage": value, "TranscodeReasons": value, "VideoCodec": word}}]);
                for row in sessions(row.to_string().as_bytes()).unwrap() {
                    let _ = row.plan(&Encoding::default());
                }
            }
        }
    }
}
