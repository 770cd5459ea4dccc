//! What flows out of the house beside the plays that are known: downloads, and players that never asked.
//!
//! The hop adds what it sends to a counter of each such request; once a second they are read. What is read by a viewer
//! whose play has a lease is counted there, by the film's bitrate, and not here. The rest of the last seconds is told
//! to the gate.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::Proxy;
use crate::{
    admission::Bitrate,
    clock,
    hop::{Forward, Meter, Peer},
    ident::DeviceId,
    telemetry::Served,
};

/// Requests that are told apart; all beyond share one counter.
const MOST: usize = 4096;
/// How often the counters are read.
const EVERY: Duration = Duration::from_secs(1);
/// Readings that a rate is made of.
const WINDOW: usize = 5;

/// Whose request it is, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) device: Option<DeviceId>,
    pub(super) address: Option<IpAddr>,
    /// A file is saved, not watched.
    pub(super) download: bool,
}

/// The counters of the requests that run.
#[derive(Debug, Default)]
pub(super) struct Flows(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    flows: Vec<Flow>,
    /// For those that came when there were too many.
    rest: Option<Meter>,
    last: Option<Instant>,
    /// Bytes of each reading, and how long it took.
    window: VecDeque<(u64, Duration)>,
}

#[derive(Debug)]
struct Flow {
    reader: Reader,
    sent: Meter,
    seen: u64,
}

// === impl Flows ===

impl Flows {
    /// A counter for one request.
    pub(super) fn open(&self, reader: Reader) -> Meter {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.flows.len() < MOST {
            let sent = Meter::default();
            counters.flows.push(Flow {
                reader,
                sent: Arc::clone(&sent),
                seen: 0,
            });
            return sent;
        }
        if let Some(rest) = &counters.rest {
            return Arc::clone(rest);
        }
        let sent = Meter::default();
        counters.flows.push(Flow {
            reader: Reader::default(),
            sent: Arc::clone(&sent),
            seen: 0,
        });
        counters.rest = Some(Arc::clone(&sent));
        sent
    }

    /// Whether there is nothing to read. Then what comes next is measured from its own beginning on: a quiet hour
    /// in the window would hide it.
    fn is_quiet(&self) -> bool {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet =
            counters.flows.is_empty() && counters.window.iter().all(|(bytes, _)| *bytes == 0);
        if quiet {
            counters.last = None;
            counters.window.clear();
        }
        quiet
    }

    /// Reads the counters. `counted`: whether a reader's play is counted elsewhere.
    fn read(&self, now: Instant, counted: impl Fn(&Reader) -> bool) -> Bitrate {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let took = counters
            .last
            .replace(now)
            .map_or(EVERY, |last| now.saturating_duration_since(last));
        let mut bytes = 0_u64;
        let Counters { flows, rest, .. } = &mut *counters;
        let shared = rest.as_ref().map(Arc::as_ptr);
        flows.retain_mut(|flow| {
            // Asked before it is read: what is sent in between is not lost.
            let own = usize::from(Some(Arc::as_ptr(&flow.sent)) == shared);
            let over = Arc::strong_count(&flow.sent) == 1 + own;
            let sent = flow.sent.load(Ordering::Relaxed);
            let moved = sent.saturating_sub(flow.seen);
            flow.seen = sent;
            if !counted(&flow.reader) {
                bytes = bytes.saturating_add(moved);
            }
            if over && own == 1 {
                *rest = None;
            }
            !over
        });
        counters.window.push_back((bytes, took));
        if counters.window.len() > WINDOW {
            counters.window.pop_front();
        }
        let total: u64 = counters.window.iter().map(|(bytes, _)| *bytes).sum();
        let millis: u128 = counters
            .window
            .iter()
            .map(|(_, took)| took.as_millis())
            .sum();
        let bits = u128::from(total) * 8000 / millis.max(1);
        Bitrate::new(u64::try_from(bits).unwrap_or(u64::MAX))
    }
}

impl Proxy {
    /// Sends a file as it is. What leaves the house is counted as it goes.
    pub(super) fn forward_file(
        &self,
        peer: &Peer,
        device: Option<&DeviceId>,
        download: bool,
    ) -> Forward {
        let meter = self.gate.policy().uplink.carries(peer.address).then(|| {
            self.flows.open(Reader {
                device: device.cloned(),
                address: peer.address,
                download,
            })
        });
        let served = if download {
            Served::Other
        } else {
            Served::Static
        };
        Forward {
            meter,
            ..self.forward(served)
        }
    }
}

/// Tells the gate what flows beside the known plays, for ever.
pub async fn measure(proxy: Arc<Proxy>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if proxy.flows.is_quiet() {
            continue;
        }
        let counted = |reader: &Reader| {
            let (device, address) = (reader.device.as_ref(), reader.address);
            !reader.download && proxy.gate.plays_directly(device, address)
        };
        let rate = proxy.flows.read(clock::now(), counted);
        proxy.gate.set_flow(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(device: &str) -> Reader {
        Reader {
            device: Some(device.into()),
            ..Reader::default()
        }
    }

    #[test]
    fn a_download_counts_at_its_pace_and_is_forgotten_when_it_is_over() {
        let (flows, mut now) = (Flows::default(), clock::now());
        let sent = flows.open(reader("phone"));
        for second in 1..=5 {
            sent.fetch_add(1_250_000, Ordering::Relaxed);
            now += EVERY;
            assert_eq!(flows.read(now, |_| false).bits(), 10_000_000, "{second}");
        }
        drop(sent);
        for left in [8_000_000, 6_000_000, 4_000_000, 2_000_000, 0] {
            assert!(left == 8_000_000 || !flows.is_quiet());
            now += EVERY;
            assert_eq!(flows.read(now, |_| false).bits(), left);
        }
        assert!(flows.is_quiet());
    }

    #[test]
    fn a_download_after_a_quiet_hour_counts_at_its_own_pace() {
        let (flows, mut now) = (Flows::default(), clock::now());
        drop(flows.open(reader("phone")));
        flows.read(now, |_| false);
        assert!(flows.is_quiet());
        now += Duration::from_secs(3600);
        let sent = flows.open(reader("phone"));
        sent.fetch_add(1_250_000, Ordering::Relaxed);
        assert_eq!(flows.read(now, |_| false).bits(), 10_000_000);
    }

    #[test]
    fn what_is_sent_before_a_short_request_ends_is_counted() {
        let (flows, now) = (Flows::default(), clock::now());
        flows
            .open(reader("phone"))
            .fetch_add(125_000, Ordering::Relaxed);
        assert_eq!(flows.read(now, |_| false).bits(), 1_000_000);
        assert_eq!(flows.0.lock().unwrap().flows.len(), 0);
    }

    #[test]
    fn what_a_lease_counts_is_not_counted_twice() {
        let (flows, now) = (Flows::default(), clock::now());
        for device in ["tv", "phone"] {
            flows
                .open(reader(device))
                .fetch_add(125_000, Ordering::Relaxed);
        }
        let counted = |reader: &Reader| reader.device == Some("tv".into());
        assert_eq!(flows.read(now, counted).bits(), 1_000_000);
    }

    #[test]
    fn too_many_requests_share_a_counter_and_none_is_lost() {
        let (flows, now) = (Flows::default(), clock::now());
        let all: Vec<Meter> = (0..MOST + 10)
            .map(|_| flows.open(reader("phone")))
            .collect();
        assert_eq!(flows.0.lock().unwrap().flows.len(), MOST + 1);
        for sent in &all {
            sent.fetch_add(125, Ordering::Relaxed);
        }
        let bits = 1000 * (MOST as u64 + 10);
        assert_eq!(flows.read(now, |_| false).bits(), bits);
        drop(all);
        flows.read(now + EVERY, |_| false);
        let counters = flows.0.lock().unwrap();
        assert!(counters.flows.is_empty() && counters.rest.is_none());
    }
}
