//! Every name on a board or in a rule exists, and every metric is on a board.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    expressions::wrong_names,
    families::{Family, families, families_and_records},
    files::{ALERTS, BOARDS, RULES, board, panels, rules, targets, text_of},
};

#[test]
fn every_name_on_the_boards_exists() {
    let families = families_and_records();
    let mut wrong = Vec::new();
    for (name, _, _) in BOARDS {
        wrong.extend(wrong_names_on(&board(name), &families));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong_names_on(board: &Value, families: &BTreeMap<String, Family>) -> Vec<String> {
    let mut wrong = Vec::new();
    for panel in panels(board) {
        for (expr, _) in targets(panel) {
            wrong.extend(wrong_names(expr, families));
        }
    }
    for annotation in board["annotations"]["list"].as_array().unwrap() {
        if let Some(expr) = annotation["expr"].as_str() {
            wrong.extend(wrong_names(expr, families));
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = variable["definition"].as_str().unwrap();
            let inner = query
                .strip_prefix("label_values(")
                .unwrap()
                .strip_suffix(')')
                .unwrap();
            wrong.extend(wrong_names(inner.rsplit_once(", ").unwrap().0, families));
        }
    }
    wrong
}

#[test]
fn every_name_in_the_rules_exists() {
    let families = families();
    let wrong: Vec<_> = [rules(ALERTS), rules(RULES)]
        .concat()
        .iter()
        .flat_map(|rule| wrong_names(rule["expr"].as_str().unwrap(), &families))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let families = families();
    for wrong in [
        "finweir_no_such_total",
        "rate(finweir_decisions_total{reason=\"no-such\"}[5m])",
        "finweir_decisions_total{user=\"x\"}",
        "sum by (item) (finweir_transcodes)",
        "finweir_queue_wait_seconds_bucket{le=\"7\"}",
    ] {
        assert!(!wrong_names(wrong, &families).is_empty(), "{wrong}");
    }
}

#[test]
fn every_metric_of_the_program_is_on_the_overview() {
    let board = text_of("overview");
    // When a configuration was loaded is told by an annotation.
    let elsewhere = ["finweir_config_last_reload_success_timestamp_seconds"];
    let missing: Vec<_> = families()
        .into_keys()
        .filter(|name| name.starts_with("finweir_") && !elsewhere.contains(&name.as_str()))
        .filter(|name| !board.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
