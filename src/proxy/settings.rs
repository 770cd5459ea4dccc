//! How requests are judged and refused.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use crate::{
    admission::{Mode, Reason},
    jellyfin::Shape,
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

/// What a viewer reads, by language (`en`, `de`, …) and reason. Always complete for `en`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(BTreeMap<String, BTreeMap<&'static str, String>>);

impl Texts {
    /// Adds or replaces one text.
    pub fn set(&mut self, language: &str, reason: Reason, text: String) {
        self.0
            .entry(language.to_ascii_lowercase())
            .or_default()
            .insert(reason.as_str(), text);
    }

    /// The text for a reason in the first language of an `Accept-Language` that there is one for, else English.
    pub fn get(&self, accept_language: Option<&str>, reason: Reason) -> Option<&str> {
        let wanted = accept_language
            .into_iter()
            .flat_map(|a| a.split(','))
            .filter_map(|l| l.split(['-', ';']).next());
        wanted
            .map(str::trim)
            .chain(["en"])
            .find_map(|l| self.0.get(&l.to_ascii_lowercase())?.get(reason.as_str()))
            .map(String::as_str)
    }
}
