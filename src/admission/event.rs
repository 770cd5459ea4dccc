//! What happened, and why: the closed enums that log, metric, response and state all print alike.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, ser::SerializeMap};

use super::{LeaseState, Mode, Order, Seats};
use crate::ident::{
    ClassId, DecisionId, DeviceId, GpuId, ItemId, LeaseId, NodeId, PlaySessionId, Ticket, UserId,
};

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, for metrics that are registered at start.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The one spelling, in logs, metrics, answers and state.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                let known = Self::ALL.iter().find(|value| value.as_str() == text);
                known.copied().ok_or_else(|| serde::de::Error::custom(concat!("no such ", stringify!($name))))
            }
        }
    };
}

labels! {
    /// Why something was decided.
    Reason {
        /// All limits allow it.
        Fits = "fits",
        /// Nothing is encoded: direct play, remux or audio only.
        Cheap = "cheap",
        /// It replaces what the same screen was playing.
        Replacement = "replacement",
        /// A known session came back: pause, seek, next segment.
        Resume = "resume",
        /// It was running when Finweir first saw it.
        Adopted = "adopted",
        /// It waited, and its seats came free.
        Waited = "waited",
        /// The operator let it in by hand.
        Operator = "operator",
        /// A limit was exceeded, but the rule only observes.
        Observed = "observed",
        /// Finweir could not judge it, so it passed.
        FailOpen = "fail-open",
        /// Somebody who goes before it needs the seats, so it goes on in a smaller picture.
        Yields = "yields",
        /// It is wider than the GPU and the GPU was empty.
        RunsAlone = "runs-alone",
        /// It fits, but its GPU is nearly full: a smaller picture leaves room for others.
        Pressure = "pressure",
        /// The user runs as many transcodes as he may.
        UserLimit = "user-limit",
        /// The user streams as much as he may, direct play included.
        UserStreams = "user-streams",
        /// The class runs as many transcodes as it may.
        ClassLimit = "class-limit",
        /// The server runs as many transcodes as it may.
        ServerLimit = "server-limit",
        /// The line out of the house has no room for its bitrate.
        UplinkFull = "uplink-full",
        /// The GPU has too few seats left.
        GpuFull = "gpu-full",
        /// The GPU runs as many sessions as its driver allows.
        GpuSessions = "gpu-sessions",
        /// This class may not transcode 4K.
        UhdDenied = "uhd-denied",
        /// This class may not transcode.
        TranscodeDenied = "transcode-denied",
        /// A rule of this library forbids it.
        LibraryRule = "library-rule",
        /// A time window forbids it now.
        TimeWindow = "time-window",
        /// The user has used up what he may in a day or a week.
        Quota = "quota",
        /// Too many starts in a short time.
        StartRate = "start-rate",
        /// The queue is as long as it may be.
        QueueFull = "queue-full",
        /// It waited as long as the client would.
        WaitedOut = "waited-out",
        /// It would not have been served while its client waits, as far as can be told.
        WaitTooLong = "wait-too-long",
        /// The same device asked for something else.
        Superseded = "superseded",
        /// The operator lets no new transcode in for now.
        Paused = "paused",
        /// Finweir is stopping.
        Draining = "draining",
        /// The request could not be read, but Jellyfin might have served it as media.
        Unreadable = "unreadable",
        /// A stream without a login that would transcode.
        Anonymous = "anonymous",
        /// The session was ended by a rule or by the operator.
        Revoked = "revoked",
    }
}

labels! {
    /// How a lease ended.
    Ended {
        /// The client reported Stopped or deleted the encoding.
        Stopped = "stopped",
        /// No sign of life for too long.
        Idle = "idle",
        /// Reserved, but no media request came.
        Abandoned = "abandoned",
        /// Something else on the same screen took its place.
        Replaced = "replaced",
        /// Jellyfin no longer runs it.
        Gone = "gone",
        /// The client left before the answer was written.
        Undelivered = "undelivered",
        /// A player that shows nothing and reports on.
        DeadPlayer = "dead-player",
        /// Its viewer has paused for long, and a rule ends its job meanwhile.
        Parked = "parked",
        /// Ended for somebody who goes before it, by the rule of a class.
        Preempted = "preempted",
        /// Ended by a rule or by the operator.
        Revoked = "revoked",
    }
}

labels! {
    /// What a comparison with Jellyfin found.
    Reconciled {
        /// A transcode Finweir did not know.
        Adopted = "adopted",
        /// A lease whose transcode is gone.
        Orphan = "orphan",
        /// A job had finished: its seats came free.
        Finished = "finished",
        /// A job of a finished lease ran again.
        Restarted = "restarted",
        /// Jellyfin does something else than the lease says.
        Differs = "differs",
    }
}

/// Whom and what an event is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The number of the decision that let it in, held or refused it.
    pub decision: DecisionId,
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known. For `/state`; logs print the id.
    pub user_name: Option<Arc<str>>,
    /// The device.
    pub device: DeviceId,
    /// The client program.
    pub client: Arc<str>,
    /// The class.
    pub class: ClassId,
    /// The item.
    pub item: ItemId,
    /// The server.
    pub node: NodeId,
    /// The GPU, if it would encode video.
    pub gpu: Option<GpuId>,
    /// The PlaySession, if it is known.
    pub session: Option<PlaySessionId>,
    /// In words: `hevc 2160p hdr -> h264 1080p`, `remux`, `direct`.
    pub work: String,
    /// What it costs.
    pub cost: Seats,
}

/// In the journal: what can't be known from the demand, and names nobody.
impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(5))?;
        map.serialize_entry("id", &self.decision)?;
        map.serialize_entry("class", &self.class)?;
        map.serialize_entry("gpu", &self.gpu)?;
        map.serialize_entry("work", &self.work)?;
        map.serialize_entry("cost", &self.cost)?;
        map.end()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A demand was admitted at once.
    Admitted {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// Why.
        reason: Reason,
        /// What enforcing every rule would have answered, where it differs.
        would: Option<Reason>,
    },
    /// A demand waits.
    Queued {
        /// Whom and what.
        subject: Arc<Subject>,
        /// Its receipt.
        ticket: Ticket,
        /// What it waits for.
        reason: Reason,
    },
    /// A waiting demand got its seats.
    Granted {
        /// Whom and what.
        subject: Arc<Subject>,
        /// Its receipt.
        ticket: Ticket,
        /// The lease.
        lease: LeaseId,
        /// Why.
        reason: Reason,
        /// How long it waited.
        waited: Duration,
    },
    /// A demand was refused, at once (no ticket) or after a wait.
    Refused {
        /// Whom and what.
        subject: Arc<Subject>,
        /// Its receipt, if it waited.
        ticket: Option<Ticket>,
        /// Why.
        reason: Reason,
        /// How long it waited.
        waited: Duration,
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// A demand was admitted in a cheaper form.
    Downgraded {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// [`super::Rung::index`].
        rung: usize,
        /// Why not the whole.
        reason: Reason,
        /// Its receipt, if it waited.
        ticket: Option<Ticket>,
        /// How long it waited.
        waited: Duration,
    },
    /// A waiting demand's client has gone.
    Withdrawn {
        /// Whom and what.
        subject: Arc<Subject>,
        /// Its receipt.
        ticket: Ticket,
        /// How long it waited.
        waited: Duration,
    },
    /// A lease changed state.
    Moved {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// From.
        from: LeaseState,
        /// To.
        to: LeaseState,
    },
    /// A lease ended.
    LeaseEnded {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// How.
        ended: Ended,
        /// How long it lasted.
        lasted: Duration,
    },
    /// Jellyfin and the ledger disagreed.
    Reconciled {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease it was settled with.
        lease: Option<LeaseId>,
        /// What was found.
        found: Reconciled,
    },
    /// A running stream is to be ended for somebody who goes before it.
    Preempting {
        /// Whose and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// In how long. `None`: it plays on after all.
        grace: Option<Duration>,
    },
    /// A rule asks that Jellyfin's job of this session be ended.
    EndJob {
        /// Whom and what.
        subject: Arc<Subject>,
        /// The lease.
        lease: LeaseId,
        /// Why.
        ended: Ended,
    },
    /// A GPU's capacity changed.
    CapacityChanged {
        /// The GPU.
        gpu: GpuId,
        /// Before.
        from: Seats,
        /// Now.
        to: Seats,
    },
    /// The operator did something by hand; what came of it follows.
    Operator {
        /// What.
        order: Order,
        /// Who, as he called himself, and from where. The journal has it with the input.
        #[serde(skip_serializing)]
        who: Arc<str>,
        /// Whom and what it was about, if it was about somebody.
        subject: Option<Arc<Subject>>,
    },
    /// A policy came into force.
    PolicyChanged {
        /// Whether it enforces.
        mode: Mode,
    },
}
