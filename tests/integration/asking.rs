//! The viewer's page: who asks, is told of himself, and of nobody else.

use std::time::Duration;

use finweir::{sim::Version, tasks::Tasks};
use serde_json::json;

use crate::support::{Setting, Web, ask, both, items, until};

#[tokio::test]
async fn a_viewer_is_told_his_own_place_and_wait_and_nobody_elses() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .set("queue", "{max_wait: 15s}")
            .set("viewer_page", "on")
            .start()
            .await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let play = anna.play(items::LONG).await.playing();
        let ben = Web::login(&house, "ben", "tablet").await;
        let waits = {
            let ben = ben.clone();
            Tasks::new().spawn(async move { ben.play(items::HEVC8).await })
        };
        until("ben waits", || house.waiting() == 1).await;

        let told = ben.device.send("GET", "/finweir/place.json", None).await;
        assert_eq!(told.status, 200);
        let told = told.json();
        assert_eq!(
            (&told["in_line"], &told["waiting"][0]["place"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(told["playing"], json!([]));
        let told = anna
            .device
            .send("GET", "/finweir/place.json", None)
            .await
            .json();
        assert_eq!(told["waiting"], json!([]));
        assert_eq!(told["playing"].as_array().unwrap().len(), 1);
        assert!(!told.to_string().contains("ben"));

        // Without a login, or with a wrong one, nothing is told.
        let none = ask(house.address(), "GET", "/finweir/place.json", &[], None).await;
        assert_eq!(none.unwrap().status, 401);
        let wrong = [("X-Emby-Token".to_owned(), "0".repeat(32))];
        let wrong = ask(house.address(), "GET", "/finweir/place.json", &wrong, None).await;
        assert_eq!(wrong.unwrap().status, 401);
        for (path, kind) in [
            ("", "text/html; charset=utf-8"),
            ("place.css", "text/css; charset=utf-8"),
            ("place.js", "text/javascript; charset=utf-8"),
        ] {
            let path = format!("/finweir/{path}");
            let file = ask(house.address(), "GET", &path, &[], None).await.unwrap();
            assert_eq!(
                (file.status, file.header("content-type")),
                (200, Some(kind)),
                "{path}"
            );
        }
        anna.stop(&play, Duration::from_secs(60)).await;
        waits.await.unwrap().playing();
    })
    .await;
}

#[tokio::test]
async fn a_house_without_the_page_answers_as_jellyfin_does() {
    let house = Setting::of(Version::V12_0).start().await;
    for path in ["/finweir/", "/finweir/place.json"] {
        let ours = ask(house.address(), "GET", path, &[], None).await.unwrap();
        let theirs = ask(house.sim().address(), "GET", path, &[], None)
            .await
            .unwrap();
        assert_eq!(
            (ours.status, &ours.body),
            (theirs.status, &theirs.body),
            "{path}"
        );
    }
}
