//! Let in at once, and let in with something cheaper: the file itself, another version, a copy, a subtitle beside the
//! picture.

use std::{sync::Arc, time::Duration};

use finweir::sim::Kind;

use super::{Case, each, of, one_seat, plain};
use crate::support::{App, Heard, Viewer, Wish, items, until};

/// H.264 with an SRT subtitle as its third stream.
const SUBS: &str = "948e4d39322ff7d56621c4d23ebc1579";
/// More than any file has.
const EVERYTHING: u64 = 140_000_000;

#[tokio::test]
async fn who_fits_is_let_in_at_once() {
    each(&App::TRANSCODE, async |case: Case| {
        let scene = case.alone(plain(case.version)).await;
        let play = scene.viewer.play(items::LONG).await.playing();
        assert_eq!(scene.viewer.device().heard(), [Heard::Stream]);
        scene.pays(&play);
        scene.viewer.seek(&play, 2).await;
        assert_eq!(scene.house.asked("PlaybackInfo"), 1);
        assert_eq!((scene.house.sim().started(), scene.encodes()), (1, 1));
        assert_eq!(scene.decided(), (0, 0, 0));
        let viewer = scene.viewer.clone();
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_by_itself_is_made_to_play_the_file_and_nobody_else() {
    each(&App::TRANSCODE, async |case: Case| {
        let setting = one_seat(case.version).set("direct_play", "pressure");
        let scene = case.beside_ben(setting).await;
        let viewer = scene.viewer.clone();
        if case.app.comes_back() {
            let play = viewer.play(items::LONG).await.playing();
            assert!(!play.transcodes);
            assert_eq!(viewer.device().heard(), [Heard::File]);
            assert_eq!(scene.decided(), (0, 0, 0));
            assert_eq!((scene.house.sim().started(), scene.house.held()), (1, 1));
            scene.ends(&[(&viewer, &play)]).await;
        } else {
            scene.is_refused(&viewer, items::LONG, "gpu-sessions").await;
            scene.ends(&[]).await;
        }
    })
    .await;
}

/// What a client hears that is given the file and can't decode it, until it is given something else.
fn in_vain(app: App) -> Vec<Heard> {
    // Android asks the same question once more before it changes it.
    let times = if app == App::Android { 2 } else { 1 };
    vec![Heard::File; times]
}

#[tokio::test]
async fn who_could_not_play_the_file_is_encoded_for_and_not_made_to_try_again() {
    let apps = of(&App::TRANSCODE, App::comes_back);
    each(&apps, async |case: Case| {
        // Within the grace after a stop, the same screen's next film is no other matter.
        let setting = plain(case.version)
            .set("direct_play", "always")
            .set("leases", "{recovery: 0s, linger: 100ms, grace: 0s}")
            .tune(|config| {
                // Without that grace, a look at Jellyfin that a stop has overtaken takes the old film in again: it is
                // dropped when nobody has read it for so long.
                Arc::make_mut(&mut config.policy).timers.replace_idle = Duration::from_millis(300);
            });
        let mut scene = case.alone(setting).await;
        scene.viewer.go_blind();
        let viewer = scene.viewer.clone();
        let play = viewer.play(items::LONG).await.playing();
        let heard = [in_vain(case.app), vec![Heard::Stream]].concat();
        assert_eq!(viewer.device().heard(), heard);
        scene.pays(&play);
        assert_eq!((scene.house.sim().started(), scene.encodes()), (1, 1));
        viewer.seek(&play, 2).await;
        viewer.stop(&play).await;
        until("its seat is back", || scene.house.held() == 0).await;
        // The next evening it is not tried any more; another film is.
        let play = viewer.play(items::LONG).await.playing();
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        scene.pays(&play);
        viewer.stop(&play).await;
        until("its seat is back", || scene.house.held() == 0).await;
        let play = viewer.play(items::DIRECT).await.playing();
        assert_eq!(viewer.device().heard().first(), Some(&Heard::File));
        assert_eq!(scene.decided(), (0, 0, 0));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_could_not_play_the_file_and_does_not_fit_is_refused_as_it_understands() {
    let apps = of(&App::TRANSCODE, App::comes_back);
    each(&apps, async |case: Case| {
        // What was reserved for the file is given back when nobody has used it.
        let setting = one_seat(case.version)
            .set("direct_play", "pressure")
            .set("leases", "{recovery: 0s, linger: 100ms, reserve: 1s}");
        let mut scene = case.beside_ben(setting).await;
        scene.viewer.go_blind();
        let viewer = scene.viewer.clone();
        let shown = viewer.play(items::LONG).await;
        let heard = viewer.device().heard();
        let (last, before) = heard.split_last().unwrap();
        assert_eq!(before, in_vain(case.app));
        assert_eq!(*last, super::shape(case.app));
        match case.app.says_of_a_refusal() {
            Some(text) => assert_eq!(shown.says(), text),
            None => assert!(matches!(shown, crate::support::Shown::Nothing)),
        }
        assert_eq!(scene.house.refused_for("gpu-sessions"), 1);
        assert_eq!(scene.house.sim().started(), 1);
        scene.ends(&[]).await;
    })
    .await;
}

/// The lines of the version that a play is of, as Jellyfin lists them.
async fn height(viewer: &Viewer, item: &str, source: &str) -> u64 {
    let device = viewer.device();
    let target = format!("/Items/{item}?userId={}", device.user_id);
    let shown = device.send("GET", &target, None).await.json();
    let sources = shown["MediaSources"].as_array().unwrap();
    let source = sources.iter().find(|own| own["Id"] == source).unwrap();
    let streams = source["MediaStreams"].as_array().unwrap();
    let video = streams.iter().find(|stream| stream["Type"] == "Video");
    video.unwrap()["Height"].as_u64().unwrap()
}

#[tokio::test]
async fn another_version_is_played_where_nobody_has_chosen_one() {
    each(&App::TRANSCODE, async |case: Case| {
        let setting = plain(case.version).set("versions", "{prefer: cheapest}");
        let scene = case.alone(setting).await;
        let viewer = scene.viewer.clone();
        let play = viewer.play(items::VERSIONS).await.playing();
        let named = case.app.names_the_version();
        let lines = height(&viewer, items::VERSIONS, &play.source).await;
        assert_eq!(lines, if named { 2160 } else { 1080 });
        assert_eq!(scene.house.asked("PlaybackInfo"), 1);
        assert_eq!(scene.house.sim().started(), 1);
        viewer.seek(&play, 2).await;
        assert_eq!(scene.decided(), (0, 0, 0));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_chosen_version_is_played_as_chosen() {
    let apps = of(&App::TRANSCODE, |app| !app.names_the_version());
    each(&apps, async |case: Case| {
        let setting = plain(case.version).set("versions", "{prefer: cheapest}");
        let scene = case.alone(setting).await;
        let viewer = scene.viewer.clone();
        let wish = Wish {
            named: true,
            ..Wish::of(items::VERSIONS)
        };
        let play = viewer.plays(&wish).await.playing();
        let lines = height(&viewer, items::VERSIONS, &play.source).await;
        assert_eq!(lines, 2160);
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn what_needs_no_encode_plays_whatever_the_gpu_does() {
    each(&App::TRANSCODE, async |case: Case| {
        let mut scene = case.beside_ben(one_seat(case.version)).await;
        scene.viewer.set_bitrate(EVERYTHING);
        let viewer = scene.viewer.clone();
        let play = viewer.play(items::REMUX).await.playing();
        if play.transcodes {
            let lease = scene.house.lease(&play.session).unwrap();
            assert_eq!(lease.cost.milli(), 0, "{lease:?}");
            viewer.seek(&play, 2).await;
        }
        assert_eq!(scene.encodes(), 1);
        assert_eq!(
            scene.house.sim().started(),
            if play.transcodes { 2 } else { 1 }
        );
        assert_eq!(scene.decided(), (0, 0, 0));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

/// A ceiling a little below the file: the picture is copied, or the file played, except where the client writes its own
/// bitrate into the address and would have it encoded.
#[tokio::test]
async fn a_picture_that_is_nearly_within_the_ceiling_is_copied() {
    each(&App::TRANSCODE, async |case: Case| {
        let setting = one_seat(case.version).set("direct_play", "pressure");
        let mut scene = case.beside_ben(setting).await;
        scene.viewer.set_bitrate(5_800_000);
        let viewer = scene.viewer.clone();
        if case.app.keeps_addresses() {
            let play = viewer.play(items::REMUX).await.playing();
            let jobs = scene.house.sim().jobs();
            let own = jobs
                .iter()
                .find(|job| job.session.as_deref() == Some(&play.session));
            assert!(own.is_none_or(|job| job.kind != Kind::Transcode));
            assert_eq!(scene.decided(), (0, 0, 0));
            scene.ends(&[(&viewer, &play)]).await;
        } else {
            scene
                .is_refused(&viewer, items::REMUX, "gpu-sessions")
                .await;
            scene.ends(&[]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_subtitle_goes_beside_the_picture() {
    // Those that have such a setting.
    each(
        &[App::Web, App::AndroidTv, App::Roku],
        async |case: Case| {
            let mut drawn = Vec::new();
            for rule in ["as-is", "external"] {
                let setting = plain(case.version).set("subtitles", rule);
                let scene = case.alone(setting).await;
                let viewer = scene.viewer.clone();
                let wish = Wish {
                    drawn: Some(2),
                    ..Wish::of(SUBS)
                };
                let play = viewer.plays(&wish).await.playing();
                assert_eq!(viewer.device().heard(), [Heard::Stream]);
                scene.pays(&play);
                drawn.push(
                    play.url
                        .contains("alwaysBurnInSubtitleWhenTranscoding=true"),
                );
                assert_eq!(
                    (scene.house.sim().started(), scene.decided()),
                    (1, (0, 0, 0))
                );
                scene.ends(&[(&viewer, &play)]).await;
            }
            assert_eq!(drawn, [true, false]);
        },
    )
    .await;
}

#[tokio::test]
async fn who_only_plays_files_is_never_touched() {
    each(&App::FILES_ONLY, async |case: Case| {
        let setting = one_seat(case.version)
            .set("users", "{default: {transcodes: 0}}")
            .set("direct_play", "off")
            .set("leases", "{recovery: 0s, linger: 100ms, reserve: 1s}");
        let scene = case.alone(setting).await;
        let viewer = scene.viewer.clone();
        for item in [items::LONG, items::HDR, items::HEVC8] {
            let shown = viewer.play(item).await;
            let heard = viewer.device().heard();
            assert!(matches!(heard[..], [] | [Heard::File]), "{item}: {heard:?}");
            let play = shown.playing();
            assert!(!play.transcodes);
            assert_eq!(scene.house.gpu().held.milli(), 0);
            viewer.stop(&play).await;
        }
        let play = viewer.play(items::DIRECT).await.playing();
        assert_eq!(
            (scene.house.sim().started(), scene.decided()),
            (0, (0, 0, 0))
        );
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}
