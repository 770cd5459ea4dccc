//! Observe: nothing is refused, and what would have been done is counted.

use crate::support::{AndroidTv, Curl, Setting, Web, both, items};

#[tokio::test]
async fn observe_refuses_nothing_and_counts_what_it_would_have_done() {
    both(async |version| {
        let house = Setting::of(version).set("mode", "observe").start().await;
        Web::login(&house, "anna", "laptop")
            .await
            .play(items::LONG)
            .await
            .playing();
        AndroidTv::login(&house, "anna", "tv")
            .await
            .play(items::HDR)
            .await
            .playing();
        let curl = Curl::login(&house, "anna", "shell").await;
        let (status, _stream) = curl.device.stream(&curl.encoding(items::HEVC8)).await;
        assert_eq!(status, 200);
        assert_eq!((house.refused(), house.sim().started()), (0, 3));
        let would = house.metric(
            "finweir_would_have_decisions_total",
            &[("reason", "user-limit")],
        );
        assert_eq!(would, 2);
        assert_eq!(
            house.metric("finweir_decisions_total", &[("reason", "observed")]),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_observes_lets_in_while_the_others_hold() {
    both(async |version| {
        let house = Setting::of(version)
            .set("users", "{default: {transcodes: 1, mode: observe}}")
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 2}]")
            .start()
            .await;
        Web::login(&house, "anna", "laptop")
            .await
            .play(items::LONG)
            .await
            .playing();
        Web::login(&house, "anna", "tablet")
            .await
            .play(items::LONG)
            .await
            .playing();
        let third = Web::login(&house, "anna", "desk").await;
        assert_eq!(
            third.play(items::LONG).await.says(),
            "PlaybackError.RateLimitExceeded"
        );
        assert_eq!(house.refused_for("gpu-sessions"), 1);
        let would = house.metric(
            "finweir_would_have_decisions_total",
            &[("reason", "user-limit")],
        );
        assert_eq!(would, 1);
    })
    .await;
}

#[tokio::test]
async fn an_anonymous_encode_passes_while_all_is_observed() {
    both(async |version| {
        let house = Setting::of(version).set("mode", "observe").start().await;
        let anyone = Web::login(&house, "anna", "laptop").await.device;
        let encode = format!(
            "/Videos/{0}/stream.ts?MediaSourceId={0}&VideoCodec=h264&VideoBitrate=400000",
            items::HEVC8
        );
        let (status, _stream) = anyone.stream(&encode).await;
        assert_eq!(status, 200);
        let would = house.metric(
            "finweir_would_have_decisions_total",
            &[("reason", "anonymous")],
        );
        assert_eq!((would, house.refused()), (1, 0));
    })
    .await;
}
