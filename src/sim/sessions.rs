//! Sessions: who is there, what they report, and what is sent to them.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    auth::Who,
    ids::derived,
    jobs::Playback,
    library::members,
    negotiate::member,
    recorded,
    reply::{self, Reply},
    request::Ask,
    seconds, ticks,
    world::{NEVER, Session, World},
};

/// A report of playback.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Start,
    Progress,
    Stopped,
}

impl World {
    /// The session of a token's client and device, made if it is new.
    pub(super) fn session_of(&mut self, who: &Who) -> Option<usize> {
        let client = who.client()?;
        let (name, app) = match who {
            Who::Key { app, .. } => (
                client.device.clone().unwrap_or_else(|| "vm".to_owned()),
                app.clone(),
            ),
            Who::User { .. } => (
                client.device.clone().unwrap_or_default(),
                client.client.clone().unwrap_or_default(),
            ),
            Who::Nobody => return None,
        };
        let device_id = client
            .device_id
            .clone()
            .unwrap_or_else(|| self.server_id.clone());
        let now = self.now;
        let found = self
            .sessions
            .iter()
            .position(|s| s.client == app && s.device_id == device_id);
        if let Some(at) = found {
            if let Some(session) = self.sessions.get_mut(at) {
                session.active = now;
                session.user = who.user().map(str::to_owned).or(session.user.take());
            }
            return Some(at);
        }
        self.sessions.push(Session {
            id: derived(&["session", &app, &device_id]),
            client: app,
            device: name,
            device_id,
            version: client.version.clone().unwrap_or_default(),
            user: who.user().map(str::to_owned),
            active: now,
            checked_in: None,
            paused_at: None,
            playback: None,
            transcoding: None,
            sockets: Vec::new(),
        });
        Some(self.sessions.len() - 1)
    }

    /// `GET /Sessions`
    pub(super) fn list_sessions(&self, ask: &Ask, who: &Who) -> Reply {
        let all = match who {
            Who::Key { .. } => true,
            Who::User { user, .. } => self.user(user).is_some_and(super::world::User::is_admin),
            Who::Nobody => false,
        };
        let within = ask
            .query
            .get("activeWithinSeconds")
            .and_then(|t| t.parse::<f64>().ok());
        let device = ask.query.get("deviceId");
        let mut seen: Vec<&Session> = self
            .sessions
            .iter()
            .filter(|s| all || s.user.is_none() || s.user.as_deref() == who.user())
            .filter(|s| within.is_none_or(|w| self.now - s.active <= w))
            .filter(|s| device.is_none_or(|d| s.device_id == d))
            .collect();
        seen.sort_by(|a, b| b.active.total_cmp(&a.active));
        let shown = seen.into_iter().map(|s| self.shown_session(s)).collect();
        reply::json(&Value::Array(shown))
    }

    pub(super) fn shown_session(&self, session: &Session) -> Value {
        let mut shown = recorded(self.version)
            .get("session")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let Some(out) = members(&mut shown) else {
            return shown;
        };
        let mut put = |name: &str, value: Value| {
            out.insert(name.to_owned(), value);
        };
        put("Id", json!(session.id));
        put("Client", json!(session.client));
        put("DeviceName", json!(session.device));
        put("DeviceId", json!(session.device_id));
        put("ApplicationVersion", json!(session.version));
        put("ServerId", json!(self.server_id));
        put("LastActivityDate", json!(self.date(session.active)));
        let checked = session
            .checked_in
            .map_or_else(|| NEVER.to_owned(), |at| self.date(at));
        put("LastPlaybackCheckIn", json!(checked));
        if let Some(at) = session.paused_at {
            put("LastPausedDate", json!(self.date(at)));
        }
        if let Some(playback) = &session.playback {
            let mut state = playback.state.clone();
            if let Some(state) = members(&mut state) {
                state.insert("PositionTicks".to_owned(), json!(ticks(playback.position)));
                state.insert("IsPaused".to_owned(), json!(playback.paused));
            }
            put("PlayState", state);
            if let Some(item) = playback
                .item
                .as_deref()
                .and_then(|id| self.library.find(id))
            {
                put("NowPlayingItem", item.answer(false));
            }
        }
        if session.sockets.iter().any(|s| !s.is_closed()) {
            put("SupportsMediaControl", json!(true));
            put("SupportsRemoteControl", json!(true));
        }
        if let Some((id, info)) = &session.transcoding {
            put("TranscodingInfo", self.shown_job(*id, info));
        }
        match session.user.as_deref().and_then(|id| self.user(id)) {
            Some(user) => {
                put("UserId", json!(user.id));
                put("UserName", json!(user.name));
            }
            None => {
                put("UserId", json!("00000000000000000000000000000000"));
                out.shift_remove("UserName");
            }
        }
        shown
    }

    fn shown_job(&self, id: crate::gpu::model::JobId, info: &Value) -> Value {
        let mut info = info.clone();
        let progress = self.gpu.progress(id).zip(self.job(id));
        if let Some((progress, job)) = progress
            && let Some(out) = members(&mut info)
        {
            if progress.finished {
                out.shift_remove("Framerate");
            } else {
                let ran = (self.now - job.started).max(0.001);
                let frames = (progress.encoded_to - job.from) / ran * 24.0;
                out.insert("Framerate".to_owned(), json!(frames.round()));
                if let Some(length) = job.length {
                    let percent = (progress.encoded_to / length * 100.0).min(100.0);
                    out.insert("CompletionPercentage".to_owned(), json!(percent));
                }
            }
        }
        info
    }

    /// `POST /Sessions/Playing`, `/Progress` and `/Stopped`
    pub(super) fn report(&mut self, ask: &Ask, who: &Who, report: Report) -> Reply {
        let body = match ask.json() {
            Ok(Value::Null) => return reply::invalid("", "A non-empty request body is required."),
            Ok(body) => body,
            Err(error) => return reply::invalid("$", &error.to_string()),
        };
        let text = |name: &str| {
            member(&body, name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let position = member(&body, "PositionTicks").and_then(Value::as_i64);
        if report == Report::Stopped && position.is_some_and(|p| p < 0) {
            return reply::error(StatusCode::BAD_REQUEST);
        }
        let play_session = text("PlaySessionId").filter(|p| !p.is_empty());
        let Some(at) = self.session_of(who) else {
            return reply::empty(StatusCode::UNAUTHORIZED);
        };
        let now = self.now;
        let paused = member(&body, "IsPaused")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let method = text("PlayMethod");
        let has_job = play_session.as_deref().is_some_and(|p| {
            self.jobs.iter().any(|job| {
                job.play_session
                    .as_deref()
                    .is_some_and(|own| own.eq_ignore_ascii_case(p))
            })
        });
        let Some(session) = self.sessions.get_mut(at) else {
            return reply::empty(StatusCode::NO_CONTENT);
        };
        session.checked_in = Some(now);
        if report == Report::Stopped {
            session.playback = None;
            session.transcoding = None;
            if let Some(play_session) = &play_session {
                self.kill_all(Some(play_session), None);
            }
            return reply::empty(StatusCode::NO_CONTENT);
        }
        if let Some((user, item)) = session.user.clone().zip(text("ItemId"))
            && report == Report::Progress
            && member(&body, "SubtitleStreamIndex").is_none()
        {
            self.forgotten.insert((user, item.to_ascii_lowercase()));
        }
        let mut state = json!({"RepeatMode": "RepeatNone", "PlaybackOrder": "Default"});
        if let Some(out) = members(&mut state) {
            for name in [
                "CanSeek",
                "IsMuted",
                "VolumeLevel",
                "AudioStreamIndex",
                "SubtitleStreamIndex",
                "MediaSourceId",
                "RepeatMode",
                "LiveStreamId",
                "PlaybackOrder",
            ] {
                if let Some(value) = member(&body, name) {
                    out.insert(name.to_owned(), value.clone());
                }
            }
            for name in ["CanSeek", "IsMuted"] {
                out.entry(name).or_insert(json!(false));
            }
            let method = match method.as_deref() {
                Some("Transcode") if !has_job => Some("DirectPlay"),
                other => other,
            };
            if let Some(method) = method {
                out.insert("PlayMethod".to_owned(), json!(method));
                if method != "Transcode" {
                    session.transcoding = None;
                }
            }
        }
        session.paused_at = paused.then(|| session.paused_at.unwrap_or(now));
        let position = seconds(position.unwrap_or(0));
        session.playback = Some(Playback {
            item: text("ItemId").map(|id| id.to_ascii_lowercase()),
            play_session: play_session.clone(),
            position,
            paused,
            reported: now,
            state,
        });
        if let Some(play_session) = play_session {
            self.sign(&play_session);
            self.watched(&play_session, position, !paused);
        }
        reply::empty(StatusCode::NO_CONTENT)
    }

    /// Sends a message to the sockets of a session.
    pub(super) fn push(&mut self, id: &str, message: &Value) -> bool {
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|s| s.id.eq_ignore_ascii_case(id))
        else {
            return false;
        };
        let text = message.to_string();
        session
            .sockets
            .retain(|socket| !socket.is_closed() && socket.try_send(text.clone()).is_ok());
        true
    }
}
