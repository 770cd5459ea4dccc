//! What is left of the quotas, those with the least left first.

use std::fmt::{self, Write};

use super::{
    SHOWN, Sheet, Table, cell, name,
    text::{In, Text},
};
use crate::{
    admin::words,
    admission::{Measure, Mode, Period, QuotaView},
};

/// Draws nothing where nobody has a quota.
pub(super) fn quotas(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let quotas = &sheet.view.quotas;
    let table = Table {
        title: "Quota left",
        count: quotas.len(),
        none: "",
        class: "quota",
        columns: &["Who", "Of what", "Left", "Used", "Begins anew"],
    };
    if quotas.is_empty() || !table.begin(out)? {
        return Ok(());
    }
    for quota in quotas.iter().take(SHOWN) {
        row(out, quota, sheet.view.at)?;
    }
    Table::end(out)
}

fn row(out: &mut String, quota: &QuotaView, now: f64) -> fmt::Result {
    let what = match quota.measure {
        Measure::GpuTime => "GPU time",
        Measure::Plays => "plays",
        Measure::Bytes => "data",
    };
    let period = match quota.period {
        Period::Day => "today",
        Period::Week => "this week",
    };
    let watched = match quota.mode {
        Mode::Observe => " <small>only watched</small>",
        Mode::Enforce => "",
    };
    let left = if quota.left > 0.0 {
        amount(quota.measure, quota.left)
    } else {
        "<span class=\"state refused\">nothing</span>".to_owned()
    };
    let used = amount(quota.measure, quota.used);
    let limit = amount(quota.measure, quota.limit);
    let who = name(quota.user_name.as_deref(), quota.user.as_str());
    out.write_str("<tr role=\"row\">")?;
    cell(out, "Who", format_args!("<b>{}</b>", Text(who)))?;
    cell(out, "Of what", format_args!("{what} {period}{watched}"))?;
    cell(out, "Left", left)?;
    cell(
        out,
        "Used",
        format_args!("{used} <small>of {limit}</small>"),
    )?;
    cell(
        out,
        "Begins anew",
        format_args!("in {}", In(now, quota.renews)),
    )?;
    out.write_str("</tr>\n")
}

fn amount(measure: Measure, amount: f64) -> String {
    match measure {
        Measure::GpuTime => {
            words::span(std::time::Duration::try_from_secs_f64(amount).unwrap_or_default())
        }
        Measure::Plays => format!("{amount:.0}"),
        Measure::Bytes => format!("{:.1} GB", amount / 1e9),
    }
}
