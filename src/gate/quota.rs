//! Quotas over time, through the gate.

use super::Gate;
use crate::{
    admission::{Book, Input, Kind, QuotaView, Today, Who},
    ident::{PlaySessionId, UserId},
};

impl Gate {
    /// Says which date it is here, for quotas.
    pub fn set_today(&self, today: Today) {
        self.tell(Input::Today(today));
    }

    /// Charges bytes to a user.
    pub fn spend_bytes(&self, user: &UserId, bytes: u64) {
        self.tell(Input::SpendBytes {
            user: user.clone(),
            bytes,
        });
    }

    /// Charges bytes to the user of a session. `false`: it is not known.
    pub fn spend_session_bytes(&self, session: &PlaySessionId, bytes: u64) -> bool {
        let input = self.noted(|| Input::SpendSessionBytes {
            session: session.clone(),
            bytes,
        });
        self.apply(input, |state, now| {
            state.core.spend_session_bytes(now, session, bytes)
        })
    }

    /// Takes in what was used before a restart.
    pub fn restore_usage(&self, book: Book) {
        self.tell(Input::Usage(Box::new(book)));
    }

    /// What was used, if that has changed since the last call.
    pub fn changed_usage(&self) -> Option<Book> {
        self.apply(None, |state, now| state.core.changed_usage(now))
    }

    /// What was taken of usage could not be written: it is to be had again.
    pub fn usage_is_unsaved(&self) {
        self.apply(None, |state, _| state.core.usage_is_unsaved());
    }

    /// Every quota and what is left of it, least first.
    pub fn quotas(&self) -> Vec<QuotaView> {
        self.apply(None, |state, now| state.core.quotas(now))
    }

    /// The quota that stands against a play of this kind.
    pub fn used_up(&self, who: &Who, kind: &Kind) -> Option<QuotaView> {
        self.apply(None, |state, now| state.core.used_up(now, who, kind))
    }
}
