//! Plays every scenario of `tests/scenarios` and holds it to the ranges that it names.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::{
    fs,
    num::NonZero,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

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
            let mut warnings = loaded.warnings.iter().map(ToString::to_string);
            assert!(!warnings.any(|w| w.contains("does nothing")), "{name}");
            (policy.name, app::rules(&loaded.config))
        })
        .collect();
    let outcomes = scenario.run(clock::now(), &policies);
    (scenario, outcomes)
}

/// What is wrong with what came of a scenario.
fn wrong_with(name: &str, text: &str) -> Vec<String> {
    let (scenario, outcomes) = played(name, text);
    let mut wrong = scenario.breaches(&outcomes);
    for outcome in &outcomes {
        // Only a schedule in which nobody stands still is bounded.
        if outcome.stalled == 0 && outcome.smooth_share > 1.0 {
            wrong.push(format!("{name}: {} beats the bound", outcome.policy));
        }
    }
    let finweir = outcomes.iter().find(|o| o.policy == "finweir").unwrap();
    if finweir.smooth_share < 0.95 || finweir.jain < 0.95 || finweir.stalled > 0 {
        wrong.push(format!("{name}: a bar is missed: {finweir:?}"));
    }
    if !text.contains("\nexpect:\n  - policy: finweir\n") {
        wrong.push(format!("{name}: what is expected of finweir?"));
    }
    if scenario.story().split_whitespace().count() <= 25 {
        wrong.push(format!("{name}: what should happen, and why?"));
    }
    wrong
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    let files = files();
    assert!(files.len() >= 9, "the scenarios are gone");
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    // They have nothing in common: one on each core.
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((name, text)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = wrong_with(name, text);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
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

/// Sections of the configuration that decisions depend on.
const DECIDE: [&str; 18] = [
    "gpus",
    "limits",
    "users",
    "starts",
    "classes",
    "libraries",
    "windows",
    "uplink",
    "direct_play",
    "pressure",
    "subtitles",
    "versions",
    "anonymous",
    "queue",
    "leases",
    "preemption",
    "cost",
    "clients",
];

/// The keys of `config/default.yaml` with nothing below them, examples in comments included: `users.default.floor`.
fn knobs() -> Vec<String> {
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut all: Vec<String> = Vec::new();
    for line in read("config/default.yaml").lines() {
        let line = line
            .strip_prefix('#')
            .map_or_else(|| line.to_owned(), |rest| format!(" {rest}"));
        let start = line.trim_start();
        let item = start.strip_prefix("- ").unwrap_or(start);
        let depth = line.len() - item.len();
        let Some((key, rest)) = item.split_once(':') else {
            continue;
        };
        let named = key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !key.is_empty();
        if !named || !(rest.is_empty() || rest.starts_with(' ')) {
            continue;
        }
        path.retain(|(at, _)| *at < depth);
        if let Some(above) = all.last()
            && *above
                == path
                    .iter()
                    .map(|(_, key)| key.as_str())
                    .collect::<Vec<_>>()
                    .join(".")
        {
            all.pop();
        }
        path.push((depth, key.to_owned()));
        all.push(
            path.iter()
                .map(|(_, key)| key.as_str())
                .collect::<Vec<_>>()
                .join("."),
        );
    }
    let decides = |knob: &String| DECIDE.contains(&knob.split('.').next().unwrap_or_default());
    all.retain(decides);
    all
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All Rust of these directories.
fn rust(directory: &Path, into: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_knob_is_needed_by_a_scenario_or_a_test() {
    let mut code = String::new();
    for directory in ["src", "tests"] {
        rust(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
            &mut code,
        );
    }
    let document = read("docs/decisions.md");
    let (_, table) = document.split_once("## Which knob is for what").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let knobs = knobs();
    assert!(knobs.len() > 80, "{knobs:?}");
    let mut wrong = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [names, _, needed] = cells[..] else {
            panic!("{row}");
        };
        let (names, needed) = (quoted(names), quoted(needed));
        assert!(!needed.is_empty(), "{row}");
        for by in needed {
            if by.ends_with(".yaml") {
                let scenario = read(&format!("tests/scenarios/{by}"));
                let said = |name: &&str| {
                    scenario.contains(&format!("{}:", name.rsplit('.').next().unwrap()))
                };
                if !names.iter().any(said) {
                    wrong.push(format!("{by} does not say any of {names:?}"));
                }
            } else if !code.contains(&format!("fn {by}(")) {
                wrong.push(format!("no test is named {by}"));
            }
        }
        told.extend(names);
    }
    let covers = |name: &str, knob: &str| match name.strip_suffix('*') {
        Some(above) => knob.starts_with(above),
        None => name == knob,
    };
    for knob in &knobs {
        match told.iter().filter(|name| covers(name, knob)).count() {
            0 => wrong.push(format!("nothing says what `{knob}` is for")),
            1 => {}
            _ => wrong.push(format!("`{knob}` is there twice")),
        }
    }
    for name in told {
        let known = knobs.iter().any(|knob| covers(name, knob));
        if !known {
            wrong.push(format!("`{name}` is no knob"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn who_has_had_the_gpu_all_day_is_stopped_by_his_quota_and_the_others_gain() {
    let (_, outcomes) = played("quota.yaml", &read("tests/scenarios/quota.yaml"));
    let of = |name: &str| outcomes.iter().find(|o| o.policy == name).unwrap();
    let (held, free) = (of("finweir, a quota"), of("finweir, no limit"));
    let minutes = |outcome: &Outcome, whose: &str| -> f64 {
        let users = outcome.users.iter();
        users
            .filter(|(user, _)| user.starts_with(whose))
            .map(|(_, m)| m)
            .sum()
    };
    assert!(held.refusals.get("quota").is_some_and(|count| *count > 0));
    assert!(!free.refusals.contains_key("quota"));
    assert!(minutes(held, "binger") < minutes(free, "binger"));
    assert!(minutes(held, "other") > minutes(free, "other"));
}

/// A guest has a GPU for one film to himself, until one of the family wants a clip.
fn ended(retry: &str) -> Outcome {
    let house = format!(
        "name: x\nstory: y\nfrom: \"20:00\"\ngpus: [{{name: igpu, seats: 4}}]\nlibrary:\n  - {{shelf: films, titles: 9, video: \
         hevc 2160p 24 hdr, lasts: 90m}}\n  - {{shelf: clips, titles: 9, video: hevc 2160p 24 hdr, lasts: 6m}}\nviewers:\n  - {{group: \
         guest, users: 1, player: kodi, arrive: \"20:00\", watch: films{retry}}}\n  - {{group: family, users: 1, player: kodi, \
         arrive: \"20:30\", watch: clips}}\npolicies:\n  - policy: mine\n    config: |\n      jellyfin: {{api_key: any}}\n      \
         gpus: [{{name: igpu, capacity: 4}}]\n      classes:\n        - {{name: family, users: [family-1], priority: 10, preempt: \
         [guests]}}\n        - {{name: guests, users: [guest-1]}}\n"
    );
    let (_, outcomes) = played("house.yaml", &house);
    outcomes.into_iter().find(|o| o.policy == "mine").unwrap()
}

#[test]
fn who_was_ended_for_somebody_else_watches_on_where_he_was_or_has_given_up() {
    let (back, gone) = (ended(", retry: {times: 9, after: 3m}"), ended(""));
    for outcome in [&back, &gone] {
        assert_eq!((outcome.ended, outcome.stalled), (1, 0), "{outcome:?}");
        assert_eq!(outcome.refusals.get("preempted"), Some(&1), "{outcome:?}");
        // Coming back is no other play.
        assert_eq!((outcome.asked, outcome.admitted), (2, 2), "{outcome:?}");
        assert!(outcome.users["family-1"] > 5.8, "{outcome:?}");
    }
    assert_eq!((back.gave_up, gone.gave_up), (0, 1));
    // Every minute of the film, and none twice.
    assert!((89.0..=90.0).contains(&back.users["guest-1"]), "{back:?}");
    assert!((29.0..=31.5).contains(&gone.users["guest-1"]), "{gone:?}");
}
