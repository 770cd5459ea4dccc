//! The files of a journal: new ones, and the removal of old ones.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Parts of the whole that a file may take: so much is lost at a time when room is made.
const FILES: u64 = 8;
/// A file is never smaller than this, or it would be all header.
const LEAST: u64 = 64 << 10;
/// And never larger: it is read as a whole.
const MOST: u64 = 64 << 20;
const PREFIX: &str = "journal-";
const SUFFIX: &str = ".ndjson";

/// Where the files are, and how much of them is kept.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    max_size: u64,
    max_age: Duration,
}

impl Files {
    pub(super) fn new(dir: PathBuf, max_size: u64, max_age: Duration) -> Self {
        Self {
            dir,
            max_size,
            max_age,
        }
    }

    /// What one file may hold.
    pub(super) fn each(&self) -> u64 {
        (self.max_size / FILES).clamp(LEAST, MOST)
    }

    /// Makes a file that was not there.
    pub(super) fn create(&self, wall: Duration) -> io::Result<(File, PathBuf)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let mut millis = wall.as_millis();
        loop {
            let path = self.dir.join(format!("{PREFIX}{millis:013}{SUFFIX}"));
            let made = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => millis += 1,
                made => return Ok((made?, path)),
            }
        }
    }

    /// Removes what is too old, and the oldest of what is too much; the file that is being written stays, whatever its
    /// name says: the clock may have been set back.
    pub(super) fn clear(&self, now: SystemTime, written: Option<&Path>) -> io::Result<()> {
        let mut files = Vec::new();
        for path in list(&self.dir)? {
            if written == Some(path.as_path()) {
                continue;
            }
            // Somebody else may have removed it.
            if let Ok(about) = fs::metadata(&path) {
                files.push((path, about.len(), about.modified().unwrap_or(now)));
            }
        }
        let room = self.max_size.saturating_sub(self.each());
        let mut kept = files.iter().map(|(_, size, _)| *size).sum::<u64>();
        for (path, size, changed) in files {
            let age = now.duration_since(changed).unwrap_or_default();
            if kept > room || age > self.max_age {
                kept = kept.saturating_sub(size);
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The newest files of a journal that take no more than `most` bytes together, oldest first.
pub(super) fn newest(dir: &Path, most: u64) -> io::Result<Vec<PathBuf>> {
    let mut files = list(dir)?;
    let mut kept = 0_u64;
    let mut from = files.len();
    for path in files.iter().rev() {
        kept = kept.saturating_add(fs::metadata(path)?.len());
        if kept > most {
            break;
        }
        from -= 1;
    }
    Ok(files.split_off(from))
}

/// The files of a journal, oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if ours {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
