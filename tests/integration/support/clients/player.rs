//! A player on a device: all programs but the web client and Android TV, which have models of their own.

use std::time::Duration;

use finweir::sim::Version;
use serde_json::{Value, json};

use super::{App, profile};
use crate::support::{Answer, Device, House, Play, Shown, Wish};

/// A program on a device, logged in.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    pub(crate) app: App,
    pub(crate) device: Device,
    version: Version,
    /// The most that it wants to be sent.
    pub(crate) bitrate: u64,
    /// It can't decode the file itself.
    pub(crate) blind: bool,
    /// The recorded profile of what it can play.
    pub(crate) profile: &'static str,
}

/// What Kodi leaves of its bitrate for the sound.
const SOUND: u64 = 300_000;
/// What Android does one after the other when it could not play.
const ANDROID: [&[&str]; 4] = [
    &[],
    &[],
    &["EnableDirectPlay"],
    &["EnableDirectPlay", "EnableDirectStream"],
];

// === impl App ===

impl App {
    /// Starts the program on a device and logs in.
    pub(crate) async fn login(self, house: &House, user: &str, id: &str) -> Player {
        let header = |id: &str, token: Option<&str>| self.authorization(id, token);
        Player {
            app: self,
            device: Device::login(house, user, id, self.agent(), header).await,
            version: house.version,
            bitrate: 1_500_000,
            blind: false,
            profile: self.profile(),
        }
    }
}

// === impl Player ===

impl Player {
    /// Query and body of the question how something is to be played.
    fn question(&self, wish: &Wish) -> (String, Value) {
        let user = &self.device.user_id;
        let bitrate = self.bitrate;
        let named = wish.named || self.app.names_the_version();
        // Where the ceiling stands differs.
        let in_profile = |bitrate| profile(self.version, self.profile, bitrate);
        let (query, mut body) = match self.app {
            App::Roku => {
                let source = format!("&MediaSourceId={}", wish.item);
                return (
                    format!(
                        "?UserId={user}&StartTimeTicks=0&IsPlayback=true&AutoOpenLiveStream=true&MaxStreamingBitrate={bitrate}&MaxStaticBitrate={bitrate}{source}"
                    ),
                    wish.written(json!({"DeviceProfile": in_profile(140_000_000)})),
                );
            }
            App::Vue => {
                let query = format!(
                    "?userId={user}&maxStreamingBitrate={bitrate}&mediaSourceId={}",
                    wish.item
                );
                return (
                    query,
                    wish.written(json!({"DeviceProfile": in_profile(140_000_000)})),
                );
            }
            App::MpvShim => (
                String::new(),
                json!({"UserId": user, "AutoOpenLiveStream": true, "IsPlayback": true, "DeviceProfile": in_profile(bitrate)}),
            ),
            App::Kodi => (
                String::new(),
                json!({"UserId": user, "AutoOpenLiveStream": true, "DeviceProfile": in_profile(bitrate)}),
            ),
            // It says that it plays everything, and does.
            App::Findroid => (
                String::new(),
                json!({"UserId": user, "DeviceProfile": {"MaxStreamingBitrate": 1_000_000_000, "MaxStaticBitrate": 1_000_000_000, "DirectPlayProfiles": [{"Type": "Video"}]}}),
            ),
            App::Android
            | App::Swiftfin
            | App::Chromecast
            | App::Streamyfin
            | App::Infuse
            | App::Unknown
            | App::Web
            | App::AndroidTv => (
                String::new(),
                json!({"UserId": user, "AutoOpenLiveStream": true, "MaxStreamingBitrate": bitrate, "DeviceProfile": in_profile(bitrate)}),
            ),
        };
        if named {
            body["MediaSourceId"] = json!(wish.item);
        }
        (query, wish.written(body))
    }

    /// Asks how an item is to be played, and does nothing about it.
    pub(crate) async fn asks(&self, item: &str) -> Answer {
        let (query, body) = self.question(&Wish::of(item));
        self.device.playback_info(item, &query, &body).await
    }

    /// Plays an item.
    pub(crate) async fn play(&self, item: &str) -> Shown {
        self.plays(&Wish::of(item)).await
    }

    /// Plays what is wished for.
    pub(crate) async fn plays(&self, wish: &Wish) -> Shown {
        match self.plan(wish).await {
            Ok(play) => self.begins(wish, play).await,
            Err(shown) => shown,
        }
    }

    /// Asks how something is to be played. The error is what is shown in place of it.
    pub(crate) async fn plan(&self, wish: &Wish) -> Result<Play, Shown> {
        let (query, body) = self.question(wish);
        self.plan_by(wish, &query, &body).await
    }

    async fn plan_by(&self, wish: &Wish, query: &str, body: &Value) -> Result<Play, Shown> {
        if self.app == App::Infuse {
            let (item, token) = (&wish.item, &self.device.token);
            let answer = json!({"PlaySessionId": ""});
            let play = Play::direct(
                item,
                &answer,
                &json!({"Id": item}),
                &format!("&ApiKey={token}"),
            );
            return Ok(play.unwrap());
        }
        let asked = self.device.playback_info(&wish.item, query, body);
        // Swiftfin gives up by itself; the others' patience is longer than any test.
        let answer = match self.app {
            App::Swiftfin => tokio::time::timeout(Duration::from_secs(20), asked)
                .await
                .map_err(|_| self.says("Unable to load this item."))?,
            App::Web
            | App::AndroidTv
            | App::Android
            | App::MpvShim
            | App::Kodi
            | App::Roku
            | App::Chromecast
            | App::Vue
            | App::Streamyfin
            | App::Findroid
            | App::Infuse
            | App::Unknown => asked.await,
        };
        self.reads(&wish.item, &answer)
    }

    /// Reads an answer as this program does.
    fn reads(&self, item: &str, answer: &Answer) -> Result<Play, Shown> {
        if self.app == App::MpvShim {
            // Python's client raises a KeyError without it.
            assert!(answer.header("date").is_some(), "mpv-shim crashes: no Date");
        }
        if answer.status != 200 {
            assert_ne!(answer.status, 401, "it drops its login");
            return Err(match self.app {
                App::Swiftfin | App::Streamyfin => self.says("Unable to load this item."),
                App::MpvShim => self.says("Could not play this item"),
                App::Roku => self
                    .says("There was an error retrieving the data for this item from the server."),
                App::Chromecast => self.says("connectionerror"),
                App::Vue => self.says("cantPlayItem"),
                App::Unknown => self.says(&answer.status.to_string()),
                App::Web
                | App::AndroidTv
                | App::Android
                | App::Kodi
                | App::Findroid
                | App::Infuse => Shown::Nothing,
            });
        }
        let json = answer.json();
        let source = json["MediaSources"]
            .as_array()
            .and_then(|sources| sources.first());
        let code = json["ErrorCode"].as_str();
        let Some(source) = source else {
            return Err(match (self.app, code) {
                (App::Swiftfin | App::Streamyfin, _) => self.says("Unable to load this item."),
                (App::Roku, _) => panic!("the channel crashes on an empty list"),
                (App::Chromecast, Some(_)) => self.says("playbackerror"),
                (App::Unknown, Some(code)) => self.says(code),
                (_, _) => Shown::Nothing,
            });
        };
        let can = |how: &str| source[how].as_bool() == Some(true);
        let session = json["PlaySessionId"].as_str().unwrap_or_default();
        let (token, device) = (&self.device.token, &self.device.id);
        let file = |query: String| Ok(Play::direct(item, &json, source, &query).unwrap());
        let stream = Play::transcoded(item, &json, source);
        let direct = can("SupportsDirectPlay") || can("SupportsDirectStream");
        if !direct && can("SupportsTranscoding") && stream.is_none() {
            let crashes = matches!(self.app, App::Android | App::MpvShim);
            assert!(!crashes, "it crashes without TranscodingUrl");
        }
        match self.app {
            App::Swiftfin => stream.map_or_else(|| file(format!("&playSessionId={session}")), Ok),
            App::Streamyfin => stream.map_or_else(|| file(format!("&api_key={token}")), Ok),
            App::Android if can("SupportsDirectPlay") => {
                file(format!("&playSessionId={session}&deviceId={device}"))
            }
            App::MpvShim if can("SupportsDirectStream") => file(String::new()),
            App::Kodi | App::Chromecast | App::Vue | App::Unknown if direct => {
                file(format!("&ApiKey={token}"))
            }
            App::Roku if can("SupportsDirectPlay") => file(format!("&PlaySessionId={session}")),
            App::Findroid | App::Infuse => file(format!("&ApiKey={token}")),
            App::Kodi => match stream {
                Some(play) => Ok(Play {
                    url: self.rebuilt(&play.url),
                    ..play
                }),
                None => Err(Shown::Nothing),
            },
            App::Roku => {
                stream.ok_or_else(|| self.says("Server did not provide required transcoding data."))
            }
            App::Chromecast | App::Vue => stream.ok_or_else(|| self.says("error")),
            App::Android | App::MpvShim | App::Unknown | App::Web | App::AndroidTv => {
                stream.ok_or(Shown::Nothing)
            }
        }
    }

    fn says(&self, text: &str) -> Shown {
        Shown::Dialog(text.to_owned())
    }

    /// Opens what it was told to play. What becomes of a failure differs.
    pub(crate) async fn begins(&self, wish: &Wish, mut play: Play) -> Shown {
        let (query, body) = self.question(wish);
        let tries: &[&[&str]] = if self.app == App::Android {
            &ANDROID
        } else {
            &[&[]]
        };
        for (nth, switches) in tries.iter().enumerate() {
            if nth > 0 {
                let mut body = body.clone();
                for switch in *switches {
                    body[switch] = json!(false);
                }
                play = match self.plan_by(wish, &query, &body).await {
                    Ok(play) => play,
                    Err(shown) => return shown,
                };
            }
            if self.open(&mut play).await {
                self.report_start(&play).await;
                return Shown::Playing(Box::new(play));
            }
        }
        Shown::Nothing
    }

    /// Reads the beginning. Roku tries the same address three times.
    async fn open(&self, play: &mut Play) -> bool {
        let times = if self.app == App::Roku { 3 } else { 1 };
        for _ in 0..times {
            if self.device.begins(play).await.is_ok() {
                return play.transcodes || !self.blind;
            }
        }
        false
    }

    async fn report_start(&self, play: &Play) {
        if self.app == App::Infuse {
            return;
        }
        let status = self.device.report("", play, Duration::ZERO, false).await;
        assert_eq!(status, 204);
    }

    /// The address as Kodi rebuilds it: with its own bitrate and size.
    fn rebuilt(&self, url: &str) -> String {
        let (path, query) = url.split_once('?').unwrap();
        let kept = query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap().to_ascii_lowercase();
            name != "videobitrate" && name != "audiobitrate"
        });
        let query: Vec<&str> = kept.collect();
        let path = path.replace("/stream", "/master");
        let video = self.bitrate.saturating_sub(SOUND).max(SOUND);
        let (width, height) = if video > 8_000_000 {
            (3840, 2160)
        } else {
            (1280, 720)
        };
        format!(
            "{path}?{}&VideoBitrate={video}&AudioBitrate=128000&maxWidth={width}&maxHeight={height}",
            query.join("&")
        )
    }
}
