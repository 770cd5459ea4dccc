//! Going past a blocked demand without delaying it.
//!
//! Before a GPU the first waits until enough seats are free for it, and what is free meanwhile is saved for it. A
//! smaller demand may take of that only what can't be missed: the ends that are known (`foresee`) must make room for
//! the first within its patience, with as much to spare as the smaller one takes. Where they don't, nobody
//! passes: viewers who stop without notice are the only hope of the first, and every seat counts. What a class may
//! take of its own reserve would never be the first's, and goes past freely.
//!
//! Estimates err. So no more than its own price ever goes past a demand, and the count stays with it when it asks
//! again: a stream of small ones can't starve a large one.

use super::{
    Admission, Mode, Seats,
    queue::{Lane, Place},
    share::Rank,
};
use crate::ident::Ticket;

impl Admission {
    /// Whether a demand may be served on a GPU as far as others wait for it: `Err`: no; `Ok(Some)`: it goes past that
    /// one, which costs that one so many seats.
    pub(super) fn may_go(
        &self,
        lane: Lane,
        place: Place,
        fits: bool,
    ) -> Result<Option<(Ticket, Seats)>, ()> {
        let rank = self.rank(lane.gpu, lane.class, place);
        match self.first_on(lane.gpu) {
            Some((first, before, head)) if first < rank => match self.passing(lane, before, head) {
                Some(seats) if fits => Ok(Some((head, seats))),
                Some(_) | None => Err(()),
            },
            Some(_) | None => Ok(None),
        }
    }

    /// The next that may be served though the first can't.
    pub(super) fn passer(&self, gpu: usize, head: Ticket) -> Option<Ticket> {
        let mut best: Option<(Rank, Ticket)> = None;
        for (lane, _, _) in self.queue.lanes(gpu) {
            let Some((place, ticket)) = self.queue.first_but(lane, head) else {
                continue;
            };
            let rank = self.rank(gpu, lane.class, place);
            if best.is_some_and(|(best, _)| best < rank) {
                continue;
            }
            let fits = self.has_seats(lane, Mode::Enforce);
            if fits && self.may_go(lane, place, fits).is_ok() {
                best = Some((rank, ticket));
            }
        }
        best.map(|(_, ticket)| ticket)
    }

    /// Whether the seats of a GPU allow it.
    pub(super) fn has_seats(&self, lane: Lane, mode: Mode) -> bool {
        let used = self.ledger.gpu(lane.gpu);
        let room = self.room(lane.gpu, lane.class, mode);
        // What is wider than the GPU may run alone, if nothing of it is kept for others.
        let alone = used.transcodes == 0 && room == self.capacity_of(lane.gpu, mode);
        used.seats.plus(lane.need) <= room || alone && room > Seats::ZERO
    }

    /// The seats that the first misses if `lane` passes it; `None` if that would delay it.
    fn passing(&self, lane: Lane, before: Lane, head: Ticket) -> Option<Seats> {
        let waiter = self.queue.get(head)?;
        let used = self.ledger.gpu(lane.gpu);
        let gpu = self.policy.gpus.get(lane.gpu)?;
        if gpu
            .max_sessions
            .is_some_and(|most| used.transcodes.saturating_add(2) > most)
        {
            return None;
        }
        let own = self.own_reserve(lane.gpu, lane.class, before.class);
        let missed = lane.need.less(own);
        if missed == Seats::ZERO {
            return Some(missed);
        }
        if waiter.passed.plus(missed) > before.need {
            return None;
        }
        let room = self.room(lane.gpu, before.class, Mode::Enforce);
        let mut left = used.seats;
        let spare = |left: Seats| {
            let fits = left.plus(before.need) <= room;
            fits.then(|| room.less(left.plus(before.need)))
        };
        let mut ends = self
            .ends(lane.gpu)
            .take_while(|(at, ..)| *at < waiter.deadline);
        loop {
            if let Some(spare) = spare(left) {
                return (missed <= spare).then_some(missed);
            }
            left = left.less(ends.next()?.2);
        }
    }
}
