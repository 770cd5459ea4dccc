//! PlaybackInfo: lists the versions of a title and how the device plays each.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Version,
    auth::Who,
    ids,
    library::{Item, Source, members},
    negotiate::{self, Ask as Negotiation, Decision, DeviceProfile, Session, member},
    reply::{self, Reply},
    request::{Ask, Wish},
    world::World,
};

impl World {
    /// Answers `/Items/{id}/PlaybackInfo`.
    pub(super) fn playback_info(&mut self, ask: &Ask, who: &Who, item_id: &str) -> Reply {
        let body = if ask.method == Method::POST {
            match ask.json() {
                Ok(body) => body,
                Err(error) => return reply::invalid("$", &error.to_string()),
            }
        } else {
            Value::Null
        };
        let wish = Wish {
            query: &ask.query,
            body: &body,
        };
        let user = match self.acting_for(who, &wish) {
            Ok(user) => user,
            Err(refused) => return *refused,
        };
        let library = self.library.clone();
        let Some(item) = library.find(item_id) else {
            return match self.version {
                Version::V12_0 => reply::problem(StatusCode::NOT_FOUND),
                Version::V10_11 => reply::error(StatusCode::INTERNAL_SERVER_ERROR),
            };
        };
        let wanted = wish.text("MediaSourceId");
        let mut sources: Vec<Source> = item
            .sources
            .iter()
            .filter(|s| {
                wanted
                    .as_deref()
                    .is_none_or(|w| s.live || s.id.eq_ignore_ascii_case(w))
            })
            .cloned()
            .collect();
        self.recall(user.as_deref(), &item.id, &mut sources);
        if sources.is_empty() {
            return reply::json(&json!({"MediaSources": [], "ErrorCode": "NoCompatibleStream"}));
        }
        if item.is_channel() {
            self.open(&mut sources);
        }
        let device = who.client().and_then(|c| c.device_id.clone());
        let profile = member(&body, "DeviceProfile").cloned().or_else(|| {
            let device = device.as_ref()?;
            self.profiles.get(device).cloned()
        });
        let play_session = self.fresh("play session");
        let session = Session {
            item: item.id.clone(),
            device,
            play_session: play_session.clone(),
            token: who.token().unwrap_or_default().to_owned(),
            live_stream: None,
            audio_copy: wish.flag("AllowAudioStreamCopy", true),
        };
        let policy = user.as_deref().and_then(|id| self.user(id));
        let allows = |switch: &str| policy.is_none_or(|u| u.allows(switch, true));
        let allowed = Allowed {
            encode: allows("EnableVideoPlaybackTranscoding"),
            copy: allows("EnablePlaybackRemuxing"),
            audio: allows("EnableAudioPlaybackTranscoding"),
        };
        let profile = match (&ask.method, profile) {
            (&Method::POST, Some(profile)) => Some(DeviceProfile::read(&profile)),
            _ => None,
        };
        let mut answered: Vec<(bool, bool, Value)> = Vec::new();
        for source in &sources {
            let own = source.id.eq_ignore_ascii_case(&item.id);
            match &profile {
                Some(profile) => {
                    let negotiation = negotiation(self.version, &wish, profile, source, allowed);
                    let decision =
                        negotiate::decide(source, profile, &negotiation, item.is_audio());
                    let mut session = session.clone();
                    session.live_stream = live_id(source);
                    let shown = decided(item, source, &decision, &negotiation, &session, allowed);
                    answered.push((own, decision.direct_play, shown));
                }
                None => answered.push((own, true, plain(item, source, allowed, user.is_some()))),
            }
        }
        let newer = self.version == Version::V12_0;
        answered.sort_by_key(|(own, direct, _)| (newer && !own, !direct));
        let sources: Vec<Value> = answered.into_iter().map(|(_, _, shown)| shown).collect();
        reply::json(&json!({"MediaSources": sources, "PlaySessionId": play_session}))
    }

    /// That the administrator last turned subtitles off is part of the recorded library: it holds for nobody else,
    /// and only until a report says otherwise.
    fn recall(&self, user: Option<&str>, item: &str, sources: &mut [Source]) {
        let own = user.is_some_and(|id| {
            self.user(id).is_some_and(super::world::User::is_admin)
                && !self.forgotten.contains(&(id.to_owned(), item.to_owned()))
        });
        for source in sources
            .iter_mut()
            .filter(|s| !own && s.default_subtitle == Some(-1))
        {
            source.default_subtitle = None;
            if let Some(shown) = members(&mut source.shown) {
                shown.shift_remove("DefaultSubtitleStreamIndex");
            }
        }
    }

    /// Opens the tuner for a channel.
    fn open(&mut self, sources: &mut [Source]) {
        for source in sources {
            let id = format!(
                "{}_{}_{}",
                ids::derived(&["tuner"]),
                self.fresh("live"),
                source.id
            );
            self.lives.insert(id.clone(), source.id.clone());
            if let Some(shown) = members(&mut source.shown) {
                shown.insert("Id".to_owned(), json!(source.id));
                shown.insert("LiveStreamId".to_owned(), json!(id));
            }
        }
    }

    /// Answers `/LiveStreams/Open`.
    pub(super) fn open_live(&mut self, ask: &Ask, who: &Who) -> Reply {
        let body = ask.json().unwrap_or(Value::Null);
        let wish = Wish {
            query: &ask.query,
            body: &body,
        };
        let item = wish.text("ItemId").and_then(|id| ids::guid(&id));
        let Some(item) = item else {
            return reply::invalid("itemId", "The itemId field is required.");
        };
        let library = self.library.clone();
        let Some(found) = library.find(&item).filter(|i| i.is_channel()) else {
            return reply::error(StatusCode::NOT_FOUND);
        };
        let mut sources = found.sources.clone();
        self.open(&mut sources);
        let Some(source) = sources.first() else {
            return reply::error(StatusCode::NOT_FOUND);
        };
        let everything = Allowed {
            encode: true,
            copy: true,
            audio: true,
        };
        let shown = match member(&body, "DeviceProfile") {
            Some(profile) => {
                let profile = DeviceProfile::read(profile);
                let negotiation = negotiation(self.version, &wish, &profile, source, everything);
                let decision = negotiate::decide(source, &profile, &negotiation, false);
                let session = Session {
                    item: found.id.clone(),
                    device: who.client().and_then(|c| c.device_id.clone()),
                    play_session: wish
                        .text("PlaySessionId")
                        .unwrap_or_else(|| self.fresh("play session")),
                    token: who.token().unwrap_or_default().to_owned(),
                    live_stream: live_id(source),
                    audio_copy: true,
                };
                decided(found, source, &decision, &negotiation, &session, everything)
            }
            None => plain(found, source, everything, true),
        };
        reply::json(&json!({"MediaSource": shown}))
    }

    /// The user that a request acts for: another one only for administrators and keys.
    pub(super) fn acting_for(
        &self,
        who: &Who,
        wish: &Wish<'_>,
    ) -> Result<Option<String>, Box<Reply>> {
        let asked = match wish.text("UserId") {
            None => return Ok(who.user().map(str::to_owned)),
            Some(text) => match ids::guid(&text) {
                Some(id) => id,
                None => {
                    return Err(Box::new(reply::invalid(
                        "userId",
                        &format!("The value '{text}' is not valid."),
                    )));
                }
            },
        };
        if let Some(own) = who.user()
            && own != asked
            && !self.user(own).is_some_and(super::world::User::is_admin)
        {
            return Err(Box::new(reply::error(StatusCode::FORBIDDEN)));
        }
        match self.user(&asked) {
            Some(_) => Ok(Some(asked)),
            None => Err(Box::new(reply::error(StatusCode::NOT_FOUND))),
        }
    }
}

#[derive(Clone, Copy)]
struct Allowed {
    encode: bool,
    copy: bool,
    audio: bool,
}

fn live_id(source: &Source) -> Option<String> {
    let id = source.shown.get("LiveStreamId")?.as_str()?;
    source.live.then(|| id.to_owned())
}

fn negotiation(
    version: Version,
    wish: &Wish<'_>,
    profile: &DeviceProfile,
    source: &Source,
    allowed: Allowed,
) -> Negotiation {
    let same = wish
        .text("MediaSourceId")
        .is_some_and(|id| id.eq_ignore_ascii_case(&source.id));
    let index = |name: &str| wish.number(name).filter(|_| same);
    let video_copy = wish.flag("AllowVideoStreamCopy", true);
    Negotiation {
        version,
        max_bitrate: wish
            .number("MaxStreamingBitrate")
            .or_else(|| profile.max_bitrate()),
        direct_play: wish.flag("EnableDirectPlay", true),
        direct_stream: allowed.copy && video_copy && wish.flag("EnableDirectStream", true),
        transcoding: allowed.encode && wish.flag("EnableTranscoding", true),
        video_copy,
        always_burn: wish.flag("AlwaysBurnInSubtitleWhenTranscoding", false),
        audio_index: index("AudioStreamIndex"),
        subtitle_index: index("SubtitleStreamIndex"),
        max_channels: wish.number("MaxAudioChannels"),
        start_ticks: wish.number("StartTimeTicks").unwrap_or(0),
    }
}

/// A version as it is, without a decision.
fn plain(item: &Item, source: &Source, allowed: Allowed, with_user: bool) -> Value {
    let mut shown = source.shown.clone();
    if let Some(out) = members(&mut shown) {
        out.insert("Container".to_owned(), json!(source.container));
        let encode = if item.is_audio() {
            allowed.audio
        } else {
            allowed.encode
        };
        out.insert("SupportsTranscoding".to_owned(), json!(encode));
        out.insert("SupportsDirectStream".to_owned(), json!(allowed.copy));
        if !with_user {
            out.shift_remove("DefaultAudioStreamIndex");
            out.shift_remove("DefaultSubtitleStreamIndex");
        }
    }
    shown
}

fn decided(
    item: &Item,
    source: &Source,
    decision: &Decision,
    negotiation: &Negotiation,
    session: &Session,
    allowed: Allowed,
) -> Value {
    let mut shown = source.shown.clone();
    let Some(out) = members(&mut shown) else {
        return shown;
    };
    let rights = if item.is_audio() {
        allowed.audio
    } else {
        allowed.encode || allowed.copy || allowed.audio
    };
    let direct = decision.direct_play;
    if item.is_audio() {
        out.shift_remove("DefaultAudioStreamIndex");
    }
    out.insert("Container".to_owned(), json!(decision.container));
    out.insert("SupportsDirectPlay".to_owned(), json!(direct));
    out.insert("SupportsDirectStream".to_owned(), json!(direct));
    let transcodable = decision.transcodable && rights;
    out.insert("SupportsTranscoding".to_owned(), json!(transcodable));
    if !direct
        && transcodable
        && let Some(url) = decision.url(source, negotiation, session)
    {
        out.insert("TranscodingUrl".to_owned(), json!(url));
        if let Some(transcode) = &decision.transcode {
            let hls = if transcode.is_hls() { "hls" } else { "http" };
            out.insert("TranscodingSubProtocol".to_owned(), json!(hls));
            if !transcode.container().is_empty() {
                out.insert(
                    "TranscodingContainer".to_owned(),
                    json!(transcode.container()),
                );
            }
        }
    }
    let streams = out.get_mut("MediaStreams").and_then(Value::as_array_mut);
    for stream in streams.into_iter().flatten() {
        let index = stream.get("Index").and_then(Value::as_i64);
        let way = decision
            .subtitles
            .iter()
            .find(|(own, _)| Some(*own) == index && stream.get("Type") == Some(&json!("Subtitle")));
        let (Some((index, way)), Some(stream)) = (way, members(stream)) else {
            continue;
        };
        stream.insert("DeliveryMethod".to_owned(), json!(way.method));
        if way.is("External") || way.is("Hls") {
            let url = format!(
                "/Videos/{}/{}/Subtitles/{index}/0/Stream.{}?ApiKey={}",
                ids::dashed(&item.id),
                source.id,
                way.format,
                session.token
            );
            stream.insert("DeliveryUrl".to_owned(), json!(url));
            stream.insert("IsExternalUrl".to_owned(), json!(false));
        }
    }
    shown
}
