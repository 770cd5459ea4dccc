//! What is written, what is lost, and what is read back.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{spool::WAITING, *};
use crate::{
    admission::{Activity, Bitrate, Demand, Kind, Mode, Origin, Seats, Who},
    clock,
    ident::{GpuId, ItemId, NodeId, PlaySessionId, UserId},
    telemetry,
};

fn policy() -> Arc<Policy> {
    let (node, gpu) = (NodeId::new("node"), GpuId::new("gpu"));
    let mut policy = Policy::observe(node, gpu, Seats::from_milli(2000));
    policy.mode = Mode::Enforce;
    Arc::new(policy)
}

fn telemetry() -> Telemetry {
    Telemetry::new(&telemetry::Settings {
        format: telemetry::LogFormat::Auto,
        level: "info".to_owned(),
        user_label: telemetry::UserLabel::None,
        gpus: Vec::new(),
        nodes: Vec::new(),
        classes: Vec::new(),
    })
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: Some(dir.to_owned()),
        max_size: 8 << 20,
        max_age: Duration::from_secs(86_400),
        pseudonyms: false,
    }
}

fn begin(settings: &Settings) -> Journal {
    let (now, wall) = (clock::now(), clock::wall());
    Journal::begin(settings, now, wall, &policy(), telemetry())
        .unwrap()
        .unwrap()
}

fn touch(number: usize) -> Input {
    Input::Touch {
        session: PlaySessionId::new(format!("session-{number}")),
        activity: Activity::Playlist,
    }
}

fn demand() -> Demand {
    Demand {
        who: Who {
            user: UserId::new("0b1c2d3e4f5061728394a5b6c7d8e9f0"),
            name: Some(Arc::from("Anna")),
            admin: false,
            device: "the-telly".into(),
            client: Arc::from("Jellyfin Web"),
            address: Some("192.168.7.13".parse().unwrap()),
        },
        item: ItemId::new("film"),
        session: Some("a-session".into()),
        node: NodeId::new("node"),
        kind: Kind::Direct,
        origin: Origin::Negotiation,
        rate: Bitrate::ZERO,
        library: None,
        rungs: Vec::new(),
        would: None,
        patience: Duration::from_millis(1500),
        replaces: false,
        why: None,
    }
}

/// Writes touches, and waits until they are on disk.
fn write(journal: &Journal, count: usize) {
    for number in 0..count {
        journal.step(clock::now(), touch(number), &[]);
    }
    journal.flush();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    files::list(dir).unwrap()
}

fn sessions(reading: &Reading) -> usize {
    let steps = reading.parts.iter().flat_map(|part| &part.steps);
    steps
        .filter(|step| matches!(step.told, Input::Touch { .. }))
        .count()
}

#[test]
fn what_was_told_is_read_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let journal = begin(&settings(dir.path()));
    journal.step(
        clock::now(),
        Input::Decide(Box::new(demand())),
        &[Event::PolicyChanged {
            mode: Mode::Enforce,
        }],
    );
    journal.note(
        clock::now(),
        Note::ConfigRejected {
            error: "nothing is well".to_owned(),
        },
    );
    write(&journal, 3);
    let reading = Reading::of(dir.path()).unwrap();
    assert_eq!(reading.warnings, Vec::<String>::new());
    let [part] = reading.parts.as_slice() else {
        panic!("not one part: {reading:?}")
    };
    assert!(part.is_whole() && part.gaps.is_empty());
    assert_eq!(part.header.policy, policy());
    assert_eq!(sessions(&reading), 3);
    let Input::Decide(read) = &part.steps[0].told else {
        panic!("not a demand: {:?}", part.steps[0])
    };
    assert_eq!(format!("{read:?}"), format!("{:?}", demand()));
    let did = part.steps[0].did.as_deref();
    assert_eq!(did, Some(r#"[{"policy-changed":{"mode":"enforce"}}]"#));
    assert!(
        matches!(&part.notes[0].1, Note::ConfigRejected { error } if error == "nothing is well")
    );
    // A numbered decision of a later start is never the same.
    assert!(journal.numbers().decision > 0);
}

#[test]
fn a_torn_last_line_is_told_and_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    write(&begin(&settings(dir.path())), 5);
    let first = files(dir.path()).remove(0);
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.get(..text.len() - 20).unwrap()).unwrap();
    write(&begin(&settings(dir.path())), 4);
    let reading = Reading::of(dir.path()).unwrap();
    assert_eq!(sessions(&reading), 8);
    assert_eq!(reading.parts.len(), 2);
    let [warning] = reading.warnings.as_slice() else {
        panic!("{:?}", reading.warnings)
    };
    let place = format!("{}:6: the last line is torn", first.display());
    assert!(warning.starts_with(&place), "{warning}");
    // A process that was killed while it wrote its very first line.
    fs::write(&first, text.get(..40).unwrap()).unwrap();
    assert_eq!(sessions(&Reading::of(dir.path()).unwrap()), 4);
}

#[test]
fn a_line_that_is_damaged_is_named_and_leaves_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    write(&begin(&settings(dir.path())), 5);
    let file = files(dir.path()).remove(0);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("session-1", "session\u{1}", 1)).unwrap();
    let reading = Reading::of(&file).unwrap();
    assert_eq!(sessions(&reading), 4);
    assert_eq!(reading.parts[0].gaps.len(), 1);
    let place = format!("{}:3: can't be read", file.display());
    assert!(reading.warnings[0].starts_with(&place), "{reading:?}");
}

#[test]
fn another_version_and_another_kind_of_file_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| Reading::of(path).unwrap_err().to_string();
    assert!(said(dir.path()).contains("there is no journal here"));
    assert!(said(&dir.path().join("nowhere")).contains("can't be read"));
    let file = dir.path().join("journal-1.ndjson");
    fs::write(&file, "{\"file\":{\"version\":7,\"whatever\":1}}\n").unwrap();
    assert!(said(&file).contains("has version 7, and this Finweir reads version 1"));
    fs::write(&file, "{\"level\":\"info\"}\n{}\n").unwrap();
    assert!(said(dir.path()).contains(":1: does not begin like a journal"));
}

#[test]
fn files_are_rotated_read_as_one_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = settings(dir.path());
    small.max_size = 512 << 10;
    let journal = begin(&small);
    for _ in 0..4 {
        write(&journal, 500);
    }
    let whole = Reading::of(dir.path()).unwrap();
    assert!(files(dir.path()).len() > 2, "{:?}", files(dir.path()));
    assert_eq!((whole.parts.len(), sessions(&whole)), (1, 2000));
    assert!(whole.parts[0].is_whole());
    for _ in 0..20 {
        write(&journal, 500);
    }
    let size: u64 = files(dir.path())
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(size <= small.max_size, "{size}");
    let late = Reading::of(dir.path()).unwrap();
    assert!(!late.parts[0].is_whole());
    assert!(sessions(&late) > 1000 && sessions(&late) < 12_000);
}

#[test]
fn what_is_older_than_it_may_be_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    write(&begin(&settings(dir.path())), 5);
    let old = files(dir.path()).remove(0);
    let long_ago = clock::wall() - Duration::from_secs(2 * 86_400);
    let file = fs::File::options().append(true).open(&old).unwrap();
    file.set_modified(long_ago).unwrap();
    write(&begin(&settings(dir.path())), 5);
    assert!(!old.exists());
    assert_eq!(sessions(&Reading::of(dir.path()).unwrap()), 5);
}

#[test]
fn a_full_list_holds_nobody_and_the_gap_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::default();
    let telemetry = telemetry();
    let numbers = Numbers::default();
    let header = Header::new(Duration::from_secs(1), numbers, policy(), false);
    let files = Files::new(dir.path().to_owned(), 64 << 20, Duration::from_secs(60));
    let start = clock::now();
    let mut writer = Writer::new(spool.clone(), start, header, files, None, telemetry.clone());
    writer.open().unwrap();
    for number in 0..WAITING + 7 {
        spool.push(Entry::Step {
            at: 1,
            input: touch(number),
            events: Vec::new(),
        });
    }
    let mut entries = Vec::new();
    let lost = spool.take(&mut entries).unwrap();
    writer.write(entries.drain(..), lost);
    let reading = Reading::of(dir.path()).unwrap();
    assert_eq!(sessions(&reading), WAITING);
    let gap = Gap {
        t: 1,
        lost: Some(7),
    };
    assert_eq!(reading.parts[0].gaps, [gap]);
    let metrics = telemetry.gather();
    assert!(
        metrics.contains("finweir_journal_lost_total 7"),
        "{metrics}"
    );
    assert!(metrics.contains(&format!("finweir_journal_records_total {WAITING}")));
}

#[test]
fn a_disk_that_fails_costs_records_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::default();
    let telemetry = telemetry();
    let numbers = Numbers::default();
    let header = Header::new(Duration::from_secs(1), numbers, policy(), false);
    // A file stands where the directory should be.
    let place = dir.path().join("journal");
    fs::File::create(&place).unwrap().write_all(b"x").unwrap();
    let files = Files::new(place.clone(), 1 << 20, Duration::from_secs(60));
    let start = clock::now();
    let mut writer = Writer::new(spool, start, header, files, None, telemetry.clone());
    assert!(writer.open().is_err());
    let step = Entry::Step {
        at: 1,
        input: touch(1),
        events: Vec::new(),
    };
    writer.write(std::iter::once(step), 0);
    let metrics = telemetry.gather();
    assert!(metrics.contains("finweir_journal_write_errors_total 1"));
    assert!(metrics.contains("finweir_journal_lost_total 1"));
    let wanted = settings(&place);
    let (now, wall) = (clock::now(), clock::wall());
    assert!(Journal::begin(&wanted, now, wall, &policy(), telemetry).is_err());
}

#[test]
fn with_pseudonyms_nobody_is_named_and_rules_still_find_him() {
    let dir = tempfile::tempdir().unwrap();
    let mut hidden = settings(dir.path());
    hidden.pseudonyms = true;
    let journal = begin(&hidden);
    journal.step(clock::now(), Input::Decide(Box::new(demand())), &[]);
    let order = crate::admission::Order::Pause;
    let who: std::sync::Arc<str> = "Anna (192.168.7.13)".into();
    journal.step(
        clock::now(),
        Input::Operate {
            order,
            who: who.clone(),
        },
        &[Event::Operator {
            order,
            who,
            subject: None,
        }],
    );
    let yaml = Note::config_taken("users: {rules: [{user: Anna}]}");
    journal.note(clock::now(), yaml);
    write(&journal, 1);
    let text = fs::read_to_string(files(dir.path()).remove(0)).unwrap();
    let lower = text.to_lowercase();
    for secret in [
        "anna",
        "0b1c2d3e",
        "the-telly",
        "a-session",
        "session-0",
        "7.13",
    ] {
        assert!(!lower.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("192.168.7.0") && text.contains("Jellyfin Web"));
    let reading = Reading::of(dir.path()).unwrap();
    let names = reading.pseudonyms().unwrap().unwrap();
    let Input::Decide(read) = &reading.parts[0].steps[0].told else {
        panic!("not a demand")
    };
    for written in ["ANNA", "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"] {
        let mut policy = policy().as_ref().clone();
        policy.users.push(crate::admission::UserRule {
            user: written.to_owned(),
            limits: crate::admission::UserLimits::default(),
        });
        let known = names.policy(&policy);
        assert!(read.who.is_called(&known.users[0].user), "{written}");
        assert!(!read.who.is_called(&policy.users[0].user));
    }
    fs::remove_file(dir.path().join("key")).unwrap();
    assert!(reading.pseudonyms().is_err());
}
