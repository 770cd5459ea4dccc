//! Writes down what the core is told and what it decides, so that it can be decided again.
//!
//! One record per event: an input of the core with its time, and the events that came of it. Newline-delimited JSON in
//! files of bounded size and age, `journal-<milliseconds since 1970>.ndjson`; each file begins with a `file` record that
//! says everything needed to read on from there. The format is in `docs/replay.md`.
//!
//! Whoever decides puts a value on a bounded list and goes on; one thread of its own writes the list away, a fifth of a
//! second later at most. A list that is full loses records, which is counted and written down as a gap. A process
//! that is killed loses that fifth of a second and may tear its last line; a new process begins a new file, so nothing
//! is ever written behind a torn line.
//!
//! There is no token and no title in what the core is told, and so none in the journal.

mod files;
mod pseudonym;
mod read;
mod record;
mod spool;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use self::{
    files::Files,
    spool::{Entry, Spool, Writer},
};
pub use self::{
    pseudonym::Pseudonyms,
    read::{Gap, Part, ReadError, Reading, Step},
    record::{Header, Note, VERSION},
};
use crate::{
    admission::{Event, Input, Numbers, Policy},
    clock,
    telemetry::Telemetry,
};

/// Where the journal is, and how much of it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its directory. `None`: there is no journal.
    pub dir: Option<PathBuf>,
    /// All files together, in bytes.
    pub max_size: u64,
    /// What is older is removed.
    pub max_age: Duration,
    /// Users, devices and sessions are written as keyed hashes.
    pub pseudonyms: bool,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its directory can't be made or written to.
    #[error("the journal can't be written in {0}")]
    Directory(PathBuf, #[source] io::Error),
    /// The key of the pseudonyms can't be read or made.
    #[error("the key of the journal's pseudonyms can't be had: {0}")]
    Key(PathBuf, #[source] io::Error),
    /// There is no thread to write it.
    #[error("the journal's thread can't be started")]
    Thread(#[source] io::Error),
}

/// Takes what is to be written down. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spool: Spool,
    start: Instant,
    numbers: Numbers,
    pseudonyms: bool,
}

/// Decisions are numbered from the second of the start on, so many for each second: numbers of a later start are larger,
/// and no two decisions of one journal have the same.
const DECISIONS_PER_SECOND: u64 = 256;
/// 2026-01-01, seconds since 1970.
const EPOCH: u64 = 1_767_225_600;

impl Journal {
    /// Begins a journal of a core that starts at `start` under `policy`; `wall` is the time of day then. `None`: the
    /// settings name no directory.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(
        settings: &Settings,
        start: Instant,
        wall: SystemTime,
        policy: &Arc<Policy>,
        telemetry: Telemetry,
    ) -> Result<Option<Self>, JournalError> {
        let Some(dir) = &settings.dir else {
            return Ok(None);
        };
        let pseudonyms = settings
            .pseudonyms
            .then(|| Pseudonyms::of(dir, true))
            .transpose()?;
        let since = clock::since_1970(wall);
        let numbers = Numbers {
            decision: since.as_secs().saturating_sub(EPOCH) * DECISIONS_PER_SECOND,
            ..Numbers::default()
        };
        let spool = Spool::default();
        let header = Header::new(since, numbers, Arc::clone(policy), settings.pseudonyms);
        let files = Files::new(dir.clone(), settings.max_size, settings.max_age);
        let mut writer = Writer::new(spool.clone(), start, header, files, pseudonyms, telemetry);
        writer
            .open()
            .map_err(|error| JournalError::Directory(dir.clone(), error))?;
        writer.start().map_err(JournalError::Thread)?;
        Ok(Some(Self(Arc::new(Inner {
            spool,
            start,
            numbers,
            pseudonyms: settings.pseudonyms,
        }))))
    }

    /// The numbers from which the core must count.
    pub fn numbers(&self) -> Numbers {
        self.0.numbers
    }

    /// Takes in one input and what came of it.
    pub fn step(&self, at: Instant, input: Input, events: &[Event]) {
        self.0.spool.push(Entry::Step {
            at: self.since(at),
            input,
            events: events.to_vec(),
        });
    }

    /// Takes in something that is not the core's: what an operator did, or what became of a configuration.
    pub fn note(&self, at: Instant, note: Note) {
        // The text of a configuration names users.
        let note = match note {
            Note::ConfigTaken { hash, .. } if self.0.pseudonyms => Note::ConfigTaken {
                hash,
                yaml: String::new(),
            },
            Note::ConfigRejected { .. } if self.0.pseudonyms => Note::ConfigRejected {
                error: String::new(),
            },
            other @ (Note::ConfigTaken { .. } | Note::ConfigRejected { .. } | Note::Stopped) => {
                other
            }
        };
        self.0.spool.push(Entry::Note {
            at: self.since(at),
            note,
        });
    }

    /// Waits until what was taken in so far is written, at most a few seconds.
    pub fn flush(&self) {
        self.0.spool.flush();
    }

    fn since(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.spool.close();
    }
}
