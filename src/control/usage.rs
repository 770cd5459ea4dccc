//! Keeps what users have used over a restart: one JSON file, replaced whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{admission::Book, gate::Gate};

/// How often usage is written while it changes: what a power cut may cost.
const EVERY: Duration = Duration::from_secs(60);
/// The longest file that is read; one of as many users as are kept is a tenth of it.
const LONGEST: u64 = 64 << 20;

/// Where usage is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UsageFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// The last state was written: what is still on its way is older. One writes at a time.
    closed: Mutex<bool>,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("it can't be read")]
    Unreadable(#[from] io::Error),
    #[error("it is damaged")]
    Damaged(#[from] serde_json::Error),
}

// === impl UsageFile ===

impl UsageFile {
    /// The file `usage.json` in this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self(Arc::new(Inner {
            path: directory.join("usage.json"),
            closed: Mutex::new(false),
        }))
    }

    /// What was kept. A file that can't be used is set aside and reported, and everybody begins at nothing. Then it is
    /// written once, so that a directory that can't be written is found at once.
    pub fn load(&self) -> Book {
        let path = &self.0.path;
        let book = match read(path) {
            Ok(book) => book.unwrap_or_default(),
            Err(damage) => {
                self.set_aside(&damage);
                Book::default()
            }
        };
        if let Err(error) = self.save(&book) {
            self.tell(&error);
        }
        book
    }

    fn set_aside(&self, damage: &Damage) {
        let path = &self.0.path;
        let aside = self.beside("bad");
        let kept = match fs::rename(path, &aside) {
            Ok(()) => format!("it is kept as {}", aside.display()),
            Err(error) => {
                // It is not written over: somebody may want to mend it.
                *self.closed() = true;
                format!("it can't be set aside ({error}), so nothing is kept until the next start")
            }
        };
        let why = std::error::Error::source(damage).map(ToString::to_string);
        tracing::error!(
            path = %path.display(),
            error = %damage,
            why = why.unwrap_or_default(),
            "What users had used is lost, and their quotas begin anew; {kept}"
        );
    }

    fn tell(&self, error: &io::Error) {
        tracing::warn!(path = %self.0.path.display(), %error, "What users use can't be kept; a restart would forget it");
    }

    fn closed(&self) -> MutexGuard<'_, bool> {
        self.0.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new file in the old one's place: at no moment is there half a file.
    ///
    /// # Errors
    /// The file can't be written; the old one stays.
    pub fn save(&self, book: &Book) -> io::Result<()> {
        self.write(book, false)
    }

    fn write(&self, book: &Book, last: bool) -> io::Result<()> {
        let mut closed = self.closed();
        if *closed {
            return Ok(());
        }
        *closed = last;
        let (path, new) = (&self.0.path, self.beside("new"));
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(book)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        // Without it a power cut may bring the old file back. Not every file system can, and the file is there.
        if let Ok(directory) = File::open(directory) {
            directory.sync_all().ok();
        }
        Ok(())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.0.path.with_extension(format!("json.{ending}"))
    }
}

/// `None`: there is no file.
fn read(path: &Path) -> Result<Option<Book>, Damage> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Writes usage once a minute while it changes, for ever.
pub async fn keep_usage(gate: Gate, file: UsageFile) {
    let mut failing = false;
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(book) = gate.changed_usage() else {
            continue;
        };
        let to = file.clone();
        match tokio::task::spawn_blocking(move || to.save(&book)).await {
            Ok(Ok(())) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("What users use is kept again");
                }
            }
            Ok(Err(error)) => {
                gate.usage_is_unsaved();
                if !std::mem::replace(&mut failing, true) {
                    file.tell(&error);
                }
            }
            // The runtime is going.
            Err(_) => return,
        }
    }
}

/// Writes usage now, if it has changed. `last`: nothing is written after it.
pub fn write_usage(gate: &Gate, file: &UsageFile, last: bool) {
    let Some(book) = gate.changed_usage() else {
        return;
    };
    if let Err(error) = file.write(&book, last) {
        gate.usage_is_unsaved();
        file.tell(&error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = r#"{"version":1,"users":{"u1":{"name":"anna","days":{"2026-11-25":{"gpu_time":5,"plays":2,"bytes":7}}}}}"#;

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = UsageFile::in_directory(&directory.path().join("state"));
        assert_eq!(file.load(), Book::default());
        let book: Book = serde_json::from_str(KEPT).unwrap();
        file.save(&book).unwrap();
        assert_eq!(file.load(), book);
        file.write(&Book::default(), true).unwrap();
        file.save(&book).unwrap();
        assert_eq!(
            file.load(),
            Book::default(),
            "an older state came after the last"
        );
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_stops_nothing() {
        let newer = KEPT.replace(r#""version":1"#, r#""version":2"#);
        let no_date = KEPT.replace("2026-11-25", "2026-11-31");
        let half = KEPT.get(..60).unwrap().to_owned();
        for text in [String::new(), half, newer, no_date, "[]".to_owned()] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("usage.json");
            fs::write(&path, &text).unwrap();
            let file = UsageFile::in_directory(directory.path());
            assert_eq!(file.load(), Book::default(), "{text}");
            let bad = directory.path().join("usage.json.bad");
            assert_eq!(fs::read_to_string(bad).unwrap(), text);
            // Where nothing can be kept this is known at once.
            assert_eq!(read(&path).unwrap(), Some(Book::default()));
        }
    }

    #[test]
    fn a_damaged_file_that_can_not_be_set_aside_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("usage.json");
        fs::write(&path, "{").unwrap();
        let full = directory.path().join("usage.json.bad");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("x"), "").unwrap();
        let file = UsageFile::in_directory(directory.path());
        assert_eq!(file.load(), Book::default());
        file.save(&serde_json::from_str(KEPT).unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn a_file_that_can_not_be_written_leaves_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = UsageFile::in_directory(directory.path());
        let book: Book = serde_json::from_str(KEPT).unwrap();
        file.save(&book).unwrap();
        fs::create_dir(directory.path().join("usage.json.new")).unwrap();
        assert!(file.save(&Book::default()).is_err());
        assert_eq!(file.load(), book);
    }
}
