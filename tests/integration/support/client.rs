//! What all clients have in common: a login, an address to play, reports.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{
    House,
    http::{Answer, ask, open},
};

/// A device of a user's, logged in.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) address: SocketAddr,
    pub(crate) user_id: String,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) authorization: String,
    pub(crate) agent: &'static str,
    /// How its questions were answered, in their order.
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// How a PlaybackInfo was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The file is to be played as it is.
    File,
    /// Here is the address of a stream.
    Stream,
    /// Refused with an `ErrorCode`.
    E,
    /// Refused with sources that support nothing.
    N,
    /// Refused with this status.
    H(u16),
}

/// What a viewer wants to see, and how.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) item: String,
    /// He has chosen a version of it.
    pub(crate) named: bool,
    pub(crate) start: Duration,
    pub(crate) audio: Option<u64>,
    /// A subtitle that is to be drawn into the picture.
    pub(crate) drawn: Option<u64>,
}

/// Something that a client was told to play.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) item: String,
    pub(crate) source: String,
    pub(crate) session: String,
    /// The address of the stream: a master playlist or a file.
    pub(crate) url: String,
    pub(crate) transcodes: bool,
    pub(crate) hls: Hls,
}

/// What the playlists of a stream list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hls {
    pub(crate) variants: Vec<String>,
    pub(crate) init: Option<String>,
    pub(crate) segments: Vec<String>,
}

/// What the person before the client gets to see.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// The film.
    Playing(Box<Play>),
    /// A dialog or toast with this text.
    Dialog(String),
    /// A black screen or a spinner, without a word.
    Nothing,
}

// === impl Wish ===

impl Wish {
    /// From the beginning, as it is.
    pub(crate) fn of(item: &str) -> Self {
        Self {
            item: item.to_owned(),
            named: false,
            start: Duration::ZERO,
            audio: None,
            drawn: None,
        }
    }

    /// The body of a question, with this in it.
    pub(crate) fn written(&self, mut body: Value) -> Value {
        if !self.start.is_zero() {
            body["StartTimeTicks"] = json!(ticks(self.start));
        }
        if let Some(audio) = self.audio {
            body["AudioStreamIndex"] = json!(audio);
        }
        if let Some(drawn) = self.drawn {
            body["SubtitleStreamIndex"] = json!(drawn);
            body["AlwaysBurnInSubtitleWhenTranscoding"] = json!(true);
        }
        body
    }
}

// === impl Heard ===

impl Heard {
    fn of(answer: &Answer) -> Self {
        if answer.status != 200 {
            return Self::H(answer.status);
        }
        let json = answer.json();
        let source = &json["MediaSources"][0];
        if json["ErrorCode"].is_string() {
            Self::E
        } else if source["SupportsDirectPlay"] == json!(true) {
            Self::File
        } else if source["TranscodingUrl"].is_string() {
            Self::Stream
        } else {
            Self::N
        }
    }
}

// === impl Shown ===

impl Shown {
    /// The film that plays. Anything else fails the test.
    pub(crate) fn playing(self) -> Play {
        match self {
            Self::Playing(play) => *play,
            Self::Dialog(text) => panic!("it does not play, it says {text:?}"),
            Self::Nothing => panic!("it does not play and says nothing"),
        }
    }

    /// The text of the dialog. Anything else fails the test.
    pub(crate) fn says(self) -> String {
        match self {
            Self::Dialog(text) => text,
            Self::Playing(_) => panic!("it plays"),
            Self::Nothing => panic!("it says nothing"),
        }
    }
}

// === impl Play ===

impl Play {
    /// Reads one source of an answer as something to play by its TranscodingUrl.
    pub(crate) fn transcoded(item: &str, answer: &Value, source: &Value) -> Option<Self> {
        let url = source["TranscodingUrl"].as_str()?;
        Some(Self {
            item: item.to_owned(),
            source: source["Id"].as_str()?.to_owned(),
            session: answer["PlaySessionId"].as_str()?.to_owned(),
            url: url.to_owned(),
            transcodes: true,
            hls: Hls::default(),
        })
    }

    /// The same source as the file that it is.
    pub(crate) fn direct(item: &str, answer: &Value, source: &Value, query: &str) -> Option<Self> {
        let id = source["Id"].as_str()?;
        Some(Self {
            item: item.to_owned(),
            source: id.to_owned(),
            session: answer["PlaySessionId"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            url: format!("/Videos/{item}/stream?static=true&mediaSourceId={id}{query}"),
            transcodes: false,
            hls: Hls::default(),
        })
    }
}

// === impl Device ===

impl Device {
    /// Logs a user in on a device, through Finweir. `header` writes the `Authorization` of this client around a token.
    pub(crate) async fn login(
        house: &House,
        user: &str,
        id: &str,
        agent: &'static str,
        header: impl Fn(&str, Option<&str>) -> String,
    ) -> Self {
        let body = json!({"Username": user, "Pw": "pw"}).to_string();
        let headers = [
            ("Authorization".to_owned(), header(id, None)),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        let target = "/Users/AuthenticateByName";
        let answer = ask(
            house.address(),
            "POST",
            target,
            &headers,
            Some(body.as_bytes()),
        )
        .await
        .unwrap();
        assert_eq!(
            answer.status,
            200,
            "{user} could not log in: {}",
            answer.text()
        );
        let answer = answer.json();
        let token = answer["AccessToken"].as_str().unwrap().to_owned();
        Self {
            address: house.address(),
            user_id: answer["User"]["Id"].as_str().unwrap().to_owned(),
            id: id.to_owned(),
            authorization: header(id, Some(&token)),
            token,
            agent,
            heard: Arc::default(),
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        vec![
            ("Authorization".to_owned(), self.authorization.clone()),
            ("User-Agent".to_owned(), self.agent.to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ]
    }

    /// Sends a request of the application: with its `Authorization`.
    pub(crate) async fn send(&self, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let body = body.as_ref().map(String::as_bytes);
        ask(self.address, method, target, &self.headers(), body)
            .await
            .unwrap()
    }

    /// Sends a request of the player: what is in the address must do.
    pub(crate) async fn fetch(&self, target: &str) -> Answer {
        let headers = [("User-Agent".to_owned(), self.agent.to_owned())];
        ask(self.address, "GET", target, &headers, None)
            .await
            .unwrap()
    }

    /// Begins to read a stream; returns the status, and the connection to read on or to drop.
    pub(crate) async fn stream(&self, target: &str) -> (u16, TcpStream) {
        let headers = [("User-Agent".to_owned(), self.agent.to_owned())];
        let mut stream = open(self.address, "GET", target, &headers, None)
            .await
            .unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        let status = String::from_utf8_lossy(&begin[9..12]).parse().unwrap();
        (status, stream)
    }

    /// Reads the beginning of a file, as players do; returns whether it came.
    pub(crate) async fn file(&self, target: &str) -> Result<(), u16> {
        let range = ("Range".to_owned(), "bytes=0-65535".to_owned());
        let headers = [("User-Agent".to_owned(), self.agent.to_owned()), range];
        match ask(self.address, "GET", target, &headers, None)
            .await
            .unwrap()
            .status
        {
            206 => Ok(()),
            status => Err(status),
        }
    }

    /// Asks for PlaybackInfo.
    pub(crate) async fn playback_info(&self, item: &str, query: &str, body: &Value) -> Answer {
        let target = format!("/Items/{item}/PlaybackInfo{query}");
        let answer = self.send("POST", &target, Some(body)).await;
        self.heard.lock().unwrap().push(Heard::of(&answer));
        answer
    }

    /// How its questions were answered since this was asked last.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// Opens what it was told to play as most players do: the playlists and the first segment, or the head of the file.
    /// The status of the first request that fails is the error.
    pub(crate) async fn begins(&self, play: &mut Play) -> Result<(), u16> {
        if !play.transcodes {
            return self.file(&play.url).await;
        }
        self.playlists(play).await?;
        let init = play.hls.init.iter().cloned();
        for url in init.chain([play.hls.segments[0].clone()]) {
            let status = self.fetch(&url).await.status;
            if status != 200 {
                return Err(status);
            }
        }
        Ok(())
    }

    /// Reads the playlists of a stream. The status of the first that fails is the error.
    pub(crate) async fn playlists(&self, play: &mut Play) -> Result<(), u16> {
        let master = self.fetch(&play.url).await;
        if master.status != 200 {
            return Err(master.status);
        }
        let variants = listed(&play.url, &master.text());
        let main_url = variants.first().cloned().unwrap();
        let main = self.fetch(&main_url).await;
        if main.status != 200 {
            return Err(main.status);
        }
        let text = main.text();
        let init = text
            .split_once("#EXT-X-MAP:URI=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(uri, _)| resolve(&main_url, uri));
        play.hls = Hls {
            variants,
            init,
            segments: listed(&main_url, &text),
        };
        Ok(())
    }

    /// Reads one segment and returns its status.
    pub(crate) async fn segment(&self, play: &Play, number: usize) -> u16 {
        self.fetch(&play.hls.segments[number]).await.status
    }

    /// Reads all segments from one on. Each must come.
    pub(crate) async fn read_on(&self, play: &Play, from: usize) {
        for number in from..play.hls.segments.len() {
            let status = self.segment(play, number).await;
            assert_eq!(
                status,
                200,
                "segment {number} of {}",
                play.hls.segments.len()
            );
        }
    }

    /// Reports on playback; returns the status. `what`: nothing for a start, `/Progress`, `/Stopped`.
    pub(crate) async fn report(
        &self,
        what: &str,
        play: &Play,
        position: Duration,
        paused: bool,
    ) -> u16 {
        let body = self.report_body(play, position, paused);
        self.send("POST", &format!("/Sessions/Playing{what}"), Some(&body))
            .await
            .status
    }

    /// The body of a report.
    pub(crate) fn report_body(&self, play: &Play, position: Duration, paused: bool) -> Value {
        let mut body = json!({
            "IsPaused": paused,
            "PositionTicks": ticks(position),
            "PlayMethod": if play.transcodes { "Transcode" } else { "DirectPlay" },
            "MediaSourceId": play.source,
            "CanSeek": true,
            "ItemId": play.item,
        });
        // The web client leaves it out for direct play; the others send what they were given.
        if play.transcodes || self.agent != super::clients::BROWSER {
            body["PlaySessionId"] = json!(play.session);
        }
        body
    }

    /// Ends an encoding.
    pub(crate) async fn delete_encoding(&self, session: &str) -> u16 {
        let target = format!(
            "/Videos/ActiveEncodings?deviceId={}&PlaySessionId={session}",
            self.id
        );
        self.send("DELETE", &target, None).await.status
    }
}

fn listed(base: &str, playlist: &str) -> Vec<String> {
    let lines = playlist.lines().map(str::trim);
    let uris = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    uris.map(|uri| resolve(base, uri)).collect()
}

fn resolve(base: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let path = base.split('?').next().unwrap();
    let directory = &path[..=path.rfind('/').unwrap()];
    format!("{directory}{uri}")
}

/// Jellyfin's ticks are 100 ns.
pub(crate) fn ticks(position: Duration) -> u64 {
    u64::try_from(position.as_micros()).unwrap() * 10
}
