//! What is found for a viewer before he is refused: the file itself, another version of it, a smaller picture.

use std::time::Duration;

use finweir::sim::Version;
use serde_json::{Value, json};

use crate::support::{
    AndroidTv, App, House, Origin, Play, Setting, Web, ask, both, items, recorded, until,
};

/// What Jellyfin was asked for in place of a transcode, and what came of it.
fn direct_plays(house: &House, result: &str) -> u64 {
    house.metric("finweir_direct_play_total", &[("result", result)])
}

/// A house whose GPU is filled by two others.
async fn full(setting: Setting) -> House {
    let house = setting
        .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
        .start()
        .await;
    house.occupied_by(&["anna", "ben"]).await;
    house
}

fn under_pressure(version: Version) -> Setting {
    Setting::of(version).set("direct_play", "pressure")
}

#[tokio::test]
async fn who_would_be_refused_plays_the_file_itself() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        let play = web.play(items::LONG).await.playing();
        assert!(!play.transcodes);
        let tv = AndroidTv::login(&house, "dora", "tv").await;
        assert!(!tv.play(items::DIRECT).await.playing().transcodes);
        assert_eq!((house.refused(), house.held()), (0, 2));
        assert_eq!(direct_plays(&house, "played"), 2);
        assert_eq!(house.sim().stalls(), 0);
        assert_eq!(house.sim().faults(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_forced_direct_play_has_no_trace_of_a_transcode() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        let body = web.body(items::LONG, Duration::ZERO);
        let answer = web.device.playback_info(items::LONG, "", &body).await;
        let source = answer.json()["MediaSources"][0].clone();
        assert_eq!(source["SupportsDirectPlay"], json!(true));
        assert_eq!(source.get("TranscodingUrl"), None);
        assert_eq!(source.get("TranscodingContainer"), None);
        assert_eq!(source["TranscodingSubProtocol"], json!("http"));
    })
    .await;
}

#[tokio::test]
async fn the_video_is_copied_where_the_file_itself_can_not_be_played() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        let play = web.play(items::REMUX).await.playing();
        assert!(play.transcodes);
        let lease = house.lease(&play.session).unwrap();
        assert_eq!(lease.cost.to_string(), "0.0", "{lease:?}");
        assert_eq!((house.refused(), house.held()), (0, 2));
        assert_eq!(direct_plays(&house, "remuxed"), 1);
    })
    .await;
}

#[tokio::test]
async fn while_there_is_room_everybody_gets_the_quality_he_set() {
    both(async |version| {
        let house = under_pressure(version).start().await;
        let web = Web::login(&house, "anna", "laptop").await;
        assert!(web.play(items::LONG).await.playing().transcodes);
        assert_eq!(house.asked("PlaybackInfo"), 1);
    })
    .await;
}

#[tokio::test]
async fn where_it_is_always_wanted_nobody_transcodes_what_he_can_play() {
    both(async |version| {
        let house = Setting::of(version)
            .set("direct_play", "always")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        assert!(!web.play(items::LONG).await.playing().transcodes);
        assert_eq!(house.held(), 0);
    })
    .await;
}

#[tokio::test]
async fn who_would_not_come_back_is_not_made_to() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let phone = App::Swiftfin.login(&house, "carla", "phone").await;
        phone.play(items::LONG).await.says();
        assert_eq!(house.refused_for("gpu-sessions"), 1);
        assert_eq!(direct_plays(&house, "played"), 0);
    })
    .await;
}

#[tokio::test]
async fn the_operator_may_forbid_it_to_a_client_and_to_a_class() {
    both(async |version| {
        let rules: [(&str, &str); 2] = [
            ("clients", "[{client: web, direct_play: off}]"),
            ("classes", "[{name: far, users: [carla], direct_play: off}]"),
        ];
        for (section, rule) in rules {
            let house = full(under_pressure(version).set(section, rule)).await;
            let web = Web::login(&house, "carla", "carla-laptop").await;
            web.play(items::LONG).await.says();
            assert_eq!(direct_plays(&house, "played"), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_client_can_not_play_is_refused_as_before() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        assert_eq!(
            web.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(direct_plays(&house, "unplayable"), 1);
        assert_eq!(house.refused(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_is_not_sent_away_with_the_file_again() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        assert!(!web.play(items::LONG).await.playing().transcodes);
        // The browser can't decode it: within a second it asks without direct play, and waits for an answer.
        let answer = web
            .device
            .playback_info(items::LONG, "", &web.escalated(items::LONG))
            .await
            .json();
        assert_eq!(answer["ErrorCode"], json!("RateLimitExceeded"));
        assert_eq!(direct_plays(&house, "failed"), 1);
        // Another film is another matter.
        assert!(!web.play(items::DIRECT).await.playing().transcodes);
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_to_a_free_seat_is_encoded_for() {
    both(async |version| {
        let house = Setting::of(version)
            .set("direct_play", "always")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        assert!(!web.play(items::LONG).await.playing().transcodes);
        let answer = web
            .device
            .playback_info(items::LONG, "", &web.escalated(items::LONG))
            .await
            .json();
        let mut play = Play::transcoded(items::LONG, &answer, &answer["MediaSources"][0]).unwrap();
        web.begin(&mut play, Duration::ZERO).await.unwrap();
        until("its seats are held", || house.held() == 1).await;
        // From now on it is not tried any more.
        let again = Web::login(&house, "anna", "laptop").await;
        let play = again.play(items::LONG).await.playing();
        assert!(play.transcodes);
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn who_only_observes_changes_no_answer() {
    both(async |version| {
        let house = full(under_pressure(version).set("mode", "observe")).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        assert!(web.play(items::LONG).await.playing().transcodes);
        assert_eq!(direct_plays(&house, "played"), 0);
    })
    .await;
}

/// The heights of the versions in an answer, in their order.
fn heights(answer: &Value) -> Vec<u64> {
    let sources = answer["MediaSources"].as_array().unwrap();
    let video = |source: &Value| {
        let streams = source["MediaStreams"].as_array().unwrap();
        let video = streams.iter().find(|stream| stream["Type"] == "Video");
        video.unwrap()["Height"].as_u64().unwrap()
    };
    sources.iter().map(video).collect()
}

#[tokio::test]
async fn the_cheaper_version_is_played_unless_the_other_was_asked_for() {
    both(async |version| {
        let house = House::of(version).await;
        let tv = AndroidTv::login(&house, "anna", "tv").await;
        let mut body = tv.body(items::VERSIONS);
        let asked = tv.device.playback_info(items::VERSIONS, "", &body).await;
        assert_eq!(heights(&asked.json()), [2160]);
        body.as_object_mut().unwrap().remove("MediaSourceId");
        let free = tv.device.playback_info(items::VERSIONS, "", &body).await;
        let free = free.json();
        assert_eq!(heights(&free), [1080, 2160]);
        let lease = house
            .lease(free["PlaySessionId"].as_str().unwrap())
            .unwrap();
        assert!(lease.cost.as_f64() <= 1.0, "{lease:?}");
    })
    .await;
}

#[tokio::test]
async fn versions_stay_as_they_come_where_the_operator_says_so() {
    both(async |version| {
        for rule in ["{prefer: as-is}", "{floor: 1440}"] {
            let house = Setting::of(version)
                .set("versions", rule)
                .set("gpus", "[{name: igpu, capacity: 9}]")
                .start()
                .await;
            let tv = AndroidTv::login(&house, "anna", "tv").await;
            let mut body = tv.body(items::VERSIONS);
            body.as_object_mut().unwrap().remove("MediaSourceId");
            let answer = tv.device.playback_info(items::VERSIONS, "", &body).await;
            assert_eq!(heights(&answer.json()), [2160, 1080], "{rule}");
        }
    })
    .await;
}

/// Every recorded answer with two versions passes through; only their order may change, and the first is never
/// dearer than it was.
#[tokio::test]
async fn an_answer_whose_versions_change_places_keeps_every_value() {
    both(async |version| {
        let records: Vec<Value> = recorded(version, "negotiation")
            .iter()
            .filter(|record| record["name"].as_str().unwrap().contains("/ Versions"))
            .cloned()
            .collect();
        let bodies: Vec<Vec<u8>> = records
            .iter()
            .map(|record| {
                record["response"]["body"]
                    .as_str()
                    .unwrap()
                    .as_bytes()
                    .to_vec()
            })
            .collect();
        let origin = Origin::start(move |_, target| {
            let nth = target
                .split_once("nth=")
                .and_then(|(_, n)| n.parse::<usize>().ok());
            let json = "Content-Type: application/json\r\n".to_owned();
            match nth {
                Some(nth) => (200, json, bodies[nth].clone()),
                None => (404, json, b"{}".to_vec()),
            }
        })
        .await;
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 200}]")
            .set("users", "{default: {transcodes: unlimited}}")
            .set("anonymous", "allow")
            .without_key()
            .before(origin.address, None);
        let mut changed = 0;
        for (nth, record) in records.iter().enumerate() {
            let target = format!("/Items/{}/PlaybackInfo?nth={nth}", items::VERSIONS);
            let body = record["request"]["body"].as_str().unwrap();
            let headers = [
                (
                    "Authorization".to_owned(),
                    format!("MediaBrowser Client=\"Nobody\", DeviceId=\"d{nth}\""),
                ),
                ("Content-Type".to_owned(), "application/json".to_owned()),
            ];
            let answer = ask(
                house.address(),
                "POST",
                &target,
                &headers,
                Some(body.as_bytes()),
            )
            .await
            .unwrap()
            .json();
            let mut before: Value =
                serde_json::from_str(record["response"]["body"].as_str().unwrap()).unwrap();
            let free = |source: &Value| source["SupportsDirectPlay"] == true;
            let had = before["MediaSources"].as_array().unwrap().clone();
            let has = answer["MediaSources"].as_array().unwrap().clone();
            if has[0] != had[0] {
                changed += 1;
                assert!(!free(&had[0]) && (free(&has[0]) || !had.iter().any(free)));
                assert!(has[0]["Bitrate"].as_u64() < had[0]["Bitrate"].as_u64());
                before["MediaSources"].as_array_mut().unwrap().swap(0, 1);
            }
            assert_eq!(answer, before, "{}", record["name"]);
        }
        let expected = match version {
            Version::V12_0 => 20,
            Version::V10_11 => 10,
        };
        assert!(
            changed >= expected,
            "{version:?}: {changed} of {}",
            records.len()
        );
    })
    .await;
}

#[tokio::test]
async fn a_channel_is_never_asked_for_twice() {
    both(async |version| {
        let house = full(under_pressure(version)).await;
        let web = Web::login(&house, "carla", "carla-laptop").await;
        let channels = web
            .device
            .send("GET", "/LiveTv/Channels", None)
            .await
            .json();
        let channel = channels["Items"][0]["Id"].as_str().unwrap().to_owned();
        let mut body = web.body(&channel, Duration::ZERO);
        body.as_object_mut().unwrap().remove("MediaSourceId");
        let before = house.asked("PlaybackInfo");
        let answer = web.device.playback_info(&channel, "", &body).await;
        assert_eq!(answer.json()["ErrorCode"], json!("RateLimitExceeded"));
        assert_eq!(house.asked("PlaybackInfo"), before + 1);
        until("the tuner is given back", || house.asked("CloseLive") == 1).await;
    })
    .await;
}
