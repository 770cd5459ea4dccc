//! What is said: the conditions that are worth a word, and its text.

use std::time::{Duration, SystemTime};

use crate::telemetry::size_in_words;

macro_rules! on {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What is worth a word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum On { $($(#[$doc])* $variant,)* }

        impl On {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The one spelling, in configuration, words and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

on! {
    /// Transcodes are slower than their viewers.
    GpuStarving = "gpu-starving",
    /// A server does not answer.
    NodeDown = "node-down",
    /// The disk that a server writes its transcodes to is filling.
    DiskFilling = "disk-filling",
    /// Many plays are refused.
    Refused = "refused",
    /// The configuration was rejected.
    ConfigRejected = "config-rejected",
    /// The journal can't be written.
    JournalTrouble = "journal-trouble",
}

/// Where a condition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It began.
    Firing,
    /// It lasts.
    Lasting,
    /// It has ended.
    Resolved,
    /// There is none: somebody tries whether words arrive.
    Test,
}

/// A condition: what, and of which GPU or node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Topic {
    pub(super) on: On,
    pub(super) subject: Option<String>,
}

/// What a receiver is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    /// The condition, or `test`.
    pub(super) event: &'static str,
    /// The GPU or node it is about.
    pub(super) subject: Option<String>,
    pub(super) state: State,
    pub(super) urgent: bool,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) at: SystemTime,
    /// For how long it has been so.
    pub(super) lasted: Duration,
}

// === impl On ===

impl On {
    /// Whether somebody may be missing his film over it, now or soon.
    const fn urgent(self) -> bool {
        match self {
            Self::GpuStarving | Self::NodeDown | Self::DiskFilling => true,
            Self::Refused | Self::ConfigRejected | Self::JournalTrouble => false,
        }
    }
}

// === impl State ===

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Lasting => "lasting",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

// === impl Word ===

impl Word {
    /// A word about a condition. `count` is how many transcodes starve, plays were refused, or bytes are free.
    pub(super) fn of(
        topic: &Topic,
        state: State,
        count: u64,
        within: Duration,
        (at, lasted): (SystemTime, Duration),
    ) -> Self {
        let (title, text) = if state == State::Resolved {
            let text = format!("It lasted {}.", in_words(lasted));
            (well(topic), text)
        } else {
            let (title, text) = wrong(topic, count, within);
            let title = match state {
                State::Lasting => format!("Still: {title}"),
                State::Firing | State::Resolved | State::Test => title,
            };
            (title, text)
        };
        Self {
            event: topic.on.as_str(),
            subject: topic.subject.clone(),
            state,
            urgent: topic.on.urgent() && state != State::Resolved,
            title,
            text,
            at,
            lasted,
        }
    }

    /// A word that only tries whether words arrive.
    pub(super) fn test(at: SystemTime) -> Self {
        Self {
            event: "test",
            subject: None,
            state: State::Test,
            urgent: false,
            title: "A test".to_owned(),
            text: "If you read this, words arrive.".to_owned(),
            at,
            lasted: Duration::ZERO,
        }
    }
}

/// What is wrong, and what to do.
fn wrong(topic: &Topic, count: u64, within: Duration) -> (String, String) {
    let subject = topic.subject.as_deref().unwrap_or_default();
    match topic.on {
        On::GpuStarving => (
            format!("GPU {subject} is behind its viewers"),
            format!(
                "Transcodes there are slower than they are watched: {count}. Lower the capacity of {subject}, or look \
                 for what else uses it."
            ),
        ),
        On::NodeDown => (
            format!("Jellyfin server {subject} does not answer"),
            "Nothing plays from it. Is Jellyfin running, and is its address in the configuration right?"
                .to_owned(),
        ),
        On::DiskFilling => (
            format!("The disk of Jellyfin server {subject} is filling"),
            format!(
                "{} are free where it writes its transcodes. When it is full, every transcode stops. Make room there, or \
                 let Jellyfin delete segments that were watched (Playback, Transcoding).",
                size_in_words(count)
            ),
        ),
        On::Refused => (
            format!("{count} plays were refused within {}", in_words(within)),
            "The status page says whose, and which limit they met.".to_owned(),
        ),
        On::ConfigRejected => (
            "The configuration was rejected".to_owned(),
            "The last good one stays in force, but a restart would fail. `finweir check FILE` says what is wrong, with \
             the line."
                .to_owned(),
        ),
        On::JournalTrouble => (
            "The journal can't be written".to_owned(),
            "Decisions are made as before, but not all are recorded. Is the disk full? The log says more."
                .to_owned(),
        ),
    }
}

fn well(topic: &Topic) -> String {
    let subject = topic.subject.as_deref().unwrap_or_default();
    match topic.on {
        On::GpuStarving => format!("GPU {subject} keeps up with its viewers again"),
        On::NodeDown => format!("Jellyfin server {subject} answers again"),
        On::DiskFilling => format!("The disk of Jellyfin server {subject} has room again"),
        On::Refused => "Few plays are refused again".to_owned(),
        On::ConfigRejected => "The configuration is well again".to_owned(),
        On::JournalTrouble => "The journal is written again".to_owned(),
    }
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
