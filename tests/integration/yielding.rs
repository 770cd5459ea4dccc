//! Guests who play make room for the family when they ask again, and only then; or are ended, where a rule says so.

use std::time::Duration;

use finweir::{admission::LeaseState, sim::Version, tasks::Tasks};
use serde_json::{Value, json};

use crate::support::{House, Play, Setting, Shown, Socket, Web, both, items, until};

const CLASSES: &str = "[{name: family, users: [anna, dora], priority: 10}]";
const PREEMPTING: &str = "[{name: family, users: [anna, dora], priority: 10, preempt: [default]}]";

/// A GPU that one guest's 4K film fills.
fn house(version: Version) -> Setting {
    Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 4}]")
        .set("users", "{default: {transcodes: 2}}")
        .set("queue", "{max_wait: 15s}")
        .set("classes", CLASSES)
        .encoding_at(8.0)
}

/// A guest who watches a film as a whole that fills the GPU.
async fn guest(house: &House) -> (Web, Play) {
    let mut web = Web::login(house, "ben", "ben-laptop").await;
    web.bitrate = 60_000_000;
    let play = web.play(items::HDR).await.playing();
    assert!(play.transcodes);
    assert_eq!(
        house.metric("finweir_decisions_total", &[("decision", "downgrade")]),
        0
    );
    (web, play)
}

fn plays(web: &Web, item: &'static str) -> tokio::task::JoinHandle<Shown> {
    let web = web.clone();
    Tasks::new().spawn(async move { web.play(item).await })
}

fn yielded(house: &House) -> u64 {
    house.metric(
        "finweir_decisions_total",
        &[("decision", "downgrade"), ("reason", "yields")],
    )
}

/// A change of the sound track: the player asks again.
async fn change_track(web: &Web, play: &Play) -> Play {
    let at = Duration::from_secs(30);
    web.change(play, at, |body| body["AudioStreamIndex"] = json!(1))
        .await
        .playing()
}

#[tokio::test]
async fn a_guest_steps_down_when_he_asks_again_while_the_family_waits_and_up_when_there_is_room() {
    both(async |version| {
        let house = house(version).start().await;
        let (ben, film) = guest(&house).await;
        let whole = house.lease(&film.session).unwrap().cost;
        let anna = Web::login(&house, "anna", "anna-laptop").await;
        let held = plays(&anna, items::LONG);
        until("anna waits", || house.waiting() == 1).await;
        // Segments, seeks among them, change nothing.
        ben.seek(&film, 3).await;
        assert_eq!((house.waiting(), yielded(&house)), (1, 0));
        let film = change_track(&ben, &film).await;
        let family = held.await.unwrap().playing();
        assert_eq!((yielded(&house), house.refused()), (1, 0));
        let small = house.lease(&film.session).unwrap();
        assert!(small.cost < whole, "{small:?}");
        assert!(
            house.gpu().held <= house.gpu().capacity,
            "{:?}",
            house.gpu()
        );
        // There is no room to step up: he keeps what he has.
        let film = change_track(&ben, &film).await;
        assert_eq!(house.lease(&film.session).unwrap().cost, small.cost);
        anna.stop(&family, Duration::from_secs(60)).await;
        until("anna's seats are free", || house.held() == 1).await;
        let film = change_track(&ben, &film).await;
        assert_eq!(house.lease(&film.session).unwrap().cost, whole);
        assert_eq!((house.refused(), house.sim().stalls()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn the_family_does_not_step_down_for_a_guest_that_waits() {
    both(async |version| {
        let house = house(version).start().await;
        let mut anna = Web::login(&house, "anna", "anna-laptop").await;
        anna.bitrate = 60_000_000;
        let film = anna.play(items::HDR).await.playing();
        let whole = house.lease(&film.session).unwrap().cost;
        let ben = Web::login(&house, "ben", "ben-laptop").await;
        let held = plays(&ben, items::LONG);
        until("ben waits", || house.waiting() == 1).await;
        let film = change_track(&anna, &film).await;
        assert_eq!(house.lease(&film.session).unwrap().cost, whole);
        assert_eq!(yielded(&house), 0);
        anna.stop(&film, Duration::from_secs(60)).await;
        held.await.unwrap().playing();
    })
    .await;
}

/// A house in which the family may have a guest's stream ended, half a second after he was told.
async fn preempting(version: Version, classes: &str) -> (House, Web, Play) {
    let house = house(version)
        .set("classes", classes)
        .set("queue", "{max_wait: 3s}")
        .set("preemption", "{grace: 500ms}")
        .set("clients", "[{client: web, patience: 4s}]")
        .start()
        .await;
    let (ben, film) = guest(&house).await;
    (house, ben, film)
}

#[tokio::test]
async fn a_guest_is_told_then_stopped_where_a_rule_says_so_and_the_family_plays() {
    both(async |version| {
        let (house, ben, film) = preempting(version, PREEMPTING).await;
        let mut screen = Socket::open(&ben.device).await;
        screen.until("ForceKeepAlive").await;
        let anna = Web::login(&house, "anna", "anna-laptop").await;
        let held = plays(&anna, items::LONG);
        let told: Value = serde_json::from_str(&screen.until("DisplayMessage").await).unwrap();
        let text = told["Data"]["Arguments"]["Text"].as_str().unwrap();
        assert!(text.contains("this stops in 1 seconds"), "{text}");
        let stop: Value = serde_json::from_str(&screen.until("Playstate").await).unwrap();
        assert_eq!(stop["Data"]["Command"], json!("Stop"));
        let family = held.await.unwrap().playing();
        until("Jellyfin's job has ended", || {
            house.asked("ActiveEncodings") >= 1
        })
        .await;
        assert!(house.lease(&film.session).is_none());
        assert_eq!(
            house.lease(&family.session).unwrap().state,
            LeaseState::Active
        );
        let of = |name: &str, label| house.metric(name, &[label]);
        assert_eq!(of("finweir_preemptions_total", ("told", "announced")), 1);
        assert_eq!(of("finweir_leases_ended_total", ("ended", "preempted")), 1);
        assert!(
            house.gpu().held <= house.gpu().capacity,
            "{:?}",
            house.gpu()
        );
        assert_eq!(house.refused(), 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_rule_the_family_is_refused_and_the_guest_plays_on() {
    both(async |version| {
        let (house, ben, film) = preempting(version, CLASSES).await;
        let anna = Web::login(&house, "anna", "anna-laptop").await;
        anna.play(items::LONG).await.says();
        assert_eq!(house.refused_for("waited-out"), 1);
        assert_eq!(house.metric("finweir_preemptions_total", &[]), 0);
        ben.seek(&film, 3).await;
        assert_eq!((house.held(), house.asked("ActiveEncodings")), (1, 0));
        // She was told when to come back, and he makes room for her meanwhile when he asks again.
        let film = change_track(&ben, &film).await;
        assert_eq!(yielded(&house), 1);
        until("his old job is gone", || {
            house
                .lease(&film.session)
                .is_some_and(|lease| lease.held == lease.cost)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_viewer_whose_seats_are_lent_comes_back_at_once() {
    both(async |version| {
        for end_parked in [false, true] {
            let house = house(version)
                .set(
                    "leases",
                    &format!("{{recovery: 0s, linger: 100ms, end_parked: {end_parked}}}"),
                )
                .encoding_at(16.0)
                .tune(|config| {
                    let timers = &mut std::sync::Arc::make_mut(&mut config.policy).timers;
                    timers.park_after = Duration::from_millis(1500);
                    timers.replace_idle = Duration::from_secs(1);
                })
                .start()
                .await;
            let (ben, film) = guest(&house).await;
            let whole = house.gpu().held;
            let completion = || {
                let lease = house.lease(&film.session);
                lease.is_some_and(|lease| lease.completion.is_some())
            };
            until("his job is seen", completion).await;
            ben.pause(&film, Duration::from_secs(9)).await;
            until("his seats are lent", || house.gpu().lent == whole).await;
            assert_eq!(house.held(), 0);
            let carla = Web::login(&house, "carla", "carla-laptop").await;
            let other = carla.play(items::LONG).await.playing();
            let runs = if end_parked { 1 } else { 2 };
            until("his job is ended, or not", || house.sim().running() == runs).await;
            assert_eq!(house.asked("ActiveEncodings"), usize::from(end_parked));
            // He presses play: the player says so, and reads on.
            let at = Duration::from_secs(9);
            assert_eq!(ben.device.report("/Progress", &film, at, false).await, 204);
            ben.seek(&film, 2).await;
            assert_eq!((house.held(), house.refused()), (2, 0), "he is not refused");
            assert!(
                house.gpu().held > house.gpu().capacity,
                "it is a borrowed seat"
            );
            // Nobody else is let in until it fits again.
            let dora = Web::login(&house, "emil", "emil-laptop").await;
            let held = plays(&dora, items::LONG);
            until("emil waits", || house.waiting() == 1).await;
            carla.stop(&other, Duration::from_secs(60)).await;
            until("carla's seats are free", || house.held() == 1).await;
            assert_eq!(house.waiting(), 1);
            ben.stop(&film, Duration::from_secs(60)).await;
            held.await.unwrap().playing();
        }
    })
    .await;
}
