//! What is tried before anybody decides: another version, the file itself, less bitrate. As production does it.

use super::{
    super::{
        plan::{Form, Play},
        rules::When,
        run::slimmer,
        units::Ms,
    },
    Keeper,
};
use crate::admission::{Bitrate, Demand, Mode, WhenFull, Who};

impl Keeper {
    /// The version of a film that is played: Jellyfin's first, or the cheapest that is good enough.
    pub(in crate::scenario) fn version(&self, who: &Who, play: &Play) -> usize {
        let Self::Core(core) = self else { return 0 };
        let Some(floor) = core.rules.version_floor else {
            return 0;
        };
        let cost = |at: &usize| {
            let form = play.offers.get(*at).and_then(|offer| offer.forms.first());
            form.map_or(u32::MAX, Form::cost)
        };
        let first = play.offers.first().map_or(0, |offer| offer.lines);
        let good = |at: &usize| {
            let lines = play.offers.get(*at).map_or(0, |offer| offer.lines);
            *at == 0 || lines >= floor.min(first)
        };
        // A version that the line can't spare is not put before another.
        let spared = |at: &usize| {
            let form = play.offers.get(*at).and_then(|offer| offer.forms.first());
            let rate = form.map_or(0, |form| form.rate);
            *at == 0 || core.admission.spares(who, Bitrate::new(rate))
        };
        (0..play.offers.len())
            .filter(good)
            .filter(spared)
            .min_by_key(cost)
            .unwrap_or(0)
    }

    /// Whether the player is made to play the file as it is, at this rate, instead of this.
    pub(in crate::scenario) fn plays_direct(
        &mut self,
        now: Ms,
        demand: &Demand,
        rate: u64,
    ) -> bool {
        let Self::Core(core) = self else { return false };
        if !demand.kind.is_video() {
            return false;
        }
        let at = core.at(now);
        core.admission.advance(at);
        if !core.admission.spares(&demand.who, Bitrate::new(rate)) {
            return false;
        }
        let class = &core.rules.policy.class_of(&demand.who).id;
        let rules = &core.rules;
        match rules
            .classes
            .get(class)
            .copied()
            .unwrap_or(rules.direct_play)
        {
            When::Never => false,
            When::Pressure => !core.admission.fits(demand),
            When::Always => !core.admission.replaces(demand),
        }
    }

    /// The form of less bitrate that a file is encoded into because the line out of the house has no room for it as it
    /// is: its place among these. As production does it (`proxy::playback::uplink`).
    pub(in crate::scenario) fn slims(
        &mut self,
        now: Ms,
        demand: &Demand,
        forms: &[Form],
    ) -> Option<usize> {
        let Self::Core(core) = self else { return None };
        if demand.kind.is_video() {
            return None;
        }
        let at = core.at(now);
        core.admission.advance(at);
        let policy = &core.rules.policy;
        if policy.mode == Mode::Observe || policy.uplink.mode == Mode::Observe {
            return None;
        }
        let room = core.admission.line_room(&demand.who);
        let room = room.filter(|room| demand.rate > *room)?;
        let limits = policy.limits_of(&demand.who);
        if limits.when_full == WhenFull::Wait || core.admission.fits(demand) {
            return None;
        }
        let floor = limits.floor.unwrap_or(0);
        let fits = |form: &Form| {
            let high = form.shape.as_ref().is_none_or(|s| s.size_out.1 >= floor);
            high && form.rate <= room.bits()
        };
        let place = forms.iter().position(fits)?;
        let slimmer = slimmer(demand, forms, place);
        core.admission.fits(&slimmer).then_some(place)
    }
}
