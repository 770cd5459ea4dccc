//! Who was let in plays to the end: seeks, changes, pauses, the next episode. Nothing of it is ever refused.

use std::time::Duration;

use finweir::sim::{Kind, Version};
use serde_json::json;

use crate::support::{
    AndroidTv, House, Kodi, Play, Roku, Setting, Swiftfin, Web, both, items, until,
};

const SECOND: Duration = Duration::from_secs(1);

/// A house whose GPU is filled by others: whoever asks for anything new there is refused.
async fn full(version: Version) -> (House, Web, Play) {
    let house = Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
        .start()
        .await;
    let web = Web::login(&house, "anna", "laptop").await;
    let play = web.play(items::LONG).await.playing();
    let other = Web::login(&house, "ben", "ben-laptop").await;
    other.play(items::LONG).await.playing();
    let third = Web::login(&house, "carla", "carla-laptop").await;
    assert_eq!(
        third.play(items::HEVC8).await.says(),
        "PlaybackError.RateLimitExceeded"
    );
    assert_eq!((house.held(), house.refused()), (2, 1.0));
    (house, web, play)
}

/// Nobody but the third was refused, nobody waited, and the ledger still says two.
fn nothing_was_refused(house: &House) {
    assert_eq!(house.refused(), 1.0);
    assert_eq!(
        house.metric("finweir_decisions_total", &[("decision", "queue")]),
        0.0
    );
    assert_eq!(house.sim().stalls(), 0);
}

#[tokio::test]
async fn a_film_plays_to_its_end() {
    both(async |version| {
        let house = House::of(version).await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::HEVC8).await.playing();
        let lease = house.lease(&play.session).unwrap();
        assert!(lease.cost.as_f64() > 0.0);
        web.device.read_on(&play, 1).await;
        web.stop(&play, Duration::from_secs(60)).await;
        assert_eq!(
            (house.refused(), house.sim().stalls(), house.sim().started()),
            (0.0, 0, 1)
        );
        until("the seats are back", || house.held() == 0).await;
        until("the lease has ended", || {
            house.lease(&play.session).is_none()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn seeking_near_and_far_asks_nobody() {
    both(async |version| {
        let (house, web, play) = full(version).await;
        for to in [3, 400, 10, 500, 0] {
            web.seek(&play, to).await;
        }
        nothing_was_refused(&house);
        assert_eq!(house.held(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_quality_takes_its_seats_along() {
    both(async |version| {
        let (house, mut web, mut play) = full(version).await;
        for bitrate in [720_000, 420_000, 3_000_000] {
            web.bitrate = bitrate;
            let next = web.change(&play, 30 * SECOND, |_| ()).await.playing();
            assert_ne!(next.session, play.session);
            play = next;
            until("the old job has gone", || house.sim().running() == 2).await;
            until("one lease is held for each screen", || house.held() == 2).await;
        }
        web.seek(&play, 20).await;
        nothing_was_refused(&house);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_track_takes_its_seats_along() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::BITMAP_SUBS).await.playing();
        // A bitmap subtitle is drawn into the picture: dearer than what was reserved, and not refused.
        let burned = web
            .change(&play, 6 * SECOND, |body| {
                body["SubtitleStreamIndex"] = json!(2)
            })
            .await;
        let burned = burned.playing();
        let text = web
            .change(&burned, 9 * SECOND, |body| {
                body["AudioStreamIndex"] = json!(1)
            })
            .await;
        web.seek(&text.playing(), 5).await;
        assert_eq!((house.refused(), house.sim().stalls()), (0.0, 0));
        until("one lease is held", || house.held() == 1).await;
    })
    .await;
}

#[tokio::test]
async fn the_next_episode_follows_on_the_same_screen() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .slow("/Sessions/Playing/Stopped", Duration::from_millis(1500))
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let next = web.next(&play, items::EPISODES[0]).await.playing();
        web.device.read_on(&next, 1).await;
        assert_eq!((house.refused(), house.sim().stalls()), (0.0, 0));
        until("one lease is left", || house.snapshot().leases.len() == 1).await;
    })
    .await;
}

#[tokio::test]
async fn who_pauses_comes_back() {
    both(async |version| {
        let (house, web, play) = full(version).await;
        for minute in 1..=3 {
            // The web client goes on reporting, every ten seconds.
            for _ in 0..6 {
                house.sim().advance(10 * SECOND);
                web.pause(&play, 10 * SECOND).await;
            }
            assert_eq!(house.held(), 2, "after {minute} min");
        }
        web.seek(&play, 4).await;
        nothing_was_refused(&house);
    })
    .await;
}

#[tokio::test]
async fn a_parked_viewer_comes_back_to_a_full_gpu() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .tune(|config| {
                std::sync::Arc::make_mut(&mut config.policy)
                    .timers
                    .park_after = Duration::from_millis(200);
            })
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        web.pause(&play, 10 * SECOND).await;
        until("the viewer is parked", || house.held() == 0).await;
        let other = Web::login(&house, "ben", "ben-laptop").await;
        other.play(items::LONG).await.playing();
        web.seek(&play, 400).await;
        assert_eq!((house.refused(), house.held()), (0.0, 2));
    })
    .await;
}

#[tokio::test]
async fn remux_and_direct_play_are_never_refused_and_cost_nothing() {
    both(async |version| {
        let (house, ..) = full(version).await;
        let before = house.gpu().held;
        for (at, name) in ["carla", "dora", "emil"].into_iter().enumerate() {
            let mut web = Web::login(&house, name, &format!("{name}-{at}")).await;
            web.bitrate = 140_000_000;
            let direct = web.play(items::DIRECT).await.playing();
            assert!(!direct.transcodes);
            let mut second = Web::login(&house, name, &format!("{name}-tablet")).await;
            second.bitrate = 140_000_000;
            let remux = second.play(items::REMUX).await.playing();
            assert!(remux.transcodes);
            assert_eq!(second.device.segment(&remux, 1).await, 200);
            second.stop(&remux, 120 * SECOND).await;
        }
        assert_eq!(house.gpu().held, before);
        assert!(
            house
                .sim()
                .jobs()
                .iter()
                .filter(|job| job.kind == Kind::Transcode)
                .count()
                == 2
        );
        nothing_was_refused(&house);
    })
    .await;
}

#[tokio::test]
async fn every_client_plays_what_it_was_let_in_for() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 40}]")
            .start()
            .await;
        let tv = AndroidTv::login(&house, "anna", "tv")
            .await
            .play(items::HDR)
            .await
            .playing();
        let phone = Swiftfin::login(&house, "ben", "phone")
            .await
            .play(items::LONG)
            .await
            .playing();
        let roku = Roku::login(&house, "carla", "roku").await;
        let roku = roku.play(items::HEVC8, 1_500_000).await.playing();
        let kodi = Kodi::login(&house, "dora", "htpc")
            .await
            .play(items::HDR)
            .await
            .playing();
        for play in [&tv, &phone, &roku, &kodi] {
            assert!(play.transcodes);
            let lease = house.lease(&play.session).unwrap();
            assert_eq!(lease.state.as_str(), "active", "{lease:?}");
        }
        assert_eq!(
            (house.refused(), house.held(), house.sim().running()),
            (0.0, 4, 4)
        );
    })
    .await;
}

#[tokio::test]
async fn a_player_that_steps_up_is_charged_once() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .start()
            .await;
        let mut web = Web::login(&house, "anna", "laptop").await;
        web.bitrate = 140_000_000;
        // The browser could not decode what it was given: the same again, without copying.
        let remux = web.play(items::REMUX).await.playing();
        let body = |web: &Web| {
            let mut body = web.body(items::REMUX, 0 * SECOND);
            for switch in [
                "EnableDirectPlay",
                "EnableDirectStream",
                "AllowVideoStreamCopy",
            ] {
                body[switch] = json!(false);
            }
            body
        };
        let answer = web
            .device
            .playback_info(items::REMUX, "", &body(&web))
            .await
            .json();
        let mut encoded =
            Play::transcoded(items::REMUX, &answer, &answer["MediaSources"][0]).unwrap();
        assert_ne!(encoded.session, remux.session);
        web.begin(&mut encoded, 0 * SECOND).await.unwrap();
        let again = web
            .device
            .playback_info(items::REMUX, "", &body(&web))
            .await
            .json();
        let mut again = Play::transcoded(items::REMUX, &again, &again["MediaSources"][0]).unwrap();
        web.begin(&mut again, 0 * SECOND).await.unwrap();
        assert_eq!((house.refused(), house.held()), (0.0, 1));
    })
    .await;
}
