//! Quotas over time: refused with the numbers, told when they begin anew, kept over a restart.

use std::{fs, path::Path, time::Duration};

use finweir::{
    admission::{Measure, Today},
    clock::{LocalDay, local_day},
    sim::Version,
};
use serde_json::{Value, json};

use crate::support::{Curl, Device, House, Setting, Socket, Web, ask, both, items, until};

/// Three hours of one seat, as they are counted.
const THREE_HOURS: u64 = 3 * 3600 * 1_000_000_000;

/// The date, and the date of a minute from now.
fn dates() -> [String; 2] {
    let LocalDay { date, .. } = local_day();
    [date, date.tomorrow().unwrap()].map(|date| date.to_string())
}

/// A file in which this user has used something today.
fn used(directory: &Path, user: &str, amounts: &Value) {
    let days = dates().map(|date| (date, amounts.clone()));
    let days: serde_json::Map<String, Value> = days.into_iter().collect();
    let book = json!({"version": 1, "users": {user: {"name": "anna", "days": days}}});
    fs::write(directory.join("usage.json"), book.to_string()).unwrap();
}

fn setting(version: Version, directory: &Path, quota: &str) -> Setting {
    let users = format!("{{default: {{transcodes: 2, quota: {quota}}}}}");
    Setting::of(version)
        .set("users", &users)
        .set("state", &format!("{{dir: '{}'}}", directory.display()))
}

/// Asks for a stream as a bare player would, with a language; returns the status, when to come back, and the text.
async fn told(device: &Device, target: &str, language: &str) -> (u16, u64, String) {
    let language = ("Accept-Language".to_owned(), language.to_owned());
    let answer = ask(device.address, "GET", target, &[language], None)
        .await
        .unwrap();
    let retry = answer.header("retry-after").unwrap_or("0").parse().unwrap();
    let text = answer.json()["detail"].as_str().unwrap().to_owned();
    (answer.status, retry, text)
}

async fn state(house: &House) -> Value {
    let address = house.finweir().admin_address();
    ask(address, "GET", "/state", &[], None)
        .await
        .unwrap()
        .json()
}

#[tokio::test]
async fn who_has_used_up_his_quota_reads_how_much_and_until_when() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        let quota = "{gpu_time: 3h/day}";
        let mut house = setting(version, directory.path(), quota).start().await;
        let curl = Curl::login(&house, "anna", "shell").await;
        let web = Web::login(&house, "anna", "laptop").await;
        house.stop_finweir().await;
        let amounts = json!({"gpu_time": THREE_HOURS});
        used(directory.path(), &curl.device.user_id, &amounts);
        house.start_finweir();

        let target = curl.encoding(items::HEVC8);
        let (status, retry, text) = told(&curl.device, &target, "en-GB,en;q=0.8").await;
        assert_eq!(status, 429);
        assert!((1..=86_400).contains(&retry), "{retry}");
        assert!(
            text.starts_with(
                "You have used up your GPU time for today (3 h of 3 h). It starts again in "
            ),
            "{text}"
        );
        assert!(!text.contains(['{', '}']), "{text}");
        let (_, _, text) = told(&curl.device, &target, "de").await;
        let begin = "Du hast deine GPU-Zeit für heute (3 h von 3 h) aufgebraucht. In ";
        assert!(text.starts_with(begin), "{text}");
        assert_eq!(house.refused_for("quota"), 2);
        assert_eq!(house.sim().started(), 0);

        // The browser's own dialog does not say it.
        let mut in_browser = Socket::open(&web.device).await;
        in_browser.until("ForceKeepAlive").await;
        let shown = web.play(items::HEVC8).await.says();
        assert_eq!(shown, "PlaybackError.RateLimitExceeded");
        let message: Value =
            serde_json::from_str(&in_browser.until("DisplayMessage").await).unwrap();
        let text = message["Data"]["Arguments"]["Text"].as_str().unwrap();
        assert!(text.contains("3 h of 3 h"), "{text}");

        // What needs no GPU time plays.
        let mut web = web;
        web.bitrate = 140_000_000;
        let direct = web.play(items::DIRECT).await.playing();
        assert!(!direct.transcodes);

        let quotas = state(&house).await["quotas"].clone();
        assert_eq!(quotas[0]["user_name"], "anna");
        assert_eq!(
            (&quotas[0]["measure"], &quotas[0]["period"]),
            (&json!("gpu-time"), &json!("day"))
        );
        assert_eq!(
            (&quotas[0]["used"], &quotas[0]["left"]),
            (&json!(10_800.0), &json!(0.0))
        );
        let page = ask(house.finweir().admin_address(), "GET", "/", &[], None);
        let page = page.await.unwrap().text();
        assert!(
            page.contains("Quota left") && page.contains("GPU time today"),
            "{page}"
        );

        let metrics = ask(
            house.finweir().admin_address(),
            "GET",
            "/metrics",
            &[],
            None,
        );
        let metrics = metrics.await.unwrap().text();
        let gauge = r#"finweir_quota_used_ratio{measure="gpu-time",period="day"} 1"#;
        assert!(metrics.lines().any(|line| line == gauge), "{metrics}");

        // The day after the next has come.
        let date = local_day().date.tomorrow().unwrap().tomorrow().unwrap();
        house.finweir().gate().set_today(Today {
            date,
            day_left: Duration::from_secs(3600),
            week_left: Duration::from_secs(3600),
        });
        assert_eq!(curl.device.fetch(&target).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn without_gpu_time_a_film_that_can_be_played_as_it_is_is() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        let house = setting(version, directory.path(), "{gpu_time: 0s/day}")
            .set("direct_play", "pressure")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        assert!(!play.transcodes);
        let shown = web.play(items::HDR).await.says();
        assert_eq!(shown, "PlaybackError.RateLimitExceeded");
        assert_eq!((house.refused_for("quota"), house.refused()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn what_was_used_outlives_a_restart_and_a_stream_that_runs_outlives_its_quota() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        let mut house = setting(version, directory.path(), "{plays: 1/week}")
            .set("leases", "{recovery: 90s, linger: 100ms}")
            .start()
            .await;
        let laptop = Web::login(&house, "anna", "laptop").await;
        let tablet = Web::login(&house, "anna", "tablet").await;
        let play = laptop.play(items::LONG).await.playing();
        for _ in 0..2 {
            let shown = tablet.play(items::HEVC8).await.says();
            assert_eq!(shown, "PlaybackError.RateLimitExceeded");
            assert_eq!(house.refused_for("quota"), 1);
            assert_eq!(laptop.device.segment(&play, 1).await, 200);
            house.restart_finweir().await;
            until("what runs is known", || house.held() == 1).await;
            laptop.seek(&play, 300).await;
        }
        let kept = fs::read_to_string(directory.path().join("usage.json")).unwrap();
        assert!(kept.contains(r#""plays":1"#), "{kept}");
        let ben = Web::login(&house, "ben", "desk").await;
        ben.play(items::HEVC8).await.playing();
    })
    .await;
}

#[tokio::test]
async fn bytes_are_charged_to_whoever_was_sent_them() {
    both(async |version| {
        let directory = tempfile::tempdir().unwrap();
        let house = setting(version, directory.path(), "{bytes: 50GB/day}")
            .start()
            .await;
        let mut anna = Web::login(&house, "anna", "laptop").await;
        anna.bitrate = 140_000_000;
        let ben = Web::login(&house, "ben", "desk").await;
        let sent = |name: &str| {
            let all = house.finweir().gate().quotas();
            let of = all.iter().find(|quota| {
                quota.user_name.as_deref() == Some(name) && quota.measure == Measure::Bytes
            });
            of.map_or(0.0, |quota| quota.used)
        };
        let play = anna.play(items::DIRECT).await.playing();
        let before = sent("anna");
        anna.device.file(&play.url).await.unwrap();
        until("the file's bytes are charged", || {
            sent("anna") >= before + 65_536.0
        })
        .await;
        let before = sent("anna");
        let download = format!(
            "/Items/{}/Download?ApiKey={}",
            items::DIRECT,
            anna.device.token
        );
        anna.device.file(&download).await.unwrap();
        until("the download's bytes are charged", || {
            sent("anna") >= before + 65_536.0
        })
        .await;
        let play = ben.play(items::LONG).await.playing();
        let before = sent("ben");
        assert_eq!(ben.device.segment(&play, 1).await, 200);
        until("the segment's bytes are charged", || sent("ben") > before).await;
        // Playlists and pages are not media.
        assert!(sent("ben") < 50e6);
    })
    .await;
}

#[tokio::test]
async fn a_damaged_file_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("usage.json"), "{\"version\":1,").unwrap();
    let house = setting(Version::V12_0, directory.path(), "{plays: 1/week}")
        .start()
        .await;
    let web = Web::login(&house, "anna", "laptop").await;
    web.play(items::LONG).await.playing();
    assert!(directory.path().join("usage.json.bad").exists());
}
