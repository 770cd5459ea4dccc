//! What one more GPU, other files or another client would change, from a journal.

use std::{fmt::Write as _, sync::Arc};

use serde::Serialize;

use super::{
    Changes, Replay, Tally,
    report::{line, shortened},
};
use crate::{
    admission::{Policy, Seats},
    ident::ItemId,
};

/// Files that are taken together.
const FILES: [usize; 3] = [1, 12, 50];
/// Clients that are looked at.
const CLIENTS: usize = 3;

/// What each change would bring.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// With nothing changed, under the same policy.
    pub now: Tally,
    /// Each change, best first.
    pub variants: Vec<Variant>,
    /// The files that cost most, dearest first, with their seat hours.
    pub files: Vec<(ItemId, f64)>,
}

/// One change.
#[derive(Debug, Serialize)]
pub struct Variant {
    /// What it is.
    pub what: String,
    /// Wishes that are no longer refused; negative: more are.
    pub refusals_avoided: i64,
    /// Wishes that no longer wait.
    pub waits_avoided: i64,
    /// Wishes that get the whole picture.
    pub step_downs_avoided: i64,
    /// Seat hours that are no longer needed.
    pub seat_hours_saved: f64,
    /// What it would come to.
    pub under: Tally,
}

/// Replays the journal once for each change. `gpus`: what might be bought, with the seats it has.
pub fn plan(replay: &Replay<'_>, policy: &Arc<Policy>, gpus: &[(String, Seats)]) -> Plan {
    let past = replay.past();
    let now = replay.under(policy, &Changes::default(), &past);
    let mut variants = Vec::new();
    let mut tried = |what: String, policy: &Arc<Policy>, changes: &Changes| {
        let under = replay.under(policy, changes, &past);
        let less = |of: fn(&Tally) -> usize| {
            let count = |tally| i64::try_from(of(tally)).unwrap_or(i64::MAX);
            count(&now) - count(&under)
        };
        variants.push(Variant {
            what,
            refusals_avoided: less(|tally| tally.refused),
            waits_avoided: less(|tally| tally.queued),
            step_downs_avoided: less(|tally| tally.stepped_down),
            seat_hours_saved: now.seat_hours - under.seat_hours,
            under,
        });
    };
    for gpu in &policy.gpus {
        for (name, seats) in gpus {
            let mut larger = policy.as_ref().clone();
            if let Some(known) = larger.gpus.iter_mut().find(|known| known.id == gpu.id) {
                known.capacity = known.capacity.plus(*seats);
                let twice = |most: u32| most.saturating_mul(2);
                known.max_sessions = known.max_sessions.map(twice);
            }
            let what = format!("one more {name} beside {} (+{seats} seats)", gpu.id);
            tried(what, &Arc::new(larger), &Changes::default());
        }
    }
    let files = ranked(&past.items);
    for count in FILES.into_iter().filter(|count| *count <= files.len()) {
        let items = files.iter().take(count).map(|(item, _)| item.clone());
        let noun = if count == 1 { "file" } else { "files" };
        tried(
            format!("the {count} dearest {noun} re-encoded"),
            policy,
            &Changes {
                items: items.collect(),
                ..Changes::default()
            },
        );
    }
    for (client, _) in ranked(&past.clients).into_iter().take(CLIENTS) {
        tried(
            format!("{} plays everything as it is", shortened(&client, 32)),
            policy,
            &Changes {
                clients: [client].into(),
                ..Changes::default()
            },
        );
    }
    let value = |v: &Variant| (v.refusals_avoided, v.waits_avoided + v.step_downs_avoided);
    variants.sort_by(|a, b| {
        let hours = b.seat_hours_saved.total_cmp(&a.seat_hours_saved);
        value(b).cmp(&value(a)).then(hours)
    });
    let longest = FILES.iter().max().copied().unwrap_or(0);
    Plan {
        now,
        variants,
        files: files
            .into_iter()
            .take(longest)
            .map(|(item, seconds)| (item, seconds / 3600.0))
            .collect(),
    }
}

/// Hours, and how many more; nothing is said of what rounds to none.
fn hours(now: f64, more: f64) -> String {
    let said = format!("{more:+.1}");
    if said.ends_with("0.0") && said.len() == "+0.0".len() {
        format!("{now:.1}")
    } else {
        format!("{now:.1} ({said})")
    }
}

fn ranked<T: Clone + Ord>(of: &std::collections::HashMap<T, f64>) -> Vec<(T, f64)> {
    let mut all: Vec<(T, f64)> = of
        .iter()
        .map(|(what, cost)| (what.clone(), *cost))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

impl Plan {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let now = &self.now;
        line(
            &mut out,
            format_args!(
                "As it is: {} wishes, {} refused, {} queued, {} stepped down; {:.1} seat hours, peak {:.1} of {:.1} seats.\n",
                now.wishes,
                now.refused,
                now.queued,
                now.stepped_down,
                now.seat_hours,
                now.peak_seats,
                now.capacity
            ),
        );
        line(
            &mut out,
            format_args!(
                "{:<52}{:>9}{:>9}{:>11}{:>12}{:>7}",
                "with", "refused", "queued", "stepped d.", "seat hours", "peak"
            ),
        );
        for variant in &self.variants {
            let under = &variant.under;
            let cell = |count: usize, less: i64| match less {
                0 => format!("{count}"),
                less => format!("{count} ({:+})", -less),
            };
            line(
                &mut out,
                format_args!(
                    "{:<52}{:>9}{:>9}{:>11}{:>12}{:>7}",
                    shortened(&variant.what, 51),
                    cell(under.refused, variant.refusals_avoided),
                    cell(under.queued, variant.waits_avoided),
                    cell(under.stepped_down, variant.step_downs_avoided),
                    hours(under.seat_hours, -variant.seat_hours_saved),
                    format!("{:.1}", under.peak_seats),
                ),
            );
        }
        if !self.files.is_empty() {
            out.push_str("\nThe dearest files, in seat hours:\n");
            for (item, hours) in self.files.iter().take(12) {
                writeln!(out, "  {hours:>7.1}  {item}").expect("a string can always be written to");
            }
        }
        out
    }
}
