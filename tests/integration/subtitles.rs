//! Text subtitles beside the picture instead of in it, and pictures that are copied because only the sound is wrong.

use std::time::Duration;

use finweir::{
    jellyfin::{Change, PlaybackRequest, Query},
    sim::{Kind, Version},
};
use serde_json::{Value, json};

use crate::support::{App, House, Setting, Web, Wish, both, items, recorded};

/// H.264 with an SRT subtitle as its third stream.
const SUBS: &str = "948e4d39322ff7d56621c4d23ebc1579";

/// A browser that is set to have subtitles drawn into the picture.
fn drawn(web: &Web) -> Value {
    let mut body = web.body(SUBS, Duration::ZERO);
    body["SubtitleStreamIndex"] = json!(2);
    body["AlwaysBurnInSubtitleWhenTranscoding"] = json!(true);
    body
}

async fn asks(web: &Web, body: &Value) -> Value {
    web.device.playback_info(SUBS, "", body).await.json()
}

fn url(answer: &Value) -> &str {
    answer["MediaSources"][0]["TranscodingUrl"]
        .as_str()
        .unwrap()
}

fn delivery(answer: &Value) -> &Value {
    let streams = answer["MediaSources"][0]["MediaStreams"]
        .as_array()
        .unwrap();
    let track = streams.iter().find(|stream| stream["Index"] == json!(2));
    &track.unwrap()["DeliveryMethod"]
}

fn cost(house: &House, answer: &Value) -> f64 {
    let session = answer["PlaySessionId"].as_str().unwrap();
    house.lease(session).unwrap().cost.as_f64()
}

#[tokio::test]
async fn a_text_subtitle_goes_beside_the_picture() {
    both(async |version| {
        let mut costs = Vec::new();
        for (rule, draws) in [("as-is", true), ("external", false)] {
            let house = Setting::of(version).set("subtitles", rule).start().await;
            let web = Web::login(&house, "anna", "laptop").await;
            let answer = asks(&web, &drawn(&web)).await;
            let burns = url(&answer).contains("alwaysBurnInSubtitleWhenTranscoding=true");
            assert_eq!(burns, draws, "{rule}");
            assert_eq!(url(&answer).contains("SubtitleStreamIndex="), draws);
            assert_eq!(delivery(&answer), "External");
            assert_eq!(house.asked("PlaybackInfo"), if draws { 1 } else { 2 });
            costs.push(cost(&house, &answer));
        }
        assert!(costs[1] < costs[0], "{costs:?}");
    })
    .await;
}

#[tokio::test]
async fn while_there_is_room_a_subtitle_is_drawn_as_the_viewer_set_it() {
    both(async |version| {
        let roomy = Setting::of(version).start().await;
        let web = Web::login(&roomy, "anna", "laptop").await;
        let as_set = asks(&web, &drawn(&web)).await;
        assert!(url(&as_set).contains("alwaysBurnInSubtitleWhenTranscoding=true"));
        assert_eq!(roomy.asked("PlaybackInfo"), 1);

        // Drawn it would not fit beside another; beside the picture it does.
        let other = Web::login(&roomy, "ben", "ben-laptop").await;
        let beside = other.play(items::LONG).await.playing();
        let taken = roomy.lease(&beside.session).unwrap().cost.as_f64();
        let whole = cost(&roomy, &as_set);
        let capacity = taken + whole * 0.95;
        let line: &'static str =
            Box::leak(format!("[{{name: igpu, capacity: {capacity:.3}}}]").into_boxed_str());
        let tight = Setting::of(version).set("gpus", line).start().await;
        let other = Web::login(&tight, "ben", "ben-laptop").await;
        assert!(other.play(items::LONG).await.playing().transcodes);
        let web = Web::login(&tight, "anna", "laptop").await;
        let answer = asks(&web, &drawn(&web)).await;
        assert!(!url(&answer).contains("alwaysBurnIn"), "{answer}");
        assert_eq!(delivery(&answer), "External");
        assert!(cost(&tight, &answer) < whole);
        assert_eq!(tight.refused(), 0);
    })
    .await;
}

/// On a progressive stream a subtitle that is named is drawn, which forbids to copy the picture.
#[tokio::test]
async fn what_is_encoded_only_for_its_subtitle_is_copied() {
    both(async |version| {
        for (rule, costs) in [("as-is", true), ("external", false)] {
            let house = Setting::of(version)
                .set("subtitles", rule)
                .set("direct_play", "off")
                .start()
                .await;
            let client = App::Unknown.login(&house, "anna", "box").await;
            let mut profile = recorded_profile(version, "progressive");
            profile["MaxStreamingBitrate"] = json!(60_000_000);
            profile["SubtitleProfiles"] = json!([{"Format": "vtt", "Method": "External"}]);
            let body = json!({
                "UserId": client.device.user_id,
                "DeviceProfile": profile,
                "MediaSourceId": SUBS,
                "SubtitleStreamIndex": 2,
                "AlwaysBurnInSubtitleWhenTranscoding": true,
            });
            let answer = client.device.playback_info(SUBS, "", &body).await.json();
            assert!(url(&answer).contains("/stream."), "{}", url(&answer));
            assert_eq!(
                cost(&house, &answer) > 0.0,
                costs,
                "{rule}: {}",
                url(&answer)
            );
            assert_eq!(delivery(&answer), "External");
        }
    })
    .await;
}

#[tokio::test]
async fn who_could_not_play_a_moment_ago_is_not_given_another_thing_to_try() {
    both(async |version| {
        let house = Setting::of(version)
            .set("subtitles", "external")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let body = Wish {
            drawn: Some(2),
            ..Wish::of(SUBS)
        }
        .written(web.escalated(SUBS));
        let answer = asks(&web, &body).await;
        assert!(url(&answer).contains("alwaysBurnInSubtitleWhenTranscoding=true"));
        assert_eq!(house.asked("PlaybackInfo"), 1);
    })
    .await;
}

/// What Finweir asks in place of a recorded wish to draw is what was recorded of a player without that wish.
#[test]
fn the_changed_request_is_the_one_that_was_recorded_without_the_wish() {
    for version in [Version::V12_0, Version::V10_11] {
        let records = recorded(version, "flags");
        let find = |name: &str| {
            let record = records.iter().find(|record| record["name"] == json!(name));
            record.unwrap().clone()
        };
        let with = find("phone / Subs / subtitle 2 burn True");
        let without = find("phone / Subs / subtitle 2 burn False");
        let body = with["request"]["body"].as_str().unwrap();
        let asked = PlaybackRequest::read(&Query::parse(""), body.as_bytes());
        assert!(asked.always_burn_in);
        let change = Change {
            burn_in: Some(false),
            ..Change::default()
        };
        let target = with["request"]["target"].as_str().unwrap();
        let again = asked.again(target, &change).unwrap();
        let again: Value = serde_json::from_slice(&again.body).unwrap();
        let mut wanted: Value =
            serde_json::from_str(without["request"]["body"].as_str().unwrap()).unwrap();
        // No tuner is opened twice.
        wanted["AutoOpenLiveStream"] = json!(false);
        assert_eq!(again, wanted);
        let answer = |record: &Value| -> Value {
            serde_json::from_str(record["response"]["body"].as_str().unwrap()).unwrap()
        };
        assert!(url(&answer(&with)).contains("SubtitleStreamIndex=2"));
        assert!(!url(&answer(&without)).contains("SubtitleStreamIndex"));
        assert_eq!(delivery(&answer(&without)), "External");
    }
}

fn recorded_profile(version: Version, name: &str) -> Value {
    let records = recorded(version, "negotiation");
    let prefix = format!("{name} / ");
    let record = records.iter().find(|record| {
        let own = record["name"].as_str();
        own.is_some_and(|own| own.starts_with(&prefix))
    });
    let body = record.unwrap()["request"]["body"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["DeviceProfile"].clone()
}

/// Swiftfin is never made to play a file as it is; but it set its ceiling only a little below this one.
#[tokio::test]
async fn a_picture_that_is_nearly_within_the_ceiling_is_copied() {
    both(async |version| {
        for (bitrate, copied) in [(5_800_000, true), (4_000_000, false)] {
            let house = Setting::of(version)
                .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
                .set("direct_play", "pressure")
                .start()
                .await;
            house.occupied_by(&["anna"]).await;
            let mut phone = App::Swiftfin.login(&house, "carla", "phone").await;
            phone.bitrate = bitrate;
            let shown = phone.play(items::REMUX).await;
            let remuxed = house.metric("finweir_direct_play_total", &[("result", "remuxed")]);
            assert_eq!(remuxed, u64::from(copied), "{bitrate}");
            if copied {
                let play = shown.playing();
                assert!(play.transcodes, "it is no direct play");
                let jobs = house.sim().jobs();
                let job = jobs
                    .iter()
                    .find(|job| job.session.as_deref() == Some(play.session.as_str()));
                assert_ne!(job.unwrap().kind, Kind::Transcode);
                assert_eq!(house.refused(), 0);
            } else {
                shown.says();
                assert_eq!(house.refused_for("gpu-sessions"), 1);
            }
        }
    })
    .await;
}
