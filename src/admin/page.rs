//! The status page, drawn on the server from a [`View`]: no external fetches, nothing that needs a script.
//!
//! With JavaScript the middle part is fetched anew every two seconds; without, the browser reloads the page. All
//! that clients and configuration say is escaped and cut by [`Text`]; no style is written inline, so that the
//! Content-Security-Policy can forbid it. Bars are SVG, whose widths are attributes.

mod quota;
mod text;
mod uplink;

use std::{
    fmt::{self, Write},
    time::Duration,
};

use self::text::{Idle, Long, Number, Place, Text, Waited, Who};
use super::{View, words};
use crate::{
    admission::{GpuView, LeaseView, Mode, Seats, WaiterView},
    telemetry::Decided,
};

/// Refusals and other decisions shown; the rest is in `/state`.
const SHOWN: usize = 12;
/// Longest text of a client that is shown, in characters.
const LONGEST: usize = 48;

/// The whole page.
pub(super) fn document(view: &View) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Finweir</title>\n\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n\
         <link rel=\"stylesheet\" href=\"page.css\">\n<script src=\"page.js\" defer></script>\n</head>\n\
         <body>\n<main id=\"live\">\n{main}</main>\n\
         <footer><a href=\"state\">state</a><a href=\"metrics\">metrics</a>\
         <a href=\"ready?verbose\">ready</a><span id=\"stale\" hidden>No answer: this is old.</span></footer>\n\
         </body>\n</html>\n",
        main = render(view),
    )
}

/// The part of the page that changes.
pub fn render(view: &View) -> String {
    let mut out = String::with_capacity(16 * 1024);
    draw(&mut out, view).expect("a string can always be written to");
    out
}

fn draw(out: &mut String, view: &View) -> fmt::Result {
    header(out, view)?;
    notices(out, view)?;
    out.write_str("<section aria-label=\"GPUs\"><div class=\"gpus\">\n")?;
    for gpu in &view.gpus {
        draw_gpu(out, gpu, &view.leases)?;
    }
    out.write_str("</div></section>\n")?;
    uplink::draw(out, &view.uplink)?;
    leases(out, view)?;
    waiting(out, view)?;
    quota::quotas(out, view)?;
    refused(out, view)?;
    decisions(out, view)?;
    nodes(out, view)
}

fn header(out: &mut String, view: &View) -> fmt::Result {
    let (class, ready) = match (view.draining, view.ready) {
        (true, _) => ("bad", "stopping"),
        (false, true) => ("good", "ready"),
        (false, false) => ("bad", "not ready"),
    };
    let mode = match view.mode {
        Mode::Observe => "observing",
        Mode::Enforce => "enforcing",
    };
    writeln!(
        out,
        "<header><h1>Finweir</h1><span class=\"pill {class}\">{ready}</span><span class=\"pill\">{mode}</span>\
         <span class=\"version\">{version}</span></header>\n\
         <dl class=\"sum\"><div><dt>seats held</dt><dd>{held} <small>of {capacity}</small></dd></div>\
         <div><dt>transcodes</dt><dd>{transcodes}</dd></div><div><dt>waiting</dt><dd>{waiting}</dd></div>\
         <div><dt>playing</dt><dd>{playing}</dd></div></dl>",
        version = Text(view.version),
        held = Number(view.seats_held),
        capacity = Number(view.seats_capacity),
        transcodes = view.transcodes,
        waiting = view.queue_depth,
        playing = view.leases.len(),
    )
}

fn notices(out: &mut String, view: &View) -> fmt::Result {
    if view.mode == Mode::Observe {
        out.write_str(
            "<p class=\"notice observe\"><b>Observing: nothing is refused.</b> What would have been done is \
             recorded below and in the metrics. Set <code>mode: enforce</code> to make it so.</p>\n",
        )?;
    }
    for warning in &view.warnings {
        writeln!(out, "<p class=\"notice warn\">{}</p>", Long(warning))?;
    }
    Ok(())
}

fn draw_gpu(out: &mut String, gpu: &GpuView, leases: &[LeaseView]) -> fmt::Result {
    let whole = f64::from(gpu.capacity.milli().max(gpu.held.milli()).max(1));
    let share = |seats: Seats| f64::from(seats.milli()) / whole * 1000.0;
    let full = gpu.held >= gpu.capacity;
    writeln!(
        out,
        "<article class=\"card\"><h2>{name}</h2><p class=\"seats{full}\"><b>{held}</b> of {capacity} seats held</p>\n\
         <svg class=\"bar\" viewBox=\"0 0 1000 28\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{held} of {capacity} seats held\"><rect class=\"track\" width=\"1000\" height=\"28\"/>",
        name = Text(gpu.gpu.as_str()),
        full = if full { " full" } else { "" },
        held = gpu.held,
        capacity = gpu.capacity,
    )?;
    let mut at = 0.0;
    let here = leases
        .iter()
        .filter(|lease| lease.gpu.as_ref() == Some(&gpu.gpu) && lease.held > Seats::ZERO);
    for lease in here {
        let width = share(lease.held);
        writeln!(
            out,
            "<rect class=\"{state}\" x=\"{at:.1}\" width=\"{width:.1}\" height=\"28\"><title>{user}: {work}, {held} \
             seats</title></rect>",
            state = lease.state.as_str(),
            width = (width - 3.0).max(1.0),
            user = Text(name(lease.user_name.as_deref(), lease.user.as_str())),
            work = Text(&lease.work),
            held = lease.held,
        )?;
        at += width;
    }
    if gpu.held > gpu.capacity {
        let limit = share(gpu.capacity);
        writeln!(
            out,
            "<rect class=\"limit\" x=\"{limit:.1}\" width=\"4\" height=\"28\"/>"
        )?;
    }
    write!(
        out,
        "</svg>\n<p class=\"facts\">{}",
        words::plural(gpu.sessions, "session")
    )?;
    if let Some(most) = gpu.max_sessions {
        write!(out, " of {most}")?;
    }
    if gpu.reserved > Seats::ZERO {
        write!(out, " · {} reserved", gpu.reserved)?;
    }
    if gpu.waiting > 0 {
        write!(out, " · {} waiting", gpu.waiting)?;
    }
    let free = gpu.capacity.less(gpu.held);
    writeln!(out, " · {free} free</p></article>")
}

fn leases(out: &mut String, view: &View) -> fmt::Result {
    section(out, "Who holds what", view.leases.len())?;
    if view.leases.is_empty() {
        return out.write_str("<p class=\"none\">Nobody plays anything.</p></section>\n");
    }
    head(out, &["Who", "What", "Seats", "State", "Since", "Why"])?;
    for lease in &view.leases {
        let (state, hint) = words::state(lease.state);
        let seats = if lease.held == lease.cost {
            lease.held.to_string()
        } else {
            format!("{} <small>of {}</small>", lease.held, lease.cost)
        };
        write!(
            out,
            "<tr><td data-label=\"Who\">{who}</td>\
             <td data-label=\"What\">{work}<small>{place}</small></td>\
             <td data-label=\"Seats\" class=\"number\">{seats}</td>\
             <td data-label=\"State\"><span class=\"state {state}\" title=\"{hint}\">{state}</span>",
            who = Who {
                user: name(lease.user_name.as_deref(), lease.user.as_str()),
                client: &lease.client,
                device: lease.device.as_str(),
                class: lease.class.as_str(),
            },
            work = Text(&lease.work),
            place = Place {
                node: lease.node.as_str(),
                gpu: lease.gpu.as_ref().map(|gpu| gpu.as_str()),
            },
        )?;
        if lease.paused {
            out.write_str("<small>paused</small>")?;
        }
        if let Some(part) = lease.completion {
            let percent = (part * 100.0).clamp(0.0, 100.0);
            write!(
                out,
                "<svg class=\"done\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
                 <rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"active\" width=\"{percent:.0}\" \
                 height=\"4\"/></svg><small>{percent:.0} % encoded</small>"
            )?;
        }
        writeln!(
            out,
            "</td><td data-label=\"Since\">{since}{idle}</td><td data-label=\"Why\">{why}</td></tr>",
            since = words::span(lease.age),
            idle = Idle(lease.idle),
            why = words::let_in(lease.reason),
        )?;
    }
    out.write_str("</tbody></table></section>\n")
}

fn waiting(out: &mut String, view: &View) -> fmt::Result {
    section(out, "Who waits", view.waiting.len())?;
    if view.waiting.is_empty() {
        return out.write_str("<p class=\"none\">Nobody waits.</p></section>\n");
    }
    let why = "Waits because";
    head(out, &["Who", "Needs", why, "For", "Seat in", "Gives up in"])?;
    for waiter in &view.waiting {
        row_waiting(out, waiter)?;
    }
    out.write_str("</tbody></table></section>\n")
}

fn row_waiting(out: &mut String, waiter: &WaiterView) -> fmt::Result {
    writeln!(
        out,
        "<tr><td data-label=\"Who\">{who}</td><td data-label=\"Needs\" class=\"number\">{cost} seats</td>\
         <td data-label=\"Waits because\">{why}</td><td data-label=\"For\">{waited}</td>\
         <td data-label=\"Seat in\">{expected}</td>\
         <td data-label=\"Gives up in\">{left}</td></tr>",
        who = Who {
            user: name(waiter.user_name.as_deref(), waiter.user.as_str()),
            client: &waiter.client,
            device: waiter.device.as_str(),
            class: waiter.class.as_str(),
        },
        cost = waiter.cost,
        why = words::reason(waiter.reason),
        waited = words::span(waiter.waited),
        expected = words::expected(waiter.expected),
        left = words::span(waiter.left),
    )
}

/// Refusals; where a rule only observes, also what it would have held or refused.
fn refused(out: &mut String, view: &View) -> fmt::Result {
    let turned: Vec<_> = view
        .recent
        .iter()
        .filter(|decided| decided.decision == "reject" || decided.would.is_some())
        .take(SHOWN)
        .collect();
    section(out, "Refused lately", turned.len())?;
    if turned.is_empty() {
        return out.write_str("<p class=\"none\">Nobody was refused.</p></section>\n");
    }
    head(out, &["When", "Who", "What", "Seats", "Why"])?;
    for decided in turned {
        let why = match decided.would {
            Some(would) => format!(
                "<span class=\"state parked\">let in</span> would not have been: {}",
                words::reason(would)
            ),
            None => words::reason(decided.reason).to_owned(),
        };
        row_decided(out, view.at, decided, &why)?;
    }
    out.write_str("</tbody></table></section>\n")
}

fn decisions(out: &mut String, view: &View) -> fmt::Result {
    let shown = view.recent.iter().take(SHOWN);
    section(out, "Last decisions", shown.len())?;
    if view.recent.is_empty() {
        return out.write_str("<p class=\"none\">Nothing was decided yet.</p></section>\n");
    }
    head(out, &["When", "Who", "What", "Seats", "Why"])?;
    for decided in shown {
        let (class, word) = match decided.decision {
            "admit" => ("active", "admitted"),
            "queue" => ("reserved", "queued"),
            "downgrade" => ("lingering", "stepped down"),
            other => ("refused", if other == "reject" { "refused" } else { other }),
        };
        let why = format!(
            "<span class=\"state {class}\">{word}</span> {}{}",
            words::reason(decided.reason),
            Waited(decided.waited),
        );
        row_decided(out, view.at, decided, &why)?;
    }
    out.write_str("</tbody></table></section>\n")
}

/// `why` is markup already.
fn row_decided(out: &mut String, now: f64, decided: &Decided, why: &str) -> fmt::Result {
    let ago = Duration::try_from_secs_f64(now - decided.at).unwrap_or_default();
    writeln!(
        out,
        "<tr><td data-label=\"When\">{ago} ago</td><td data-label=\"Who\">{who}</td>\
         <td data-label=\"What\">{work}<small>{place}</small></td>\
         <td data-label=\"Seats\" class=\"number\">{cost}</td><td data-label=\"Why\"><span>{why}</span></td></tr>",
        ago = words::span(ago),
        who = Who {
            user: &decided.user,
            client: &decided.client,
            device: "",
            class: &decided.class,
        },
        work = Text(&decided.work),
        place = Place {
            node: &decided.node,
            gpu: decided.gpu.as_deref(),
        },
        cost = Number(decided.cost),
    )
}

fn nodes(out: &mut String, view: &View) -> fmt::Result {
    section(out, "Jellyfin", view.nodes.len())?;
    out.write_str("<ul class=\"nodes\">\n")?;
    for node in &view.nodes {
        let (class, word) = match node.reachable {
            Some(true) => ("good", "answers"),
            Some(false) => ("bad", "does not answer"),
            None => ("", "not asked yet"),
        };
        let poll = match (node.api_key, node.poll) {
            (false, _) => "no API key",
            (true, Some(true)) => "sessions seen",
            (true, Some(false)) => "sessions can't be read",
            (true, None) => "sessions not read yet",
        };
        writeln!(
            out,
            "<li><b>{}</b><span class=\"pill {class}\">{word}</span><small>{poll}</small></li>",
            Text(&node.node)
        )?;
    }
    out.write_str("</ul></section>\n")
}

fn section(out: &mut String, title: &str, count: usize) -> fmt::Result {
    writeln!(
        out,
        "<section class=\"card\"><h2>{title} <small>{count}</small></h2>"
    )
}

fn head(out: &mut String, columns: &[&str]) -> fmt::Result {
    out.write_str("<table><thead><tr>")?;
    for column in columns {
        let class = if *column == "Seats" || *column == "Needs" {
            " class=\"number\""
        } else {
            ""
        };
        write!(out, "<th scope=\"col\"{class}>{column}</th>")?;
    }
    out.write_str("</tr></thead><tbody>\n")
}

/// The user's name; where that isn't known, the id.
fn name<'a>(name: Option<&'a str>, id: &'a str) -> &'a str {
    name.unwrap_or(id)
}
