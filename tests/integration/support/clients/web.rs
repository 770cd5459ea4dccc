//! jellyfin-web in a browser, as it was recorded (`tests/captures/*/web`).

use std::time::Duration;

use serde_json::{Value, json};

use super::App;
use crate::support::{Device, House, Play, Shown, Wish, recorded, ticks};

/// What the browser calls itself.
pub(crate) const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";

/// A tab with jellyfin-web.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    pub(crate) device: Device,
    /// The body of a PlaybackInfo as it was recorded.
    asks: Value,
    /// The quality that is set.
    pub(crate) bitrate: u64,
    /// It can't decode the file itself.
    pub(crate) blind: bool,
}

// === impl Web ===

impl Web {
    /// Opens a browser and logs in. The quality is low enough that nothing plays directly.
    pub(crate) async fn login(house: &House, user: &str, id: &str) -> Self {
        let app = App::Web;
        let header = |id: &str, token: Option<&str>| app.authorization(id, token);
        let device = Device::login(house, user, id, app.agent(), header).await;
        let records = recorded(house.version, "web/1-heavy3m");
        let asked = records
            .iter()
            .find(|record| {
                let target = record["request"]["target"].as_str();
                target.is_some_and(|target| target.contains("/PlaybackInfo"))
            })
            .unwrap();
        let asks = serde_json::from_str(asked["request"]["body"].as_str().unwrap()).unwrap();
        Self {
            device,
            asks,
            bitrate: 1_500_000,
            blind: false,
        }
    }

    /// The body of a PlaybackInfo.
    pub(crate) fn body(&self, item: &str, start: Duration) -> Value {
        let mut body = self.asks.clone();
        body["UserId"] = json!(self.device.user_id);
        body["MediaSourceId"] = json!(item);
        body["MaxStreamingBitrate"] = json!(self.bitrate);
        body["StartTimeTicks"] = json!(ticks(start));
        body
    }

    /// The body of a PlaybackInfo after something could not be played, as it was recorded.
    pub(crate) fn escalated(&self, item: &str) -> Value {
        let mut body = self.body(item, Duration::ZERO);
        for switch in [
            "EnableDirectPlay",
            "EnableDirectStream",
            "AllowVideoStreamCopy",
        ] {
            body[switch] = json!(false);
        }
        body
    }

    pub(crate) async fn asks(&self, item: &str, body: &Value) -> Shown {
        let answer = self.device.playback_info(item, "", body).await;
        if answer.status != 200 {
            return Shown::Dialog("There was an error processing the request.".to_owned());
        }
        let answer = answer.json();
        if let Some(code) = answer["ErrorCode"].as_str() {
            return Shown::Dialog(format!("PlaybackError.{code}"));
        }
        let sources = answer["MediaSources"].as_array().unwrap();
        let can = |source: &&Value, how: &str| source[how].as_bool() == Some(true);
        let direct = |source: &&Value| {
            can(source, "SupportsDirectPlay") || can(source, "SupportsDirectStream")
        };
        if let Some(source) = sources.iter().find(direct) {
            let query = format!("&deviceId={}&ApiKey={}", self.device.id, self.device.token);
            return Shown::Playing(Box::new(
                Play::direct(item, &answer, source, &query).unwrap(),
            ));
        }
        let transcoded = sources
            .iter()
            .find(|source| can(source, "SupportsTranscoding"));
        match transcoded.and_then(|source| Play::transcoded(item, &answer, source)) {
            Some(play) => Shown::Playing(Box::new(play)),
            None => Shown::Dialog(
                "Playback failed because the media is not supported by this client.".to_owned(),
            ),
        }
    }

    /// Clicks on a film: asks, opens the stream, reports. A stream that fails is asked for twice more, each time as
    /// something dearer.
    pub(crate) async fn play(&self, item: &str) -> Shown {
        self.play_from(item, Duration::ZERO).await
    }

    pub(crate) async fn play_from(&self, item: &str, start: Duration) -> Shown {
        self.plays(item, self.body(item, start), start).await
    }

    /// What is wished for, in the words of this client.
    pub(crate) fn question(&self, wish: &Wish) -> Value {
        let mut body = wish.written(self.body(&wish.item, wish.start));
        if !wish.named {
            body.as_object_mut().unwrap().remove("MediaSourceId");
        }
        body
    }

    /// Plays what a body asks for.
    pub(crate) async fn plays(&self, item: &str, mut body: Value, start: Duration) -> Shown {
        for refused in [
            &[][..],
            &[
                "EnableDirectPlay",
                "EnableDirectStream",
                "AllowVideoStreamCopy",
            ],
            &["AllowAudioStreamCopy"],
        ] {
            for switch in refused {
                body[switch] = json!(false);
            }
            let mut play = match self.asks(item, &body).await {
                Shown::Playing(play) => *play,
                shown @ (Shown::Dialog(_) | Shown::Nothing) => return shown,
            };
            if self.begin(&mut play, start).await.is_ok() {
                return Shown::Playing(Box::new(play));
            }
        }
        Shown::Dialog("Playback failed due to a fatal player error.".to_owned())
    }

    /// master → main → `-1` → 0 → 0 again → Playing. The status of the first request that fails is the error.
    pub(crate) async fn begin(&self, play: &mut Play, start: Duration) -> Result<(), u16> {
        if !play.transcodes {
            self.device.file(&play.url).await?;
            if self.blind {
                return Err(200);
            }
        } else {
            self.device.playlists(play).await?;
            let first = number_at(start);
            let init = play.hls.init.iter().cloned();
            let segment = &play.hls.segments[first];
            for url in init.chain([segment.clone(), segment.clone()]) {
                let status = self.device.fetch(&url).await.status;
                if status != 200 {
                    return Err(status);
                }
            }
        }
        assert_eq!(self.device.report("", play, start, false).await, 204);
        Ok(())
    }

    /// Seeks: segments only.
    pub(crate) async fn seek(&self, play: &Play, to: usize) {
        assert_eq!(self.device.segment(play, to).await, 200);
        assert_eq!(self.device.segment(play, to + 1).await, 200);
        let position = Duration::from_secs(3 * to as u64);
        assert_eq!(
            self.device.report("/Progress", play, position, false).await,
            204
        );
    }

    /// Reports that it is paused; the web client goes on saying so every ten seconds.
    pub(crate) async fn pause(&self, play: &Play, at: Duration) {
        assert_eq!(self.device.report("/Progress", play, at, true).await, 204);
    }

    /// Changes what is played (quality, burned-in subtitle): PlaybackInfo → DELETE(old) → new stream → DELETE(old).
    /// While it is asked, the old film plays on.
    pub(crate) async fn change(
        &self,
        old: &Play,
        at: Duration,
        change: impl FnOnce(&mut Value),
    ) -> Shown {
        let mut body = self.body(&old.item, at);
        change(&mut body);
        let mut play = match self.asks(&old.item, &body).await {
            Shown::Playing(play) => *play,
            shown @ (Shown::Dialog(_) | Shown::Nothing) => return shown,
        };
        assert_eq!(self.device.delete_encoding(&old.session).await, 204);
        let began = self.begin(&mut play, at).await;
        assert_eq!(self.device.delete_encoding(&old.session).await, 204);
        match began {
            Ok(()) => Shown::Playing(Box::new(play)),
            Err(_) => Shown::Nothing,
        }
    }

    /// The next episode: Stopped(old) is sent, and PlaybackInfo 0.1 s later without waiting for its answer, which
    /// Jellyfin takes two seconds for (`web/6-next`). The order in which the two arrive is what is tried, so that the
    /// tenth is real.
    pub(crate) async fn next(&self, old: &Play, item: &str) -> Shown {
        let end = Duration::from_secs(60);
        let asks = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.play(item).await
        };
        let (stopped, shown) = tokio::join!(self.device.report("/Stopped", old, end, false), asks);
        assert_eq!(stopped, 204);
        shown
    }

    /// Stops: only Stopped, never DELETE.
    pub(crate) async fn stop(&self, play: &Play, at: Duration) {
        assert_eq!(self.device.report("/Stopped", play, at, true).await, 204);
    }
}

/// The segment of an encoded stream at a position.
fn number_at(position: Duration) -> usize {
    usize::try_from(position.as_secs() / 3).unwrap()
}
