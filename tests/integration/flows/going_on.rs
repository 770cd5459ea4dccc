//! Who plays goes on: seeks, changes of track and quality, the next episode, a long pause and the way back.

use std::{sync::Arc, time::Duration};

use finweir::sim::Version;

use super::{Case, Scene, each, one_seat};
use crate::support::{App, Heard, Leaves, Play, Setting, Shown, Viewer, Web, Wish, items, until};

/// The viewer has the only seat.
async fn has_the_seat(case: Case, setting: Setting) -> (Scene, Play) {
    let scene = case.alone(setting).await;
    let play = scene.viewer.play(items::LONG).await.playing();
    scene.pays(&play);
    scene.viewer.device().heard();
    (scene, play)
}

/// A house with one seat and a line before it. FFmpeg takes its time to go.
fn with_a_line(version: Version) -> Setting {
    one_seat(version)
        .set("queue", "{max_wait: 15s}")
        .set("leases", "{recovery: 0s, linger: 1500ms}")
}

#[tokio::test]
async fn seeking_near_and_far_is_never_refused_or_held() {
    each(&App::TRANSCODE, async |case: Case| {
        let (scene, play) = has_the_seat(case, one_seat(case.version)).await;
        let third = Viewer::login(App::Unknown, &scene.house, "carla", "carlas").await;
        for to in [3, 400, 10, 500, 0] {
            let seek = scene.viewer.seek(&play, to);
            assert!(tokio::time::timeout(super::PROMPT, seek).await.is_ok());
            assert!(!matches!(third.play(items::HEAVY).await, Shown::Playing(_)));
        }
        assert_eq!(scene.viewer.device().heard(), []);
        assert_eq!(
            (scene.encodes(), scene.house.lease(&play.session).is_some()),
            (1, true)
        );
        // The first, and at most one for each far leap.
        assert!((2..=4).contains(&scene.house.sim().started()));
        assert_eq!(scene.decided().1, 0);
        let viewer = scene.viewer.clone();
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_of_track_or_quality_keeps_its_seat_though_somebody_waits_for_it() {
    each(&App::TRANSCODE, async |case: Case| {
        let (scene, mut play) = has_the_seat(case, with_a_line(case.version)).await;
        let (dora, waiting) = scene.dora_waits().await;
        let mut viewer = scene.viewer.clone();
        for (nth, bitrate) in [900_000, 1_200_000].into_iter().enumerate() {
            viewer.set_bitrate(bitrate);
            let wish = Wish {
                audio: Some(1),
                ..Wish::of(items::LONG)
            };
            let change = tokio::time::timeout(super::PROMPT, viewer.change(&play, &wish));
            let next = change.await.unwrap().playing();
            assert_ne!(next.session, play.session);
            assert_eq!(viewer.device().heard(), [Heard::Stream]);
            play = next;
            scene.pays(&play);
            assert_eq!(scene.house.sim().started(), nth as u64 + 2);
            assert_eq!((scene.house.held(), scene.house.waiting()), (1, 1));
        }
        viewer.seek(&play, 2).await;
        assert_eq!(scene.decided(), (0, 1, 0));
        if case.app.leaves() != Leaves::Silently {
            assert_eq!(scene.encodes(), 1, "the old encodings are gone");
        }
        viewer.stop(&play).await;
        let dorasplay = waiting.await.unwrap().playing();
        scene.ends(&[(&dora, &dorasplay)]).await;
    })
    .await;
}

/// Three episodes one after the other, each in the place of the one before.
async fn binges(scene: &Scene, viewer: &Viewer, mut play: Play) -> Play {
    for episode in items::EPISODES {
        if stops_late(scene.app) && scene.app != App::Swiftfin {
            // It has read the episode to the end, and plays what it has.
            let session = play.session.clone();
            until("it has read nothing for a while", || {
                let lease = scene.house.lease(&session).unwrap();
                lease.idle > scene.house.config.policy.timers.replace_idle
            })
            .await;
        }
        let started = scene.house.sim().started();
        let next = tokio::time::timeout(super::PROMPT, viewer.next(&play, episode));
        play = next.await.unwrap().playing();
        scene.pays(&play);
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        assert_eq!(scene.house.sim().started(), started + 1);
        assert_eq!((scene.house.held(), scene.house.waiting()), (1, 1));
    }
    play
}

/// It says that it has left one film only when it has been given the next.
fn stops_late(app: App) -> bool {
    app.leaves_for_the_next() == Leaves::StopsAfter
}

#[tokio::test]
async fn the_next_episode_follows_on_the_same_screen_though_somebody_waits() {
    each(&App::TRANSCODE, async |case: Case| {
        let setting = with_a_line(case.version).tune(|config| {
            Arc::make_mut(&mut config.policy).timers.replace_idle = Duration::from_millis(300);
        });
        let (scene, play) = has_the_seat(case, setting).await;
        let (dora, waiting) = scene.dora_waits().await;
        let viewer = scene.viewer.clone();
        let play = binges(&scene, &viewer, play).await;
        assert_eq!(scene.decided(), (0, 1, 0));
        viewer.stop(&play).await;
        let doras = waiting.await.unwrap().playing();
        scene.ends(&[(&dora, &doras)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_plays_one_thing_at_a_time_goes_on_to_another_in_the_middle_though_somebody_waits() {
    each(&[App::Swiftfin], async |case: Case| {
        let (scene, play) = has_the_seat(case, with_a_line(case.version)).await;
        let (dora, waiting) = scene.dora_waits().await;
        let viewer = scene.viewer.clone();
        let next = tokio::time::timeout(super::PROMPT, viewer.next(&play, items::EPISODES[0]));
        let play = next.await.unwrap().playing();
        scene.pays(&play);
        assert_eq!(scene.decided(), (0, 1, 0));
        assert_eq!((scene.house.held(), scene.house.waiting()), (1, 1));
        viewer.stop(&play).await;
        let doras = waiting.await.unwrap().playing();
        scene.ends(&[(&dora, &doras)]).await;
    })
    .await;
}

/// In the middle of an episode another one can't be told from a second stream of the same device, where that is not
/// known of the player: it waits, and if it is refused the first plays on.
#[tokio::test]
async fn who_may_play_two_things_and_wants_another_in_the_middle_keeps_what_plays() {
    each(&[App::Streamyfin], async |case: Case| {
        let (scene, play) = has_the_seat(case, one_seat(case.version)).await;
        let viewer = scene.viewer.clone();
        let shown = viewer.next(&play, items::EPISODES[0]).await;
        scene.was_refused(&viewer, shown);
        assert_eq!(scene.decided(), (1, 0, 0));
        viewer.seek(&play, 2).await;
        scene.pays(&play);
        assert_eq!((scene.house.sim().started(), scene.house.held()), (1, 1));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_pauses_for_long_lends_the_seat_out_and_comes_back_at_once() {
    each(&App::TRANSCODE, async |case: Case| {
        // Slow enough that the film is not encoded to its end meanwhile.
        let setting = one_seat(case.version).encoding_at(4.0).tune(|config| {
            Arc::make_mut(&mut config.policy).timers.park_after = Duration::from_millis(200);
        });
        let (scene, play) = has_the_seat(case, setting).await;
        let viewer = scene.viewer.clone();
        viewer.progresses(&play, 1, true).await;
        // Of those who report a pause once, the encoding dies meanwhile.
        for _ in 0..2 {
            scene.house.sim().advance(Duration::from_secs(50));
            if case.app.reports_pauses() {
                viewer.progresses(&play, 1, true).await;
            }
        }
        until("the seat is lent out", || scene.house.held() == 0).await;
        let ben = Viewer::Web(Web::login(&scene.house, "ben", "bens").await);
        let bens = ben.play(items::LONG).await.playing();
        assert_eq!(scene.house.held(), 1);
        // It comes back by a segment that is not there yet: no question, no refusal, no wait.
        let started = scene.house.sim().started();
        let back = tokio::time::timeout(super::PROMPT, viewer.seek(&play, 400));
        assert!(back.await.is_ok());
        assert_eq!(viewer.device().heard(), []);
        scene.pays(&play);
        assert_eq!(scene.house.sim().started(), started + 1);
        assert_eq!((scene.house.held(), scene.decided()), (2, (0, 0, 0)));
        ben.seek(&bens, 2).await;
        scene.ends(&[(&viewer, &play), (&ben, &bens)]).await;
    })
    .await;
}
