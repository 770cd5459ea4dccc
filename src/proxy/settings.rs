//! How requests are judged and refused.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use crate::{
    admission::{Mode, Reason},
    ident::ClassId,
    jellyfin::{Client, Shape},
};

/// How requests are judged and refused.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is done with a request that can't be judged.
    pub on_error: OnError,
    /// Most bytes of a PlaybackInfo request or report that are read.
    pub max_request: usize,
    /// Most bytes of a PlaybackInfo answer that are read.
    pub max_answer: usize,
    /// Video transcode starts per user: how many per minute, and how many at once.
    pub starts: Option<Starts>,
    /// Shapes that the operator chose for a client, instead of the table's.
    pub shapes: BTreeMap<&'static str, Shape>,
    /// Patience that the operator chose for a client, instead of the table's.
    pub patience: BTreeMap<&'static str, Duration>,
    /// Shown to clients.
    pub texts: Texts,
    /// Send a `DisplayMessage` to clients that show one.
    pub messages: bool,
    /// What is tried before a transcode waits or is refused.
    pub cheaper: Cheaper,
    /// Viewers are shown their own place at `/finweir/`.
    pub viewer_page: bool,
    /// Whether the bytes of media are charged to users: somebody is held to a number of them.
    pub counts_bytes: bool,
}

/// What is tried before a transcode waits or is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cheaper {
    /// When a client that would transcode is made to play the file as it is.
    pub direct_play: DirectPlay,
    /// The same for a class, where it differs.
    pub classes: BTreeMap<ClassId, DirectPlay>,
    /// When a text subtitle that would be drawn into the picture goes beside it.
    pub subtitles: Subtitles,
    /// The least lines of a version that may be put before a dearer one. `None`: versions stay as they come.
    pub version_floor: Option<u32>,
    /// Whether a client comes back by itself if it can't, where the operator knows better than the table.
    pub clients: BTreeMap<&'static str, bool>,
}

/// When a client that would transcode is made to play the file as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectPlay {
    /// Never.
    Off,
    /// When its transcode would have to wait or be refused.
    #[default]
    Pressure,
    /// Whenever it would transcode.
    Always,
}

/// When a text subtitle that would be drawn into the picture goes beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subtitles {
    /// Never.
    AsIs,
    /// When the transcode that draws it would have to wait or be refused.
    #[default]
    Pressure,
    /// Whenever it would be drawn.
    External,
}

/// What is done with a request that can't be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It passes, charged as unknown (fail open).
    #[default]
    Admit,
    /// It is refused.
    Reject,
}

/// A rate of video transcode starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    /// Starts per minute.
    pub per_minute: NonZeroU32,
    /// Starts at once.
    pub burst: NonZeroU32,
    /// Mode of this rule.
    pub mode: Mode,
}

impl Cheaper {
    /// When the picture is copied for this client, of this class, though its ceiling is a little below that. Who is
    /// made to play the file itself needs no such thing.
    pub(super) fn copies(&self, client: Client, class: &ClassId) -> DirectPlay {
        let said = self.clients.contains_key(client.as_str());
        if said || client.returns_after_failed_direct_play() {
            return DirectPlay::Off;
        }
        self.classes.get(class).copied().unwrap_or(self.direct_play)
    }

    /// When this client, of this class, is made to play the file as it is. Only who comes back by himself when that
    /// fails is made to at all.
    pub(super) fn direct_play(&self, client: Client, class: &ClassId) -> DirectPlay {
        let returns = self
            .clients
            .get(client.as_str())
            .copied()
            .unwrap_or_else(|| client.returns_after_failed_direct_play());
        if returns {
            self.classes.get(class).copied().unwrap_or(self.direct_play)
        } else {
            DirectPlay::Off
        }
    }
}

/// What a viewer reads, by language (`en`, `de`, …) and reason. Always complete for `en`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(BTreeMap<String, BTreeMap<&'static str, String>>);

/// What a viewer is told though nothing is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// He gets a smaller picture.
    SteppedDown,
    /// His stream is about to be ended for somebody else.
    Preempted,
    /// It is not, after all.
    Spared,
}

impl Notice {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::SteppedDown, Self::Preempted, Self::Spared];

    /// The one spelling, in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SteppedDown => "stepped-down",
            Self::Preempted => "preempted",
            Self::Spared => "spared",
        }
    }
}

impl Texts {
    /// Adds or replaces one text.
    pub fn set(&mut self, language: &str, reason: Reason, text: String) {
        self.put(language, reason.as_str(), text);
    }

    /// Adds or replaces the text of a notice.
    pub fn set_notice(&mut self, language: &str, notice: Notice, text: String) {
        self.put(language, notice.as_str(), text);
    }

    fn put(&mut self, language: &str, word: &'static str, text: String) {
        self.0
            .entry(language.to_ascii_lowercase())
            .or_default()
            .insert(word, text);
    }

    /// The text for a reason in the first language of an `Accept-Language` that there is one for, else English.
    pub fn get(&self, accept_language: Option<&str>, reason: Reason) -> Option<&str> {
        self.find(accept_language, reason.as_str())
            .map(|(_, text)| text)
    }

    /// The text of a notice, in the same way.
    pub fn notice(&self, accept_language: Option<&str>, notice: Notice) -> Option<&str> {
        self.find(accept_language, notice.as_str())
            .map(|(_, text)| text)
    }

    /// The text for a word, with its language.
    pub(super) fn find(
        &self,
        accept_language: Option<&str>,
        word: &'static str,
    ) -> Option<(&str, &str)> {
        let wanted = accept_language
            .into_iter()
            .flat_map(|a| a.split(','))
            .filter_map(|l| l.split(['-', ';']).next());
        wanted.map(str::trim).chain(["en"]).find_map(|language| {
            let (language, texts) = self.0.get_key_value(&language.to_ascii_lowercase())?;
            Some((language.as_str(), texts.get(word)?.as_str()))
        })
    }
}
