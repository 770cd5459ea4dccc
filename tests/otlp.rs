//! Spans of decisions, as a collector gets them.
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
#[path = "word/receiver.rs"]
mod receiver;

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    process::Process,
    receiver::{next, receiver},
};

/// Every span in one message, with its attributes.
fn spans(message: &Value) -> Vec<(Value, BTreeMap<String, Value>)> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for resource in list(message, "resourceSpans") {
        let service = resource["resource"]["attributes"].to_string();
        assert!(service.contains("\"finweir\""), "{service}");
        for scope in list(&resource, "scopeSpans") {
            for span in list(&scope, "spans") {
                let attributes = list(&span, "attributes").into_iter().map(|one| {
                    let key = one["key"].as_str().unwrap().to_owned();
                    (key, one["value"].clone())
                });
                let attributes = attributes.collect();
                found.push((span, attributes));
            }
        }
    }
    found
}

#[test]
fn a_collector_gets_a_span_for_each_decision() {
    let (address, posts) = receiver();
    let _demo = Process::start(
        Command::new(env!("CARGO_BIN_EXE_finweir"))
            .args([
                "demo",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(["--for", "2m", "--speed", "4"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", "200"),
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut waited = false;
    let mut refused = false;
    while !(waited && refused) {
        assert!(
            Instant::now() < deadline,
            "no wait and refusal among the spans"
        );
        let (path, message) = next(&posts);
        assert_eq!(path, "/v1/traces");
        for (span, attributes) in spans(&message) {
            assert_eq!(span["name"], "decision");
            let text = |key: &str| attributes.get(key)?["stringValue"].as_str();
            let decision = text("finweir.decision").unwrap();
            for key in ["finweir.reason", "finweir.class", "finweir.node", "user.id"] {
                assert!(
                    text(key).is_some_and(|text| !text.is_empty()),
                    "{key}: {span}"
                );
            }
            let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
            let took = time("endTimeUnixNano") - time("startTimeUnixNano");
            let id = text("finweir.id");
            assert!(id.is_some_and(|id| id.starts_with("d-")), "{span}");
            // What is decided at once takes no time.
            waited |= took > 0;
            if decision == "reject" {
                assert!(
                    span["status"]
                        .to_string()
                        .contains(text("finweir.reason").unwrap())
                );
                refused = true;
            }
        }
    }
}
