//! Who waits, for what, and how long yet.

use std::fmt::{self, Write};

use super::{
    Eye, Sheet, Table, cell, name,
    text::{In, Since, Who},
};
use crate::admission::WaiterView;

/// Everybody who waits, in the order they would be served.
pub(super) fn line(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let columns = [
        "Who",
        "Needs",
        "Waits because",
        "For",
        "Seat in",
        "Gives up in",
        "Actions",
    ];
    let waiting = &sheet.view.waiting;
    let operator = sheet.eye == Eye::Operator;
    let shown = if operator { 7 } else { 6 };
    let table = Table {
        title: "Line",
        count: waiting.len(),
        none: "Nobody waits.",
        class: if operator { "line acts" } else { "line" },
        columns: columns.get(..shown).unwrap_or(&columns),
    };
    if !table.begin(out)? {
        return Ok(());
    }
    for waiter in waiting {
        row(out, waiter, sheet.view.at, operator)?;
    }
    Table::end(out)
}

fn row(out: &mut String, waiter: &WaiterView, now: f64, operator: bool) -> fmt::Result {
    write!(out, "<tr role=\"row\" id=\"{}\">", waiter.ticket)?;
    let who = Who {
        user: name(waiter.user_name.as_deref(), waiter.user.as_str()),
        client: &waiter.client,
        device: waiter.device.as_str(),
        class: waiter.class.as_str(),
    };
    cell(out, "Who", who)?;
    let cost = waiter.cost;
    cell(out, "Needs", format_args!("{cost} <small>seats</small>"))?;
    cell(out, "Waits because", waiter.reason.in_words())?;
    cell(out, "For", Since(now, waiter.waited))?;
    match waiter.expected {
        Some(expected) => cell(out, "Seat in", In(now, expected))?,
        None => cell(out, "Seat in", "unknown")?,
    }
    cell(out, "Gives up in", In(now, waiter.left))?;
    if operator {
        write!(
            out,
            "<td role=\"cell\" data-label=\"Actions\"><button form=\"act\" formaction=\"let-in?ticket={}\">Let in now</button></td>",
            waiter.ticket.0
        )?;
    }
    out.write_str("</tr>\n")
}
