//! What seats were spent on.

use std::collections::HashMap;

use super::*;
use crate::admission::{Cause, Why};

fn codec(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn pgs(index: i64) -> Cause {
    Cause::ImageSubtitle {
        codec: codec("pgssub"),
        index,
    }
}

fn hevc() -> Cause {
    Cause::VideoCodec {
        codec: codec("hevc"),
    }
}

fn ceiling(kilobits: u64) -> Cause {
    Cause::Bitrate { kilobits }
}

/// Somebody plays something for so many minutes, because of this.
fn plays(evening: &mut Evening, user: &str, item: &str, minutes: u64, causes: &[Cause]) {
    let session = format!("{user}-{item}-{}", evening.t.as_secs());
    let demand = Demand {
        why: Some(Arc::new(Why {
            source: Some(ItemId::new(format!("{item}-file"))),
            causes: causes.to_vec(),
        })),
        ..demand(user, item, &session, 0)
    };
    let decision = evening.tell(Input::Decide(Box::new(demand)));
    assert!(matches!(decision, Some(Decision::Admit { .. })));
    evening.watch(&session, minutes * 60);
    evening.wait(1200);
}

/// Two films with PGS subtitles, one of them in HEVC too; two users with a ceiling; one film that nobody knows more of.
fn week() -> Evening {
    let mut evening = Evening::new(policy(2000));
    plays(&mut evening, "ann", "one", 60, &[pgs(2)]);
    plays(&mut evening, "ann", "two", 60, &[pgs(3)]);
    plays(&mut evening, "bob", "two", 30, &[hevc(), pgs(3)]);
    plays(&mut evening, "bob", "three", 30, &[ceiling(8000)]);
    plays(&mut evening, "carl", "three", 15, &[ceiling(8000)]);
    evening.begin("dora", "four", "dora-four", 0);
    evening.watch("dora-four", 300);
    evening.wait(120);
    evening.tell(Input::Week { minute: 3 });
    evening
}

fn advice(reading: &Reading) -> Advice {
    advise(&Replay {
        reading,
        base: clock::now(),
    })
}

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 0.05, "{found} is not {wanted}");
}

#[test]
fn hours_are_counted_once_and_add_up() {
    let found = advice(&week().read());
    let groups: Vec<_> = found
        .causes
        .iter()
        .map(|group| (group.name.as_str(), group.plays, group.users, group.files))
        .collect();
    assert_eq!(
        groups,
        [
            ("PGS subtitles", 2, 1, 2),
            ("bitrate ceiling", 2, 2, 1),
            ("HEVC picture + PGS subtitles", 1, 1, 1),
            ("an unknown cause", 1, 1, 1),
        ]
    );
    let hours: Vec<f64> = found.causes.iter().map(|group| group.seat_hours).collect();
    for (found, wanted) in hours.iter().zip([2.0, 0.75, 0.5, 0.083]) {
        near(*found, wanted);
    }
    near(hours.iter().sum(), found.seat_hours);
    let replay = week().read();
    let replay = Replay {
        reading: &replay,
        base: clock::now(),
    };
    near(found.seat_hours, replay.past().seat_hours);
    assert_eq!(found.plays, 6);
    assert!(
        found.causes[0]
            .advice
            .starts_with("PGS subtitles (2 tracks) in 2 files cost 2.0 h: convert the tracks"),
        "{}",
        found.causes[0].advice
    );
}

#[test]
fn files_players_and_settings_have_lists_of_their_own() {
    let found = advice(&week().read());
    let files: Vec<_> = found
        .files
        .iter()
        .map(|file| (file.item.as_str(), file.plays, file.convert))
        .collect();
    // A ceiling is no fault of the file's.
    assert_eq!(
        files,
        [
            ("two", 2, true),
            ("one", 1, true),
            ("three", 2, false),
            ("four", 1, false)
        ]
    );
    assert_eq!(found.players[0].user.as_str(), "ann");
    assert_eq!(found.players[0].cause, "PGS subtitles");
    near(found.players[0].part, 1.0);
    let [setting] = found.settings.as_slice() else {
        panic!("{:?}", found.settings)
    };
    assert_eq!((setting.kilobits, setting.users), (8000, 2));
    near(setting.alone, 0.75);
    let text = found.text(10);
    assert!(
        text.contains("2 users have 8 Mbit/s in Jellyfin Web (45 min of it for this alone)"),
        "{text}"
    );
    assert!(text.contains("forces PGS subtitles (100 %)"), "{text}");
}

#[test]
fn lists_for_other_programs_name_paths_where_they_are_known() {
    let mut found = advice(&week().read());
    assert_eq!(found.paths(), (String::new(), 2));
    let node = NodeId::new("node");
    assert_eq!(found.items(&node).len(), 4);
    let named = |title: &str, path: &str, item: &str| {
        let version = (ItemId::new(format!("{item}-file")), Some(path.to_owned()));
        let named = Named {
            title: title.to_owned(),
            path: Some("/media/other".to_owned()),
            sources: vec![version],
        };
        (ItemId::new(item), named)
    };
    let known: HashMap<_, _> = [
        named("=1+1", "/media/One, the film.mkv", "one"),
        named("Two", "/media/two\n.mkv", "two"),
        named("Three", "/media/three.mkv", "three"),
    ]
    .into();
    found.name(&node, &known);
    // A path with a line break would be two; what a ceiling costs no conversion saves.
    let list = ("/media/One, the film.mkv\n".to_owned(), 1);
    assert_eq!(found.paths(), list);
    let csv = found.csv();
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(rows.len(), 6, "{csv}");
    assert!(rows[0].starts_with("item,source,server,title,path,"));
    assert!(
        rows[2].starts_with("one,one-file,node,\"'=1+1\",\"/media/One, the film.mkv\",1.0"),
        "{csv}"
    );
    assert!(found.text(10).contains("Three"));
}

#[test]
fn nothing_is_charged_between_two_processes() {
    let mut evening = Evening::new(policy(2000));
    evening.begin("ann", "film", "ann-film", 0);
    evening.segment("ann-film");
    evening.wait(60);
    evening.segment("ann-film");
    let mut reading = evening.read();
    let mut later = week().read();
    for part in &mut later.parts {
        part.header.start += 24 * 3_600_000;
    }
    reading.parts.append(&mut later.parts);
    let found = advice(&reading);
    near(
        found.seat_hours,
        1.0 / 60.0 + advice(&week().read()).seat_hours,
    );
}

#[test]
fn a_journal_from_before_causes_is_read_and_says_that_they_are_unknown() {
    let demand = demand("ann", "film", "session", 0);
    let old = serde_json::to_string(&demand).unwrap();
    assert!(!old.contains("why"));
    let read: Demand = serde_json::from_str(&old).unwrap();
    assert!(read.why.is_none());
    let known = Demand {
        why: Some(Arc::new(Why {
            source: None,
            causes: vec![pgs(2), ceiling(8000), hevc(), Cause::Interlaced],
        })),
        ..demand
    };
    let text = serde_json::to_string(&known).unwrap();
    let again: Demand = serde_json::from_str(&text).unwrap();
    assert_eq!(again.why, known.why);
    let mut evening = Evening::new(policy(2000));
    evening.begin("ann", "film", "ann-film", 0);
    evening.watch("ann-film", 600);
    evening.tell(Input::Week { minute: 3 });
    let found = advice(&evening.read());
    assert_eq!(found.causes[0].name, "an unknown cause");
}

#[test]
fn causes_are_known_where_the_beginning_of_a_journal_is_gone() {
    let mut reading = week().read();
    for part in &mut reading.parts {
        part.header.part = 1;
    }
    let found = advice(&reading);
    let names: Vec<&str> = found.causes.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names[0], "PGS subtitles");
    near(found.seat_hours, advice(&week().read()).seat_hours);
}

#[test]
fn causes_change_no_decision() {
    let reading = week().read();
    let again = again(&reading, clock::now());
    assert!(again.compared > 100 && again.events > 10);
    assert_eq!(again.different, 0, "{:?}", again.differences);
}

#[test]
fn an_evening_without_an_encode_needs_no_advice() {
    let mut evening = Evening::new(policy(2000));
    evening.tell(Input::Week { minute: 3 });
    evening.wait(60);
    evening.tell(Input::Week { minute: 4 });
    let text = advice(&evening.read()).text(10);
    assert!(text.contains("there is nothing to advise"), "{text}");
}
