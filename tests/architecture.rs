//! Holds `src/` to the layering that `lib.rs` promises, and its comments to pointing at what is there.
#![expect(clippy::unwrap_used, reason = "a test reports by panicking")]

#[path = "architecture/pointers.rs"]
mod pointers;

use std::{collections::BTreeSet, fs, path::Path};

/// Each module, with the modules it may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ident", &[]),
    ("clock", &[]),
    ("tasks", &[]),
    ("admission", &["ident"]),
    ("jellyfin", &["ident"]),
    ("hop", &["clock", "tasks"]),
    ("telemetry", &["ident", "clock", "admission"]),
    ("journal", &["ident", "clock", "admission", "telemetry"]),
    (
        "gate",
        &["ident", "clock", "admission", "telemetry", "journal"],
    ),
    ("upstream", &["ident", "clock", "jellyfin", "hop"]),
    ("demand", &["ident", "admission", "jellyfin", "upstream"]),
    ("gpu", &["admission"]),
    (
        "proxy",
        &[
            "ident",
            "clock",
            "tasks",
            "admission",
            "jellyfin",
            "telemetry",
            "gate",
            "upstream",
            "hop",
            "demand",
        ],
    ),
    (
        "control",
        &[
            "ident",
            "clock",
            "tasks",
            "admission",
            "jellyfin",
            "telemetry",
            "gate",
            "upstream",
            "demand",
        ],
    ),
    (
        "admin",
        &["ident", "clock", "tasks", "admission", "gate", "telemetry"],
    ),
    (
        "notify",
        &[
            "ident",
            "clock",
            "tasks",
            "admission",
            "telemetry",
            "upstream",
        ],
    ),
    ("otlp", &["clock", "tasks", "telemetry", "upstream"]),
    ("sim", &["clock", "tasks", "gpu"]),
    ("replay", &["ident", "admission", "journal"]),
    ("scenario", &["ident", "admission", "gpu"]),
    (
        "config",
        &[
            "ident",
            "admission",
            "jellyfin",
            "hop",
            "upstream",
            "proxy",
            "control",
            "telemetry",
            "journal",
            "admin",
            "notify",
        ],
    ),
];
/// Modules that put everything together.
const TOP: &[&str] = &["lib", "main", "app", "demo"];
/// Modules that may not touch the world, and what counts as the world.
const PURE: &[&str] = &["ident", "admission", "jellyfin"];
const WORLD: &[&str] = &[
    "tokio::",
    "reqwest::",
    "axum::",
    "prometheus::",
    "tracing::",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "async fn",
    "Instant::now",
    "SystemTime::now",
];

#[test]
fn modules_depend_only_downwards() {
    let mut wrong = Vec::new();
    visit(Path::new("src"), &mut |path, text| {
        let module = module_of(path);
        if path.ends_with("tests.rs") || TOP.contains(&module.as_str()) {
            return;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(m, _)| *m == module) else {
            wrong.push(format!(
                "{}: `{module}` has no place in the layering",
                path.display()
            ));
            return;
        };
        for used in crate_modules(text) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!(
                    "{}: `{module}` may not use `{used}`",
                    path.display()
                ));
            }
        }
        let pure = PURE.contains(&module.as_str()) || path.ends_with("gpu/model.rs");
        if pure {
            for token in WORLD.iter().filter(|t| text.contains(**t)) {
                wrong.push(format!("{}: pure module names `{token}`", path.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_grows_past_its_limit() {
    let mut wrong = Vec::new();
    visit(Path::new("src"), &mut |path, text| {
        let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let lines = text.get(..tests).unwrap().lines().count();
        if lines > LIMIT && !path.ends_with("tests.rs") {
            wrong.push(format!(
                "{}: {lines} lines without tests, more than {LIMIT}",
                path.display()
            ));
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines of one file, its tests not counted.
const LIMIT: usize = 500;

fn visit(dir: &Path, f: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, f);
        } else if path.extension().is_some_and(|e| e == "rs") {
            f(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

fn module_of(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().iter().next().unwrap();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// The top-level modules that `text` names by a `crate::` path, braces included.
fn crate_modules(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let mut depth = 0;
        let mut name = String::new();
        let mut fresh = true;
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => fresh = true,
                c if c.is_alphanumeric() || c == '_' => {
                    if fresh && depth <= 1 {
                        name.push(c);
                    }
                    continue;
                }
                c if c.is_whitespace() => continue,
                _ => {}
            }
            if !name.is_empty() {
                found.insert(std::mem::take(&mut name));
                fresh = false;
            }
            if depth <= 0 {
                break;
            }
        }
    }
    found
}
