//! FFmpeg jobs: what starts them, what keeps them alive, what ends them.

use serde_json::{Value, json};

use super::{
    library::{Item, Source},
    stream::{Kind, Plan},
    world::World,
};
use crate::gpu::model::{JobId, Load, Start};

/// A job of HLS dies this long after the last sign of its viewer, seconds.
const HLS_SILENCE: f64 = 60.0;
/// A progressive job dies this long after its reader left, seconds.
const PROGRESSIVE_SILENCE: f64 = 10.0;
/// Sessions that reported nothing for this long are stopped, seconds; looked at as often.
const IDLE: f64 = 300.0;
/// A segment this far past the newest one starts FFmpeg anew, seconds.
const SEEK_GAP: f64 = 24.0;
/// A throttled job rests at this lead, seconds.
const THROTTLE: f64 = 180.0;
/// The longest step of the simulation, seconds.
const TICK: f64 = 1.0;

/// One FFmpeg, running or done.
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) hls: bool,
    pub(super) kind: Kind,
    /// Stands for the path of its output: the same viewer, session and version.
    pub(super) output: String,
    pub(super) play_session: Option<String>,
    pub(super) device: Option<String>,
    pub(super) item: String,
    pub(super) started: f64,
    pub(super) from: f64,
    pub(super) length: Option<f64>,
    last_sign: f64,
    pub(super) readers: u32,
    /// Number of its first segment, and seconds of one.
    first: i64,
    pub(super) segment: f64,
    /// Segments on disk that earlier runs made.
    kept: Vec<(i64, i64)>,
    pub(super) live: Option<String>,
    pub(super) bytes_per_second: f64,
}

/// What a session plays, as it was last reported.
#[derive(Clone, Debug)]
pub(super) struct Playback {
    pub(super) item: Option<String>,
    pub(super) play_session: Option<String>,
    pub(super) position: f64,
    pub(super) paused: bool,
    /// The last report by the client itself.
    pub(super) reported: f64,
    /// `PlayState` as `/Sessions` shows it.
    pub(super) state: Value,
}

/// What a request wants of a job.
pub(super) struct Wanted<'a> {
    pub(super) output: String,
    pub(super) play_session: Option<String>,
    pub(super) device: Option<String>,
    pub(super) item: &'a Item,
    pub(super) source: &'a Source,
    pub(super) plan: &'a Plan,
    pub(super) from: f64,
    pub(super) live: Option<String>,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// A segment is complete and the next one has begun; `-1` is the init file.
    Segment(i64),
    /// The first segment is complete.
    First,
}

/// How far the answer to a segment is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ready {
    Yes,
    /// Virtual seconds until it should be.
    In(f64),
    /// The job is gone.
    Gone,
}

// === impl World ===

impl World {
    /// Applies time up to `to`, seconds since the start.
    pub(super) fn advance(&mut self, to: f64) {
        while self.now < to {
            let step = (to - self.now).min(TICK);
            self.now = if step < TICK { to } else { self.now + step };
            self.gpu.advance(self.now);
            self.report_by_itself(step);
            self.stop_idle(step);
            self.end_silent();
        }
    }

    /// The server repeats the last report once a second while the film runs.
    fn report_by_itself(&mut self, step: f64) {
        let mut signs = Vec::new();
        for session in &mut self.sessions {
            let Some(playback) = &mut session.playback else {
                continue;
            };
            if playback.paused {
                continue;
            }
            playback.position += step;
            session.active = self.now;
            session.checked_in = Some(self.now);
            signs.extend(playback.play_session.clone());
        }
        for play_session in signs {
            self.sign(&play_session);
        }
    }

    fn stop_idle(&mut self, step: f64) {
        if (self.now / IDLE).floor() <= ((self.now - step) / IDLE).floor() {
            return;
        }
        for session in &mut self.sessions {
            let idle = session
                .playback
                .as_ref()
                .is_some_and(|p| self.now - p.reported > IDLE);
            if idle {
                session.playback = None;
            }
        }
    }

    fn end_silent(&mut self) {
        let dead: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|job| job.readers == 0 && self.runs(job))
            .filter(|job| {
                let limit = if job.hls {
                    HLS_SILENCE
                } else {
                    PROGRESSIVE_SILENCE
                };
                self.now - job.last_sign >= limit
            })
            .map(|job| job.id)
            .collect();
        for id in dead {
            self.kill(id);
        }
    }

    /// Whether its FFmpeg is still there.
    pub(super) fn runs(&self, job: &Job) -> bool {
        self.gpu.progress(job.id).is_some_and(|p| !p.finished)
    }

    /// FFmpeg processes now.
    pub(super) fn running(&self) -> usize {
        self.jobs.iter().filter(|job| self.runs(job)).count()
    }

    /// Bytes that the jobs have written, those included that are done and still watched.
    pub(super) fn written(&self) -> u64 {
        let of = |job: &Job| {
            let encoded_to = self.gpu.progress(job.id)?.encoded_to;
            Some((encoded_to - job.from).max(0.0) * job.bytes_per_second)
        };
        let all: f64 = self.jobs.iter().filter_map(of).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a number of bytes, and saturates"
        )]
        let all = all as u64;
        all
    }

    /// A sign of life of a play session.
    pub(super) fn sign(&mut self, play_session: &str) {
        let now = self.now;
        let own = |job: &&mut Job| job.is_of(play_session);
        for job in self.jobs.iter_mut().filter(own) {
            job.last_sign = now;
        }
    }

    pub(super) fn kill(&mut self, id: JobId) {
        self.gpu.stop(id);
        self.jobs.retain(|job| job.id != id);
        for session in &mut self.sessions {
            if let Some((job, _)) = &session.transcoding
                && *job == id
                && let Some((_, shown)) = &mut session.transcoding
                && let Some(members) = shown.as_object_mut()
            {
                members.remove("Framerate");
                members.remove("CompletionPercentage");
            }
        }
    }

    /// Ends the jobs of a play session; without one, those of a device.
    pub(super) fn kill_all(&mut self, play_session: Option<&str>, device: Option<&str>) {
        let hit: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|job| match play_session.filter(|p| !p.is_empty()) {
                Some(play_session) => job.is_of(play_session),
                None => job.device.as_deref() == device,
            })
            .map(|job| job.id)
            .collect();
        for id in hit {
            self.kill(id);
        }
    }

    fn newest(&self, job: &Job) -> i64 {
        let encoded = self.gpu.progress(job.id).map_or(job.from, |p| p.encoded_to);
        let finished = self.gpu.progress(job.id).is_some_and(|p| p.finished);
        let count = (encoded - job.from) / job.segment;
        #[expect(clippy::cast_possible_truncation, reason = "segments of one film")]
        let count = if finished {
            count.ceil()
        } else {
            count.floor()
        } as i64;
        job.first + count - 1
    }

    /// Finds or starts the job for a segment; `-1` is the init file of fMP4.
    pub(super) fn segment(&mut self, wanted: &Wanted<'_>, number: i64) -> JobId {
        let found = self
            .jobs
            .iter()
            .find(|job| job.hls && job.output == wanted.output)
            .map(|job| {
                (
                    job.id,
                    self.newest(job),
                    job.first,
                    job.segment,
                    self.runs(job),
                )
            });
        let mut kept = Vec::new();
        if let Some((id, newest, first, segment, runs)) = found {
            let job = self.jobs.iter().find(|job| job.id == id);
            kept = job.map(|job| job.kept.clone()).unwrap_or_default();
            let on_disk = number == -1
                || (first..=newest).contains(&number)
                || kept.iter().any(|(a, b)| (*a..=*b).contains(&number));
            #[expect(clippy::cast_possible_truncation, reason = "a few segments")]
            let gap = (SEEK_GAP / segment) as i64;
            let ahead = number >= first && number - newest <= gap;
            if on_disk || (runs && ahead) {
                return id;
            }
            if newest > first {
                kept.push((first, newest - 1));
            }
            let device = wanted.device.clone();
            self.kill_all(wanted.play_session.as_deref(), device.as_deref());
        } else if wanted.play_session.is_none() {
            self.kill_all(None, wanted.device.as_deref());
        }
        self.start(wanted, number.max(0), kept, true)
    }

    /// Finds or starts a progressive job.
    pub(super) fn progressive(&mut self, wanted: &Wanted<'_>) -> JobId {
        let found = self
            .jobs
            .iter()
            .find(|job| !job.hls && job.output == wanted.output);
        match found {
            Some(job) => job.id,
            None => self.start(wanted, 0, Vec::new(), false),
        }
    }

    fn start(
        &mut self,
        wanted: &Wanted<'_>,
        first: i64,
        kept: Vec<(i64, i64)>,
        hls: bool,
    ) -> JobId {
        self.next_job += 1;
        self.started += 1;
        let id = JobId(self.next_job);
        let plan = wanted.plan;
        let length = wanted.source.seconds();
        let load = match &plan.shape {
            Some(shape) => Load::Encode(shape.clone()),
            None => Load::Copy,
        };
        let throttled = self.throttling && length.is_some_and(|l| l >= 300.0);
        self.gpu.start(
            id,
            &Start {
                load,
                from: wanted.from,
                to: length.unwrap_or(f64::INFINITY),
                real_time: wanted.source.live,
                throttle: throttled.then_some(THROTTLE),
            },
        );
        #[expect(clippy::cast_precision_loss, reason = "a bit rate")]
        let bytes_per_second = (plan.video_rate + plan.audio_rate) as f64 / 8.0;
        self.jobs.push(Job {
            id,
            hls,
            kind: plan.kind,
            output: wanted.output.clone(),
            play_session: wanted.play_session.clone(),
            device: wanted.device.clone(),
            item: wanted.item.id.clone(),
            started: self.now,
            from: wanted.from,
            length,
            last_sign: self.now,
            readers: 0,
            first,
            segment: plan.segment,
            kept,
            live: wanted.live.clone(),
            bytes_per_second,
        });
        self.show(id, wanted.device.as_deref(), plan);
        id
    }

    /// Puts a new job into the session of the device that its address names.
    fn show(&mut self, id: JobId, device: Option<&str>, plan: &Plan) {
        let Some(device) = device else { return };
        let mut info = json!({
            "AudioCodec": plan.audio_codec,
            "Container": plan.container,
            "IsVideoDirect": plan.video_copy,
            "IsAudioDirect": plan.audio_copy,
            "Bitrate": plan.video_rate + plan.audio_rate,
            "Framerate": 0,
            "AudioChannels": plan.channels,
            "HardwareAccelerationType": "none",
            "TranscodeReasons": plan.reasons.names(),
        });
        if let Some(members) = info.as_object_mut() {
            if let Some(codec) = &plan.video_codec {
                members.insert("VideoCodec".to_owned(), json!(codec));
            }
            if let Some((width, height)) = plan.size {
                members.insert("Width".to_owned(), json!(width));
                members.insert("Height".to_owned(), json!(height));
            }
        }
        let newest = self
            .sessions
            .iter_mut()
            .filter(|session| session.device_id == device)
            .max_by(|a, b| a.active.total_cmp(&b.active));
        if let Some(session) = newest {
            session.transcoding = Some((id, info));
        }
    }

    /// Whether a segment can be sent: it is complete and the next one has begun, or FFmpeg is done.
    pub(super) fn ready(&self, id: JobId, until: Until) -> Ready {
        let Some((job, progress)) = self.job(id).zip(self.gpu.progress(id)) else {
            return Ready::Gone;
        };
        let old = |number| job.kept.iter().any(|(a, b)| (*a..=*b).contains(&number));
        let needed = match until {
            Until::Segment(..0) => job.from + 0.1,
            Until::Segment(number) if old(number) => return Ready::Yes,
            Until::Segment(number) => {
                #[expect(clippy::cast_precision_loss, reason = "segments of one film")]
                let ahead = (number - job.first + 2) as f64;
                job.from + ahead * job.segment
            }
            Until::First => job.from + job.segment,
        };
        if progress.finished {
            return Ready::Yes;
        }
        let end = job.length.unwrap_or(f64::INFINITY);
        match self.gpu.until(id, needed.min(end)) {
            Some(0.0) => Ready::Yes,
            Some(seconds) => Ready::In(seconds),
            None => Ready::In(TICK),
        }
    }

    pub(super) fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// A segment request of a job begins.
    pub(super) fn touch(&mut self, id: JobId) {
        let now = self.now;
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.last_sign = now;
        }
    }

    /// A segment was served: whoever reports nothing watches from there.
    pub(super) fn served(&mut self, id: JobId, number: i64) {
        self.touch(id);
        let Some(job) = self.job(id) else { return };
        let reported = job.play_session.clone().is_some_and(|own| {
            self.sessions.iter().any(|s| {
                s.playback
                    .as_ref()
                    .and_then(|p| p.play_session.as_deref())
                    .is_some_and(|p| p.eq_ignore_ascii_case(&own))
            })
        });
        if number == job.first && !reported {
            let from = job.from;
            self.gpu.watch(id, from, true);
        }
    }

    /// A progressive reader comes or goes.
    pub(super) fn reader(&mut self, id: JobId, comes: bool) {
        let now = self.now;
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.last_sign = now;
            job.readers = if comes {
                job.readers + 1
            } else {
                job.readers.saturating_sub(1)
            };
        }
    }

    /// The viewer of a play session is there.
    pub(super) fn watched(&mut self, play_session: &str, position: f64, playing: bool) {
        let own: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|job| job.is_of(play_session))
            .map(|job| job.id)
            .collect();
        for id in own {
            self.gpu.watch(id, position, playing);
        }
    }
}

// === impl Job ===

impl Job {
    fn is_of(&self, play_session: &str) -> bool {
        self.play_session
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(play_session))
    }
}
