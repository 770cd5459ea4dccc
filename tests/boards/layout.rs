//! How the boards are built.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use serde_json::Value;

use super::{
    expressions::{named, parse},
    files::{BOARDS, board, panels, targets},
};

/// The checks of Grafana's dashboard-linter, but for those about Loki.
#[test]
fn the_boards_are_built_as_the_linter_wants_them() {
    let mut wrong = Vec::new();
    for (name, uid, variables) in BOARDS {
        for fault in linted(&board(name), uid, variables) {
            wrong.push(format!("{name}: {fault}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn linted(board: &Value, uid: &str, own: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |good: bool, says: String| {
        if !good {
            wrong.push(says);
        }
    };

    check(
        board["editable"] == false,
        "the board is editable".to_owned(),
    );
    check(board["uid"] == uid, "the uid changed".to_owned());
    check(
        board["tags"]
            .as_array()
            .unwrap()
            .contains(&"finweir".into()),
        "the others do not find it by its tag".to_owned(),
    );
    check(
        board["links"][0]["tags"][0] == "finweir" && board["links"][0]["includeVars"] == true,
        "it does not link to the others".to_owned(),
    );
    check(
        board["id"].is_null(),
        "the id belongs to one Grafana".to_owned(),
    );
    let schema = board["schemaVersion"].as_i64().unwrap();
    check((39..=41).contains(&schema), format!("schema {schema}"));

    let variables = board["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|v| v["name"] == name);
    let datasource = variable("datasource").unwrap();
    check(
        datasource["type"] == "datasource"
            && datasource["query"] == "prometheus"
            && datasource["label"] == "Data source",
        "the data source is not a variable".to_owned(),
    );
    let listed: Vec<_> = variables
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = ["datasource", "job", "instance"]
        .iter()
        .chain(own)
        .copied()
        .collect();
    check(listed == expected, format!("the variables are {listed:?}"));
    for name in ["job", "instance"].iter().chain(own).copied() {
        let variable = variable(name).unwrap();
        check(
            variable["multi"] == true
                && variable["includeAll"] == true
                // The label `user` is empty where the configuration labels no users.
                && variable["allValue"] == if name == "user" { ".*" } else { ".+" },
            format!("${name} does not take all"),
        );
        check(
            variable["refresh"] == 2,
            format!("${name} is not read anew with the time"),
        );
        check(
            variable["datasource"]["uid"] == "${datasource}",
            format!("${name} is not of the data source that was picked"),
        );
    }

    let mut seen = BTreeSet::new();
    for panel in panels(board) {
        let title = panel["title"].as_str().unwrap_or_default();
        let kinds = ["stat", "gauge", "timeseries", "table", "nodeGraph"];
        let units = [
            "short",
            "percentunit",
            "s",
            "bytes",
            "Bps",
            "bps",
            "reqps",
            "cpm",
        ];
        let unit = panel["fieldConfig"]["defaults"]["unit"]
            .as_str()
            .unwrap_or_default();
        check(
            !title.is_empty(),
            format!("a panel has no title: {}", panel["id"]),
        );
        check(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 20),
            format!("{title}: no description"),
        );
        check(
            kinds.contains(&panel["type"].as_str().unwrap()),
            format!("{title}: {}", panel["type"]),
        );
        check(units.contains(&unit), format!("{title}: unit `{unit}`"));
        check(
            panel["datasource"]["uid"] == "${datasource}",
            format!("{title}: not of the data source that was picked"),
        );
        check(
            seen.insert(panel["id"].as_i64().unwrap()),
            format!("{title}: its id is there twice"),
        );
        check(!targets(panel).is_empty(), format!("{title}: asks nothing"));
        for (expr, instant) in targets(panel) {
            for used in named(&parse(expr)) {
                let metric = used.selector.name.clone().unwrap_or_default();
                for label in ["job", "instance"] {
                    let matched = used.selector.matchers.matchers.iter().any(|matcher| {
                        matcher.name == label
                            && matches!(matcher.op, MatchOp::Re(_))
                            && matcher.value == format!("${label}")
                    });
                    check(
                        matched,
                        format!("{title}: {metric} is not held to ${label}"),
                    );
                }
                let rated = ["rate", "irate", "increase"].contains(&used.function.as_str());
                // What is recorded is a rate already.
                let counts = !metric.contains(':')
                    && ["_total", "_bucket", "_count", "_sum"]
                        .iter()
                        .any(|suffix| metric.ends_with(suffix));
                check(
                    !counts || rated,
                    format!("{title}: {metric} is shown without a rate"),
                );
                check(
                    !rated || counts,
                    format!("{title}: the rate of {metric}, which is a gauge"),
                );
                // A number over the whole time shown may ask for just that.
                let ranges: &[&str] = if instant {
                    &["[$__range]", "[$__rate_interval]"]
                } else {
                    &["[$__rate_interval]"]
                };
                check(
                    !used.ranged || ranges.iter().any(|range| expr.contains(range)),
                    format!("{title}: a fixed range in {expr}"),
                );
            }
        }
    }
    wrong
}

#[test]
fn panels_fill_their_rows_and_do_not_overlap() {
    for (name, _, _) in BOARDS {
        fills(name, &board(name));
    }
}

fn fills(name: &str, board: &Value) {
    let mut taken = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(
            at("x") + at("w") <= 24,
            "{} leaves the grid",
            panel["title"]
        );
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
    let height = taken.iter().map(|(_, y)| y + 1).max().unwrap();
    assert_eq!(taken.len() as u64, height * 24, "there are holes in {name}");
}

/// What Grafana's node graph asks of its frames: nodes with `id`, edges with `id`, `source` and `target`, and numbers
/// in `mainstat`.
#[test]
fn the_node_graph_has_the_fields_that_it_needs() {
    let board = board("overview");
    let graph = panels(&board)
        .into_iter()
        .find(|panel| panel["type"] == "nodeGraph")
        .unwrap();
    let expressions = targets(graph);
    assert_eq!(
        expressions.len(),
        2,
        "only the first frame of each kind is read"
    );
    for (field, of) in [
        ("id", 0),
        ("title", 0),
        ("subtitle", 0),
        ("id", 1),
        ("source", 1),
        ("target", 1),
    ] {
        assert!(
            expressions[of].0.contains(&format!("\"{field}\"")),
            "{field}"
        );
    }
    assert!(
        !expressions[0].0.contains("\"source\""),
        "a frame with a source is one of edges"
    );
    for target in graph["targets"].as_array().unwrap() {
        assert_eq!(
            (&target["format"], &target["instant"]),
            (&"table".into(), &true.into())
        );
        let value = format!("Value #{}", target["refId"].as_str().unwrap());
        let renamed = &graph["transformations"][0]["options"]["renameByName"][value.as_str()];
        assert_eq!(renamed, "mainstat");
    }
}
