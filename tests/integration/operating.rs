//! What an operator does by hand reaches Jellyfin and the viewer.

use std::time::Duration;

use crate::support::{House, Setting, Socket, Web, ask, both, items, until};

const TOKEN: &str = "0123456789abcdef-admin";

/// Gives an order on the admin side, with the token.
async fn order(house: &House, path: &str, form: &str) -> u16 {
    let headers = [("Authorization".to_owned(), format!("Bearer {TOKEN}"))];
    let admin = house.finweir().admin_address();
    let answer = ask(admin, "POST", path, &headers, Some(form.as_bytes())).await;
    answer.unwrap().status
}

#[tokio::test]
async fn an_operator_writes_to_a_viewer_and_ends_his_stream() {
    both(async |version| {
        let house = Setting::of(version)
            .set(
                "admin",
                &format!("{{listen: '127.0.0.1:0', token: {TOKEN}}}"),
            )
            .start()
            .await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let mut socket = Socket::open(&anna.device).await;
        let play = anna.play(items::LONG).await.playing();
        until("its job runs", || house.sim().running() == 1).await;
        let lease = house.lease(&play.session).unwrap().lease.0;

        let path = format!("/message?lease={lease}");
        assert_eq!(order(&house, &path, "text=Dinner+is+ready").await, 200);
        socket.until("Dinner is ready").await;

        assert_eq!(
            order(&house, "/release", &format!("lease={lease}")).await,
            200
        );
        until("its job is ended", || house.sim().running() == 0).await;
        until("its seats are back", || house.held() == 0).await;
        assert_eq!(
            order(&house, "/release", &format!("lease={lease}")).await,
            409
        );
        assert_eq!(
            house.metric("finweir_jobs_ended_total", &[("ended", "revoked")]),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_pause_lets_nobody_begin_until_it_ends() {
    both(async |version| {
        let house = Setting::of(version)
            .set(
                "admin",
                &format!("{{listen: '127.0.0.1:0', token: {TOKEN}}}"),
            )
            .start()
            .await;
        let anna = Web::login(&house, "anna", "laptop").await;
        let play = anna.play(items::LONG).await.playing();
        assert_eq!(order(&house, "/pause", "").await, 200);
        let ben = Web::login(&house, "ben", "tablet").await;
        assert_eq!(
            ben.play(items::HEVC8).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(house.refused_for("paused"), 1);
        assert_eq!(anna.device.segment(&play, 1).await, 200);
        assert_eq!(order(&house, "/resume", "").await, 200);
        // The same wish a moment later is refused from memory: another one is judged anew.
        ben.play(items::HEAVY).await.playing();
        anna.stop(&play, Duration::from_secs(60)).await;
    })
    .await;
}
