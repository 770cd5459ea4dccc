//! Who was let in plays to the end: seeks, changes, pauses, the next episode. Nothing of it is ever refused.

use std::time::Duration;

use finweir::{
    clock,
    sim::{Kind, Version},
};
use serde_json::json;

use crate::support::{AndroidTv, App, Curl, House, Play, Setting, Web, both, items, until};

const SECOND: Duration = Duration::from_secs(1);

/// A house whose GPU is filled by others: whoever asks for anything new there is refused.
async fn full(version: Version) -> (House, Web, Play) {
    let house = Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
        .start()
        .await;
    let (web, play) = house.occupied_by(&["anna", "ben"]).await.remove(0);
    let third = Web::login(&house, "carla", "carla-laptop").await;
    assert_eq!(
        third.play(items::HEVC8).await.says(),
        "PlaybackError.RateLimitExceeded"
    );
    assert_eq!((house.held(), house.refused()), (2, 1));
    (house, web, play)
}

/// Nobody but the third was refused, nobody waited, and the ledger still says two.
fn nothing_was_refused(house: &House) {
    assert_eq!(house.refused(), 1);
    assert_eq!(
        house.metric("finweir_decisions_total", &[("decision", "queue")]),
        0
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
            (0, 0, 1)
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
                body["SubtitleStreamIndex"] = json!(2);
            })
            .await;
        let burned = burned.playing();
        let text = web
            .change(&burned, 9 * SECOND, |body| {
                body["AudioStreamIndex"] = json!(1);
            })
            .await;
        web.seek(&text.playing(), 5).await;
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
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
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
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
            // Its job may have encoded all there is by now: it keeps its place, not its seats.
            assert!(house.lease(&play.session).is_some(), "after {minute} min");
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
        assert_eq!((house.refused(), house.held()), (0, 2));
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
            // Not even the shortest is encoded before the last one begins.
            .encoding_at(30.0)
            .start()
            .await;
        let tv = AndroidTv::login(&house, "anna", "tv")
            .await
            .play(items::HDR)
            .await
            .playing();
        let phone = App::Swiftfin
            .login(&house, "ben", "phone")
            .await
            .play(items::LONG)
            .await
            .playing();
        let roku = App::Roku.login(&house, "carla", "roku").await;
        let roku = roku.play(items::HEVC8).await.playing();
        let kodi = App::Kodi
            .login(&house, "dora", "htpc")
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
            (0, 4, 4)
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
        let answer = web
            .device
            .playback_info(items::REMUX, "", &web.escalated(items::REMUX))
            .await
            .json();
        let mut encoded =
            Play::transcoded(items::REMUX, &answer, &answer["MediaSources"][0]).unwrap();
        assert_ne!(encoded.session, remux.session);
        web.begin(&mut encoded, Duration::ZERO).await.unwrap();
        let again = web
            .device
            .playback_info(items::REMUX, "", &web.escalated(items::REMUX))
            .await
            .json();
        let mut again = Play::transcoded(items::REMUX, &again, &again["MediaSources"][0]).unwrap();
        web.begin(&mut again, Duration::ZERO).await.unwrap();
        assert_eq!((house.refused(), house.held()), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn who_stops_a_direct_play_may_start_the_next_elsewhere() {
    both(async |version| {
        let house = Setting::of(version)
            .set("users", "{default: {transcodes: 1, streams: 1}}")
            .start()
            .await;
        let mut laptop = Web::login(&house, "anna", "laptop").await;
        let mut tablet = Web::login(&house, "anna", "tablet").await;
        (laptop.bitrate, tablet.bitrate) = (140_000_000, 140_000_000);
        let play = laptop.play(items::DIRECT).await.playing();
        assert!(!play.transcodes);
        let refused = tablet.play(items::REMUX).await.says();
        assert_eq!(refused, "PlaybackError.RateLimitExceeded");
        // Its reports name no session, only the item.
        laptop.stop(&play, 9 * SECOND).await;
        // A look at Jellyfin that the stop has overtaken may take it in once more, until the next ones.
        until("the stream is given back", || {
            house.snapshot().leases.is_empty()
        })
        .await;
        tablet.play(items::DIRECT).await.playing();
        assert_eq!(house.refused_for("user-streams"), 1);
    })
    .await;
}

#[tokio::test]
async fn the_first_streams_run_to_the_end_whoever_knocks() {
    both(async |version| {
        // They are still encoded while somebody knocks.
        let house = Setting::of(version).encoding_at(30.0).start().await;
        let web = Web::login(&house, "anna", "laptop").await;
        let tv = AndroidTv::login(&house, "ben", "tv").await;
        let of_web = web.play(items::HEVC8).await.playing();
        let of_tv = tv.play(items::HEAVY).await.playing();
        let second = Web::login(&house, "anna", "tablet").await;
        let curl = Curl::login(&house, "ben", "shell").await;
        let knocks = async {
            for item in [items::LONG, items::HDR, items::BITMAP_SUBS] {
                let says = second.play(item).await.says();
                assert_eq!(says, "PlaybackError.RateLimitExceeded");
                assert_eq!(curl.device.fetch(&curl.encoding(item)).await.status, 429);
            }
        };
        tokio::join!(
            web.device.read_on(&of_web, 1),
            tv.device.read_on(&of_tv, 1),
            knocks
        );
        assert_eq!((house.refused_for("user-limit"), house.refused()), (6, 6));
        assert_eq!((house.sim().started(), house.sim().stalls()), (2, 0));
        assert_eq!(house.sim().faults(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_channel_holds_its_seat_while_its_playlist_is_read() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .tune(|config| {
                std::sync::Arc::make_mut(&mut config.policy).timers.idle = 2 * SECOND;
            })
            .start()
            .await;
        let tv = AndroidTv::login(&house, "anna", "tv").await;
        let channels = tv.device.send("GET", "/LiveTv/Channels", None).await;
        let channel = channels.json()["Items"][0]["Id"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut body = tv.body(&channel);
        body.as_object_mut().unwrap().remove("MediaSourceId");
        body["EnableDirectPlay"] = json!(false);
        let answer = tv.device.playback_info(&channel, "", &body).await.json();
        let mut play = Play::transcoded(&channel, &answer, &answer["MediaSources"][0]).unwrap();
        tv.device.playlists(&mut play).await.unwrap();
        for _ in 0..5 {
            house.sim().advance(3 * SECOND);
            let before = clock::now();
            assert_eq!(tv.device.fetch(&play.hls.variants[0]).await.status, 200);
            let lease = house.lease(&play.session).unwrap();
            // What was silent so far counts no more.
            assert!(lease.idle <= clock::now() - before, "{lease:?}");
            assert_eq!(house.held(), 1);
        }
        let other = Web::login(&house, "ben", "laptop").await;
        let says = other.play(items::HEVC8).await.says();
        assert_eq!(says, "PlaybackError.RateLimitExceeded");
        until("silence ends it", || house.held() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn music_is_encoded_whatever_the_gpu_does() {
    both(async |version| {
        let (house, ..) = full(version).await;
        let dora = Web::login(&house, "dora", "radio").await.device;
        let track = "b044b2bc6d16d942831f6097d1b36317";
        let url = format!(
            "/Audio/{track}/universal?UserId={}&DeviceId=radio&MaxStreamingBitrate=96000&Container=mp3&TranscodingContainer=mp3&TranscodingProtocol=http&AudioCodec=mp3&PlaySessionId=1732400000000&ApiKey={}",
            dora.user_id, dora.token
        );
        let (status, _reads) = dora.stream(&url).await;
        assert_eq!(status, 200);
        nothing_was_refused(&house);
        assert_eq!(house.held(), 2);
    })
    .await;
}
