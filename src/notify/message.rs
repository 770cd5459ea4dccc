//! A word in the shape that each kind of receiver takes.

use serde_json::{Value, json};

use super::{
    receiver::{Format, Receiver},
    word::{State, Word},
};
use crate::clock;

impl Receiver {
    /// The body to post.
    pub(super) fn body(&self, word: &Word, name: &str) -> Value {
        let title = format!("{name}: {}", word.title);
        match &self.format {
            Format::Json => json!({
                "version": 1,
                "from": name,
                "event": word.event,
                "subject": word.subject,
                "state": word.state.as_str(),
                "title": word.title,
                "text": word.text,
                "at": clock::unix(word.at),
                "lasted": word.lasted.as_secs(),
            }),
            Format::Ntfy(topic) => json!({
                "topic": topic,
                "title": title,
                "message": word.text,
                "priority": priority(word, 4, 3),
                "tags": [tag(word.state)],
            }),
            Format::Gotify(_) => json!({
                "title": title,
                "message": word.text,
                "priority": priority(word, 8, 5),
            }),
            Format::Discord => json!({
                "username": name,
                "embeds": [{"title": word.title, "description": word.text, "color": color(word)}],
                "allowed_mentions": {"parse": []},
            }),
            Format::Apprise => json!({
                "title": title,
                "body": word.text,
                "type": kind(word),
                "format": "text",
            }),
        }
    }

    /// A header that goes with it.
    pub(super) fn header(&self) -> Option<(&'static str, &str)> {
        match &self.format {
            Format::Gotify(token) => Some(("X-Gotify-Key", token)),
            Format::Json | Format::Ntfy(_) | Format::Discord | Format::Apprise => None,
        }
    }
}

fn priority(word: &Word, urgent: u8, usual: u8) -> u8 {
    if word.urgent { urgent } else { usual }
}

/// A short code that ntfy makes a picture of.
const fn tag(state: State) -> &'static str {
    match state {
        State::Firing | State::Lasting => "warning",
        State::Resolved => "white_check_mark",
        State::Test => "wave",
    }
}

const fn color(word: &Word) -> u32 {
    match (word.state, word.urgent) {
        (State::Firing | State::Lasting, true) => 0x00d0_3030,
        (State::Firing | State::Lasting, false) => 0x00e0_a020,
        (State::Resolved, _) => 0x0030_a050,
        (State::Test, _) => 0x0030_70c0,
    }
}

const fn kind(word: &Word) -> &'static str {
    match (word.state, word.urgent) {
        (State::Firing | State::Lasting, true) => "failure",
        (State::Firing | State::Lasting, false) => "warning",
        (State::Resolved, _) => "success",
        (State::Test, _) => "info",
    }
}
