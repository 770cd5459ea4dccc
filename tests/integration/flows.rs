//! Every client through every kind of answer.
//!
//! A flow is one kind of answer, told once for all clients: what the client asks, how it is answered, what its screen
//! shows, what it does next, and what Jellyfin's FFmpeg had to do. At the end of each flow everybody leaves, and then
//! nothing may be held. A failure names the client and the version of Jellyfin; the name of the test is the flow.
//!
//! What a client does is in `support::clients`: the web client as it was recorded, the others after their sources.

mod cheaper;
mod going_on;
mod refused;
mod smaller;
mod waited;

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use finweir::{
    sim::{Kind, Version},
    tasks::Tasks,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::task::JoinHandle;

use crate::support::{
    App, Heard, House, Play, Setting, Shape, Shown, Socket, Viewer, Web, items, until,
};

/// Flows under way at once: most of their time they wait.
const AT_ONCE: usize = 8;
/// A segment of somebody who was let in, with Jellyfin in this process on a busy machine. Less than anybody is held.
const PROMPT: Duration = Duration::from_secs(10);

/// One client on one version of Jellyfin.
#[derive(Clone, Copy, Debug)]
struct Case {
    app: App,
    version: Version,
}

/// A house in which one client's flow is told: the viewer, and whoever was there before.
struct Scene {
    app: App,
    house: House,
    viewer: Viewer,
    /// They watch since before the viewer came, and nothing may disturb them.
    others: Vec<(Web, Play)>,
}

/// Tells a flow for each of these clients on both versions, and says for which of them it does not come out.
async fn each(apps: &[App], flow: impl AsyncFn(Case)) {
    let cases = apps.iter().flat_map(|app| {
        [Version::V12_0, Version::V10_11].map(|version| Case { app: *app, version })
    });
    let flow = &flow;
    let failures: Vec<String> = stream::iter(cases)
        .map(|case| async move {
            let told = AssertUnwindSafe(flow(case)).catch_unwind().await;
            let message = words(told.err()?.as_ref());
            Some(format!("{:?} on {:?}: {message}", case.app, case.version))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn words(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().cloned();
    let text = text.or_else(|| {
        panicked
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    });
    text.unwrap_or_default()
}

/// The clients of a list of which something holds.
fn of(apps: &[App], holds: impl Fn(App) -> bool) -> Vec<App> {
    apps.iter().copied().filter(|app| holds(*app)).collect()
}

/// A house with one seat for a transcode, where nothing is given but what is asked for.
fn one_seat(version: Version) -> Setting {
    plain(version).set("gpus", "[{name: igpu, capacity: 40, max_sessions: 1}]")
}

/// A house with room for everybody, where nothing is given but what is asked for.
fn plain(version: Version) -> Setting {
    Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 40}]")
        .set("pressure", "100%")
        .set("versions", "{prefer: as-is}")
        .set("subtitles", "as-is")
}

// === impl Case ===

impl Case {
    /// The viewer, alone in a house.
    async fn alone(self, setting: Setting) -> Scene {
        let house = setting.start().await;
        let viewer = Viewer::login(self.app, &house, "anna", "screen").await;
        Scene {
            app: self.app,
            house,
            viewer,
            others: Vec::new(),
        }
    }

    /// The viewer in a house where ben watches already, by a transcode.
    async fn beside_ben(self, setting: Setting) -> Scene {
        let mut scene = self.alone(setting).await;
        scene.others = scene.house.occupied_by(&["ben"]).await;
        assert_eq!(scene.house.sim().started(), 1);
        scene
    }
}

// === impl Scene ===

impl Scene {
    /// The same viewer's second screen, with the same client.
    async fn second_screen(&self) -> Viewer {
        Viewer::login(self.app, &self.house, "anna", "second").await
    }

    /// The viewer plays this; it is refused in the shape of this client, which shows what it shows then, and FFmpeg is
    /// not started for it.
    async fn is_refused(&self, viewer: &Viewer, item: &str, why: &str) {
        let (refused, started) = (self.house.refused_for(why), self.house.sim().started());
        viewer.device().heard();
        let shown = viewer.play(item).await;
        self.was_refused(viewer, shown);
        assert_eq!(
            self.house.refused_for(why),
            refused + 1,
            "refused for {why}"
        );
        assert_eq!(self.house.sim().started(), started, "FFmpeg was started");
    }

    /// What was shown and heard is a refusal in the shape of this client.
    fn was_refused(&self, viewer: &Viewer, shown: Shown) {
        let heard = viewer.device().heard();
        assert_eq!(heard.last(), Some(&shape(self.app)), "heard {heard:?}");
        match self.app.says_of_a_refusal() {
            Some(text) => assert_eq!(shown.says(), text),
            None => assert!(matches!(shown, Shown::Nothing), "{shown:?}"),
        }
    }

    /// It plays by a transcode that this viewer's own lease pays for.
    fn pays(&self, play: &Play) {
        assert!(play.transcodes, "{play:?}");
        let lease = self.house.lease(&play.session);
        let lease = lease.unwrap_or_else(|| panic!("no lease of {}", play.session));
        assert_eq!(lease.state.as_str(), "active");
        assert!(lease.cost.as_f64() > 0.0, "{lease:?}");
    }

    /// Encodes that run now.
    fn encodes(&self) -> usize {
        let jobs = self.house.sim().jobs();
        let encodes = jobs
            .iter()
            .filter(|job| job.kind == Kind::Transcode && job.running);
        encodes.count()
    }

    /// Refused, queued and stepped down, so far.
    fn decided(&self) -> (u64, u64, u64) {
        let of = |what| {
            self.house
                .metric("finweir_decisions_total", &[("decision", what)])
        };
        (of("reject"), of("queue"), of("downgrade"))
    }

    /// dora waits for a seat that the viewer has.
    async fn dora_waits(&self) -> (Viewer, JoinHandle<Shown>) {
        let dora = Viewer::Web(Web::login(&self.house, "dora", "doras").await);
        let waiting = {
            let dora = dora.clone();
            Tasks::new().spawn(async move { dora.play(items::LONG).await })
        };
        until("dora waits", || self.house.waiting() == 1).await;
        (dora, waiting)
    }

    /// Who watched before the viewer came watches on, and is served at once.
    async fn others_watch_on(&self) {
        for (web, play) in &self.others {
            let read = tokio::time::timeout(PROMPT, web.seek(play, 2));
            assert!(read.await.is_ok(), "a segment of ben's was delayed");
            assert!(self.house.lease(&play.session).is_some(), "ben's lease");
        }
    }

    /// Who watched before the viewer came goes.
    async fn others_leave(&mut self) {
        for (web, play) in self.others.drain(..) {
            web.stop(&play, Duration::from_secs(60)).await;
        }
    }

    /// Everybody leaves: nothing is held, nothing runs, nobody had to wait in mid-play, and Jellyfin saw nothing that no
    /// client sends.
    async fn ends(mut self, playing: &[(&Viewer, &Play)]) {
        self.others_watch_on().await;
        for (viewer, play) in playing {
            viewer.stop(play).await;
        }
        self.others_leave().await;
        let house = &self.house;
        if self.app == App::Chromecast {
            // It says nothing of a stream that it leaves: Jellyfin ends the encoding after a minute.
            house.sim().advance(Duration::from_secs(61));
        }
        let empty = || {
            let all = house.snapshot();
            let gpu = &all.gpus[0];
            all.leases.is_empty()
                && all.waiting.is_empty()
                && all.uplink.held.bits() == 0
                && (gpu.sessions, gpu.held.milli(), gpu.reserved.milli()) == (0, 0, 0)
        };
        let seen = tokio::time::timeout(Duration::from_secs(15), until("", empty));
        if !matches!(AssertUnwindSafe(seen).catch_unwind().await, Ok(Ok(()))) {
            panic!("still held: {:?}", house.snapshot());
        }
        until("no FFmpeg is left", || house.sim().running() == 0).await;
        assert_eq!(house.sim().stalls(), 0);
        assert_eq!(house.sim().faults(), Vec::<String>::new());
    }
}

/// The socket of a client on whose screen messages appear.
async fn socket(viewer: &Viewer) -> Option<Socket> {
    if !viewer.app().shows_messages() {
        return None;
    }
    Some(Socket::open(viewer.device()).await)
}

/// How a client hears that it is refused.
fn shape(app: App) -> Heard {
    match app.shape() {
        Shape::E => Heard::E,
        Shape::N => Heard::N,
        Shape::H => Heard::H(429),
    }
}
