//! Reads the command line and calls the library.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to the terminal"
)]

#[path = "main/advise.rs"]
mod advise;
#[path = "main/healthcheck.rs"]
mod healthcheck;
#[path = "main/history.rs"]
mod history;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand};
use finweir::{
    app, clock,
    config::{self, Config, Environment, Flag, Loaded, Mistakes},
    demo::{self, DemoError},
    scenario::{self, Scenario},
    sim::Version,
};

/// Bad configuration (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;
/// Wrong arguments, as clap ends with for those that it sees itself.
const WRONG: u8 = 2;
const FAILED: u8 = 1;

/// Transcode admission control for Jellyfin: a hop between HAProxy and the server.
#[derive(Debug, Parser)]
#[command(
    name = "finweir",
    version,
    about,
    max_term_width = 100,
    after_help = "Examples:\n  \
        finweir demo                                     see it work, with a simulated Jellyfin\n  \
        finweir run --jellyfin http://127.0.0.1:8096     only watch: nothing is refused\n  \
        finweir check finweir.yaml                       find every mistake in a configuration\n  \
        finweir run --config finweir.yaml                enforce it\n\n\
        Exit codes: 0 well, 1 failed, 2 wrong arguments, 64 a mistake in the configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gate in front of Jellyfin.
    #[command(
        after_help = "With only --jellyfin it observes: it records what it would have done, and refuses \
        nothing.\nEvery key of the file can be set as FINWEIR__SECTION__KEY too."
    )]
    Run(Run),
    /// Checks a configuration and says what it means.
    Check(Check),
    /// Runs the gate in front of a simulated Jellyfin with a dozen viewers.
    Demo(Demo),
    /// Runs the simulated Jellyfin alone, to try a configuration or HAProxy against.
    Sim(Sim),
    /// Plays scenarios and compares policies: what would an evening come to?
    #[command(
        after_help = "A scenario is a house, an evening and the policies to compare, in YAML: \
        docs/decisions.md has the reference.\nWithout --json there is a table; with ranges in `expect`, what is \
        outside of them is told and the exit code is 1."
    )]
    Simulate(Simulate),
    /// Says why a decision was made, and what would have let the play in.
    Explain(history::Explain),
    /// Decides a journal again: checks it, or tries another configuration on it.
    #[command(
        after_help = "What is assumed about viewers who were refused then and would be let in now, or the other way \
        round: docs/replay.md."
    )]
    Replay(history::ReplayArguments),
    /// Says what one more GPU, other files or another client would have changed, from a journal.
    Plan(history::PlanArguments),
    /// Says what the GPU's time was spent on, by cause, file and player, and what would save it, from a journal.
    #[command(
        after_help = "With --config and an API key in it, files have titles and paths; without, the ids of their items. \
        What is counted, and how Tdarr takes the list: docs/advise.md."
    )]
    Advise(advise::AdviseArguments),
    /// Tries whether words to the operator arrive.
    Notify(Word),
    /// Prints the JSON schema of the configuration, for editors.
    Schema,
    /// Asks a running Finweir whether it is ready; for containers.
    Healthcheck(healthcheck::Healthcheck),
}

#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").args(["config", "jellyfin"]).required(true).multiple(true))]
struct Run {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", env = "FINWEIR_CONFIG")]
    config: Option<PathBuf>,
    /// The Jellyfin server; without a file, Finweir only observes.
    #[arg(long, value_name = "URL")]
    jellyfin: Option<String>,
    /// Where viewers connect: address:port, or unix:/path [default: 127.0.0.1:8097].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where metrics, probes and the status page are [default: 127.0.0.1:9097].
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
}

#[derive(Debug, Args)]
struct Check {
    /// The configuration.
    file: PathBuf,
    /// Print it as one, with defaults and where each value comes from; secrets masked.
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Args)]
struct Demo {
    /// Where viewers connect; 0.0.0.0:8097 lets a phone in, port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8097")]
    listen: SocketAddr,
    /// Where metrics and the status page are; on this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9097")]
    admin_listen: SocketAddr,
    /// Print the configuration that it runs with, and end.
    #[arg(long)]
    print_config: bool,
    /// How many devices there are; beyond the house, guests come [default: 18].
    #[arg(long, value_name = "COUNT")]
    viewers: Option<usize>,
    /// How much faster than the clock the evening passes.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Write a journal of the evening there, for finweir explain, replay and plan.
    #[arg(long, value_name = "DIRECTORY")]
    journal: Option<PathBuf>,
    /// End by itself after this time, such as 60s or 5m.
    #[arg(long = "for", value_name = "DURATION", value_parser = config::duration)]
    duration: Option<Duration>,
    /// What is logged to standard error: error, warn, info, or directives.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "FINWEIR__LOGGING__LEVEL",
        default_value = "warn"
    )]
    log: String,
}

#[derive(Debug, Args)]
struct Sim {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8096")]
    listen: SocketAddr,
    /// Which Jellyfin it is.
    #[arg(long, value_name = "VERSION", default_value = "12.0")]
    version: JellyfinVersion,
    /// Seats that its GPU carries in real time.
    #[arg(long, value_name = "SEATS", default_value_t = 10.0)]
    capacity: f64,
    /// How much faster than the clock its time passes.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Jobs rest while they are far ahead of their viewers.
    #[arg(long)]
    throttling: bool,
    /// What is logged to standard error: error, warn, info, or directives.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "FINWEIR__LOGGING__LEVEL",
        default_value = "warn"
    )]
    log: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum JellyfinVersion {
    #[value(name = "12.0")]
    V12_0,
    #[value(name = "10.11")]
    V10_11,
}

#[derive(Debug, Args)]
struct Simulate {
    /// Scenarios, or directories of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object a line, for each scenario and policy.
    #[arg(long)]
    json: bool,
    /// Look in so many steps for a schedule that knows the evening, to see how near the bound is.
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    search: u32,
    /// A picture of the seats over time; a directory for those of several scenarios.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Word {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", env = "FINWEIR_CONFIG")]
    config: PathBuf,
    /// Send a test word to each of `notify.urls`, and say what became of it.
    #[arg(long, required = true)]
    test: bool,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::Check(arguments) => check(&arguments),
        Command::Demo(arguments) => demo(&arguments),
        Command::Sim(arguments) => sim(&arguments),
        Command::Simulate(arguments) => simulate(&arguments),
        Command::Explain(arguments) => history::explain(&arguments),
        Command::Replay(arguments) => history::replay(&arguments),
        Command::Plan(arguments) => history::plan(&arguments),
        Command::Advise(arguments) => advise::advise(&arguments),
        Command::Notify(arguments) => word(&arguments),
        Command::Schema => {
            print!("{}", config::schema());
            ExitCode::SUCCESS
        }
        Command::Healthcheck(arguments) => healthcheck::healthcheck(&arguments),
    }
}

/// Reads the configuration that `run` asks for: a file, or observe mode without one.
fn load(arguments: &Run, environment: &Environment) -> Result<Loaded, Mistakes> {
    let flag = |option, key, value: &Option<String>| {
        value.clone().map(|value| Flag { option, key, value })
    };
    let flags: Vec<Flag> = [
        flag("--listen", "server.listen", &arguments.listen),
        flag("--admin-listen", "admin.listen", &arguments.admin_listen),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (&arguments.config, &arguments.jellyfin) {
        (None, Some(url)) => Config::observe(url, environment, &flags),
        (file, url) => {
            let flags: Vec<Flag> = flag("--jellyfin", "jellyfin.url", url)
                .into_iter()
                .chain(flags)
                .collect();
            Config::load_with(file.as_deref(), environment, &flags)
        }
    }
}

fn run(arguments: &Run) -> ExitCode {
    let loaded = match load(arguments, &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(mistakes) => return bad(&mistakes),
    };
    let again = arguments.clone();
    let source = Box::new(move || load(&again, &Environment::of_process()));
    match app::run(loaded, source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Prints an error with all its causes.
fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprint!("finweir: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::from(FAILED)
}

fn check(arguments: &Check) -> ExitCode {
    match Config::load(Some(&arguments.file), &Environment::of_process()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            if arguments.print {
                print!("{}", loaded.config.effective.as_yaml());
            } else {
                println!("{} is well.", arguments.file.display());
                print!("{}", loaded.config.summary());
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => bad(&mistakes),
    }
}

fn bad(mistakes: &Mistakes) -> ExitCode {
    eprintln!("{mistakes}");
    let count = mistakes.0.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    eprintln!("{count} {noun} in the configuration");
    ExitCode::from(BAD_CONFIG)
}

fn demo(arguments: &Demo) -> ExitCode {
    let options = demo::Options {
        listen: arguments.listen,
        admin_listen: arguments.admin_listen,
        viewers: arguments.viewers,
        speed: arguments.speed,
        journal: arguments.journal.clone(),
        duration: arguments.duration,
        log: arguments.log.clone(),
    };
    if arguments.print_config {
        print!("{}", demo::config(&options));
        return ExitCode::SUCCESS;
    }
    ended(demo::demo(&options))
}

fn sim(arguments: &Sim) -> ExitCode {
    ended(demo::alone(&demo::Alone {
        listen: arguments.listen,
        version: match arguments.version {
            JellyfinVersion::V12_0 => Version::V12_0,
            JellyfinVersion::V10_11 => Version::V10_11,
        },
        capacity: arguments.capacity,
        speed: arguments.speed,
        throttling: arguments.throttling,
        log: arguments.log.clone(),
    }))
}

fn ended(result: Result<(), DemoError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (DemoError::Options(_) | DemoError::Speed)) => {
            failed(&error);
            ExitCode::from(WRONG)
        }
        Err(error) => failed(&error),
    }
}

fn simulate(arguments: &Simulate) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let paths = match scenarios(&arguments.paths) {
        Ok(paths) => paths,
        Err(error) => return failed(&error),
    };
    if let Some(svg) = &arguments.svg
        && paths.len() > 1
        && !svg.is_dir()
    {
        let svg = svg.display();
        eprintln!("finweir: {svg}: pictures of several scenarios need a directory");
        return ExitCode::from(WRONG);
    }
    for path in paths {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("finweir: {name}: {error}");
                return ExitCode::from(FAILED);
            }
        };
        let scenario = match Scenario::parse(&name, &text) {
            Ok(scenario) => scenario,
            Err(mistakes) => {
                for mistake in mistakes {
                    eprintln!("{mistake}");
                }
                return ExitCode::from(BAD_CONFIG);
            }
        };
        let mut policies = Vec::new();
        for policy in scenario.policies() {
            match Config::parse_str(&name, &policy.yaml) {
                Ok(loaded) => {
                    policies.push((policy.name, app::rules(&loaded.config)));
                }
                Err(mistakes) => return bad(&mistakes),
            }
        }
        let outcomes = scenario.run(clock::now(), &policies);
        if arguments.json {
            for outcome in &outcomes {
                match serde_json::to_string(outcome) {
                    Ok(line) => println!("{line}"),
                    Err(error) => return failed(&error),
                }
            }
        } else {
            println!("{}", scenario::table(&scenario, &outcomes));
            if arguments.search > 0 {
                let found = scenario.search(arguments.search);
                println!("  a schedule that knows the evening: {found:.0} min\n");
            }
        }
        if let Some(svg) = &arguments.svg {
            let file = match path.file_stem() {
                Some(stem) if svg.is_dir() => svg.join(stem).with_extension("svg"),
                Some(_) | None => svg.clone(),
            };
            if let Err(error) = std::fs::write(&file, scenario::picture(&scenario, &outcomes)) {
                eprintln!("finweir: {}: {error}", file.display());
                return ExitCode::from(FAILED);
            }
        }
        for breach in scenario.breaches(&outcomes) {
            eprintln!("{breach}");
            code = ExitCode::from(FAILED);
        }
    }
    code
}

/// The files that are meant: directories give their `*.yaml`, sorted.
fn scenarios(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(path)? {
                inside.push(entry?.path());
            }
            inside.retain(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "yaml")
            });
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn word(arguments: &Word) -> ExitCode {
    let loaded = match Config::load(Some(&arguments.config), &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(mistakes) => return bad(&mistakes),
    };
    if loaded.config.notify.receivers.is_empty() {
        eprintln!("finweir: `notify.urls` is empty: there is nobody to tell");
        return ExitCode::from(BAD_CONFIG);
    }
    let results = match app::test_words(&loaded.config) {
        Ok(results) => results,
        Err(error) => return failed(&error),
    };
    let mut code = ExitCode::SUCCESS;
    for (receiver, result) in results {
        match result {
            Ok(()) => println!("{receiver}: sent"),
            Err(problem) => {
                println!("{receiver}: not sent, {problem}");
                code = ExitCode::from(FAILED);
            }
        }
    }
    code
}
