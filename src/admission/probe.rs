//! What would be decided, without deciding it.

use super::{Admission, Demand, claim::Holds, rules::Asked};

impl Admission {
    /// Says whether this demand would be let in at once and as a whole as things stand, on a GPU that is not under
    /// pressure. Nothing is reserved, counted or recorded.
    pub fn fits(&mut self, demand: &Demand) -> bool {
        let counted = self.policy.uplink.limit.is_some() && demand.rate > super::Bitrate::ZERO;
        if !demand.kind.is_video() && !counted {
            return true;
        }
        let asked = Asked::new(&self.policy, demand.clone());
        let claim = self.claim(self.latest, &asked);
        let since_start = self.latest.saturating_duration_since(self.started);
        let arrival = self.queue.arrive(since_start);
        let place = self.place(&asked, arrival);
        match self.holds_claim(&claim, &asked, Some(place)) {
            Holds::Yes(..) => self.smaller_form(&asked, &claim, place).is_none(),
            Holds::Full(_) => false,
            Holds::No => {
                self.pressure(&asked, false).is_none()
                    && self.judge(&asked, place, claim.freed).block.is_none()
            }
        }
    }
}
