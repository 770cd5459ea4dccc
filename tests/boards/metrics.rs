//! How the metrics are named, and the document that explains them.

use std::fs;

use super::families::families;

const METRICS: &str = "docs/metrics.md";

#[test]
fn names_are_in_base_units_and_have_help() {
    for (name, family) in families() {
        for part in [
            "percent",
            "millis",
            "_ms",
            "kilobytes",
            "minutes",
            "_total_",
        ] {
            assert!(!name.contains(part), "{name} holds `{part}`");
        }
        assert!(family.help.ends_with('.'), "{name}: `{}`", family.help);
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
        assert_ne!(family.kind, "untyped", "{name}");
    }
}

#[test]
fn only_two_counters_and_two_gauges_know_users() {
    let with_user: Vec<_> = families()
        .into_iter()
        .filter(|(_, family)| family.labels.contains_key("user"))
        .map(|(name, family)| (name, family.kind))
        .collect();
    let of = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(
        with_user,
        [
            of("finweir_user_decisions_total", "counter"),
            of("finweir_user_leases", "gauge"),
            of("finweir_user_refusals_total", "counter"),
            of("finweir_user_seats_held", "gauge")
        ]
    );
}

fn unit(name: &str, kind: &str) -> &'static str {
    let stem = name.trim_end_matches("_total");
    if stem.ends_with("_timestamp_seconds") {
        "seconds since 1970"
    } else if stem.ends_with("_bytes_per_second") {
        "bytes per second"
    } else if stem.ends_with("_seconds") {
        "seconds"
    } else if stem.ends_with("_bytes") {
        "bytes"
    } else if name.contains("_seats_") {
        "seats"
    } else if ["_up", "_successful", "_enforcing", "_trouble", "_filling"]
        .iter()
        .any(|s| name.ends_with(s))
    {
        "0 or 1"
    } else if name.ends_with("_info") {
        "1"
    } else if kind == "counter" {
        "events"
    } else {
        "count"
    }
}

/// The table of `docs/metrics.md`, made of the registry.
fn table() -> String {
    let mut out =
        String::from("| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n");
    for (name, family) in families() {
        let labels: Vec<_> = family
            .labels
            .keys()
            .filter(|label| *label != "le")
            .map(|label| format!("`{label}`"))
            .collect();
        out.push_str(&format!(
            "| `{name}` | {} | {} | {} | {} |\n",
            family.kind,
            labels.join(" "),
            unit(&name, &family.kind),
            family.help
        ));
    }
    out
}

#[test]
fn the_table_of_metrics_is_that_of_the_registry() {
    let mut doc = fs::read_to_string(METRICS).unwrap_or_default();
    let table = table();
    if std::env::var_os("FINWEIR_BLESS").is_some() {
        let (before, rest) = doc.split_once("| name | type |").unwrap();
        let after = rest.split_once("\n\n").unwrap().1;
        doc = format!("{before}{table}\n{after}");
        fs::write(METRICS, &doc).unwrap();
    }
    assert!(
        doc.contains(&table),
        "{METRICS} must hold this table:\n{table}"
    );
    let rows = doc.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        rows,
        families().len(),
        "{METRICS} has rows that don't exist"
    );
}

#[test]
fn the_document_explains_every_label_value() {
    let doc = fs::read_to_string(METRICS).unwrap();
    let mut missing = Vec::new();
    for (name, family) in families() {
        for (label, values) in &family.labels {
            let configured = ["gpu", "node", "class", "version", "le", "user"];
            if configured.contains(&label.as_str()) {
                continue;
            }
            for value in values {
                let told =
                    doc.contains(&format!("| {value} |")) || doc.contains(&format!("`{value}`"));
                // `1xx` to `5xx` stands for those between.
                if !told && !value.ends_with("xx") {
                    missing.push(format!("{name}: {label}={value}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
