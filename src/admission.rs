//! Decides which transcodes run, wait, step down or are turned away.
//!
//! Pure and synchronous: no I/O, no clock, no async. Time is an argument. The same object serves live
//! traffic, property tests, scenarios and replay.
//!
//! - `policy`, `rules`: what the operator wrote, and what it says about one demand.
//! - `cost`, `capacity`: what a transcode takes, and what a GPU can bear now.
//! - `decide`, `claim`: the order of answers. Replacement and resume are never refused; what is cheap is let in; access
//!   rules; limits of the user, class, library, window, server, GPU; then admit, wait or refuse.
//! - `lease`, `life`, `ending`: what happens to a grant until it ends, and what is given back then.
//! - `queue`, `dispatch`: who waits, in which line, and who is next.
//! - `step`, `pressure`: a cheaper form where the whole does not fit, or where seats become few.
//! - `yielding`, `preempt`: what goes on in a smaller form, or is ended, for who goes before it.
//! - `share`, `backfill`, `foresee`: whose turn it is before a GPU, who may go past, and when seats come free.
//! - `quota`: what each user may use in a day or a week, and has.
//! - `ledger`: who holds what. Its totals always equal the sum over the leases.
//! - `index`: leases by what is looked for among them.
//! - `operator`: what is done by hand.
//! - `uplink`: the line out of the house, which every play to a viewer outside holds a part of.
//! - `swing`, `timers`: what moves the limits, and what time does.
//! - `reconcile`: the truth comes from Jellyfin.
//! - `cause`: why a play is not the file as it is, which no decision looks at.
//! - `input`, `event`: what the core is told, and what it tells; `effect`, `words`: what a reason does, and how it reads.
//! - `view`, `probe`: what is held and waiting, and what would be decided.
//!
//! What holds after every call: nothing was admitted by the limits beyond a limit; each lease is in one state and
//! ends once, each ticket ends once; no demand waits that all rules would let in; what was given out comes back
//! by time alone. A running stream may exceed a limit (it came back, it was adopted, the limit was lowered):
//! then nothing more is admitted there until it fits again.
//!
//! Look-ups are by hash and ordered maps: a decision costs O(log n) in leases and waiters, whatever rules are in force, and
//! a touch two look-ups (`cargo bench --bench decide`). What goes through all is not part of a decision: a comparison with
//! Jellyfin, a snapshot, a new policy, a window that opens, what users have used when it is written.

mod backfill;
mod capacity;
mod cause;
mod claim;
mod cost;
mod decide;
mod dispatch;
mod effect;
mod ending;
mod event;
mod foresee;
mod index;
mod input;
mod lease;
mod ledger;
mod life;
mod operator;
mod policy;
mod preempt;
mod pressure;
mod probe;
mod queue;
mod quota;
mod reconcile;
mod rules;
mod share;
mod step;
mod swing;
#[cfg(test)]
mod tests;
mod timers;
mod uplink;
mod view;
mod words;
mod yielding;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use self::{
    capacity::Capacity,
    foresee::Foresight,
    index::Index,
    lease::{Lease, Right},
    ledger::Ledger,
    queue::{Queue, Screen},
    yielding::Missed,
};
pub use self::{
    cause::{Cause, Form, Held, MOST_CAUSES, Why},
    cost::{Codec, CostModel, Hdr, Seats, Work},
    effect::{Effect, Unless, Until},
    event::{Ended, Event, Reason, Reconciled, Subject},
    input::{Input, Numbers},
    lease::LeaseState,
    operator::Order,
    policy::{
        Access, Class, Days, Fraction, Gpu, LibraryRule, Mode, Node, Policy, PolicyError,
        Preemption, QueueBounds, Timers, UserLimits, UserRule, WhenFull, Who, Window, Yields,
    },
    quota::{Amounts, Book, GPU_SECOND, Measure, Period, Quota, QuotaView, Today},
    uplink::{Bitrate, Uplink, UplinkView},
};
use crate::ident::{ClassId, GpuId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket, UserId};

/// The state machine of admission: who holds what, who waits, and what happens next.
///
/// Every input takes `now`, first fires the timers that are due, then does its work, then settles the queue; what
/// happened is in [`Admission::drain_events`], to be taken after each call.
#[derive(Debug, Clone)]
pub struct Admission {
    policy: Arc<Policy>,
    started: Instant,
    /// The latest moment that anybody has named.
    latest: Instant,
    /// A moment and its minute of the week.
    week: Option<(Instant, u16)>,
    /// Windows that hold now: places in the policy's list.
    windows: Vec<usize>,
    /// When that changes next.
    edge: Option<Instant>,
    limiters: Vec<Capacity>,
    /// Capacity of each GPU as it was last told.
    told: Vec<Seats>,
    ledger: Ledger,
    leases: HashMap<LeaseId, Lease>,
    sessions: HashMap<PlaySessionId, Known>,
    screens: HashMap<Screen, BTreeSet<LeaseId>>,
    rights: HashMap<Screen, Right>,
    queue: Queue,
    timers: BTreeSet<(Instant, Timer)>,
    last_decision: u64,
    last_lease: u64,
    last_ticket: u64,
    foresight: Foresight,
    /// Refused for want of seats a moment ago.
    missed: Vec<Missed>,
    index: Index,
    /// Leases that are to be ended for somebody else.
    sentenced: BTreeSet<LeaseId>,
    /// When somebody was preempted on a GPU last.
    preempted: BTreeMap<usize, Instant>,
    /// What flows out of the house beside the leases, as measured.
    flow: Bitrate,
    draining: bool,
    /// The operator lets no new transcode in.
    paused: bool,
    /// The mode that the policy came with, where the operator has changed it.
    own_mode: Option<Mode>,
    events: Vec<Event>,
}

/// Leases at most. Beyond it, the one whose timer is due first makes room, one that holds nothing if there is
/// one among the next few: bookkeeping is bounded, and no playback is refused for it.
const MOST_LEASES: usize = 100_000;

/// Leases of one screen at most: what asks for more makes its oldest that encodes nothing end.
const MOST_OF_A_SCREEN: usize = 64;

/// What is known of a PlaySession.
#[derive(Clone, Debug)]
enum Known {
    /// It is bound to this lease.
    Lease(LeaseId),
    /// This lease took over from it.
    Alias(LeaseId),
    /// It has ended a moment ago, and its screen may come back.
    Right(Screen),
}

/// What may be due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lease(LeaseId),
    Deadline(Ticket),
    Recheck(Ticket),
    Preempt(Ticket),
    Right(Screen),
    Window,
    Step(usize),
}

/// A wish to play something, with what it costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// What it sends to its viewer, as far as is known. Zero: nothing worth counting.
    pub rate: Bitrate,
    /// Cheaper forms of the same playback, dearest first. Empty: it can't step down.
    pub rungs: Vec<Rung>,
    /// A rule outside the core that only observes was exceeded: its start rate.
    pub would: Option<Reason>,
    /// How long the client will wait for the answer from now on. Zero: now or never.
    pub patience: Duration,
    /// Its player shows one thing at a time and stops the old one once it has been given the new one: whatever else its
    /// screen plays ends with the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// Of which file it is, and why it is not played as it is, if that is known. For the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Arc<Why>>,
}

/// What Jellyfin does for a play.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A PlaybackInfo answer: it may be held, and no FFmpeg runs yet.
    Negotiation,
    /// A stream URL whose PlaySession has no lease: FFmpeg starts if it is forwarded.
    Stream,
    /// A segment in mid-film whose PlaySession has no lease: soon after a start of Finweir, its FFmpeg may be running
    /// since before.
    Running,
}

/// A cheaper form of a playback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// What would be done instead.
    pub kind: Kind,
    /// What that sends to its viewer.
    pub rate: Bitrate,
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
    /// Wait: an [`Event::Granted`], [`Event::Downgraded`] or [`Event::Refused`] for this ticket follows, at the deadline at the latest.
    Queue {
        /// The receipt.
        ticket: Ticket,
        /// When the client's patience ends.
        deadline: Instant,
        /// What it waits for.
        reason: Reason,
        /// How long it is expected to wait, if that can be told.
        expected: Option<Duration>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What it sends to its viewer, as far as is known.
    pub rate: Bitrate,
}

/// All that is held and waiting, for `/state`, tests and replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// The mode of the configuration, where the operator has changed it until the next reload.
    pub own_mode: Option<Mode>,
    /// The operator lets no new transcode in.
    pub paused: bool,
    /// Each GPU, as the policy orders them.
    pub gpus: Vec<GpuView>,
    /// Each lease that has not ended, oldest first.
    pub leases: Vec<LeaseView>,
    /// Each waiting demand, in the order they would be served.
    pub waiting: Vec<WaiterView>,
    /// The line out of the house.
    pub uplink: UplinkView,
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
    /// What the configuration gives.
    pub given: Seats,
    /// What it was found to carry, before time windows; that of the configuration if nothing is learned.
    pub learned: Seats,
    /// Seats held by running and reserved leases.
    pub held: Seats,
    /// Of those, seats of reserved leases whose FFmpeg has not started.
    pub reserved: Seats,
    /// Seats of paused viewers that are lent out: each may take them back at any moment, beyond what is free.
    pub lent: Seats,
    /// Transcodes that hold seats here.
    pub sessions: u32,
    /// The hard count limit, if there is one.
    pub max_sessions: Option<u32>,
    /// Demands that wait for this GPU.
    pub waiting: u32,
    /// Transcodes here that are slower than their viewers, who have little in hand.
    pub starving: u32,
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
    /// What it holds of the line out of the house, bit/s.
    pub rate: Bitrate,
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
    /// How many seconds the encoder is ahead of the viewer, where two looks have told.
    pub lead: Option<f64>,
    /// Its job is slower than its viewer, who has little in hand.
    pub starved: bool,
    /// It was found in Jellyfin when Finweir had run for long: as far as is known, it did not pass through here.
    pub stray: bool,
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
    /// How long it is expected to wait from now on, if that can be told.
    #[serde(serialize_with = "maybe_seconds")]
    pub expected: Option<Duration>,
    /// Until its patience ends.
    #[serde(serialize_with = "seconds")]
    pub left: Duration,
}

fn seconds<S: serde::Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value.as_secs_f64() * 10.0).round() / 10.0)
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn maybe_seconds<S: serde::Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => seconds(value, to),
        None => to.serialize_none(),
    }
}
