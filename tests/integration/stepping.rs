//! Who does not fit as a whole gets a smaller picture: asked for at Jellyfin, or written into the address.

use std::time::Duration;

use finweir::sim::{Kind, Version};
use serde_json::{Value, json};

use crate::support::{AndroidTv, App, Curl, House, Play, Setting, Socket, Web, both, items, until};

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
async fn kodi_which_writes_its_own_bitrate_gets_a_smaller_picture_at_its_master_playlist() {
    both(async |version| {
        let house = occupied(tight(version)).await;
        let mut kodi = App::Kodi.login(&house, "ben", "htpc").await;
        kodi.bitrate = 60_000_000;
        kodi.profile = "browser";
        let play = kodi.play(items::HDR).await.playing();
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        // Its own wish stands in the address, and not in what Jellyfin lists for it.
        assert_eq!(value(&play.url, "VideoBitrate"), Some(59_700_000));
        let listed = &play.hls.variants[0];
        assert!(
            value(listed, "VideoBitrate").unwrap() <= 8_400_000,
            "{listed}"
        );
        assert_eq!(house.asked("PlaybackInfo"), 2, "it is not asked twice");
        let lease = house.lease(&play.session).unwrap();
        assert_eq!((house.held(), lease.cost), (2, lease.held));
        assert!(house.gpu().held <= house.gpu().capacity);
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_player_that_asks_for_its_master_playlist_alone_gets_a_smaller_one() {
    both(async |version| {
        let house = occupied(tight(version)).await;
        let curl = Curl::login(&house, "ben", "shell").await;
        let master = format!(
            "/videos/{item}/master.m3u8?MediaSourceId={item}&VideoCodec=h264&AudioCodec=aac&VideoBitrate=60000000&AudioBitrate=128000&PlaySessionId=0123456789abcdef0123456789abcdef&DeviceId=shell&ApiKey={}",
            curl.device.token,
            item = items::HDR,
        );
        let listed = curl.device.fetch(&master).await;
        assert_eq!(listed.status, 200);
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        let text = listed.text();
        let main = text.lines().find(|line| line.contains("main.m3u8")).unwrap();
        assert!(value(main, "VideoBitrate").unwrap() <= 8_000_000, "{main}");
    })
    .await;
}

#[tokio::test]
async fn a_second_answer_that_costs_more_is_not_given() {
    both(async |version| {
        let setting = tight(version)
            .set("gpus", "[{name: igpu, capacity: 3.2}]")
            .raising("maxStreamingBitrate=");
        let house = occupied(setting).await;
        let web = fast(&house, "ben").await;
        let play = web.play(items::HDR).await.playing();
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        assert_eq!(house.asked("PlaybackInfo"), 3, "it was asked again");
        assert!(
            value(&play.url, "MaxHeight").unwrap() <= 720,
            "{}",
            play.url
        );
        let lease = house.lease(&play.session).unwrap();
        assert_eq!(lease.cost, lease.held);
        assert_eq!((house.held(), house.snapshot().leases.len()), (2, 2));
        assert!(
            house.gpu().held <= house.gpu().capacity,
            "{:?}",
            house.gpu()
        );
        web.seek(&play, 3).await;
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_does_not_fit_gets_a_smaller_picture_and_its_tuner_is_asked_for_once() {
    both(async |version| {
        let setting = tight(version)
            .set("gpus", "[{name: igpu, capacity: 1.3}]")
            .channels_in(1920, 1080);
        let house = occupied(setting).await;
        let web = fast(&house, "ben").await;
        let channels = web
            .device
            .send("GET", "/LiveTv/Channels", None)
            .await
            .json();
        let channel = channels["Items"][0]["Id"].as_str().unwrap().to_owned();
        let mut body = web.escalated(&channel);
        body.as_object_mut().unwrap().remove("MediaSourceId");
        let before = house.asked("PlaybackInfo");
        let answer = web.device.playback_info(&channel, "", &body).await.json();
        let source = &answer["MediaSources"][0];
        let mut play = Play::transcoded(&channel, &answer, source).unwrap();
        assert_eq!((stepped_down(&house), house.refused()), (1, 0));
        assert_eq!(house.asked("PlaybackInfo"), before + 1);
        web.device.playlists(&mut play).await.unwrap();
        let lease = house.lease(&play.session).unwrap();
        assert_eq!((house.held(), lease.cost), (2, lease.held));
        assert!(
            house.gpu().held <= house.gpu().capacity,
            "{:?}",
            house.gpu()
        );
        assert_eq!((house.refused(), house.asked("CloseLive")), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn the_line_is_what_the_operator_wrote() {
    both(async |version| {
        let setting = tight(version).set("texts", "{en: {stepped-down: Small is beautiful}}");
        let house = occupied(setting).await;
        let web = fast(&house, "ben").await;
        let mut screen = Socket::open(&web.device).await;
        screen.until("ForceKeepAlive").await;
        web.play(items::HDR).await.playing();
        let message: Value = serde_json::from_str(&screen.until("DisplayMessage").await).unwrap();
        assert_eq!(
            message["Data"]["Arguments"]["Text"],
            json!("Small is beautiful")
        );
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
