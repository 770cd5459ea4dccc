//! What the core is told without waiting for a word, and the journal of it.

use super::Gate;
use crate::{
    admission::{Bitrate, Ended, Input, Running},
    ident::{DeviceId, ItemId, NodeId, UserId},
    journal::Journal,
};

impl Gate {
    /// Has everything that is told to the core from now on written down, and what it did. Once, before anything else.
    pub fn record_to(&self, journal: Journal) {
        self.lock().core.number_from(journal.numbers());
        // A second journal has no beginning: it is not taken.
        self.0.journal.set(journal).ok();
    }

    /// The journal, if there is one.
    pub fn journal(&self) -> Option<&Journal> {
        self.0.journal.get()
    }

    /// The input, if somebody writes it down.
    pub(super) fn noted(&self, input: impl FnOnce() -> Input) -> Option<Input> {
        self.0.journal.get().map(|_| input())
    }

    /// Tells the core something that it answers with events alone.
    pub(super) fn tell(&self, input: Input) {
        self.apply(self.noted(|| input.clone()), move |state, now| {
            let input = input;
            state.core.take(now, &input);
        });
    }

    /// A device stopped playing an item directly, and named no session.
    pub fn stop_device(&self, user: &UserId, device: &DeviceId, item: &ItemId, why: Ended) {
        self.tell(Input::StopDevice {
            user: user.clone(),
            device: device.clone(),
            item: item.clone(),
            why,
        });
    }

    /// Compares with what Jellyfin says is running.
    pub fn reconcile(&self, node: &NodeId, running: &[Running]) {
        self.tell(Input::Reconcile {
            node: node.clone(),
            running: running.to_vec(),
        });
    }

    /// Relates now to the week here, for time windows.
    pub fn set_minute_of_week(&self, minute: u16) {
        self.tell(Input::Week { minute });
    }

    /// Refuses all that waits and all new demands from now on.
    pub fn drain(&self) {
        self.tell(Input::Drain);
    }

    /// What flows out of the house beside the known plays, as measured.
    pub fn set_flow(&self, flow: Bitrate) {
        self.tell(Input::Flow(flow));
    }
}
