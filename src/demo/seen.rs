//! What Finweir's own state tells beside the answers: places that are lent out, capacity that is learned, the line.

use std::collections::BTreeMap;

use crate::{
    admission::{Bitrate, LeaseState, LeaseView, Reason, Seats, Snapshot},
    ident::{GpuId, LeaseId},
};

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Seen {
    parked: BTreeMap<LeaseId, String>,
    capacity: BTreeMap<GpuId, Seats>,
}

// === impl Seen ===

impl Seen {
    /// What has changed, in words.
    pub(super) fn changed(&mut self, now: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        let mut parked = BTreeMap::new();
        for lease in &now.leases {
            let before = self.parked.remove(&lease.lease);
            if lease.state == LeaseState::Parked {
                let who = format!("{} ({})", name(lease), lease.client);
                if before.is_none() {
                    lines.push(format!(
                        "{who} has paused for long: what it held is lent to others until it comes back"
                    ));
                }
                parked.insert(lease.lease, who);
            } else if let Some(who) = before {
                lines.push(format!(
                    "{who} goes on after its long pause, without asking"
                ));
            }
        }
        self.parked = parked;
        for gpu in &now.gpus {
            let before = self.capacity.insert(gpu.gpu.clone(), gpu.capacity);
            if let Some(before) = before.filter(|before| *before != gpu.capacity) {
                lines.push(format!(
                    "Finweir has learned what {} bears: {} seats are handed out from now on, {before} so far",
                    gpu.gpu, gpu.capacity
                ));
            }
        }
        lines
    }
}

/// The first half of why a transcode runs.
pub(super) fn let_in(reason: Reason) -> String {
    if !reason.lets_in() {
        return format!("in a smaller picture: {} [{reason}]", reason.in_words());
    }
    // Nothing stood in the way of these.
    let plain = matches!(reason, Reason::Fits | Reason::Waited | Reason::Operator);
    if plain {
        "admitted".to_owned()
    } else {
        format!("admitted, {}", reason.in_words())
    }
}

/// `, ahead of 2 who came before: its class goes first`
pub(super) fn ahead(now: &Snapshot, place: usize) -> String {
    let Some(own) = now.waiting.get(place) else {
        return String::new();
    };
    let behind = now.waiting.iter().skip(place + 1);
    let passed = behind.filter(|other| other.class != own.class && other.waited > own.waited);
    match passed.count() {
        0 => String::new(),
        count => format!(", ahead of {count} who came before: its class goes first"),
    }
}

/// `; 12.2 of 16.0 Mbit/s on the line out of the house`
pub(super) fn over_the_line(now: &Snapshot, lease: &LeaseView) -> String {
    match now.uplink.limit {
        Some(limit) if lease.rate > Bitrate::ZERO => {
            let held = now.uplink.held;
            format!("; {held} of {limit} on the line out of the house")
        }
        Some(_) | None => String::new(),
    }
}

fn name(lease: &LeaseView) -> &str {
    lease
        .user_name
        .as_deref()
        .unwrap_or_else(|| lease.user.as_str())
}
