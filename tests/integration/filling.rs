//! The disk that Jellyfin writes its transcodes to: what it is asked, and what an operator sees and hears of it.

#[expect(dead_code, reason = "what waits for a word would hold up Finweir here")]
#[path = "../word/receiver.rs"]
mod receiver;

use std::time::Duration;

use self::receiver::receiver;
use crate::support::{House, Setting, Web, ask, both, items, until};

const GB: u64 = 1_000_000_000;

/// Looks often.
fn setting(version: finweir::sim::Version) -> Setting {
    Setting::of(version).tune(|config| {
        config.control.disk_poll = Duration::from_millis(10);
        config.notify.pace.look = Duration::from_millis(10);
    })
}

async fn page(house: &House) -> String {
    let admin = house.finweir().admin_address();
    let answer = ask(admin, "GET", "/", &[], None).await.unwrap();
    String::from_utf8(answer.body).unwrap()
}

async fn disk(house: &House) -> serde_json::Value {
    let admin = house.finweir().admin_address();
    let answer = ask(admin, "GET", "/state", &[], None).await.unwrap();
    let state: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    state["nodes"][0]["disk"].clone()
}

fn free(house: &House) -> u64 {
    house.metric("finweir_jellyfin_disk_free_bytes", &[("node", "jellyfin")])
}

fn filling(house: &House) -> u64 {
    house.metric("finweir_jellyfin_disk_filling", &[("node", "jellyfin")])
}

#[tokio::test]
async fn a_disk_that_fills_is_shown_and_told_until_it_has_room_again() {
    both(async |version| {
        let (address, posts) = receiver();
        let house = setting(version)
            .set("notify", &format!("{{urls: [{{url: 'json://{address}/word'}}]}}"))
            .start()
            .await;
        until("its disk is seen", || free(&house) > 70 * GB).await;
        let seen = page(&house).await;
        assert!(seen.contains("70.") && seen.contains(" GB free for transcodes"), "{seen}");
        assert!(!seen.contains("is filling"), "{seen}");
        assert_eq!(disk(&house).await["filling"], false);

        house.sim().set_free_space(5 * GB - 1);
        until("it is filling", || filling(&house) == 1).await;
        let seen = page(&house).await;
        let said = "The disk that jellyfin writes its transcodes to (/cache/transcodes) is filling: 4.9 GB are free.";
        assert!(seen.contains(said), "{seen}");
        let state = disk(&house).await;
        assert_eq!((&state["filling"], &state["free"]), (&true.into(), &(5 * GB - 1).into()));
        let mut told = Vec::new();
        let mut word = |posts: &std::sync::mpsc::Receiver<receiver::Post>| {
            told.extend(posts.try_iter().map(|(_, body)| body));
            told.last().cloned()
        };
        until("the operator is told", || word(&posts).is_some()).await;
        let body = word(&posts).unwrap();
        assert_eq!((&body["event"], &body["subject"], &body["state"]), (&"disk-filling".into(), &"jellyfin".into(), &"firing".into()));
        assert!(body["text"].as_str().unwrap().starts_with("4.9 GB are free"), "{body}");

        house.sim().set_free_space(6 * GB);
        until("that is seen", || free(&house) == 6 * GB).await;
        assert_eq!(filling(&house), 1, "a little more is not enough");
        house.sim().set_free_space(7 * GB);
        until("it has room", || filling(&house) == 0).await;
        assert!(!page(&house).await.contains("is filling"));
        until("the operator is told that too", || {
            word(&posts).is_some_and(|body| body["state"] == "resolved")
        })
        .await;
        assert_eq!(told.len(), 2, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_keeps_nobody_out_and_ends_nobody() {
    both(async |version| {
        let house = setting(version).start().await;
        house.sim().set_free_space(0);
        until("it is full", || filling(&house) == 1).await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let play = anna.play(items::LONG).await.playing();
        assert!(play.transcodes);
        assert_eq!(anna.device.segment(&play, 0).await, 200);
        assert_eq!(house.refused(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_jobs_write_is_missing_on_the_disk_until_they_end() {
    both(async |version| {
        let house = setting(version).start().await;
        house.sim().set_free_space(50 * GB);
        until("its disk is seen", || free(&house) == 50 * GB).await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let play = anna.play(items::LONG).await.playing();
        until("its job writes", || free(&house) < 50 * GB).await;
        anna.stop(&play, Duration::from_secs(60)).await;
        until("what it wrote is deleted", || free(&house) == 50 * GB).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_say_it_is_asked_once_and_nothing_is_claimed() {
    both(async |version| {
        let house = setting(version).without_key().start().await;
        until("it serves", || house.asked("Health") > 0).await;
        let seen = page(&house).await;
        assert!(seen.contains("room for transcodes not known"), "{seen}");
        assert!(disk(&house).await.is_null());
        assert_eq!(house.asked("Storage"), 0, "nobody is asked without a key");

        let house = setting(version)
            .tune(|config| config.nodes[0].api_key = Some(finweir::ident::Token::new("not-a-key")))
            .start()
            .await;
        until("it was asked", || house.asked("Storage") > 0).await;
        until("the sessions are asked for again and again", || {
            house.asked("Sessions") > 5
        })
        .await;
        assert_eq!(house.asked("Storage"), 1, "it refused");
        assert!(disk(&house).await.is_null());
        assert!(
            !house
                .finweir()
                .telemetry()
                .gather()
                .contains("finweir_jellyfin_disk_")
        );
    })
    .await;
}
