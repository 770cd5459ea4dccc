//! The queue, the timers of a lease, and the cost formula.

use std::time::Duration;

use super::Build;
use crate::{
    admission::{Bitrate, CostModel, Mode, QueueBounds, Timers, Uplink},
    config::{file, units::Span},
};

/// A held answer longer than this outlasts the patience of most players.
const PATIENT: Duration = Duration::from_secs(25);
/// A line of less carries no film.
const TIGHT: Bitrate = Bitrate::new(1_000_000);

impl Build<'_> {
    pub(super) fn queue(&mut self, written: &file::Queue) -> QueueBounds {
        let usual = QueueBounds::default();
        let queue = QueueBounds {
            length: written.length.unwrap_or(usual.length),
            per_user: written.per_user.unwrap_or(usual.per_user),
            max_wait: written.max_wait.map_or(usual.max_wait, |s| s.0),
            keep_place: written.keep_place.map_or(usual.keep_place, |s| s.0),
        };
        if queue.length > 10_000 {
            self.wrong("queue.length", "must be at most 10000");
        }
        if queue.per_user > queue.length {
            self.warn(
                "queue.per_user",
                "is more than `queue.length`, which counts first",
            );
        }
        if queue.max_wait >= PATIENT {
            self.warn(
                "queue.max_wait",
                "most players give up after 25s, and HAProxy's `timeout server` must be longer by 5s at least",
            );
        }
        queue
    }

    pub(super) fn uplink(&mut self, written: file::Uplink) -> Uplink {
        let usual = Uplink::default();
        let uplink = Uplink {
            limit: written.limit.and_then(|limit| limit.0),
            local: written.local.map_or(usual.local, |networks| {
                networks.into_iter().map(|network| network.0).collect()
            }),
            mode: written.mode.map_or(usual.mode, Mode::from),
        };
        if uplink.limit.is_some_and(|limit| limit < TIGHT) {
            self.warn(
                "uplink.limit",
                "is less than one film takes; is it meant in Mbit/s?",
            );
        }
        if uplink.local.iter().any(|network| network.prefix_len() == 0) {
            self.warn(
                "uplink.local",
                "has everybody inside the house, so that nothing is counted",
            );
        }
        uplink
    }

    pub(super) fn timers(&mut self, written: &file::Leases) -> Timers {
        let usual = Timers::default();
        let span = |s: Option<Span>, usual: Duration| s.map_or(usual, |s| s.0);
        let timers = Timers {
            reserve: span(written.reserve, usual.reserve),
            intent: span(written.intent, usual.intent),
            idle: span(written.idle, usual.idle),
            park_after: written.park_after.map_or(usual.park_after, |s| s.0),
            parked: span(written.parked, usual.parked),
            linger: span(written.linger, usual.linger),
            dead_after: span(written.dead_after, usual.dead_after),
            grace: span(written.grace, usual.grace),
            recovery: span(written.recovery, usual.recovery),
            replace_idle: span(written.replace_idle, usual.replace_idle),
        };
        for (key, value) in [
            ("leases.reserve", timers.reserve),
            ("leases.intent", timers.intent),
            ("leases.idle", timers.idle),
            ("leases.dead_after", timers.dead_after),
        ] {
            if value < Duration::from_secs(1) {
                self.wrong(
                    key,
                    "must be at least 1s, or every play would lose its seats at once",
                );
            }
        }
        if timers.intent < timers.reserve {
            self.warn(
                "leases.intent",
                "is shorter than `leases.reserve`, so a playlist request prolongs nothing",
            );
        }
        if timers.idle < Duration::from_secs(60) {
            self.warn(
                "leases.idle",
                "Jellyfin lets FFmpeg run for 60s after the last request: seats given back before that are still in use",
            );
        }
        timers
    }

    pub(super) fn cost(&mut self, written: &file::Cost) -> CostModel {
        let usual = CostModel::default();
        let mut factor = |key: &str, written: Option<f64>, usual: f64, least: f64| {
            let value = written.unwrap_or(usual);
            if !(least..=20.0).contains(&value) {
                self.wrong(key, format!("must be a factor from {least} to 20"));
            }
            value
        };
        CostModel {
            tone_map: factor("cost.tone_map", written.tone_map, usual.tone_map, 0.0),
            uhd_surcharge: factor(
                "cost.uhd_surcharge",
                written.uhd_surcharge,
                usual.uhd_surcharge,
                1.0,
            ),
            ten_bit: factor("cost.ten_bit", written.ten_bit, usual.ten_bit, 1.0),
            dolby_vision: factor(
                "cost.dolby_vision",
                written.dolby_vision,
                usual.dolby_vision,
                1.0,
            ),
            burn_in: factor("cost.burn_in", written.burn_in, usual.burn_in, 1.0),
        }
    }
}
