//! One viewer before his picture: how long it moved, and which minutes were spoilt.

use super::{
    super::{
        plan::Form,
        units::{Ms, ms, seconds},
    },
    session,
};
use crate::{
    gpu::model::{JobId, Progress},
    ident::PlaySessionId,
};

/// A minute in which the picture stood still is not a smooth one.
const MINUTE: Ms = 60_000;
/// A player may take this long to show a picture after a start or a seek: one just ahead of what is encoded waits
/// for up to 24 seconds of film.
const BUFFERING: Ms = 30_000;

/// One play under way.
#[derive(Debug)]
pub(super) struct Watch {
    /// Its number, through all sessions that follow each other.
    pub(super) number: u64,
    pub(super) session: PlaySessionId,
    /// Its number is that of the session.
    pub(super) job: JobId,
    pub(super) gpu: usize,
    pub(super) form: Form,
    pub(super) encodes: bool,
    /// It is, or was at some time, in a cheaper form than was asked for.
    pub(super) cheaper: bool,
    /// When the first picture was there; later by the time that he was kept from watching on.
    pub(super) begun: Option<Ms>,
    /// How much of the viewer's evening had passed when he was last kept from watching on.
    pub(super) passed: Ms,
    /// Where FFmpeg was started.
    pub(super) job_from: Ms,
    pub(super) told_rest: bool,
    pub(super) paused: bool,
    /// Seconds of the film.
    pub(super) position: f64,
    /// How often the picture stood still though it should not.
    pub(super) stalls: u32,
    /// For how long in all.
    pub(super) stood: Ms,
    known: u32,
    looked: Ms,
    /// Since when the player has been filling its buffer.
    buffers: Option<Ms>,
    /// A stall in mid-play lasts.
    stuck: bool,
    minute: Ms,
    moved: f64,
    spoilt: bool,
    smooth: f64,
    /// The line out of the house does not carry all that it needs.
    starves: bool,
}

impl Watch {
    pub(super) fn new(number: u64, gpu: usize, form: &Form, now: Ms) -> Self {
        Self {
            number,
            session: session(number),
            job: JobId(number),
            gpu,
            encodes: form.shape.is_some(),
            form: form.clone(),
            cheaper: false,
            begun: None,
            passed: 0,
            job_from: 0,
            told_rest: false,
            paused: false,
            position: 0.0,
            stalls: 0,
            stood: 0,
            known: 0,
            looked: now,
            buffers: None,
            stuck: false,
            minute: now,
            moved: 0.0,
            spoilt: false,
            smooth: 0.0,
            starves: false,
        }
    }

    /// It goes on in another session, in this form.
    pub(super) fn goes_on(&mut self, number: u64, form: &Form) {
        self.session = session(number);
        self.job = JobId(number);
        self.encodes = form.shape.is_some();
        self.form = form.clone();
    }

    /// The viewer can't watch on for now.
    pub(super) fn breaks_off(&mut self, now: Ms) {
        self.close(now);
        self.passed = self
            .begun
            .take()
            .map_or(self.passed, |begun| now.saturating_sub(begun));
    }

    /// He watches on where he was, as a play of this number from now on.
    pub(super) fn comes_back(&mut self, number: u64, form: &Form, now: Ms) {
        self.goes_on(number, form);
        self.number = number;
        self.minute = now;
        self.spoilt = false;
        self.jump(now, self.position, true);
    }

    /// The picture is there at another position now, or stands because it shall.
    pub(super) fn jump(&mut self, now: Ms, position: f64, plays: bool) {
        self.position = position;
        self.looked = now;
        self.paused = !plays;
        self.stuck = false;
        self.buffers = None;
    }

    /// Nothing can hold up what is not encoded.
    pub(super) fn runs(&mut self, now: Ms) {
        if !self.paused {
            let passed = seconds(now - self.looked);
            self.position += passed;
            self.moved += passed;
        }
        self.looked = now;
        self.turn(now);
    }

    /// Takes in what the GPU says about the job.
    pub(super) fn see(&mut self, now: Ms, progress: &Progress) {
        let position = progress.encoded_to - progress.lead;
        self.moved += (position - self.position).max(0.0);
        self.position = position;
        let passed = now - self.looked;
        self.looked = now;
        if progress.stalls > self.known {
            self.stalls += progress.stalls - self.known;
            self.spoilt = true;
            self.stuck = progress.stalled;
        }
        self.known = progress.stalls;
        if progress.stalled {
            self.spoilt |= self.stuck;
            if self.stuck {
                self.stood += passed;
            } else {
                let since = *self.buffers.get_or_insert(now - passed);
                if now - since > BUFFERING {
                    // Nobody takes this for a start any more.
                    self.stalls += 1;
                    self.stood += now - since;
                    self.spoilt = true;
                    self.stuck = true;
                }
            }
        } else {
            self.stuck = false;
            self.buffers = None;
        }
        self.turn(now);
    }

    /// For so long, only a part of what it needs has come over the line: for the rest of the time it stood still.
    pub(super) fn starve(&mut self, time: Ms, part: f64) {
        let starves = part < 1.0 && !self.paused;
        if starves {
            self.stalls += u32::from(!self.starves);
            self.stood += ms(seconds(time) * (1.0 - part));
            self.spoilt = true;
        }
        self.starves = starves;
    }

    fn turn(&mut self, now: Ms) {
        if now - self.minute >= MINUTE {
            self.close(now);
        }
    }

    fn close(&mut self, now: Ms) {
        if !self.spoilt {
            self.smooth += self.moved;
        }
        self.minute = now;
        self.moved = 0.0;
        self.spoilt = self.stuck;
    }

    /// It is over. Seconds that went smoothly.
    pub(super) fn flush(&mut self, now: Ms) -> f64 {
        self.close(now);
        std::mem::take(&mut self.smooth)
    }
}
