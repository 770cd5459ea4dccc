//! Reads a journal back.
//!
//! A journal is read into [`Part`]s: unbroken stretches of one process. A part that begins with the start of its process
//! can be decided again exactly; one whose beginning was removed, or that follows a gap, only nearly. The last line of a
//! file may be torn, since a process may be killed while it writes; any other line that can't be read breaks the part.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Header, JournalError, Note, Pseudonyms, VERSION, files,
    record::{self, Versioned},
};
use crate::admission::{Input, Policy};

/// A journal, read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Its parts, in the order of time.
    pub parts: Vec<Part>,
    /// What could not be read, as sentences with file and line.
    pub warnings: Vec<String>,
    /// Lines.
    pub lines: usize,
    /// Bytes.
    pub bytes: u64,
    /// Where the key of its pseudonyms would lie.
    dir: PathBuf,
}

/// An unbroken stretch of one process.
#[derive(Debug)]
pub struct Part {
    /// What held when it began.
    pub header: Header,
    /// What happened.
    pub steps: Vec<Step>,
    /// What is not the core's.
    pub notes: Vec<(u64, Note)>,
    /// Where records are missing.
    pub gaps: Vec<Gap>,
}

/// One input, and what came of it.
#[derive(Debug)]
pub struct Step {
    /// Since the start of its process, nanoseconds.
    pub t: u64,
    /// What the core was told.
    pub told: Input,
    /// What it did, as it was written: a JSON list.
    pub did: Option<Box<str>>,
}

/// Records that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Since the start of the process, nanoseconds.
    pub t: u64,
    /// How many, if that was written down.
    pub lost: Option<u64>,
}

/// Why a journal can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or directory can't be read.
    #[error("{0}: can't be read")]
    Io(PathBuf, #[source] io::Error),
    /// There is nothing in it.
    #[error("{0}: there is no journal here (files are called journal-*.ndjson)")]
    Empty(PathBuf),
    /// It is of another version.
    #[error("{file}:1: the journal has version {found}, and this Finweir reads version {VERSION}")]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Its beginning can't be understood: it was written by another Finweir.
    #[error("{file}:1: the beginning can't be understood: {why}")]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is something else.
    #[error("{0}:1: does not begin like a journal")]
    Foreign(PathBuf),
}

impl Reading {
    /// Reads a directory or one file.
    ///
    /// # Errors
    /// There is no journal, or one of another version.
    pub fn of(path: &Path) -> Result<Self, ReadError> {
        let unreadable = |error| ReadError::Io(path.to_owned(), error);
        let is_dir = fs::metadata(path).map_err(unreadable)?.is_dir();
        let (names, dir) = if is_dir {
            (files::list(path).map_err(unreadable)?, path.to_owned())
        } else {
            let dir = path.parent().map(Path::to_owned).unwrap_or_default();
            (vec![path.to_owned()], dir)
        };
        Self::of_files(path, names, dir)
    }

    /// Reads the newest files of a directory, as many as take no more than `most` bytes.
    ///
    /// # Errors
    /// There is no journal, or one of another version.
    pub fn of_newest(dir: &Path, most: u64) -> Result<Self, ReadError> {
        let unreadable = |error| ReadError::Io(dir.to_owned(), error);
        let names = files::newest(dir, most).map_err(unreadable)?;
        Self::of_files(dir, names, dir.to_owned())
    }

    fn of_files(path: &Path, names: Vec<PathBuf>, dir: PathBuf) -> Result<Self, ReadError> {
        if names.is_empty() {
            return Err(ReadError::Empty(path.to_owned()));
        }
        let mut reading = Self {
            dir,
            ..Self::default()
        };
        for name in names {
            reading.add(&name)?;
        }
        // Two processes that overlap write files by turns.
        reading
            .parts
            .sort_by_key(|part| (part.header.start, part.header.part));
        reading.join();
        if reading.parts.is_empty() {
            return Err(ReadError::Empty(path.to_owned()));
        }
        Ok(reading)
    }

    /// What turns names into this journal's pseudonyms. `None`: it has none.
    ///
    /// # Errors
    /// Its key is not beside it.
    pub fn pseudonyms(&self) -> Result<Option<Pseudonyms>, JournalError> {
        let any = self.parts.iter().any(|part| part.header.pseudonyms);
        any.then(|| Pseudonyms::of(&self.dir, false)).transpose()
    }

    /// The policy that was in force at the end.
    pub fn last_policy(&self) -> Arc<Policy> {
        let told = |step: &Step| {
            if let Input::Policy(policy) = &step.told {
                return Some(Arc::clone(policy));
            }
            None
        };
        let last = self
            .parts
            .last()
            .expect("a journal without a part is an error");
        let swapped = last.steps.iter().rev().find_map(told);
        swapped.unwrap_or_else(|| Arc::clone(&last.header.policy))
    }

    fn add(&mut self, file: &Path) -> Result<(), ReadError> {
        let bytes = fs::read(file).map_err(|error| ReadError::Io(file.to_owned(), error))?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let whole = bytes.ends_with(b"\n");
        let count = bytes.split(|byte| *byte == b'\n').count() - usize::from(whole);
        let name = file.display();
        let mut part: Option<Part> = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            self.lines += 1;
            let torn = index + 1 == count && !whole;
            if part.is_none() && !torn {
                check_version(file, line)?;
            }
            let read = std::str::from_utf8(line)
                .map_err(|error| error.to_string())
                .and_then(|line| serde_json::from_str(line).map_err(|error| error.to_string()));
            match (read, &mut part) {
                (Ok(record::Read::File(header)), None) => part = Some(Part::new(*header)),
                (Ok(record::Read::File(header)), Some(known)) => {
                    let done = std::mem::replace(known, Part::new(*header));
                    self.parts.push(done);
                }
                (Ok(record::Read::Step { t, told, did }), Some(part)) => part.steps.push(Step {
                    t,
                    told,
                    did: did.map(|did| Box::from(did.get())),
                }),
                (Ok(record::Read::Gap { t, lost }), Some(part)) => part.gaps.push(Gap {
                    t,
                    lost: Some(lost),
                }),
                (Ok(record::Read::Note { t, note }), Some(part)) => part.notes.push((t, note)),
                (Ok(_), None) => return Err(ReadError::Foreign(file.to_owned())),
                (Err(_), _) if torn => {
                    self.warnings.push(format!(
                        "{name}:{}: the last line is torn: the process was killed while it wrote, or writes now",
                        index + 1
                    ));
                }
                (Err(why), None) => {
                    let file = file.to_owned();
                    return Err(ReadError::Header { file, why });
                }
                (Err(error), known) => {
                    self.warnings.push(format!(
                        "{name}:{}: can't be read, and is left out: {error}",
                        index + 1
                    ));
                    if let Some(part) = known {
                        let t = part.end();
                        part.gaps.push(Gap { t, lost: Some(1) });
                    }
                }
            }
        }
        self.parts.extend(part);
        Ok(())
    }

    /// Files that follow each other are one part.
    fn join(&mut self) {
        let mut joined: Vec<(Part, u64)> = Vec::new();
        for part in std::mem::take(&mut self.parts) {
            let number = part.header.part;
            match joined.last_mut() {
                Some((before, last))
                    if before.header.start == part.header.start && *last + 1 == number =>
                {
                    *last = number;
                    before.steps.extend(part.steps);
                    before.notes.extend(part.notes);
                    before.gaps.extend(part.gaps);
                }
                Some(_) | None => joined.push((part, number)),
            }
        }
        self.parts = joined.into_iter().map(|(part, _)| part).collect();
    }
}

impl Part {
    fn new(header: Header) -> Self {
        Self {
            header,
            steps: Vec::new(),
            notes: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// It begins with the start of its process: nothing before it is unknown.
    pub fn is_whole(&self) -> bool {
        self.header.part == 0
    }

    /// The last moment of it, nanoseconds since the start of its process.
    pub fn end(&self) -> u64 {
        self.steps.last().map_or(self.header.t, |step| step.t)
    }

    /// Seconds since 1970 at a moment of it.
    #[expect(clippy::cast_precision_loss, reason = "a time of day for people")]
    pub fn wall(&self, t: u64) -> f64 {
        self.header.start as f64 / 1e3 + t as f64 / 1e9
    }
}

fn check_version(file: &Path, line: &[u8]) -> Result<(), ReadError> {
    match serde_json::from_slice::<Versioned>(line) {
        Ok(first) if first.file.version == VERSION => Ok(()),
        Ok(first) => Err(ReadError::Version {
            file: file.to_owned(),
            found: first.file.version,
        }),
        Err(_) => Err(ReadError::Foreign(file.to_owned())),
    }
}
