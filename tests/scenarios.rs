//! Plays every scenario of `tests/scenarios` and holds it to the ranges that it names.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::{fs, path::Path};

use finweir::{
    app, clock,
    config::Config,
    scenario::{Outcome, Rules, Scenario},
};

fn files() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<(String, String)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn played(name: &str, text: &str) -> (Scenario, Vec<Outcome>) {
    let scenario = Scenario::parse(name, text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let policies: Vec<(String, Rules)> = scenario
        .policies()
        .into_iter()
        .map(|policy| {
            let loaded = Config::parse_str(name, &policy.yaml);
            let loaded = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}"));
            (policy.name, app::rules(&loaded.config))
        })
        .collect();
    let outcomes = scenario.run(clock::now(), &policies);
    (scenario, outcomes)
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    let mut wrong = Vec::new();
    let files = files();
    assert!(files.len() >= 9, "the scenarios are gone");
    for (name, text) in files {
        let (scenario, outcomes) = played(&name, &text);
        wrong.extend(scenario.breaches(&outcomes));
        for outcome in &outcomes {
            // Only a schedule in which nobody stands still is bounded.
            if outcome.stalled == 0 && outcome.smooth_share > 1.0 {
                wrong.push(format!("{name}: {} beats the bound", outcome.policy));
            }
        }
        let finweir = outcomes.iter().find(|o| o.policy == "finweir").unwrap();
        let meets = finweir.smooth_share >= 0.95 && finweir.jain >= 0.95 && finweir.stalled == 0;
        if !meets {
            wrong.push(format!("{name}: a bar is missed: {finweir:?}"));
        }
        assert!(
            text.contains("\nexpect:\n  - policy: finweir\n"),
            "{name}: what is expected of finweir?"
        );
        assert!(
            scenario.story().split_whitespace().count() > 25,
            "{name}: what should happen, and why?"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_house_of_the_documentation_is_played() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions.md"))
            .unwrap();
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let (house, _) = rest.split_once("```").unwrap();
    let (scenario, outcomes) = played("house.yaml", house);
    assert_eq!(scenario.viewers(), 5);
    assert_eq!(outcomes.len(), 3 + scenario.policies().len());
}
