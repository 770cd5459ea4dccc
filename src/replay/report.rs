//! What happened and what would have happened, side by side, in text and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Again, Fate, Tally, Wish, tally::ONE_WISH};
use crate::journal::Reading;

/// Wishes whose fate differs that the text lists; JSON has them all.
const LISTED: usize = 20;

/// What happened, and what would have.
#[derive(Debug, Serialize)]
pub struct Comparison<'a> {
    /// What happened.
    pub past: &'a Tally,
    /// What would have.
    pub under: &'a Tally,
    /// Wishes whose fate differs.
    pub changed: Vec<Changed<'a>>,
    /// What is not exact, in sentences.
    pub notes: Vec<String>,
}

/// A wish whose fate differs.
#[derive(Debug, Serialize)]
pub struct Changed<'a> {
    /// As it was.
    pub was: &'a Wish,
    /// As it would have been.
    pub would: &'a Wish,
}

impl<'a> Comparison<'a> {
    /// Puts both beside each other.
    pub fn of(reading: &Reading, again: &Again, past: &'a Tally, under: &'a Tally) -> Self {
        let mut theirs: std::collections::HashMap<_, Vec<&Wish>> = std::collections::HashMap::new();
        for wish in &under.list {
            let key = (&wish.user, &wish.device, &wish.item);
            theirs.entry(key).or_default().push(wish);
        }
        let changed = past.list.iter().filter_map(|was| {
            let same = theirs.get(&(&was.user, &was.device, &was.item))?;
            let near = |wish: &&&Wish| (wish.at - was.at).abs() < ONE_WISH;
            let would = same.iter().find(near)?;
            (was.fate != would.fate).then_some(Changed { was, would })
        });
        Self {
            past,
            under,
            changed: changed.collect(),
            notes: notes(reading, again),
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (past, under) = (self.past, self.under);
        let rows: [(&str, String, String); 9] = [
            ("wishes", past.wishes.to_string(), under.wishes.to_string()),
            (
                "  of them transcodes",
                past.transcodes.to_string(),
                under.transcodes.to_string(),
            ),
            (
                "refused",
                count(past.refused, past.refusals, "tries"),
                count(under.refused, under.refusals, "tries"),
            ),
            ("queued", waits(past), waits(under)),
            (
                "stepped down",
                past.stepped_down.to_string(),
                under.stepped_down.to_string(),
            ),
            (
                "left while waiting",
                past.left.to_string(),
                under.left.to_string(),
            ),
            (
                "only observed",
                past.observed.to_string(),
                under.observed.to_string(),
            ),
            (
                "peak seats",
                format!("{:.1} of {:.1}", past.peak_seats, past.capacity),
                format!("{:.1} of {:.1}", under.peak_seats, under.capacity),
            ),
            (
                "seat hours",
                format!("{:.1}", past.seat_hours),
                format!("{:.1}", under.seat_hours),
            ),
        ];
        line(&mut out, format_args!("{}", self.sentence()));
        line(&mut out, format_args!(""));
        line(
            &mut out,
            format_args!("{:<30}{:<32}{}", "", "what happened", "what would have"),
        );
        for (what, was, would) in rows {
            line(&mut out, format_args!("{what:<30}{was:<32}{would}"));
        }
        let reasons: std::collections::BTreeSet<_> =
            past.reasons.keys().chain(under.reasons.keys()).collect();
        for reason in reasons {
            let of = |tally: &Tally| tally.reasons.get(*reason).copied().unwrap_or(0);
            line(
                &mut out,
                format_args!(
                    "{:<30}{:<32}{}",
                    format!("  refused: {reason}"),
                    of(past),
                    of(under)
                ),
            );
        }
        if !self.changed.is_empty() {
            line(
                &mut out,
                format_args!("\nIt would have been otherwise for:"),
            );
            for Changed { was, would } in self.changed.iter().take(LISTED) {
                line(
                    &mut out,
                    format_args!(
                        "  {}  {:<14} {:<24} {:<30} {} -> {}",
                        clock(was.at),
                        shortened(was.name.as_deref().unwrap_or(was.user.as_str()), 14),
                        shortened(&was.client, 24),
                        was.work,
                        fate(was),
                        fate(would),
                    ),
                );
            }
            if let Some(more) = self.changed.len().checked_sub(LISTED).filter(|n| *n > 0) {
                line(
                    &mut out,
                    format_args!("  and {more} more (--json lists all)"),
                );
            }
        }
        for note in &self.notes {
            line(&mut out, format_args!("\nnote: {note}"));
        }
        out
    }

    /// The whole in a sentence.
    pub fn sentence(&self) -> String {
        let under = self.under;
        let median = under
            .wait_median
            .map_or_else(String::new, |median| format!(" (median {median:.0} s)"));
        format!(
            "It would have refused {}, queued {}{median}, stepped down {}; peak seats {:.1}.",
            under.refused, under.queued, under.stepped_down, under.peak_seats
        )
    }
}

pub(super) fn fate(wish: &Wish) -> String {
    let waited = wish
        .waited
        .filter(|waited| *waited >= 0.05)
        .map_or_else(String::new, |waited| format!(" after {waited:.0} s"));
    match wish.fate {
        Fate::Played => format!("played{waited}"),
        Fate::SteppedDown => format!("smaller picture{waited}"),
        Fate::Refused => format!("refused ({})", wish.reason),
        Fate::Left => "left while waiting".to_owned(),
        Fate::Waiting => "waiting".to_owned(),
    }
}

/// What is not exact, and why.
fn notes(reading: &Reading, again: &Again) -> Vec<String> {
    let mut notes = reading.warnings.clone();
    let cold = reading.parts.iter().filter(|part| !part.is_whole()).count();
    if cold > 0 {
        notes.push(format!(
            "{cold} of {} parts of the journal lack their beginning: what ran then is only known from Jellyfin's list, so their first minutes are inexact",
            reading.parts.len()
        ));
    }
    let gaps: usize = reading.parts.iter().map(|part| part.gaps.len()).sum();
    if gaps > 0 {
        let lost: u64 = reading
            .parts
            .iter()
            .flat_map(|part| &part.gaps)
            .filter_map(|gap| gap.lost)
            .sum();
        notes.push(format!(
            "records are missing in {gaps} places ({lost} in all): what comes after is inexact"
        ));
    }
    if again.different > 0 {
        notes.push(format!(
            "{} of {} inputs lead to something else than was written down: the journal is of another Finweir, or it is damaged",
            again.different, again.compared
        ));
    }
    notes
}

fn count(wishes: usize, tries: usize, noun: &str) -> String {
    if tries > wishes {
        format!("{wishes} ({tries} {noun})")
    } else {
        wishes.to_string()
    }
}

fn waits(tally: &Tally) -> String {
    match (tally.wait_median, tally.wait_longest) {
        (Some(median), Some(longest)) => format!(
            "{} (median {median:.0} s, {longest:.0} s at most)",
            tally.queued
        ),
        _ => tally.queued.to_string(),
    }
}

/// A moment in seconds since 1970 as it is written here.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
pub fn clock(at: f64) -> String {
    jiff::Timestamp::from_millisecond((at * 1000.0) as i64).map_or_else(
        |_| String::new(),
        |time| {
            let zoned = time.to_zoned(jiff::tz::TimeZone::system());
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                zoned.year(),
                zoned.month(),
                zoned.day(),
                zoned.hour(),
                zoned.minute(),
                zoned.second()
            )
        },
    )
}

/// At most so many characters, and nothing that moves the cursor.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= most {
        return text.chars().map(printable).collect();
    }
    let kept: String = text
        .chars()
        .take(most.saturating_sub(1))
        .map(printable)
        .collect();
    format!("{kept}…")
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string can always be written to");
}
