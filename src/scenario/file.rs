//! A scenario as it is written, and what is wrong with it.

mod check;

use std::fmt;

use jiff::{Span as Days, civil::Date};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_saphyr::Spanned;

use self::check::{Check, place};
use super::{
    Mistake,
    units::{Between, Clock, Count, Hours, Lines, Output, Span, Video},
};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) story: String,
    pub(super) from: Clock,
    /// The day of the week, for time windows.
    #[serde(default)]
    pub(super) day: Weekday,
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// Evenings of this kind that are played, each drawn anew.
    #[serde(default = "one")]
    pub(super) evenings: u64,
    pub(super) gpus: Vec<GpuFile>,
    #[serde(default)]
    pub(super) servers: Vec<ServerFile>,
    pub(super) library: Vec<Shelf>,
    /// What the line out of the house really carries, Mbit/s. Left out: all that is asked of it.
    #[serde(default)]
    pub(super) uplink: Option<f64>,
    #[serde(default)]
    pub(super) players: Vec<PlayerFile>,
    pub(super) viewers: Vec<Group>,
    #[serde(default)]
    pub(super) count_limit: Option<u32>,
    pub(super) policies: Vec<PolicyFile>,
    #[serde(default)]
    pub(super) expect: Vec<Expect>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    #[default]
    Fri,
    Sat,
    Sun,
}

/// A model GPU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GpuFile {
    pub(super) name: Spanned<String>,
    /// Seats it really carries.
    pub(super) seats: f64,
    #[serde(default = "quarter")]
    pub(super) tone_map: f64,
    /// Jellyfin's throttle: FFmpeg rests this far ahead of the viewer.
    #[serde(default)]
    pub(super) throttle: Option<Span>,
    #[serde(default)]
    pub(super) changes: Vec<Change>,
}

/// What becomes of a GPU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) at: Clock,
    pub(super) seats: f64,
}

/// A Jellyfin server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) name: Spanned<String>,
    pub(super) gpu: String,
}

/// Films of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shelf {
    pub(super) shelf: Spanned<String>,
    pub(super) titles: u64,
    pub(super) video: Video,
    pub(super) lasts: Between,
    /// Of the file, Mbit/s. Left out: as usual for its size.
    #[serde(default)]
    pub(super) bitrate: Option<f64>,
    /// Players that play it as it is.
    #[serde(default)]
    pub(super) direct: Vec<String>,
    /// Players for which only the container is changed.
    #[serde(default)]
    pub(super) remux: Vec<String>,
    /// Players that could play it as it is, but ask for a lower bitrate: Jellyfin transcodes, unless it is asked again.
    #[serde(default)]
    pub(super) ceiling: Vec<String>,
    /// Other versions of the same films.
    #[serde(default)]
    pub(super) versions: Vec<Version>,
}

/// Another version of a film.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub(super) video: Video,
    #[serde(default)]
    pub(super) bitrate: Option<f64>,
    #[serde(default)]
    pub(super) direct: Vec<String>,
    #[serde(default)]
    pub(super) remux: Vec<String>,
    #[serde(default)]
    pub(super) ceiling: Vec<String>,
}

/// A player that the table does not know, or one that it knows otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlayerFile {
    pub(super) player: Spanned<String>,
    #[serde(default)]
    pub(super) called: Option<String>,
    #[serde(default)]
    pub(super) patience: Option<Span>,
    #[serde(default)]
    pub(super) output: Option<Output>,
    #[serde(default)]
    pub(super) step_down: Option<Vec<Lines>>,
}

/// Viewers who are alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) group: Spanned<String>,
    pub(super) users: u64,
    #[serde(default = "one")]
    pub(super) devices: u64,
    pub(super) player: Weights,
    pub(super) arrive: Hours,
    pub(super) watch: Weights,
    /// How long one play is watched. Left out: to the end.
    #[serde(default)]
    pub(super) stay: Option<Between>,
    /// Part of the viewers who watch to the end whatever `stay` says.
    #[serde(default)]
    pub(super) to_the_end: f64,
    #[serde(default = "once")]
    pub(super) plays: Count,
    #[serde(default = "moment")]
    pub(super) between: Between,
    #[serde(default)]
    pub(super) pause: Option<Pause>,
    #[serde(default)]
    pub(super) seek: Option<Between>,
    /// How often the quality or a track is changed, so that the player negotiates again.
    #[serde(default)]
    pub(super) changes: Option<Between>,
    #[serde(default)]
    pub(super) retry: Option<Retry>,
    /// How long the picture may stand still in all before the viewer has enough.
    #[serde(default = "enough")]
    pub(super) tolerates: Span,
    /// Part of the plays with subtitles drawn into the picture.
    #[serde(default)]
    pub(super) burn_in: f64,
    /// Part of the viewers who leave without a word.
    #[serde(default)]
    pub(super) vanish: f64,
    /// Sizes that these viewers put up with, instead of those of their player.
    #[serde(default)]
    pub(super) step_down: Option<Vec<Lines>>,
    /// Server that they use. Left out: any.
    #[serde(default)]
    pub(super) server: Option<String>,
    /// They are not in the house: what they watch goes over its line.
    #[serde(default)]
    pub(super) outside: bool,
}

/// Breaks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    pub(super) every: Between,
    #[serde(rename = "for")]
    pub(super) lasts: Between,
}

/// What a viewer does who was told no.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) times: u64,
    pub(super) after: Between,
}

/// A policy to be compared, as a configuration of Finweir.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub(super) policy: String,
    pub(super) config: Spanned<String>,
}

/// What one policy should come to: from, to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) policy: Spanned<String>,
    #[serde(default)]
    pub(super) smooth_share: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) stalled: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) jain: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) wait_p50_s: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) wait_p95_s: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) refused: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) gave_up: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) yielded: Option<[f64; 2]>,
    #[serde(default)]
    pub(super) ended: Option<[f64; 2]>,
}

/// One name, or several with weights.
#[derive(Clone, Debug)]
pub(super) struct Weights(pub(super) Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Weights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or names with weights: {films: 3, series: 1}")
            }

            fn visit_str<E>(self, name: &str) -> Result<Weights, E> {
                Ok(Weights(vec![(name.to_owned(), 1.0)]))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weights, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry::<String, f64>()? {
                    all.push(entry);
                }
                Ok(Weights(all))
            }
        }
        from.deserialize_any(Either)
    }
}

fn one() -> u64 {
    1
}
fn quarter() -> f64 {
    0.25
}
fn once() -> Count {
    Count(1, 1)
}
fn moment() -> Between {
    Between(5_000, 15_000)
}
fn enough() -> Span {
    Span(180_000)
}

impl File {
    /// Reads a scenario.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
        };
        let file: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| place(&at));
            let problem = error.to_string();
            let problem = problem.lines().next().unwrap_or_default().to_owned();
            vec![Mistake {
                file: path.to_owned(),
                line,
                column,
                problem,
            }]
        })?;
        let mut check = Check {
            path,
            mistakes: Vec::new(),
        };
        check.all(&file);
        if check.mistakes.is_empty() {
            Ok(file)
        } else {
            Err(check.mistakes)
        }
    }
}

impl File {
    /// The date on which the evening begins: in a week of its own, so that only the day of the week tells.
    pub(super) fn date(&self) -> Date {
        let monday = Date::constant(2026, 6, 1);
        monday.saturating_add(Days::new().days(i64::from(self.day as u16)))
    }

    /// When the evening begins, minutes from Monday, 0:00.
    pub(super) fn minute_of_week(&self) -> u16 {
        let minute = self.from.0 / 60_000 % (24 * 60);
        self.day as u16 * 24 * 60 + u16::try_from(minute).unwrap_or(0)
    }

    fn changes_are_sane(&self, sane: impl Fn(f64) -> bool) -> bool {
        let changes = self.gpus.iter().flat_map(|gpu| &gpu.changes);
        changes.clone().all(|change| sane(change.seats))
    }
}
