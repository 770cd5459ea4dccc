//! Somebody with any of the programs: what all of them can do, each in its own way.

use std::time::Duration;

use super::{AndroidTv, App, Leaves, Web, player::Player};
use crate::support::{Device, House, Play, Shown, Wish};

/// Somebody before a screen.
#[derive(Clone, Debug)]
pub(crate) enum Viewer {
    Web(Web),
    AndroidTv(AndroidTv),
    Other(Player),
}

// === impl Viewer ===

impl Viewer {
    /// Starts a program on a device and logs in.
    pub(crate) async fn login(app: App, house: &House, user: &str, id: &str) -> Self {
        match app {
            App::Web => Self::Web(Web::login(house, user, id).await),
            App::AndroidTv => Self::AndroidTv(AndroidTv::login(house, user, id).await),
            App::Android
            | App::Swiftfin
            | App::MpvShim
            | App::Kodi
            | App::Roku
            | App::Chromecast
            | App::Vue
            | App::Streamyfin
            | App::Findroid
            | App::Infuse
            | App::Unknown => Self::Other(app.login(house, user, id).await),
        }
    }

    pub(crate) fn app(&self) -> App {
        match self {
            Self::Web(_) => App::Web,
            Self::AndroidTv(_) => App::AndroidTv,
            Self::Other(player) => player.app,
        }
    }

    pub(crate) fn device(&self) -> &Device {
        match self {
            Self::Web(web) => &web.device,
            Self::AndroidTv(tv) => &tv.device,
            Self::Other(player) => &player.device,
        }
    }

    /// The most that it wants to be sent.
    pub(crate) fn set_bitrate(&mut self, to: u64) {
        match self {
            Self::Web(web) => web.bitrate = to,
            Self::AndroidTv(tv) => tv.bitrate = to,
            Self::Other(player) => player.bitrate = to,
        }
    }

    /// From now on it can't decode a file as it is.
    pub(crate) fn go_blind(&mut self) {
        match self {
            Self::Web(web) => web.blind = true,
            Self::AndroidTv(tv) => tv.blind = true,
            Self::Other(player) => player.blind = true,
        }
    }

    /// Plays an item from its beginning.
    pub(crate) async fn play(&self, item: &str) -> Shown {
        self.plays(&Wish::of(item)).await
    }

    /// Plays what is wished for.
    pub(crate) async fn plays(&self, wish: &Wish) -> Shown {
        match self {
            Self::Web(web) => web.plays(&wish.item, web.question(wish), wish.start).await,
            Self::AndroidTv(tv) => tv.plays(wish).await,
            Self::Other(player) => player.plays(wish).await,
        }
    }

    /// Changes track or quality of what plays.
    pub(crate) async fn change(&self, old: &Play, wish: &Wish) -> Shown {
        self.go_on(old, wish, self.app().leaves()).await
    }

    /// Goes on to something else before the end.
    pub(crate) async fn next(&self, old: &Play, item: &str) -> Shown {
        self.go_on(old, &Wish::of(item), self.app().leaves_for_the_next())
            .await
    }

    async fn go_on(&self, old: &Play, wish: &Wish, leaves: Leaves) -> Shown {
        let at = Duration::from_secs(9);
        match leaves {
            Leaves::StopsFirst => self.reports_stop(old, at).await,
            Leaves::DeletesFirst => self.deletes(old).await,
            Leaves::StopsAndDeletesFirst => {
                self.reports_stop(old, at).await;
                self.deletes(old).await;
            }
            Leaves::DeletesTwice | Leaves::Deletes | Leaves::StopsAfter | Leaves::Silently => {}
        }
        let mut play = match self.plan(wish).await {
            Ok(play) => play,
            // Whoever has not left the old stream sees it go on.
            Err(shown) => return shown,
        };
        match leaves {
            Leaves::DeletesTwice | Leaves::Deletes => self.deletes(old).await,
            Leaves::StopsAfter => self.reports_stop(old, at).await,
            Leaves::Silently
            | Leaves::StopsFirst
            | Leaves::DeletesFirst
            | Leaves::StopsAndDeletesFirst => {}
        }
        let began = match self {
            Self::Web(web) => web.begin(&mut play, wish.start).await,
            Self::AndroidTv(_) | Self::Other(_) => self.device().begins(&mut play).await,
        };
        if leaves == Leaves::DeletesTwice {
            self.deletes(old).await;
        }
        if began.is_err() {
            return Shown::Nothing;
        }
        if !matches!(self, Self::Web(_)) {
            assert_eq!(
                self.device().report("", &play, wish.start, false).await,
                204
            );
        }
        Shown::Playing(Box::new(play))
    }

    async fn plan(&self, wish: &Wish) -> Result<Play, Shown> {
        let shown = match self {
            Self::Web(web) => web.asks(&wish.item, &web.question(wish)).await,
            Self::AndroidTv(tv) => {
                tv.asks(&wish.item, &wish.written(tv.body(&wish.item)))
                    .await
            }
            Self::Other(player) => return player.plan(wish).await,
        };
        match shown {
            Shown::Playing(play) => Ok(*play),
            Shown::Dialog(_) | Shown::Nothing => Err(shown),
        }
    }

    async fn reports_stop(&self, play: &Play, at: Duration) {
        let status = self.device().report("/Stopped", play, at, false).await;
        assert_eq!(status, 204);
    }

    /// An error would crash Android and wedge the web client.
    async fn deletes(&self, play: &Play) {
        assert_eq!(self.device().delete_encoding(&play.session).await, 204);
    }

    /// Goes to a segment and reads on from there.
    pub(crate) async fn seek(&self, play: &Play, to: usize) {
        for number in [to, to + 1] {
            let status = self.device().segment(play, number).await;
            assert_eq!(status, 200, "segment {number}");
        }
        self.progresses(play, to, false).await;
    }

    /// Reports where it is.
    pub(crate) async fn progresses(&self, play: &Play, segment: usize, paused: bool) {
        let at = Duration::from_secs(3 * segment as u64);
        let status = self.device().report("/Progress", play, at, paused).await;
        assert_eq!(status, 204);
    }

    /// Stops, as this program does.
    pub(crate) async fn stop(&self, play: &Play) {
        if self.app() == App::Infuse {
            return;
        }
        self.reports_stop(play, Duration::from_secs(60)).await;
        if play.transcodes && self.app().deletes_when_it_stops() {
            self.deletes(play).await;
        }
    }
}
