//! Every board, rule and exemplar, as a real Prometheus that scrapes a running demo answers for them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reports by panicking, and reads the clock for its deadline"
)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "demo/process.rs"]
mod process;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "demo/running.rs"]
mod running;

use std::{fs, net::TcpListener, path::Path, process::Command, time::Instant};

use serde_json::Value;

use self::{
    process::{Process, get, sum},
    running::{Demo, by},
};

/// What the variables of the boards stand for while a demo of some seconds is scraped.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "15s"),
    ("$__range", "1m"),
    ("$job", ".+"),
    ("$instance", ".+"),
    ("$gpu", ".+"),
    ("$user", ".*"),
];

/// A real Prometheus that scrapes the demo every second under the shipped rules.
struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    fn start(scratch: &Path, target: &str) -> Self {
        let rules = ["alerts", "rules"].map(|name| {
            let file = fs::canonicalize(format!("grafana/{name}.yaml")).unwrap();
            format!("{:?}", file.display().to_string())
        });
        let config = scratch.join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [{}]\n\
                 scrape_configs:\n  - {{job_name: finweir, static_configs: [{{targets: [\"{target}\"]}}]}}\n",
                rules.join(", ")
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
                .arg("--enable-feature=exemplar-storage")
                .arg(format!("--web.listen-address={port}")),
        );
        process.until(by(30), |line| {
            line.contains("Server is ready to receive web requests")
                .then_some(())
        });
        Self {
            _process: process,
            address: port.to_string(),
        }
    }

    /// What the API answers; it must be a success.
    fn ask(&self, path: &str) -> Value {
        let (status, answer) = get(&self.address, path);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, &answer["status"]),
            (200, &Value::from("success")),
            "{path}: {answer}"
        );
        answer["data"].clone()
    }

    /// The series of an instant query.
    fn query(&self, expr: &str) -> Vec<Value> {
        let data = self.ask(&format!("/api/v1/query?query={}", escaped(expr)));
        data["result"].as_array().cloned().unwrap_or_default()
    }

    fn value(&self, expr: &str) -> f64 {
        let one = self.query(expr).into_iter().next();
        one.and_then(|one| one["value"][1].as_str()?.parse().ok())
            .unwrap_or(0.0)
    }
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn filled(expression: &str) -> String {
    VARIABLES
        .iter()
        .fold(expression.to_owned(), |expr, (name, value)| {
            expr.replace(name, value)
        })
}

/// Every expression of these panels, rows included, with the panel's title.
fn collect(panels: &Value, into: &mut Vec<(String, String)>) {
    for panel in panels.as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            into.push((title.to_owned(), expr.to_owned()));
        }
        collect(&panel["panels"], into);
    }
}

#[test]
fn every_panel_shows_something_and_every_rule_works() {
    // At twice the pace of the clock, so that waits and refusals come soon.
    let mut demo = Demo::start(&["--for", "5m", "--speed", "2"]);
    let scratch = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(scratch.path(), &demo.admin);
    demo.until(by(60), |metrics| {
        ["admit", "reject", "queue"].iter().all(|decision| {
            let label = format!("decision=\"{decision}\"");
            sum(metrics, "finweir_decisions_total{", &label) > 0.0
        })
    });
    let deadline = by(120);
    while prometheus.value("min_over_time(up[1m])") < 1.0
        || prometheus.value("count_over_time(up[1m])") < 8.0
    {
        demo.happening(deadline);
    }
    rules(&mut demo, &prometheus, deadline);
    panels(&mut demo, &prometheus, deadline);
    variables(&prometheus);
    node_graph(&prometheus);
    exemplars(&mut demo, &prometheus, deadline);
}

fn rules(demo: &mut Demo, prometheus: &Prometheus, deadline: Instant) {
    loop {
        let data = prometheus.ask("/api/v1/rules");
        let groups = data["groups"].as_array().unwrap();
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert!(rules.len() > 20, "{}", rules.len());
        for rule in &rules {
            assert_ne!(rule["health"], "err", "{rule}");
        }
        if rules.iter().all(|rule| rule["health"] == "ok") {
            return;
        }
        demo.happening(deadline);
    }
}

fn panels(demo: &mut Demo, prometheus: &Prometheus, deadline: Instant) {
    let mut count = 0;
    for name in ["overview", "gpu", "user", "weeks"] {
        let text = fs::read_to_string(format!("grafana/dashboards/{name}.json")).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        let mut expressions = Vec::new();
        collect(&board["panels"], &mut expressions);
        count += expressions.len();
        for (title, expression) in expressions {
            let expr = filled(&expression);
            // What counts single users has no series before their first refusal: the second one shows.
            while prometheus.query(&expr).is_empty() {
                assert!(
                    Instant::now() < deadline,
                    "{name}, {title}: shows nothing: {expr}\n{}",
                    demo.process.said.join("\n")
                );
                demo.happening(deadline);
            }
        }
    }
    assert!(count > 70, "{count}");
}

/// What the lists of variables offer is there to be picked.
fn variables(prometheus: &Prometheus) {
    for (label, metric, wanted) in [
        ("gpu", "finweir_gpu_seats_capacity", "igpu"),
        ("user", "finweir_user_decisions_total", "anna"),
        ("job", "finweir_build_info", "finweir"),
    ] {
        let path = format!("/api/v1/label/{label}/values?match[]={metric}");
        let values = prometheus.ask(&path);
        assert!(
            values.as_array().unwrap().contains(&wanted.into()),
            "{label}: {values}"
        );
    }
}

/// Each arrow of the node graph begins and ends at something that is drawn.
fn node_graph(prometheus: &Prometheus) {
    let text = fs::read_to_string("grafana/dashboards/overview.json").unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let graph = panels
        .iter()
        .find(|panel| panel["type"] == "nodeGraph")
        .unwrap();
    let expr = |nth: usize| filled(graph["targets"][nth]["expr"].as_str().unwrap());
    // In one query, so that both are of one moment.
    let both = prometheus.query(&format!("({}) or ({})", expr(0), expr(1)));
    let (edges, nodes): (Vec<_>, Vec<_>) = both
        .iter()
        .map(|series| &series["metric"])
        .partition(|metric| metric.get("source").is_some());
    let ids: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let mut ends: Vec<&Value> = Vec::new();
    for edge in &edges {
        ends.extend([&edge["source"], &edge["target"]]);
        assert!(
            edge["id"].as_str().is_some_and(|id| id.contains(" to ")),
            "{edge}"
        );
    }
    assert!(edges.len() >= 2, "{edges:?}");
    for end in ends {
        assert!(ids.contains(&end), "{end} is not among {ids:?}");
    }
    for node in &nodes {
        assert!(
            node["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{node}"
        );
        assert!(node["subtitle"].is_string(), "{node}");
    }
}

/// A wait on a board leads to its decision.
fn exemplars(demo: &mut Demo, prometheus: &Prometheus, deadline: Instant) {
    let series = escaped("finweir_queue_wait_seconds_bucket");
    let path = format!("/api/v1/query_exemplars?query={series}&start=0&end=9999999999");
    loop {
        let data = prometheus.ask(&path);
        let found = data.as_array().unwrap().iter();
        let found: Vec<&Value> = found
            .flat_map(|series| series["exemplars"].as_array().unwrap())
            .collect();
        for exemplar in &found {
            let decision = exemplar["labels"]["decision"].as_str().unwrap();
            assert!(decision.len() > 1 && decision.len() < 32, "{exemplar}");
            assert!(exemplar["value"].as_str().unwrap().parse::<f64>().is_ok());
            assert!(exemplar["timestamp"].as_f64().is_some_and(|at| at > 1.7e9));
        }
        if !found.is_empty() {
            return;
        }
        demo.happening(deadline);
    }
}
