//! Players, those that a scenario names without describing them included.

use super::super::{
    file::File,
    units::{Lines, Ms, Output},
};
use crate::admission::Codec;

pub(super) const FULL_HD: Output = Output {
    codec: Codec::H264,
    size: (1920, 1080),
};

/// Players that a scenario may name without describing them: name, what it calls itself, seconds it waits
/// (`docs/sources.md`, Players).
pub(in crate::scenario) const PLAYERS: [(&str, &str, Ms); 9] = [
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
pub(super) struct Player {
    pub(super) name: String,
    pub(super) called: String,
    pub(super) patience: Ms,
    pub(super) output: Output,
    pub(super) step_down: Vec<Lines>,
}

/// All players of a scenario.
pub(super) fn players(file: &File) -> Vec<Player> {
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
pub(super) const LADDER: [(u32, u32); 3] = [(1280, 720), (960, 540), (640, 360)];

/// The pictures that production offers instead of a larger one (`jellyfin::ladder`). Kodi is not stepped down.
fn ladder(player: &str) -> Vec<Lines> {
    if player == "kodi" {
        Vec::new()
    } else {
        LADDER.map(Lines).to_vec()
    }
}
