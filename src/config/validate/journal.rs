//! Where the journal is, and how much of it is kept.

use std::{path::Path, time::Duration};

use super::Build;
use crate::{config::journal::Journal, journal::Settings};

impl Build<'_> {
    pub(super) fn journal(&mut self, written: Journal, state: Option<&Path>) -> Settings {
        let dir = match written.dir {
            Some(dir) if dir == Path::new("none") => None,
            Some(dir) if dir.as_os_str().is_empty() => {
                self.wrong("journal.dir", "must be a directory, or `none`");
                None
            }
            Some(dir) => Some(self.directory.join(dir)),
            None => state.map(|dir| dir.join("journal")),
        };
        let max_size = written.max_size.map_or(256 << 20, |size| size.0);
        if max_size < 1 << 20 {
            self.wrong("journal.max_size", "must be at least 1MiB");
        }
        let max_age = written
            .max_age
            .map_or(Duration::from_secs(14 * 86_400), |age| age.0);
        if max_age < Duration::from_secs(3600) {
            self.wrong("journal.max_age", "must be at least 1h");
        }
        Settings {
            dir,
            max_size: u64::try_from(max_size).unwrap_or(u64::MAX),
            max_age,
            pseudonyms: written.pseudonyms.unwrap_or(false),
        }
    }
}
