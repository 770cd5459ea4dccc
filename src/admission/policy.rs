//! Limits, classes, rules and timers: immutable, valid by construction, swapped whole on reload.

mod check;
mod days;
mod matching;
mod precedence;
mod week;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use core::net::IpAddr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::days::Days;
pub use self::precedence::{Preemption, Yields};
pub(super) use self::week::WEEK;
use super::{CostModel, Quota, Seats, Uplink};
use crate::ident::{ClassId, DeviceId, GpuId, NodeId, UserId};

/// Whether a rule is enforced or only watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide and record, enforce nothing (shadow).
    #[default]
    Observe,
    /// Do what was decided.
    Enforce,
}

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Yes.
    #[default]
    Allow,
    /// No.
    Deny,
}

/// What is done when a play does not fit as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits, and steps down when it has waited in vain.
    #[default]
    WaitThenStepDown,
    /// It steps down, and waits if no smaller form fits either.
    StepDownThenWait,
    /// It waits, and never steps down.
    Wait,
    /// It steps down, and never waits.
    StepDown,
}

/// A part of one, 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Fraction(f64);

/// Who asks: Jellyfin confirmed the user, the client claimed the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Who {
    /// The user.
    pub user: UserId,
    /// The user's name, if it is known.
    pub name: Option<Arc<str>>,
    /// Jellyfin calls the user an administrator.
    pub admin: bool,
    /// The device, as the client names it.
    pub device: DeviceId,
    /// The client program, as it names itself.
    pub client: Arc<str>,
    /// The address the viewer comes from, if it is known.
    pub address: Option<IpAddr>,
}

/// Everything the core decides by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Mode of every rule that has none of its own, and the upper bound of all: under
    /// [`Mode::Observe`] nothing is enforced.
    pub mode: Mode,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// The Jellyfin servers.
    pub nodes: Vec<Node>,
    /// Video transcodes over all GPUs. `None`: no limit.
    pub transcodes: Option<u32>,
    /// Limits of each user that no rule names.
    pub user: UserLimits,
    /// Users with limits of their own; the first that matches counts.
    pub users: Vec<UserRule>,
    /// Classes; the first that matches counts. The last matches everybody.
    pub classes: Vec<Class>,
    /// Rules about libraries.
    pub libraries: Vec<LibraryRule>,
    /// Time windows.
    pub windows: Vec<Window>,
    /// The line out of the house.
    pub uplink: Uplink,
    /// Whether a stream without a login may transcode (static streams always may).
    pub anonymous: Access,
    /// From this part of a GPU's seats on it is under pressure: plays are made cheaper. 1: only when it is full.
    pub pressure: Fraction,
    /// Bounds of the queue.
    pub queue: QueueBounds,
    /// Timers of a lease.
    pub timers: Timers,
    /// The cost formula.
    pub cost: CostModel,
    /// End Jellyfin's job of a dead player, beside taking its seats back.
    pub end_dead_jobs: bool,
    /// End Jellyfin's job of a viewer whose seats are lent out.
    pub end_parked_jobs: bool,
    /// How streams are ended for others, where a class has a rule for it.
    pub preemption: Preemption,
}

/// A GPU, or the CPU for software encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its name.
    pub id: GpuId,
    /// What may be handed out, in seats, with headroom already taken off.
    pub capacity: Seats,
    /// Hard count of transcodes, whatever they cost. `None`: no limit.
    pub max_sessions: Option<u32>,
    /// Its factor on decode work for tone-mapping.
    pub tone_map: f64,
    /// Whether capacity is learned from samples, between half of [`Gpu::capacity`] and three times it.
    pub learn: bool,
    /// Mode of this rule.
    pub mode: Mode,
}

/// A Jellyfin server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// The GPU it encodes on; several nodes may name the same.
    pub gpu: GpuId,
}

/// What one user may do at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserLimits {
    /// Video transcodes. `None`: no limit.
    pub transcodes: Option<u32>,
    /// Seats. `None`: no limit.
    pub seats: Option<Seats>,
    /// Streams of any kind, direct play included. `None`: no limit.
    pub streams: Option<u32>,
    /// What he may use in a day or a week.
    pub quotas: Arc<[Quota]>,
    /// What is done when a play does not fit.
    pub when_full: WhenFull,
    /// Stepping down never goes below this height, in pixels. `None`: as low as there is.
    pub floor: Option<u32>,
    /// For whom he steps down in mid-play, when he asks again.
    pub yields: Yields,
    /// Mode of this rule.
    pub mode: Mode,
}

/// Limits of one user, by name or id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserRule {
    /// A user name (any letter case), a pattern of one with `*` and `?`, or a user id.
    pub user: String,
    /// The limits.
    pub limits: UserLimits,
}

/// A group of users, clients or networks with limits together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Its name.
    pub id: ClassId,
    /// User names, patterns with `*` and `?`, or ids. Empty: any user.
    pub users: Vec<String>,
    /// Patterns of client names. Empty: any client.
    pub clients: Vec<String>,
    /// Networks. Empty: anywhere.
    pub networks: Vec<IpNet>,
    /// `Some(true)`: administrators only.
    pub admin: Option<bool>,
    /// Limits of each user in this class, where no user rule says otherwise.
    pub user: Option<UserLimits>,
    /// Video transcodes of the whole class. `None`: no limit.
    pub transcodes: Option<u32>,
    /// Seats of the whole class. `None`: no limit.
    pub seats: Option<Seats>,
    /// Whether it may transcode at all.
    pub transcode: Access,
    /// Whether it may transcode 4K sources.
    pub uhd: Access,
    /// Longest wait. `None`: as long as the client's patience.
    pub max_wait: Option<Duration>,
    /// Its own part of each GPU's seats. Others may use what it leaves idle; when seats come free, a class below its
    /// share goes before one above. `None`: the classes without a share have together what is left.
    pub share: Option<Fraction>,
    /// Part of each GPU's seats that is kept free for it.
    pub reserve: Fraction,
    /// Served before classes with a smaller number.
    pub priority: u32,
    /// Classes whose streams may be ended for it where it would be refused. Only such of a smaller priority are.
    pub preempt: Vec<ClassId>,
    /// Mode of this rule.
    pub mode: Mode,
}

/// A rule about one library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LibraryRule {
    /// A library's name, or a pattern of one.
    pub library: String,
    /// Classes it concerns. Empty: all.
    pub classes: Vec<ClassId>,
    /// Whether its items may be transcoded.
    pub transcode: Access,
    /// Whether its 4K items may be transcoded.
    pub uhd: Access,
    /// Video transcodes of its items at once. `None`: no limit.
    pub transcodes: Option<u32>,
    /// Mode of this rule.
    pub mode: Mode,
}

/// A time of the week in which other limits hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// Its days; a window that crosses midnight belongs to the day it begins on.
    pub days: Days,
    /// First minute of the day, 0..1440.
    pub from: u16,
    /// Minute of the day it ends at, not included; smaller than or equal to `from`: the next day.
    pub to: u16,
    /// Classes it concerns. Empty: all.
    pub classes: Vec<ClassId>,
    /// Whether they may transcode in it.
    pub transcode: Access,
    /// Whether they may transcode 4K in it.
    pub uhd: Access,
    /// Video transcodes of each of those classes at once. `None`: no other limit than usual.
    pub transcodes: Option<u32>,
    /// Capacity of these GPUs is multiplied by the factor.
    pub capacity: Option<Fraction>,
    /// GPUs whose capacity changes. Empty: all.
    pub gpus: Vec<GpuId>,
    /// Mode of this rule.
    pub mode: Mode,
}

/// Bounds of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueBounds {
    /// Waiting demands in all.
    pub length: u32,
    /// Waiting demands of one user.
    pub per_user: u32,
    /// Longest wait, whatever the client's patience.
    pub max_wait: Duration,
    /// How long who has left or been refused may ask again for the same item and have his old place.
    pub keep_place: Duration,
}

/// Timers of a lease. Defaults and their sources: `config/default.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timers {
    /// Reserved without any media request: given back.
    pub reserve: Duration,
    /// A playlist request prolongs a reservation to this.
    pub intent: Duration,
    /// No segment and no report for this long: idle (FFmpeg dies 60 s after the last).
    pub idle: Duration,
    /// A viewer paused for longer gives his seats up.
    pub park_after: Duration,
    /// How long a parked viewer keeps the right to come back without asking.
    pub parked: Duration,
    /// FFmpeg takes some seconds to go after a stop (at most 5 s).
    pub linger: Duration,
    /// Position 0, paused, and no segment for this long: a dead player.
    pub dead_after: Duration,
    /// How long a viewer who stopped may start the next thing on the same screen without queueing.
    pub grace: Duration,
    /// After a start, unknown running streams are taken in for this long.
    pub recovery: Duration,
    /// A different item on the same device replaces the old one only if that read nothing for this long.
    pub replace_idle: Duration,
}

/// What makes a policy impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Two things have one name.
    #[error("{what} `{name}` is there twice")]
    Duplicate {
        /// `gpu`, `node`, `class`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something is named that does not exist.
    #[error("{what} `{name}` does not exist")]
    Unknown {
        /// `gpu`, `class`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no class that matches everybody at the end.
    #[error("the last class must match everybody")]
    NoDefaultClass,
    /// There is no GPU or no node.
    #[error("there must be at least one {0}")]
    Missing(&'static str),
}

// === impl Mode ===

impl Mode {
    /// The one spelling, in logs, state and YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

// === impl Policy ===

impl Policy {
    /// One node, one GPU, two transcodes a user, and nothing enforced: what tests and benches begin with.
    pub fn observe(node: NodeId, gpu: GpuId, capacity: Seats) -> Self {
        Self {
            mode: Mode::Observe,
            gpus: vec![Gpu {
                id: gpu.clone(),
                capacity,
                max_sessions: None,
                tone_map: 0.25,
                learn: false,
                mode: Mode::Enforce,
            }],
            nodes: vec![Node { id: node, gpu }],
            transcodes: None,
            user: UserLimits {
                transcodes: Some(2),
                mode: Mode::Enforce,
                ..UserLimits::default()
            },
            users: Vec::new(),
            classes: vec![Class::everybody()],
            libraries: Vec::new(),
            windows: Vec::new(),
            uplink: Uplink::default(),
            anonymous: Access::Deny,
            pressure: Fraction(1.0),
            queue: QueueBounds::default(),
            timers: Timers::default(),
            cost: CostModel::default(),
            end_dead_jobs: false,
            end_parked_jobs: false,
            preemption: Preemption::default(),
        }
    }

    /// The class of `who`: the first that matches.
    pub fn class_of(&self, who: &Who) -> &Class {
        static NOBODY: LazyLock<Class> = LazyLock::new(Class::everybody);
        self.class_index(who)
            .and_then(|index| self.classes.get(index))
            .unwrap_or(&NOBODY)
    }

    /// The limits of `who`: the first user rule that names him, else those of his class, else the general ones.
    pub fn limits_of(&self, who: &Who) -> &UserLimits {
        self.users
            .iter()
            .find(|rule| who.is_called(&rule.user))
            .map(|rule| &rule.limits)
            .or(self.class_of(who).user.as_ref())
            .unwrap_or(&self.user)
    }

    /// The GPU that `node` encodes on. A node the policy doesn't know is charged to the first GPU: work that
    /// is charged to the wrong place is better than work that nobody counts.
    pub(super) fn gpu_index(&self, node: &NodeId) -> Option<usize> {
        self.nodes
            .iter()
            .find(|known| known.id == *node)
            .and_then(|known| self.gpus.iter().position(|gpu| gpu.id == known.gpu))
            .or_else(|| (!self.gpus.is_empty()).then_some(0))
    }

    /// The place of the class of `who` in [`Policy::classes`]: the last, if none matches.
    pub(super) fn class_index(&self, who: &Who) -> Option<usize> {
        self.classes
            .iter()
            .position(|class| class.matches(who))
            .or_else(|| self.classes.len().checked_sub(1))
    }
}

// === impl Class ===

impl Class {
    /// The class `default`, which matches everybody and limits nothing.
    pub fn everybody() -> Self {
        Self {
            id: ClassId::new("default"),
            users: Vec::new(),
            clients: Vec::new(),
            networks: Vec::new(),
            admin: None,
            user: None,
            transcodes: None,
            seats: None,
            transcode: Access::Allow,
            uhd: Access::Allow,
            max_wait: None,
            share: None,
            reserve: Fraction::default(),
            priority: 0,
            preempt: Vec::new(),
            mode: Mode::Enforce,
        }
    }
}

// === impl Fraction ===

impl Fraction {
    /// Takes a number between 0 and 1.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// Returns the number.
    pub fn get(self) -> f64 {
        self.0
    }
}

// === impl QueueBounds, Timers ===

impl Default for QueueBounds {
    fn default() -> Self {
        Self {
            length: 32,
            per_user: 2,
            max_wait: Duration::from_secs(15),
            keep_place: Duration::from_secs(30),
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            reserve: Duration::from_secs(25),
            intent: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            park_after: Duration::from_secs(600),
            parked: Duration::from_secs(4 * 3600),
            linger: Duration::from_secs(5),
            dead_after: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            recovery: Duration::from_secs(90),
            replace_idle: Duration::from_secs(15),
        }
    }
}
