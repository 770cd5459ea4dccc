//! Decides which transcodes run, wait, step down or are turned away.
//!
//! Pure and synchronous: no I/O, no clock, no async. Time is an argument. The same object serves live
//! traffic, property tests, scenarios and replay.

mod capacity;
mod cost;
mod event;
mod lease;
mod ledger;
mod policy;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use core::net::IpAddr;
use serde::Serialize;

pub use self::{
    capacity::Sample,
    cost::{Codec, CostModel, Hdr, Seats, Work},
    event::{Ended, Event, Reason, Reconciled},
    lease::LeaseState,
    policy::{
        Access, Class, Days, Fraction, Gpu, LibraryRule, Mode, Node, Policy, PolicyError,
        QueueBounds, Timers, UserLimits, UserRule, Who, Window,
    },
};
use crate::ident::{ClassId, GpuId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket, UserId};

/// The state machine of admission: who holds what, who waits, and what happens next.
#[derive(Debug)]
pub struct Admission {
    // owned by the core's author
    policy: Arc<Policy>,
}

/// A wish to play something, with what it costs.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Who asks.
    pub who: Who,
    /// What is to be played.
    pub item: ItemId,
    /// The PlaySession that Jellyfin named in its answer, or that the URL names.
    pub session: Option<PlaySessionId>,
    /// The server that would run it.
    pub node: NodeId,
    /// What Jellyfin would do.
    pub kind: Kind,
    /// Where the wish was expressed.
    pub origin: Origin,
    /// The library that the item is in, if it is known.
    pub library: Option<Arc<str>>,
    /// Cheaper forms of the same playback, dearest first. Empty: it can't step down.
    pub rungs: Vec<Rung>,
    /// How long the client will wait for the answer from now on. Zero: now or never.
    pub patience: Duration,
}

/// What Jellyfin does for a play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// The file as it is.
    Direct,
    /// Video copied into another container, audio copied or encoded.
    Remux,
    /// No video, or only audio encoded in an audio stream.
    Audio,
    /// Video encoded.
    Video(Work),
}

/// Where a demand was expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A PlaybackInfo answer: it may be held, and no FFmpeg runs yet.
    Negotiation,
    /// A stream URL whose PlaySession has no lease: FFmpeg starts if it is forwarded.
    Stream,
}

/// A cheaper form of a playback.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// What would be done instead.
    pub kind: Kind,
    /// The place of this rung in the list that the demand's author keeps.
    pub index: usize,
}

/// What was decided about a demand.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Decision {
    /// Run now. The seats are reserved under this lease.
    Admit {
        /// The lease that holds the seats.
        lease: LeaseId,
        /// Why.
        reason: Reason,
    },
    /// Wait: an [`Event::Granted`] or [`Event::Refused`] for this ticket follows, at the deadline at the latest.
    Queue {
        /// The receipt.
        ticket: Ticket,
        /// When the client's patience ends.
        deadline: Instant,
        /// What it waits for.
        reason: Reason,
    },
    /// Run a cheaper form now.
    Downgrade {
        /// The lease that holds the rung's seats.
        lease: LeaseId,
        /// [`Rung::index`] of the form.
        rung: usize,
        /// Why not the whole.
        reason: Reason,
    },
    /// No.
    Reject {
        /// Why.
        reason: Reason,
        /// When it may be tried again; never zero.
        retry_after: Duration,
    },
}

/// What the lease of a PlaySession says about a request that starts FFmpeg or reads from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// The session holds a lease that covers this.
    Yes(LeaseId),
    /// The session holds a lease, but for something cheaper: decide again.
    Dearer(LeaseId),
    /// No lease is known: decide.
    Unknown,
}

/// A sign of life of a PlaySession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A master or media playlist was asked for: intent, not a start.
    Playlist,
    /// Segment `index` was asked for (-1 is the init file).
    Segment {
        /// Its number.
        index: i64,
    },
    /// A progressive stream is being read.
    Stream,
    /// A progressive stream was closed by the client.
    StreamEnded,
    /// `/Sessions/Playing`.
    Started,
    /// `/Sessions/Playing/Progress` or a ping.
    Progress {
        /// The viewer has paused.
        paused: bool,
        /// Position in the film, if the report says.
        position: Option<Duration>,
    },
}

/// One transcode that Jellyfin says is running, or a play without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Who, as Jellyfin's session names him.
    pub who: Who,
    /// What plays.
    pub item: ItemId,
    /// What Jellyfin does for it; [`Kind::Direct`] when the session plays without a job.
    pub kind: Kind,
    /// How much of the file is encoded, 0..=1. `None`: no job reports progress (finished, or not started).
    pub completion: Option<f64>,
    /// Running time of the item.
    pub runtime: Option<Duration>,
    /// Where the viewer is.
    pub position: Option<Duration>,
    /// The viewer has paused.
    pub paused: bool,
}

/// All that is held and waiting, for `/state`, tests and replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// Each GPU, as the policy orders them.
    pub gpus: Vec<GpuView>,
    /// Each lease that has not ended, oldest first.
    pub leases: Vec<LeaseView>,
    /// Each waiting demand, in the order they would be served.
    pub waiting: Vec<WaiterView>,
    /// Video transcodes that hold a lease, over all GPUs.
    pub transcodes: u32,
}

/// One GPU now.
#[derive(Clone, Debug, Serialize)]
pub struct GpuView {
    /// Its name.
    pub gpu: GpuId,
    /// Capacity less headroom reserve, in seats: what may be handed out.
    pub capacity: Seats,
    /// Seats held by running and reserved leases.
    pub held: Seats,
    /// Of those, seats of reserved leases whose FFmpeg has not started.
    pub reserved: Seats,
    /// Transcodes that hold seats here.
    pub sessions: u32,
    /// The hard count limit, if there is one.
    pub max_sessions: Option<u32>,
    /// Demands that wait for this GPU.
    pub waiting: u32,
}

/// One lease now.
#[derive(Clone, Debug, Serialize)]
pub struct LeaseView {
    /// Its number.
    pub lease: LeaseId,
    /// The PlaySession it is bound to.
    pub session: Option<PlaySessionId>,
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known.
    pub user_name: Option<Arc<str>>,
    /// The device.
    pub device: crate::ident::DeviceId,
    /// The client program.
    pub client: Arc<str>,
    /// The class that its limits come from.
    pub class: ClassId,
    /// What plays.
    pub item: ItemId,
    /// The server.
    pub node: NodeId,
    /// The GPU, if it encodes video.
    pub gpu: Option<GpuId>,
    /// In words: `h264 1080p -> h264 720p`, `remux`, `direct`.
    pub work: String,
    /// What it costs while it encodes.
    pub cost: Seats,
    /// What it holds now.
    pub held: Seats,
    /// Its state.
    pub state: LeaseState,
    /// Why it was let in.
    pub reason: Reason,
    /// Since when, before now.
    #[serde(serialize_with = "seconds")]
    pub age: Duration,
    /// Since the last sign of life.
    #[serde(serialize_with = "seconds")]
    pub idle: Duration,
    /// The viewer has paused.
    pub paused: bool,
    /// How much of the file is encoded, 0..=1.
    pub completion: Option<f64>,
}

/// One waiting demand now.
#[derive(Clone, Debug, Serialize)]
pub struct WaiterView {
    /// Its receipt.
    pub ticket: Ticket,
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known.
    pub user_name: Option<Arc<str>>,
    /// The device.
    pub device: crate::ident::DeviceId,
    /// The client program.
    pub client: Arc<str>,
    /// The class.
    pub class: ClassId,
    /// What is to be played.
    pub item: ItemId,
    /// What it costs.
    pub cost: Seats,
    /// What it waits for.
    pub reason: Reason,
    /// Since when, before now.
    #[serde(serialize_with = "seconds")]
    pub waited: Duration,
    /// Until its patience ends.
    #[serde(serialize_with = "seconds")]
    pub left: Duration,
}

fn seconds<S: serde::Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value.as_secs_f64() * 10.0).round() / 10.0)
}

// === impl Admission ===

impl Admission {
    /// Starts empty under `policy`. For [`Timers::recovery`] from `now`, unknown running streams are taken in.
    pub fn new(now: Instant, policy: Arc<Policy>) -> Self {
        let _ = now;
        Self { policy }
    }

    /// Decides about a demand: admits, queues, steps down or rejects it.
    pub fn decide(&mut self, now: Instant, demand: Demand) -> Decision {
        let _ = (now, demand);
        Decision::Reject {
            reason: Reason::Draining,
            retry_after: Duration::from_secs(1),
        }
    }

    /// Says whether this demand would replace or resume what its device already holds, and so is never refused.
    pub fn replaces(&self, demand: &Demand) -> bool {
        let _ = demand;
        false
    }

    /// Whether this device of the user's holds a lease that is not reserved, lingering or ended: something plays.
    pub fn plays(&self, user: &UserId, device: &crate::ident::DeviceId) -> bool {
        let _ = (user, device);
        false
    }

    /// Records that a demand was refused for a reason outside the core (its start rate): emits [`Event::Refused`].
    pub fn refuse(&mut self, now: Instant, demand: &Demand, reason: Reason, retry_after: Duration) {
        let _ = (now, demand, reason, retry_after);
    }

    /// Binds a lease given out by [`Admission::decide`] to the PlaySession named in the answer.
    pub fn bind(&mut self, now: Instant, lease: LeaseId, session: &PlaySessionId) {
        let _ = (now, lease, session);
    }

    /// A request that starts FFmpeg (`hls1`, `live.m3u8`, progressive) came for this session: a reserved lease
    /// becomes active, a finished, parked or lingering one takes its seats back without asking.
    pub fn confirm(
        &mut self,
        now: Instant,
        session: &PlaySessionId,
        kind: &Kind,
        activity: Activity,
    ) -> Covered {
        let _ = (now, session, kind, activity);
        Covered::Unknown
    }

    /// Notes a sign of life. `false`: no lease is known for this session.
    pub fn touch(&mut self, now: Instant, session: &PlaySessionId, activity: Activity) -> bool {
        let _ = (now, session, activity);
        false
    }

    /// Notes a report of a device that named no PlaySession (direct play, or a dead player).
    pub fn touch_device(
        &mut self,
        now: Instant,
        user: &UserId,
        device: &crate::ident::DeviceId,
        activity: Activity,
    ) {
        let _ = (now, user, device, activity);
    }

    /// The session was stopped (Stopped, DELETE ActiveEncodings): its lease lingers, then ends.
    pub fn stop(&mut self, now: Instant, session: &PlaySessionId, why: Ended) {
        let _ = (now, session, why);
    }

    /// Ends a lease at once: its answer was never written, or Jellyfin failed.
    pub fn release(&mut self, now: Instant, lease: LeaseId, why: Ended) {
        let _ = (now, lease, why);
    }

    /// Takes a waiting demand out: its client has gone.
    pub fn withdraw(&mut self, now: Instant, ticket: Ticket) {
        let _ = (now, ticket);
    }

    /// Everything that this device waits for is void: it has asked for something else. Its tickets end with
    /// [`Reason::Superseded`].
    pub fn supersede(&mut self, now: Instant, user: &UserId, device: &crate::ident::DeviceId) {
        let _ = (now, user, device);
    }

    /// Takes in one reading of a GPU.
    pub fn sample(&mut self, now: Instant, gpu: &GpuId, sample: Sample) {
        let _ = (now, gpu, sample);
    }

    /// Compares with what Jellyfin says is running on `node`: adopts what is unknown, ends what is gone.
    pub fn reconcile(&mut self, now: Instant, node: &NodeId, running: &[Running]) {
        let _ = (now, node, running);
    }

    /// Relates `now` to the week here (minute 0 = Monday 00:00), for time windows.
    pub fn set_minute_of_week(&mut self, now: Instant, minute: u16) {
        let _ = (now, minute);
    }

    /// Swaps the policy. Running leases stay; nothing more is admitted where they exceed it.
    pub fn set_policy(&mut self, now: Instant, policy: Arc<Policy>) {
        let _ = now;
        self.policy = policy;
    }

    /// Refuses all new demands and everything that waits, from now on. Running leases stay.
    pub fn drain(&mut self, now: Instant) {
        let _ = now;
    }

    /// Fires every timer up to `now`.
    pub fn advance(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Admission::advance`] next has work.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Takes what has happened since the last call, in order.
    pub fn drain_events(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Shows all that is held and waiting.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let _ = now;
        Snapshot {
            mode: self.policy.mode,
            ..Snapshot::default()
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}
