//! Draws the evening: who comes when, wants what, and does what with it. Every policy sees the same one.

use super::{
    chance::Chance,
    file::{File, Group, Shelf},
    units::{Between, Lines, Ms, Output, Video},
};
use crate::{
    admission::{Codec, Kind},
    gpu::model::Shape,
};

const FULL_HD: Output = Output {
    codec: Codec::H264,
    size: (1920, 1080),
};

/// Players that a scenario may name without describing them: name, what it calls itself, seconds it waits
/// (`docs/sources.md`, Players).
pub(super) const PLAYERS: [(&str, &str, Ms); 9] = [
    ("web", "Jellyfin Web", 55),
    ("android-tv", "Jellyfin Android TV", 25),
    ("android", "Jellyfin Android", 25),
    ("swiftfin", "Swiftfin", 16),
    ("mpv-shim", "Jellyfin MPV Shim", 25),
    ("kodi", "Kodi", 25),
    ("roku", "Jellyfin Roku", 25),
    ("chromecast", "Chromecast", 25),
    ("unknown", "Player", 15),
];

/// A player, all told.
#[derive(Clone, Debug)]
struct Player {
    name: String,
    called: String,
    patience: Ms,
    output: Output,
    step_down: Vec<Lines>,
}

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

fn players(file: &File) -> Vec<Player> {
    let mut all: Vec<Player> = PLAYERS
        .iter()
        .map(|(name, called, patience)| Player {
            name: (*name).to_owned(),
            called: (*called).to_owned(),
            patience: patience * 1000,
            output: FULL_HD,
            step_down: ladder(name),
        })
        .collect();
    for own in &file.players {
        let name = &own.player.value;
        let known = all.iter().position(|player| player.name == *name);
        let mut player = known.map_or_else(
            || Player {
                name: name.clone(),
                called: name.clone(),
                patience: 15_000,
                output: FULL_HD,
                step_down: ladder(name),
            },
            |at| all.swap_remove(at),
        );
        if let Some(called) = &own.called {
            player.called.clone_from(called);
        }
        if let Some(patience) = own.patience {
            player.patience = patience.0;
        }
        if let Some(output) = own.output {
            player.output = output;
        }
        if let Some(lines) = &own.step_down {
            player.step_down.clone_from(lines);
        }
        all.push(player);
    }
    all
}

/// Smaller pictures: 720p, 540p, 360p.
const LADDER: [(u32, u32); 3] = [(1280, 720), (960, 540), (640, 360)];

/// Bit/s of so many Mbit/s.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0.1 and 10000, as was checked when it was read"
)]
fn bits(megabits: f64) -> u64 {
    (megabits * 1e6).round() as u64
}

/// What a file whose picture is so wide usually has, bit/s.
fn usual_rate(width: u32) -> u64 {
    match width {
        3000.. => 60_000_000,
        2000..3000 => 25_000_000,
        1600..2000 => 10_000_000,
        1000..1600 => 5_000_000,
        0..1000 => 2_000_000,
    }
}

/// What production asks of an encoder for a picture so wide, bit/s (`jellyfin::ladder`).
fn encoded_rate(width: u32) -> u64 {
    match width {
        1281.. => 8_000_000,
        961..1281 => 4_000_000,
        641..961 => 1_500_000,
        0..641 => 700_000,
    }
}

/// The pictures that production offers instead of a larger one (`jellyfin::ladder`). Kodi is not stepped down.
fn ladder(player: &str) -> Vec<Lines> {
    if player == "kodi" {
        Vec::new()
    } else {
        LADDER.map(Lines).to_vec()
    }
}

/// One play as its viewer's habits make it: see [`Play`].
struct Habits {
    stay: Ms,
    acts: Vec<(Ms, Act)>,
    watched: Vec<(Ms, Ms)>,
}

struct Draw<'a> {
    file: &'a File,
    seed: u64,
    group: &'a Group,
    players: &'a [Player],
    servers: &'a [(String, usize)],
}

impl Draw<'_> {
    fn viewer(&self, chance: &mut Chance, user: u64, device: u64) -> Option<Viewer> {
        let group = self.group;
        let name = chance.pick(&group.player.0)?;
        let player = self.players.iter().find(|player| player.name == *name)?;
        let arrives = {
            let (from, to) = (group.arrive.0, group.arrive.1);
            let (from, to) = (from.since(self.file.from), to.since(self.file.from));
            Between(from.min(to), to.max(from)).draw(chance)
        };
        let any = chance.between(0, u64::try_from(self.servers.len()).unwrap_or(1) - 1);
        let server = match &group.server {
            Some(name) => self.servers.iter().position(|(known, _)| known == name)?,
            None => usize::try_from(any).ok()?,
        };
        let stays = chance.happens(group.to_the_end);
        let plays = group.plays.draw(chance);
        let plays = (0..plays)
            .filter_map(|number| self.play(chance, player, number, stays))
            .collect();
        let retries = group.retry.map_or_else(Vec::new, |retry| {
            (0..retry.times).map(|_| retry.after.draw(chance)).collect()
        });
        let group_name = &group.group.value;
        Some(Viewer {
            user: format!("{group_name}-{}", user + 1),
            device: format!("{group_name}-{}-{}", user + 1, device + 1),
            client: player.called.clone(),
            patience: player.patience,
            arrives,
            retries,
            tolerates: group.tolerates.0,
            vanishes: chance.happens(group.vanish),
            server,
            outside: group.outside,
            plays,
        })
    }

    fn play(&self, chance: &mut Chance, player: &Player, number: u64, all: bool) -> Option<Play> {
        let group = self.group;
        let name = chance.pick(&group.watch.0)?;
        let shelf = self.file.library.iter().find(|s| s.shelf.value == *name)?;
        let title = chance.between(1, shelf.titles);
        // A title is as long for everybody.
        let mut of_title = Chance::new(self.seed, title << 20 | u64::from(name_hash(name)));
        let lasts = shelf.lasts.draw(&mut of_title).max(10_000);
        let drawn = group.stay.map(|stay| stay.draw(chance));
        let stay = drawn.filter(|_| !all).unwrap_or(Ms::MAX);
        let burn_in = chance.happens(group.burn_in);
        let after = group.between.draw(chance);
        let habits = self.habits(chance, lasts, stay);
        let mut play = Play {
            item: format!("{name}-{title}"),
            shelf: name.clone(),
            lasts,
            counted: group.outside && self.file.uplink.is_some(),
            offers: self.offers(shelf, player, burn_in),
            after: if number == 0 { 0 } else { after },
            stay: habits.stay,
            acts: habits.acts,
            watched: habits.watched,
        };
        play.counted |= play.encodes();
        Some(play)
    }

    /// What is done until the film is over or the viewer has enough.
    fn habits(&self, chance: &mut Chance, lasts: Ms, most: Ms) -> Habits {
        let never = Ms::MAX;
        let every = |habit: Option<Between>, chance: &mut Chance, now: Ms| {
            habit.map_or(never, |habit| now + habit.draw(chance).max(1000))
        };
        let pauses = self.group.pause;
        let (mut now, mut position) = (0, 0);
        let (mut acts, mut watched) = (Vec::new(), Vec::new());
        let mut pause = every(pauses.map(|p| p.every), chance, now);
        let mut seek = every(self.group.seek, chance, now);
        loop {
            let over = now + (lasts - position);
            let next = over.min(pause).min(seek).min(most);
            if next > now {
                watched.push((now, next));
            }
            position += next - now;
            now = next;
            if now == over || now == most {
                return Habits {
                    stay: now,
                    acts,
                    watched,
                };
            }
            if now == pause {
                let Some(habit) = pauses else { continue };
                let end = (now + habit.lasts.draw(chance)).min(most);
                acts.push((now, Act::Pause));
                acts.push((end, Act::Resume));
                seek = seek.saturating_add(end - now);
                now = end;
                pause = every(Some(habit.every), chance, now);
            } else {
                position = chance.between(0, lasts * 9 / 10);
                acts.push((now, Act::Seek(position)));
                seek = every(self.group.seek, chance, now);
            }
        }
    }

    /// What Jellyfin would do for each version, and what would do instead.
    fn offers(&self, shelf: &Shelf, player: &Player, burn_in: bool) -> Vec<Offer> {
        let lines = self.group.step_down.as_ref().unwrap_or(&player.step_down);
        let thin = self.group.outside && self.file.uplink.is_some() && player.name != "kodi";
        let of = |video: &Video, rate: Option<f64>, players: [&[String]; 3]| {
            let [direct, remux, ceiling] = players;
            let file = rate.map_or_else(|| usual_rate(video.size.0), bits);
            let is = |names: &[String]| !burn_in && names.contains(&player.name);
            let free = |kind: Kind| Form {
                kind,
                called: kind.to_string(),
                shape: None,
                rate: file,
            };
            let encode = |most: Option<Lines>| {
                let shape = video.shape(player.output, most.map(|lines| lines.0), burn_in);
                Form {
                    kind: Kind::Video(shape.work()),
                    called: format!("{}p", shape.size_out.1),
                    rate: encoded_rate(shape.size_out.0).min(file),
                    shape: Some(shape),
                }
            };
            let whole = if is(direct) {
                free(Kind::Direct)
            } else if is(remux) {
                free(Kind::Remux)
            } else {
                encode(None)
            };
            let encodes = whole.shape.is_some();
            let lines_out = whole.shape.as_ref().map_or(video.size.1, |s| s.size_out.1);
            let mut forms = vec![whole];
            if encodes {
                // Only what is cheaper than all before it is worth an offer.
                let mut rungs: Vec<Form> = lines.iter().map(|l| encode(Some(*l))).collect();
                rungs.sort_by_key(|form| std::cmp::Reverse(form.cost()));
                for rung in rungs {
                    if forms.last().is_none_or(|last| rung.cost() < last.cost()) {
                        forms.push(rung);
                    }
                }
            }
            let mut slim = Vec::new();
            if thin && !encodes {
                let sizes = std::iter::once(FULL_HD.size).chain(LADDER);
                slim.extend(sizes.map(|size| encode(Some(Lines(size)))));
                slim.retain(|form| form.rate < file);
            }
            Offer {
                forms,
                slim,
                direct: (encodes && is(ceiling)).then(|| free(Kind::Direct)),
                lines: lines_out,
            }
        };
        let own = [&*shelf.direct, &*shelf.remux, &*shelf.ceiling];
        let own = of(&shelf.video, shelf.bitrate, own);
        let others = shelf.versions.iter();
        std::iter::once(own)
            .chain(others.map(|v| of(&v.video, v.bitrate, [&*v.direct, &*v.remux, &*v.ceiling])))
            .collect()
    }
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

/// The same for the same name, on every machine.
fn name_hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
