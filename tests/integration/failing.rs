//! Jellyfin that answers nonsense, nothing, or not at all; clients that die.

use std::{sync::Arc, time::Duration};

use finweir::sim::Version;
use serde_json::{Value, json};

use crate::support::{Curl, House, Origin, Setting, Web, ask, both, items, recorded, until};

const JSON: &str = "Content-Type: application/json; charset=utf-8\r\n";

/// A recorded PlaybackInfo: the body that was sent and the answer, which encodes.
fn negotiated(version: Version) -> (Value, Vec<u8>) {
    let records = recorded(version, "web/1-heavy3m");
    let record = records
        .iter()
        .find(|record| {
            record["request"]["target"]
                .as_str()
                .is_some_and(|t| t.contains("/PlaybackInfo"))
        })
        .unwrap();
    let asked = serde_json::from_str(record["request"]["body"].as_str().unwrap()).unwrap();
    let answer: Value = serde_json::from_str(record["response"]["body"].as_str().unwrap()).unwrap();
    (asked, answer.to_string().into_bytes())
}

fn headers() -> Vec<(String, String)> {
    let authorization = "MediaBrowser Client=\"Jellyfin%20Web\", Device=\"Chrome\", DeviceId=\"laptop\", Version=\"12.0.0\", Token=\"good\"";
    vec![
        ("Authorization".to_owned(), authorization.to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ]
}

async fn asks(house: &House, body: &Value) -> crate::support::Answer {
    let target = format!("/Items/{}/PlaybackInfo", items::HEAVY);
    let body = body.to_string();
    ask(
        house.address(),
        "POST",
        &target,
        &headers(),
        Some(body.as_bytes()),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_understands_passes_as_it_is() {
    for garbage in [
        "<html>not what you think</html>",
        "{\"MediaSources\": 7}",
        "",
        "[1, 2",
    ] {
        let origin = Origin::start(move |_, target| match target.contains("PlaybackInfo") {
            true => (200, JSON.to_owned(), garbage.as_bytes().to_vec()),
            false => (404, String::new(), Vec::new()),
        })
        .await;
        let house = Setting::of(Version::V12_0).before(origin.address, None);
        let answer = asks(&house, &json!({"IsPlayback": true})).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, garbage));
        assert_eq!(
            house.metric("finweir_fail_open_total", &[("why", "answer")]),
            1,
            "{garbage}"
        );
    }
}

#[tokio::test]
async fn who_cannot_be_found_out_may_play() {
    both(async |version| {
        let (body, answer) = negotiated(version);
        let origin = Origin::start(move |_, target| {
            if target.contains("PlaybackInfo") {
                (200, JSON.to_owned(), answer.clone())
            } else {
                (503, String::new(), b"busy".to_vec())
            }
        })
        .await;
        let house = Setting::of(version).before(origin.address, None);
        let answer = asks(&house, &body).await;
        assert_eq!(answer.status, 200);
        assert!(answer.json()["MediaSources"][0]["TranscodingUrl"].is_string());
        assert!(house.metric("finweir_fail_open_total", &[("why", "identity")]) >= 1);
        // It costs seats all the same.
        assert_eq!(house.held(), 1);
        assert_eq!(house.refused(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_error_of_jellyfins_is_its_own() {
    for status in [401, 403, 404, 500, 503] {
        let origin = Origin::start(move |_, _| (status, String::new(), b"as it is".to_vec())).await;
        let house = Setting::of(Version::V12_0).before(origin.address, None);
        let answer = asks(&house, &json!({"IsPlayback": true})).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, "as it is")
        );
        assert!(house.snapshot().leases.is_empty());
    }
}

#[tokio::test]
async fn on_error_reject_refuses_what_cannot_be_judged() {
    let origin = Origin::start(|_, target| match target.contains("PlaybackInfo") {
        true => (200, JSON.to_owned(), b"<html>".to_vec()),
        false => (404, String::new(), Vec::new()),
    })
    .await;
    let house = Setting::of(Version::V12_0)
        .set("on_error", "reject")
        .before(origin.address, None);
    let answer = asks(&house, &json!({"IsPlayback": true})).await;
    assert_eq!(
        (answer.status, answer.json()["ErrorCode"].as_str()),
        (200, Some("RateLimitExceeded"))
    );
}

#[tokio::test]
async fn without_an_api_key_limits_hold_all_the_same() {
    both(async |version| {
        let house = Setting::of(version).without_key().start().await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let second = Web::login(&house, "anna", "tablet").await;
        assert_eq!(
            second.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        let other = Web::login(&house, "ben", "desk").await;
        other.play(items::HEVC8).await.playing();
        web.stop(&play, Duration::from_secs(9)).await;
        until("anna's seat is back", || house.held() == 1).await;
        assert_eq!((house.sim().started(), house.refused()), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn a_jellyfin_that_is_too_slow_is_a_504() {
    let house = Setting::of(Version::V12_0)
        .set(
            "server",
            "{listen: '127.0.0.1:0', workers: 1, timeouts: {first_byte: 300ms}}",
        )
        .slow("/System/Ping", Duration::from_secs(3))
        .start()
        .await;
    let answer = ask(house.address(), "GET", "/System/Ping", &[], None)
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (504, Some("first-byte-timeout"))
    );
}

#[tokio::test]
async fn jellyfin_dies_in_mid_stream_and_comes_back() {
    both(async |version| {
        let mut house = Setting::of(version)
            .tune(|config| {
                Arc::make_mut(&mut config.policy).timers.idle = Duration::from_millis(400);
            })
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        house.kill_jellyfin();
        let answer = web.device.fetch(&play.hls.segments[5]).await;
        assert_eq!(answer.status, 502);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("jellyfin")
        );
        until("the lease has ended by itself", || house.held() == 0).await;

        house.start_jellyfin(version).await;
        let web = Web::login(&house, "anna", "laptop").await;
        web.play(items::LONG).await.playing();
        assert_eq!((house.held(), house.refused()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_dies_gives_its_seat_back() {
    both(async |version| {
        let house = Setting::of(version)
            .tune(|config| {
                Arc::make_mut(&mut config.policy).timers.idle = Duration::from_millis(300);
            })
            .start()
            .await;
        // The web client's process is killed: nothing more is heard of it.
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        assert_eq!(house.held(), 1);
        until("the lease is idle", || house.lease(&play.session).is_none()).await;
        assert_eq!(
            house.metric("finweir_leases_ended_total", &[("ended", "idle")]),
            1
        );

        let curl = Curl::login(&house, "ben", "shell").await;
        let (status, stream) = curl.device.stream(&curl.encoding(items::LONG)).await;
        assert_eq!(status, 200);
        let of_ben = |state: &str| {
            let leases = house.snapshot().leases;
            leases.iter().any(|lease| {
                lease.user_name.as_deref() == Some("ben") && lease.state.as_str() == state
            })
        };
        until("the stream is read", || of_ben("active")).await;
        drop(stream);
        // FFmpeg itself needs ten seconds to see that its reader has left.
        until("its FFmpeg is on its way out", || of_ben("lingering")).await;
    })
    .await;
}
