//! The files that are shipped: the defaults, the examples, the schema.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use finweir::{
    admission::{Mode, Reason, Seats},
    config::{self, Config, DEFAULT_YAML, SECTIONS},
};

use super::{environment, house, mistakes, settings};

#[test]
fn default_yaml_says_what_the_defaults_are() {
    let written = Config::parse_str("default.yaml", DEFAULT_YAML).unwrap();
    let built_in = Config::parse_str("nothing.yaml", "").unwrap();
    assert_eq!(settings(written), settings(built_in));
}

/// The examples in comments become real, and the lists before them open.
fn uncommented() -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in DEFAULT_YAML.lines() {
        match line.strip_prefix('#') {
            Some(example) if example.starts_with("  ") => {
                let before = lines.pop().unwrap();
                lines.push(before.replace(": []", ":").replace(": {} ", ":"));
                lines.push(example.to_owned());
            }
            Some(_) => {}
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// Every key as `gpus[].name`. What is under `texts` has names of the operator's.
fn keys_of(value: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) if path != "texts" && !path.ends_with("api_key") => {
            for (key, member) in members {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                into.insert(path.clone());
                keys_of(member, &path, into);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                keys_of(item, &format!("{path}[]"), into);
            }
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Object(_) => {}
    }
}

fn keys_of_schema(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    path: &str,
    into: &mut BTreeSet<String>,
) {
    if let Some(name) = schema.get("$ref").and_then(|r| r.as_str()) {
        let name = name.strip_prefix("#/$defs/").unwrap();
        keys_of_schema(
            root,
            root.get("$defs").unwrap().get(name).unwrap(),
            path,
            into,
        );
    }
    for choice in ["anyOf", "oneOf"] {
        for part in schema
            .get(choice)
            .and_then(|c| c.as_array())
            .into_iter()
            .flatten()
        {
            if ["api_key", "token", "urls[].url"]
                .iter()
                .all(|secret| !path.ends_with(secret))
            {
                keys_of_schema(root, part, path, into);
            }
        }
    }
    if let Some(items) = schema.get("items") {
        keys_of_schema(root, items, &format!("{path}[]"), into);
    }
    for (key, member) in schema
        .get("properties")
        .and_then(|p| p.as_object())
        .into_iter()
        .flatten()
    {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        into.insert(path.clone());
        if ["api_key", "token", "urls[].url"]
            .iter()
            .all(|secret| !path.ends_with(secret))
        {
            keys_of_schema(root, member, &path, into);
        }
    }
}

#[test]
fn default_yaml_has_every_key_of_the_schema_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let mut known = BTreeSet::new();
    keys_of_schema(&schema, &schema, "", &mut known);
    let yaml: serde_json::Value = serde_saphyr::from_str(&uncommented()).unwrap();
    let mut listed = BTreeSet::new();
    keys_of(&yaml, "", &mut listed);
    let missing: Vec<_> = known.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in default.yaml: {missing:?}; not in the schema: {unknown:?}"
    );
    assert!(known.len() > 120, "only {} keys were found", known.len());
    let sections: BTreeSet<&str> = SECTIONS.iter().map(|s| s.name).collect();
    let top: BTreeSet<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|k| !k.contains('.'))
        .collect();
    assert_eq!(sections, top);
}

#[test]
fn every_line_of_default_yaml_says_what_it_is_for() {
    for line in DEFAULT_YAML.lines().filter(|l| !l.trim().is_empty()) {
        assert!(
            line.trim_start_matches('#').contains("# ") || line.starts_with("# "),
            "{line}"
        );
    }
}

#[test]
fn the_examples_in_default_yaml_are_right() {
    let said = mistakes(&uncommented());
    // The two ways to name a server, and to give a key, exclude each other; the variable is not set.
    for line in said.lines() {
        assert!(
            line.contains(": jellyfin: ")
                || line.contains(": nodes[0].api_key_file: ")
                || line.contains(": notify.urls[0].url_file: "),
            "{said}"
        );
    }
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let path = "config/finweir.schema.json";
    if std::env::var_os("FINWEIR_BLESS").is_some() {
        fs::write(path, config::schema()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        config::schema(),
        "run: finweir schema > {path}"
    );
}

#[test]
fn the_shipped_files_are_well() {
    for name in ["example", "minimal"] {
        let path = PathBuf::from(format!("config/{name}.yaml"));
        let loaded = Config::load(Some(&path), &house()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert!(loaded.sources.contains(&path));
        assert!(loaded.sources.contains(&PathBuf::from("config/conf.d")));
    }
    let minimal = fs::read_to_string("config/minimal.yaml").unwrap();
    assert!(minimal.lines().count() <= 10);
}

#[test]
fn the_example_means_what_its_comments_say() {
    let config = Config::load(Some(Path::new("config/example.yaml")), &house())
        .unwrap()
        .config;
    let policy = &config.policy;
    assert_eq!(policy.mode, Mode::Enforce);
    let igpu = &policy.gpus[0];
    assert_eq!(
        (igpu.capacity, igpu.learn),
        (Seats::from_milli(14_400), true)
    );
    assert_eq!(policy.users[0].limits.transcodes, Some(4));
    assert_eq!(policy.users[0].limits.seats, None);
    let children = &policy.classes[0];
    assert_eq!(children.user.as_ref().unwrap().transcodes, Some(1));
    assert_eq!(
        children.user.as_ref().unwrap().seats,
        Some(Seats::from_milli(8000))
    );
    assert_eq!(policy.classes.last().unwrap().id.as_str(), "default");
    let bedtime = &policy.windows[0];
    assert_eq!((bedtime.from, bedtime.to), (21 * 60, 6 * 60 + 30));
    assert!(bedtime.days.has(6) && !bedtime.days.has(5));
    let text = config
        .proxy
        .texts
        .get(Some("de-DE,de;q=0.9"), Reason::TimeWindow);
    assert_eq!(text, Some("Es ist spät. Gute Nacht!"));
}

#[test]
fn the_table_of_profiles_says_what_each_gives() {
    let text = fs::read_to_string("docs/operating.md").unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut said: Vec<(String, String)> = rows
        .filter_map(|row| {
            let (name, rest) = row.split_once("` | ")?;
            let seats = rest.strip_suffix(" |")?.rsplit(" | ").next()?;
            config::profiles()
                .contains(&name)
                .then(|| (name.to_owned(), seats.to_owned()))
        })
        .collect();
    let cores = (
        "software".to_owned(),
        "half a seat a core, less 15 %".to_owned(),
    );
    assert_eq!(said.pop(), Some(cores));
    let gives: Vec<_> = config::profiles()
        .into_iter()
        .filter(|name| *name != "software")
        .map(|name| {
            let seats = config::profile_seats(name).unwrap();
            (name.to_owned(), seats.to_string())
        })
        .collect();
    assert_eq!(said, gives);
}

#[test]
fn the_configuration_that_operating_installs_is_well_and_observes() {
    let text = fs::read_to_string("docs/operating.md").unwrap();
    let (_, rest) = text.split_once("<<'END'\n").unwrap();
    let (yaml, _) = rest.split_once("END\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finweir.yaml");
    fs::write(&file, yaml).unwrap();
    fs::write(dir.path().join("jellyfin-api-key"), "the-key\n").unwrap();
    let loaded = Config::load(Some(&file), &environment(&[])).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.policy.mode, Mode::Observe);
}
