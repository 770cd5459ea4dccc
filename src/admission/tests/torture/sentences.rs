//! What must hold of streams that are to be ended for somebody else.

use std::collections::HashMap;

use super::{Torture, *};

impl Torture {
    /// Somebody who was told of his end does what might save him.
    pub(super) fn squirm(&mut self) {
        let (id, _) = self.dice.pick(&self.sentenced);
        let now = self.now;
        let session = self.core.leases[&id].session().cloned();
        let session = session.unwrap_or_else(|| "nobody".into());
        let read = |world: &mut Self, activity| {
            let kind = Kind::Video(ONE);
            let _ = world.core.confirm(now, &session, &kind, activity);
        };
        match self.dice.roll(6) {
            0 | 1 => {
                if let Some(demand) = self.asks_again(id) {
                    self.ask(demand);
                }
            }
            2 => read(self, Activity::Segment { index: 1 }),
            3 => {
                read(self, Activity::Stream);
                self.core.touch(now, &session, Activity::StreamEnded);
            }
            4 => self.core.stop(now, &session, Ended::Stopped),
            _ => self.core.release(now, id, Ended::Undelivered),
        }
    }

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
                Event::Preempting { .. } => self.fates[0] += 1,
                Event::Moved {
                    lease,
                    from: LeaseState::Reserved,
                    to: LeaseState::Lingering,
                    ..
                } => self.fates[2] += u64::from(core.leases[lease].is_revoked()),
                Event::LeaseEnded {
                    lease, ended: why, ..
                } => {
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
            let sent_away = left && core.leases[id].is_revoked();
            self.fates[3] += u64::from(sent_away && !spared.contains(id));
            match ended.get(id) {
                None => assert!(settled(id) || left, "{id} slipped out of its sentence"),
                // Its seats have come free, or what took its place has its sentence. What had waited has its own seats.
                Some(Ended::Replaced | Ended::Undelivered) => {
                    let new = core.screens.get(screen).into_iter().flatten();
                    let new = new.filter(|new| core.leases[*new].reason != Reason::Waited);
                    for new in new.filter(|new| began.contains(new)) {
                        self.fates[1] += 1;
                        assert!(
                            settled(new),
                            "{new} took the place of {id}, not its sentence"
                        );
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
