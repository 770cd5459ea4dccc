//! A viewer with a web player: negotiates, plays segments, reports, stops.

use std::net::SocketAddr;

use ::http::{Method, Request};
use bytes::Bytes;
use finweir::sim::Sim;
use serde_json::{Value, json};

use super::http::{Answer, Connection, Failure, ask, get, request};

/// Somebody with a login on a device.
pub(crate) struct Viewer {
    pub(crate) token: String,
    device: String,
    user: String,
}

/// A film that plays.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) item: String,
    pub(crate) session: String,
    segments: Vec<String>,
}

/// What became of a wish.
#[derive(Debug)]
pub(crate) enum Played {
    Plays(Film),
    Refused(Value),
}

impl Viewer {
    /// Logs in.
    pub(crate) fn new(sim: &Sim, name: &str, device: &str) -> Self {
        Self {
            token: sim.token_of(name, device).unwrap(),
            device: device.to_owned(),
            user: sim.user_id(name).unwrap(),
        }
    }

    /// A request with the login.
    pub(crate) fn signed(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let line = format!(
            "MediaBrowser Client=\"Jellyfin Web\", Device=\"Browser\", DeviceId=\"{}\", Version=\"10.11.0\", Token=\"{}\"",
            self.device, self.token
        );
        request
            .headers_mut()
            .insert("Authorization", line.parse().unwrap());
        request
    }

    /// A PlaybackInfo request for a film that must be encoded: the line is slow.
    pub(crate) fn wish(&self, item: &str) -> Request<Bytes> {
        let body = json!({
            "UserId": self.user,
            "StartTimeTicks": 0,
            "IsPlayback": true,
            "AutoOpenLiveStream": true,
            "MaxStreamingBitrate": 3_000_000,
            "DeviceProfile": {
                "MaxStreamingBitrate": 120_000_000,
                "DirectPlayProfiles": [{"Container": "mp4", "Type": "Video", "VideoCodec": "h264", "AudioCodec": "aac"}],
                "TranscodingProfiles": [{
                    "Container": "ts", "Type": "Video", "VideoCodec": "h264", "AudioCodec": "aac",
                    "Context": "Streaming", "Protocol": "hls", "MaxAudioChannels": "2", "MinSegments": 1,
                }],
                "ContainerProfiles": [],
                "CodecProfiles": [],
                "SubtitleProfiles": [],
            },
        });
        let target = format!("/Items/{item}/PlaybackInfo?UserId={}", self.user);
        self.signed(request(Method::POST, &target, &body.to_string()))
    }

    /// Asks for a film, and for the first segment if it may be played.
    pub(crate) async fn play(&self, through: SocketAddr, item: &str) -> Played {
        let info = ask(through, self.wish(item)).await.unwrap();
        assert_eq!(info.status, 200, "{}", info.text());
        let info = info.json();
        let address = info.pointer("/MediaSources/0/TranscodingUrl");
        let Some(master) = address.and_then(Value::as_str) else {
            return Played::Refused(info);
        };
        let session = info.get("PlaySessionId").and_then(Value::as_str).unwrap();
        let (folder, _) = master.split_once("/master.m3u8").unwrap();
        let lines = async |target: &str| -> Vec<String> {
            let answer = ask(through, get(target)).await.unwrap();
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let text = answer.text();
            let lines = text
                .lines()
                .filter(|l| !l.is_empty() && !l.starts_with('#'));
            lines.map(|line| format!("{folder}/{line}")).collect()
        };
        let variants = lines(master).await;
        let film = Film {
            item: item.to_owned(),
            session: session.to_owned(),
            segments: lines(variants.first().unwrap()).await,
        };
        self.segment(through, &film, 0).await;
        Played::Plays(film)
    }

    /// Asks for a segment, and insists that it comes.
    pub(crate) async fn segment(&self, through: SocketAddr, film: &Film, number: usize) -> Answer {
        let answer = self.try_segment(through, film, number).await.unwrap();
        assert_eq!(answer.status, 200, "segment {number}: {}", answer.text());
        answer
    }

    /// Asks for a segment.
    pub(crate) async fn try_segment(
        &self,
        through: SocketAddr,
        film: &Film,
        number: usize,
    ) -> Result<Answer, Failure> {
        ask(through, get(film.segments.get(number).unwrap())).await
    }

    /// Sends a report about a film: `/Sessions/Playing` and what is below it.
    pub(crate) async fn report(&self, through: SocketAddr, film: &Film, below: &str) -> Answer {
        let body = json!({
            "ItemId": film.item,
            "PlaySessionId": film.session,
            "PositionTicks": 30_000_000,
            "IsPaused": false,
            "PlayMethod": "Transcode",
            "CanSeek": true,
        });
        let target = format!("/Sessions/Playing{below}");
        let report = request(Method::POST, &target, &body.to_string());
        ask(through, self.signed(report)).await.unwrap()
    }

    /// The address of a file as it is.
    pub(crate) fn file(&self, item: &str) -> String {
        format!(
            "/Videos/{item}/stream.mp4?static=true&MediaSourceId={item}&ApiKey={}",
            self.token
        )
    }

    /// Begins to download a part of a file; nothing of the body is read yet.
    pub(crate) async fn download(
        &self,
        through: SocketAddr,
        item: &str,
        (first, last): (u64, u64),
    ) -> (Connection, ::http::Response<hyper::body::Incoming>) {
        let mut request = get(&self.file(item));
        let range = format!("bytes={first}-{last}").parse().unwrap();
        request.headers_mut().insert("Range", range);
        let mut connection = Connection::open(through).await.unwrap();
        let answer = connection.send(request).await.unwrap();
        assert_eq!(answer.status(), 206);
        (connection, answer)
    }
}

impl Played {
    /// The film, which must play.
    pub(crate) fn plays(self) -> Film {
        match self {
            Self::Plays(film) => film,
            Self::Refused(info) => panic!("refused: {info}"),
        }
    }

    /// The refusal, as the web client is told it.
    pub(crate) fn refused(self) -> Value {
        match self {
            Self::Plays(film) => panic!("plays: {film:?}"),
            Self::Refused(info) => {
                assert_eq!(info.get("ErrorCode"), Some(&json!("RateLimitExceeded")));
                info
            }
        }
    }
}

/// The id of a film, by its number in the library. Each must be encoded for [`Viewer::wish`].
pub(crate) fn film(number: usize) -> String {
    let ids = finweir::sim::Library::evening().ids();
    ids.get(number).unwrap().clone()
}
