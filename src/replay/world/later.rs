//! What the journal says of a play after its beginning, told as this run needs it.

use std::{collections::HashSet, sync::Arc};

use super::{
    Todo, UNSEEN, World,
    plays::{MOST_HELD, State},
};
use crate::{
    admission::{Ended, Input, Kind, Running},
    ident::{ItemId, LeaseId, NodeId, PlaySessionId},
};

impl World<'_> {
    pub(super) fn release(&mut self, t: u64, lease: LeaseId, why: Ended) {
        let Some(place) = self.their_leases.get(&lease).copied() else {
            // A lease that nobody asked for, adopted or come back by itself: under another policy its number is another's.
            if self.follows {
                self.tell(t, &Input::Release { lease, why });
            }
            return;
        };
        let Some(play) = self.plays.get(place) else {
            return;
        };
        match (play.state, play.lease, play.ticket) {
            (State::On, Some(lease), _) => {
                let later = t + play.shift;
                if play.shift == 0 {
                    self.tell(t, &Input::Release { lease, why });
                } else {
                    self.later(later, Todo::Told(Input::Release { lease, why }));
                }
            }
            (State::Waiting, _, Some(ticket)) => {
                self.tell(t, &Input::Withdraw { ticket });
            }
            (State::On | State::Waiting | State::Refused | State::Over, _, _) => {}
        }
    }

    /// A word of a session: of a play that runs, waits or was refused here.
    pub(super) fn of_session(&mut self, t: u64, session: &PlaySessionId, input: &Input) {
        let place = self.sessions.get(session).copied();
        let Some((place, play)) = place.and_then(|p| Some((p, self.plays.get(p)?))) else {
            self.tell(t, input);
            return;
        };
        let mut input = input.clone();
        // The form that he is given, not the one that he was given.
        if let Input::Confirm { kind, .. } = &mut input
            && (play.is_reformed() || self.changed(&play.item, &play.who.client))
        {
            **kind = Kind::Remux;
        }
        match play.state {
            State::On if play.shift > 0 => {
                let later = t + play.shift;
                self.later(later, Todo::Told(input));
            }
            State::Waiting if play.is_withheld(t) => {
                if let Some(play) = self.plays.get_mut(place)
                    && play.held.len() < MOST_HELD
                {
                    play.held.push((t, input));
                }
            }
            State::Refused if play.is_withheld(t) => {}
            State::On | State::Over | State::Waiting | State::Refused => {
                self.tell(t, &input);
            }
        }
    }

    pub(super) fn changed(&self, item: &ItemId, client: &Arc<str>) -> bool {
        self.changes.items.contains(item) || self.changes.clients.contains(client)
    }

    /// What Jellyfin would say is running.
    pub(super) fn corrected(&self, t: u64, node: &NodeId, written: &[Running]) -> Vec<Running> {
        let mut shown = HashSet::new();
        let mut running = Vec::with_capacity(written.len());
        for one in written {
            let key = (
                one.who.user.clone(),
                one.who.device.clone(),
                one.item.clone(),
            );
            let place = self.wishes.get(&key).copied();
            let play = place.and_then(|place| self.plays.get(place));
            if play.is_some_and(|play| play.is_withheld(t)) {
                continue;
            }
            shown.extend(place);
            let mut one = one.clone();
            if self.changed(&one.item, &one.who.client) && one.kind.is_video() {
                one.kind = Kind::Direct;
                one.completion = None;
            }
            running.push(one);
        }
        for place in self.on.iter().filter(|place| !shown.contains(place)) {
            if let Some(play) = self.plays.get(*place)
                && play.node == *node
                && play.is_unseen(t, UNSEEN)
            {
                running.push(play.running(t));
            }
        }
        running
    }
}
