//! Follows a chunked body byte by byte, so that it can be passed on as it came.
//!
//! Strict where parsers differ: sizes are hex digits only, lines end in CRLF only, extensions and trailers are bounded
//! and hold no control characters.

/// Longest chunk-size line and longest trailer line.
const LINE: u16 = 1024;
/// Most bytes of trailers.
const TRAILERS: u16 = 8192;

/// Where in a chunked body the next byte is.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of the chunk that are left; in a size line, the size so far.
    left: u64,
    /// Bytes of the line so far.
    line: u16,
    /// Bytes of trailers so far.
    trailers: u16,
    /// The trailer line had its colon.
    colon: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

// === impl Chunked ===

impl Chunked {
    /// How many bytes of `data` belong to the body. Runs of content are shown to `content`.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<usize, &'static str> {
        let mut rest = data;
        while self.at != At::Done {
            if self.at == At::Data {
                let n = usize::try_from(self.left).map_or(rest.len(), |l| l.min(rest.len()));
                let (run, after) = rest.split_at(n);
                if n == 0 {
                    break;
                }
                content(run);
                rest = after;
                self.left -= n as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            let Some((&byte, after)) = rest.split_first() else {
                break;
            };
            rest = after;
            self.step(byte)?;
        }
        Ok(data.len() - rest.len())
    }

    /// The last byte was seen.
    pub(super) const fn done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // Sixteen digits can't overflow; more are refused even if they are zeros.
                if self.line >= 16 {
                    return Err("chunk size too long");
                }
                self.line += 1;
                self.left = (self.left << 4) | u64::from(digit);
                At::Size
            }
            (At::Size | At::Extension, b'\r') if self.line > 0 => At::SizeLf,
            (At::Size, b';') if self.line > 0 => At::Extension,
            (At::Size, _) => return Err("chunk size is not a number"),
            (At::Extension, b'\t' | b' '..=b'~') => {
                self.line += 1;
                if self.line > LINE {
                    return Err("chunk extension too long");
                }
                At::Extension
            }
            (At::Extension, _) => return Err("control character in a chunk extension"),
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    At::Trailer
                } else {
                    At::Data
                }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Trailer, b'\r') if self.line == 0 => At::EndLf,
            (At::Trailer, b'\r') if self.colon => At::TrailerLf,
            (At::Trailer, _) => {
                self.trailer(byte)?;
                At::Trailer
            }
            (At::TrailerLf, b'\n') => {
                self.line = 0;
                self.colon = false;
                At::Trailer
            }
            (At::EndLf, b'\n') => At::Done,
            (
                At::SizeLf
                | At::Data
                | At::DataCr
                | At::DataLf
                | At::TrailerLf
                | At::EndLf
                | At::Done,
                _,
            ) => return Err("chunk line does not end in CRLF"),
        };
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), &'static str> {
        self.line += 1;
        self.trailers += 1;
        if self.line > LINE || self.trailers > TRAILERS {
            return Err("trailers too long");
        }
        if self.colon {
            if byte < b' ' && byte != b'\t' || byte == 0x7f {
                return Err("control character in a trailer");
            }
        } else if byte == b':' && self.line > 1 {
            self.colon = true;
        } else if !(byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
            return Err("bad trailer name");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(data: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut chunked = Chunked::default();
        let (mut out, mut used) = (Vec::new(), 0);
        for part in data.chunks(step) {
            let n = chunked.feed(part, |c| out.extend_from_slice(c))?;
            used += n;
            if n < part.len() {
                break;
            }
        }
        Ok((out, used, chunked.done()))
    }

    #[test]
    fn a_body_is_followed_to_its_last_byte_however_it_arrives() {
        let body = b"5\r\nhello\r\n006;a=\"b\"\r\n world\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nGET /";
        for step in 1..body.len() {
            let (out, used, done) = decode(body, step).unwrap();
            assert_eq!(out, b"hello world");
            assert_eq!(used, body.len() - 5);
            assert!(done);
        }
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for bad in [
            &b"0x5\r\nhello\r\n"[..],
            b"+5\r\nhello\r\n",
            b"-1\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello\n",
            b"5\r\nhelloo\r\n",
            b"\r\n",
            b";x\r\n",
            b"fffffffffffffffff\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"5;a\nb\r\nhello\r\n",
            b"5;\x00\r\nhello\r\n",
            b"5\r\r\nhello",
            b"0\r\n\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\n: empty\r\n\r\n",
        ] {
            for step in [1, 3, bad.len()] {
                assert!(
                    decode(bad, step).is_err(),
                    "{:?}",
                    bad.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let long = [b"5;".to_vec(), vec![b'a'; 2000], b"\r\n".to_vec()].concat();
        assert!(decode(&long, 100).is_err());
        let many = [b"0\r\n".to_vec(), b"X: 12345\r\n".repeat(2000)].concat();
        assert!(decode(&many, 100).is_err());
    }
}
