//! What must hold of streams that are to be ended for somebody else.

use std::collections::HashMap;

use super::{Torture, *};

impl Torture {
    /// A sentence is carried out, called off in words, or goes with what its screen plays: nobody slips out of it.
    pub(in super::super) fn check_sentences(&mut self, events: &[Event]) {
        let core = &self.core;
        let mut began = HashSet::new();
        let mut spared = HashSet::new();
        let mut ended = HashMap::new();
        for event in events {
            match event {
                Event::Admitted { lease, .. }
                | Event::Granted { lease, .. }
                | Event::Downgraded { lease, .. } => {
                    began.insert(*lease);
                }
                Event::Preempting {
                    lease, grace: None, ..
                }
                | Event::EndJob {
                    lease,
                    ended: Ended::Preempted,
                    ..
                } => {
                    spared.insert(*lease);
                }
                Event::LeaseEnded { lease, ended: why, .. } => {
                    ended.insert(*lease, *why);
                }
                _ => {}
            }
        }
        let settled = |id: &LeaseId| core.sentenced.contains(id) || spared.contains(id);
        for (id, screen) in &self.sentenced {
            let left = core
                .leases
                .get(id)
                .is_some_and(|lease| lease.state == LeaseState::Lingering);
            match ended.get(id) {
                None => assert!(settled(id) || left, "{id} slipped out of its sentence"),
                // Its seats have come free, or what took its place has its sentence.
                Some(Ended::Replaced | Ended::Undelivered | Ended::UpstreamFailed) => {
                    let new = core.screens.get(screen).into_iter().flatten();
                    for new in new.filter(|new| began.contains(new)) {
                        assert!(settled(new), "{new} took the place of {id}, not its sentence");
                    }
                }
                Some(_) => {}
            }
        }
        self.sentenced = core
            .sentenced
            .iter()
            .map(|id| (*id, core.leases[id].screen()))
            .collect();
    }
}
