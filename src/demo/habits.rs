//! What viewers do with their evening.

use std::time::Duration;

use http::StatusCode;

use super::{
    apps::Answer,
    device::{Device, Film, Told, Trouble},
    house::Habit,
    player::{End, Intent, Move, Player},
    story::Story,
};
use crate::clock;

/// An answer that takes longer than this is held back: it is told that somebody waits.
const HELD: Duration = Duration::from_millis(400);
/// How long the impatient wait, seconds of the evening.
const IMPATIENCE: f64 = 4.0;
/// How often the stubborn ask again at once.
const TRIES: u32 = 4;

/// One viewer of an evening.
pub(super) struct Life {
    pub(super) device: Device,
    pub(super) story: Story,
    pub(super) speed: f64,
    pub(super) dice: Dice,
}

/// Numbers that look like chance and are the same every evening.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

/// What came of asking for a film.
enum Asked {
    Plays(Answer, Option<String>),
    Refused,
    GaveUp,
}

// === impl Life ===

impl Life {
    /// Lives until the demo ends.
    pub(super) async fn live(&mut self) {
        self.rest(self.device.viewer.begins).await;
        let films = loop {
            match self.arrive().await {
                Ok(films) => break films,
                Err(trouble) => self.story.trouble(&self.device, &trouble),
            }
            self.rest(5.0).await;
        };
        let liked: Vec<Film> = self
            .device
            .viewer
            .films
            .iter()
            .filter_map(|name| films.iter().find(|film| film.name == *name).cloned())
            .collect();
        for film in liked.iter().cycle() {
            if self.device.viewer.habit == Habit::Bare {
                self.fetch_bare(film).await;
                continue;
            }
            if let Err(trouble) = self.evening_with(film).await {
                self.story.trouble(&self.device, &trouble);
                self.rest(2.0).await;
            }
            let pause = match self.device.viewer.habit {
                Habit::Binge | Habit::Hop => self.dice.between(0.5, 1.5),
                Habit::Evening
                | Habit::Dinner
                | Habit::Restless
                | Habit::Impatient
                | Habit::Stubborn
                | Habit::Bare => self.dice.between(5.0, 11.0),
            };
            self.rest(pause).await;
        }
    }

    async fn arrive(&mut self) -> Result<Vec<Film>, Trouble> {
        if self.device.viewer.habit != Habit::Bare {
            self.device.log_in().await?;
        }
        self.device.films().await
    }

    /// Asks for a film, and plays it if that is granted.
    async fn evening_with(&mut self, film: &Film) -> Result<(), Trouble> {
        let stubborn = self.device.viewer.habit == Habit::Stubborn;
        for _ in 0..if stubborn { TRIES } else { 1 } {
            match self.ask(film).await? {
                Asked::Plays(answer, session) => {
                    self.play(film, answer, session).await;
                    return Ok(());
                }
                Asked::GaveUp => return Ok(()),
                Asked::Refused => self.rest(0.4).await,
            }
        }
        Ok(())
    }

    async fn ask(&self, film: &Film) -> Result<Asked, Trouble> {
        let began = clock::now();
        let patience = match self.device.viewer.habit {
            Habit::Impatient => self.real(IMPATIENCE),
            Habit::Evening
            | Habit::Dinner
            | Habit::Binge
            | Habit::Hop
            | Habit::Restless
            | Habit::Stubborn
            | Habit::Bare => Duration::from_secs(100),
        };
        let asking = tokio::time::timeout(patience, self.device.ask(film));
        tokio::pin!(asking);
        let mut held = false;
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer,
                () = tokio::time::sleep(HELD.min(self.real(1.0))), if !held => {
                    held = self.story.waits(&self.device, film);
                }
            }
        };
        let waited = clock::now() - began;
        let after = held.then_some(waited);
        let Ok(answer) = answer else {
            self.story.gave_up(&self.device, film, waited);
            return Ok(Asked::GaveUp);
        };
        let Told {
            answer,
            session,
            instead,
        } = answer?;
        let told = |session: Option<&str>| {
            self.story
                .starts(&self.device, film, session, (after, &instead));
        };
        match answer {
            Answer::Refused => {
                self.story.refused(&self.device, film, after);
                Ok(Asked::Refused)
            }
            answer @ Answer::Direct { .. } => {
                told(session.as_deref());
                // Reports about a file as it is name no session.
                Ok(Asked::Plays(answer, None))
            }
            answer @ Answer::Playlist { .. } => {
                told(session.as_deref());
                Ok(Asked::Plays(answer, session))
            }
        }
    }

    async fn play(&mut self, film: &Film, answer: Answer, session: Option<String>) {
        let intent = self.intent();
        let player = Player {
            device: &self.device,
            story: &self.story,
            film,
            session,
            speed: self.speed,
        };
        let end = player.play(answer, intent).await;
        self.story.ends(&self.device, film, &end);
        match end {
            End::Finished | End::Left => {}
            End::Lost(_) | End::Spinner => self.rest(2.0).await,
        }
    }

    fn intent(&mut self) -> Intent {
        let whole = Intent {
            attention: f64::INFINITY,
            moves: Vec::new(),
        };
        let dice = &mut self.dice;
        match self.device.viewer.habit {
            Habit::Evening => Intent {
                moves: vec![
                    (dice.between(9.0, 14.0), Move::Seek(dice.between(0.4, 0.6))),
                    (
                        dice.between(18.0, 25.0),
                        Move::Pause(dice.between(5.0, 9.0)),
                    ),
                ],
                ..whole
            },
            Habit::Dinner => Intent {
                moves: vec![(
                    dice.between(9.0, 14.0),
                    Move::Pause(dice.between(14.0, 18.0)),
                )],
                ..whole
            },
            Habit::Binge => whole,
            Habit::Hop => Intent {
                attention: dice.between(2.0, 5.0),
                ..whole
            },
            Habit::Restless | Habit::Impatient | Habit::Stubborn | Habit::Bare => Intent {
                attention: dice.between(7.0, 18.0),
                ..whole
            },
        }
    }

    /// A program that was given an address and knows nothing else.
    async fn fetch_bare(&mut self, film: &Film) {
        match self.device.fetch_bare(film).await {
            Ok(()) => self.story.bare(&self.device, film, false),
            Err(Trouble::Status(StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN)) => {
                self.story.bare(&self.device, film, true);
            }
            Err(trouble) => self.story.trouble(&self.device, &trouble),
        }
        let pause = self.dice.between(10.0, 20.0);
        self.rest(pause).await;
    }

    async fn rest(&self, seconds: f64) {
        tokio::time::sleep(self.real(seconds)).await;
    }

    /// Seconds of the evening in real time.
    fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds / self.speed).max(0.01))
    }
}

// === impl Dice ===

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Marsaglia's xorshift64*.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        let part = f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(1_u32 << 24);
        low + (high - low) * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_between_their_bounds_and_the_same_every_time() {
        let (mut one, mut other) = (Dice::new(7), Dice::new(7));
        for _ in 0..1000 {
            let fell = one.between(2.0, 5.0);
            assert!((2.0..5.0).contains(&fell));
            assert!((other.between(2.0, 5.0) - fell).abs() < 1e-12);
        }
        let mean: f64 = (0..1000).map(|_| one.between(0.0, 1.0)).sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
