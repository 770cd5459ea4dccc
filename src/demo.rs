//! `finweir demo` and `finweir sim`: a simulated Jellyfin, viewers of an evening, and Finweir between them, told in
//! words.
//!
//! Nothing here is special-cased: the viewers speak HTTP to Finweir's own listener, and what is printed about a
//! decision is read from Finweir's own state and counters.

mod alone;
mod apps;
mod device;
mod habits;
mod house;
mod player;
mod print;
mod seen;
mod story;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

pub use self::alone::{Alone, alone};
use self::{
    device::{Device, Trouble},
    habits::{Dice, Life},
    print::Printer,
    story::Story,
};
use crate::{
    app::{Bound, Running, StartError},
    clock,
    config::{Config, Mistakes},
    gpu::model,
    sim::{self, Library, Sim},
    tasks::Tasks,
    telemetry::{self, init_logging},
};

/// Between two summaries.
const SUMMARY: Duration = Duration::from_secs(15);
/// Between two looks at Finweir's own state.
const LOOK: Duration = Duration::from_millis(100);
/// How long viewers have to go.
const GOODBYE: Duration = Duration::from_secs(3);
/// The slowest and the fastest evening.
pub(crate) const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=20.0;

/// How the demo is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where viewers connect.
    pub listen: SocketAddr,
    /// Where metrics and the status page are.
    pub admin_listen: SocketAddr,
    /// How many viewers; `None`: those of the house.
    pub viewers: Option<usize>,
    /// How much faster than the clock the evening passes.
    pub speed: f64,
    /// Where the evening is written down.
    pub journal: Option<std::path::PathBuf>,
    /// How long it lasts; `None`: until it is stopped.
    pub duration: Option<Duration>,
    /// What is logged.
    pub log: String,
}

/// Why the demo can't run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An address can't be had.
    #[error(
        "cannot listen on {address}; if another Finweir or Jellyfin runs there, choose another with {option} (port 0 takes a free one)"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that changes it.
        option: &'static str,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// Finweir can't start.
    #[error(transparent)]
    Start(StartError),
    /// The options make a configuration that Finweir does not take.
    #[error("these options can't be:\n{0}")]
    Options(Mistakes),
    /// The speed is no speed.
    #[error("--speed must be between {} and {}", SPEEDS.start(), SPEEDS.end())]
    Speed,
    /// The log can't be set up.
    #[error("the log can't be set up")]
    Log(#[from] telemetry::LogError),
    /// The process can't get threads or signals.
    #[error("the process can't be set up")]
    Process(#[from] io::Error),
    /// A viewer can't be had.
    #[error("a viewer can't be set up: {0}")]
    Viewer(String),
}

/// Runs the demo until a signal or its time ends it.
///
/// # Errors
/// It could not start.
pub fn demo(options: &Options) -> Result<(), DemoError> {
    if !SPEEDS.contains(&options.speed) {
        return Err(DemoError::Speed);
    }
    run(|printer| evening(options, printer))
}

/// Runs `what` with a printer, and waits until its last line is out.
fn run<F>(what: impl FnOnce(Printer) -> F) -> Result<(), DemoError>
where
    F: Future<Output = Result<(), DemoError>>,
{
    let (printer, printing) = Printer::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(what(printer));
    runtime.shutdown_timeout(Duration::from_secs(1));
    printing.finish();
    result
}

/// The configuration that the demo runs with, as an operator would write it.
pub fn config(options: &Options) -> String {
    house::rules(
        "http://127.0.0.1:8096",
        options.listen,
        options.admin_listen,
        &options.log,
        options.speed,
    )
}

async fn evening(options: &Options, printer: Printer) -> Result<(), DemoError> {
    let mut signals = Signals::listen()?;
    let viewers = house::viewers(options.viewers.unwrap_or(house::USUAL));
    let sim = Sim::start(sim::Options {
        gpu: model::Options {
            capacity_seats: house::REAL_SEATS,
            tone_map: house::TONE_MAP,
        },
        speed: options.speed,
        tone_mapping: true,
        users: house::users(&viewers),
        api_key: house::API_KEY.to_owned(),
        library: Library::evening().shortened(house::SHORTENED),
        ..sim::Options::default()
    })
    .await?;
    let sim = Arc::new(sim);
    let running = serve(options, &sim)?;
    let base = base_of(running.address().unwrap_or(options.listen));
    introduce(&printer, options, &running, &sim, &base, viewers.len());

    let story = Story::new(
        printer.clone(),
        running.gate().clone(),
        running.telemetry().clone(),
        sim.clone(),
    );
    let began = clock::now();
    let (stop, stopped) = watch::channel(false);
    let tasks = Tasks::new();
    for (nth, viewer) in (0_u32..).zip(viewers) {
        let device = Device::new(viewer, nth, base.clone())
            .map_err(|trouble| DemoError::Viewer(trouble.to_string()))?;
        let life = Life {
            device,
            story: story.clone(),
            speed: options.speed,
            dice: Dice::new(nth.into()),
        };
        tasks.spawn(until(life, stopped.clone()));
    }
    let teller = story.clone();
    tasks.spawn_loop(async move {
        loop {
            tokio::time::sleep(SUMMARY).await;
            teller.stands(clock::now() - began);
        }
    });

    let teller = story.clone();
    tasks.spawn_loop(async move {
        let mut seen = seen::Seen::default();
        loop {
            teller.looks(&mut seen);
            tokio::time::sleep(LOOK).await;
        }
    });

    tokio::select! {
        () = signals.stop() => {}
        () = running.drain_asked() => {}
        () = printer.closed() => {}
        () = sleep(options.duration) => {}
    }
    tasks.end_loops();
    stop.send_replace(true);
    tasks.join(GOODBYE).await;
    story.was(clock::now() - began);
    drop((story, printer));
    tokio::select! {
        _ = running.drain() => {}
        // Told twice: at once.
        () = signals.stop() => {}
    }
    if let Some(sim) = Arc::into_inner(sim) {
        tokio::select! {
            () = sim.stop() => {}
            () = tokio::time::sleep(GOODBYE) => {}
        }
    }
    Ok(())
}

/// Binds and serves a Finweir in front of the simulated Jellyfin.
fn serve(options: &Options, sim: &Sim) -> Result<Running, DemoError> {
    let rules = house::rules(
        &sim.url(),
        options.listen,
        options.admin_listen,
        &options.log,
        options.speed,
    );
    let mut loaded = Config::parse_str("the demo", &rules).map_err(DemoError::Options)?;
    loaded.config.journal.dir.clone_from(&options.journal);
    init_logging(&loaded.config.telemetry)?;
    let listen = |address, option| {
        move |why| DemoError::Listen {
            address,
            option,
            why,
        }
    };
    // Finweir shares its port with another one, so that an upgrade loses no connection. Two demos should not.
    std::net::TcpListener::bind(options.listen).map_err(listen(options.listen, "--listen"))?;
    let told = |error| match error {
        StartError::Listen(_, why) => listen(options.listen, "--listen")(why),
        StartError::AdminListen(_, why) => listen(options.admin_listen, "--admin-listen")(why),
        error @ (StartError::Tls(_) | StartError::NoNode) => DemoError::Start(error),
        #[cfg(feature = "otlp")]
        error @ StartError::Otlp(_) => DemoError::Start(error),
    };
    Bound::bind(loaded.config)
        .and_then(Bound::serve)
        .map_err(told)
}

/// One viewer, until all are told to go.
async fn until(mut life: Life, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = life.live() => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    life.device.turn_off().await;
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Where a viewer on this machine finds what listens on `address`.
fn base_of(address: SocketAddr) -> String {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{reachable}")
}

fn introduce(
    printer: &Printer,
    options: &Options,
    running: &Running,
    sim: &Sim,
    base: &str,
    viewers: usize,
) {
    let admin = base_of(running.admin_address());
    let policy = running.gate().policy();
    let seats = policy
        .gpus
        .first()
        .map(|gpu| gpu.capacity)
        .unwrap_or_default();
    let film = Library::evening()
        .ids()
        .into_iter()
        .nth(1)
        .unwrap_or_default();
    let say = |line: &str| printer.plain(line);
    say(
        "Finweir's demo: a simulated Jellyfin, a model GPU, and an evening of viewers with Finweir between them.",
    );
    say("");
    say(&format!(
        "  GPU        like an Intel UHD 730: {} seats, {seats} handed out. A seat is one 1080p transcode; 4K HDR takes 3.7.",
        house::PROFILE_SEATS
    ));
    say(
        "  rules      two transcodes for each user, one for a guest; guests get no 4K transcodes; a wait of 12 s at most;",
    );
    say(
        "             the family goes first; lukas may play three films a day; a line of 16 Mbit/s out of the house",
    );
    say("             (all of them as YAML: finweir demo --print-config)");
    if options.speed > 1.0 {
        say(
            "  speed      Finweir reads the real clock: so fast, the GPU seems faster than it is, and after some ten minutes too much is learned",
        );
    }
    say(&format!(
        "  viewers    {viewers} devices; a minute of a film takes a second, speed {}",
        options.speed
    ));
    say("");
    say(&format!(
        "  status page   {admin}/   (to act: token {})",
        house::ADMIN_TOKEN
    ));
    say(&format!("  metrics       {admin}/metrics"));
    say(&format!("  state         {admin}/state"));
    say(&format!(
        "  viewers' side {base}   (user you, password {})",
        house::password("you")
    ));
    say(&format!(
        "  Jellyfin      {}   (API key {})",
        sim.url(),
        house::API_KEY
    ));
    say("");
    say("  try           a transcode without a login:");
    say(&format!(
        "                curl -i '{base}/Videos/{film}/stream.ts?VideoCodec=h264'"
    ));
    if options.listen.ip().is_loopback() {
        say(
            "  as a phone    start it with --listen 0.0.0.0:8097 and add http://THIS-MACHINE:8097 to a Jellyfin app",
        );
    } else {
        say(
            "  as a phone    add this machine's address and the port above to a Jellyfin app; films have no real picture",
        );
    }
    match options.duration {
        Some(duration) => say(&format!(
            "  It ends by itself after {} s, or with Ctrl-C.",
            duration.as_secs()
        )),
        None => say("  Ctrl-C ends it."),
    }
    say("");
}

/// What a person or a service manager ends it with.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

// === impl Signals ===

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

// === impl DemoError ===

impl From<Trouble> for DemoError {
    fn from(trouble: Trouble) -> Self {
        Self::Viewer(trouble.to_string())
    }
}
