//! The commands that read a journal: `explain`, `replay`, `plan`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use finweir::{
    admission::Policy,
    clock,
    config::{self, Config, Environment},
    ident::DecisionId,
    journal::Reading,
    replay::{self, Again, Changes, Comparison, Replay},
};

use super::{FAILED, WRONG, bad, failed};

/// Where a journal is looked for that nobody named.
const USUAL: &str = "/var/lib/finweir/journal";

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The number of the decision, as logs, `/state` and the page show it: d-1k3j9x2m.
    #[arg(value_name = "ID")]
    id: String,
    /// The journal: its directory, or one file [default: journal in $STATE_DIRECTORY or /var/lib/finweir].
    #[arg(long, value_name = "PATH", env = "FINWEIR_JOURNAL")]
    journal: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// The journal: its directory, or one file [default: journal in $STATE_DIRECTORY or /var/lib/finweir].
    #[arg(value_name = "JOURNAL", env = "FINWEIR_JOURNAL")]
    journal: Option<PathBuf>,
    /// The configuration to try; without one, the journal's own, to check that all is decided as it was.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Write a page with a picture of the seats over time.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The journal: its directory, or one file [default: journal in $STATE_DIRECTORY or /var/lib/finweir].
    #[arg(value_name = "JOURNAL", env = "FINWEIR_JOURNAL")]
    journal: Option<PathBuf>,
    /// The configuration to plan with; without one, the journal's last.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A GPU that might be bought, by its profile; may be given several times.
    #[arg(long = "gpu", value_name = "PROFILE", default_value = "intel-arc-a3xx")]
    gpus: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn explain(arguments: &Explain) -> ExitCode {
    let Some(id) = DecisionId::parse(&arguments.id) else {
        eprintln!(
            "finweir: `{}` is not the number of a decision, such as d-1k3j9x2m",
            arguments.id
        );
        return ExitCode::from(WRONG);
    };
    let reading = match read(arguments.journal.as_deref()) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let Some(explanation) = replay::explain(&reading, clock::now(), id) else {
        eprintln!("finweir: {id} is not in this journal{}", holds(&reading));
        return ExitCode::from(FAILED);
    };
    if arguments.json {
        return json(&explanation);
    }
    print!("{}", explanation.text());
    ExitCode::SUCCESS
}

pub(super) fn replay(arguments: &ReplayArguments) -> ExitCode {
    let reading = match read(arguments.journal.as_deref()) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let again = replay::again(&reading, replay.base);
    let past = replay.past();
    let under = match &arguments.config {
        Some(file) => match policy_of(file, &reading) {
            Ok(policy) => replay.under(&policy, &Changes::default(), &past),
            Err(code) => return code,
        },
        None => replay.past(),
    };
    let comparison = Comparison::of(&reading, &again, &past, &under);
    if let Some(file) = &arguments.html {
        let title = arguments.config.as_ref().map_or_else(
            || "a journal".to_owned(),
            |config| format!("a journal under {}", config.display()),
        );
        if let Err(error) = std::fs::write(file, comparison.html(&title)) {
            eprintln!("finweir: {}: {error}", file.display());
            return ExitCode::from(FAILED);
        }
    }
    let code = if arguments.json {
        json(&serde_json::json!({ "again": again, "comparison": comparison }))
    } else {
        print!("{}", comparison.text());
        ExitCode::SUCCESS
    };
    if arguments.config.is_none() {
        return checked(&again, arguments.json);
    }
    code
}

/// Says whether all was decided as it was.
fn checked(again: &Again, quiet: bool) -> ExitCode {
    if again.different > 0 {
        for difference in &again.differences {
            eprintln!(
                "finweir: was {}, is now {}",
                difference.written, difference.now
            );
        }
        return ExitCode::from(FAILED);
    }
    if !quiet {
        println!(
            "\nDecided again: {} of {} inputs compared, {} events, every one as it was.",
            again.compared, again.steps, again.events
        );
    }
    ExitCode::SUCCESS
}

pub(super) fn plan(arguments: &PlanArguments) -> ExitCode {
    let mut gpus = Vec::new();
    for name in &arguments.gpus {
        match config::profile_seats(name) {
            Some(seats) => gpus.push((name.clone(), seats)),
            None => {
                let mut known = config::profiles();
                known.retain(|name| config::profile_seats(name).is_some());
                eprintln!(
                    "finweir: {name}: there is no such profile of a GPU; there are {}",
                    known.join(" ")
                );
                return ExitCode::from(WRONG);
            }
        }
    }
    let reading = match read(arguments.journal.as_deref()) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let policy = match &arguments.config {
        Some(file) => policy_of(file, &reading),
        None => Ok(reading.last_policy()),
    };
    let policy = match policy {
        Ok(policy) => policy,
        Err(code) => return code,
    };
    let replay = Replay {
        reading: &reading,
        base: clock::now(),
    };
    let plan = replay::plan(&replay, &policy, &gpus);
    if arguments.json {
        return json(&plan);
    }
    print!("{}", plan.text());
    ExitCode::SUCCESS
}

pub(super) fn read(named: Option<&Path>) -> Result<Reading, ExitCode> {
    let path = named.map_or_else(
        || {
            Environment::of_process()
                .get("STATE_DIRECTORY")
                .and_then(|dirs| dirs.split(':').next())
                .map_or_else(
                    || PathBuf::from(USUAL),
                    |dir| Path::new(dir).join("journal"),
                )
        },
        Path::to_owned,
    );
    let reading = Reading::of(&path).map_err(|error| {
        let code = failed(&error);
        if named.is_none() {
            eprintln!(
                "finweir: no journal was named, so it was looked for there; `journal.dir` or `state.dir` in the \
                 configuration says where it is kept"
            );
        }
        code
    })?;
    for warning in &reading.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(reading)
}

/// The policy of a configuration, with the names that the journal has.
fn policy_of(file: &Path, reading: &Reading) -> Result<Arc<Policy>, ExitCode> {
    let loaded =
        Config::load(Some(file), &Environment::of_process()).map_err(|mistakes| bad(&mistakes))?;
    let policy = loaded.config.policy;
    let known = reading.last_policy();
    for node in &known.nodes {
        if !policy.nodes.iter().any(|ours| ours.id == node.id) {
            eprintln!(
                "warning: the journal's server `{}` is not in {}: its plays are charged to the first GPU",
                node.id,
                file.display()
            );
        }
    }
    match reading.pseudonyms() {
        Ok(None) => Ok(policy),
        Ok(Some(names)) => Ok(Arc::new(names.policy(&policy))),
        Err(error) => {
            eprintln!(
                "warning: {error}; without it, rules of {} that name users match nobody",
                file.display()
            );
            Ok(policy)
        }
    }
}

fn holds(reading: &Reading) -> String {
    let (Some(first), Some(last)) = (reading.parts.first(), reading.parts.last()) else {
        return String::new();
    };
    let first = DecisionId(first.header.numbers.decision + 1);
    let reaches = replay::clock(last.wall(last.end()));
    format!(": it begins with {first} and reaches to {reaches}")
}

pub(super) fn json(what: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string_pretty(what) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}
