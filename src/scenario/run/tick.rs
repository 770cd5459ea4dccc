//! What happens every five seconds: reports of players, polls of servers, a look at each picture.

use std::time::Duration;

use super::{
    super::{
        score::Moment,
        units::{ms, seconds},
    },
    REPORT, Run, State, TICK, What, segment, who,
};
use crate::{
    admission::{Activity, Bitrate, Running},
    ident::ItemId,
};

#[expect(clippy::cast_precision_loss, reason = "a bit rate")]
fn rate(bits: u64) -> f64 {
    bits as f64
}

impl Run<'_> {
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        let part = self.line();
        for viewer in self.at_work.clone() {
            self.starve(viewer, part);
            self.look(viewer);
            let enough = self.plan(viewer).map(|(plan, _)| plan.tolerates);
            let had = self.watch(viewer).map_or(0, |watch| watch.stood);
            if enough.is_some_and(|enough| had > enough) {
                self.leave(viewer, false);
                continue;
            }
            if (self.ticks + u64::try_from(viewer).unwrap_or(0)).is_multiple_of(REPORT) {
                self.report(viewer);
            }
        }
        for server in 0..self.nodes.len() {
            let running = self.running(server);
            if let Some(node) = self.nodes.get(server) {
                self.keeper.poll(self.now, node, &running);
            }
        }
        let mut moment = Moment {
            at: self.now,
            waiting: self.tally.waiting,
            ..Moment::default()
        };
        for gpu in &self.gpus {
            moment.busy += gpu.busy_seats();
            moment.capacity += gpu.capacity();
        }
        self.tally.moment(moment);
        self.at(self.now + TICK, What::Tick);
    }

    /// The part of what viewers outside read that the line out of the house carries: all of it, or less.
    fn line(&self) -> f64 {
        let Some(carries) = self.evening.uplink else {
            return 1.0;
        };
        let rates = self.at_work.iter().filter_map(|viewer| {
            let State::Watching(watch) = &self.seats.get(*viewer)?.state else {
                return None;
            };
            let outside = self.evening.viewers.get(*viewer)?.outside;
            (outside && !watch.paused).then_some(watch.form.rate)
        });
        let wanted: u64 = rates.sum();
        if wanted > carries {
            rate(carries) / rate(wanted)
        } else {
            1.0
        }
    }

    /// What a line that is too thin does to the picture of a viewer outside.
    fn starve(&mut self, viewer: usize, part: f64) {
        let outside = self.evening.viewers.get(viewer).is_some_and(|v| v.outside);
        if let Some(watch) = self.watch(viewer).filter(|_| outside) {
            watch.starve(TICK, part);
        }
    }

    /// Looks at the picture.
    pub(super) fn look(&mut self, viewer: usize) {
        let now = self.now;
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        if !watch.encodes {
            watch.runs(now);
            return;
        }
        let (job, gpu) = (watch.job, watch.gpu);
        let Some(progress) = self.gpus.get(gpu).and_then(|gpu| gpu.progress(job)) else {
            return;
        };
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        watch.see(now, &progress);
        let moved = ms(watch.position).saturating_sub(watch.job_from);
        let begins = watch.begun.is_none() && watch.position > seconds(watch.job_from);
        let begun = now.saturating_sub(moved);
        let rests = progress.finished && !watch.told_rest;
        watch.told_rest |= rests;
        let session = watch.session.clone();
        if begins {
            self.first_picture(viewer, begun);
        }
        if rests {
            self.keeper.rests(&session);
        }
    }

    /// What the player tells and reads.
    pub(super) fn report(&mut self, viewer: usize) {
        let now = self.now;
        let Some(watch) = self.watch(viewer) else {
            return;
        };
        let session = watch.session.clone();
        let (paused, position) = (watch.paused, ms(watch.position));
        let reads = watch.encodes && !paused;
        if reads {
            let index = segment(position);
            self.keeper
                .touch(now, &session, Activity::Segment { index });
        }
        let position = Some(Duration::from_millis(position.max(1)));
        self.keeper
            .touch(now, &session, Activity::Progress { paused, position });
    }

    /// What `/Sessions` of a server shows.
    fn running(&self, server: usize) -> Vec<Running> {
        let here = self.at_work.iter().filter_map(|viewer| {
            let plan = self.evening.viewers.get(*viewer)?;
            let seat = self.seats.get(*viewer)?;
            let play = plan.plays.get(seat.next)?;
            let State::Watching(watch) = &seat.state else {
                return None;
            };
            (plan.server == server).then_some((plan, play, watch))
        });
        here.map(|(plan, play, watch)| {
            let job = self
                .gpus
                .get(watch.gpu)
                .and_then(|gpu| gpu.progress(watch.job));
            let job = job.filter(|job| watch.encodes && !job.finished);
            Running {
                who: who(plan),
                item: ItemId::new(&play.item),
                kind: watch.form.kind,
                completion: job.map(|job| job.encoded_to / seconds(play.lasts)),
                runtime: Some(Duration::from_millis(play.lasts)),
                position: Some(Duration::from_secs_f64(watch.position.max(0.0))),
                paused: watch.paused,
                rate: Bitrate::new(watch.form.rate),
            }
        })
        .collect()
    }
}
