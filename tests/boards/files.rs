//! The boards and rules that are shipped.

use std::fs;

use serde_json::Value;

/// Each board, with the uid that links name it by, and the variables beside data source, job and instance.
pub(crate) const BOARDS: &[(&str, &str, &[&str])] = &[
    ("overview", "finweir", &["gpu"]),
    ("gpu", "finweir-gpu", &["gpu"]),
    ("user", "finweir-user", &["user"]),
    ("weeks", "finweir-weeks", &["gpu"]),
];
pub(crate) const RULES: &str = "grafana/rules.yaml";
pub(crate) const ALERTS: &str = "grafana/alerts.yaml";

pub(crate) fn text_of(board: &str) -> String {
    fs::read_to_string(format!("grafana/dashboards/{board}.json")).unwrap()
}

pub(crate) fn board(name: &str) -> Value {
    serde_json::from_str(&text_of(name)).unwrap()
}

/// Panels that show something; rows are left out.
pub(crate) fn panels(board: &Value) -> Vec<&Value> {
    let panels = board["panels"].as_array().unwrap();
    panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .collect()
}

pub(crate) fn targets(panel: &Value) -> Vec<(&str, bool)> {
    let targets = panel["targets"].as_array().unwrap();
    targets
        .iter()
        .map(|target| (target["expr"].as_str().unwrap(), target["instant"] == true))
        .collect()
}

pub(crate) fn rules(file: &str) -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}
