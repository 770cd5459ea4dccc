//! Let in with a smaller picture: at once, after a wait, or because seats become few.

use super::{Case, Scene, each, plain};
use crate::support::{App, Heard, Play, Setting, Viewer, Web, Wish, items, until};

/// A ceiling under which the film in 4K HDR has to be encoded for everybody, and costs much.
const CEILING: u64 = 18_000_000;

/// What the film in 4K and ben's film cost this client as a whole, in a house with room.
async fn costs(case: Case) -> (f64, f64) {
    let mut scene = case.beside_ben(plain(case.version)).await;
    scene.viewer.set_bitrate(CEILING);
    let viewer = scene.viewer.clone();
    let play = viewer.play(items::HDR).await.playing();
    let cost = |play: &Play| scene.house.lease(&play.session).unwrap().cost.as_f64();
    let both = (cost(&play), cost(&scene.others[0].1));
    scene.ends(&[(&viewer, &play)]).await;
    both
}

fn house(case: Case, capacity: f64, rule: &str) -> Setting {
    plain(case.version)
        .set(
            "gpus",
            &format!("[{{name: igpu, capacity: {capacity:.3}}}]"),
        )
        .set(
            "users",
            &format!("{{default: {{transcodes: 1, when_full: {rule}}}}}"),
        )
}

/// The film plays smaller than it costs as a whole, and the viewer is told where he can be.
async fn is_smaller(scene: &Scene, viewer: &Viewer, whole: f64, why: &str, told: usize) -> Play {
    let play = viewer.play(items::HDR).await.playing();
    assert_eq!(viewer.device().heard(), [Heard::Stream]);
    scene.pays(&play);
    let lease = scene.house.lease(&play.session).unwrap();
    assert!(lease.cost.as_f64() < whole, "{lease:?}, as a whole {whole}");
    let gpu = scene.house.gpu();
    assert!(gpu.held <= gpu.capacity, "{gpu:?}");
    let labels = [("decision", "downgrade"), ("reason", why)];
    assert_eq!(scene.house.metric("finweir_decisions_total", &labels), 1);
    assert_eq!((scene.house.refused(), scene.house.sim().started()), (0, 2));
    until("the viewer is told", || {
        scene.house.asked("Message") == told
    })
    .await;
    // What Jellyfin encodes is what was paid for.
    let jobs = scene.house.sim().jobs();
    let job = jobs
        .iter()
        .find(|job| job.session.as_deref() == Some(&play.session));
    assert!(job.unwrap().seats < whole, "{job:?}");
    viewer.seek(&play, 2).await;
    play
}

#[tokio::test]
async fn who_does_not_fit_gets_a_smaller_picture_at_once() {
    each(&App::TRANSCODE, async |case: Case| {
        let (whole, bens) = costs(case).await;
        let setting = house(case, whole + bens - 0.2, "step-down");
        let mut scene = case.beside_ben(setting).await;
        scene.viewer.set_bitrate(CEILING);
        let viewer = scene.viewer.clone();
        let _socket = super::socket(&viewer).await;
        let told = usize::from(case.app.shows_messages());
        let play = is_smaller(&scene, &viewer, whole, "gpu-full", told).await;
        // Ben's, the first answer, and the smaller one, except where that would be lost: there the playlist is smaller.
        let asked = if case.app.keeps_addresses() { 3 } else { 2 };
        assert_eq!(scene.house.asked("PlaybackInfo"), asked);
        assert_eq!(scene.decided(), (0, 0, 1));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_has_waited_in_vain_gets_a_smaller_picture() {
    each(&App::TRANSCODE, async |case: Case| {
        let (whole, bens) = costs(case).await;
        let clients = format!("[{{client: {}, patience: 1s}}]", case.app.key());
        let setting = house(case, whole + bens - 0.2, "wait-then-step-down")
            .set("queue", "{max_wait: 5s}")
            .set("clients", &clients);
        let mut scene = case.beside_ben(setting).await;
        scene.viewer.set_bitrate(CEILING);
        let viewer = scene.viewer.clone();
        let _socket = super::socket(&viewer).await;
        let told = usize::from(case.app.shows_messages());
        let play = is_smaller(&scene, &viewer, whole, "gpu-full", told).await;
        // There was no time left to ask again: the address was edited.
        assert_eq!(scene.house.asked("PlaybackInfo"), 2);
        assert_eq!(scene.decided(), (0, 1, 1));
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn who_would_fit_gets_a_smaller_picture_where_seats_become_few() {
    each(&App::TRANSCODE, async |case: Case| {
        let (whole, bens) = costs(case).await;
        // Somebody's 4K and ben's film are more than half, and the whole would fit beside them.
        let carlas = {
            let scene = case.alone(plain(case.version)).await;
            let mut web = Web::login(&scene.house, "carla", "carlas").await;
            web.bitrate = 60_000_000;
            let play = web.play(items::HDR).await.playing();
            let cost = scene.house.lease(&play.session).unwrap().cost.as_f64();
            scene.ends(&[(&Viewer::Web(web), &play)]).await;
            cost
        };
        let taken = carlas + bens;
        let capacity = (taken + whole + 0.1).min(taken * 1.95);
        assert!(taken + whole <= capacity, "{taken} {whole} {capacity}");
        // Both are still encoded when the viewer asks: he is ready before carla begins.
        let setting = house(case, capacity, "wait-then-step-down").encoding_at(25.0);
        let mut scene = case.beside_ben(setting).await;
        scene.viewer.set_bitrate(CEILING);
        let viewer = scene.viewer.clone();
        let _socket = super::socket(&viewer).await;
        let mut carla = Web::login(&scene.house, "carla", "carlas").await;
        carla.bitrate = 60_000_000;
        let carlas = carla.play(items::HDR).await.playing();
        scene.others.push((carla, carlas));
        // From here on the default of half the seats.
        let yaml = scene.house.yaml().replace("pressure: 100%\n", "");
        scene.house.goes_on_with(&yaml);
        let play = viewer.play(items::HDR).await.playing();
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        scene.pays(&play);
        let lease = scene.house.lease(&play.session).unwrap();
        assert_eq!(lease.reason.as_str(), "pressure");
        assert!(lease.cost.as_f64() < whole, "{lease:?}, as a whole {whole}");
        assert_eq!(scene.decided(), (0, 0, 1));
        assert_eq!(scene.house.sim().started(), 3);
        let told = usize::from(case.app.shows_messages());
        until("the viewer is told", || {
            scene.house.asked("Message") == told
        })
        .await;
        viewer.seek(&play, 2).await;
        scene.ends(&[(&viewer, &play)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_guest_who_asks_again_while_the_family_waits_makes_room_and_plays_on() {
    each(&App::TRANSCODE, async |case: Case| {
        let (whole, _) = costs(case).await;
        let setting = house(case, whole + 0.2, "wait-then-step-down")
            .set("classes", "[{name: family, users: [dora], priority: 10}]")
            .set("queue", "{max_wait: 15s}")
            .set("leases", "{recovery: 0s, linger: 1500ms}")
            .encoding_at(14.0);
        let mut scene = case.alone(setting).await;
        scene.viewer.set_bitrate(CEILING);
        let viewer = scene.viewer.clone();
        let film = viewer.play(items::HDR).await.playing();
        scene.pays(&film);
        viewer.device().heard();
        let (dora, waiting) = scene.dora_waits().await;
        // Segments, a seek among them, change nothing.
        viewer.seek(&film, 1).await;
        assert_eq!(scene.decided(), (0, 1, 0));
        let wish = Wish {
            audio: Some(1),
            ..Wish::of(items::HDR)
        };
        let change = tokio::time::timeout(super::PROMPT, viewer.change(&film, &wish));
        let film = change.await.unwrap().playing();
        scene.pays(&film);
        assert_eq!(viewer.device().heard(), [Heard::Stream]);
        let lease = scene.house.lease(&film.session).unwrap();
        assert!(lease.cost.as_f64() < whole, "{lease:?}, as a whole {whole}");
        let labels = [("decision", "downgrade"), ("reason", "yields")];
        assert_eq!(scene.house.metric("finweir_decisions_total", &labels), 1);
        let family = waiting.await.unwrap().playing();
        scene.pays(&family);
        let gpu = scene.house.gpu();
        assert!(gpu.held <= gpu.capacity, "{gpu:?}");
        assert_eq!(scene.decided(), (0, 1, 1));
        assert_eq!(scene.house.sim().started(), 3);
        scene.ends(&[(&viewer, &film), (&dora, &family)]).await;
    })
    .await;
}
