//! `advise`: what the GPU's time was spent on, and what would save it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use finweir::{
    app, clock,
    config::{Config, Environment},
    replay::{self, Replay},
};

use super::{FAILED, bad, failed, history};

#[derive(Debug, Args)]
pub(super) struct AdviseArguments {
    /// The journal: its directory, or one file [default: journal in $STATE_DIRECTORY or /var/lib/finweir].
    #[arg(value_name = "JOURNAL", env = "FINWEIR_JOURNAL")]
    journal: Option<PathBuf>,
    /// A configuration with an API key: titles and paths are asked of its servers.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// So many lines of each list.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// As JSON, with all lines.
    #[arg(long)]
    json: bool,
    /// Write a table of the files, one a row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the paths of the files that are worth converting, one a line, dearest first.
    #[arg(long, value_name = "FILE", requires = "config")]
    tdarr: Option<PathBuf>,
}

pub(super) fn advise(arguments: &AdviseArguments) -> ExitCode {
    let config = match &arguments.config {
        Some(file) => match Config::load(Some(file), &Environment::of_process()) {
            Ok(loaded) => Some(loaded.config),
            Err(mistakes) => return bad(&mistakes),
        },
        None => None,
    };
    let reading = match history::read(arguments.journal.as_deref()) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let mut advice = replay::advise(&Replay {
        reading: &reading,
        base: clock::now(),
    });
    if let Some(config) = config {
        match app::name_files(&config, &mut advice) {
            Ok(problems) => {
                for problem in problems {
                    eprintln!("warning: {problem}");
                }
            }
            Err(error) => return failed(&error),
        }
    }
    if let Some(file) = &arguments.csv
        && let Err(code) = write(file, &advice.csv())
    {
        return code;
    }
    if let Some(file) = &arguments.tdarr {
        let (paths, without) = advice.paths();
        if let Err(code) = write(file, &paths) {
            return code;
        }
        if without > 0 {
            eprintln!(
                "warning: {without} of the files to convert are not in {}: Jellyfin gave no path for them",
                file.display()
            );
        }
    }
    if arguments.json {
        return history::json(&advice);
    }
    print!("{}", advice.text(arguments.top));
    ExitCode::SUCCESS
}

fn write(file: &Path, text: &str) -> Result<(), ExitCode> {
    std::fs::write(file, text).map_err(|error| {
        eprintln!("finweir: {}: {error}", file.display());
        ExitCode::from(FAILED)
    })
}
