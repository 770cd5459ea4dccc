//! Who is refused, how, and what it costs Jellyfin: nothing.

use finweir::sim::Version;
use serde_json::Value;

use crate::support::{
    AndroidTv, App, Curl, House, Setting, Shown, Socket, Web, ask, both, items, until,
};

/// A house in which anna watches in her browser, and may not watch a second film.
async fn anna_watches(version: Version) -> (House, Web) {
    let house = House::of(version).await;
    let web = Web::login(&house, "anna", "laptop").await;
    web.play(items::LONG).await.playing();
    assert_eq!(
        (house.held(), house.sim().started(), house.refused()),
        (1, 1, 0)
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

        let phone = App::Swiftfin.login(&house, "anna", "phone").await;
        assert_eq!(
            phone.play(items::HDR).await.says(),
            "Unable to load this item."
        );

        let roku = App::Roku.login(&house, "anna", "roku").await;
        let text = roku.play(items::HDR).await.says();
        assert_eq!(text, "Server did not provide required transcoding data.");

        let kodi = App::Kodi.login(&house, "anna", "htpc").await;
        kodi.play(items::HEVC8).await;

        let unknown = App::Unknown.login(&house, "anna", "box").await;
        let answer = unknown.asks(items::HEVC8).await;
        assert_eq!(
            (answer.status, answer.json()["ErrorCode"].as_str()),
            (200, Some("RateLimitExceeded"))
        );
        assert_eq!(answer.json()["MediaSources"], Value::Array(Vec::new()));

        assert_eq!(house.refused_for("user-limit"), 6);
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
        assert_eq!(house.refused_for("user-limit"), 1);
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
                Shown::Playing(play) => playing.push((web, *play)),
                shown @ (Shown::Dialog(_) | Shown::Nothing) => {
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
            house.refused_for("gpu-full") > 0,
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

#[tokio::test]
async fn a_television_is_told_why_and_a_browser_not_twice() {
    both(async |version| {
        let (house, _web) = anna_watches(version).await;
        let tv = AndroidTv::login(&house, "anna", "tv").await;
        let mut on_tv = Socket::open(&tv.device).await;
        on_tv.until("ForceKeepAlive").await;
        let second = Web::login(&house, "anna", "tablet").await;
        let mut in_browser = Socket::open(&second.device).await;
        in_browser.until("ForceKeepAlive").await;

        // E carries its own dialog: a message on top of it would be one more.
        assert_eq!(
            second.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(
            tv.play(items::HEVC8).await.says(),
            "This item cannot be played"
        );
        let message: Value = serde_json::from_str(&on_tv.until("DisplayMessage").await).unwrap();
        let text = message["Data"]["Arguments"]["Text"].as_str().unwrap();
        assert!(!text.is_empty());
        assert_eq!(house.asked("Message"), 1);
    })
    .await;
}

#[tokio::test]
async fn who_clicks_again_and_again_costs_jellyfin_nothing() {
    both(async |version| {
        let (house, _web) = anna_watches(version).await;
        let second = Web::login(&house, "anna", "tablet").await;
        let before = house.asked("PlaybackInfo");
        for _ in 0..8 {
            assert_eq!(
                second.play(items::HEVC8).await.says(),
                "PlaybackError.RateLimitExceeded"
            );
        }
        assert!(
            house.asked("PlaybackInfo") - before <= 2,
            "{}",
            house.asked("PlaybackInfo") - before
        );
        assert_eq!(house.sim().started(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_starts_too_often_is_slowed_down() {
    both(async |version| {
        let house = Setting::of(version)
            .set("starts", "{per_user: 2/min, burst: 2}")
            .set("users", "{default: {transcodes: unlimited}}")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let tablet = Web::login(&house, "anna", "tablet").await;
        tablet.play(items::HEVC8).await.playing();
        let third = Web::login(&house, "anna", "desk").await;
        assert_eq!(
            third.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(house.refused_for("start-rate"), 1);
        // A change of what plays is no start, and neither is a seek.
        for bitrate in [720_000, 420_000, 1_500_000] {
            let mut web = web.clone();
            web.bitrate = bitrate;
            let body = |body: &mut Value| body["MaxStreamingBitrate"] = bitrate.into();
            web.change(&play, std::time::Duration::from_secs(9), body)
                .await
                .playing();
        }
        Web::login(&house, "ben", "phone")
            .await
            .play(items::HEVC8)
            .await
            .playing();
        assert_eq!(house.refused(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_speaks_the_language_of_the_viewer() {
    let (house, _web) = anna_watches(Version::V12_0).await;
    let curl = Curl::login(&house, "anna", "shell").await;
    let mut texts = Vec::new();
    for language in ["en-GB,en;q=0.9", "de-DE,de;q=0.9", "xx"] {
        let headers = [("Accept-Language".to_owned(), language.to_owned())];
        let answer = ask(
            house.address(),
            "GET",
            &curl.encoding(items::HEVC8),
            &headers,
            None,
        )
        .await
        .unwrap();
        assert_eq!(answer.status, 429);
        texts.push(answer.json()["detail"].as_str().unwrap().to_owned());
    }
    assert_ne!(texts[0], texts[1]);
    assert_eq!(
        texts[0], texts[2],
        "a language without texts is answered in English"
    );
}

#[tokio::test]
async fn another_tab_is_refused_and_the_first_plays_on() {
    both(async |version| {
        let (house, web) = anna_watches(version).await;
        let session = house.snapshot().leases[0].session.clone().unwrap();
        // Both tabs are one device.
        let says = web.play(items::HEVC8).await.says();
        assert_eq!(says, "PlaybackError.RateLimitExceeded");
        let lease = house.lease(session.as_str()).unwrap();
        assert_eq!((lease.state.as_str(), house.held()), ("active", 1));
        assert_eq!(house.sim().running(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_channel_gives_its_tuner_back() {
    both(async |version| {
        let (house, _web) = anna_watches(version).await;
        let tv = AndroidTv::login(&house, "anna", "tv").await;
        let channels = tv.device.send("GET", "/LiveTv/Channels", None).await.json();
        let channel = channels["Items"][0]["Id"].as_str().unwrap().to_owned();
        let mut body = tv.body(&channel);
        body.as_object_mut().unwrap().remove("MediaSourceId");
        let answer = tv.device.playback_info(&channel, "", &body).await;
        // Only for a channel does it read the code.
        assert_eq!(
            answer.json()["ErrorCode"].as_str(),
            Some("RateLimitExceeded")
        );
        until("the tuner is given back", || house.asked("CloseLive") == 1).await;
        assert_eq!((house.sim().started(), house.held()), (1, 1));
    })
    .await;
}

/// One segment of a copy fails, and the browser asks for a full encode instead (`web/5-seg0-503-once`).
async fn a_copy_fails_once(version: Version, seats: u32) -> (House, Shown) {
    let house = Setting::of(version)
        .set(
            "gpus",
            &format!("[{{name: igpu, capacity: 3, max_sessions: {seats}}}]"),
        )
        .failing("/hls1/main/0.mp4", 1)
        .start()
        .await;
    let curl = Curl::login(&house, "anna", "shell").await;
    let (status, _reads) = curl.device.stream(&curl.encoding(items::LONG)).await;
    assert_eq!((status, house.held()), (200, 1));
    let mut web = Web::login(&house, "ben", "laptop").await;
    web.bitrate = 140_000_000;
    let shown = web.play(items::REMUX).await;
    (house, shown)
}

#[tokio::test]
async fn a_copy_that_fails_is_not_a_way_to_an_encode() {
    both(async |version| {
        let (house, shown) = a_copy_fails_once(version, 1).await;
        // It shows the right dialog, and asks no third time.
        assert_eq!(shown.says(), "PlaybackError.RateLimitExceeded");
        assert_eq!(house.refused_for("gpu-sessions"), 1);
        let encodes = |job: &finweir::sim::JobView| job.kind == finweir::sim::Kind::Transcode;
        let jobs = house.sim().jobs();
        assert_eq!(jobs.iter().filter(|job| encodes(job)).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_fails_becomes_an_encode_where_there_is_room() {
    both(async |version| {
        let (house, shown) = a_copy_fails_once(version, 2).await;
        let play = shown.playing();
        assert!(house.lease(&play.session).unwrap().cost.as_f64() > 0.0);
        assert_eq!((house.held(), house.refused()), (2, 0));
    })
    .await;
}
