//! Leases by what is looked for among them, so that nothing is found by looking through all.
//!
//! Three things are looked for: streams that may be ended for others, the smallest first; how many seats are about to come
//! free because somebody yields; and whether a viewer plays a file as it is. What a lease is listed under follows from the
//! lease alone, and is found anew by [`Admission::list`] whenever that may have changed.

use core::net::IpAddr;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::{Admission, Bitrate, Kind, LeaseState, Seats, lease::Lease};
use crate::ident::{DeviceId, LeaseId};

/// The order among streams of one price: who has seen least comes first.
pub(super) type Seen = (Reverse<Instant>, Reverse<LeaseId>);

/// Streams of one class on one GPU that may be ended, by what they hold.
type Victims = BTreeMap<Seats, BTreeSet<Seen>>;

/// What a lease is listed under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its GPU, class and seats, if it is a running transcode that nobody has sentenced.
    victim: Option<(usize, usize, Seats)>,
    /// Its GPU, and what it holds until its old job is gone beyond what it takes.
    yields: Option<(usize, Seats)>,
    /// Who plays a file as it is, outside.
    direct: Option<(DeviceId, Option<IpAddr>)>,
}

/// All lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    victims: HashMap<(usize, usize), Victims>,
    /// Thousandths of seats, by GPU.
    yielding: HashMap<usize, u64>,
    devices: HashMap<DeviceId, u32>,
    addresses: HashMap<IpAddr, u32>,
}

// === impl Listed ===

impl Listed {
    fn new(lease: &Lease) -> Self {
        let gpu = lease.asked.account.gpu;
        let held = lease.held.seats;
        let victim = gpu.filter(|_| {
            lease.state == LeaseState::Active
                && lease.is_video()
                && held > Seats::ZERO
                && lease.sentence.is_none()
        });
        let surplus = held.less(lease.asked.cost);
        let yields = gpu.filter(|_| surplus > Seats::ZERO);
        let demand = &lease.asked.demand;
        let direct = lease.held.rate > Bitrate::ZERO && demand.kind == Kind::Direct;
        Self {
            victim: victim.map(|gpu| (gpu, lease.asked.account.class, held)),
            yields: yields.map(|gpu| (gpu, surplus)),
            direct: direct.then(|| (demand.who.device.clone(), demand.who.address)),
        }
    }

    /// What it gives up on a GPU when its old job is gone.
    pub(super) fn yields_on(&self, gpu: usize) -> Seats {
        match self.yields {
            Some((own, seats)) if own == gpu => seats,
            Some(_) | None => Seats::ZERO,
        }
    }
}

// === impl Index ===

impl Index {
    pub(super) fn insert(&mut self, listed: &Listed, seen: Seen) {
        if let Some((gpu, class, seats)) = listed.victim {
            let victims = self.victims.entry((gpu, class)).or_default();
            victims.entry(seats).or_default().insert(seen);
        }
        if let Some((gpu, seats)) = listed.yields {
            *self.yielding.entry(gpu).or_default() += u64::from(seats.milli());
        }
        if let Some((device, address)) = &listed.direct {
            *self.devices.entry(device.clone()).or_default() += 1;
            if let Some(address) = address {
                *self.addresses.entry(*address).or_default() += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, listed: &Listed, seen: Seen) {
        if let Some((gpu, class, seats)) = listed.victim
            && let Some(victims) = self.victims.get_mut(&(gpu, class))
            && let Some(equals) = victims.get_mut(&seats)
        {
            equals.remove(&seen);
            if equals.is_empty() {
                victims.remove(&seats);
            }
            if victims.is_empty() {
                self.victims.remove(&(gpu, class));
            }
        }
        if let Some((gpu, seats)) = listed.yields
            && let Some(sum) = self.yielding.get_mut(&gpu)
        {
            *sum = sum.saturating_sub(seats.milli().into());
            if *sum == 0 {
                self.yielding.remove(&gpu);
            }
        }
        if let Some((device, address)) = &listed.direct {
            count_down(&mut self.devices, device);
            if let Some(address) = address {
                count_down(&mut self.addresses, address);
            }
        }
    }

    /// Streams of a class on a GPU that hold so much or more: the smallest first, of equals who has seen least.
    pub(super) fn smallest_first(
        &self,
        gpu: usize,
        class: usize,
        least: Seats,
    ) -> impl Iterator<Item = (Seats, Seen)> {
        let victims = self.victims.get(&(gpu, class)).into_iter();
        let sizes = victims.flat_map(move |victims| victims.range(least..));
        sizes.flat_map(|(seats, equals)| equals.iter().map(|seen| (*seats, *seen)))
    }

    /// Streams of a class on a GPU: the largest first, of equals who has seen least.
    pub(super) fn largest_first(&self, gpu: usize, class: usize) -> impl Iterator<Item = LeaseId> {
        let victims = self.victims.get(&(gpu, class)).into_iter();
        let sizes = victims.flat_map(|victims| victims.values().rev());
        sizes.flatten().map(|(_, Reverse(id))| *id)
    }

    /// Seats that are about to come free on a GPU because somebody yields.
    pub(super) fn yielding(&self, gpu: usize) -> Seats {
        let sum = self.yielding.get(&gpu).copied().unwrap_or_default();
        Seats::from_milli(u32::try_from(sum).unwrap_or(u32::MAX))
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Lease {
    fn seen_least(&self) -> Seen {
        (Reverse(self.since), Reverse(self.id))
    }
}

impl Admission {
    /// Lists a lease as it is now.
    pub(super) fn list(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let now = Listed::new(lease);
        if now == lease.listed {
            return;
        }
        let seen = lease.seen_least();
        self.index.remove(&lease.listed, seen);
        self.index.insert(&now, seen);
        lease.listed = now;
    }

    /// A lease that has ended is listed no more.
    pub(super) fn unlist(&mut self, lease: &Lease) {
        self.index.remove(&lease.listed, lease.seen_least());
    }

    /// Whether a viewer outside plays a file as it is: what he reads is counted by his lease. Where the device is not known,
    /// the address tells.
    pub fn plays_directly(&self, device: Option<&DeviceId>, address: Option<IpAddr>) -> bool {
        match device {
            Some(device) => self.index.devices.contains_key(device),
            None => address.is_some_and(|address| self.index.addresses.contains_key(&address)),
        }
    }

    /// The lists as counting through all leases makes them.
    #[cfg(test)]
    pub(super) fn recounted(&self) -> Index {
        let mut index = Index::default();
        for lease in self.leases.values() {
            index.insert(&Listed::new(lease), lease.seen_least());
        }
        index
    }
}
