//! From how little free space on a server's disk is worth a warning.

use super::Build;
use crate::config::units::Size;

/// Room for a few minutes of what several jobs write that run faster than they are watched. Jellyfin itself does not start
/// with less than 2 GB free (its StorageHelper, 10.11).
const DISK_FREE: u64 = 5_000_000_000;
/// What one such job writes within two looks.
const LEAST_DISK_FREE: u64 = 100_000_000;

impl Build<'_> {
    /// Bytes; 0: never.
    pub(super) fn disk_free(&mut self, entry: &str, written: Option<Size>, keyed: bool) -> u64 {
        let key = format!("{entry}.disk_free");
        let free = written.map_or(DISK_FREE, |size| u64::try_from(size.0).unwrap_or(u64::MAX));
        if (1..LEAST_DISK_FREE).contains(&free) {
            self.wrong(
                &key,
                "must be at least 100MB, to be warned in time; 0B: no warning",
            );
        }
        if written.is_some() && !keyed {
            self.warn(
                &key,
                "does nothing without an API key: Jellyfin tells nobody else how full its disk is",
            );
        }
        free
    }
}
