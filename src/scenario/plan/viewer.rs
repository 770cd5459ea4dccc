//! One viewer of a group: when he comes, what he wants, and what he does meanwhile.

use super::{
    super::{
        chance::Chance,
        file::{File, Group},
        units::{Between, Ms},
    },
    Act, Play, Viewer,
    offers::offers,
    players::Player,
};

/// One play as its viewer's habits make it: see [`Play`].
struct Habits {
    stay: Ms,
    acts: Vec<(Ms, Act)>,
    watched: Vec<(Ms, Ms)>,
}

pub(super) struct Draw<'a> {
    pub(super) file: &'a File,
    pub(super) seed: u64,
    pub(super) group: &'a Group,
    pub(super) players: &'a [Player],
    pub(super) servers: &'a [(String, usize)],
}

impl Draw<'_> {
    pub(super) fn viewer(&self, chance: &mut Chance, user: u64, device: u64) -> Option<Viewer> {
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
            offers: offers(self, shelf, player, burn_in),
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
        let mut change = every(self.group.changes, chance, now);
        loop {
            let over = now + (lasts - position);
            let next = over.min(pause).min(seek).min(change).min(most);
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
                change = change.saturating_add(end - now);
                now = end;
                pause = every(Some(habit.every), chance, now);
            } else if now == change {
                acts.push((now, Act::Change));
                change = every(self.group.changes, chance, now);
            } else {
                position = chance.between(0, lasts * 9 / 10);
                acts.push((now, Act::Seek(position)));
                seek = every(self.group.seek, chance, now);
            }
        }
    }
}

/// The same for the same name, on every machine.
fn name_hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
