//! Plays one film as a player does: fills a buffer, lets the picture run, reports, seeks, pauses.
//!
//! Two futures share a [`Screen`]: one fills it, one lets time pass. A viewer stalls if the picture catches up with
//! what is there.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    apps::Answer,
    device::{Device, Film, Report, Segment, Trouble},
    story::Story,
};
use crate::clock;

/// Seconds of film that a player keeps ahead.
const AHEAD: f64 = 30.0;
/// Seconds of film that must be there before the picture runs.
const FIRST: f64 = 2.5;
/// Seconds of the evening between two looks.
const TICK: f64 = 0.25;
/// Nobody looks at a spinner for longer, seconds of the evening.
const SPINNER: f64 = 40.0;
/// The most a player reads of a file as it is, bytes a second: the point is the seats, not the bytes.
const READS: f64 = 4e6;

/// Something a viewer does in the middle of a film.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// Jumps to this part of the film.
    Seek(f64),
    /// Pauses for this many seconds.
    Pause(f64),
}

/// How a film ended.
#[derive(Debug)]
pub(super) enum End {
    /// Seen to its end.
    Finished,
    /// Seen enough of.
    Left,
    /// The picture never came, or went away.
    Lost(Trouble),
    /// The spinner turned for too long.
    Spinner,
}

/// What a viewer intends to do with a film.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    /// Seconds that he watches at most.
    pub(super) attention: f64,
    /// What he does after so many seconds of watching.
    pub(super) moves: Vec<(f64, Move)>,
}

/// One film on one device.
pub(super) struct Player<'a> {
    pub(super) device: &'a Device,
    pub(super) story: &'a Story,
    pub(super) film: &'a Film,
    pub(super) session: Option<String>,
    pub(super) speed: f64,
}

enum Media {
    Segments(Vec<Segment>),
    File {
        url: String,
        seconds: f64,
        rate: f64,
    },
}

#[derive(Debug, Default)]
struct State {
    position: f64,
    buffered: f64,
    end: f64,
    runs: bool,
    paused: f64,
    /// Counts seeks: what was fetched before one is of no use after it.
    seeks: u32,
}

struct Screen {
    state: Mutex<State>,
    passed: Notify,
    sought: Notify,
}

// === impl Player ===

impl Player<'_> {
    /// Plays until the end, or until its viewer has had enough.
    pub(super) async fn play(&self, answer: Answer, intent: Intent) -> End {
        let media = match answer {
            Answer::Playlist { url } => match self.device.segments(&url).await {
                Ok(segments) => Media::Segments(segments),
                Err(trouble) => return self.over(End::Lost(trouble), 0.0).await,
            },
            Answer::Direct { url, seconds, rate } => Media::File { url, seconds, rate },
            Answer::Refused => return End::Left,
        };
        let end = match &media {
            Media::Segments(segments) => segments.last().map_or(0.0, |segment| segment.end),
            Media::File { seconds, .. } => *seconds,
        };
        let screen = Screen {
            state: Mutex::new(State {
                end,
                ..State::default()
            }),
            passed: Notify::new(),
            sought: Notify::new(),
        };
        let over = tokio::select! {
            trouble = self.fill(&screen, &media) => End::Lost(trouble),
            over = self.watch(&screen, intent) => over,
        };
        let position = screen.state().position;
        self.over(over, position).await
    }

    async fn over(&self, end: End, position: f64) -> End {
        // A report that is lost is what happens in a house: Finweir must see the end without it.
        drop(self.report(Report::Stopped, position, false).await);
        end
    }

    async fn report(&self, report: Report, position: f64, paused: bool) -> Result<(), Trouble> {
        let session = self.session.as_deref();
        self.device
            .report(report, self.film, session, position, paused)
            .await
    }

    /// Keeps the screen filled; returns only in trouble.
    async fn fill(&self, screen: &Screen, media: &Media) -> Trouble {
        loop {
            let filled = match media {
                Media::Segments(segments) => self.fill_segment(screen, segments).await,
                Media::File { url, rate, .. } => self.fill_file(screen, url, *rate).await,
            };
            if let Err(trouble) = filled {
                return trouble;
            }
        }
    }

    async fn fill_segment(&self, screen: &Screen, segments: &[Segment]) -> Result<(), Trouble> {
        let (wanted, seeks) = {
            let state = screen.state();
            let next = segments
                .iter()
                .find(|segment| segment.end > state.buffered + 1e-3);
            (next.filter(|_| state.wants()), state.seeks)
        };
        let Some(segment) = wanted else {
            screen.passed.notified().await;
            return Ok(());
        };
        tokio::select! {
            fetched = self.device.fetch(&segment.url) => {
                fetched?;
                let mut state = screen.state();
                if state.seeks == seeks {
                    state.buffered = segment.end;
                }
            }
            () = screen.sought.notified() => {}
        }
        Ok(())
    }

    /// One long answer, read as fast as it is needed: the rest waits in the sockets.
    async fn fill_file(&self, screen: &Screen, url: &str, rate: f64) -> Result<(), Trouble> {
        let rate = rate.min(READS / self.speed).max(1.0);
        let mut response = self.device.get(url).await?;
        let seeks = screen.state().seeks;
        loop {
            let (wants, sought) = {
                let state = screen.state();
                (state.wants(), state.seeks != seeks)
            };
            if sought {
                return Ok(());
            }
            if !wants {
                screen.passed.notified().await;
                continue;
            }
            let Some(chunk) = response.chunk().await.map_err(Trouble::Http)? else {
                screen.fill_to_the_end();
                screen.passed.notified().await;
                continue;
            };
            #[expect(clippy::cast_precision_loss, reason = "one piece of a file")]
            let seconds = chunk.len() as f64 / rate;
            let mut state = screen.state();
            state.buffered = (state.buffered + seconds).min(state.end);
        }
    }

    /// Lets time pass, and does what the viewer does.
    async fn watch(&self, screen: &Screen, intent: Intent) -> End {
        let tick = Duration::from_secs_f64((TICK / self.speed).max(0.02));
        let mut moves = intent.moves.into_iter().peekable();
        let (mut last, mut watched, mut spinner, mut reported) = (clock::now(), 0.0, 0.0, 0.0);
        let mut started = false;
        loop {
            tokio::time::sleep(tick).await;
            let now = clock::now();
            let passed = (now - last).as_secs_f64() * self.speed;
            last = now;
            let before = screen.state().runs;
            let seen = screen.pass(passed);
            screen.passed.notify_one();
            match seen {
                Seen::Picture => {
                    watched += passed;
                    spinner = 0.0;
                    if !before && !started {
                        started = true;
                        drop(self.report(Report::Started, 0.0, false).await);
                    }
                }
                Seen::Pause => {}
                Seen::Spinner => {
                    if before {
                        self.story.stalled(self.device, self.film);
                    }
                    spinner += passed;
                }
                Seen::End => return End::Finished,
            }
            if spinner > SPINNER {
                return End::Spinner;
            }
            if watched >= intent.attention {
                return End::Left;
            }
            reported += passed;
            let due = started && reported >= self.device.viewer.app.progress();
            let (position, paused) = {
                let state = screen.state();
                (state.position, state.paused > 0.0)
            };
            if due && (!paused || self.device.viewer.app.reports_pauses()) {
                reported = 0.0;
                drop(self.report(Report::Progress, position, paused).await);
            }
            if let Some((_, what)) = moves.next_if(|(at, _)| watched >= *at) {
                self.make(screen, what).await;
            }
        }
    }

    async fn make(&self, screen: &Screen, what: Move) {
        let (position, paused) = {
            let mut state = screen.state();
            match what {
                Move::Seek(part) => {
                    state.position = (state.end * part).min(state.end - 1.0).max(0.0);
                    state.buffered = state.position;
                    state.runs = false;
                    state.seeks += 1;
                    screen.sought.notify_one();
                }
                Move::Pause(seconds) => state.paused = seconds,
            }
            (state.position, state.paused > 0.0)
        };
        self.story.moves(self.device, self.film, what, position);
        drop(self.report(Report::Progress, position, paused).await);
    }
}

enum Seen {
    Picture,
    Pause,
    Spinner,
    End,
}

// === impl Screen ===

impl Screen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill_to_the_end(&self) {
        let mut state = self.state();
        state.buffered = state.end;
    }

    /// Lets seconds of the evening pass.
    fn pass(&self, seconds: f64) -> Seen {
        let mut state = self.state();
        if state.paused > 0.0 {
            state.paused -= seconds;
            return Seen::Pause;
        }
        if !state.runs {
            let enough =
                state.buffered - state.position >= FIRST || state.buffered + 1e-3 >= state.end;
            if !enough {
                return Seen::Spinner;
            }
            state.runs = true;
            return Seen::Picture;
        }
        state.position += seconds;
        if state.position + 1e-3 >= state.end {
            state.position = state.end;
            return Seen::End;
        }
        if state.position > state.buffered {
            state.position = state.buffered;
            state.runs = false;
            return Seen::Spinner;
        }
        Seen::Picture
    }
}

// === impl State ===

impl State {
    fn wants(&self) -> bool {
        self.buffered - self.position < AHEAD && self.buffered + 1e-3 < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(state: State) -> Screen {
        Screen {
            state: Mutex::new(state),
            passed: Notify::new(),
            sought: Notify::new(),
        }
    }

    #[test]
    fn the_picture_runs_only_over_what_is_there() {
        let screen = screen(State {
            end: 10.0,
            ..State::default()
        });
        assert!(matches!(screen.pass(1.0), Seen::Spinner));
        screen.state().buffered = 3.0;
        assert!(matches!(screen.pass(1.0), Seen::Picture));
        assert!(matches!(screen.pass(2.9), Seen::Picture));
        assert!(matches!(screen.pass(0.2), Seen::Spinner));
        assert!(!screen.state().runs);
        screen.state().buffered = 10.0;
        assert!(matches!(screen.pass(1.0), Seen::Picture));
        assert!(matches!(screen.pass(7.1), Seen::End));
    }

    #[test]
    fn nothing_passes_while_it_is_paused() {
        let screen = screen(State {
            end: 10.0,
            buffered: 10.0,
            runs: true,
            paused: 2.0,
            ..State::default()
        });
        assert!(matches!(screen.pass(1.5), Seen::Pause));
        assert!(matches!(screen.pass(1.5), Seen::Pause));
        assert!(matches!(screen.pass(1.5), Seen::Picture));
        assert!((screen.state().position - 1.5).abs() < 1e-9);
    }
}
