//! The systemd unit that is shipped.

use std::{fs, process::Command};

use finweir::config::{Config, Environment, Flag};

use super::{child::Child, house::House};

const UNIT: &str = "contrib/finweir.service";

/// What the unit says after a key.
fn says(unit: &str, key: &str) -> String {
    let mut lines = unit.lines();
    let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{UNIT} has no {key}"))
        .to_owned()
}

#[tokio::test]
async fn the_unit_is_well_formed_and_hardened() {
    let text = fs::read_to_string(UNIT).unwrap();
    let installed = "/usr/local/bin/finweir";
    assert!(says(&text, "ExecStart").starts_with(installed));
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        // There is no systemd here to ask.
        return;
    }
    let house = House::new(([127, 0, 0, 1], 1).into());
    let file = house.path("finweir.service");
    fs::write(
        &file,
        text.replace(installed, env!("CARGO_BIN_EXE_finweir")),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    // 2.0 of 10 is where `systemd-analyze` begins to call a unit more than a little exposed.
    let asked: [&[&str]; 2] = [
        &["verify", file],
        &["security", "--offline=yes", "--threshold=20", file],
    ];
    for arguments in asked {
        let child = Child::start(
            "systemd-analyze",
            Command::new("systemd-analyze").args(arguments),
        );
        assert_eq!(child.ended().await, Some(0), "{}", child.log());
    }
}

#[test]
fn the_unit_calls_the_program_as_it_is_and_waits_for_a_drain() {
    let text = fs::read_to_string(UNIT).unwrap();
    // `notify` would wait for a word that the program does not send.
    assert_eq!(says(&text, "Type"), "exec");
    assert_eq!(says(&text, "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert!(says(&text, "ExecStart").ends_with(" run --config /etc/finweir/finweir.yaml"));
    assert_eq!(says(&text, "RestartPreventExitStatus"), "64");

    let url = Flag {
        option: "--jellyfin",
        key: "jellyfin.url",
        value: "http://127.0.0.1:8096".to_owned(),
    };
    let usual = Config::load_with(None, &Environment::default(), &[url])
        .unwrap()
        .config;
    let stop: u64 = says(&text, "TimeoutStopSec").parse().unwrap();
    let drain = usual.drain_delay + usual.drain_limit;
    assert!(
        stop >= drain.as_secs() + 10,
        "killed {stop} s after SIGTERM; a drain takes {drain:?}"
    );
    let files: usize = says(&text, "LimitNOFILE").parse().unwrap();
    assert!(files > 4 * usual.hop.max_connections, "{files}");
}
