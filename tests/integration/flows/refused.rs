//! Refused at once, and for which reason: nobody who plays is touched by it.

use std::time::Duration;

use finweir::sim::Version;

use super::{Case, Scene, each, one_seat, plain};
use crate::support::{AndroidTv, App, Heard, Play, Setting, Shape, Shown, Viewer, items, until};

/// The viewer plays one film by a transcode.
async fn plays_one(case: Case, setting: Setting) -> (Scene, Play) {
    let scene = case.alone(setting).await;
    let play = scene.viewer.play(items::LONG).await.playing();
    scene.pays(&play);
    (scene, play)
}

fn two_at_once(version: Version) -> Setting {
    plain(version).set("users", "{default: {transcodes: 2}}")
}

/// Messages that were sent to a screen.
async fn messages(scene: &Scene, how_many: usize) {
    until("the viewer is told", || {
        scene.house.asked("Message") == how_many
    })
    .await;
}

#[tokio::test]
async fn who_is_refused_and_asks_again_and_again_starts_nothing_until_there_is_room() {
    each(&App::TRANSCODE, async |case: Case| {
        let mut scene = case.beside_ben(one_seat(case.version)).await;
        let viewer = scene.viewer.clone();
        scene.is_refused(&viewer, items::LONG, "gpu-sessions").await;
        let asked = scene.house.asked("PlaybackInfo");
        for _ in 0..3 {
            let shown = viewer.play(items::LONG).await;
            scene.was_refused(&viewer, shown);
        }
        // Whose refusal needs no answer of Jellyfin's costs it nothing.
        let more = scene.house.asked("PlaybackInfo") - asked;
        assert!(
            case.app.shape() == Shape::N || more <= 1,
            "Jellyfin was asked {more} times more"
        );
        assert_eq!((scene.house.sim().started(), scene.house.held()), (1, 1));
        scene.others_watch_on().await;
        scene.others_leave().await;
        // A person tries again some seconds later. A refusal is remembered for two seconds, and nothing tells when those
        // are over: it is tried in real time.
        let begins = async {
            loop {
                if let Shown::Playing(play) = viewer.play(items::LONG).await {
                    return *play;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let play = tokio::time::timeout(2 * super::PROMPT, begins).await;
        let play = play.unwrap();
        scene.pays(&play);
        assert_eq!(scene.house.sim().started(), 2);
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_has_used_up_a_quota_is_refused_and_what_runs_runs_on() {
    each(&App::TRANSCODE, async |case: Case| {
        let setting = plain(case.version).set(
            "users",
            "{default: {transcodes: 2, quota: {plays: 1/week}}}",
        );
        let (scene, play) = plays_one(case, setting).await;
        let second = scene.second_screen().await;
        let _socket = super::socket(&second).await;
        scene.is_refused(&second, items::HEAVY, "quota").await;
        // How much, and until when, stands in no text of the client's own.
        messages(&scene, usize::from(case.app.shows_messages())).await;
        scene.viewer.seek(&play, 300).await;
        assert_eq!(scene.decided(), (1, 0, 0));
        let viewer = scene.viewer.clone();
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

/// The line out of the house has room for one file, which is being played.
async fn line_taken(case: Case, rule: &'static str) -> (Scene, AndroidTv, Play) {
    let setting = plain(case.version)
        .set("uplink", "{limit: 6Mbit/s, local: []}")
        .set("users", rule);
    let mut scene = case.alone(setting).await;
    scene.viewer.set_bitrate(120_000_000);
    let mut tv = AndroidTv::login(&scene.house, "carla", "carlas").await;
    tv.bitrate = 120_000_000;
    let file = tv.play(items::DIRECT).await.playing();
    assert!(!file.transcodes);
    (scene, tv, file)
}

#[tokio::test]
async fn who_finds_the_line_full_and_may_only_wait_is_refused() {
    each(&App::TRANSCODE, async |case: Case| {
        let rule = "{default: {transcodes: 1, when_full: wait}}";
        let (scene, tv, file) = line_taken(case, rule).await;
        scene
            .is_refused(&scene.viewer, items::DIRECT, "uplink-full")
            .await;
        assert!(tv.device.file(&file.url).await.is_ok());
        scene.ends(&[(&Viewer::AndroidTv(tv), &file)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_finds_the_line_full_is_encoded_for_where_it_keeps_its_address() {
    each(&App::TRANSCODE, async |case: Case| {
        let (scene, tv, file) = line_taken(case, "{default: {transcodes: 1}}").await;
        let viewer = scene.viewer.clone();
        let tv = Viewer::AndroidTv(tv);
        if !case.app.keeps_addresses() {
            scene
                .is_refused(&viewer, items::DIRECT, "uplink-full")
                .await;
            return scene.ends(&[(&tv, &file)]).await;
        }
        let play = viewer.play(items::DIRECT).await.playing();
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        scene.pays(&play);
        let held = scene.house.snapshot().uplink.held.bits();
        assert!(held <= 6_000_000, "{held}");
        assert_eq!(
            (scene.house.sim().started(), scene.decided()),
            (1, (0, 0, 0))
        );
        scene.ends(&[(&tv, &file), (&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_comes_in_a_forbidden_hour_is_refused_and_what_runs_runs_on() {
    each(&App::TRANSCODE, async |case: Case| {
        let (scene, play) = plays_one(case, two_at_once(case.version)).await;
        let window = "windows: [{name: day, from: '00:00', to: '24:00', transcode: deny}]\n";
        let yaml = format!("{}{window}", scene.house.yaml());
        scene.house.goes_on_with(&yaml);
        let second = scene.second_screen().await;
        scene.is_refused(&second, items::HEAVY, "time-window").await;
        // What needs no transcode plays at any hour.
        let mut file = scene.second_screen().await;
        file.set_bitrate(140_000_000);
        let direct = file.play(items::DIRECT).await.playing();
        assert!(!direct.transcodes);
        scene.viewer.seek(&play, 300).await;
        scene.viewer.progresses(&play, 301, true).await;
        scene.viewer.seek(&play, 20).await;
        assert_eq!(scene.decided(), (1, 0, 0));
        let viewer = scene.viewer.clone();
        scene.ends(&[(&file, &direct), (&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_comes_to_a_house_that_is_drained_is_refused_and_what_runs_runs_on() {
    each(&App::TRANSCODE, async |case: Case| {
        let (scene, play) = plays_one(case, two_at_once(case.version)).await;
        scene.house.finweir().gate().drain();
        let second = scene.second_screen().await;
        scene.is_refused(&second, items::HEAVY, "draining").await;
        scene.viewer.seek(&play, 300).await;
        scene.viewer.progresses(&play, 301, true).await;
        scene.viewer.seek(&play, 20).await;
        assert_eq!(scene.decided(), (1, 0, 0));
        let viewer = scene.viewer.clone();
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}
