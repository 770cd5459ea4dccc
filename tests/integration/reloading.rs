//! Reload: a bad file keeps the last good configuration, a lowered limit ends nobody.

use std::{fs, path::PathBuf};

use finweir::config::Config;

use crate::support::{House, Setting, Web, both, items, until};

fn from_file(house: &House, path: PathBuf) -> finweir::app::Reload {
    let source =
        Box::new(move || Config::parse_str("house.yaml", &fs::read_to_string(&path).unwrap()));
    house.finweir().reloader(source, house.config.clone())
}

#[tokio::test]
async fn a_bad_file_keeps_the_last_good_configuration() {
    let house = House::of(finweir::sim::Version::V12_0).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("house.yaml");
    fs::write(
        &path,
        house.yaml().replace("transcodes: 1", "transcodes: lots"),
    )
    .unwrap();
    let mut reload = from_file(&house, path.clone());
    assert!(!reload.reload());
    assert_eq!(
        house.metric("finweir_config_last_reload_successful", &[]),
        0
    );
    Web::login(&house, "anna", "laptop")
        .await
        .play(items::LONG)
        .await
        .playing();
    let second = Web::login(&house, "anna", "tablet").await;
    assert_eq!(
        second.play(items::HEVC8).await.says(),
        "PlaybackError.RateLimitExceeded"
    );

    fs::write(
        &path,
        house.yaml().replace("transcodes: 1", "transcodes: 2"),
    )
    .unwrap();
    assert!(reload.reload());
    assert_eq!(
        house.metric("finweir_config_last_reload_successful", &[]),
        1
    );
    second.play(items::HEAVY).await.playing();
}

#[tokio::test]
async fn a_lowered_limit_ends_nobody() {
    both(async |version| {
        let house = Setting::of(version)
            .set("users", "{default: {transcodes: 2}}")
            .start()
            .await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("house.yaml");
        let mut plays = Vec::new();
        for id in ["laptop", "tablet"] {
            let web = Web::login(&house, "anna", id).await;
            let play = web.play(items::LONG).await.playing();
            plays.push((web, play));
        }
        let lower = house
            .yaml()
            .replace("transcodes: 2", "transcodes: 1")
            .replace("capacity: 3", "capacity: 1");
        fs::write(&path, lower).unwrap();
        assert!(from_file(&house, path).reload());
        for (web, play) in &mut plays {
            web.seek(play, 2).await;
            web.seek(play, 300).await;
            web.bitrate = 720_000;
            *play = web
                .change(play, std::time::Duration::from_secs(9), |_| ())
                .await
                .playing();
        }
        assert_eq!(
            (house.held(), house.refused(), house.sim().stalls()),
            (2, 0, 0)
        );
        let third = Web::login(&house, "anna", "desk").await;
        assert_eq!(
            third.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
    })
    .await;
}

#[tokio::test]
async fn what_changed_before_the_file_was_watched_is_not_missed() {
    let house = House::of(finweir::sim::Version::V12_0).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("house.yaml");
    // Written while the program started: nobody will say so any more.
    fs::write(
        &path,
        house.yaml().replace("transcodes: 1", "transcodes: lots"),
    )
    .unwrap();
    let (_never, told) = tokio::sync::mpsc::channel(1);
    let read = until("the file is read again", || {
        house.metric("finweir_config_last_reload_successful", &[]) == 0
    });
    tokio::select! {
        () = from_file(&house, path.clone()).run(vec![path], told) => {}
        () = read => {}
    }
}

#[tokio::test]
async fn what_came_through_a_pipe_is_not_read_again() {
    let house = House::of(finweir::sim::Version::V12_0).await;
    let directory = tempfile::tempdir().unwrap();
    // It is as little a file as a pipe.
    let path = directory.path().join("house.yaml");
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let source = Box::new(|| panic!("it is read again"));
    let reload = house.finweir().reloader(source, house.config.clone());
    let (tell, told) = tokio::sync::mpsc::channel(1);
    let hears = async {
        for _ in 0..3 {
            tell.send(()).await.unwrap();
        }
    };
    tokio::select! {
        () = reload.run(vec![path], told) => {}
        () = hears => {}
    }
}
