//! A simulated Jellyfin: the server's protocol, decisions and job life cycle, with a model GPU for FFmpeg.
//!
//! It is written from what real servers were recorded doing and shares no code with `jellyfin`, Finweir's own
//! reading of the protocol, so that one mistake is not made twice. `tests/replay/sim.rs` holds it to the recordings;
//! where it differs is in `docs/simulator.md`. Nothing runs by itself: its state is a function of the requests and
//! of virtual time, which passes [`Options::speed`] times as fast as the clock.

mod auth;
mod evening;
mod hls;
mod ids;
mod info;
mod jobs;
mod library;
mod negotiate;
mod play;
mod progressive;
mod reply;
mod request;
mod route;
mod server;
mod sessions;
mod shorten;
mod socket;
mod stream;
mod system;
mod users;
mod world;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::{Notify, watch};

use self::{auth::Client, world::World};
pub use self::{library::Library, stream::Kind};
use crate::{gpu::model, tasks::Tasks};

/// A version of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 10.11.11
    V10_11,
    /// 12.0-rc5
    V12_0,
}

/// A user of the simulated server.
#[derive(Clone, Debug)]
pub struct SimUser {
    /// The name to log in with.
    pub name: String,
    /// The password to log in with.
    pub password: String,
    /// An administrator.
    pub admin: bool,
    /// The id; derived from the name if none is given.
    pub id: Option<String>,
    /// Members of the policy that differ from a new user's.
    pub policy: Vec<(String, Value)>,
}

/// What a server says of itself while it starts.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    /// `/health` is `Degraded`, all else unavailable.
    pub degraded: Duration,
    /// Everything is unavailable, with a page that says so.
    pub loading: Duration,
}

/// How a simulated server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its version.
    pub version: Version,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it encodes on.
    pub gpu: model::Options,
    /// How much faster than the clock its time passes: FFmpeg and all timers.
    pub speed: f64,
    /// Jobs rest while they are far ahead of their viewers.
    pub throttling: bool,
    /// HDR becomes SDR when it is encoded; a new server does not do that.
    pub tone_mapping: bool,
    /// Its users.
    pub users: Vec<SimUser>,
    /// An API key that it knows.
    pub api_key: String,
    /// What it has to play.
    pub library: Library,
    /// Remembers requests that no correct client or proxy sends.
    pub strict: bool,
    /// It has to start first.
    pub startup: Option<Startup>,
}

/// A request that was served.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query, the token left out.
    pub target: String,
    /// What it was for.
    pub route: String,
    /// The status of the answer.
    pub status: u16,
    /// When it was answered, in virtual time since the start.
    pub at: Duration,
}

/// A job as it stands.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The PlaySessionId of its address.
    pub session: Option<String>,
    /// The DeviceId of its address.
    pub device: Option<String>,
    /// The title.
    pub item: String,
    /// What it does to the streams.
    pub kind: Kind,
    /// When it started, in virtual time since the start of the server.
    pub started: Duration,
    /// Its speed, in multiples of real time.
    pub speed: f64,
    /// Up to where it has encoded.
    pub position: Duration,
    /// Its FFmpeg is still there.
    pub running: bool,
    /// It rests because it is far ahead.
    pub resting: bool,
    /// Seats it takes while it runs.
    pub seats: f64,
    /// How often its viewer had to wait in mid-play.
    pub stalls: u32,
}

/// A running simulated server.
#[derive(Debug)]
pub struct Sim {
    inner: Arc<Inner>,
    address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Gently,
    AtOnce,
}

struct Inner {
    version: Version,
    speed: f64,
    startup: Option<Startup>,
    began: Instant,
    /// Virtual time that was added by hand, nanoseconds.
    skipped: AtomicU64,
    world: Mutex<World>,
    tasks: Tasks,
    /// Time was added by hand: whoever waits looks again.
    changed: Notify,
    stop: watch::Sender<Option<Stop>>,
}

// === impl Sim ===

impl Sim {
    /// Starts a server.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = server::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            version: options.version,
            speed: options.speed.max(0.001),
            startup: options.startup,
            began: crate::clock::now(),
            skipped: AtomicU64::new(0),
            world: Mutex::new(World::new(&options, crate::clock::wall())),
            tasks: Tasks::new(),
            changed: Notify::new(),
            stop: watch::Sender::new(None),
        });
        let own = Arc::clone(&inner);
        inner.tasks.spawn(server::run(own, listener));
        Ok(Self { inner, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an address for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its jobs, done ones included until their session ends.
    pub fn jobs(&self) -> Vec<JobView> {
        let world = self.inner.world();
        let view = |job: &jobs::Job| {
            let progress = world.gpu.progress(job.id)?;
            Some(JobView {
                session: job.play_session.clone(),
                device: job.device.clone(),
                item: job.item.clone(),
                kind: job.kind,
                started: Duration::from_secs_f64(job.started),
                speed: progress.speed,
                position: Duration::from_secs_f64(progress.encoded_to.max(0.0)),
                running: !progress.finished,
                resting: progress.resting,
                seats: progress.seats,
                stalls: progress.stalls,
            })
        };
        world.jobs.iter().filter_map(view).collect()
    }

    /// FFmpeg processes now.
    pub fn running(&self) -> usize {
        self.inner.world().running()
    }

    /// Open progressive streams.
    pub fn readers(&self) -> u32 {
        self.inner.world().jobs.iter().map(|job| job.readers).sum()
    }

    /// How often FFmpeg was started so far.
    pub fn started(&self) -> u64 {
        self.inner.world().started
    }

    /// How often any viewer had to wait in mid-play so far.
    pub fn stalls(&self) -> u64 {
        self.inner.world().gpu.stalls()
    }

    /// The latest requests, oldest first.
    pub fn log(&self) -> Vec<Seen> {
        self.inner.world().log.iter().cloned().collect()
    }

    /// Requests that no correct client or proxy sends, if the server is strict.
    pub fn faults(&self) -> Vec<String> {
        self.inner.world().faults.iter().cloned().collect()
    }

    /// Logs a user in on a device. `None`: there is no such user.
    pub fn token_of(&self, user: &str, device: &str) -> Option<String> {
        let mut world = self.inner.world();
        let id = world
            .users
            .iter()
            .find(|u| u.name.eq_ignore_ascii_case(user))
            .map(|u| u.id.clone())?;
        let client = Client {
            token: None,
            client: Some("Simulated".to_owned()),
            device: Some(device.to_owned()),
            device_id: Some(device.to_owned()),
            version: Some("1.0".to_owned()),
        };
        let login = world.login(&id, &client);
        let who = world.who(Client {
            token: Some(login.token.clone()),
            ..client
        });
        world.session_of(&who);
        Some(login.token)
    }

    /// The id of a user.
    pub fn user_id(&self, name: &str) -> Option<String> {
        let world = self.inner.world();
        let user = world
            .users
            .iter()
            .find(|u| u.name.eq_ignore_ascii_case(name));
        user.map(|u| u.id.clone())
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        Duration::from_secs_f64(self.inner.world().now)
    }

    /// Lets virtual time pass at once.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.inner.skipped.fetch_add(nanos, Ordering::Relaxed);
        drop(self.inner.world());
        self.inner.changed.notify_waiters();
    }

    /// How many bytes were free on its disk if no job wrote there.
    pub fn set_free_space(&self, bytes: u64) {
        self.inner.world().free_space = Some(bytes);
    }

    /// Stops: answers that are under way are finished, within reason.
    pub async fn stop(self) {
        self.inner.stop.send_replace(Some(Stop::Gently));
        self.inner.tasks.join(Duration::from_secs(10)).await;
    }

    /// Cuts every connection at once.
    pub fn kill(self) {
        self.inner.stop.send_replace(Some(Stop::AtOnce));
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.inner.stop.send_if_modified(|stop| {
            let running = stop.is_none();
            stop.get_or_insert(Stop::AtOnce);
            running
        });
    }
}

// === impl Inner ===

impl Inner {
    /// The state, brought up to now.
    fn world(&self) -> MutexGuard<'_, World> {
        let passed = (crate::clock::now() - self.began).as_secs_f64() * self.speed;
        let skipped = Duration::from_nanos(self.skipped.load(Ordering::Relaxed)).as_secs_f64();
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(passed + skipped);
        world
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V12_0,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            gpu: model::Options {
                capacity_seats: 6.0,
                tone_map: 0.25,
            },
            speed: 1.0,
            throttling: false,
            tone_mapping: false,
            users: vec![SimUser::admin("admin", "adminpw")],
            api_key: "simulated-api-key".to_owned(),
            library: Library::recorded(),
            strict: false,
            startup: None,
        }
    }
}

// === impl SimUser ===

impl SimUser {
    /// An ordinary user.
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            admin: false,
            id: None,
            policy: Vec::new(),
        }
    }

    /// An administrator.
    pub fn admin(name: &str, password: &str) -> Self {
        Self {
            admin: true,
            ..Self::new(name, password)
        }
    }
}

/// Answers that say the same on every server, and the recorded library, of a version.
fn recorded(version: Version) -> &'static Value {
    static V10_11: LazyLock<Value> =
        LazyLock::new(|| parsed(include_str!("sim/recorded-10.11.json")));
    static V12_0: LazyLock<Value> =
        LazyLock::new(|| parsed(include_str!("sim/recorded-12.0.json")));
    match version {
        Version::V10_11 => &V10_11,
        Version::V12_0 => &V12_0,
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Seconds of a number of ticks; a tick is 100 ns.
#[expect(clippy::cast_precision_loss, reason = "a film is short")]
fn seconds(ticks: i64) -> f64 {
    ticks as f64 / 1e7
}

#[expect(clippy::cast_possible_truncation, reason = "a film is short")]
fn ticks(seconds: f64) -> i64 {
    (seconds * 1e7).round() as i64
}

#[cfg(test)]
mod tests;
