//! Swiftfin, Roku, Kodi, a client that nobody knows, and a bare player.

use std::time::Duration;

use finweir::sim::Version;
use serde_json::{Value, json};

use super::profile;
use crate::support::{Answer, Device, House, Play, Shown};

/// Swiftfin: `Authorization` without quotes and in no order, twenty seconds of patience, and whatever has no
/// TranscodingUrl is played as the file it is.
#[derive(Clone, Debug)]
pub(crate) struct Swiftfin {
    pub(crate) device: Device,
    version: Version,
    /// What it measured of its line.
    pub(crate) bitrate: u64,
}

/// The Roku channel: its wishes stand in the query, and the server prefers them to the body.
#[derive(Clone, Debug)]
pub(crate) struct Roku {
    pub(crate) device: Device,
    version: Version,
}

/// The Kodi add-on: writes the bitrate and the size into the TranscodingUrl itself.
#[derive(Clone, Debug)]
pub(crate) struct Kodi {
    pub(crate) device: Device,
    version: Version,
    /// The bitrate of the add-on's settings.
    pub(crate) bitrate: u64,
    /// What it can play.
    pub(crate) profile: &'static str,
}

/// A program that Finweir has no table for.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    pub(crate) device: Device,
    version: Version,
}

/// curl: no PlaybackInfo, only the address of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Curl {
    pub(crate) device: Device,
}

// === impl Swiftfin ===

impl Swiftfin {
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let device = Device::login(house, user, id, "Swiftfin/1.6 CFNetwork/1498", |id, token| {
            let token = token.map_or_else(String::new, |token| format!(", Token={token}"));
            format!("MediaBrowser Version=1.6, DeviceId={id}{token}, Device=iPhone, Client=Swiftfin iOS")
        })
        .await;
        Self {
            device,
            version: house.version,
            bitrate: 1_500_000,
        }
    }

    pub(crate) async fn play(&self, item: &str) -> Shown {
        let body = json!({
            "AutoOpenLiveStream": true,
            "DeviceProfile": profile(self.version, "phone-sdr", self.bitrate),
            "MaxStreamingBitrate": self.bitrate,
            "UserId": self.device.user_id,
            "MediaSourceId": item,
        });
        let unable = Shown::Dialog("Unable to load this item.".to_owned());
        let asked = self.device.playback_info(item, "", &body);
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(20), asked).await else {
            return unable;
        };
        if answer.status != 200 {
            return unable;
        }
        let answer = answer.json();
        let Some(source) = answer["MediaSources"]
            .as_array()
            .and_then(|sources| sources.first())
        else {
            return unable;
        };
        let play = match Play::transcoded(item, &answer, source) {
            Some(play) => play,
            None => {
                let query = format!(
                    "&playSessionId={}",
                    answer["PlaySessionId"].as_str().unwrap()
                );
                Play::direct(item, &answer, source, &query).unwrap()
            }
        };
        begin(&self.device, play).await
    }
}

// === impl Roku ===

impl Roku {
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let device = Device::login(house, user, id, "Roku/DVP-12.0", |id, token| {
            let token = token.map_or_else(String::new, |token| format!(", Token=\"{token}\""));
            format!("MediaBrowser Client=\"Jellyfin Roku\", Device=\"Roku\", DeviceId=\"{id}\", Version=\"3.2.3\"{token}")
        })
        .await;
        Self {
            device,
            version: house.version,
        }
    }

    pub(crate) async fn play(&self, item: &str, bitrate: u64) -> Shown {
        let query = format!(
            "?UserId={}&StartTimeTicks=0&IsPlayback=true&AutoOpenLiveStream=true&MaxStreamingBitrate={bitrate}&MaxStaticBitrate={bitrate}&MediaSourceId={item}",
            self.device.user_id
        );
        let body = json!({"DeviceProfile": profile(self.version, "stick", 140_000_000)});
        let answer = self.device.playback_info(item, &query, &body).await;
        if answer.status != 200 {
            return Shown::Dialog(
                "There was an error retrieving the data for this item from the server.".to_owned(),
            );
        }
        let answer = answer.json();
        let Some(source) = answer["MediaSources"]
            .as_array()
            .and_then(|sources| sources.first())
        else {
            panic!("the channel crashes on an empty list");
        };
        if source["SupportsDirectPlay"].as_bool() == Some(true) {
            let query = format!(
                "&PlaySessionId={}",
                answer["PlaySessionId"].as_str().unwrap()
            );
            return begin(
                &self.device,
                Play::direct(item, &answer, source, &query).unwrap(),
            )
            .await;
        }
        match Play::transcoded(item, &answer, source) {
            Some(play) => begin(&self.device, play).await,
            None => Shown::Dialog("Server did not provide required transcoding data.".to_owned()),
        }
    }
}

// === impl Kodi ===

impl Kodi {
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let device = Device::login(house, user, id, "Kodi/21.0", |id, token| {
            let token = token.map_or_else(String::new, |token| format!(", Token={token}"));
            format!("MediaBrowser Client=Kodi, Device=HTPC, DeviceId={id}, Version=2.1.0{token}")
        })
        .await;
        Self {
            device,
            version: house.version,
            bitrate: 1_200_000,
            profile: "tv-box",
        }
    }

    pub(crate) async fn play(&self, item: &str) -> Shown {
        let body = json!({
            "UserId": self.device.user_id,
            "DeviceProfile": profile(self.version, self.profile, self.bitrate.max(1_500_000)),
            "AutoOpenLiveStream": true,
        });
        let answer = self.device.playback_info(item, "", &body).await;
        if answer.status != 200 {
            return Shown::Nothing;
        }
        let answer = answer.json();
        let source = answer["MediaSources"][0].clone();
        let Some(mut play) = Play::transcoded(item, &answer, &source) else {
            return Shown::Nothing;
        };
        play.url = rebuilt(&play.url, self.bitrate);
        begin(&self.device, play).await
    }
}

/// The address as Kodi rebuilds it.
fn rebuilt(url: &str, bitrate: u64) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap().to_ascii_lowercase();
        name != "videobitrate" && name != "audiobitrate"
    });
    let query: Vec<&str> = kept.collect();
    let (width, height) = if bitrate > 8_000_000 {
        (3840, 2160)
    } else {
        (1280, 720)
    };
    let path = path.replace("/stream", "/master");
    format!(
        "{path}?{}&VideoBitrate={bitrate}&AudioBitrate=128000&maxWidth={width}&maxHeight={height}",
        query.join("&")
    )
}

// === impl Unknown ===

impl Unknown {
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let device = Device::login(house, user, id, "HomeCinema/0.3", |id, token| {
            let token = token.map_or_else(String::new, |token| format!(", Token=\"{token}\""));
            format!("MediaBrowser Client=\"Home Cinema\", Device=\"Box\", DeviceId=\"{id}\", Version=\"0.3\"{token}")
        })
        .await;
        Self {
            device,
            version: house.version,
        }
    }

    pub(crate) async fn asks(&self, item: &str) -> Answer {
        let body = json!({
            "UserId": self.device.user_id,
            "DeviceProfile": profile(self.version, "browser", 1_500_000),
            "MaxStreamingBitrate": 1_500_000,
            "MediaSourceId": item,
        });
        self.device.playback_info(item, "", &body).await
    }
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

/// Opens what a client was told to play and reports it.
async fn begin(device: &Device, mut play: Play) -> Shown {
    if play.transcodes {
        if device.playlists(&mut play).await.is_err() {
            return Shown::Nothing;
        }
        let init = play.hls.init.iter().cloned();
        for url in init.chain([play.hls.segments[0].clone()]) {
            if device.fetch(&url).await.status != 200 {
                return Shown::Nothing;
            }
        }
    } else if device.file(&play.url).await.is_err() {
        return Shown::Nothing;
    }
    let started: Value = device.report_body(&play, Duration::ZERO, false);
    let started = device
        .send("POST", "/Sessions/Playing", Some(&started))
        .await;
    assert_eq!(started.status, 204);
    Shown::Playing(Box::new(play))
}
