//! From the first request of a play to its end: FFmpeg, the picture, and what the viewer does meanwhile.

use super::{
    super::{
        plan::{Act, Form, Play},
        units::{Ms, ms, seconds},
    },
    AHEAD, ORPHAN, Run, Served, State, What, segment, session,
    watch::Watch,
};
use crate::gpu::model::{JobId, Load, Start};

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
        // What was decided names a cheaper form by its place; the whole has none.
        let chosen = match seat.served {
            Served::Asked => offer.forms.get(form).or(offer.forms.first()),
            Served::Direct => offer.direct.as_ref(),
            Served::Slim(place) => offer.slim.get(place.max(form)),
        };
        let Some(chosen) = chosen else {
            return;
        };
        let cheaper = form > 0 || matches!(seat.served, Served::Slim(_));
        let watch = Watch::new(session(number), JobId(number), gpu, chosen, self.now);
        seat.state = State::Watching(Box::new(watch));
        seat.refusals = 0;
        self.at_work.insert(viewer);
        self.tally.admitted(play, chosen, cheaper, waited);
        self.keeper
            .confirm(self.now, &session(number), &chosen.kind, 0);
        match &chosen.shape {
            Some(_) => {
                self.start_job(viewer, chosen, play, 0);
                self.move_picture(viewer, 0, true);
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
        watch.begun = Some(begun);
        let number = watch.job.0;
        for (at, (after, _)) in play.acts.iter().enumerate() {
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
