//! What is left of the quotas, those with the least left first.

use std::fmt::{self, Write};

use super::{SHOWN, Text, View, head, name, section};
use crate::{
    admin::words,
    admission::{Measure, Mode, Period, QuotaView},
};

/// Draws nothing where nobody has a quota.
pub(super) fn quotas(out: &mut String, view: &View) -> fmt::Result {
    if view.quotas.is_empty() {
        return Ok(());
    }
    section(out, "Quota left", view.quotas.len())?;
    head(out, &["Who", "Of what", "Left", "Used", "Begins anew"])?;
    for quota in view.quotas.iter().take(SHOWN) {
        row(out, quota)?;
    }
    out.write_str("</tbody></table></section>\n")
}

fn row(out: &mut String, quota: &QuotaView) -> fmt::Result {
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
        Mode::Observe => "<small>only watched</small>",
        Mode::Enforce => "",
    };
    let (class, left) = if quota.left > 0.0 {
        ("", amount(quota.measure, quota.left))
    } else {
        (" class=\"full\"", "nothing".to_owned())
    };
    writeln!(
        out,
        "<tr><td data-label=\"Who\">{who}</td><td data-label=\"Of what\">{what} {period}{watched}</td>\
         <td data-label=\"Left\"{class}>{left}</td>\
         <td data-label=\"Used\">{used} <small>of {limit}</small></td>\
         <td data-label=\"Begins anew\">in {renews}</td></tr>",
        who = Text(name(quota.user_name.as_deref(), quota.user.as_str())),
        used = amount(quota.measure, quota.used),
        limit = amount(quota.measure, quota.limit),
        renews = words::span(quota.renews),
    )
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
