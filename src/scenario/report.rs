//! Outcomes as a table for people.

use std::collections::BTreeMap;

use super::{Outcome, Scenario};

/// One scenario: a line for each policy, and what was refused and served.
pub fn table(scenario: &Scenario, outcomes: &[Outcome]) -> String {
    let mut rows = vec![
        [
            "policy", "smooth", "share", "stalled", "left", "p50", "p95", "refused", "gave up",
            "lower", "seats", "jain",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let percent = |part: f64| format!("{:.1}%", part * 100.0);
    for outcome in outcomes {
        rows.push(vec![
            outcome.policy.clone(),
            format!("{:.0} min", outcome.smooth_minutes),
            percent(outcome.smooth_share),
            outcome.stalled.to_string(),
            outcome.left_stalled.to_string(),
            format!("{:.0} s", outcome.wait_p50_s),
            format!("{:.0} s", outcome.wait_p95_s),
            outcome.refused.to_string(),
            outcome.gave_up.to_string(),
            outcome.stepped_down.to_string(),
            percent(outcome.seat_use),
            format!("{:.3}", outcome.jain),
        ]);
    }
    if let Some(first) = outcomes.first() {
        let mut row = vec![
            "clairvoyant bound".to_owned(),
            format!("{:.0} min", first.bound_minutes),
            percent(1.0),
        ];
        row.resize(12, String::new());
        rows.push(row);
    }
    let evenings = match scenario.evenings() {
        1 => String::new(),
        many => format!(", {many} evenings"),
    };
    let mut text = format!(
        "{} ({} screens{evenings})\n",
        scenario.name(),
        scenario.viewers()
    );
    push_rows(&mut text, &rows);
    for outcome in outcomes {
        let refusals = listed(&outcome.refusals);
        let renditions = listed(&outcome.renditions);
        if !refusals.is_empty() || outcome.stepped_down > 0 || outcome.changes > 0 {
            let refusals = if refusals.is_empty() {
                "nobody"
            } else {
                &refusals
            };
            text.push_str(&format!(
                "  {}: served {renditions}; refused {refusals}{}\n",
                outcome.policy,
                mid_play(outcome)
            ));
        }
    }
    text
}

/// What happened to those who were watching.
fn mid_play(outcome: &Outcome) -> String {
    let Outcome {
        changes,
        yielded,
        ended,
        ..
    } = outcome;
    if changes + yielded + ended == 0 {
        return String::new();
    }
    format!("; in mid-play {changes} changes, {yielded} yielded, {ended} ended")
}

fn listed(counts: &BTreeMap<String, u32>) -> String {
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    counts.join(", ")
}

fn push_rows(text: &mut String, rows: &[Vec<String>]) {
    let mut widths = [0_usize; 12];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::new();
        for (index, (width, cell)) in widths.iter().zip(row).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            if index == 0 {
                line = format!("  {cell}{gap}");
            } else {
                line = format!("{line}  {gap}{cell}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
