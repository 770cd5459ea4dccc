//! What comments and `docs/sources.md` point at exists: documents and their sections, recorded sets and exchanges.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::visit;

const SOURCES: &str = "docs/sources.md";
const CAPTURES: &str = "tests/captures";
/// Notes that are not in the repository, by the names under which comments once pointed at them.
const ELSEWHERE: &[&str] = &[
    "(captures ",
    "(clients ",
    "(design ",
    "(hardware ",
    "(protocol ",
    "(style ",
];

#[test]
fn every_document_and_section_that_a_comment_names_exists() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    visit(Path::new("src"), &mut |path, text| {
        let text = flowing(text);
        for (at, _) in text.match_indices("docs/") {
            let rest = text.get(at..).unwrap();
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "/-_.".contains(c)))
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            let name = name.trim_end_matches('.');
            if !name.ends_with(".md") {
                continue;
            }
            seen += 1;
            let Ok(document) = fs::read_to_string(name) else {
                wrong.push(format!("{}: there is no `{name}`", path.display()));
                continue;
            };
            if let Some(section) = section_of(after)
                && !headings(&document).any(|heading| is_named(section, heading))
            {
                let section = section.get(..40).unwrap_or(section);
                wrong.push(format!(
                    "{}: `{name}` has no section that `{section}` begins with",
                    path.display()
                ));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 30, "only {seen} documents were found in comments");
}

#[test]
fn every_recorded_set_that_a_comment_names_exists() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    visit(Path::new("src"), &mut |path, text| {
        let text = flowing(text);
        for (at, begin) in text.match_indices("captures `") {
            let rest = text.get(at + begin.len()..).unwrap();
            // A run of names in backticks, between commas.
            let mut pieces = rest.split('`');
            while let (Some(set), Some(between)) = (pieces.next(), pieces.next()) {
                seen += 1;
                if files(set).is_empty() {
                    wrong.push(format!("{}: no set is called `{set}`", path.display()));
                }
                if between.trim() != "," {
                    break;
                }
            }
        }
        for word in ELSEWHERE {
            for (at, _) in text.match_indices(word) {
                let number = text.get(at + word.len()..).unwrap();
                let number = number.trim_start_matches(|c: char| c.is_ascii_uppercase());
                if number.starts_with(|c: char| c.is_ascii_digit()) {
                    wrong.push(format!(
                        "{}: `{word}…)` points at notes that are not here",
                        path.display()
                    ));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "only {seen} sets were found in comments");
}

#[test]
fn every_recording_that_the_sources_name_is_there() {
    let text = fs::read_to_string(SOURCES).unwrap();
    let (mut wrong, mut exchanges, mut recorded) = (Vec::new(), 0, false);
    for line in text.lines() {
        let mut cells = line.split('|').skip(1);
        let Some(cell) = cells.nth(1) else {
            recorded = false;
            continue;
        };
        if cell.trim() == "recorded" {
            recorded = true;
        }
        if !recorded {
            continue;
        }
        for (set, names) in named(cell) {
            let known = names_in(set);
            if known.is_empty() {
                wrong.push(format!("no set is called `{set}`: {line}"));
            }
            for name in names {
                exchanges += 1;
                if !known.iter().any(|known| known.starts_with(name)) {
                    wrong.push(format!("nothing in `{set}` begins with \"{name}\": {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(exchanges > 50, "only {exchanges} exchanges were found");
}

/// The text with every comment on one line, as it is read.
fn flowing(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        ["//!", "///", "//"]
            .iter()
            .find_map(|mark| line.strip_prefix(mark))
            .unwrap_or(line)
            .trim()
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// What follows a document's name as the name of a section: after a comma, in a capital.
fn section_of(after: &str) -> Option<&str> {
    let section = after.trim_start_matches('`').strip_prefix(", ")?;
    section
        .starts_with(|c: char| c.is_uppercase())
        .then_some(section)
}

fn headings(document: &str) -> impl Iterator<Item = &str> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("##"))
        .map(|heading| heading.trim_start_matches('#').trim())
}

/// Whether the text begins with this heading, as whole words.
fn is_named(text: &str, heading: &str) -> bool {
    text.strip_prefix(heading)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// The sets of a cell, each with what is quoted after it.
fn named(cell: &str) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut rest = cell;
    while let Some(at) = rest.find(['`', '"']) {
        let (mark, after) = rest.split_at(at).1.split_at(1);
        let (word, after) = after.split_once(mark).unwrap();
        if mark == "`" {
            all.push((word, Vec::new()));
        } else {
            all.last_mut().unwrap().1.push(word);
        }
        rest = after;
    }
    all
}

/// The files of a set, one for each version that has it.
fn files(set: &str) -> Vec<PathBuf> {
    fs::read_dir(CAPTURES)
        .unwrap()
        .map(|version| version.unwrap().path().join(format!("{set}.jsonl.gz")))
        .filter(|file| file.is_file())
        .collect()
}

/// The names of the exchanges and notes of a set, in all versions. An exchange of a browser has none.
fn names_in(set: &str) -> Vec<String> {
    let mut names = Vec::new();
    for file in files(set) {
        let mut text = String::new();
        GzDecoder::new(File::open(file).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let name = record.get("name").or_else(|| {
                let note = record.get("note")?;
                ["tag", "what", "raw", "name"]
                    .iter()
                    .find_map(|key| note.get(key))
            });
            names.push(name.and_then(Value::as_str).unwrap_or_default().to_owned());
        }
    }
    names
}
