//! The simulated Jellyfin alone, to try a configuration or HAProxy against.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use super::{
    DemoError, SPEEDS, Signals,
    device::{films, http_client, json_of},
    print::Printer,
    run,
};
use crate::{
    gpu::model,
    sim::{JobView, Library, Options, Sim, SimUser, Version},
    telemetry::{LogFormat, Settings, UserLabel, init_logging},
};

/// Between two looks at the jobs.
const LOOK: Duration = Duration::from_millis(250);
/// How long answers that are under way have to end.
const GOODBYE: Duration = Duration::from_secs(5);
/// The key it knows.
const API_KEY: &str = "simulated-api-key";
/// Its users, with their passwords.
const USERS: [(&str, &str, bool); 4] = [
    ("admin", "admin-pw", true),
    ("anna", "anna-pw", false),
    ("ben", "ben-pw", false),
    ("guest", "guest-pw", false),
];

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Which Jellyfin it is.
    pub version: Version,
    /// Seats its GPU carries in real time.
    pub capacity: f64,
    /// How much faster than the clock its time passes.
    pub speed: f64,
    /// Jobs rest while they are far ahead.
    pub throttling: bool,
    /// What is logged.
    pub log: String,
}

/// Runs the server until a signal ends it.
///
/// # Errors
/// It could not start.
pub fn alone(options: &Alone) -> Result<(), DemoError> {
    if !SPEEDS.contains(&options.speed) {
        return Err(DemoError::Speed);
    }
    init_logging(&Settings {
        format: LogFormat::Auto,
        level: options.log.clone(),
        user_label: UserLabel::None,
        gpus: Vec::new(),
        nodes: Vec::new(),
        classes: Vec::new(),
    })?;
    run(|printer| serve(options, printer))
}

async fn serve(options: &Alone, printer: Printer) -> Result<(), DemoError> {
    let mut signals = Signals::listen()?;
    let sim = Sim::start(Options {
        version: options.version,
        listen: options.listen,
        gpu: model::Options {
            capacity_seats: options.capacity,
            tone_map: 0.25,
        },
        speed: options.speed,
        throttling: options.throttling,
        tone_mapping: true,
        users: USERS
            .iter()
            .map(|(name, password, admin)| SimUser {
                admin: *admin,
                ..SimUser::new(name, password)
            })
            .collect(),
        api_key: API_KEY.to_owned(),
        library: Library::evening(),
        ..Options::default()
    })
    .await
    .map_err(|why| DemoError::Listen {
        address: options.listen,
        option: "--listen",
        why,
    })?;
    let url = super::base_of(sim.address());
    let list = http_client("finweir")?;
    let answer = json_of(list.get(format!("{url}/Items?Recursive=true&ApiKey={API_KEY}"))).await?;
    let titles: HashMap<String, String> = films(&answer)
        .into_iter()
        .map(|film| (film.id, film.name))
        .collect();
    introduce(&printer, options, &url, &titles);

    let mut watch = Watch {
        printer: &printer,
        titles,
        jobs: BTreeMap::new(),
    };
    loop {
        tokio::select! {
            () = signals.stop() => break,
            () = printer.closed() => break,
            () = tokio::time::sleep(LOOK) => watch.look(&sim),
        }
    }
    printer.plain("");
    printer.plain(format!(
        "FFmpeg was started {} times; stalls: {}.",
        sim.started(),
        sim.stalls()
    ));
    tokio::select! {
        () = sim.stop() => {}
        () = signals.stop() => {}
        () = tokio::time::sleep(GOODBYE) => {}
    }
    Ok(())
}

fn introduce(printer: &Printer, options: &Alone, url: &str, titles: &HashMap<String, String>) {
    let version = match options.version {
        Version::V10_11 => "10.11.11",
        Version::V12_0 => "12.0",
    };
    let say = |line: &str| printer.plain(line);
    say(&format!(
        "A simulated Jellyfin {version}: its protocol, decisions and job life, with a model GPU of {} seats instead of FFmpeg.",
        options.capacity
    ));
    say("");
    say(&format!("  at            {url}"));
    let users: Vec<String> = USERS
        .iter()
        .map(|(name, password, _)| format!("{name} / {password}"))
        .collect();
    say(&format!("  log in as     {}", users.join(", ")));
    say(&format!("  API key       {API_KEY}"));
    let mut names: Vec<&str> = titles.values().map(String::as_str).collect();
    names.sort_unstable();
    say(&format!("  films         {}", names.join(", ")));
    say("");
    say("  Finweir before it, only watching:");
    say(&format!("      finweir run --jellyfin {url}"));
    say("  enforcing, with its jobs in sight, in finweir.yaml:");
    say(&format!(
        "      jellyfin: {{url: \"{url}\", api_key: {API_KEY}}}"
    ));
    say("      gpus: [{name: model, profile: intel-uhd730}]");
    say("  HAProxy: config/haproxy.cfg names it as the backend that stands in for Finweir:");
    say(&format!(
        "      server jellyfin {} check",
        url.trim_start_matches("http://")
    ));
    say("");
    say("  Ctrl-C ends it.");
    say("");
}

/// Tells what became of the jobs since the last look.
struct Watch<'a> {
    printer: &'a Printer,
    titles: HashMap<String, String>,
    jobs: BTreeMap<(String, Duration), JobView>,
}

// === impl Watch ===

impl Watch<'_> {
    fn look(&mut self, sim: &Sim) {
        let mut gone = std::mem::take(&mut self.jobs);
        for job in sim.jobs() {
            let key = (job.session.clone().unwrap_or_default(), job.started);
            let title = self.title(&job);
            match gone.remove(&key) {
                None => self.printer.tell(&format!(
                    "FFmpeg starts {title}: {}, {:.1} seats, {:.1} × real time",
                    job.kind.name(),
                    job.seats,
                    job.speed
                )),
                Some(before) => {
                    if job.stalls > before.stalls {
                        self.printer.tell(&format!(
                            "the viewer of {title} STALLS: {:.2} × real time",
                            job.speed
                        ));
                    }
                    if before.running && !job.running {
                        self.printer.tell(&format!("FFmpeg is done with {title}"));
                    }
                }
            }
            self.jobs.insert(key, job);
        }
        for job in gone.into_values().filter(|job| job.running) {
            self.printer
                .tell(&format!("FFmpeg is ended: {}", self.title(&job)));
        }
    }

    fn title(&self, job: &JobView) -> String {
        self.titles.get(&job.item).unwrap_or(&job.item).clone()
    }
}
