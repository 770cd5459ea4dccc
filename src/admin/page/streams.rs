//! Who plays what, at what cost.

use std::fmt::{self, Write};

use super::{
    Eye, Sheet, Table, cell, name,
    text::{Idle, Place, Since, Text, Who, short_id},
};
use crate::{admin::words, admission::LeaseView};

/// All streams.
pub(super) fn streams(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let columns = [
        "Who", "What", "Seats", "State", "Encoded", "Since", "Why", "Actions",
    ];
    let leases = &sheet.view.leases;
    let operator = sheet.eye == Eye::Operator;
    let shown = if operator { 8 } else { 7 };
    let table = Table {
        title: "Streams",
        count: leases.len(),
        none: "Nobody plays anything.",
        class: if operator { "streams acts" } else { "streams" },
        columns: columns.get(..shown).unwrap_or(&columns),
    };
    if !table.begin(out)? {
        return Ok(());
    }
    for lease in leases {
        row(out, lease, sheet.view.at, operator)?;
    }
    Table::end(out)
}

fn row(out: &mut String, lease: &LeaseView, now: f64, operator: bool) -> fmt::Result {
    let (state, hint) = words::state(lease.state);
    write!(out, "<tr role=\"row\" id=\"{}\">", lease.lease)?;
    let who = Who {
        user: name(lease.user_name.as_deref(), lease.user.as_str()),
        client: &lease.client,
        device: lease.device.as_str(),
        class: lease.class.as_str(),
    };
    cell(out, "Who", who)?;
    let place = Place {
        node: lease.node.as_str(),
        gpu: lease.gpu.as_ref().map(|gpu| gpu.as_str()),
    };
    let item = Text(short_id(lease.item.as_str()));
    let work = Text(&lease.work);
    cell(
        out,
        "What",
        format_args!("{work} <small>{place} · item {item}</small>"),
    )?;
    let (held, cost) = (lease.held, lease.cost);
    if held == cost {
        cell(out, "Seats", held)?;
    } else {
        cell(
            out,
            "Seats",
            format_args!("{held} <small>of {cost}</small>"),
        )?;
    }
    let paused = if lease.paused {
        " <small>paused</small>"
    } else {
        ""
    };
    let stray = if lease.stray {
        " <small class=\"alarm\">did not begin here</small>"
    } else {
        ""
    };
    cell(
        out,
        "State",
        format_args!(
            "<span class=\"state {state}\" title=\"{hint}\">{state}</span>{paused}{stray}"
        ),
    )?;
    cell(out, "Encoded", Encoded(lease))?;
    cell(
        out,
        "Since",
        format_args!("{}{}", Since(now, lease.age), Idle(now, lease.idle)),
    )?;
    cell(out, "Why", words::let_in(lease.reason))?;
    if operator {
        actions(out, lease)?;
    }
    out.write_str("</tr>\n")
}

/// How much is encoded, and how far that is ahead of the viewer.
struct Encoded<'a>(&'a LeaseView);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(lease) = self;
        let Some(part) = lease.completion else {
            return f.write_str("<small class=\"nil\">–</small>");
        };
        let percent = (part * 100.0).clamp(0.0, 100.0);
        write!(
            f,
            "<svg class=\"done\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"active\" width=\"{percent:.0}\" \
             height=\"4\"/></svg><small>{percent:.0} %"
        )?;
        match lease.lead {
            _ if lease.starved => f.write_str(", <b class=\"alarm\">falls behind</b>")?,
            Some(lead) if lead >= 1.0 => {
                let lead = std::time::Duration::try_from_secs_f64(lead).unwrap_or_default();
                write!(f, ", {} ahead", words::span(lead))?;
            }
            Some(_) | None => {}
        }
        f.write_str("</small>")
    }
}

fn actions(out: &mut String, lease: &LeaseView) -> fmt::Result {
    let number = lease.lease.0;
    let user = Text(name(lease.user_name.as_deref(), lease.user.as_str()));
    write!(
        out,
        "<td role=\"cell\" data-label=\"Actions\"><details class=\"more\"><summary>Act…<span class=\"unseen\"> on the stream of {user}</span></summary>\
         <div class=\"menu\"><label for=\"text-{number}\">Message to {user}</label>\
         <input form=\"act\" id=\"text-{number}\" name=\"text-{number}\" maxlength=\"300\" autocomplete=\"off\">\
         <button form=\"act\" formaction=\"message?lease={number}\">Show it</button>\
         <button form=\"act\" formaction=\"release?lease={number}\" class=\"danger\">End this stream</button></div></details></td>"
    )
}
