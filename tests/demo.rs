//! The demo as a person runs it, watched by a real Chromium. What a real Prometheus makes of it is in `boards_live.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reports by panicking, and reads the clock for its deadline"
)]

#[path = "demo/browser.rs"]
mod browser;
#[path = "demo/process.rs"]
mod process;
#[path = "demo/running.rs"]
mod running;

use std::{net::TcpListener, path::Path, process::Command};

use serde_json::{Value, json};

use self::{
    browser::Page,
    process::{Process, get, sum},
    running::{Demo, by},
};

fn decisions(metrics: &str, decision: &str) -> f64 {
    sum(
        metrics,
        "finweir_decisions_total{",
        &format!("decision=\"{decision}\""),
    )
}

#[test]
fn the_limits_bite_and_everybody_looks_on() {
    let mut demo = Demo::start(&["--for", "5m"]);
    let scratch = tempfile::tempdir().unwrap();

    // Admissions, refusals and waits, within a minute.
    demo.until(by(60), |metrics| {
        ["admit", "reject", "queue"]
            .iter()
            .all(|decision| decisions(metrics, decision) > 0.0)
    });
    let (status, ready) = get(&demo.admin, "/ready");
    assert_eq!((status, ready.as_str()), (200, "ready\n"));
    let (status, _) = get(&demo.viewers, "/health");
    assert_eq!(status, 200);
    let (_, state) = get(&demo.admin, "/state");
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["gpus"][0]["gpu"], "igpu");
    // What it begins with; it learns more.
    assert!(state["gpus"][0]["capacity"].as_f64().unwrap() >= 8.5);
    assert!(!state["leases"].as_array().unwrap().is_empty());

    watch_page(&mut demo, scratch.path());

    // Nobody who was let in has stalled, and no rule found anything to complain of.
    demo.process.signal("INT");
    let status = demo.process.end(by(20));
    let said = demo.process.said.join("\n");
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("\nThe evening lasted "), "{said}");
    let summary = said.split("The evening lasted ").nth(1).unwrap();
    assert!(summary.contains("  stalls        0 "), "{said}");
    for wrong in ["STALLS", "LOSES", "has trouble", "panicked"] {
        assert!(!said.contains(wrong), "{wrong}:\n{said}");
    }
}

/// The page shows the GPU and who plays, and changes by itself.
fn watch_page(demo: &mut Demo, scratch: &Path) {
    let url = format!("http://{}/", demo.admin);
    let mut page = Page::open(&url, &scratch.join("browser"), by(30));
    let seen = page.text("document.querySelector('#live').innerText");
    assert!(seen.contains(" seats held"), "{seen}");
    assert!(
        seen.contains("anna") && seen.contains("Jellyfin Web"),
        "{seen}"
    );
    assert!(seen.contains("Refused lately"), "{seen}");
    let changed = page.text(
        "new Promise(done => { const live = document.querySelector('#live'); const before = live.innerText; \
         new MutationObserver(() => { if (live.innerText !== before) done(live.innerText) })\
         .observe(live, {childList: true, subtree: true, characterData: true}) })",
    );
    assert_ne!(seen, changed);
    assert!(changed.contains(" seats held"), "{changed}");
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true});
    page.call("Emulation.setDeviceMetricsOverride", &phone);
    let width = page.text("String(document.documentElement.scrollWidth)");
    assert_eq!(width, "390", "nothing sticks out on a phone");
    assert!(page.errors.is_empty(), "{:#?}", page.errors);
}

/// What the demo is to show, and where `/metrics` shows it: a family, and what one of its series must have.
const SHOWN: [(&str, &str, &[&str]); 14] = [
    (
        "a seat at once",
        "finweir_decisions_total{",
        &["admit", "fits"],
    ),
    (
        "a play that needs none",
        "finweir_decisions_total{",
        &["admit", "cheap"],
    ),
    (
        "the file itself instead",
        "finweir_direct_play_total{",
        &["played"],
    ),
    ("a copy instead", "finweir_direct_play_total{", &["remuxed"]),
    ("a wait", "finweir_decisions_total{", &["queue", "gpu-full"]),
    (
        "a seat after a wait",
        "finweir_decisions_total{",
        &["admit", "waited"],
    ),
    (
        "a smaller picture in time",
        "finweir_decisions_total{",
        &["downgrade", "\"pressure"],
    ),
    (
        "a smaller picture rather than none",
        "finweir_decisions_total{",
        &["downgrade", "gpu-full"],
    ),
    (
        "a refusal",
        "finweir_decisions_total{",
        &["reject", "waited-out"],
    ),
    (
        "a limit of a user",
        "finweir_decisions_total{",
        &["user-limit"],
    ),
    (
        "a rule of a class",
        "finweir_decisions_total{",
        &["reject", "uhd-denied"],
    ),
    ("a quota", "finweir_decisions_total{", &["reject", "quota"]),
    (
        "a line that is full",
        "finweir_decisions_total{",
        &["uplink-full"],
    ),
    (
        "a capacity that is learned",
        "finweir_gpu_capacity_changes_total{",
        &["igpu"],
    ),
];

/// What only the story tells.
const TOLD: [&str; 6] = [
    "came before: its class goes first",
    "its version in 1080p",
    "the file itself, though the app asked for less bitrate",
    "has paused for long: what it held is lent to others",
    "goes on after its long pause, without asking",
    "Finweir has learned what igpu bears: ",
];

#[test]
fn every_kind_of_answer_is_given_within_two_minutes() {
    let mut demo = Demo::start(&["--speed", "10", "--for", "5m"]);
    let deadline = by(120);
    loop {
        let (_, metrics) = get(&demo.admin, "/metrics");
        let has = |family: &str, parts: &[&str]| {
            metrics.lines().any(|line| {
                line.starts_with(family)
                    && parts.iter().all(|part| line.contains(part))
                    && !line.ends_with(" 0")
            })
        };
        let shown = SHOWN
            .iter()
            .filter(|(_, family, parts)| !has(family, parts));
        let mut missing: Vec<&str> = shown.map(|(what, ..)| *what).collect();
        let said = |told: &&str| demo.process.said.iter().any(|line| line.contains(*told));
        missing.extend(TOLD.iter().filter(|told| !said(told)));
        if missing.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "not yet: {missing:?}");
        demo.happening(by(60));
    }
    let said = demo.process.said.join("\n");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn its_configuration_can_be_read_and_is_well() {
    let output = Command::new(env!("CARGO_BIN_EXE_finweir"))
        .args(["demo", "--print-config"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let loaded = finweir::config::Config::parse_str("the demo", &text);
    assert!(
        loaded.is_ok_and(|loaded| loaded.config.policy.quotas().count() > 0),
        "{text}"
    );
}

#[test]
fn its_evening_is_decided_again_explained_planned_and_advised_on() {
    let scratch = tempfile::tempdir().unwrap();
    let journal = scratch.path().join("journal");
    let journal = journal.to_str().unwrap();
    let mut demo = Demo::start(&["--speed", "10", "--for", "5m", "--journal", journal]);
    demo.until(by(60), |metrics| {
        ["admit", "queue", "downgrade", "reject"]
            .iter()
            .all(|decision| decisions(metrics, decision) > 5.0)
    });
    let (_, state) = get(&demo.admin, "/state");
    let state: Value = serde_json::from_str(&state).unwrap();
    let recent = state["recent"].as_array().unwrap();
    let refusal = recent.iter().find(|one| one["decision"] == "reject");
    let id = refusal.unwrap()["id"].as_str().unwrap().to_owned();
    demo.process.signal("INT");
    assert_eq!(demo.process.end(by(20)).code(), Some(0));

    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_finweir"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
        text
    };
    let again = said(&["replay", journal]);
    assert!(again.contains("every one as it was"), "{again}");
    let why = said(&["explain", &id, "--journal", journal]);
    assert!(why.contains("refused"), "{why}");
    assert!(why.contains("Would have let it in"), "{why}");
    let plan = said(&["plan", journal]);
    assert!(plan.contains("one more intel-arc-a3xx"), "{plan}");
    let advice = said(&["advise", journal]);
    assert!(advice.contains(" h"), "{advice}");
}

#[test]
fn it_ends_by_itself_also_faster_and_with_more_guests() {
    let mut demo = Demo::start(&["--for", "8s", "--viewers", "20", "--speed", "4"]);
    let status = demo.process.end(by(40));
    let said = demo.process.said.join("\n");
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("The evening lasted 0:08"), "{said}");
    for wrong in ["LOSES", "has trouble", "panicked"] {
        assert!(!said.contains(wrong), "{wrong}:\n{said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_finweir"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for (arguments, option) in [
        (
            [
                "demo",
                "--listen",
                &address,
                "--admin-listen",
                "127.0.0.1:0",
            ],
            "--listen",
        ),
        (
            [
                "demo",
                "--admin-listen",
                &address,
                "--listen",
                "127.0.0.1:0",
            ],
            "--admin-listen",
        ),
        (["sim", "--listen", &address, "--speed", "2"], "--listen"),
    ] {
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("cannot listen on {address}")),
            "{said}"
        );
        assert!(
            said.contains(&format!("choose another with {option} ")),
            "{said}"
        );
        assert_eq!(said.matches("in use").count(), 1, "{said}");
    }
    let (code, said) = run(&["demo", "--speed", "1000"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn nobody_reading_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_finweir"))
        .args([
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--for",
            "5m",
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said, "");
}

#[test]
fn the_simulated_server_stands_alone() {
    let mut sim = Process::start(Command::new(env!("CARGO_BIN_EXE_finweir")).args([
        "sim",
        "--listen",
        "127.0.0.1:0",
        "--version",
        "10.11",
        "--capacity",
        "4",
    ]));
    let address = sim.until(by(30), |line| {
        Some(
            line.trim_start()
                .strip_prefix("at ")?
                .trim()
                .strip_prefix("http://")?
                .to_owned(),
        )
    });
    let (status, info) = get(&address, "/System/Info/Public");
    assert_eq!(status, 200);
    assert!(info.contains("\"Version\":\"10.11"), "{info}");
    let (_, items) = get(&address, "/Items?Recursive=true&ApiKey=simulated-api-key");
    let items: Value = serde_json::from_str(&items).unwrap();
    let film = items["Items"][1]["Id"].as_str().unwrap();
    let path = format!("/Videos/{film}/stream.ts?VideoCodec=h264&VideoBitrate=4000000");
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    std::io::Write::write_all(
        &mut stream,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
    .unwrap();
    sim.until(by(20), |line| line.contains("FFmpeg starts ").then_some(()));
    drop(stream);
    sim.signal("TERM");
    assert_eq!(sim.end(by(20)).code(), Some(0));
    assert!(
        sim.said
            .last()
            .unwrap()
            .starts_with("FFmpeg was started 1 times")
    );
}
