//! The demo as a person runs it, watched by a real Prometheus and a real Chromium.
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

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::{
    browser::Page,
    process::{Process, get, sum},
};

/// What the variables of the board stand for while a demo of some seconds is scraped.
const VARIABLES: [(&str, &str); 5] = [
    ("$__rate_interval", "15s"),
    ("$__range", "1m"),
    ("$job", ".+"),
    ("$instance", ".+"),
    ("$gpu", ".+"),
];

/// Expressions that show nothing while all is well.
const MAY_BE_EMPTY: [&str; 1] = [
    // Failures of the server, only where there are any.
    "finweir_upstream_failures_total",
];

fn by(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// A running demo, and where it is.
struct Demo {
    process: Process,
    admin: String,
    viewers: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_finweir"))
                .arg("demo")
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .args(arguments)
                .env_remove("FINWEIR__LOGGING__LEVEL"),
        );
        let place = |line: &str, label: &str| {
            let rest = line.trim_start().strip_prefix(label)?;
            let start = rest.find("http://")? + "http://".len();
            let address = rest.get(start..)?;
            let end = address.find(['/', ' ']).unwrap_or(address.len());
            Some(address.get(..end)?.to_owned())
        };
        let deadline = by(30);
        let admin = process.until(deadline, |line| place(line, "status page"));
        let viewers = process.until(deadline, |line| place(line, "viewers' side"));
        Self {
            process,
            admin,
            viewers,
        }
    }

    /// Looks at `/metrics` whenever something has happened, until `enough`.
    fn until(&mut self, deadline: Instant, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let (status, metrics) = get(&self.admin, "/metrics");
            assert_eq!(status, 200);
            if enough(&metrics) {
                return metrics;
            }
            self.happening(deadline);
        }
    }

    /// Waits until something happens.
    fn happening(&mut self, deadline: Instant) {
        let line = self.process.line(deadline);
        assert!(line.is_some(), "{}", self.process.said.join("\n"));
    }
}

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
    let mut prometheus = prometheus(scratch.path(), &demo.admin);

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
    assert_eq!(state["gpus"][0]["capacity"], 8.5);
    assert!(!state["leases"].as_array().unwrap().is_empty());

    watch_page(&mut demo, scratch.path());
    ask_prometheus(&mut demo, &mut prometheus);

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
    assert!(seen.contains("of 8.5 seats held"), "{seen}");
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
    assert!(changed.contains("of 8.5 seats held"), "{changed}");
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true});
    page.call("Emulation.setDeviceMetricsOverride", &phone);
    let width = page.text("String(document.documentElement.scrollWidth)");
    assert_eq!(width, "390", "nothing sticks out on a phone");
    assert!(page.errors.is_empty(), "{:#?}", page.errors);
}

/// A real Prometheus that scrapes the demo every second under the shipped rules.
fn prometheus(scratch: &Path, target: &str) -> (Process, String) {
    let rules = fs::canonicalize("grafana/alerts.yaml").unwrap();
    let config = scratch.join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}\"]\n\
             scrape_configs:\n  - {{job_name: finweir, static_configs: [{{targets: [\"{target}\"]}}]}}\n",
            rules.display()
        ),
    )
    .unwrap();
    // Prometheus does not say which port it took: one is found for it.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut process = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                scratch.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={port}")),
    );
    process.until(by(30), |line| {
        line.contains("Server is ready to receive web requests")
            .then_some(())
    });
    (process, port.to_string())
}

/// Every rule and every panel evaluates on what the demo gives.
fn ask_prometheus(demo: &mut Demo, (_, address): &mut (Process, String)) {
    let query = |expr: &str| {
        let escaped =
            percent_encoding::utf8_percent_encode(expr, percent_encoding::NON_ALPHANUMERIC);
        let (status, answer) = get(address, &format!("/api/v1/query?query={escaped}"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, &answer["status"]),
            (200, &Value::from("success")),
            "{expr}: {answer}"
        );
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let value = |expr: &str| {
        query(expr)
            .first()
            .and_then(|one| one["value"][1].as_str()?.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let deadline = by(60);
    while value("min_over_time(up[1m])") < 1.0 || value("count_over_time(up[1m])") < 8.0 {
        demo.happening(deadline);
    }

    loop {
        let (_, answer) = get(address, "/api/v1/rules");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert!(!rules.is_empty());
        for rule in &rules {
            assert_ne!(rule["health"], "err", "{rule}");
        }
        if rules.iter().all(|rule| rule["health"] == "ok") {
            break;
        }
        demo.happening(deadline);
    }

    let board: Value =
        serde_json::from_str(&fs::read_to_string("grafana/dashboard.json").unwrap()).unwrap();
    let mut expressions = Vec::new();
    collect(&board["panels"], &mut expressions);
    assert!(expressions.len() > 30, "{}", expressions.len());
    for expression in expressions {
        let expr = VARIABLES
            .iter()
            .fold(expression.clone(), |expr, (name, value)| {
                expr.replace(name, value)
            });
        // What counts single users has no series before their first refusal: the second one shows.
        while query(&expr).is_empty() && !MAY_BE_EMPTY.iter().any(|name| expression.contains(name))
        {
            assert!(
                Instant::now() < deadline,
                "shows nothing: {expression}\n{}",
                demo.process.said.join("\n")
            );
            demo.happening(deadline);
        }
    }
}

/// Every expression of these panels, rows included.
fn collect(panels: &Value, into: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        into.extend(targets.filter_map(|target| target["expr"].as_str().map(str::to_owned)));
        collect(&panel["panels"], into);
    }
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
    assert_eq!(code, Some(64), "{said}");
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
