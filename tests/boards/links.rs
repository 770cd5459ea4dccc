//! What leads from one file to another.

use std::fs;

use serde_json::Value;

use super::files::{BOARDS, board};

/// The dashboards, by uid, that a link of a panel leads to, and the variable that it sets.
fn links(value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            if let Some(rest) = members
                .get("url")
                .and_then(|url| url.as_str()?.strip_prefix("/d/"))
            {
                let uid = rest.split('/').next().unwrap();
                let variable = rest
                    .rsplit_once("&var-")
                    .unwrap()
                    .1
                    .split_once('=')
                    .unwrap();
                into.push((uid.to_owned(), variable.0.to_owned()));
            }
            members.values().for_each(|member| links(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| links(item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn links_lead_to_boards_that_have_the_variable_they_set() {
    let mut found = Vec::new();
    for (name, _, _) in BOARDS {
        links(&board(name), &mut found);
    }
    assert!(found.len() >= 6, "{found:?}");
    for (uid, variable) in &found {
        let (_, _, variables) = BOARDS
            .iter()
            .find(|(_, known, _)| known == uid)
            .unwrap_or_else(|| panic!("no board is called {uid}"));
        assert!(
            variables.contains(&variable.as_str()),
            "{uid} has no {variable}"
        );
    }
    for drilled in ["finweir-gpu", "finweir-user"] {
        assert!(
            found.iter().any(|(uid, _)| uid == drilled),
            "nothing leads to {drilled}"
        );
    }
}

#[test]
fn provisioning_files_are_yaml_and_name_what_is_there() {
    let read = |path: &str| -> Value {
        serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let sources = read("grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(sources["datasources"][0]["type"], "prometheus");
    let boards = read("grafana/provisioning/dashboards/finweir.yaml");
    assert_eq!(boards["providers"][0]["type"], "file");
}
