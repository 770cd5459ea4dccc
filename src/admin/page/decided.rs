//! What was decided lately, and why.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{
    SHOWN, Sheet, Table, cell,
    text::{Ago, Number, Place, Text, Waited, Who},
};
use crate::{admission::Mode, telemetry::Decided};

const COLUMNS: [&str; 5] = ["When", "Who", "What", "Seats", "Why"];

/// Refusals; where a rule only observes, also what it would have held or refused.
pub(super) fn refused(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let view = &sheet.view;
    let turned: Vec<_> = view
        .recent
        .iter()
        .filter(|decided| decided.decision == "reject" || decided.would.is_some())
        .take(SHOWN)
        .collect();
    let (title, none) = match view.mode {
        Mode::Enforce => ("Refused lately", "Nobody was refused."),
        Mode::Observe => (
            "Would have waited or been refused",
            "Nobody would have waited or been refused.",
        ),
    };
    let table = Table {
        title,
        count: turned.len(),
        none,
        class: "decided",
        columns: &COLUMNS,
    };
    if !table.begin(out)? {
        return Ok(());
    }
    for decided in turned {
        let why = match decided.would {
            Some(would) => format!(
                "<span class=\"state parked\">let in</span> would have been held up: {}",
                would.in_words()
            ),
            None => decided.reason.in_words().to_owned(),
        };
        row(out, sheet, decided, &why)?;
    }
    Table::end(out)
}

/// The last decisions of any kind.
pub(super) fn decided(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let view = &sheet.view;
    let shown = view.recent.iter().take(SHOWN);
    let table = Table {
        title: "Last decisions",
        count: shown.len(),
        none: "Nothing was decided yet.",
        class: "decided",
        columns: &COLUMNS,
    };
    if !table.begin(out)? {
        return Ok(());
    }
    for decided in shown {
        let (class, word) = match decided.decision {
            "admit" => ("active", "admitted"),
            "queue" => ("reserved", "queued"),
            "downgrade" => ("lingering", "stepped down"),
            other => ("refused", if other == "reject" { "refused" } else { other }),
        };
        let why = format!(
            "<span class=\"state {class}\">{word}</span> {}{}",
            decided.reason.in_words(),
            Waited(decided.waited),
        );
        row(out, sheet, decided, &why)?;
    }
    Table::end(out)
}

/// `why` is markup already.
fn row(out: &mut String, sheet: &Sheet, decided: &Decided, why: &str) -> fmt::Result {
    let now = sheet.view.at;
    let ago = Duration::try_from_secs_f64(now - decided.at).unwrap_or_default();
    out.write_str("<tr role=\"row\">")?;
    cell(out, "When", Ago(now, ago))?;
    let who = Who {
        user: &decided.user,
        client: &decided.client,
        device: "",
        class: &decided.class,
    };
    cell(out, "Who", who)?;
    let place = Place {
        node: &decided.node,
        gpu: decided.gpu.as_deref(),
    };
    let work = Text(&decided.work);
    cell(out, "What", format_args!("{work} <small>{place}</small>"))?;
    cell(out, "Seats", Number(decided.cost))?;
    let id = decided.id;
    if sheet.explains {
        cell(
            out,
            "Why",
            format_args!(
                "{why} <a class=\"why\" href=\"explain?id={id}\" aria-label=\"why {id} was decided so\">why?</a>"
            ),
        )?;
    } else {
        cell(out, "Why", why)?;
    }
    out.write_str("</tr>\n")
}
