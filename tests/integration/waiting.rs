//! Who waits, and what becomes of it.

use std::{sync::Arc, time::Duration};

use finweir::{clock, sim::Version, tasks::Tasks};

use crate::support::{App, House, Play, Setting, Shown, Web, both, items, until};

/// A house with one seat, which anna has.
async fn taken(setting: Setting) -> (House, Web, Play) {
    let house = setting.start().await;
    let (web, play) = house.occupied_by(&["anna"]).await.remove(0);
    (house, web, play)
}

fn one_seat(version: Version) -> Setting {
    Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
        .set("pressure", "100%")
        .set("queue", "{max_wait: 15s}")
}

fn plays(web: &Web, item: &'static str) -> tokio::task::JoinHandle<Shown> {
    let web = web.clone();
    Tasks::new().spawn(async move { web.play(item).await })
}

#[tokio::test]
async fn a_held_answer_is_given_when_a_seat_comes_free() {
    both(async |version| {
        let (house, anna, play) = taken(one_seat(version)).await;
        let ben = Web::login(&house, "ben", "tablet").await;
        let held = plays(&ben, items::HEVC8);
        until("ben waits", || house.waiting() == 1).await;
        assert_eq!(house.sim().started(), 1);
        anna.stop(&play, Duration::from_secs(60)).await;
        let next = held.await.unwrap().playing();
        assert_eq!((house.held(), house.refused(), house.waiting()), (1, 0, 0));
        assert_eq!(
            house.lease(&next.session).unwrap().reason.as_str(),
            "waited"
        );
    })
    .await;
}

#[tokio::test]
async fn a_held_answer_is_void_once_the_device_asks_for_something_else() {
    both(async |version| {
        let (house, anna, play) = taken(one_seat(version)).await;
        let ben = Web::login(&house, "ben", "tablet").await;
        let first = plays(&ben, items::HEVC8);
        until("ben waits", || house.waiting() == 1).await;
        let second = plays(&ben, items::HEAVY);
        assert_eq!(
            first.await.unwrap().says(),
            "PlaybackError.RateLimitExceeded"
        );
        until("only the second wish waits", || house.waiting() == 1).await;
        assert_eq!(house.refused_for("superseded"), 1);
        anna.stop(&play, Duration::from_secs(60)).await;
        assert_eq!(second.await.unwrap().playing().item, items::HEAVY);
        assert_eq!(house.sim().started(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_held_answer_is_void_once_the_device_plays_something_cheap() {
    both(async |version| {
        let (house, anna, play) = taken(one_seat(version)).await;
        let mut ben = Web::login(&house, "ben", "tablet").await;
        let first = plays(&ben, items::HEVC8);
        until("ben waits", || house.waiting() == 1).await;
        ben.bitrate = 140_000_000;
        ben.play(items::DIRECT).await.playing();
        // Were it granted now, it would start over the film that runs.
        assert_eq!(
            first.await.unwrap().says(),
            "PlaybackError.RateLimitExceeded"
        );
        anna.stop(&play, Duration::from_secs(60)).await;
        until("the seat is free", || house.held() == 0).await;
        assert_eq!(house.sim().started(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_hangs_up_gives_the_place_to_the_next_in_line() {
    both(async |version| {
        let (house, anna, play) = taken(one_seat(version)).await;
        let ben = Web::login(&house, "ben", "tablet").await;
        let carla = Web::login(&house, "carla", "desk").await;
        let gone = plays(&ben, items::HEVC8);
        until("ben waits", || house.waiting() == 1).await;
        let next = plays(&carla, items::HEVC8);
        until("carla waits too", || house.waiting() == 2).await;
        gone.abort();
        until("ben has left the line", || house.waiting() == 1).await;
        anna.stop(&play, Duration::from_secs(60)).await;
        let play = next.await.unwrap().playing();
        assert_eq!(
            house.lease(&play.session).unwrap().user_name.as_deref(),
            Some("carla")
        );
        assert_eq!(
            house.metric("finweir_queue_outcomes_total", &[("outcome", "gone")]),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_late_answer_that_nobody_uses_gives_its_seat_back() {
    both(async |version| {
        // Leaving the page inside the web app cancels nothing: the answer comes late, to nobody.
        let setting = one_seat(version).tune(|config| {
            Arc::make_mut(&mut config.policy).timers.reserve = Duration::from_millis(300);
        });
        let (house, anna, play) = taken(setting).await;
        let ben = Web::login(&house, "ben", "tablet").await;
        let asked = {
            let ben = ben.clone();
            Tasks::new().spawn(async move {
                let body = ben.body(items::HEVC8, Duration::ZERO);
                ben.device.playback_info(items::HEVC8, "", &body).await
            })
        };
        until("ben waits", || house.waiting() == 1).await;
        let carla = Web::login(&house, "carla", "desk").await;
        let next = plays(&carla, items::HEVC8);
        until("carla waits too", || house.waiting() == 2).await;
        anna.stop(&play, Duration::from_secs(60)).await;
        let late = asked.await.unwrap();
        assert!(late.json()["ErrorCode"].is_null());
        let play = next.await.unwrap().playing();
        assert_eq!(
            house.lease(&play.session).unwrap().user_name.as_deref(),
            Some("carla")
        );
        assert_eq!(
            house.metric("finweir_leases_ended_total", &[("ended", "abandoned")]),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn nobody_is_held_beyond_his_patience() {
    both(async |version| {
        let setting = one_seat(version).set("clients", "[{client: swiftfin, patience: 1500ms}]");
        let (house, ..) = taken(setting).await;
        let phone = App::Swiftfin.login(&house, "ben", "phone").await;
        let began = clock::now();
        assert_eq!(
            phone.play(items::HEVC8).await.says(),
            "Unable to load this item."
        );
        let held = clock::now() - began;
        assert!(
            held > Duration::from_millis(500) && held < Duration::from_secs(5),
            "{held:?}"
        );
        assert_eq!(
            (
                house.refused_for("waited-out"),
                house.waiting(),
                house.sim().started()
            ),
            (1, 0, 1)
        );
        // Who has waited may wait again.
        assert_eq!(
            phone.play(items::HEVC8).await.says(),
            "Unable to load this item."
        );
        assert_eq!(house.refused_for("waited-out"), 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_what_plays_never_waits() {
    both(async |version| {
        let (house, mut anna, play) = taken(one_seat(version)).await;
        let ben = Web::login(&house, "ben", "tablet").await;
        let held = plays(&ben, items::HEVC8);
        until("ben waits", || house.waiting() == 1).await;
        anna.bitrate = 720_000;
        let began = clock::now();
        anna.change(&play, Duration::from_secs(9), |_| ())
            .await
            .playing();
        assert!(clock::now() - began < Duration::from_secs(5));
        assert_eq!(
            house.waiting(),
            1,
            "ben was let in on the seat that anna took along"
        );
        held.abort();
    })
    .await;
}
