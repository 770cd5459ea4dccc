//! From the first request of a play to its end: FFmpeg, the picture, and what the viewer does meanwhile.

use super::{
    super::{
        keeper::Verdict,
        plan::{Act, Form, Play},
        units::{Ms, ms, seconds},
    },
    AHEAD, ORPHAN, Run, Served, State, What, segment, session,
    watch::Watch,
};
use crate::gpu::model::{Load, Start};

impl Run<'_> {
    pub(super) fn begin(&mut self, viewer: usize, form: usize) {
        let Some((plan, play)) = self.plan(viewer) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        let number = match seat.state {
            State::Waiting(number) => {
                self.tally.waiting = self.tally.waiting.saturating_sub(1);
                number
            }
            State::Away | State::Watching(_) | State::Gone => self.jobs,
        };
        let waited = self.now - seat.wished.unwrap_or(self.now);
        let gpu = self
            .evening
            .servers
            .get(plan.server)
            .map_or(0, |(_, gpu)| *gpu);
        let Some(offer) = play.offers.get(seat.offer) else {
            return;
        };
        let Some(chosen) = offer.form(seat.served, form) else {
            return;
        };
        let cheaper = seat.served.is_cheaper(form);
        let mut watch = match seat.kept.take() {
            Some(mut watch) => {
                watch.comes_back(number, chosen, self.now);
                watch
            }
            None => {
                self.tally.admitted(play, chosen, waited);
                Box::new(Watch::new(number, gpu, chosen, self.now))
            }
        };
        self.tally.served(play, cheaper && !watch.cheaper);
        watch.cheaper |= cheaper;
        let position = ms(watch.position);
        seat.state = State::Watching(watch);
        seat.refusals = 0;
        self.at_work.insert(viewer);
        self.keeper
            .confirm(self.now, &session(number), &chosen.kind, segment(position));
        match &chosen.shape {
            Some(_) => {
                self.start_job(viewer, chosen, play, position);
                self.move_picture(viewer, position, true);
            }
            None => self.first_picture(viewer, self.now),
        }
    }

    /// Runs FFmpeg from this position on.
    fn start_job(&mut self, viewer: usize, form: &Form, play: &Play, from: Ms) {
        let Some(shape) = form.shape.clone() else {
            return;
        };
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        watch.job_from = from;
        watch.told_rest = false;
        let (job, gpu) = (watch.job, watch.gpu);
        let throttle = self.evening.gpus.get(gpu).and_then(|gpu| gpu.throttle);
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.start(
                job,
                &Start {
                    load: Load::Encode(shape),
                    from: seconds(from),
                    to: seconds(play.lasts),
                    real_time: false,
                    throttle: throttle.map(seconds),
                },
            );
        }
    }

    fn move_picture(&mut self, viewer: usize, position: Ms, plays: bool) {
        let now = self.now;
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        watch.jump(now, seconds(position), plays);
        let (job, gpu) = (watch.job, watch.gpu);
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.watch(job, seconds(position), plays);
        }
    }

    /// From here on the viewer's own time runs.
    pub(super) fn first_picture(&mut self, viewer: usize, begun: Ms) {
        let Some((_, play)) = self.plan(viewer) else {
            return;
        };
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        let passed = watch.passed;
        let begun = begun.saturating_sub(passed);
        watch.begun = Some(begun);
        let number = watch.number;
        for (at, (after, _)) in play.acts.iter().enumerate() {
            if passed > 0 && *after <= passed {
                continue;
            }
            let what = What::Act {
                viewer,
                play: number,
                at,
            };
            self.at((begun + after).max(self.now), what);
        }
        let leave = What::Leave {
            viewer,
            play: number,
        };
        self.at((begun + play.stay).max(self.now), leave);
    }

    pub(super) fn act(&mut self, viewer: usize, at: usize) {
        self.look(viewer);
        let Some((_, play)) = self.plan(viewer) else {
            return;
        };
        let Some((_, act)) = play.acts.get(at).copied() else {
            return;
        };
        let now = self.now;
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        let session = watch.session.clone();
        let form = watch.form.clone();
        let encodes = watch.encodes;
        let position = match act {
            Act::Seek(to) => to,
            Act::Pause | Act::Resume => ms(watch.position),
            Act::Change => {
                self.change(viewer);
                return;
            }
        };
        if !encodes {
            watch.jump(now, seconds(position), act != Act::Pause);
        }
        if act == Act::Pause {
            if encodes {
                self.move_picture(viewer, position, false);
            }
            self.report(viewer);
            return;
        }
        let index = segment(position);
        self.keeper.confirm(now, &session, &form.kind, index);
        if encodes {
            let Some(watch) = self.watch(viewer) else {
                return;
            };
            let (job, gpu, from) = (watch.job, watch.gpu, watch.job_from);
            let progress = self.gpus.get(gpu).and_then(|gpu| gpu.progress(job));
            let there = progress
                .is_some_and(|p| position >= from && seconds(position) <= p.encoded_to + AHEAD);
            if !there {
                self.start_job(viewer, &form, play, position);
            }
            self.move_picture(viewer, position, true);
        }
        self.report(viewer);
    }

    /// The viewer wants another quality or another track. His player negotiates anew and goes on with what it is given,
    /// or, if that is nothing, as it was. Who plays the file as it is has its tracks in it.
    fn change(&mut self, viewer: usize) {
        let Some(watch) = self.watch(viewer).filter(|watch| watch.encodes) else {
            return;
        };
        let old = watch.session.clone();
        self.jobs += 1;
        let number = self.jobs;
        let Some((demand, served)) = self.negotiate(viewer, &session(number)) else {
            return;
        };
        if let Some((_, play)) = self.plan(viewer) {
            self.tally.changed(play);
        }
        match self.keeper.goes_on(self.now, &old, demand) {
            Verdict::Go(form) => self.switch(viewer, number, served, form),
            Verdict::Wait(ticket) => self.keeper.withdraw(self.now, ticket),
            Verdict::No(reason) => self.tally.refused(reason),
        }
    }

    /// The player goes on in a new session, in this form: the old FFmpeg ends, and a new one starts where the viewer is.
    fn switch(&mut self, viewer: usize, number: u64, served: Served, form: usize) {
        let Some((_, play)) = self.plan(viewer) else {
            return;
        };
        let now = self.now;
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        let State::Watching(watch) = &mut seat.state else {
            return;
        };
        let offer = play.offers.get(seat.offer);
        let Some(chosen) = offer.and_then(|offer| offer.form(served, form)) else {
            return;
        };
        let (old, job, gpu) = (watch.session.clone(), watch.job, watch.gpu);
        let position = ms(watch.position);
        let cheaper = served.is_cheaper(form);
        self.tally.served(play, cheaper && !watch.cheaper);
        watch.cheaper |= cheaper;
        watch.goes_on(number, chosen);
        seat.served = served;
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.stop(job);
        }
        self.keeper.stop(now, &old);
        self.keeper
            .confirm(now, &session(number), &chosen.kind, segment(position));
        match &chosen.shape {
            Some(_) => {
                self.start_job(viewer, chosen, play, position);
                self.move_picture(viewer, position, true);
            }
            None => {
                if let Some(watch) = self.watch(viewer) {
                    watch.jump(now, seconds(position), true);
                }
            }
        }
        self.report(viewer);
    }

    /// The viewer's stream is ended for somebody else, as he has read before: his player stops. He does what he does when he is
    /// told no.
    pub(super) fn ended(&mut self, viewer: usize) {
        self.look(viewer);
        self.halt(viewer);
        let now = self.now;
        let Some((_, play)) = self.plan(viewer) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        let State::Watching(mut watch) = std::mem::replace(&mut seat.state, State::Away) else {
            return;
        };
        self.keeper.stop(now, &watch.session);
        watch.breaks_off(now);
        seat.kept = Some(watch);
        seat.wished = Some(now);
        self.at_work.remove(&viewer);
        self.tally.ended(play);
        self.tries_again(viewer);
    }

    /// His FFmpeg is ended.
    pub(super) fn halt(&mut self, viewer: usize) {
        let Some((job, gpu)) = self.watch(viewer).map(|watch| (watch.job, watch.gpu)) else {
            return;
        };
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.stop(job);
        }
    }

    /// The viewer goes. `on`: to the next thing; else for good.
    pub(super) fn leave(&mut self, viewer: usize, on: bool) {
        let Some((plan, _)) = self.plan(viewer) else {
            return;
        };
        let now = self.now;
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        let (session, job, gpu) = (watch.session.clone(), watch.job, watch.gpu);
        let smooth = watch.flush(now);
        let (stalls, encodes) = (watch.stalls, watch.encodes);
        self.at_work.remove(&viewer);
        if let Some((_, play)) = self.plan(viewer) {
            self.tally.watched(viewer, play, smooth, stalls, !on);
        }
        let Some(seat) = self.seats.get_mut(viewer) else {
            return;
        };
        seat.state = State::Away;
        seat.next += 1;
        seat.wished = None;
        let next = plan.plays.get(seat.next);
        if next.is_none() && plan.vanishes {
            self.at(now + ORPHAN, What::Kill { gpu, job });
        } else {
            self.keeper.stop(now, &session);
            if encodes && let Some(gpu) = self.gpus.get_mut(gpu) {
                gpu.stop(job);
            }
        }
        match next.filter(|_| on) {
            Some(next) => self.at(now + next.after, What::Ask { viewer }),
            None => self.gone(viewer),
        }
    }
}
