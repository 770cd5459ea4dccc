//! Jellyfin for Android TV: its legacy player.

use finweir::sim::Version;
use serde_json::{Value, json};

use super::{App, profile};
use crate::support::{Device, House, Play, Shown, Wish};

/// Jellyfin for Android TV.
#[derive(Clone, Debug)]
pub(crate) struct AndroidTv {
    pub(crate) device: Device,
    version: Version,
    pub(crate) bitrate: u64,
    /// It can't decode the file itself.
    pub(crate) blind: bool,
}

// === impl AndroidTv ===

impl AndroidTv {
    /// Starts the app and logs in.
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let app = App::AndroidTv;
        let header = |id: &str, token: Option<&str>| app.authorization(id, token);
        let device = Device::login(house, user, id, app.agent(), header).await;
        Self {
            device,
            version: house.version,
            bitrate: 1_500_000,
            blind: false,
        }
    }

    /// The ceiling stands in the profile only.
    pub(crate) fn body(&self, item: &str) -> Value {
        json!({
            "UserId": self.device.user_id,
            "MediaSourceId": item,
            "StartTimeTicks": 0,
            "DeviceProfile": profile(self.version, "tv-box", self.bitrate),
            "EnableDirectPlay": true,
            "EnableDirectStream": true,
            "AllowVideoStreamCopy": true,
            "AllowAudioStreamCopy": true,
            "AutoOpenLiveStream": true,
        })
    }

    /// Plays: a stream that fails is asked for twice more, without direct play, then without direct stream.
    pub(crate) async fn play(&self, item: &str) -> Shown {
        self.plays(&Wish::of(item)).await
    }

    pub(crate) async fn plays(&self, wish: &Wish) -> Shown {
        let item = &wish.item;
        let mut body = wish.written(self.body(item));
        for switch in ["", "EnableDirectPlay", "EnableDirectStream"] {
            if !switch.is_empty() {
                body[switch] = json!(false);
            }
            let mut play = match self.asks(item, &body).await {
                Shown::Playing(play) => *play,
                shown @ (Shown::Dialog(_) | Shown::Nothing) => return shown,
            };
            if self.begin(&mut play).await {
                assert_eq!(
                    self.device
                        .report("", &play, std::time::Duration::ZERO, false)
                        .await,
                    204
                );
                return Shown::Playing(Box::new(play));
            }
        }
        Shown::Dialog("Too many errors. Giving up".to_owned())
    }

    pub(crate) async fn asks(&self, item: &str, body: &Value) -> Shown {
        let answer = self.device.playback_info(item, "", body).await;
        // An error, and any ErrorCode, is only logged: the screen stays black.
        if answer.status != 200 {
            return Shown::Nothing;
        }
        let answer = answer.json();
        if answer.get("ErrorCode").is_some_and(|code| !code.is_null()) {
            return Shown::Nothing;
        }
        let Some(source) = answer["MediaSources"]
            .as_array()
            .and_then(|sources| sources.first())
        else {
            panic!("the app crashes on an empty list");
        };
        let can = |how: &str| source[how].as_bool() == Some(true);
        if can("SupportsDirectPlay") {
            // Neither a token nor a header nor a PlaySessionId.
            return Shown::Playing(Box::new(Play::direct(item, &answer, source, "").unwrap()));
        }
        if can("SupportsDirectStream") || can("SupportsTranscoding") {
            return match Play::transcoded(item, &answer, source) {
                Some(play) => Shown::Playing(Box::new(play)),
                None => Shown::Nothing,
            };
        }
        Shown::Dialog("This item cannot be played".to_owned())
    }

    /// ExoPlayer asks four times for whatever fails.
    async fn begin(&self, play: &mut Play) -> bool {
        for _ in 0..4 {
            let began = self.device.begins(play).await.is_ok();
            let began = began && (play.transcodes || !self.blind);
            if began {
                return true;
            }
        }
        false
    }
}
