//! Who does not fit as a whole gets a smaller picture: asked for at Jellyfin, or written into the address.

use std::time::Duration;

use finweir::sim::{Kind, Version};
use serde_json::{Value, json};

use crate::support::{
    AndroidTv, App, House, Play, Setting, Shown, Socket, Web, both, items, until,
};

/// A house with room for one film in 4K, part of which is taken: the whole film does not fit any more.
fn tight(version: Version) -> Setting {
    Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 4}]")
        .set("users", "{default: {transcodes: 2, when_full: step-down}}")
}

/// One who sits in the house already.
async fn occupied(setting: Setting) -> House {
    let house = setting.start().await;
    house.occupied_by(&["anna"]).await;
    house
}

async fn fast(house: &House, user: &str) -> Web {
    let mut web = Web::login(house, user, &format!("{user}-laptop")).await;
    web.bitrate = 60_000_000;
    web
}

fn value(url: &str, name: &str) -> Option<u64> {
    let query = url.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
    value.parse().ok()
}

fn stepped_down(house: &House) -> u64 {
    house.metric("finweir_decisions_total", &[("decision", "downgrade")])
}

#[tokio::test]
async fn who_does_not_fit_gets_a_smaller_picture() {
    both(async |version| {
        let house = occupied(tight(version)).await;
        let web = fast(&house, "ben").await;
        let play = web.play(items::HDR).await.playing();
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        assert!(
            value(&play.url, "VideoBitrate").unwrap() <= 8_400_000,
            "{}",
            play.url
        );
        // Jellyfin was asked twice, and the second session is the one that holds seats.
        assert_eq!(house.asked("PlaybackInfo"), 3);
        let lease = house.lease(&play.session).unwrap();
        assert!(lease.cost.as_f64() <= 3.5, "{lease:?}");
        assert!(house.gpu().held <= house.gpu().capacity);
        until("the stream runs under its own lease", || {
            house.snapshot().leases.len() == 2
        })
        .await;
        web.seek(&play, 3).await;
        let jobs = house.sim().jobs();
        let job = jobs
            .iter()
            .find(|job| job.session.as_deref() == Some(play.session.as_str()))
            .unwrap();
        assert_eq!(job.kind, Kind::Transcode);
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn who_has_waited_in_vain_gets_a_smaller_picture_without_another_question() {
    both(async |version| {
        let setting = tight(version)
            .set(
                "users",
                "{default: {transcodes: 2, when_full: wait-then-step-down}}",
            )
            .set("queue", "{max_wait: 1s}")
            .set("clients", "[{client: web, patience: 1s}]");
        let house = occupied(setting).await;
        let web = fast(&house, "ben").await;
        let play = web.play(items::HDR).await.playing();
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        // There was no time left to ask: the address was edited.
        assert_eq!(house.asked("PlaybackInfo"), 2);
        assert_eq!(
            value(&play.url, "MaxHeight").map(|height| height <= 1080),
            Some(true)
        );
        assert!(house.lease(&play.session).is_some());
        web.seek(&play, 3).await;
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_player_that_steps_up_after_it_was_stepped_down_plays_on() {
    both(async |version| {
        let house = occupied(tight(version)).await;
        let web = fast(&house, "ben").await;
        let small = web.play(items::HDR).await.playing();
        let body = web.escalated(items::HDR);
        let answer = web.device.playback_info(items::HDR, "", &body).await.json();
        let source: &Value = &answer["MediaSources"][0];
        let mut play = Play::transcoded(items::HDR, &answer, source).unwrap();
        assert_ne!(play.session, small.session);
        web.begin(&mut play, Duration::ZERO).await.unwrap();
        assert_eq!((house.refused(), house.held()), (0, 2));
    })
    .await;
}

#[tokio::test]
async fn kodi_which_writes_its_own_bitrate_is_refused_as_before() {
    both(async |version| {
        let house = occupied(tight(version).set("gpus", "[{name: igpu, capacity: 1}]")).await;
        let kodi = App::Kodi.login(&house, "ben", "htpc").await;
        assert!(!matches!(kodi.play(items::HDR).await, Shown::Playing(_)));
        assert_eq!((stepped_down(&house), house.refused()), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn the_viewer_is_told_in_one_line() {
    both(async |version| {
        let house = occupied(tight(version)).await;
        let mut tv = AndroidTv::login(&house, "ben", "tv").await;
        tv.bitrate = 4_000_000;
        let mut on_tv = Socket::open(&tv.device).await;
        on_tv.until("ForceKeepAlive").await;
        // A television that plays no HEVC has it encoded.
        let mut body = tv.body(items::HDR);
        body["DeviceProfile"] =
            fast(&house, "ben").await.body(items::HDR, Duration::ZERO)["DeviceProfile"].clone();
        body["DeviceProfile"]["MaxStreamingBitrate"] = json!(60_000_000);
        let answer = tv.device.playback_info(items::HDR, "", &body).await.json();
        assert_eq!(stepped_down(&house), 1);
        assert!(
            house
                .lease(answer["PlaySessionId"].as_str().unwrap())
                .is_some()
        );
        let message: Value = serde_json::from_str(&on_tv.until("DisplayMessage").await).unwrap();
        let text = message["Data"]["Arguments"]["Text"].as_str().unwrap();
        assert!(text.contains("lower quality"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn where_the_rule_is_to_wait_nobody_steps_down() {
    both(async |version| {
        let setting = tight(version).set("users", "{default: {transcodes: 2, when_full: wait}}");
        let house = occupied(setting).await;
        let web = fast(&house, "ben").await;
        web.play(items::HDR).await.says();
        assert_eq!((stepped_down(&house), house.refused()), (0, 1));
    })
    .await;
}
