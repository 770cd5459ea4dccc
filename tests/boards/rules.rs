//! Alerts and records: explained, tested, and judged by promtool.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use super::{
    families::telemetry,
    files::{ALERTS, RULES, rules, text_of},
};

/// What each alert means and what to do.
const RUNBOOK: &str = "docs/alerts.md";

#[test]
fn every_alert_says_what_it_means_and_what_to_do_and_is_tested_both_ways() {
    let tests = fs::read_to_string("grafana/alerts_test.yaml").unwrap();
    let book = fs::read_to_string(RUNBOOK).unwrap();
    let sections: Vec<&str> = book
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let names = rules(ALERTS);
    let names: Vec<&str> = names
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap())
        .collect();
    assert_eq!(
        sections, names,
        "{RUNBOOK} has a section for each alert, in their order"
    );
    for rule in rules(ALERTS) {
        let name = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        assert!(rule["for"].is_string(), "{name} fires on one bad sample");
        for key in ["summary", "description", "runbook"] {
            let text = rule["annotations"][key].as_str().unwrap_or_default();
            assert!(text.len() > 20, "{name} has no {key}");
        }
        for case in ["fires", "is quiet"] {
            assert!(
                tests.contains(&format!("- name: {name} {case}\n")),
                "{name} {case}: no test"
            );
        }
    }
}

#[test]
fn every_record_is_named_by_what_it_is_of_and_tested() {
    let tests = fs::read_to_string("grafana/rules_test.yaml").unwrap();
    let weeks = text_of("weeks");
    for rule in rules(RULES) {
        let name = rule["record"].as_str().unwrap();
        let parts: Vec<&str> = name.split(':').collect();
        assert_eq!(parts.len(), 3, "{name} is not level:metric:operation");
        assert!(parts[1].starts_with("finweir_"), "{name}");
        assert!(
            tests.contains(&format!("- name: {name}\n")),
            "{name}: no test"
        );
        assert!(weeks.contains(name), "{name} is on no board");
    }
}

/// Runs promtool with `input`; fails with what it says.
fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("promtool can't be run ({error}): install the package `prometheus`")
        });
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // On a thread, so that neither side waits for the other on a full pipe.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It may not read what it has no use for.
    writer.join().unwrap().ok();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "promtool {}: {said}",
        arguments.join(" ")
    );
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    promtool(&["check", "metrics"], &telemetry().gather());
}

#[test]
fn promtool_accepts_the_rules_and_each_does_what_it_should() {
    promtool(
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            ALERTS,
            RULES,
        ],
        "",
    );
    promtool(&["test", "rules", "grafana/alerts_test.yaml"], "");
    promtool(&["test", "rules", "grafana/rules_test.yaml"], "");
}
