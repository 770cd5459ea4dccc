//! Draws the evening: who comes when, wants what, and does what with it. Every policy sees the same one.

mod offers;
mod players;
mod viewer;

pub(super) use self::players::PLAYERS;
use self::{players::players, viewer::Draw};
use super::{chance::Chance, file::File, units::Ms};
use crate::{admission::Kind, gpu::model::Shape};

/// Everything that will be wanted.
#[derive(Clone, Debug)]
pub(super) struct Evening {
    pub(super) gpus: Vec<Gpu>,
    /// Name, and place of its GPU.
    pub(super) servers: Vec<(String, usize)>,
    pub(super) viewers: Vec<Viewer>,
    /// What the line out of the house really carries, bit/s. `None`: whatever is asked of it.
    pub(super) uplink: Option<u64>,
}

/// A GPU over the evening.
#[derive(Clone, Debug)]
pub(super) struct Gpu {
    pub(super) name: String,
    pub(super) seats: f64,
    pub(super) tone_map: f64,
    pub(super) throttle: Option<Ms>,
    /// When, and what it carries from then on.
    pub(super) changes: Vec<(Ms, f64)>,
}

/// One screen with somebody before it.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) user: String,
    pub(super) device: String,
    pub(super) client: String,
    pub(super) patience: Ms,
    pub(super) arrives: Ms,
    pub(super) retries: Vec<Ms>,
    pub(super) tolerates: Ms,
    pub(super) vanishes: bool,
    pub(super) server: usize,
    /// What he watches goes over the line out of the house.
    pub(super) outside: bool,
    pub(super) plays: Vec<Play>,
}

/// One thing that is to be watched.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) item: String,
    pub(super) shelf: String,
    /// How long the film is.
    pub(super) lasts: Ms,
    /// It needs a GPU as it is asked for, or a line out of the house that may be too thin: it is counted.
    pub(super) counted: bool,
    /// The versions that there are, as Jellyfin lists them.
    pub(super) offers: Vec<Offer>,
    /// Between the play before and the wish for this one.
    pub(super) after: Ms,
    /// From the first picture until the viewer goes.
    pub(super) stay: Ms,
    /// What he does meanwhile, counted from the first picture.
    pub(super) acts: Vec<(Ms, Act)>,
    /// Stretches in which the picture moves, counted from the first picture: from, to.
    pub(super) watched: Vec<(Ms, Ms)>,
}

/// A version of a film for one player.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// What Jellyfin would do for it, then what would do instead, dearest first.
    pub(super) forms: Vec<Form>,
    /// The file as it is, if Jellyfin, asked again with a higher ceiling, lets the player have that.
    pub(super) direct: Option<Form>,
    /// What Jellyfin would make of a file that is asked for as it is, under a lower ceiling, largest first: where the
    /// line out of the house is counted.
    pub(super) slim: Vec<Form>,
    /// Height of the picture that Jellyfin would make.
    pub(super) lines: u32,
}

/// What a viewer does in mid-play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Act {
    Pause,
    Resume,
    /// To this position.
    Seek(Ms),
    /// Another quality or another track: the player negotiates again.
    Change,
}

/// A form in which a play may be served.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) kind: Kind,
    /// What FFmpeg encodes, if it does.
    pub(super) shape: Option<Shape>,
    /// In words, for the table.
    pub(super) called: String,
    /// What it sends to its viewer, bit/s.
    pub(super) rate: u64,
}

impl Play {
    /// Whether what is asked for needs a GPU.
    fn encodes(&self) -> bool {
        let asked = self.offers.first().and_then(|offer| offer.forms.first());
        asked.is_some_and(|form| form.shape.is_some())
    }

    /// Every form that the play may be served in.
    pub(super) fn forms(&self) -> impl Iterator<Item = &Form> {
        self.offers
            .iter()
            .flat_map(|offer| offer.forms.iter().chain(&offer.direct).chain(&offer.slim))
    }

    /// How long the picture would move.
    pub(super) fn wanted(&self) -> Ms {
        self.watched.iter().map(|(from, to)| to - from).sum()
    }
}

impl Evening {
    /// `number`: of the evening, from 0.
    pub(super) fn draw(file: &File, number: u64) -> Self {
        let seed = file.seed.wrapping_add(number);
        let gpus: Vec<Gpu> = file
            .gpus
            .iter()
            .map(|gpu| Gpu {
                name: gpu.name.value.clone(),
                seats: gpu.seats,
                tone_map: gpu.tone_map,
                throttle: gpu.throttle.map(|span| span.0),
                changes: gpu
                    .changes
                    .iter()
                    .map(|change| (change.at.since(file.from), change.seats))
                    .collect(),
            })
            .collect();
        let gpu = |name: &str| gpus.iter().position(|g| g.name == name).unwrap_or(0);
        let mut servers: Vec<(String, usize)> = file
            .servers
            .iter()
            .map(|server| (server.name.value.clone(), gpu(&server.gpu)))
            .collect();
        if servers.is_empty() {
            servers.push(("jellyfin".to_owned(), 0));
        }
        let players = players(file);
        let mut viewers = Vec::new();
        for (index, group) in (0_u64..).zip(&file.viewers) {
            for user in 0..group.users {
                for device in 0..group.devices {
                    let row = index << 40 | user << 20 | device;
                    let draw = Draw {
                        file,
                        seed,
                        group,
                        players: &players,
                        servers: &servers,
                    };
                    let viewer = draw.viewer(&mut Chance::new(seed, row), user, device);
                    viewers.extend(viewer);
                }
            }
        }
        Self {
            gpus,
            servers,
            viewers,
            uplink: file.uplink.map(bits),
        }
    }
}

/// Bit/s of so many Mbit/s.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0.1 and 10000, as was checked when it was read"
)]
fn bits(megabits: f64) -> u64 {
    (megabits * 1e6).round() as u64
}

impl Form {
    /// Thousandths of a seat, for comparing.
    pub(super) fn cost(&self) -> u32 {
        match self.kind {
            Kind::Video(work) => crate::admission::CostModel::default().seats(&work).milli(),
            Kind::Direct | Kind::Remux | Kind::Audio => 0,
        }
    }
}
