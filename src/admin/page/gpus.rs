//! Each GPU: what is held of it by whom, what it is short of, and its last hour.

use std::fmt::{self, Write};

use super::{Sheet, name, strip::strip, text::Text};
use crate::{
    admin::words,
    admission::{GpuView, LeaseView, Seats},
};

/// All of them.
pub(super) fn gpus(out: &mut String, sheet: &Sheet) -> fmt::Result {
    out.write_str("<section><h2 class=\"unseen\">GPUs</h2><div class=\"gpus\">\n")?;
    let none = Vec::new();
    for (index, gpu) in sheet.view.gpus.iter().enumerate() {
        let past = sheet.past.get(index).unwrap_or(&none);
        writeln!(
            out,
            "<article class=\"card gpu\"><h3>{name}{short}</h3><div class=\"parts\"><div>\
             <p class=\"seats{full}\"><b>{held}</b> of {capacity} seats held</p>",
            name = Text(gpu.gpu.as_str()),
            short = short_of(gpu),
            full = if is_full(gpu) { " full" } else { "" },
            held = gpu.held,
            capacity = gpu.capacity,
        )?;
        bar(out, gpu, &sheet.view.leases)?;
        facts(out, gpu)?;
        out.write_str("</div>")?;
        strip(out, past)?;
        out.write_str("</div></article>\n")?;
    }
    out.write_str("</div></section>\n")
}

/// Less than the smallest transcode takes is no room, and is shown as none.
const NO_ROOM: Seats = Seats::from_milli(100);

/// Nothing more fits.
fn is_full(gpu: &GpuView) -> bool {
    gpu.capacity.less(gpu.held) < NO_ROOM
}

/// What keeps the next one out, if anything does.
fn short_of(gpu: &GpuView) -> &'static str {
    let sessions = gpu.max_sessions.is_some_and(|most| gpu.sessions >= most);
    if gpu.starving > 0 {
        "<span class=\"pill bad\">too slow</span>"
    } else if sessions {
        "<span class=\"pill warn\">short of sessions</span>"
    } else if gpu.waiting > 0 {
        "<span class=\"pill warn\">short of seats</span>"
    } else if is_full(gpu) {
        "<span class=\"pill warn\">full</span>"
    } else {
        "<span class=\"pill good\">has room</span>"
    }
}

/// Who holds how much, as a bar.
fn bar(out: &mut String, gpu: &GpuView, leases: &[LeaseView]) -> fmt::Result {
    let whole = f64::from(gpu.capacity.milli().max(gpu.held.milli()).max(1));
    let share = |seats: Seats| f64::from(seats.milli()) / whole * 1000.0;
    writeln!(
        out,
        "<svg class=\"bar\" viewBox=\"0 0 1000 28\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{held} of {capacity} seats held\"><rect class=\"track\" width=\"1000\" height=\"28\"/>",
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
            width = (width - 4.0).max(1.0),
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
    out.write_str("</svg>\n")
}

fn facts(out: &mut String, gpu: &GpuView) -> fmt::Result {
    let sessions = match gpu.max_sessions {
        Some(most) => format!("{} of {most}", gpu.sessions),
        None => gpu.sessions.to_string(),
    };
    let facts: [(&str, &dyn fmt::Display); 4] = [
        ("free", &gpu.capacity.less(gpu.held)),
        ("promised", &gpu.reserved),
        ("sessions", &sessions),
        ("waiting", &gpu.waiting),
    ];
    let mut list = String::new();
    for (what, much) in facts {
        write!(list, "<div><dt>{what}</dt><dd>{much}</dd></div>")?;
    }
    if gpu.lent > Seats::ZERO {
        write!(list, "<div><dt>lent</dt><dd>{}</dd></div>", gpu.lent)?;
    }
    if gpu.learned != gpu.given {
        write!(
            list,
            "<div><dt>learned</dt><dd>{} <small>set {}</small></dd></div>",
            gpu.learned, gpu.given
        )?;
    }
    if gpu.starving > 0 {
        let starving = words::plural(gpu.starving, "stream");
        write!(list, "<div><dt>falls behind</dt><dd>{starving}</dd></div>")?;
    }
    writeln!(out, "<dl class=\"facts\">{list}</dl>")
}
