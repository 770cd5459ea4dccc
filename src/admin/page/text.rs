//! What is written into the page: escaped, cut, rounded.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::LONGEST;
use crate::admin::words;

/// Text of somebody else, escaped, cut to [`LONGEST`], kept from turning the direction of what follows.
pub(super) struct Text<'a>(pub(super) &'a str);
/// Text of this program with something of somebody else in it: escaped, not cut.
pub(super) struct Long<'a>(pub(super) &'a str);
/// A user on a device.
pub(super) struct Who<'a> {
    pub(super) user: &'a str,
    pub(super) client: &'a str,
    pub(super) device: &'a str,
    pub(super) class: &'a str,
}
/// Where it is encoded.
pub(super) struct Place<'a> {
    pub(super) node: &'a str,
    pub(super) gpu: Option<&'a str>,
}
/// A number with at most one decimal.
pub(super) struct Number(pub(super) f64);
/// The last sign of life, if it is old enough to matter. Spans of time begin with now: the page counts on from there.
pub(super) struct Idle(pub(super) f64, pub(super) Duration);
/// How long something has lasted: `41 s`.
pub(super) struct Since(pub(super) f64, pub(super) Duration);
/// How long ago something was: `41 s ago`.
pub(super) struct Ago(pub(super) f64, pub(super) Duration);
/// How long it is until something: `9 s`.
pub(super) struct In(pub(super) f64, pub(super) Duration);
/// A text of Finweir's own with names in it, in all its length.
pub(super) struct Whole<'a>(pub(super) &'a str);
/// A wait in seconds, if there was one.
pub(super) struct Waited(pub(super) f64);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars().take(LONGEST).peekable();
        while let Some(c) = chars.next() {
            // `hevc 2160p -> h264 1080p`, as it is written in logs.
            if c == '-' && chars.next_if_eq(&'>').is_some() {
                f.write_char('→')?;
            } else {
                escape(f, c)?;
            }
        }
        if self.0.chars().nth(LONGEST).is_some() {
            f.write_char('…')?;
        }
        Ok(())
    }
}

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_char(c),
            c => escape(f, c),
        })
    }
}

impl fmt::Display for Long<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| escape(f, c))
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<b>{}</b> <span class=\"class\">{}</span> <small>{}",
            Text(self.user),
            Text(self.class),
            Text(self.client)
        )?;
        // Device ids are long and mean little. Those of browsers begin alike: the end tells two apart.
        let length = self.device.chars().count();
        let short: String = self.device.chars().skip(length.saturating_sub(8)).collect();
        if !short.is_empty() {
            write!(
                f,
                " · <span title=\"{}\">{}</span>",
                Long(self.device),
                Text(&short)
            )?;
        }
        f.write_str("</small>")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Text(self.node))?;
        match self.gpu {
            Some(gpu) => write!(f, " · {}", Text(gpu)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 < Duration::from_secs(15) {
            return Ok(());
        }
        write!(f, " <small>quiet for {}</small>", Since(self.0, self.1))
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0 - self.1.as_secs_f64();
        let span = words::span(self.1);
        write!(f, "<span data-at=\"{at:.0}\" data-as=\"for\">{span}</span>")
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0 - self.1.as_secs_f64();
        let span = words::span(self.1);
        write!(
            f,
            "<span data-at=\"{at:.0}\" data-as=\"ago\">{span} ago</span>"
        )
    }
}

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0 + self.1.as_secs_f64();
        let span = words::span(self.1);
        write!(f, "<span data-at=\"{at:.0}\" data-as=\"in\">{span}</span>")
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0.05 {
            return Ok(());
        }
        write!(f, ", after {:.1} s", self.0)
    }
}

/// The beginning of an id: as much as tells two apart in an evening.
pub(super) fn short_id(id: &str) -> &str {
    let end = id.char_indices().nth(8).map_or(id.len(), |(end, _)| end);
    id.get(..end).unwrap_or(id)
}

/// Control characters and those that turn the writing direction are shown as a replacement.
fn escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            f.write_char('\u{fffd}')
        }
        c if c.is_control() => f.write_char('\u{fffd}'),
        c => f.write_char(c),
    }
}
