//! The status page, drawn on the server: no external fetches, nothing that needs a script.
//!
//! It is drawn in parts ([`parts`]). With JavaScript, those that change are sent to it ([`super::live`](mod@super::live)); without, the
//! browser loads the page again. All that clients and configuration say is escaped and cut by [`text::Text`]; no style is
//! written inline, so that the Content-Security-Policy can forbid it. Bars are SVG, whose widths are attributes.
//!
//! What can be done is drawn for an [`Eye::Operator`] alone: buttons that belong to the one form of the page, which
//! holds the secret of the session and is no part that is sent to anybody else.

mod decided;
mod explained;
mod gpus;
mod head;
mod line;
mod login;
mod nodes;
mod quota;
mod streams;
mod strip;
mod text;
mod uplink;

use std::fmt::{self, Write};

use self::text::Text;
pub(super) use self::{explained::explained, login::login};
use super::{View, auth::Caller, history::Point, session::Session};

/// Refusals and other decisions shown; the rest is in `/state`.
const SHOWN: usize = 10;
/// Longest text of a client that is shown, in characters.
const LONGEST: usize = 48;

/// What a page is drawn from.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// How things stand.
    pub(super) view: View,
    /// The last hour of each GPU, in the order of the view.
    pub(super) past: Vec<Vec<Point>>,
    /// Decisions can be explained: there is a journal.
    pub(super) explains: bool,
    /// Who looks.
    pub(super) eye: Eye,
}

/// Who looks at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eye {
    /// Who may read.
    Reader,
    /// Who may act.
    Operator,
}

/// Whether somebody can log in here, or has.
#[derive(Debug)]
pub(super) enum Door<'a> {
    /// No token is configured.
    None,
    /// One may log in.
    Closed,
    /// One has.
    Open {
        /// The session.
        session: &'a Session,
        /// What came of the last action.
        said: Option<&'a str>,
    },
}

/// The parts of the page, in order.
pub(super) fn parts(sheet: &Sheet) -> Vec<(&'static str, String)> {
    type Draw = fn(&mut String, &Sheet) -> fmt::Result;
    let parts: [(&'static str, Draw); 11] = [
        ("status", head::status),
        ("sum", head::sum),
        ("notices", head::notices),
        ("gpus", gpus::gpus),
        ("uplink", uplink::uplink),
        ("streams", streams::streams),
        ("line", line::line),
        ("quota", quota::quotas),
        ("refused", decided::refused),
        ("decided", decided::decided),
        ("nodes", nodes::nodes),
    ];
    let drawn = parts.into_iter().map(|(name, draw)| {
        let mut out = String::with_capacity(4 * 1024);
        draw(&mut out, sheet).expect("a string can always be written to");
        (name, out)
    });
    drawn.collect()
}

/// The whole page.
pub(super) fn document(sheet: &Sheet, door: &Door<'_>) -> String {
    let mut parts = parts(sheet).into_iter();
    // The first part stands in the header, which the others follow.
    let (status, markup) = parts.next().unwrap_or_default();
    let mut main = String::with_capacity(32 * 1024);
    for (name, markup) in parts {
        writeln!(main, "<div data-part=\"{name}\">{markup}</div>")
            .expect("a string can always be written to");
    }
    // Who writes a message needs longer than who reads.
    let again = match sheet.eye {
        Eye::Reader => 5,
        Eye::Operator => 30,
    };
    let head = frame_head("Finweir", again, true);
    let controls = head::controls(sheet);
    format!(
        "{head}<body>\n<a class=\"skip\" href=\"#live\">To the streams</a>\n\
         <header class=\"top\">{MARK}<h1>Finweir</h1><div data-part=\"{status}\" class=\"pills\">{markup}</div>{door}</header>\n\
         {said}{controls}<main id=\"live\" data-now=\"{now:.3}\">\n{main}</main>\n\
         <footer><a href=\"state\">state as JSON</a><a href=\"metrics\">metrics</a><a href=\"ready?verbose\">readiness</a>\
         <span class=\"version\">Finweir {version}</span></footer>\n\
         <p id=\"stale\" role=\"status\" hidden>No answer from Finweir: what is shown is old.</p>\n\
         <p id=\"news\" class=\"unseen\" role=\"status\"></p>\n</body>\n</html>\n",
        door = head::door(door),
        said = head::said(door),
        now = sheet.view.at,
        version = Text(sheet.view.version),
    )
}

/// Up to the body. `again`: after how many seconds a browser without scripts loads the page again.
fn frame_head(title: &str, again: u32, script: bool) -> String {
    let again = if script {
        format!(
            "<noscript><meta http-equiv=\"refresh\" content=\"{again}\"></noscript>\n\
             <script src=\"page.js\" defer></script>\n"
        )
    } else {
        String::new()
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"mark.svg\">\n\
         <link rel=\"stylesheet\" href=\"page.css\">\n{again}</head>\n"
    )
}

/// A weir: water on both sides of a grating.
const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 32 32\" aria-hidden=\"true\">\
    <path d=\"M2 11q3.5-4 7 0t7 0 7 0 7 0M2 18q3.5-4 7 0t7 0 7 0 7 0M2 25q3.5-4 7 0t7 0 7 0 7 0\"/>\
    <path class=\"grate\" d=\"M11 4v24M16 4v24M21 4v24\"/></svg>";

/// A table that collapses to cards on a phone.
struct Table<'a> {
    title: &'a str,
    count: usize,
    /// What is said in place of an empty one.
    none: &'a str,
    /// A class, which sets the widths of its columns.
    class: &'a str,
    columns: &'a [&'a str],
}

/// Columns that hold numbers.
const NUMBERS: [&str; 2] = ["Seats", "Needs"];

impl Table<'_> {
    /// Begins it. `false`: it is empty, and whole.
    fn begin(&self, out: &mut String) -> Result<bool, fmt::Error> {
        let Self {
            title,
            count,
            none,
            class,
            columns,
        } = self;
        if *count == 0 {
            writeln!(
                out,
                "<section class=\"card\"><h2>{title}</h2><p class=\"none\">{none}</p></section>"
            )?;
            return Ok(false);
        }
        write!(
            out,
            "<section class=\"card\"><table class=\"{class}\" role=\"table\"><caption role=\"caption\"><h2>{title} <small>{count}</small></h2>\
             </caption><thead role=\"rowgroup\"><tr role=\"row\">"
        )?;
        for column in *columns {
            let number = if NUMBERS.contains(column) {
                " class=\"number\""
            } else {
                ""
            };
            let unseen = if *column == "Actions" {
                "<span class=\"unseen\">Actions</span>"
            } else {
                column
            };
            write!(
                out,
                "<th scope=\"col\" role=\"columnheader\"{number}>{unseen}</th>"
            )?;
        }
        out.write_str("</tr></thead><tbody role=\"rowgroup\">\n")?;
        Ok(true)
    }

    fn end(out: &mut String) -> fmt::Result {
        out.write_str("</tbody></table></section>\n")
    }
}

/// A cell, labelled with its column for where columns are not shown.
fn cell(out: &mut String, column: &str, content: impl fmt::Display) -> fmt::Result {
    let number = if NUMBERS.contains(&column) {
        " class=\"number\""
    } else {
        ""
    };
    write!(
        out,
        "<td role=\"cell\" data-label=\"{column}\"{number}><div>{content}</div></td>"
    )
}

/// The user's name; where that isn't known, the id.
fn name<'a>(name: Option<&'a str>, id: &'a str) -> &'a str {
    name.unwrap_or(id)
}

// === impl Eye ===

impl Eye {
    /// How this caller looks.
    pub(super) fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Operator(_) => Self::Operator,
            // A program with the token has no use for buttons.
            Caller::Reader | Caller::Token(_) => Self::Reader,
        }
    }
}
