//! Who is refused, how, and what it costs Jellyfin: nothing.

use finweir::sim::Version;
use serde_json::Value;

use crate::support::{
    AndroidTv, Curl, House, Kodi, Roku, Setting, Swiftfin, Unknown, Web, ask, both, items, until,
};

/// A house in which anna watches in her browser, and may not watch a second film.
async fn anna_watches(version: Version) -> (House, Web) {
    let house = House::of(version).await;
    let web = Web::login(&house, "anna", "laptop").await;
    web.play(items::LONG).await.playing();
    assert_eq!(
        (house.held(), house.sim().started(), house.refused()),
        (1, 1, 0.0)
    );
    (house, web)
}

#[tokio::test]
async fn a_second_device_is_refused_in_the_words_of_its_client() {
    both(async |version| {
        let (house, _web) = anna_watches(version).await;

        let second = Web::login(&house, "anna", "tablet").await;
        assert_eq!(
            second.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );

        let tv = AndroidTv::login(&house, "anna", "tv").await;
        assert_eq!(
            tv.play(items::HEVC8).await.says(),
            "This item cannot be played"
        );

        let phone = Swiftfin::login(&house, "anna", "phone").await;
        assert_eq!(
            phone.play(items::HDR).await.says(),
            "Unable to load this item."
        );

        let roku = Roku::login(&house, "anna", "roku").await;
        let text = roku.play(items::HDR, 1_500_000).await.says();
        assert_eq!(text, "Server did not provide required transcoding data.");

        let kodi = Kodi::login(&house, "anna", "htpc").await;
        kodi.play(items::HEVC8).await;

        let unknown = Unknown::login(&house, "anna", "box").await;
        let answer = unknown.asks(items::HEVC8).await;
        assert_eq!(
            (answer.status, answer.json()["ErrorCode"].as_str()),
            (200, Some("RateLimitExceeded"))
        );
        assert_eq!(answer.json()["MediaSources"], Value::Array(Vec::new()));

        assert_eq!(house.refused_for("user-limit"), 6.0);
        assert_eq!(
            house.sim().started(),
            1,
            "FFmpeg was started for somebody who was refused"
        );
        assert_eq!(house.held(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_bare_player_is_refused_with_429_and_told_when_to_come_back() {
    both(async |version| {
        let (house, _web) = anna_watches(version).await;
        let curl = Curl::login(&house, "anna", "shell").await;
        let answer = curl.device.fetch(&curl.encoding(items::HEVC8)).await;
        assert_eq!(answer.status, 429);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let retry: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(retry > 0);
        let problem = answer.json();
        assert_eq!(
            (problem["status"].as_u64(), problem["reason"].as_str()),
            (Some(429), Some("user-limit"))
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        assert_eq!(house.sim().started(), 1);
        assert_eq!(house.refused_for("user-limit"), 1.0);
    })
    .await;
}

#[tokio::test]
async fn a_full_gpu_refuses_whoever_comes_next_and_nobody_who_plays() {
    both(async |version| {
        let house = Setting::of(version)
            .set("users", "{default: {transcodes: unlimited}}")
            .start()
            .await;
        let mut playing = Vec::new();
        for name in ["anna", "ben", "carla", "dora", "emil", "fritz"] {
            let web = Web::login(&house, name, &format!("{name}-laptop")).await;
            let room = house.gpu();
            match web.play(items::LONG).await {
                crate::support::Shown::Playing(play) => playing.push((web, *play)),
                shown => {
                    assert_eq!(shown.says(), "PlaybackError.RateLimitExceeded");
                    assert!(room.held < room.capacity);
                    break;
                }
            }
        }
        let gpu = house.gpu();
        assert!(
            gpu.held <= gpu.capacity,
            "{:?} of {:?}",
            gpu.held,
            gpu.capacity
        );
        assert!(
            house.refused_for("gpu-full") > 0.0,
            "{:?} {:?}",
            gpu,
            house.snapshot().leases
        );
        assert_eq!(house.sim().started(), playing.len() as u64);
        for (web, play) in &playing {
            web.seek(play, 2).await;
        }
        assert_eq!(house.sim().started(), playing.len() as u64);
    })
    .await;
}
