//! A device as the network sees it: logs in, asks, fetches, reports. Everything goes through Finweir's listener.

use std::{sync::PoisonError, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    apps::{Answer, App},
    house::{API_KEY, Viewer, password},
};
use crate::upstream::client_config;

/// Nothing takes longer than this: the longest patience of a player, and a slow machine.
const LONGEST: Duration = Duration::from_secs(120);
/// No answer that is read whole is longer.
const LONGEST_TEXT: usize = 4 << 20;

/// What keeps a device from going on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No answer.
    #[error("no answer: {0}")]
    Http(#[source] reqwest::Error),
    /// Another answer than success.
    #[error("HTTP {0}")]
    Status(StatusCode),
    /// Not what a Jellyfin answers.
    #[error("an answer without {0}")]
    Malformed(&'static str),
    /// The HTTP client can't be had.
    #[error("the HTTP client can't be built")]
    Client(#[source] reqwest::Error),
    /// TLS can't be had.
    #[error(transparent)]
    Tls(#[from] crate::upstream::TlsError),
}

/// A title of the library.
#[derive(Clone, Debug)]
pub(super) struct Film {
    /// Its id.
    pub(super) id: String,
    /// What it is called.
    pub(super) name: String,
}

/// What came of asking how a film is to be played.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) session: Option<String>,
    /// What is played instead of what the app asked for, in words; empty: just that.
    pub(super) instead: String,
}

/// Where those are who are not in the house.
const AFAR: &str = "203.0.113.7";

/// A part of a film.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Its address.
    pub(super) url: String,
    /// Where it ends, seconds.
    pub(super) end: f64,
}

/// A report of playback.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Started,
    Progress,
    Stopped,
}

/// A device with its connections.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) viewer: Viewer,
    pub(super) id: String,
    http: reqwest::Client,
    base: String,
    user: String,
    token: Option<String>,
    /// What it plays now, so that an end in the middle can be reported.
    now: std::sync::Mutex<Option<(String, Option<String>)>>,
}

// === impl Device ===

impl Device {
    /// A device that reaches the server at `base`.
    pub(super) fn new(viewer: Viewer, nth: u32, base: String) -> Result<Self, Trouble> {
        let http = http_client(viewer.app.agent())?;
        // Unlike others, and the same every evening.
        let id = format!("{:08x}", 0x9e37_79b9_u32.wrapping_mul(nth.wrapping_add(1)));
        Ok(Self {
            viewer,
            id,
            http,
            base,
            user: String::new(),
            token: None,
            now: std::sync::Mutex::default(),
        })
    }

    /// `anna (web)`
    pub(super) fn who(&self) -> String {
        format!("{} ({})", self.viewer.user, self.viewer.app.name())
    }

    fn app(&self) -> App {
        self.viewer.app
    }

    /// Logs its user in.
    pub(super) async fn log_in(&mut self) -> Result<(), Trouble> {
        let body = json!({"Username": self.viewer.user, "Pw": password(&self.viewer.user)});
        let request = self.call(Method::POST, "/Users/AuthenticateByName");
        let answer = json_of(request.json(&body)).await?;
        let text = |path: &str| {
            answer
                .pointer(path)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        self.token = text("/AccessToken");
        self.user = text("/User/Id").ok_or(Trouble::Malformed("a user"))?;
        Ok(())
    }

    /// The films of the library.
    pub(super) async fn films(&self) -> Result<Vec<Film>, Trouble> {
        let key = match self.app() {
            App::Bare => format!("&ApiKey={API_KEY}"),
            App::Web | App::AndroidTv | App::Swiftfin | App::Roku | App::Kodi | App::MpvShim => {
                String::new()
            }
        };
        let path = format!("/Items?Recursive=true&IncludeItemTypes=Movie{key}");
        let answer = json_of(self.call(Method::GET, &path)).await?;
        Ok(films(&answer))
    }

    /// Asks for a film to be encoded on the fly, without saying who asks, and reads the start of it.
    pub(super) async fn fetch_bare(&self, film: &Film) -> Result<(), Trouble> {
        let path = format!(
            "/Videos/{}/stream.ts?VideoCodec=h264&AudioCodec=aac&VideoBitrate=4000000",
            film.id
        );
        let request = self.from(self.http.get(format!("{}{path}", self.base)));
        let mut response = request.send().await.map_err(Trouble::Http)?;
        match response.status() {
            StatusCode::OK => response.chunk().await.map(drop).map_err(Trouble::Http),
            other => Err(Trouble::Status(other)),
        }
    }

    /// Asks how a film is to be played. A refusal by status is an answer too.
    pub(super) async fn ask(&self, film: &Film) -> Result<Told, Trouble> {
        let (query, body) = self.app().question(&self.viewer, &self.user);
        let request = self.call(
            Method::POST,
            &format!("/Items/{}/PlaybackInfo{query}", film.id),
        );
        let response = request.json(&body).send().await.map_err(Trouble::Http)?;
        match response.status() {
            StatusCode::OK => {}
            // What waiting does not change is a 403.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN => {
                return Ok(Told {
                    answer: Answer::Refused,
                    session: None,
                    instead: String::new(),
                });
            }
            other => return Err(Trouble::Status(other)),
        }
        let answer: Value = serde_json::from_slice(&whole(response).await?)
            .map_err(|_| Trouble::Malformed("JSON"))?;
        let session = answer.get("PlaySessionId").and_then(Value::as_str);
        let session = session.map(str::to_owned);
        let read = self.app().reads(&answer, &film.id);
        Ok(Told {
            instead: self.instead(&answer, &read, film),
            answer: read,
            session,
        })
    }

    /// What is played instead of what the app asked for.
    fn instead(&self, answer: &Value, read: &Answer, film: &Film) -> String {
        let first = |name: &str| {
            let value = answer.pointer(&format!("/MediaSources/0/{name}"));
            value.and_then(Value::as_str).unwrap_or_default()
        };
        let mut words = Vec::new();
        if !matches!(read, Answer::Refused) && !first("Id").eq_ignore_ascii_case(&film.id) {
            words.push(format!("its version in {}", first("Name")));
        }
        if let Answer::Direct { rate, .. } = read
            && *rate * 8.0 > self.viewer.most_bits()
        {
            words.push("the file itself, though the app asked for less bitrate".to_owned());
        }
        words.join(", ")
    }

    /// Who comes from outside comes through a proxy that says so.
    fn from(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if self.viewer.outside {
            request.header("X-Forwarded-For", AFAR)
        } else {
            request
        }
    }

    /// The parts of a film that is played through a playlist.
    pub(super) async fn segments(&self, master: &str) -> Result<Vec<Segment>, Trouble> {
        let text = whole(self.get(master).await?).await?;
        let line = first_address(&String::from_utf8_lossy(&text));
        let main = beside(master, &line.ok_or(Trouble::Malformed("a variant"))?);
        let text = whole(self.get(&main).await?).await?;
        let mut segments = Vec::new();
        let (mut end, mut length) = (0.0, 0.0);
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some(rest) = line.strip_prefix("#EXTINF:") {
                let number = rest.split(',').next().unwrap_or_default();
                length = number.trim().parse().unwrap_or(0.0);
            } else if !line.starts_with('#') && !line.is_empty() {
                end += length;
                segments.push(Segment {
                    url: beside(&main, line),
                    end,
                });
            }
        }
        if segments.is_empty() {
            return Err(Trouble::Malformed("segments"));
        }
        Ok(segments)
    }

    /// Gets what an address of the server holds.
    pub(super) async fn get(&self, path: &str) -> Result<reqwest::Response, Trouble> {
        // Players put no header on the addresses they were given.
        let request = self.from(self.http.get(format!("{}{path}", self.base)));
        let response = request.send().await.map_err(Trouble::Http)?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            other => Err(Trouble::Status(other)),
        }
    }

    /// Reads and forgets an answer.
    pub(super) async fn fetch(&self, path: &str) -> Result<(), Trouble> {
        let mut response = self.get(path).await?;
        while response.chunk().await.map_err(Trouble::Http)?.is_some() {}
        Ok(())
    }

    /// Says what it plays, and where it is.
    pub(super) async fn report(
        &self,
        report: Report,
        film: &Film,
        session: Option<&str>,
        position: f64,
        paused: bool,
    ) -> Result<(), Trouble> {
        let path = match report {
            Report::Started => "/Sessions/Playing",
            Report::Progress => "/Sessions/Playing/Progress",
            Report::Stopped => "/Sessions/Playing/Stopped",
        };
        self.note(match report {
            Report::Started | Report::Progress => {
                Some((film.id.clone(), session.map(str::to_owned)))
            }
            Report::Stopped => None,
        });
        let method = if session.is_some() {
            "Transcode"
        } else {
            "DirectPlay"
        };
        let body = json!({
            "ItemId": film.id, "MediaSourceId": film.id, "PlaySessionId": session, "CanSeek": true,
            "IsPaused": paused, "PositionTicks": ticks(position), "PlayMethod": method,
        });
        self.call(Method::POST, path)
            .json(&body)
            .send()
            .await
            .map_err(Trouble::Http)?;
        if let (Report::Stopped, Some(session), true) =
            (report, session, self.app().deletes_encodings())
        {
            let path = format!(
                "/Videos/ActiveEncodings?deviceId={}&playSessionId={session}",
                self.id
            );
            self.call(Method::DELETE, &path)
                .send()
                .await
                .map_err(Trouble::Http)?;
        }
        Ok(())
    }

    /// Turns it off: what it plays is reported as stopped.
    pub(super) async fn turn_off(&self) {
        let playing = self.note(None);
        if let Some((id, session)) = playing {
            let film = Film {
                id,
                name: String::new(),
            };
            // The server may be gone already.
            drop(
                self.report(Report::Stopped, &film, session.as_deref(), 0.0, false)
                    .await,
            );
        }
    }

    /// Notes what plays now; returns what played before.
    fn note(&self, playing: Option<(String, Option<String>)>) -> Option<(String, Option<String>)> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *now, playing)
    }

    fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let said = self
            .app()
            .authorization(&self.viewer, &self.id, self.token.as_deref());
        self.from(request.header(http::header::AUTHORIZATION, said))
    }
}

/// A client for one device: its own connections, no proxy, no redirects.
pub(super) fn http_client(agent: &str) -> Result<reqwest::Client, Trouble> {
    let tls = client_config(None)?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(agent)
        .timeout(LONGEST)
        .pool_max_idle_per_host(2)
        .build()
        .map_err(Trouble::Client)
}

/// Sends a request and reads its answer as JSON.
pub(super) async fn json_of(request: reqwest::RequestBuilder) -> Result<Value, Trouble> {
    let response = request.send().await.map_err(Trouble::Http)?;
    if response.status() != StatusCode::OK {
        return Err(Trouble::Status(response.status()));
    }
    serde_json::from_slice(&whole(response).await?).map_err(|_| Trouble::Malformed("JSON"))
}

/// The films in an answer of `/Items`.
pub(super) fn films(answer: &Value) -> Vec<Film> {
    let items = answer.get("Items").and_then(Value::as_array);
    let read = |item: &Value| {
        Some(Film {
            id: item.get("Id")?.as_str()?.to_owned(),
            name: item.get("Name")?.as_str()?.to_owned(),
        })
    };
    items.into_iter().flatten().filter_map(read).collect()
}

async fn whole(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut out = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Trouble::Http)? {
        if out.len() + chunk.len() > LONGEST_TEXT {
            return Err(Trouble::Malformed("an end"));
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn first_address(playlist: &str) -> Option<String> {
    let mut lines = playlist.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

/// An address that is written relative to another.
fn beside(base: &str, address: &str) -> String {
    if address.starts_with('/') {
        return address.to_owned();
    }
    let path = base.split('?').next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{address}")
}

#[expect(clippy::cast_possible_truncation, reason = "a film is short")]
fn ticks(seconds: f64) -> i64 {
    (seconds * 1e7).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_a_playlist_are_read_beside_it() {
        assert_eq!(
            beside("/videos/a/master.m3u8?x=/y", "main.m3u8?z"),
            "/videos/a/main.m3u8?z"
        );
        assert_eq!(
            beside("/videos/a/main.m3u8?z", "hls1/main/0.ts"),
            "/videos/a/hls1/main/0.ts"
        );
        assert_eq!(beside("/videos/a/main.m3u8", "/b"), "/b");
        assert_eq!(
            first_address("#EXTM3U\n\n#X\nmain.m3u8\n").as_deref(),
            Some("main.m3u8")
        );
    }
}
