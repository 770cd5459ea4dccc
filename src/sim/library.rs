//! What the simulated server has to play: items, their sources, their streams.

use serde_json::{Map, Value, json};

/// The items of a server.
#[derive(Clone, Debug, Default)]
pub struct Library {
    items: Vec<Item>,
}

/// One title.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) kind: String,
    /// As `/Items` shows it, without the streams outside its sources.
    pub(super) shown: Value,
    pub(super) sources: Vec<Source>,
}

/// One version of a title.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) id: String,
    /// As `/Items` shows it.
    pub(super) shown: Value,
    /// As FFmpeg names it: may be a list.
    pub(super) container: String,
    pub(super) bitrate: Option<i64>,
    pub(super) ticks: Option<i64>,
    pub(super) size: u64,
    pub(super) tag: Option<String>,
    /// A channel, opened when it is played.
    pub(super) live: bool,
    pub(super) streams: Vec<Stream>,
    pub(super) default_audio: Option<i64>,
    pub(super) default_subtitle: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    Video,
    Audio,
    Subtitle,
    Other,
}

/// One stream of a version.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) kind: StreamKind,
    pub(super) index: i64,
    pub(super) codec: String,
    pub(super) tag: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) level: Option<f64>,
    pub(super) width: Option<i64>,
    pub(super) height: Option<i64>,
    pub(super) bitrate: Option<i64>,
    pub(super) bits: Option<i64>,
    pub(super) ref_frames: Option<i64>,
    pub(super) interlaced: bool,
    pub(super) anamorphic: bool,
    pub(super) avc: Option<bool>,
    pub(super) frames: Option<f64>,
    pub(super) range: String,
    pub(super) channels: Option<i64>,
    pub(super) sample_rate: Option<i64>,
    pub(super) default: bool,
    pub(super) text: bool,
    pub(super) extractable: bool,
}

// === impl Library ===

impl Library {
    /// The library that the recordings were made with, as Jellyfin 12.0 sees it.
    pub fn recorded() -> Self {
        Self::of_version(super::Version::V12_0)
    }

    /// The same as that version sees it: ids and bit rates differ.
    pub fn of_version(version: super::Version) -> Self {
        let mut library = Self::from_items(super::recorded(version).get("items"));
        library.add_channels(version);
        library
    }

    /// Takes the `Items` of an answer of `/Items` with sources.
    pub fn from_items(items: Option<&Value>) -> Self {
        let items = items.and_then(Value::as_array).into_iter().flatten();
        Self {
            items: items.filter_map(Item::read).collect(),
        }
    }

    /// Adds the channels of the recorded tuner.
    pub fn add_channels(&mut self, version: super::Version) {
        let recorded = super::recorded(version);
        let channels = recorded.get("channels").and_then(Value::as_array);
        for channel in channels.into_iter().flatten() {
            let Some(mut item) = Item::read(channel) else {
                continue;
            };
            if let Some(mut source) = recorded.get("live_source").and_then(Source::read) {
                source.id = super::ids::derived(&["channel source", &item.id]);
                source.live = true;
                item.sources = vec![source];
            }
            self.items.push(item);
        }
    }

    /// The same, with channels in this size: the recorded ones are so small that nothing is cheaper.
    #[must_use]
    pub fn with_channels_in(mut self, width: u32, height: u32) -> Self {
        let channels = self.items.iter_mut().filter(|item| item.is_channel());
        for source in channels.flat_map(|item| &mut item.sources) {
            let videos = source.streams.iter_mut();
            for video in videos.filter(|stream| stream.kind == StreamKind::Video) {
                (video.width, video.height) = (Some(width.into()), Some(height.into()));
            }
            let shown = source.shown.get_mut("MediaStreams");
            for stream in shown.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(stream) = members(stream)
                    && stream.get("Type").and_then(Value::as_str) == Some("Video")
                {
                    stream.insert("Width".to_owned(), json!(width));
                    stream.insert("Height".to_owned(), json!(height));
                }
            }
        }
        self
    }

    /// Films for an evening's demonstration: most of them modern, some of them 4K HDR.
    pub fn evening() -> Self {
        Self {
            items: super::evening::films(),
        }
    }

    /// The ids of what can be played, channels left out, in their order.
    pub fn ids(&self) -> Vec<String> {
        let items = self.items.iter().filter(|item| !item.is_channel());
        items.map(|item| item.id.clone()).collect()
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The title of that id, or the one with a version of that id.
    pub(super) fn find(&self, id: &str) -> Option<&Item> {
        let own = self.items.iter().find(|item| item.id == id);
        own.or_else(|| {
            self.items
                .iter()
                .find(|item| item.sources.iter().any(|source| source.id == id))
        })
    }
}

// === impl Item ===

impl Item {
    pub(super) fn read(shown: &Value) -> Option<Self> {
        let mut shown = shown.clone();
        let container = text(&shown, "Container").unwrap_or_default();
        let mut sources: Vec<Source> = shown
            .get("MediaSources")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Source::read)
            .collect();
        if let Some(first) = sources.first_mut()
            && !container.is_empty()
        {
            first.container = container;
        }
        if let Value::Object(members) = &mut shown {
            members.remove("MediaStreams");
        }
        Some(Self {
            id: text(&shown, "Id")?,
            kind: text(&shown, "Type").unwrap_or_default(),
            shown,
            sources,
        })
    }

    pub(super) fn is_audio(&self) -> bool {
        self.kind == "Audio"
    }

    pub(super) fn is_channel(&self) -> bool {
        self.kind == "TvChannel"
    }

    /// The version of that id; without one, the title's own.
    pub(super) fn source(&self, id: Option<&str>) -> Option<&Source> {
        match id {
            Some(id) => {
                let found = self
                    .sources
                    .iter()
                    .find(|source| source.id.eq_ignore_ascii_case(id));
                found.or_else(|| self.sources.first().filter(|s| s.live))
            }
            None => self.sources.first(),
        }
    }

    /// As an answer shows it, with or without its sources.
    pub(super) fn answer(&self, sources: bool) -> Value {
        let mut shown = self.shown.clone();
        if let Value::Object(members) = &mut shown {
            if sources {
                let streams = self
                    .sources
                    .first()
                    .and_then(|source| source.shown.get("MediaStreams"));
                if let Some(streams) = streams {
                    members.insert("MediaStreams".to_owned(), streams.clone());
                }
            } else {
                members.remove("MediaSources");
                members.remove("Path");
            }
        }
        shown
    }
}

// === impl Source ===

impl Source {
    pub(super) fn read(shown: &Value) -> Option<Self> {
        let mut streams: Vec<Stream> = shown
            .get("MediaStreams")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(Stream::read)
            .collect();
        streams.sort_by_key(|stream| stream.index);
        let container = match text(shown, "Container").unwrap_or_default().as_str() {
            "mp4" | "mov" => "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
            "webm" => "mkv,webm".to_owned(),
            other => other.to_owned(),
        };
        Some(Self {
            id: text(shown, "Id")?,
            container,
            bitrate: number(shown, "Bitrate"),
            ticks: number(shown, "RunTimeTicks"),
            size: number(shown, "Size")
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            tag: text(shown, "ETag"),
            live: false,
            default_audio: number(shown, "DefaultAudioStreamIndex"),
            default_subtitle: number(shown, "DefaultSubtitleStreamIndex"),
            streams,
            shown: shown.clone(),
        })
    }

    pub(super) fn video(&self) -> Option<&Stream> {
        self.streams.iter().find(|s| s.kind == StreamKind::Video)
    }

    /// The sound that is played: the one of that index, or the default.
    pub(super) fn audio(&self, index: Option<i64>) -> Option<&Stream> {
        let mut sounds = self.streams.iter().filter(|s| s.kind == StreamKind::Audio);
        let wanted = index.or(self.default_audio);
        match wanted {
            Some(index) => sounds
                .clone()
                .find(|s| s.index == index)
                .or_else(|| sounds.next()),
            None => sounds.next(),
        }
    }

    pub(super) fn subtitle(&self, index: i64) -> Option<&Stream> {
        self.streams
            .iter()
            .find(|s| s.kind == StreamKind::Subtitle && s.index == index)
    }

    /// Its length in seconds; a channel has none.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.ticks.map(super::seconds)
    }

    /// The file on the server's disk.
    pub(super) fn path(&self) -> String {
        text(&self.shown, "Path").unwrap_or_default()
    }
}

// === impl Stream ===

impl Stream {
    fn read(shown: &Value) -> Self {
        let kind = match text(shown, "Type").as_deref() {
            Some("Video") => StreamKind::Video,
            Some("Audio") => StreamKind::Audio,
            Some("Subtitle") => StreamKind::Subtitle,
            Some(_) | None => StreamKind::Other,
        };
        let flag = |name: &str| shown.get(name).and_then(Value::as_bool);
        Self {
            kind,
            index: number(shown, "Index").unwrap_or(-1),
            codec: text(shown, "Codec").unwrap_or_default(),
            tag: text(shown, "CodecTag"),
            profile: text(shown, "Profile"),
            level: shown.get("Level").and_then(Value::as_f64),
            width: number(shown, "Width"),
            height: number(shown, "Height"),
            bitrate: number(shown, "BitRate"),
            bits: number(shown, "BitDepth"),
            ref_frames: number(shown, "RefFrames"),
            interlaced: flag("IsInterlaced").unwrap_or(false),
            anamorphic: flag("IsAnamorphic").unwrap_or(false),
            avc: flag("IsAVC"),
            frames: ["ReferenceFrameRate", "AverageFrameRate", "RealFrameRate"]
                .iter()
                .find_map(|name| shown.get(*name).and_then(Value::as_f64)),
            range: text(shown, "VideoRangeType").unwrap_or_default(),
            channels: number(shown, "Channels"),
            sample_rate: number(shown, "SampleRate"),
            default: flag("IsDefault").unwrap_or(false),
            text: flag("IsTextSubtitleStream").unwrap_or(false),
            extractable: flag("SupportsExternalStream").unwrap_or(false),
        }
    }

    pub(super) fn is_hdr(&self) -> bool {
        !matches!(self.range.as_str(), "" | "SDR" | "Unknown")
    }
}

pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

pub(super) fn number(value: &Value, name: &str) -> Option<i64> {
    value.get(name)?.as_i64()
}

/// The members of an object, to be changed.
pub(super) fn members(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.as_object_mut()
}

/// An answer with a list in it.
pub(super) fn listed(items: &[Value]) -> Value {
    let count = items.len();
    json!({"Items": items, "TotalRecordCount": count, "StartIndex": 0})
}
