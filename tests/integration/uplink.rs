//! The line out of the house: who has room on it, and what is made of a file that has none.

use finweir::sim::Version;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::support::{AndroidTv, House, Setting, Web, both, items, until};

/// A house with room for many transcodes, where everybody comes from outside over a line of so many Mbit/s.
fn far(version: Version, mbit: u64) -> Setting {
    let line: &'static str = match mbit {
        6 => "{limit: 6Mbit/s, local: []}",
        8 => "{limit: 8Mbit/s, local: []}",
        _ => "{limit: 20Mbit/s, local: []}",
    };
    Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 8}]")
        .set("uplink", line)
}

/// A television that wants every file as it is.
async fn television(house: &House, user: &str) -> AndroidTv {
    let mut tv = AndroidTv::login(house, user, &format!("{user}-tv")).await;
    tv.bitrate = 120_000_000;
    tv
}

fn held(house: &House) -> u64 {
    house.snapshot().uplink.held.bits()
}

#[tokio::test]
async fn a_file_that_the_line_has_no_room_for_is_encoded_smaller() {
    both(async |version| {
        let house = far(version, 6).start().await;
        let first = television(&house, "anna").await;
        assert!(!first.play(items::DIRECT).await.playing().transcodes);
        assert!((4_000_000..4_500_000).contains(&held(&house)));
        let second = television(&house, "ben").await;
        let play = second.play(items::DIRECT).await.playing();
        assert!(play.transcodes, "{}", play.url);
        assert!(house.lease(&play.session).unwrap().rate.bits() < 1_500_000);
        assert!(held(&house) <= 6_000_000, "{}", held(&house));
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
        assert_eq!(house.sim().faults(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn who_may_only_wait_is_refused_in_words_of_its_own() {
    both(async |version| {
        let house = far(version, 6)
            .set("users", "{default: {when_full: wait}}")
            .start()
            .await;
        let first = television(&house, "anna").await;
        assert!(!first.play(items::DIRECT).await.playing().transcodes);
        let mut web = Web::login(&house, "ben", "laptop").await;
        web.bitrate = 60_000_000;
        assert_eq!(
            web.play(items::DIRECT).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(house.refused_for("uplink-full"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_transcode_steps_down_to_a_bitrate_that_fits() {
    both(async |version| {
        let house = far(version, 6)
            .set("users", "{default: {transcodes: 2, when_full: step-down}}")
            .start()
            .await;
        let first = television(&house, "anna").await;
        assert!(!first.play(items::DIRECT).await.playing().transcodes);
        let mut web = Web::login(&house, "ben", "laptop").await;
        web.bitrate = 8_000_000;
        let play = web.play(items::HEVC8).await.playing();
        assert_eq!(
            house.metric(
                "finweir_decisions_total",
                &[("decision", "downgrade"), ("reason", "uplink-full")]
            ),
            1
        );
        assert!(house.lease(&play.session).unwrap().rate.bits() > 0);
        assert!(held(&house) <= 6_000_000, "{}", held(&house));
    })
    .await;
}

#[tokio::test]
async fn who_sits_in_the_house_needs_no_line() {
    both(async |version| {
        let house = Setting::of(version)
            .set("uplink", "{limit: 1Mbit/s}")
            .start()
            .await;
        for user in ["anna", "ben"] {
            let tv = television(&house, user).await;
            assert!(!tv.play(items::DIRECT).await.playing().transcodes);
        }
        assert_eq!((held(&house), house.refused()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn who_plays_on_is_not_refused_though_the_line_is_full() {
    both(async |version| {
        let house = far(version, 6).start().await;
        let tv = television(&house, "anna").await;
        for _ in 0..3 {
            assert!(!tv.play(items::DIRECT).await.playing().transcodes);
        }
        assert_eq!(house.refused(), 0);
        assert!(held(&house) < 4_500_000, "it is counted once");
    })
    .await;
}

/// Two transcodes fill the GPU; the next could play the file itself.
#[tokio::test]
async fn the_file_itself_is_forced_only_where_the_line_can_spare_it() {
    both(async |version| {
        for (mbit, plays) in [(20, true), (8, false)] {
            let house = far(version, mbit)
                .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
                .set("direct_play", "pressure")
                .start()
                .await;
            house.occupied_by(&["anna", "ben"]).await;
            let web = Web::login(&house, "carla", "carla-laptop").await;
            let body = web.body(items::DIRECT, std::time::Duration::ZERO);
            let answer = web.device.playback_info(items::DIRECT, "", &body).await;
            let answer = answer.json();
            let direct = answer["MediaSources"][0]["SupportsDirectPlay"] == json!(true);
            assert_eq!(direct, plays, "{mbit}: {answer}");
            assert_eq!(house.refused_for("gpu-sessions"), u64::from(!plays));
        }
    })
    .await;
}

#[tokio::test]
async fn a_download_counts_while_it_flows() {
    let house = far(Version::V12_0, 20).start().await;
    let web = Web::login(&house, "anna", "laptop").await;
    let target = format!(
        "/Items/{}/Download?ApiKey={}",
        items::DIRECT,
        web.device.token
    );
    let (status, mut stream) = web.device.stream(&target).await;
    assert_eq!(status, 200);
    let mut piece = vec![0; 1 << 20];
    assert!(stream.read(&mut piece).await.unwrap() > 0);
    let other = || house.snapshot().uplink.other.bits();
    until("it is measured", || other() > 0).await;
    drop(stream);
    until("it is forgotten", || other() == 0).await;
    assert_eq!(held(&house), 0);
}
