//! Shares of the classes on a GPU: who borrows, and what is kept free for whom.
//!
//! A class has a *share* of each GPU's seats. What it leaves idle, others may use: nothing is cut off for that, so
//! what is lent comes back only as leases end. Then it comes back first: before a GPU, a class that holds less
//! than its share goes before one that borrows, whatever their priorities; among equals priority decides, then
//! the turn. Classes without a share have what the others' shares leave, together; without any share nobody borrows.
//!
//! A *reserve* is stronger: the part of it that its class does not hold is not lent at all.

use super::{
    Admission, Mode, Seats,
    queue::{Lane, Place},
};
use crate::ident::Ticket;

/// The order before a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    borrows: bool,
    place: Place,
}

impl Admission {
    pub(super) fn rank(&self, gpu: usize, class: usize, place: Place) -> Rank {
        Rank {
            borrows: self.borrows(gpu, class),
            place,
        }
    }

    /// Who goes first before a GPU.
    pub(super) fn first_on(&self, gpu: usize) -> Option<(Rank, Lane, Ticket)> {
        self.queue
            .lanes(gpu)
            .map(|(lane, place, ticket)| (self.rank(gpu, lane.class, place), lane, ticket))
            .min_by_key(|(rank, _, _)| *rank)
    }

    /// Whether a class holds its share of a GPU or more.
    pub(super) fn borrows(&self, gpu: usize, class: usize) -> bool {
        let classes = 0..self.policy.classes.len();
        if classes.clone().all(|class| self.share(class).is_none()) {
            return false;
        }
        let (share, held) = match self.share(class) {
            Some(share) => (share, self.ledger.part(gpu, class)),
            None => {
                let mut left = 1.0;
                let mut held = Seats::ZERO;
                for class in classes {
                    match self.share(class) {
                        Some(share) => left -= share,
                        None => held = held.plus(self.ledger.part(gpu, class)),
                    }
                }
                (left, held)
            }
        };
        let capacity = self.capacity_of(gpu, Mode::Enforce);
        held >= Seats::from_f64(capacity.as_f64() * share)
    }

    fn share(&self, class: usize) -> Option<f64> {
        let class = self.policy.classes.get(class)?;
        let share = class.share?.get();
        (self.mode(class.mode) == Mode::Enforce).then_some(share)
    }

    /// What a class may fill of a GPU: its capacity less what is kept free for others.
    pub(super) fn room(&self, gpu: usize, class: usize, mode: Mode) -> Seats {
        let capacity = self.capacity_of(gpu, mode);
        let kept = self
            .reserves(gpu, class, mode)
            .fold(Seats::ZERO, |sum, (reserve, held)| {
                sum.plus(reserve.less(held))
            });
        capacity.less(kept)
    }

    /// What a class could fill of a GPU if nobody used it.
    pub(super) fn most(&self, gpu: usize, class: usize) -> Seats {
        let capacity = self.capacity_of(gpu, Mode::Enforce);
        let kept = self.reserves(gpu, class, Mode::Enforce);
        kept.fold(capacity, |left, (reserve, _)| left.less(reserve))
    }

    /// What `class` may take on a GPU that `other` may not.
    pub(super) fn own_reserve(&self, gpu: usize, class: usize, other: usize) -> Seats {
        let reserves = self.reserve_of(gpu, class, Mode::Enforce);
        match reserves.filter(|_| class != other) {
            Some((reserve, held)) => reserve.less(held),
            None => Seats::ZERO,
        }
    }

    /// The reserves of other classes on a GPU, each with what that class holds there.
    fn reserves(
        &self,
        gpu: usize,
        class: usize,
        mode: Mode,
    ) -> impl Iterator<Item = (Seats, Seats)> {
        let others = (0..self.policy.classes.len()).filter(move |other| *other != class);
        others.filter_map(move |other| self.reserve_of(gpu, other, mode))
    }

    fn reserve_of(&self, gpu: usize, class: usize, mode: Mode) -> Option<(Seats, Seats)> {
        let rule = self.policy.classes.get(class)?;
        let counts = mode == Mode::Observe || self.mode(rule.mode) == Mode::Enforce;
        let part = rule.reserve.get();
        (part > 0.0 && counts).then(|| {
            let reserve = Seats::from_f64(self.capacity_of(gpu, mode).as_f64() * part);
            (reserve, self.ledger.part(gpu, class))
        })
    }
}
