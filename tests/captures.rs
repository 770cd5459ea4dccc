//! Replays the recorded exchanges of real servers (`FINWEIR_CAPTURES`, default `tests/captures`).
//!
//! Every check takes the sets it understands, of every server version that is there. It prints how many records it
//! replayed and each disagreement, and any disagreement fails. An argument that is no option runs the checks whose
//! name contains it; options of the standard test harness are ignored.
#![expect(
    clippy::print_stdout,
    reason = "this test has no harness and reports by itself"
)]

#[path = "replay/carriers.rs"]
mod carriers;
#[path = "replay/causes.rs"]
mod causes;
#[path = "replay/ffmpeg.rs"]
mod ffmpeg;
#[path = "replay/flows.rs"]
mod flows;
#[path = "replay/negotiation.rs"]
mod negotiation;
#[path = "replay/recording.rs"]
mod recording;
#[path = "replay/routes.rs"]
mod routes;
#[path = "replay/seen.rs"]
mod seen;
#[path = "replay/sessions.rs"]
mod sessions;
#[path = "replay/sim.rs"]
mod sim;
#[path = "replay/storage.rs"]
mod storage;

use std::{env, process::ExitCode};

use recording::{Check, Server, Tally};

/// Every check. A line each.
const CHECKS: &[&[Check]] = &[
    routes::CHECKS,
    carriers::CHECKS,
    negotiation::CHECKS,
    causes::CHECKS,
    flows::CHECKS,
    sessions::CHECKS,
    storage::CHECKS,
    sim::CHECKS,
];

/// Options of the standard harness that take a value as the next argument.
const WITH_VALUE: &[&str] = &[
    "--test-threads",
    "--skip",
    "--color",
    "--format",
    "--logfile",
    "--shuffle-seed",
    "-Z",
];

fn main() -> ExitCode {
    let (filters, list) = arguments();
    let chosen: Vec<&Check> = CHECKS
        .iter()
        .copied()
        .flatten()
        .filter(|check| filters.is_empty() || filters.iter().any(|f| check.name.contains(f)))
        .collect();
    if list {
        for check in &chosen {
            println!("{}: test", check.name);
        }
        return ExitCode::SUCCESS;
    }
    let servers = match recording::load() {
        Ok(servers) => servers,
        Err(error) => {
            println!("no recordings: {error}");
            println!("0 passed, 1 failed");
            return ExitCode::FAILURE;
        }
    };
    let (passed, mut failed) = servers
        .iter()
        .map(|server| replay(server, &chosen))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if passed + failed == 0 && filters.is_empty() {
        println!("recordings were found, but nothing in them could be replayed");
        failed = 1;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the checks on one server's sets and prints a line for each pair that has something to say.
fn replay(server: &Server, checks: &[&Check]) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    println!("Jellyfin {}", server.name);
    let mut untaken = Vec::new();
    for set in &server.sets {
        let mut taken = false;
        for check in checks.iter().filter(|check| (check.takes)(&set.name)) {
            taken = true;
            let mut tally = Tally::default();
            (check.run)(server, set, &mut tally);
            let wrong = tally.disagreements.len();
            failed += wrong;
            passed += tally.replayed.saturating_sub(wrong);
            if tally.replayed + tally.skipped + wrong == 0 {
                continue;
            }
            println!(
                "  {:<32} {:<14} {:>6} replayed {:>6} skipped {:>4} disagreements",
                set.name, check.name, tally.replayed, tally.skipped, wrong
            );
            for line in &tally.remarks {
                println!("      {line}");
            }
            for line in &tally.disagreements {
                println!("      DISAGREES {line}");
            }
        }
        if !taken {
            untaken.push(format!("{} ({})", set.name, set.records.len()));
        }
    }
    if !untaken.is_empty() {
        println!("  skipped, no check knows them: {}", untaken.join(", "));
    }
    (passed, failed)
}

fn arguments() -> (Vec<String>, bool) {
    let (mut filters, mut list) = (Vec::new(), false);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if WITH_VALUE.contains(&argument.as_str()) {
            arguments.next();
        } else if argument == "--list" {
            list = true;
        } else if !argument.starts_with('-') {
            filters.push(argument);
        }
    }
    (filters, list)
}
