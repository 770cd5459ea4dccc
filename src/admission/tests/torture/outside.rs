//! What comes to the core from elsewhere than viewers: orders of the operator, and what Jellyfin says is running.

use super::{Torture, *};

impl Torture {
    /// Something that the operator does by hand.
    pub(super) fn order(&mut self) {
        let tickets = self.core.in_order();
        let order = match self.dice.roll(8) {
            0..3 if !tickets.is_empty() => Order::LetIn(self.dice.pick(&tickets)),
            0..4 => Order::Release(self.lease()),
            4 => Order::Pause,
            5 | 6 => Order::Resume,
            _ => Order::Mode(self.dice.pick(&[Mode::Observe, Mode::Enforce])),
        };
        // A window may open in this very moment.
        self.core.advance(self.now);
        let before = self.core.events.len();
        let done = self.core.operate(self.now, order, &Arc::from("op"));
        let events = self.core.events.len();
        assert_eq!(done.is_none(), events == before, "{order:?}");
    }

    pub(super) fn poll(&mut self) {
        let node = self.dice.pick(&self.names.nodes);
        let mut running = Vec::new();
        let mut ids: Vec<_> = self.leases.iter().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let lease = &self.core.leases[&id];
            if lease.asked.demand.node != node || self.dice.one_in(4) {
                continue;
            }
            let completion = self
                .dice
                .pick(&[None, Some(0.2), Some(0.4), Some(0.7), Some(1.0)]);
            let demand = &lease.asked.demand;
            running.push((
                demand.who.clone(),
                demand.item.clone(),
                demand.kind,
                completion,
            ));
        }
        if self.dice.one_in(6) {
            let demand = self.demand();
            running.push((demand.who, demand.item, demand.kind, Some(0.1)));
        }
        let running: Vec<Running> = running
            .into_iter()
            .map(|(who, item, kind, completion)| Running {
                who,
                item,
                kind,
                completion,
                runtime: Some(secs(600)),
                position: Some(secs(self.dice.roll(600))),
                paused: self.dice.one_in(4),
                rate: Bitrate::ZERO,
            })
            .collect();
        self.core.reconcile(self.now, &node, &running);
    }
}
