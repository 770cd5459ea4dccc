//! A bare player that asks nobody how to play.

use crate::support::{Device, House};

/// curl: no PlaybackInfo, only the address of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Curl {
    pub(crate) device: Device,
}

// === impl Curl ===

impl Curl {
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let device = Device::login(house, user, id, "curl/8.5.0", |id, token| {
            let token = token.map_or_else(String::new, |token| format!(", Token=\"{token}\""));
            format!("MediaBrowser Client=\"Script\", Device=\"Shell\", DeviceId=\"{id}\", Version=\"1\"{token}")
        })
        .await;
        Self { device }
    }

    /// The address of a stream that encodes.
    pub(crate) fn encoding(&self, item: &str) -> String {
        format!(
            "/Videos/{item}/stream.ts?MediaSourceId={item}&VideoCodec=h264&AudioCodec=aac&VideoBitrate=1000000&ApiKey={}",
            self.device.token
        )
    }
}
