//! Makes words of what is seen: one for each condition until it clears, then one that it has.
//!
//! Pure: time is an argument. A condition must last before it is told, and be gone for as long before the end of it is,
//! so that one that comes and goes makes no noise. A word that may not be sent now stays due.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant, SystemTime},
};

use super::{
    On, Refused, Seen, Settings,
    word::{State, Topic, Word},
};

/// Marks of the count of refusals in one window: their number is bounded, whatever its length.
const MARKS: u32 = 256;

/// Conditions that were there when last looked, or were told and not yet taken back.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    known: BTreeMap<Topic, Known>,
    /// The count of refusals at some times, oldest first.
    marks: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    gone: Option<Instant>,
    told: Option<Instant>,
    count: u64,
}

// === impl Conditions ===

impl Conditions {
    /// Takes in one look. `may` is asked before each word and takes one from what the rate allows.
    pub(super) fn update(
        &mut self,
        now: Instant,
        wall: SystemTime,
        settings: &Settings,
        seen: &Seen,
        mut may: impl FnMut() -> bool,
    ) -> Vec<Word> {
        let present = self.present(now, settings, seen);
        // What the configuration no longer wants told is not taken back either.
        self.known
            .retain(|topic, _| settings.on.contains(&topic.on));
        for (topic, count) in &present {
            let known = self.known.entry(topic.clone()).or_insert(Known {
                since: now,
                gone: None,
                told: None,
                count: *count,
            });
            known.gone = None;
            known.count = *count;
        }
        let mut words = Vec::new();
        self.known.retain(|topic, known| {
            let passed = |since: Instant| now.saturating_duration_since(since);
            let patience = patience(topic.on, settings);
            let mut say = |state, known: &Known| {
                let may = may();
                if may {
                    let lasted = known
                        .gone
                        .unwrap_or(now)
                        .saturating_duration_since(known.since);
                    let within = settings.refused.within;
                    words.push(Word::of(topic, state, known.count, within, (wall, lasted)));
                }
                may
            };
            if !present.contains_key(topic) {
                if is_out_of_sight(topic, seen) {
                    return known.told.is_some();
                }
                let gone = *known.gone.get_or_insert(now);
                return known.told.is_some()
                    && (passed(gone) < patience.1 || !say(State::Resolved, known));
            }
            let due = match known.told {
                None => (passed(known.since) >= patience.0).then_some(State::Firing),
                Some(told) => (passed(told) >= settings.repeat).then_some(State::Lasting),
            };
            if due.is_some_and(|state| say(state, known)) {
                known.told = Some(now);
            }
            true
        });
        words
    }

    #[cfg(test)]
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    fn present(&mut self, now: Instant, settings: &Settings, seen: &Seen) -> BTreeMap<Topic, u64> {
        let refused = self.refused(now, settings.refused, seen.refusals);
        let starving = seen.starving.iter();
        let starving = starving.map(|(gpu, count)| (On::GpuStarving, Some(gpu), u64::from(*count)));
        let down = seen.down.iter().map(|node| (On::NodeDown, Some(node), 1));
        let filling = seen.filling.iter();
        let filling = filling.map(|(node, free)| (On::DiskFilling, Some(node), *free));
        let house = [
            (
                On::Refused,
                refused > u64::from(settings.refused.more_than),
                refused,
            ),
            (On::ConfigRejected, seen.config_rejected, 1),
            (On::JournalTrouble, seen.journal_trouble, 1),
        ];
        let house = house
            .into_iter()
            .filter(|(_, there, _)| *there)
            .map(|(on, _, count)| (on, None, count));
        starving
            .chain(down)
            .chain(filling)
            .chain(house)
            .filter(|(on, _, _)| settings.on.contains(on))
            .map(|(on, subject, count)| {
                let subject = subject.cloned();
                (Topic { on, subject }, count)
            })
            .collect()
    }

    /// Refusals within the window.
    fn refused(&mut self, now: Instant, Refused { within, .. }: Refused, total: u64) -> u64 {
        let age = |at: Instant| now.saturating_duration_since(at);
        // One mark from before the window stays: what came since then is what is asked for.
        while self.marks.get(1).is_some_and(|(at, _)| age(*at) >= within) {
            self.marks.pop_front();
        }
        let newest = self.marks.back().copied();
        if newest.is_none_or(|(at, _)| age(at) >= within / MARKS) {
            self.marks.push_back((now, total));
        }
        let before = self.marks.front().map_or(total, |(_, count)| *count);
        total.saturating_sub(before)
    }
}

/// Whether nobody can say if it is still so: then it has not ended either.
fn is_out_of_sight(topic: &Topic, seen: &Seen) -> bool {
    match topic.on {
        On::DiskFilling => seen
            .unknown_disks
            .iter()
            .any(|node| Some(node) == topic.subject.as_ref()),
        On::GpuStarving | On::NodeDown | On::Refused | On::ConfigRejected | On::JournalTrouble => {
            false
        }
    }
}

/// How long a condition lasts before it is told, and how long it is gone before that is.
fn patience(on: On, settings: &Settings) -> (Duration, Duration) {
    match on {
        On::GpuStarving | On::NodeDown => (settings.after, settings.after),
        On::Refused => (Duration::ZERO, settings.after),
        // A disk is looked at seldom, and must have a good deal more room before it is not filling any more.
        On::DiskFilling | On::ConfigRejected | On::JournalTrouble => {
            (Duration::ZERO, Duration::ZERO)
        }
    }
}
