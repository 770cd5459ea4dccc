//! A request target as Kestrel reads it: percent-decoded once, dot segments removed, and what is doubtful in it.

use std::borrow::Cow;

/// A request target, taken apart.
pub(super) struct Target<'a> {
    /// The path as routing sees it.
    pub(super) path: Cow<'a, str>,
    /// The query, without the `?`, as it came.
    pub(super) query: Option<&'a str>,
    /// Why this path might be read in another way than here.
    pub(super) doubt: Option<&'static str>,
}

impl<'a> Target<'a> {
    /// Takes a target apart. A plain one costs one look at each byte.
    pub(super) fn read(raw: &'a str) -> Self {
        if raw.starts_with('/') {
            let (path, query) = split_query(raw);
            if is_plain(path) {
                return Self {
                    path: Cow::Borrowed(path),
                    query,
                    doubt: None,
                };
            }
            return Self::decode(path, query, None);
        }
        // Absolute form: Kestrel leaves it to System.Uri, which reads more into a path than Kestrel itself does.
        let Some((_, after)) = raw.split_once("://") else {
            let (path, query) = split_query(raw);
            return Self::decode(path, query, Some("the form of the target"));
        };
        let path = after.find(['/', '\\', '?', '#']).unwrap_or(after.len());
        let (_, rest) = after.split_at(path);
        let (path, query) = split_query(rest);
        let odd = rest.contains(['\\', '#']) || has_encoded_slash(path);
        Self::decode(
            path,
            query,
            odd.then_some("a slash in disguise or a fragment"),
        )
    }

    fn decode(path: &str, query: Option<&'a str>, mut doubt: Option<&'static str>) -> Self {
        let mut bytes = Vec::with_capacity(path.len());
        let mut rest = path.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let mut ahead = rest.clone();
            match (hex(ahead.next()), hex(ahead.next())) {
                // Kestrel leaves an encoded slash as it is.
                (Some(2), Some(15)) => bytes.extend_from_slice(b"%2F"),
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                (None, _) | (_, None) => {
                    doubt = doubt.or(Some("percent-encoding"));
                    bytes.push(b'%');
                    continue;
                }
            }
            rest = ahead;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                doubt = doubt.or(Some("not UTF-8"));
                String::from_utf8_lossy(error.as_bytes()).into_owned()
            }
        };
        if !path.is_ascii() || text.contains(|c: char| c.is_control() || c == '#') {
            doubt = doubt.or(Some("a character that no path has"));
        }
        if text.contains(|c| ascii_twin(c).is_some()) {
            doubt = doubt.or(Some("a letter that may count as another"));
        }
        Self {
            path: Cow::Owned(without_dot_segments(&text)),
            query,
            doubt,
        }
    }

    /// The path as a reader would have it who makes the most of it: any kind of slash is one, doubled ones are one,
    /// a fragment is cut off, what is no plain letter is dropped or is the plain letter it resembles.
    pub(super) fn at_worst(&self) -> String {
        let path = self.path.split('#').next().unwrap_or("");
        let mut plain = String::with_capacity(path.len());
        let slashed = path
            .replace("%2F", "/")
            .replace("%5C", "/")
            .replace("%5c", "/")
            .replace('\\', "/");
        for c in slashed.chars() {
            let c = ascii_twin(c).unwrap_or(c);
            if c.is_ascii_graphic() && !(c == '/' && plain.ends_with('/')) {
                plain.push(c);
            }
        }
        without_dot_segments(&plain)
    }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Whether a path means what it says: no escapes, no dot segments, nothing but printable ASCII.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let dotted = before == b'/' && byte == b'.';
        before = byte;
        byte.is_ascii_graphic() && !dotted && !matches!(byte, b'%' | b'\\' | b'#')
    })
}

fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|three| three.eq_ignore_ascii_case(b"%2f") || three.eq_ignore_ascii_case(b"%5c"))
}

fn hex(byte: Option<u8>) -> Option<u8> {
    char::from(byte?)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// The ASCII letter that some case-folding makes of another letter.
fn ascii_twin(c: char) -> Option<char> {
    match c {
        '\u{17f}' => Some('s'),
        '\u{212a}' => Some('k'),
        '\u{130}' | '\u{131}' => Some('i'),
        _ => None,
    }
}

fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let rest = path.strip_prefix('/').unwrap_or(path);
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        let dots = part == "." || part == "..";
        if part == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(part);
        } else if parts.peek().is_none() {
            // `/a/.` is `/a/`.
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for part in kept {
        out.push('/');
        out.push_str(part);
    }
    out
}
