//! The top of the page: how it stands in a few words, what an operator should know, and what he can do to all.

use std::fmt::{self, Write};

use super::{
    Door, Eye, Sheet,
    text::{Long, Number, Text, Whole},
};
use crate::admission::Mode;

/// Whether it is ready, and in which mode.
pub(super) fn status(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let view = &sheet.view;
    let (class, ready) = match (view.draining, view.ready) {
        (true, _) => ("bad", "stopping"),
        (false, true) => ("good", "ready"),
        (false, false) => ("bad", "not ready"),
    };
    write!(out, "<span class=\"pill {class}\">{ready}</span>")?;
    let mode = mode_in_words(view.mode);
    match view.own_mode {
        Some(own) => write!(
            out,
            "<span class=\"pill warn\" title=\"the configuration says {}\">{mode} by hand</span>",
            own.as_str()
        )?,
        None => write!(out, "<span class=\"pill\">{mode}</span>")?,
    }
    if view.paused {
        out.write_str("<span class=\"pill warn\">paused</span>")?;
    }
    Ok(())
}

/// The four numbers, and the same in a sentence for who hears the page.
pub(super) fn sum(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let view = &sheet.view;
    let full: Vec<_> = view
        .gpus
        .iter()
        .filter(|gpu| gpu.held >= gpu.capacity)
        .map(|gpu| gpu.gpu.as_str())
        .collect();
    let full = match full.as_slice() {
        [] => String::new(),
        [one] => format!("{} is full. ", Text(one)),
        [..] => format!("{} GPUs are full. ", full.len()),
    };
    let wait = match view.queue_depth {
        0 => "Nobody waits.".to_owned(),
        1 => "One waits.".to_owned(),
        more => format!("{more} wait."),
    };
    writeln!(
        out,
        "<dl class=\"sum\" data-news=\"{full}{wait}\">\
         <div><dt>Seats held</dt><dd>{held} <small>of {capacity}</small></dd></div>\
         <div><dt>Transcodes</dt><dd>{transcodes}</dd></div>\
         <div{waits}><dt>Waiting</dt><dd>{waiting}</dd></div>\
         <div><dt>Playing</dt><dd>{playing}</dd></div></dl>",
        held = Number(view.seats_held),
        capacity = Number(view.seats_capacity),
        transcodes = view.transcodes,
        waits = if view.queue_depth > 0 {
            " class=\"waits\""
        } else {
            ""
        },
        waiting = view.queue_depth,
        playing = view.leases.len(),
    )
}

/// What an operator should know.
pub(super) fn notices(out: &mut String, sheet: &Sheet) -> fmt::Result {
    let view = &sheet.view;
    if view.mode == Mode::Observe {
        out.write_str(
            "<p class=\"notice\"><b>Observing: nothing is refused.</b> What would have been done is \
             recorded below and in the metrics. Set <code>mode: enforce</code> to make it so.</p>\n",
        )?;
    }
    if let Some(own) = view.own_mode {
        writeln!(
            out,
            "<p class=\"notice\">The mode was changed by hand. At the next reload it is <code>{}</code> again.</p>",
            own.as_str()
        )?;
    }
    if view.paused {
        out.write_str(
            "<p class=\"notice warn\"><b>Paused: no new transcode is let in.</b> What runs goes on, and direct plays \
             begin as always. It stays so until somebody resumes.</p>\n",
        )?;
    }
    for warning in &view.warnings {
        writeln!(out, "<p class=\"notice warn\">{}</p>", Whole(warning))?;
    }
    Ok(())
}

/// Who has logged in, or how to.
pub(super) fn door(door: &Door<'_>) -> String {
    match door {
        Door::None => "<p class=\"door\"><small>Read only. To act from here, set <code>admin.token</code>.</small></p>"
            .to_owned(),
        Door::Closed => "<p class=\"door\"><a href=\"login\">Log in to act</a></p>".to_owned(),
        // Enter in a field of this form must not press the first button there is: it presses this one, which does
        // nothing.
        Door::Open { session, .. } => format!(
            "<form class=\"door\" id=\"act\" method=\"post\" action=\"logout\">\
             <button disabled hidden></button><input type=\"hidden\" name=\"csrf\" value=\"{}\">\
             <span>{}</span><button class=\"quiet\" formaction=\"logout\">Log out</button></form>",
            Text(session.form.expose()),
            Long(&session.who),
        ),
    }
}

/// What came of the last action.
pub(super) fn said(door: &Door<'_>) -> String {
    match door {
        Door::Open {
            said: Some(said), ..
        } => format!(
            "<p class=\"notice said\" role=\"status\">{}</p>\n",
            Long(said)
        ),
        Door::None | Door::Closed | Door::Open { said: None, .. } => String::new(),
    }
}

/// What an operator can do to all. It is no part that changes by itself: what the core says to an order that is late
/// is shown.
pub(super) fn controls(sheet: &Sheet) -> String {
    let view = &sheet.view;
    if sheet.eye == Eye::Reader {
        return String::new();
    }
    let (pause, paused) = if view.paused {
        ("resume", "Resume new transcodes")
    } else {
        ("pause", "Pause new transcodes")
    };
    // Where nothing is refused, a pause would do nothing.
    let pause = if view.paused || view.mode == Mode::Enforce {
        format!("<button form=\"act\" formaction=\"{pause}\">{paused}</button>")
    } else {
        String::new()
    };
    let (mode, other) = match view.mode {
        Mode::Observe => ("enforce", "Enforce until the next reload"),
        Mode::Enforce => ("observe", "Only observe until the next reload"),
    };
    format!(
        "<nav class=\"controls\" aria-label=\"Controls\">{pause}\
         <button form=\"act\" formaction=\"mode?mode={mode}\">{other}</button>\
         <details class=\"more\"><summary>Stop Finweir…</summary><div class=\"menu\"><p>Running streams have their time to \
         finish, then Finweir ends.</p>\
         <button form=\"act\" formaction=\"drain\" class=\"danger\">Drain and stop</button></div></details></nav>\n"
    )
}

fn mode_in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observing",
        Mode::Enforce => "enforcing",
    }
}
