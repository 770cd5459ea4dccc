//! One line of the journal.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admission::{Event, Input, Numbers, Policy};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// How a file begins: all that is needed to read on from there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Of the format.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// When the process started, milliseconds since 1970: names the run.
    pub start: u64,
    /// The place of this file among those of its run; the first has the whole beginning.
    pub part: u64,
    /// Since the start, nanoseconds.
    pub t: u64,
    /// Users, devices and sessions are keyed hashes.
    pub pseudonyms: bool,
    /// The last numbers given out.
    pub numbers: Numbers,
    /// When the minute of the week was last told, and which it was.
    pub week: Option<(u64, u16)>,
    /// The policy in force.
    pub policy: Arc<Policy>,
}

/// What is not the core's and belongs to the story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// A configuration came into force.
    ConfigTaken {
        /// FNV-1a of the text.
        hash: String,
        /// The whole of it, defaults included and secrets masked. Empty with pseudonyms.
        yaml: String,
    },
    /// A configuration was refused, and the one before stayed.
    ConfigRejected {
        /// Why.
        error: String,
    },
    /// The process stopped in order.
    Stopped,
}

/// A line as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line<'a> {
    File(&'a Header),
    Step(StepLine<'a>),
    Gap { t: u64, lost: u64 },
    Note { t: u64, note: &'a Note },
}

#[derive(Debug, Serialize)]
pub(super) struct StepLine<'a> {
    pub(super) t: u64,
    pub(super) told: &'a Input,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) did: &'a [Event],
}

fn is_empty(events: &&[Event]) -> bool {
    events.is_empty()
}

/// A line as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Read<'a> {
    File(Box<Header>),
    Step {
        t: u64,
        told: Input,
        #[serde(borrow, default)]
        did: Option<&'a RawValue>,
    },
    Gap {
        t: u64,
        lost: u64,
    },
    Note {
        t: u64,
        note: Note,
    },
}

/// Only as much of a first line as every version has.
#[derive(Debug, Deserialize)]
pub(super) struct Versioned {
    pub(super) file: VersionOnly,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionOnly {
    pub(super) version: u32,
}

impl Header {
    pub(super) fn new(
        since: Duration,
        numbers: Numbers,
        policy: Arc<Policy>,
        pseudonyms: bool,
    ) -> Self {
        Self {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            start: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            part: 0,
            t: 0,
            pseudonyms,
            numbers,
            week: None,
            policy,
        }
    }
}

impl Note {
    /// A configuration that came into force, as `finweir check --print` prints it.
    pub fn config_taken(yaml: &str) -> Self {
        let hash = yaml.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::ConfigTaken {
            hash: format!("{hash:016x}"),
            yaml: yaml.to_owned(),
        }
    }
}
