//! Held, and then let in, refused or given something else.

use std::time::Duration;

use finweir::{sim::Version, tasks::Tasks};
use tokio::task::JoinHandle;

use super::{Case, Scene, each, one_seat};
use crate::support::{App, Heard, Setting, Shown, Viewer, Web, items, until};

fn waiting(version: Version) -> Setting {
    one_seat(version).set("queue", "{max_wait: 15s}")
}

/// A house where this client waits for a moment only, and others as long as they do.
fn impatient(case: Case) -> Setting {
    let clients = format!("[{{client: {}, patience: 1300ms}}]", case.app.key());
    waiting(case.version)
        .set("clients", &clients)
        .set("users", "{default: {transcodes: 1, when_full: wait}}")
}

fn plays(viewer: &Viewer, item: &'static str) -> JoinHandle<Shown> {
    let viewer = viewer.clone();
    Tasks::new().spawn(async move { viewer.play(item).await })
}

async fn waits(scene: &Scene, how_many: usize) {
    until("it waits", || scene.house.waiting() == how_many).await;
}

#[tokio::test]
async fn who_waits_is_let_in_when_a_seat_comes_free() {
    each(&App::TRANSCODE, async |case: Case| {
        let mut scene = case.beside_ben(waiting(case.version)).await;
        let viewer = scene.viewer.clone();
        let held = plays(&viewer, items::LONG);
        waits(&scene, 1).await;
        // Nothing of it is begun before.
        assert_eq!((scene.house.sim().started(), scene.house.held()), (1, 1));
        scene.others_watch_on().await;
        scene.others_leave().await;
        let play = held.await.unwrap().playing();
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        scene.pays(&play);
        let lease = scene.house.lease(&play.session).unwrap();
        assert_eq!(lease.reason.as_str(), "waited");
        assert_eq!(
            (scene.house.sim().started(), scene.decided()),
            (2, (0, 1, 0))
        );
        viewer.seek(&play, 2).await;
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_waited_in_vain_is_refused_and_has_its_old_place_when_it_asks_again() {
    each(&App::TRANSCODE, async |case: Case| {
        let mut scene = case.beside_ben(impatient(case)).await;
        let viewer = scene.viewer.clone();
        scene.is_refused(&viewer, items::LONG, "waited-out").await;
        // Somebody else gets in line, and then it asks again.
        let dora = Viewer::Web(Web::login(&scene.house, "dora", "doras").await);
        let behind = (case.app != App::Web).then(|| plays(&dora, items::HEVC8));
        if behind.is_some() {
            waits(&scene, 1).await;
        }
        let again = plays(&viewer, items::LONG);
        waits(&scene, 1 + usize::from(behind.is_some())).await;
        scene.others_leave().await;
        let play = again.await.unwrap().playing();
        scene.pays(&play);
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        assert_eq!(scene.house.waiting(), usize::from(behind.is_some()));
        assert_eq!(scene.house.sim().started(), 2);
        match behind {
            Some(behind) => {
                viewer.stop(&play).await;
                let next = behind.await.unwrap().playing();
                scene.ends(&[(&dora, &next)]).await;
            }
            None => scene.ends(&[(&viewer, &play)]).await,
        }
    })
    .await;
}

#[tokio::test]
async fn who_goes_elsewhere_while_it_waits_is_not_let_in_twice() {
    each(&App::TRANSCODE, async |case: Case| {
        let mut scene = case.beside_ben(waiting(case.version)).await;
        let viewer = scene.viewer.clone();
        let first = plays(&viewer, items::LONG);
        waits(&scene, 1).await;
        if case.app.hangs_up() {
            first.abort();
            until("its place is given up", || scene.house.waiting() == 0).await;
        }
        let second = plays(&viewer, items::HEAVY);
        if !case.app.hangs_up() {
            let shown = first.await.unwrap();
            scene.was_refused(&viewer, shown);
            assert_eq!(scene.house.refused_for("superseded"), 1);
        }
        waits(&scene, 1).await;
        assert_eq!((scene.house.sim().started(), scene.house.held()), (1, 1));
        scene.others_leave().await;
        let play = second.await.unwrap().playing();
        assert_eq!(play.item, items::HEAVY);
        assert_eq!((scene.house.sim().started(), scene.house.held()), (2, 1));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_while_the_house_is_drained_is_refused_at_once() {
    each(&App::TRANSCODE, async |case: Case| {
        let scene = case.beside_ben(waiting(case.version)).await;
        let viewer = scene.viewer.clone();
        let held = plays(&viewer, items::LONG);
        waits(&scene, 1).await;
        scene.house.finweir().gate().drain();
        let shown = tokio::time::timeout(Duration::from_secs(5), held).await;
        scene.was_refused(&viewer, shown.unwrap().unwrap());
        assert_eq!(scene.house.refused_for("draining"), 1);
        assert_eq!(scene.house.sim().started(), 1);
        scene.ends(&[]).await;
    })
    .await;
}
