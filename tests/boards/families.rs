//! What the program serves, and what Prometheus records of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use finweir::{
    ident::NodeId,
    telemetry::{Disk, LogFormat, Served, Settings, Telemetry, UserLabel},
};

use super::{
    expressions::{groupings, named, parse},
    files::{RULES, rules},
};

/// One family of the registry.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Label names, with the values that stand in the output.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

pub(crate) fn telemetry() -> Telemetry {
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
pub(crate) fn families() -> BTreeMap<String, Family> {
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
pub(crate) fn is_histogram(line: &str) -> bool {
    line.contains("_seconds_bucket")
        || line.contains("_seconds_sum")
        || line.contains("_seconds_count")
}

/// The family of a series.
pub(crate) fn base(name: &str, histogram: bool) -> &str {
    let cut = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    if histogram { cut.unwrap_or(name) } else { name }
}

/// The metrics that exist, and those that Prometheus records by our rules.
pub(crate) fn families_and_records() -> BTreeMap<String, Family> {
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
