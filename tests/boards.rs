//! Holds `grafana/` and `docs/metrics.md` to the metrics that exist, and lets promtool judge rules and output.
//!
//! No Grafana is at hand, so that nothing here says how a panel looks. What is checked of each board is what Grafana's
//! dashboard-linter checks, and that every name, label and label value in it exists. That its panels show something is
//! held by `boards_live.rs`, with a real Prometheus.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use finweir::{
    ident::NodeId,
    telemetry::{Disk, LogFormat, Served, Settings, Telemetry, UserLabel},
};
use promql_parser::{
    label::MatchOp,
    parser::{Expr, LabelModifier, VectorSelector},
};
use serde_json::Value;

/// Each board, with the uid that links name it by, and the variables beside data source, job and instance.
const BOARDS: &[(&str, &str, &[&str])] = &[
    ("overview", "finweir", &["gpu"]),
    ("gpu", "finweir-gpu", &["gpu"]),
    ("user", "finweir-user", &["user"]),
    ("weeks", "finweir-weeks", &["gpu"]),
];
const RULES: &str = "grafana/rules.yaml";
const ALERTS: &str = "grafana/alerts.yaml";
/// What each alert means and what to do.
const RUNBOOK: &str = "docs/alerts.md";
const METRICS: &str = "docs/metrics.md";

/// Metrics of Prometheus itself, which any expression may name.
const PROMETHEUS: &str = "up";

/// What stands for Grafana's variables when an expression is parsed.
const VARIABLES: &[(&str, &str)] = &[("$__rate_interval", "5m"), ("$__range", "1h")];

/// One family of the registry.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// Label names, with the values that stand in the output.
    labels: BTreeMap<String, BTreeSet<String>>,
}

fn telemetry() -> Telemetry {
    let telemetry = Telemetry::new(&Settings {
        format: LogFormat::Json,
        level: "error".to_owned(),
        user_label: UserLabel::None,
        gpus: vec!["uhd770".to_owned()],
        nodes: vec!["jellyfin".to_owned()],
        classes: vec!["default".to_owned()],
    });
    telemetry.request(
        Served::Segment,
        Some(200),
        Some(Duration::from_millis(2)),
        1000,
    );
    // What is not known of a disk is not shown.
    let disk = Disk {
        free: 1,
        size: None,
        path: None,
        filling: false,
    };
    telemetry.disk(&NodeId::new("jellyfin"), Some(disk));
    telemetry
}

/// Reads the text format, as far as this program writes it.
fn families() -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in telemetry().gather().lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = families.get_mut(base(name, is_histogram(line))).unwrap();
            for pair in labels
                .trim_end_matches('}')
                .split(',')
                .filter(|p| !p.is_empty())
            {
                let (label, value) = pair.split_once('=').unwrap();
                let values = family.labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    families
}

/// Whether a line is of a histogram, told by its name.
fn is_histogram(line: &str) -> bool {
    line.contains("_seconds_bucket")
        || line.contains("_seconds_sum")
        || line.contains("_seconds_count")
}

/// The family of a series.
fn base(name: &str, histogram: bool) -> &str {
    let cut = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    if histogram { cut.unwrap_or(name) } else { name }
}

/// A metric named in an expression, and the innermost function around it.
#[derive(Debug)]
struct Named {
    selector: VectorSelector,
    /// `rate`, `increase`, ...; empty outside of any.
    function: String,
    ranged: bool,
}

fn parse(expr: &str) -> Expr {
    let plain = VARIABLES
        .iter()
        .fold(expr.to_owned(), |expr, (name, value)| {
            expr.replace(name, value)
        });
    promql_parser::parser::parse(&plain).unwrap_or_else(|error| panic!("{expr}\n{error}"))
}

fn named(expr: &Expr) -> Vec<Named> {
    let mut out = Vec::new();
    walk(expr, "", &mut out);
    out
}

fn walk(expr: &Expr, function: &str, out: &mut Vec<Named>) {
    let mut push = |selector: &VectorSelector, ranged| {
        out.push(Named {
            selector: selector.clone(),
            function: function.to_owned(),
            ranged,
        });
    };
    match expr {
        Expr::VectorSelector(selector) => push(selector, false),
        Expr::MatrixSelector(matrix) => push(&matrix.vs, true),
        Expr::Aggregate(aggregate) => walk(&aggregate.expr, function, out),
        Expr::Unary(unary) => walk(&unary.expr, function, out),
        Expr::Paren(paren) => walk(&paren.expr, function, out),
        Expr::Subquery(subquery) => walk(&subquery.expr, function, out),
        Expr::Binary(binary) => {
            walk(&binary.lhs, function, out);
            walk(&binary.rhs, function, out);
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                walk(argument, call.func.name, out);
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Labels that an expression groups by, each with the metrics grouped.
fn groupings(expr: &Expr, out: &mut Vec<(Vec<String>, Vec<String>)>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                let metrics = named(&aggregate.expr)
                    .into_iter()
                    .filter_map(|n| n.selector.name)
                    .collect();
                out.push((labels.labels.clone(), metrics));
            }
            groupings(&aggregate.expr, out);
        }
        Expr::Unary(unary) => groupings(&unary.expr, out),
        Expr::Paren(paren) => groupings(&paren.expr, out),
        Expr::Subquery(subquery) => groupings(&subquery.expr, out),
        Expr::Binary(binary) => {
            groupings(&binary.lhs, out);
            groupings(&binary.rhs, out);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|arg| groupings(arg, out)),
        Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => {}
    }
}

/// What is wrong with the names in an expression.
fn wrong_names(text: &str, families: &BTreeMap<String, Family>) -> Vec<String> {
    let expr = parse(text);
    let mut wrong = Vec::new();
    let family = |metric: &str| {
        let histogram = families
            .get(base(metric, true))
            .is_some_and(|family| family.kind == "histogram");
        families.get(base(metric, histogram))
    };
    for used in named(&expr) {
        let metric = used.selector.name.clone().unwrap_or_default();
        if metric == PROMETHEUS {
            continue;
        }
        let Some(family) = family(&metric) else {
            wrong.push(format!("`{metric}` does not exist: {text}"));
            continue;
        };
        for matcher in &used.selector.matchers.matchers {
            if ["job", "instance"].contains(&matcher.name.as_str()) {
                continue;
            }
            let Some(values) = family.labels.get(&matcher.name) else {
                wrong.push(format!(
                    "`{metric}` has no label `{}`: {text}",
                    matcher.name
                ));
                continue;
            };
            // A variable of the board is whatever the operator picks.
            let wanted = match &matcher.op {
                MatchOp::Equal => vec![matcher.value.as_str()],
                MatchOp::Re(_) if !matcher.value.contains('$') => {
                    matcher.value.split('|').collect()
                }
                MatchOp::Re(_) | MatchOp::NotEqual | MatchOp::NotRe(_) => Vec::new(),
            };
            for value in wanted {
                if !values.contains(value) {
                    wrong.push(format!(
                        "`{metric}` is never {}={value}: {text}",
                        matcher.name
                    ));
                }
            }
        }
    }
    let mut grouped = Vec::new();
    groupings(&expr, &mut grouped);
    for (labels, metrics) in grouped {
        for label in labels {
            let known = ["job", "instance"].contains(&label.as_str())
                || metrics.iter().any(|metric| {
                    family(metric).is_some_and(|family| family.labels.contains_key(&label))
                });
            if !known {
                wrong.push(format!("nothing here has the label `{label}`: {text}"));
            }
        }
    }
    wrong
}

fn text_of(board: &str) -> String {
    fs::read_to_string(format!("grafana/dashboards/{board}.json")).unwrap()
}

fn board(name: &str) -> Value {
    serde_json::from_str(&text_of(name)).unwrap()
}

/// The metrics that exist, and those that Prometheus records by our rules.
fn families_and_records() -> BTreeMap<String, Family> {
    let mut all = families();
    for rule in rules(RULES) {
        let name = rule["record"].as_str().unwrap();
        // A record has the labels that its expression leaves: those of the families, where it groups by none.
        let expr = parse(rule["expr"].as_str().unwrap());
        let mut labels = BTreeMap::new();
        for used in named(&expr) {
            let metric = used.selector.name.unwrap();
            let family = all.get(base(&metric, metric.ends_with("_bucket"))).unwrap();
            labels.extend(family.labels.clone());
        }
        let mut grouped = Vec::new();
        groupings(&expr, &mut grouped);
        if let Some((by, _)) = grouped.first() {
            labels.retain(|label, _| by.contains(label));
        }
        let family = Family {
            kind: "record".to_owned(),
            labels,
            ..Family::default()
        };
        assert!(all.insert(name.to_owned(), family).is_none(), "{name}");
    }
    all
}

/// Panels that show something; rows are left out.
fn panels(board: &Value) -> Vec<&Value> {
    let panels = board["panels"].as_array().unwrap();
    panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .collect()
}

fn targets(panel: &Value) -> Vec<(&str, bool)> {
    let targets = panel["targets"].as_array().unwrap();
    targets
        .iter()
        .map(|target| (target["expr"].as_str().unwrap(), target["instant"] == true))
        .collect()
}

fn rules(file: &str) -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

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
