//! The last hour, in a ring: what was held and who waited, every ten seconds.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    admission::{Seats, Snapshot},
    ident::GpuId,
};

/// Between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Samples kept: an hour.
const KEPT: usize = 360;

/// What was sampled at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Seconds since 1970.
    at: f64,
    gpus: Vec<(GpuId, Point)>,
}

/// One GPU at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Seconds before now.
    pub(super) ago: f64,
    /// Seats held.
    pub(super) held: Seats,
    /// Seats that could be handed out.
    pub(super) capacity: Seats,
    /// Demands that waited.
    pub(super) waiting: u32,
}

/// The samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Sample>>);

impl History {
    /// Notes how things stand at `at`, in seconds since 1970.
    pub(super) fn note(&self, at: f64, snapshot: &Snapshot) {
        let gpus = snapshot.gpus.iter().map(|gpu| {
            let point = Point {
                ago: 0.0,
                held: gpu.held,
                capacity: gpu.capacity,
                waiting: gpu.waiting,
            };
            (gpu.gpu.clone(), point)
        });
        let sample = Sample {
            at,
            gpus: gpus.collect(),
        };
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The last hour of each GPU before `now`, oldest first.
    pub(super) fn of(&self, gpu: &GpuId, now: f64) -> Vec<Point> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = f64::from(u32::try_from(KEPT).unwrap_or(0)) * EVERY.as_secs_f64();
        samples
            .iter()
            .filter(|sample| (0.0..=hour).contains(&(now - sample.at)))
            .filter_map(|sample| {
                let (_, point) = sample.gpus.iter().find(|(own, _)| own == gpu)?;
                Some(Point {
                    ago: now - sample.at,
                    ..*point
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::GpuView;

    fn snapshot(held: u32) -> Snapshot {
        let gpu = GpuView {
            gpu: GpuId::new("igpu"),
            held: Seats::from_milli(held),
            capacity: Seats::from_milli(8500),
            given: Seats::from_milli(8500),
            learned: Seats::from_milli(8500),
            reserved: Seats::ZERO,
            lent: Seats::ZERO,
            sessions: 0,
            max_sessions: None,
            waiting: 1,
            starving: 0,
        };
        Snapshot {
            gpus: vec![gpu],
            ..Snapshot::default()
        }
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::default();
        for n in 0..1000_u32 {
            history.note(f64::from(n) * 10.0, &snapshot(n));
        }
        let points = history.of(&GpuId::new("igpu"), 9990.0);
        assert_eq!(points.len(), KEPT);
        assert_eq!(points.last().unwrap().held, Seats::from_milli(999));
        assert!(points.last().unwrap().ago < 1e-9);
        assert!((points[0].ago - 3590.0).abs() < 1e-9);
        assert!(history.of(&GpuId::new("other"), 9990.0).is_empty());
        // The clock was set back: what lies ahead is not shown.
        assert!(history.of(&GpuId::new("igpu"), 0.0).is_empty());
    }
}
