//! The list between those who decide and the disk, and the thread that writes it away.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    Header, Note, Pseudonyms,
    files::Files,
    pseudonym::is_blurred,
    record::{Line, StepLine},
};
use crate::{
    admission::{Event, Input},
    clock,
    telemetry::Telemetry,
};

/// Records that may wait for the disk: what a busy house does in minutes. Beyond it they are lost, and counted.
pub(super) const WAITING: usize = 65_536;
/// The longest that a record waits for the thread.
const TICK: Duration = Duration::from_millis(200);
/// The longest that a flush is waited for.
const LAST: Duration = Duration::from_secs(5);
/// A disk that failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Trouble is told for so long after records were lost: whoever looks, looks every few seconds.
const LATELY: Duration = Duration::from_secs(60);
/// How often files that grow too old are looked for.
const CLEAR: Duration = Duration::from_secs(3600);

/// What is to be written.
#[derive(Debug)]
pub(super) enum Entry {
    Step {
        at: u64,
        input: Input,
        events: Vec<Event>,
    },
    Note {
        at: u64,
        note: Note,
    },
}

/// The list. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Spool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    lost: u64,
    /// Somebody waits for the list to be written.
    hurry: bool,
    /// What was taken is being written.
    busy: bool,
    /// Nobody will say anything more.
    closed: bool,
}

/// Writes the list away.
#[derive(Debug)]
pub(super) struct Writer {
    spool: Spool,
    start: Instant,
    header: Header,
    files: Files,
    pseudonyms: Option<Pseudonyms>,
    telemetry: Telemetry,
    file: Option<File>,
    /// Where that is, or the last one was.
    path: Option<PathBuf>,
    /// When records were last lost because nobody could keep up.
    lost: Option<Instant>,
    /// Bytes of the file.
    size: u64,
    /// When a disk that failed is tried again.
    again: Option<Instant>,
    cleared: Instant,
    buffer: Vec<u8>,
}

// === impl Spool ===

impl Spool {
    pub(super) fn push(&self, entry: Entry) {
        let mut queue = self.queue();
        if queue.entries.len() < WAITING {
            queue.entries.push(entry);
            if queue.entries.len() == WAITING / 2 {
                self.0.changed.notify_all();
            }
        } else {
            queue.lost += 1;
        }
    }

    pub(super) fn flush(&self) {
        let mut queue = self.queue();
        queue.hurry = true;
        self.0.changed.notify_all();
        let waits = |queue: &mut Queue| queue.busy || !queue.entries.is_empty();
        // Whatever comes of it, the program goes on.
        drop(self.0.changed.wait_timeout_while(queue, LAST, waits));
    }

    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.0.changed.notify_all();
    }

    /// All that waits, and how much was lost behind it. Comes back empty after a while. `None`: that was all.
    pub(super) fn take(&self, into: &mut Vec<Entry>) -> Option<u64> {
        let mut queue = self.queue();
        queue.busy = false;
        self.0.changed.notify_all();
        let idle =
            |queue: &mut Queue| !queue.hurry && !queue.closed && queue.entries.len() < WAITING / 2;
        let waited = self.0.changed.wait_timeout_while(queue, TICK, idle);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        if queue.closed && queue.entries.is_empty() && queue.lost == 0 {
            return None;
        }
        queue.hurry = false;
        queue.busy = !queue.entries.is_empty();
        std::mem::swap(&mut queue.entries, into);
        Some(std::mem::take(&mut queue.lost))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        spool: Spool,
        start: Instant,
        header: Header,
        files: Files,
        pseudonyms: Option<Pseudonyms>,
        telemetry: Telemetry,
    ) -> Self {
        let mut writer = Self {
            spool,
            start,
            header,
            files,
            pseudonyms,
            telemetry,
            file: None,
            path: None,
            lost: None,
            size: 0,
            again: None,
            cleared: start,
            buffer: Vec::new(),
        };
        let policy = Arc::clone(&writer.header.policy);
        writer.header.policy = writer.policy(&policy);
        writer
    }

    /// Begins the first file.
    pub(super) fn open(&mut self) -> io::Result<()> {
        let wall = clock::wall();
        let mut line = Vec::new();
        put(&mut line, &Line::File(&self.header))?;
        let (mut file, path) = self.files.create(clock::since_1970(wall))?;
        if let Err(error) = file.write_all(&line) {
            // A full disk would get another empty file each time it is tried.
            std::fs::remove_file(&path).ok();
            return Err(error);
        }
        self.header.part += 1;
        self.size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.file = Some(file);
        self.path = Some(path);
        self.cleared = clock::now();
        if let Err(error) = self.files.clear(wall, self.path.as_deref()) {
            tracing::warn!(%error, "An old file of the journal can't be removed");
        }
        Ok(())
    }

    pub(super) fn start(mut self) -> io::Result<()> {
        let name = "finweir-journal".to_owned();
        thread::Builder::new().name(name).spawn(move || {
            let mut entries = Vec::new();
            while let Some(lost) = self.spool.take(&mut entries) {
                self.write(entries.drain(..), lost);
            }
        })?;
        Ok(())
    }

    /// Writes what was taken, and that so many were lost behind it.
    pub(super) fn write(&mut self, entries: impl Iterator<Item = Entry>, lost: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut records = 0;
        for entry in entries {
            records += 1;
            if let Err(error) = self.add(&mut buffer, entry) {
                tracing::error!(%error, "A record of the journal can't be written as text");
            }
        }
        if lost > 0 {
            let t = self.header.t;
            put(&mut buffer, &Line::Gap { t, lost }).ok();
        }
        if !buffer.is_empty() {
            match self.save(&buffer) {
                Ok(()) => {
                    self.telemetry.journal_written(records, buffer.len());
                    let lately = self.lost.is_some_and(|at| clock::now() < at + LATELY);
                    if !lately && self.telemetry.has_journal_trouble() {
                        self.telemetry.journal_trouble(false);
                    }
                }
                Err(error) => self.fail(&error, records),
            }
            if lost > 0 {
                self.telemetry.journal_lost(lost);
                self.lost = Some(clock::now());
            }
        } else if self.size > 0 && clock::now() >= self.cleared + CLEAR {
            self.cleared = clock::now();
            if let Err(error) = self.files.clear(clock::wall(), self.path.as_deref()) {
                tracing::warn!(%error, "An old file of the journal can't be removed");
            }
        }
        buffer.shrink_to(1 << 20);
        self.buffer = buffer;
    }

    fn add(&mut self, buffer: &mut Vec<u8>, entry: Entry) -> io::Result<()> {
        match entry {
            Entry::Step { at, input, events } => {
                for event in &events {
                    self.header.numbers.note(event);
                }
                if let Input::Policy(policy) = &input {
                    self.header.policy = self.policy(policy);
                }
                if let Input::Week { minute } = &input {
                    self.header.week = Some((at, *minute));
                }
                self.header.t = at;
                let input = match &self.pseudonyms {
                    Some(names) => names.input(input),
                    None => input,
                };
                put(
                    buffer,
                    &Line::Step(StepLine {
                        t: at,
                        told: &input,
                        did: &events,
                    }),
                )
            }
            Entry::Note { at, note } => put(buffer, &Line::Note { t: at, note: &note }),
        }
    }

    /// The policy as it is written down.
    fn policy(&self, policy: &Arc<crate::admission::Policy>) -> Arc<crate::admission::Policy> {
        let Some(names) = &self.pseudonyms else {
            return Arc::clone(policy);
        };
        if is_blurred(policy) {
            tracing::warn!(
                "The journal has pseudonyms: rules that name users by a pattern, or networks smaller than /24, can't be replayed"
            );
        }
        Arc::new(names.policy(policy))
    }

    fn save(&mut self, buffer: &[u8]) -> io::Result<()> {
        if self.again.is_some_and(|again| clock::now() < again) {
            return Err(io::Error::other("the disk failed a moment ago"));
        }
        self.again = None;
        if self.file.is_none() {
            self.open()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(buffer)?;
        }
        self.size = self
            .size
            .saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
        if self.size >= self.files.each() {
            // The header of the next file says what held when this one ended.
            self.open()?;
        }
        Ok(())
    }

    /// What could not be written is lost. The next file begins anew: this one may end in a torn line.
    fn fail(&mut self, error: &io::Error, records: u64) {
        self.telemetry.journal_failed(records);
        if self.again.is_none() {
            let since = clock::now().saturating_duration_since(self.start).as_secs();
            tracing::error!(%error, since_start_s = since, "The journal can't be written: what happens now is not written down");
            self.again = Some(clock::now() + AGAIN);
        }
        self.file = None;
        // A gap in the numbers of the parts tells the reader.
        self.header.part += 1;
    }
}

fn put(buffer: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    let before = buffer.len();
    if let Err(error) = serde_json::to_writer(&mut *buffer, line) {
        buffer.truncate(before);
        return Err(error.into());
    }
    buffer.push(b'\n');
    Ok(())
}
