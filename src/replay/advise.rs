//! What the seats of a journal were spent on, and what would save them.
//!
//! A play's hours go to its causes together: a film that is encoded for its codec and for its subtitles is in the
//! group of both and in no other, so that the groups add up to the whole.

mod export;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{
    Replay, Tally,
    bill::{Bill, Line},
};
use crate::{
    admission::Cause,
    ident::{DeviceId, ItemId, NodeId, UserId},
};

/// Files that are listed, dearest first.
const FILES: usize = 5_000;

/// What the seats were spent on.
#[derive(Debug, Serialize)]
pub struct Advice {
    /// The first and the last moment, seconds since 1970.
    pub span: (f64, f64),
    /// Hours that a seat was held, all together.
    pub seat_hours: f64,
    /// Plays whose picture was encoded.
    pub plays: usize,
    /// By cause, dearest first.
    pub causes: Vec<Group>,
    /// Plays that took no seat, though Jellyfin worked for them: by cause, longest first.
    pub light: Vec<Group>,
    /// The files that cost most, dearest first.
    pub files: Vec<File>,
    /// The players that cost most, dearest first.
    pub players: Vec<Player>,
    /// Bitrate ceilings, dearest first.
    pub settings: Vec<Setting>,
}

/// Plays for the same causes.
#[derive(Debug, Serialize)]
pub struct Group {
    /// The causes in words.
    pub name: String,
    /// Hours that a seat was held for them.
    pub seat_hours: f64,
    /// Hours that they were watched.
    pub hours: f64,
    /// How many.
    pub plays: usize,
    /// How many users.
    pub users: usize,
    /// How many files.
    pub files: usize,
    /// How many subtitle tracks were drawn.
    pub tracks: usize,
    /// What to do.
    pub advice: String,
}

/// What one file cost.
#[derive(Debug, Serialize)]
pub struct File {
    /// The server.
    pub node: NodeId,
    /// The item.
    pub item: ItemId,
    /// The version of it, if it is known.
    pub source: Option<ItemId>,
    /// What it is called, if Jellyfin was asked.
    pub title: Option<String>,
    /// Where it is on the server, if Jellyfin was asked.
    pub path: Option<String>,
    /// Hours that a seat was held for it.
    pub seat_hours: f64,
    /// Hours that it was watched.
    pub hours: f64,
    /// How many plays.
    pub plays: usize,
    /// How many users.
    pub users: usize,
    /// Its causes, dearest first.
    pub causes: Vec<Cause>,
    /// The same in words.
    pub named: String,
    /// What to do.
    pub advice: String,
    /// Another form of the file would have saved some of it.
    pub convert: bool,
}

/// What one player cost.
#[derive(Debug, Serialize)]
pub struct Player {
    /// The program.
    pub client: String,
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// The user's name, if it is known.
    pub name: Option<String>,
    /// Hours that a seat was held for it.
    pub seat_hours: f64,
    /// How many plays.
    pub plays: usize,
    /// The dearest of its causes, in words.
    pub cause: String,
    /// Which part of its hours that is.
    pub part: f64,
}

/// What a bitrate ceiling cost.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// The program that it was set in.
    pub client: String,
    /// The ceiling, kbit/s.
    pub kilobits: u64,
    /// Hours that a seat was held where it was a cause.
    pub seat_hours: f64,
    /// Hours of those where it was the only one.
    pub alone: f64,
    /// How many users have it.
    pub users: usize,
    /// How many plays.
    pub plays: usize,
}

/// What Jellyfin says of an item.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// What it is called.
    pub title: String,
    /// Its file.
    pub path: Option<String>,
    /// The files of its versions.
    pub sources: Vec<(ItemId, Option<String>)>,
}

/// Adds up a journal by cause.
pub fn advise(replay: &Replay<'_>) -> Advice {
    let mut tally = Tally::new(replay.reading);
    tally.bill = Some(Box::default());
    let mut tally = replay.told_into(tally);
    let mut bill: Bill = tally.bill.take().map(|bill| *bill).unwrap_or_default();
    bill.pause();
    let (video, light): (Vec<&Line>, Vec<&Line>) = bill.lines.iter().partition(|line| line.video);
    Advice {
        span: tally.span,
        seat_hours: seat_hours(&video),
        plays: plays(&video),
        causes: groups(&video),
        light: groups(&light),
        files: files(&video),
        players: players(&video),
        settings: settings(&video),
    }
}

/// Sorts lines into heaps of one key, the dearest heap first.
fn heaps<'a, K: Ord>(
    lines: &[&'a Line],
    key: impl Fn(&'a Line) -> Option<K>,
) -> Vec<(K, Vec<&'a Line>)> {
    let mut heaps: BTreeMap<K, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        if let Some(key) = key(line) {
            heaps.entry(key).or_default().push(line);
        }
    }
    let mut heaps: Vec<_> = heaps.into_iter().collect();
    heaps.sort_by(|(_, a), (_, b)| {
        let seats = seat_hours(b).total_cmp(&seat_hours(a));
        seats.then_with(|| hours(b).total_cmp(&hours(a)))
    });
    heaps
}

fn seat_hours(lines: &[&Line]) -> f64 {
    // A sum of nothing is -0.0.
    lines
        .iter()
        .fold(0.0, |sum, line| sum + line.seat_seconds / 3600.0)
}

fn hours(lines: &[&Line]) -> f64 {
    lines
        .iter()
        .fold(0.0, |sum, line| sum + line.seconds / 3600.0)
}

fn plays(lines: &[&Line]) -> usize {
    lines.iter().map(|line| line.plays).sum()
}

fn count<'a, T: Ord>(lines: &[&'a Line], of: impl Fn(&'a Line) -> T) -> usize {
    let all: BTreeSet<T> = lines.iter().map(|line| of(line)).collect();
    all.len()
}

fn file_of(line: &Line) -> (&NodeId, &ItemId, Option<&ItemId>) {
    (&line.node, &line.item, line.source.as_ref())
}

/// The names of all causes together.
fn named(causes: &[Cause]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in causes.iter().map(words::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" + ")
}

/// What to do about all causes of a line.
fn remedies(causes: &[Cause]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for remedy in causes.iter().map(words::remedy) {
        if !all.contains(&remedy) {
            all.push(remedy);
        }
    }
    match all.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("all of these: {}", several.join("; ")),
    }
}

fn groups(lines: &[&Line]) -> Vec<Group> {
    let heaps = heaps(lines, |line| Some(named(&line.causes)));
    let group = |(name, lines): (String, Vec<&Line>)| {
        let remedy = lines.first().map(|line| remedies(&line.causes));
        let tracks: BTreeSet<_> = lines
            .iter()
            .flat_map(|line| tracks(line).map(|index| (file_of(line), index)))
            .collect();
        let mut group = Group {
            seat_hours: seat_hours(&lines),
            hours: hours(&lines),
            plays: plays(&lines),
            users: count(&lines, |line| &line.user),
            files: count(&lines, file_of),
            tracks: tracks.len(),
            advice: String::new(),
            name,
        };
        group.advice = text::sentence(&group, &remedy.unwrap_or_default());
        group
    };
    let groups = heaps.into_iter().map(group);
    groups
        .filter(|group| group.plays > 0 || group.seat_hours > 0.0)
        .collect()
}

fn tracks(line: &Line) -> impl Iterator<Item = i64> {
    line.causes.iter().filter_map(|cause| match cause {
        Cause::ImageSubtitle { index, .. } | Cause::TextSubtitle { index, .. } => Some(*index),
        Cause::VideoCodec { .. }
        | Cause::VideoForm { .. }
        | Cause::VideoRange { .. }
        | Cause::Resolution { .. }
        | Cause::FrameRate
        | Cause::Interlaced
        | Cause::Bitrate { .. }
        | Cause::AudioCodec { .. }
        | Cause::AudioForm { .. }
        | Cause::Container { .. }
        | Cause::Demanded
        | Cause::Unknown => None,
    })
}

fn files(lines: &[&Line]) -> Vec<File> {
    let heaps = heaps(lines, |line| Some(file_of(line)));
    let file = |((node, item, source), mut lines): (_, Vec<&Line>)| {
        let (node, item): (&NodeId, &ItemId) = (node, item);
        let source: Option<&ItemId> = source;
        lines.sort_by(|a, b| b.seat_seconds.total_cmp(&a.seat_seconds));
        let mut causes: Vec<Cause> = Vec::new();
        for cause in lines.iter().flat_map(|line| &line.causes) {
            if !causes.contains(cause) {
                causes.push(cause.clone());
            }
        }
        let convert = |line: &&Line| line.causes.iter().all(words::is_of_file);
        let dearest = lines.first().map_or(&[][..], |line| &line.causes);
        File {
            node: node.clone(),
            item: item.clone(),
            source: source.cloned(),
            title: None,
            path: None,
            seat_hours: seat_hours(&lines),
            hours: hours(&lines),
            plays: plays(&lines),
            users: count(&lines, |line| &line.user),
            named: named(&causes),
            advice: remedies(dearest),
            convert: lines.iter().any(convert),
            causes,
        }
    };
    heaps.into_iter().take(FILES).map(file).collect()
}

fn players(lines: &[&Line]) -> Vec<Player> {
    let heaps = heaps(lines, |line| Some((&line.client, &line.device, &line.user)));
    let player = |((client, device, user), lines): (_, Vec<&Line>)| {
        let (device, user): (&DeviceId, &UserId) = (device, user);
        let client: &std::sync::Arc<str> = client;
        let total = seat_hours(&lines);
        let dearest = self::heaps(&lines, |line| Some(named(&line.causes)))
            .into_iter()
            .next();
        let (cause, most) = dearest.map_or_else(
            || (String::new(), 0.0),
            |(cause, lines)| (cause, seat_hours(&lines)),
        );
        Player {
            client: client.to_string(),
            device: device.clone(),
            user: user.clone(),
            name: lines
                .iter()
                .find_map(|line| line.name.as_deref())
                .map(str::to_owned),
            seat_hours: total,
            plays: plays(&lines),
            cause,
            part: if total > 0.0 { most / total } else { 0.0 },
        }
    };
    heaps.into_iter().map(player).collect()
}

fn settings(lines: &[&Line]) -> Vec<Setting> {
    let ceiling = |line: &Line| {
        line.causes.iter().find_map(|cause| {
            if let Cause::Bitrate { kilobits } = cause {
                return Some(*kilobits);
            }
            None
        })
    };
    let heaps = heaps(lines, |line| Some((&line.client, ceiling(line)?)));
    let setting = |((client, kilobits), lines): (_, Vec<&Line>)| {
        let client: &std::sync::Arc<str> = client;
        let alone: Vec<&Line> = lines
            .iter()
            .copied()
            .filter(|line| line.causes.len() == 1)
            .collect();
        Setting {
            client: client.to_string(),
            kilobits,
            seat_hours: seat_hours(&lines),
            alone: seat_hours(&alone),
            users: count(&lines, |line| &line.user),
            plays: plays(&lines),
        }
    };
    heaps.into_iter().map(setting).collect()
}

// === impl Advice ===

impl Advice {
    /// The items of a server that Jellyfin might be asked about.
    pub fn items(&self, node: &NodeId) -> Vec<ItemId> {
        let files = self.files.iter().filter(|file| file.node == *node);
        let items: BTreeSet<&ItemId> = files.map(|file| &file.item).collect();
        items.into_iter().cloned().collect()
    }

    /// Takes in what a server says about its items.
    pub fn name(&mut self, node: &NodeId, known: &HashMap<ItemId, Named>) {
        for file in self.files.iter_mut().filter(|file| file.node == *node) {
            let Some(named) = known.get(&file.item) else {
                continue;
            };
            file.title = Some(named.title.clone());
            let version = |source: &ItemId| {
                let (_, path) = named.sources.iter().find(|(id, _)| id == source)?;
                path.clone()
            };
            let own = file.source.as_ref().and_then(version);
            file.path = own.or_else(|| named.path.clone());
        }
    }
}
