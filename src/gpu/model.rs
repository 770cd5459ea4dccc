//! A GPU in virtual time: jobs share its speed, a job stalls its viewer when its own lead runs out.
//!
//! The law is the measured one (`docs/sources.md`, GPUs and seats): the speeds of all jobs, each weighted with its
//! seats, add up to the capacity, and jobs share the speed evenly. A job whose source comes in real time takes no
//! more than that; a throttled job rests while it is far enough ahead.

use std::collections::BTreeMap;

use crate::admission::{Codec, CostModel, Hdr, Work};

/// How fast FFmpeg copies, in multiples of real time. Copying does not load the GPU. Chosen.
pub const COPY_SPEED: f64 = 20.0;
/// A viewer who stalled goes on when this much is ready, seconds.
const RESUME_LEAD: f64 = 3.0;
/// A resting job goes on when its lead fell this far below the limit, seconds: Jellyfin looks every 5 s
/// (its `TranscodingThrottler`).
const THROTTLE_BAND: f64 = 5.0;
/// What counts as reached, seconds.
const NEAR: f64 = 1e-6;
/// More changes than this within one advance happen only if numbers misbehave.
const MOST_CHANGES: usize = 100_000;

/// What a model GPU can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Seats it carries in real time.
    pub capacity_seats: f64,
    /// Its factor for tone-mapping.
    pub tone_map: f64,
}

/// The number of a job on a model GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What is to be encoded, in the words of a media server.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Codec of the source, as FFmpeg calls it.
    pub codec_in: String,
    /// Width and height of the source.
    pub size_in: (u32, u32),
    /// Frames per second of the source.
    pub frames: f64,
    /// Bits per sample of the source.
    pub bits: u8,
    /// The source is HDR.
    pub hdr: bool,
    /// The source is Dolby Vision.
    pub dolby_vision: bool,
    /// Codec of the output.
    pub codec_out: String,
    /// Width and height of the output.
    pub size_out: (u32, u32),
    /// HDR becomes SDR.
    pub tone_map: bool,
    /// Subtitles are drawn into the picture.
    pub burn_in: bool,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Encodes the video on the GPU.
    Encode(Shape),
    /// Copies the video, or has none.
    Copy,
}

/// A job as it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// What it does.
    pub load: Load,
    /// The position of the film it starts at, seconds.
    pub from: f64,
    /// The position it ends at, seconds; infinite for a channel.
    pub to: f64,
    /// The source comes in real time.
    pub real_time: bool,
    /// Rests while this far ahead of its viewer, seconds.
    pub throttle: Option<f64>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The position up to which it has encoded, seconds.
    pub encoded_to: f64,
    /// Its speed now, in multiples of real time.
    pub speed: f64,
    /// It has reached its end.
    pub finished: bool,
    /// It rests because it is far ahead.
    pub resting: bool,
    /// How far ahead of its viewer it is, seconds.
    pub lead: f64,
    /// Its viewer waits for it.
    pub stalled: bool,
    /// How often its viewer had to wait in mid-play.
    pub stalls: u32,
    /// What it takes while it runs.
    pub seats: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Viewer {
    Away,
    Playing,
    Waiting,
}

#[derive(Clone, Debug)]
struct Job {
    seats: f64,
    ceiling: f64,
    encoded_to: f64,
    end: f64,
    throttle: Option<f64>,
    resting: bool,
    viewer: Viewer,
    position: f64,
    stalls: u32,
}

/// The speed of each job that runs, by its number: made anew for every look, and so no map.
struct Speeds(Vec<(JobId, f64)>);

/// One GPU with its jobs.
#[derive(Clone, Debug)]
pub struct ModelGpu {
    capacity: f64,
    cost: CostModel,
    now: f64,
    jobs: BTreeMap<JobId, Job>,
    stalls: u64,
}

// === impl ModelGpu ===

impl ModelGpu {
    /// An idle GPU at time zero.
    pub fn new(options: Options) -> Self {
        let cost = CostModel {
            tone_map: options.tone_map,
            ..CostModel::default()
        };
        Self {
            capacity: options.capacity_seats.max(0.001),
            cost,
            now: 0.0,
            jobs: BTreeMap::new(),
            stalls: 0,
        }
    }

    /// Starts a job, in place of one of the same number.
    pub fn start(&mut self, id: JobId, start: &Start) {
        let (seats, ceiling) = match &start.load {
            Load::Encode(shape) => (
                self.cost.seats(&shape.work()).as_f64().max(0.001),
                f64::INFINITY,
            ),
            Load::Copy => (0.0, COPY_SPEED),
        };
        let ceiling = if start.real_time { 1.0 } else { ceiling };
        let job = Job {
            seats,
            ceiling,
            encoded_to: start.from,
            end: start.to.max(start.from),
            throttle: start.throttle,
            resting: false,
            viewer: Viewer::Away,
            position: start.from,
            stalls: 0,
        };
        self.jobs.insert(id, job);
    }

    /// Ends a job.
    pub fn stop(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    /// Says where the viewer of a job is, and whether the film runs.
    pub fn watch(&mut self, id: JobId, position: f64, playing: bool) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.position = position.min(job.end);
        job.viewer = match (playing, job.lead() > NEAR || job.finished()) {
            (false, _) => Viewer::Away,
            (true, true) => Viewer::Playing,
            (true, false) => Viewer::Waiting,
        };
        job.settle();
    }

    /// Lets time pass up to `to`, seconds.
    pub fn advance(&mut self, to: f64) {
        for _ in 0..MOST_CHANGES {
            let left = to - self.now;
            if left <= 0.0 {
                return;
            }
            let speeds = self.speeds();
            let step = self
                .jobs
                .iter()
                .filter_map(|(id, job)| job.next_change(speeds.of(*id)))
                .fold(left, f64::min)
                .max(NEAR)
                .min(left);
            for (id, job) in &mut self.jobs {
                job.run(speeds.of(*id), step);
                if job.settle() {
                    self.stalls += 1;
                }
            }
            self.now += step;
        }
        self.now = to;
    }

    /// Where a job stands.
    pub fn progress(&self, id: JobId) -> Option<Progress> {
        let job = self.jobs.get(&id)?;
        Some(Progress {
            encoded_to: job.encoded_to,
            speed: self.speeds().of(id),
            finished: job.finished(),
            resting: job.resting,
            lead: job.lead(),
            stalled: job.viewer == Viewer::Waiting,
            stalls: job.stalls,
            seats: job.seats,
        })
    }

    /// Seconds until a job has encoded up to `position` if nothing changes; `None` if it never will.
    pub fn until(&self, id: JobId, position: f64) -> Option<f64> {
        let job = self.jobs.get(&id)?;
        if job.encoded_to + NEAR >= position {
            return Some(0.0);
        }
        let speed = self.speeds().of(id);
        (speed > 0.0 && position <= job.end + NEAR).then(|| (position - job.encoded_to) / speed)
    }

    /// How often any viewer had to wait in mid-play so far.
    pub fn stalls(&self) -> u64 {
        self.stalls
    }

    /// Seats of the jobs that encode now.
    pub fn busy_seats(&self) -> f64 {
        self.running().map(|(_, job)| job.seats).sum()
    }

    /// It carries this from now on: it is hot, or shared with something else.
    pub fn set_capacity(&mut self, seats: f64) {
        self.capacity = seats.max(0.001);
    }

    /// Its capacity, seats.
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    fn running(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.jobs
            .iter()
            .filter(|(_, job)| !job.finished() && !job.resting)
            .map(|(id, job)| (*id, job))
    }

    /// Every running job gets the same speed, but no more than it can use; what those leave, the others share.
    fn speeds(&self) -> Speeds {
        let mut speeds = Vec::with_capacity(self.jobs.len());
        let mut open: Vec<(JobId, f64, f64)> = Vec::new();
        for (id, job) in self.running() {
            if job.seats > 0.0 {
                open.push((id, job.seats, job.ceiling));
            } else {
                speeds.push((id, job.ceiling));
            }
        }
        let mut room = self.capacity;
        loop {
            let seats: f64 = open.iter().map(|(_, seats, _)| seats).sum();
            if open.is_empty() || seats <= 0.0 {
                return Speeds::new(speeds);
            }
            let share = room / seats;
            let before = open.len();
            open.retain(|(id, seats, ceiling)| {
                let slow = *ceiling < share;
                if slow {
                    speeds.push((*id, *ceiling));
                    room -= ceiling * seats;
                }
                !slow
            });
            if open.len() == before {
                speeds.extend(open.iter().map(|(id, _, _)| (*id, share)));
                return Speeds::new(speeds);
            }
        }
    }
}

// === impl Speeds ===

impl Speeds {
    fn new(mut speeds: Vec<(JobId, f64)>) -> Self {
        speeds.sort_unstable_by_key(|(id, _)| *id);
        Self(speeds)
    }

    /// A job that does not run has none.
    fn of(&self, id: JobId) -> f64 {
        let found = self.0.binary_search_by_key(&id, |(id, _)| *id);
        let found = found.ok().and_then(|at| self.0.get(at));
        found.map_or(0.0, |(_, speed)| *speed)
    }
}

// === impl Job ===

impl Job {
    fn finished(&self) -> bool {
        self.encoded_to + NEAR >= self.end
    }

    fn lead(&self) -> f64 {
        self.encoded_to - self.position
    }

    /// Seconds until something other than the numbers changes, at this speed.
    fn next_change(&self, speed: f64) -> Option<f64> {
        let pace = if self.viewer == Viewer::Playing {
            1.0
        } else {
            0.0
        };
        let gain = speed - pace;
        let mut next: Option<f64> = None;
        let mut at = |seconds: f64| {
            if seconds > 0.0 && seconds.is_finite() {
                next = Some(next.map_or(seconds, |n: f64| n.min(seconds)));
            }
        };
        if speed > 0.0 {
            at((self.end - self.encoded_to) / speed);
        }
        if let Some(limit) = self.throttle {
            if self.resting && pace > 0.0 {
                at((self.lead() - (limit - THROTTLE_BAND)) / pace);
            } else if !self.resting && gain > 0.0 {
                at((limit - self.lead()) / gain);
            }
        }
        match self.viewer {
            Viewer::Away => {}
            Viewer::Playing if gain < 0.0 => at(self.lead() / -gain),
            Viewer::Playing => {}
            Viewer::Waiting if speed > 0.0 => at((RESUME_LEAD - self.lead()) / speed),
            Viewer::Waiting => {}
        }
        next
    }

    fn run(&mut self, speed: f64, seconds: f64) {
        self.encoded_to = (self.encoded_to + speed * seconds).min(self.end);
        if self.viewer == Viewer::Playing {
            self.position = (self.position + seconds).min(self.encoded_to.max(self.position));
        }
    }

    /// Brings the states in line with the numbers. `true`: its viewer ran out just now.
    fn settle(&mut self) -> bool {
        let lead = self.lead();
        if let Some(limit) = self.throttle {
            if lead + NEAR >= limit {
                self.resting = !self.finished();
            } else if lead <= limit - THROTTLE_BAND + NEAR {
                self.resting = false;
            }
        }
        match self.viewer {
            Viewer::Playing if lead <= NEAR && !self.finished() => {
                self.viewer = Viewer::Waiting;
                self.stalls += 1;
                true
            }
            Viewer::Playing if lead <= NEAR => {
                self.viewer = Viewer::Away;
                false
            }
            Viewer::Waiting if lead + NEAR >= RESUME_LEAD || self.finished() => {
                self.viewer = Viewer::Playing;
                false
            }
            Viewer::Away | Viewer::Playing | Viewer::Waiting => false,
        }
    }
}

// === impl Shape ===

impl Shape {
    /// The same in the words of the cost model.
    pub fn work(&self) -> Work {
        let hdr = match (self.dolby_vision, self.hdr) {
            (true, _) => Hdr::DolbyVision,
            (false, true) => Hdr::Hdr,
            (false, false) => Hdr::Sdr,
        };
        Work {
            codec_in: codec(&self.codec_in),
            size_in: self.size_in,
            millifps: milli(self.frames),
            bits: self.bits,
            hdr,
            codec_out: codec(&self.codec_out),
            size_out: self.size_out,
            tone_map: self.tone_map,
            burn_in: self.burn_in,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped just before"
)]
fn milli(frames: f64) -> u32 {
    (frames * 1000.0).round().clamp(0.0, 1_000_000.0) as u32
}

fn codec(name: &str) -> Codec {
    match name.to_ascii_lowercase().as_str() {
        "h264" | "avc" => Codec::H264,
        "hevc" | "h265" => Codec::Hevc,
        "av1" => Codec::Av1,
        "vp9" => Codec::Vp9,
        _ => Codec::Other,
    }
}

#[cfg(test)]
mod tests;
