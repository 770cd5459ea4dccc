//! A new configuration in a running program.

use std::{fs, os::unix::fs::symlink, process::Command};

use super::{
    child::{Child, Signal},
    house::{Finweir, House, jellyfin},
    http::{Answer, Connection, get},
    viewer::{Played, Viewer, film},
};

const RELOADED: &str = "\"Configuration reloaded\"";
const SUCCESSFUL: &str = "finweir_config_last_reload_successful ";

#[tokio::test]
async fn sighup_puts_a_new_limit_in_force_and_drops_no_connection() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let (anna, again) = (
        Viewer::new(&sim, "anna", "a"),
        Viewer::new(&sim, "anna", "b"),
    );
    let plays = anna.play(finweir.address, &film(1)).await.plays();
    again.play(finweir.address, &film(2)).await.refused();

    let (_held, download) = anna
        .download(finweir.address, &film(0), (0, (32 << 20) - 1))
        .await;
    let mut kept = Connection::open(finweir.address).await.unwrap();
    assert_eq!(kept.ask(get("/System/Ping")).await.unwrap().status, 200);

    house.settings.transcodes = "2";
    house.write();
    finweir.child.signal(Signal::HUP);
    finweir.child.says(RELOADED).await;
    let other = again.play(finweir.address, &film(3)).await.plays();
    assert_eq!(kept.ask(get("/System/Ping")).await.unwrap().status, 200);
    assert_eq!(Answer::read(download).await.unwrap().body.len(), 32 << 20);

    // A lower one cuts nobody who plays.
    let said = finweir.child.written();
    house.settings.transcodes = "0";
    house.settings.seats = 1;
    house.write();
    finweir.child.signal(Signal::HUP);
    finweir.child.says_after(said, RELOADED).await;
    for number in 1..4 {
        anna.segment(finweir.address, &plays, number).await;
        again.segment(finweir.address, &other, number).await;
    }
    Viewer::new(&sim, "ben", "c")
        .play(finweir.address, &film(1))
        .await
        .refused();
}

#[tokio::test]
async fn a_changed_file_is_noticed_written_in_place_or_renamed_there() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let ben = Viewer::new(&sim, "ben", "a");
    ben.play(finweir.address, &film(1)).await.plays();

    for (transcodes, renamed) in [("2", false), ("3", true)] {
        let device = Viewer::new(&sim, "ben", transcodes);
        device.play(finweir.address, &film(2)).await.refused();
        let said = finweir.child.written();
        house.settings.transcodes = transcodes;
        if renamed {
            fs::write(house.path(".new"), house.yaml()).unwrap();
            fs::rename(house.path(".new"), house.file()).unwrap();
        } else {
            house.write();
        }
        finweir.child.says_after(said, RELOADED).await;
        device.play(finweir.address, &film(3)).await.plays();
    }

    house.settings.admin = "127.0.0.1:1".to_owned();
    house.write();
    let said = finweir.child.says("need a restart").await;
    assert!(said.contains("\"keys\":\"admin\""), "{said}");
}

#[tokio::test]
async fn a_file_named_without_its_directory_is_watched_too() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_finweir"));
    command
        .args(["run", "--config", "finweir.yaml"])
        .current_dir(house.dir.path())
        .env_clear();
    let child = Child::start("finweir", &mut command);
    let finweir = Finweir::serving(child).await.ready().await;
    house.settings.transcodes = "3";
    house.write();
    finweir.child.says(RELOADED).await;
}

#[tokio::test]
async fn a_file_behind_a_link_that_moves_is_noticed() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    let put = |house: &House, version: &str| {
        fs::create_dir(house.path(version)).unwrap();
        fs::write(house.path(version).join("finweir.yaml"), house.yaml()).unwrap();
        symlink(version, house.path("..new")).unwrap();
        fs::rename(house.path("..new"), house.path("..data")).unwrap();
    };
    put(&house, "one");
    symlink("..data/finweir.yaml", house.file()).unwrap();
    let finweir = Finweir::start(&house.file()).await.ready().await;
    house.settings.transcodes = "3";
    put(&house, "two");
    let said = finweir.child.says("\"Configuration: ").await;
    assert!(said.contains("users.default.transcodes"), "{said}");
    finweir.child.says(RELOADED).await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_says_where_it_is_bad_and_is_forgotten_once_mended() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    assert_eq!(finweir.metric(SUCCESSFUL).await, Some(1.0));
    let carla = Viewer::new(&sim, "carla", "a");
    let second = Viewer::new(&sim, "carla", "b");
    carla.play(finweir.address, &film(1)).await.plays();

    house.settings.transcodes = "2";
    let text = house.yaml();
    fs::write(house.file(), text.replace("queue:", "quue:")).unwrap();
    let said = finweir.child.says("NOT reloaded").await;
    assert!(
        said.contains("finweir.yaml:4:1: quue: unknown key"),
        "{said}"
    );
    assert!(said.contains("\"ERROR\""), "{said}");
    assert_eq!(finweir.metric(SUCCESSFUL).await, Some(0.0));
    second.play(finweir.address, &film(2)).await.refused();
    carla.play(finweir.address, &film(1)).await.plays();

    fs::write(house.file(), text).unwrap();
    finweir.child.says(RELOADED).await;
    assert_eq!(finweir.metric(SUCCESSFUL).await, Some(1.0));
    let now = second.play(finweir.address, &film(3)).await;
    assert!(matches!(now, Played::Plays(_)), "{now:?}");
}
