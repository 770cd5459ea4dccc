//! One line about the way out of the house, where something flows over it or it is limited.

use std::fmt::{self, Write};

use super::Sheet;
use crate::admission::{Bitrate, UplinkView};

/// Draws it.
pub(super) fn uplink(out: &mut String, sheet: &Sheet) -> fmt::Result {
    draw(out, &sheet.view.uplink)
}

fn draw(out: &mut String, view: &UplinkView) -> fmt::Result {
    let idle = view.held == Bitrate::ZERO && view.other == Bitrate::ZERO;
    if view.limit.is_none() && idle {
        return Ok(());
    }
    write!(
        out,
        "<p class=\"uplink\">Out of the house: {} for viewers",
        view.held
    )?;
    if view.other > Bitrate::ZERO {
        write!(out, ", {} for downloads", view.other)?;
    }
    if let Some(limit) = view.limit {
        write!(out, ", of {limit}")?;
    }
    if view.waiting > 0 {
        write!(out, " · {} waiting for it", view.waiting)?;
    }
    out.write_str("</p>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(view: UplinkView) -> String {
        let mut out = String::new();
        draw(&mut out, &view).unwrap();
        out
    }

    #[test]
    fn what_flows_out_is_told_in_one_line() {
        let view = UplinkView {
            limit: Some(Bitrate::new(40_000_000)),
            held: Bitrate::new(12_340_000),
            other: Bitrate::new(3_000_000),
            waiting: 1,
        };
        assert_eq!(
            drawn(view),
            "<p class=\"uplink\">Out of the house: 12.3 Mbit/s for viewers, 3.0 Mbit/s for downloads, of 40.0 Mbit/s \
             · 1 waiting for it</p>\n"
        );
    }

    #[test]
    fn a_house_whose_line_is_neither_used_nor_limited_says_nothing() {
        assert_eq!(drawn(UplinkView::default()), "");
    }
}
