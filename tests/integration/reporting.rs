//! Reports of players: what reaches Jellyfin, and what it does to the seats.

use std::{sync::Arc, time::Duration};

use finweir::{clock, sim::Version};
use serde_json::json;

use crate::support::{Setting, Web, both, items, open, until};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_closing_tab_sends_stopped_and_hangs_up_and_its_job_ends() {
    both(async |version| {
        let house = Setting::of(version)
            .slow("/Sessions/Playing/Stopped", Duration::from_millis(400))
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let body = web.device.report_body(&play, 9 * SECOND, false).to_string();
        let headers = [
            ("Authorization".to_owned(), web.device.authorization.clone()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        let target = "/Sessions/Playing/Stopped";
        let tab = open(
            house.address(),
            "POST",
            target,
            &headers,
            Some(body.as_bytes()),
        )
        .await
        .unwrap();
        // Ten milliseconds later it is gone, as it was recorded (`web/9-closetab-unload`): real time, as Jellyfin's.
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(tab);
        until("the job has ended", || house.sim().running() == 0).await;
        until("the seat is free", || house.held() == 0).await;
        assert_eq!(house.asked("Stopped"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_delete_is_finished_though_its_client_has_gone() {
    both(async |version| {
        let house = Setting::of(version)
            .slow("/Videos/ActiveEncodings", Duration::from_millis(400))
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let target = format!(
            "/Videos/ActiveEncodings?deviceId=laptop&PlaySessionId={}",
            play.session
        );
        let headers = [("Authorization".to_owned(), web.device.authorization.clone())];
        drop(
            open(house.address(), "DELETE", &target, &headers, None)
                .await
                .unwrap(),
        );
        until("the job has ended", || house.sim().running() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn progress_keeps_job_and_seat_alive() {
    both(async |version| {
        let house = Setting::of(version)
            .tune(|config| {
                Arc::make_mut(&mut config.policy).timers.idle = 2 * SECOND;
            })
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        for at in 1..=12 {
            house.sim().advance(10 * SECOND);
            let before = clock::now();
            assert_eq!(
                web.device
                    .report("/Progress", &play, at * 10 * SECOND, false)
                    .await,
                204
            );
            let lease = house.lease(&play.session).unwrap();
            // What was silent so far counts no more.
            assert!(
                lease.idle <= clock::now() - before,
                "report {at}: {lease:?}"
            );
        }
        assert!(
            house
                .sim()
                .jobs()
                .iter()
                .any(|job| job.session.as_deref() == Some(&play.session))
        );
        until("silence ends the lease", || {
            house.lease(&play.session).is_none()
        })
        .await;
    })
    .await;
}

/// The web client after one failed segment: it shows the poster and reports on, paused, at the beginning.
async fn dies_silently(version: Version, end_jobs: bool) {
    let house = Setting::of(version)
        .set(
            "leases",
            &format!("{{recovery: 0s, linger: 100ms, end_dead_jobs: {end_jobs}}}"),
        )
        .tune(|config| {
            Arc::make_mut(&mut config.policy).timers.dead_after = Duration::from_millis(400);
        })
        .start()
        .await;
    let web = Web::login(&house, "anna", "laptop").await;
    let play = web.play(items::LONG).await.playing();
    assert_eq!(
        web.device
            .report("/Progress", &play, Duration::ZERO, true)
            .await,
        204
    );
    let ended = || house.metric("finweir_leases_ended_total", &[("ended", "dead-player")]) == 1;
    until("the dead player has lost its seat", ended).await;
    if end_jobs {
        until("its job has ended", || house.sim().running() == 0).await;
        assert_eq!(
            house.metric("finweir_jobs_ended_total", &[("ended", "dead-player")]),
            1
        );
    } else {
        assert_eq!(
            (house.sim().running(), house.asked("ActiveEncodings")),
            (1, 0)
        );
    }
}

#[tokio::test]
async fn a_dead_player_loses_its_seat() {
    both(async |version| dies_silently(version, false).await).await;
}

#[tokio::test]
async fn a_dead_player_loses_its_job_if_the_operator_wants_that() {
    both(async |version| dies_silently(version, true).await).await;
}

#[tokio::test]
async fn a_stop_in_anothers_name_does_not_free_a_seat() {
    both(async |version| {
        let house = Setting::of(version).start().await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let mut stranger = web.clone();
        stranger.device.authorization = stranger
            .device
            .authorization
            .replace(&web.device.token, "made-up");
        let stopped = json!({"PlaySessionId": play.session, "ItemId": play.item});
        let answer = stranger
            .device
            .send("POST", "/Sessions/Playing/Stopped", Some(&stopped))
            .await;
        assert_eq!(answer.status, 401);
        assert_eq!(house.lease(&play.session).unwrap().state.as_str(), "active");
        assert_eq!(house.sim().running(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_delete_without_its_device_frees_nothing() {
    both(async |version| {
        let house = Setting::of(version).start().await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let target = format!("/Videos/ActiveEncodings?PlaySessionId={}", play.session);
        assert_eq!(web.device.send("DELETE", &target, None).await.status, 400);
        assert_eq!(house.lease(&play.session).unwrap().state.as_str(), "active");
    })
    .await;
}
