//! Watches how full the disk is that a server writes its transcodes to: once it is full, every stream that is encoded
//! stops.
//!
//! It warns and does no more. Whoever was let in plays on, and who comes is let in as before: most jobs delete what they
//! wrote, and a play that was refused for a disk that has room again a minute later was refused for nothing.

use std::time::{Duration, Instant};

use crate::{
    clock,
    jellyfin::Space,
    telemetry::{Disk, Telemetry},
    upstream::{Api, CallError},
};

/// After so many looks without an answer, what was last seen is too old.
const OLD: u32 = 5;
/// A server that refuses to say is asked again after so many times the usual: it may have been upgraded.
const REFUSED: u32 = 60;

/// What is known of one disk.
#[derive(Debug)]
struct Watch {
    every: Duration,
    /// Less than this is too little.
    least: u64,
    filling: bool,
    last: Option<(Instant, Disk)>,
}

/// Looks again and again, for ever. `least`: less than this is too little; of a small disk, less than a quarter; 0: nothing
/// is.
pub async fn watch_disk(api: Api, telemetry: Telemetry, every: Duration, least: u64) {
    // It is told to keys only.
    if !api.has_key() {
        return;
    }
    let mut watch = Watch::new(every, least);
    let mut blind = false;
    loop {
        let answer = api.transcode_space().await;
        let why = match &answer {
            Ok(_) => "Jellyfin does not know".to_owned(),
            Err(error) => error.to_string(),
        };
        let again = watch.take(clock::now(), answer);
        let disk = watch.disk();
        if std::mem::replace(&mut blind, disk.is_none()) != disk.is_none() {
            match disk {
                Some(_) => tracing::info!(node = %api.node(), "Sees how full Jellyfin's disk is"),
                None => {
                    tracing::info!(node = %api.node(), why, "Can't see how full Jellyfin's disk is");
                }
            }
        }
        telemetry.disk(api.node(), disk.cloned());
        tokio::time::sleep(again).await;
    }
}

// === impl Watch ===

impl Watch {
    fn new(every: Duration, least: u64) -> Self {
        Self {
            every,
            least,
            filling: false,
            last: None,
        }
    }

    /// What is known, unless it is too old.
    fn disk(&self) -> Option<&Disk> {
        self.last.as_ref().map(|(_, disk)| disk)
    }

    /// Takes in what one look brought. Returns how long to wait for the next.
    fn take(&mut self, now: Instant, answer: Result<Option<Space>, CallError>) -> Duration {
        let old = |(at, _): &(Instant, Disk)| {
            now.saturating_duration_since(*at) >= self.every.saturating_mul(OLD)
        };
        match answer {
            Ok(Some(space)) => {
                self.filling = self.is_too_little(&space);
                let disk = Disk {
                    free: space.free,
                    size: space.size,
                    path: space.path,
                    filling: self.filling,
                };
                self.last = Some((now, disk));
            }
            Ok(None) => self.last = None,
            Err(error) if error.is_refusal() => {
                self.last = None;
                return self.every.saturating_mul(REFUSED);
            }
            // One that was lost on the way says nothing about the disk.
            Err(_) => self.last = self.last.take().filter(|last| !old(last)),
        }
        self.every
    }

    /// What was too little must become a quarter more: jobs that write and delete would else make it come and go.
    fn is_too_little(&self, space: &Space) -> bool {
        // A small disk, in memory say, never has as much free as a large one.
        let least = space
            .size
            .map_or(self.least, |size| self.least.min(size / 4));
        let wanted = if self.filling {
            least.saturating_add(least / 4)
        } else {
            least
        };
        space.free < wanted
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const GB: u64 = 1_000_000_000;
    const EVERY: Duration = Duration::from_secs(60);

    fn space(free: u64, size: u64) -> Result<Option<Space>, CallError> {
        Ok(Some(Space {
            free: free * GB / 10,
            size: (size > 0).then_some(size * GB),
            path: None,
        }))
    }

    fn lost() -> Result<Option<Space>, CallError> {
        Err(CallError::Unreachable("it took too long".to_owned()))
    }

    /// Whether each of these, in tenths of a GB, is too little.
    fn filling(least: u64, size: u64, free: &[u64]) -> Vec<bool> {
        let mut watch = Watch::new(EVERY, least);
        free.iter()
            .map(|free| {
                watch.take(clock::now(), space(*free, size));
                watch.disk().unwrap().filling
            })
            .collect()
    }

    #[test]
    fn a_disk_is_filling_from_the_threshold_until_a_quarter_more_is_free() {
        let free = [700, 50, 49, 51, 62, 63, 51, 0];
        let expected = [false, false, true, true, true, false, false, true];
        assert_eq!(filling(5 * GB, 270, &free), expected);
        assert_eq!(filling(5 * GB, 0, &free), expected);
    }

    #[test]
    fn a_small_disk_is_not_filling_for_being_small() {
        let free = [40, 10, 9, 12, 13];
        let expected = [false, false, true, true, false];
        assert_eq!(filling(5 * GB, 4, &free), expected);
    }

    #[test]
    fn no_disk_is_filling_where_the_threshold_is_nothing() {
        assert_eq!(filling(0, 270, &[0, 1]), [false, false]);
    }

    #[test]
    fn a_lost_answer_changes_nothing_until_what_was_seen_is_old() {
        let mut watch = Watch::new(EVERY, 5 * GB);
        let start = clock::now();
        assert_eq!(watch.take(start, space(30, 270)), EVERY);
        for minute in 1..5 {
            assert_eq!(watch.take(start + EVERY * minute, lost()), EVERY);
            assert!(watch.disk().unwrap().filling, "{minute}");
        }
        assert_eq!(watch.take(start + EVERY * 5, lost()), EVERY);
        assert_eq!(watch.disk(), None);
        // What it was then still counts: 5.5 GB are not yet enough.
        watch.take(start + EVERY * 6, space(55, 270));
        assert!(watch.disk().unwrap().filling);
    }

    #[test]
    fn a_server_that_refuses_is_hardly_asked_again_and_nothing_is_known_of_its_disk() {
        for status in [401, 403, 404] {
            let mut watch = Watch::new(EVERY, 5 * GB);
            watch.take(clock::now(), space(30, 270));
            let refused = Err(CallError::Status(StatusCode::from_u16(status).unwrap()));
            assert_eq!(
                watch.take(clock::now(), refused),
                Duration::from_secs(3600),
                "{status}"
            );
            assert_eq!(watch.disk(), None, "{status}");
        }
        let mut watch = Watch::new(EVERY, 5 * GB);
        let starting = Err(CallError::Status(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(watch.take(clock::now(), starting), EVERY);
        assert_eq!(watch.take(clock::now(), Ok(None)), EVERY);
        assert_eq!(watch.disk(), None);
    }
}
