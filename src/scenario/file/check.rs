//! What is wrong with a scenario that can be read.

use std::collections::BTreeSet;

use serde_saphyr::{Location, Spanned};

use super::{
    super::{Mistake, PLAIN, plan::PLAYERS},
    File,
};

/// Whether a file or a line may have so many Mbit/s.
fn is_a_rate(rate: f64) -> bool {
    (0.1..=10_000.0).contains(&rate)
}

/// The most viewers, plays and films that one scenario may have.
const MOST: u64 = 20_000;

pub(super) fn place(at: &Location) -> (u64, u64) {
    (at.line(), at.column())
}

pub(super) struct Check<'a> {
    pub(super) path: &'a str,
    pub(super) mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn wrong<T>(&mut self, at: &Spanned<T>, problem: String) {
        let (line, column) = place(&at.referenced);
        self.mistakes.push(Mistake {
            file: self.path.to_owned(),
            line,
            column,
            problem,
        });
    }

    pub(super) fn all(&mut self, file: &File) {
        let gpus = self.names("gpu", file.gpus.iter().map(|g| &g.name));
        let servers = self.names("server", file.servers.iter().map(|s| &s.name));
        let shelves = self.names("shelf", file.library.iter().map(|s| &s.shelf));
        let mut players = self.names("player", file.players.iter().map(|p| &p.player));
        players.extend(PLAYERS.iter().map(|p| p.0));
        self.names("group", file.viewers.iter().map(|g| &g.group));
        for gpu in &file.gpus {
            let sane = |seats: f64| (0.1..=10_000.0).contains(&seats);
            if !sane(gpu.seats) || !file.changes_are_sane(sane) {
                self.wrong(&gpu.name, "seats must be between 0.1 and 10000".to_owned());
            }
        }
        if !(1..=100).contains(&file.evenings) {
            self.mistakes.push(Mistake {
                file: self.path.to_owned(),
                line: 1,
                column: 1,
                problem: "`evenings` must be between 1 and 100".to_owned(),
            });
        }
        if file.gpus.is_empty() || file.policies.is_empty() {
            self.mistakes.push(Mistake {
                file: self.path.to_owned(),
                line: 1,
                column: 1,
                problem: "there must be at least one of `gpus` and of `policies`".to_owned(),
            });
        }
        if file.uplink.is_some_and(|rate| !is_a_rate(rate)) {
            self.mistakes.push(Mistake {
                file: self.path.to_owned(),
                line: 1,
                column: 1,
                problem: "`uplink` must be between 0.1 and 10000 (Mbit/s)".to_owned(),
            });
        }
        for server in &file.servers {
            if !gpus.contains(server.gpu.as_str()) {
                self.wrong(&server.name, format!("no gpu is named `{}`", server.gpu));
            }
        }
        for shelf in &file.library {
            let versions = shelf
                .versions
                .iter()
                .flat_map(|v| v.direct.iter().chain(&v.remux).chain(&v.ceiling));
            let own = shelf.direct.iter().chain(&shelf.remux);
            for player in own.chain(&shelf.ceiling).chain(versions) {
                self.known(&shelf.shelf, "player", player, &players);
            }
            let rates = shelf.versions.iter().filter_map(|v| v.bitrate);
            if shelf
                .bitrate
                .into_iter()
                .chain(rates)
                .any(|r| !is_a_rate(r))
            {
                self.wrong(
                    &shelf.shelf,
                    "`bitrate` must be between 0.1 and 10000 (Mbit/s)".to_owned(),
                );
            }
            if shelf.titles == 0 || shelf.lasts.0 == 0 {
                self.wrong(&shelf.shelf, "a shelf has films, and films last".to_owned());
            }
        }
        for group in &file.viewers {
            for (player, _) in &group.player.0 {
                self.known(&group.group, "player", player, &players);
            }
            for (shelf, _) in &group.watch.0 {
                self.known(&group.group, "shelf", shelf, &shelves);
            }
            if let Some(server) = &group.server {
                self.known(&group.group, "server", server, &servers);
            }
            let weights = group.player.0.iter().chain(&group.watch.0);
            if weights.clone().any(|(_, w)| !(*w >= 0.0 && w.is_finite()))
                || group.player.0.is_empty()
                || group.watch.0.is_empty()
            {
                self.wrong(&group.group, "weights are numbers above 0".to_owned());
            }
            let devices = group.users.saturating_mul(group.devices);
            if devices.saturating_mul(group.plays.1.max(1)) > MOST {
                self.wrong(&group.group, format!("more than {MOST} plays"));
            }
            let rates = [
                group.pause.map_or(1, |p| p.every.0),
                group.seek.map_or(1, |s| s.0),
                group.changes.map_or(1, |c| c.0),
            ];
            if rates.contains(&0) {
                self.wrong(
                    &group.group,
                    "`every`, `seek` and `changes` must be longer than nothing".to_owned(),
                );
            }
        }
        for expect in &file.expect {
            let known = PLAIN.contains(&expect.policy.value.as_str())
                || file
                    .policies
                    .iter()
                    .any(|p| p.policy == expect.policy.value);
            if !known {
                self.wrong(
                    &expect.policy,
                    format!("no policy `{}`", expect.policy.value),
                );
            }
        }
    }

    fn known(&mut self, at: &Spanned<String>, what: &str, name: &str, all: &BTreeSet<&str>) {
        if !all.contains(name) {
            self.wrong(at, format!("no {what} is named `{name}`"));
        }
    }

    fn names<'a>(
        &mut self,
        what: &str,
        all: impl Iterator<Item = &'a Spanned<String>>,
    ) -> BTreeSet<&'a str> {
        let mut known = BTreeSet::new();
        for name in all {
            if !known.insert(name.value.as_str()) {
                self.wrong(name, format!("{what} `{}` is there twice", name.value));
            }
        }
        known
    }
}
