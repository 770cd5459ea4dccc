//! Reads header fields as strictly as an intermediary must: framing, lists, hop-by-hop names.

use super::chunked::Chunked;

/// How the end of a body is found.
#[derive(Debug)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// As many bytes as are left.
    Fixed(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Until the connection ends.
    Eof,
}

/// What the framing fields of one head say together.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    length: Option<u64>,
    chunked: bool,
}

// === impl Framing ===

impl Framing {
    /// How many bytes of `data` belong to the body; each run of content is shown to `content`.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<usize, &'static str> {
        match self {
            Self::Empty => Ok(0),
            Self::Fixed(left) => {
                let n = usize::try_from(*left).map_or(data.len(), |l| l.min(data.len()));
                *left -= n as u64;
                content(data.get(..n).unwrap_or_default());
                Ok(n)
            }
            Self::Chunked(chunked) => chunked.feed(data, content),
            Self::Eof => {
                content(data);
                Ok(data.len())
            }
        }
    }

    /// Nothing of the body is missing. Never so for [`Framing::Eof`].
    pub(super) const fn done(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Fixed(left) => *left == 0,
            Self::Chunked(chunked) => chunked.done(),
            Self::Eof => false,
        }
    }
}

// === impl Lengths ===

impl Lengths {
    /// Takes note of a field. `true`: it was a framing field.
    ///
    /// Anything that two parsers could read in two ways is an error: a repeated or signed length, a length beside
    /// chunks, an encoding that isn't exactly `chunked`.
    pub(super) fn note(&mut self, name: &str, value: &[u8]) -> Result<bool, &'static str> {
        if is(name, "content-length") {
            if self.length.is_some() {
                return Err("repeated Content-Length");
            }
            self.length = Some(digits(value).ok_or("Content-Length is not a number")?);
        } else if is(name, "transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("Transfer-Encoding is not just chunked");
            }
            self.chunked = true;
        } else {
            return Ok(false);
        }
        if self.chunked && self.length.is_some() {
            return Err("Content-Length beside Transfer-Encoding");
        }
        Ok(true)
    }

    /// The framing, or `none` where no field says.
    pub(super) fn framing(&self, none: Framing) -> Framing {
        match (self.chunked, self.length) {
            (true, _) => Framing::Chunked(Chunked::default()),
            (false, Some(0)) => Framing::Empty,
            (false, Some(length)) => Framing::Fixed(length),
            (false, None) => none,
        }
    }

    /// Chunks were announced.
    pub(super) const fn chunked(&self) -> bool {
        self.chunked
    }
}

/// A field name, whatever its letter case.
pub(super) const fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

/// The members of a comma-separated list.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|m| !m.is_empty())
}

/// Fields that concern one connection only, whether `Connection` lists them or not.
pub(super) fn hop_by_hop(name: &str) -> bool {
    // By length first: this runs for every field of every message.
    match name.len() {
        2 => is(name, "te"),
        7 => is(name, "upgrade"),
        10 => is(name, "connection") || is(name, "keep-alive"),
        16 => is(name, "proxy-connection"),
        17 => is(name, "transfer-encoding"),
        _ => false,
    }
}

/// Fields that a `Connection` header can't take away: they say where a message goes, where it ends or who sent it.
pub(super) fn kept_whatever_is_listed(name: &str) -> bool {
    is(name, "host")
        || is(name, "content-length")
        || is(name, "authorization")
        || is(name, "cookie")
        || is(name, "expect")
}

/// No line ends in a bare LF. `httparse` lets that pass but refuses a CR without LF, so counting is enough.
pub(super) fn ends_lines_well(head: &[u8]) -> bool {
    // In pieces that a byte can count: the compiler makes sixteen comparisons of one instruction then, not two.
    let count = |wanted: u8| -> usize {
        let of = |piece: &[u8]| {
            let ends = piece.iter().map(|b| u8::from(*b == wanted));
            usize::from(ends.fold(0, u8::wrapping_add))
        };
        head.chunks(255).map(of).sum()
    };
    count(b'\n') == count(b'\r')
}

/// Writes one field.
pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_line_feed_is_found_in_however_long_a_head() {
        for lines in [1, 100, 127, 128, 255, 256, 300, 2000] {
            let good = b"\r\n".repeat(lines);
            assert!(ends_lines_well(&good), "{lines}");
            assert!(
                !ends_lines_well(&[good.as_slice(), b"\n"].concat()),
                "{lines}"
            );
            // As many as a byte can count, and one more.
            assert!(!ends_lines_well(&b"\n".repeat(lines)), "{lines}");
        }
    }
}
