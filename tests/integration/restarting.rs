//! Restarts: of Finweir, and of Jellyfin as another version.

use std::time::Duration;

use finweir::sim::Version;

use crate::support::{Setting, Web, both, items, until};

#[tokio::test]
async fn a_restart_of_finweir_refuses_nobody_and_counts_right() {
    both(async |version| {
        let mut house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
            .set("leases", "{recovery: 90s, linger: 100ms}")
            .start()
            .await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let ben = Web::login(&house, "ben", "desk").await;
        let of_anna = anna.play(items::LONG).await.playing();
        let of_ben = ben.play(items::LONG).await.playing();
        house.restart_finweir().await;
        until("what runs is known from /Sessions", || house.held() == 2).await;
        for (web, play) in [(&anna, &of_anna), (&ben, &of_ben)] {
            assert_eq!(web.device.segment(play, 1).await, 200);
            assert_eq!(web.device.segment(play, 2).await, 200);
            web.seek(play, 300).await;
            let lease = house.lease(&play.session).unwrap();
            assert!(lease.user_name.is_some(), "{lease:?}");
        }
        assert_eq!(
            (house.held(), house.snapshot().leases.len(), house.refused()),
            (2, 2, 0)
        );
        let carla = Web::login(&house, "carla", "tablet").await;
        assert_eq!(
            carla.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        anna.stop(&of_anna, Duration::from_secs(9)).await;
        until("anna's seat is free", || house.held() == 1).await;
        carla.play(items::HEAVY).await.playing();
    })
    .await;
}

#[tokio::test]
async fn a_segment_may_come_before_the_first_look_at_jellyfin() {
    both(async |version| {
        let mut house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .set("leases", "{recovery: 90s, linger: 100ms}")
            .without_key()
            .start()
            .await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let play = anna.play(items::LONG).await.playing();
        house.restart_finweir().await;
        assert_eq!(house.held(), 0);
        assert_eq!(anna.device.segment(&play, 1).await, 200);
        let lease = house.lease(&play.session).unwrap();
        assert_eq!((house.held(), lease.state.as_str()), (1, "active"));
        let ben = Web::login(&house, "ben", "desk").await;
        assert_eq!(
            ben.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
    })
    .await;
}

#[tokio::test]
async fn jellyfin_comes_back_as_another_version_and_is_learned_anew() {
    let mut house = Setting::of(Version::V12_0).start().await;
    let body = |web: &Web| web.body(items::HEVC8, Duration::ZERO);
    house.kill_jellyfin();
    until("Finweir has seen that it is gone", || {
        house.metric("finweir_jellyfin_up", &[]) == 0
    })
    .await;
    house.start_jellyfin(Version::V10_11).await;
    until("Finweir has asked the new one", || {
        house.asked("NamedConfiguration") > 0
    })
    .await;
    let web = Web::login(&house, "anna", "laptop").await;
    // A carrier that 12 does not know.
    let target = format!(
        "/Items/{}/PlaybackInfo?api_key={}",
        items::HEVC8,
        web.device.token
    );
    let mut bare = web.device.clone();
    bare.authorization = "none".to_owned();
    let answer = bare.send("POST", &target, Some(&body(&web))).await;
    let session = answer.json()["PlaySessionId"].as_str().unwrap().to_owned();
    let lease = house.lease(&session).unwrap();
    assert_eq!(lease.user_name.as_deref(), Some("anna"));
}
