//! What is written down outlives the program, however it ends, and is decided again by another one.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use finweir::journal::{Reading, Step};
use serde_json::Value;

use super::{
    child::Signal,
    house::{Finweir, House, jellyfin},
    viewer::{Viewer, film},
};

/// What may be lost of a process that is killed.
const LOST: Duration = Duration::from_secs(1);

fn told(reading: &Reading, what: &str) -> usize {
    let named = |step: &&Step| format!("{:?}", step.told).starts_with(what);
    let steps = reading.parts.iter().flat_map(|part| &part.steps);
    steps.filter(named).count()
}

/// The program called with a journal: its exit code, and all that it said.
fn called(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_finweir"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn killed_in_the_middle_it_leaves_a_journal_that_is_decided_again_exactly() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let dir = house.path("journal");
    let journal = dir.to_str().unwrap();
    let yaml = format!("{}journal: {{dir: \"{journal}\"}}\n", house.yaml());
    fs::write(house.file(), yaml).unwrap();
    let before = Finweir::start(&house.file()).await.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    let first = anna.play(before.address, &film(1)).await.plays();
    anna.segment(before.address, &first, 1).await;
    let other = Viewer::new(&sim, "anna", "b");
    other.play(before.address, &film(3)).await.refused();
    let state = before.state().await;
    let refusal = state.pointer("/recent/0").unwrap().clone();
    assert_eq!(refusal.get("decision"), Some(&Value::from("reject")));
    // What is tried is that real time is enough.
    tokio::time::sleep(LOST).await;
    let id = refusal.get("id").and_then(Value::as_str).unwrap();
    let page = before.page(&format!("/explain?id={id}")).await;
    assert!(page.contains("user limit 2 (it is 1)"), "{page}");
    // Whatever comes now may be lost.
    anna.segment(before.address, &first, 2).await;
    before.child.kill().await;

    let reading = Reading::of(&dir).unwrap();
    assert_eq!(reading.warnings, Vec::<String>::new());
    assert!(told(&reading, "Decide") >= 2, "{:?}", before.child.log());
    assert!(told(&reading, "Bind") >= 1 && told(&reading, "Confirm") >= 1);

    // As if it had been killed while it wrote.
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let file = files.remove(0);
    let text = fs::read(&file).unwrap();
    fs::write(&file, text.get(..text.len() - 9).unwrap()).unwrap();
    let after = Finweir::start(&house.file()).await.ready().await;
    anna.segment(after.address, &first, 3).await;
    assert_eq!(after.metric("finweir_journal_lost_total").await, Some(0.0));
    after.child.signal(Signal::TERM);
    assert_eq!(after.child.ended().await, Some(0));

    let (code, said) = called(&["replay", journal]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("every one as it was"), "{said}");
    assert!(said.contains("the last line is torn"), "{said}");
    let (code, said) = called(&[
        "replay",
        journal,
        "--config",
        house.file().to_str().unwrap(),
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("warning: ") || said.starts_with("It would"),
        "{said}"
    );
    let (code, said) = called(&["explain", id, "--journal", journal]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("[user-limit]"), "{said}");
    assert!(said.contains("user limit 2 (it is 1)"), "{said}");
    // What stopped in order says so, and loses nothing.
    let reading = Reading::of(&dir).unwrap();
    let last = reading.parts.last().unwrap();
    assert!(format!("{:?}", last.notes.last()).contains("Stopped"));
    assert_eq!(reading.parts.len(), 2);
}
