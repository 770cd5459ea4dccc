//! Who is at the other end: trusted peers, `X-Forwarded-For`, the PROXY protocol.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult as _, v1, v2};

use super::{Peer, fields};

/// Longest PROXY header that is read: what a version 2 sender puts in it beside addresses is bounded.
const LONGEST: usize = 4096;

/// Longest PROXY header of version 1, by its specification.
const LONGEST_V1: usize = 107;

/// What the start of a connection says about a PROXY header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proxied {
    /// More bytes are needed to tell.
    Partial,
    /// There is none.
    Absent,
    /// It is this long, and names this peer (`None`: the connection is the proxy's own).
    Header(usize, Option<SocketAddr>),
    /// It can't be read.
    Bad,
}

/// Whether `address` is one of `nets`. An IPv4 address inside IPv6 counts as IPv4.
pub(super) fn trusts(nets: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    nets.iter().any(|n| n.contains(&address))
}

/// The peer of a connection. Who reaches a Unix socket is trusted: its file mode says who may.
pub(super) fn of_socket(nets: &[IpNet], socket: Option<SocketAddr>) -> Peer {
    Peer {
        address: socket.map(|s| s.ip().to_canonical()),
        trusted: socket.is_none_or(|s| trusts(nets, s.ip())),
    }
}

/// The viewer's address by an `X-Forwarded-For` of a trusted peer: the right-most entry that is not trusted itself.
pub(super) fn viewer<'a>(
    nets: &[IpNet],
    peer: Option<IpAddr>,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Option<IpAddr> {
    let mut best = peer;
    for line in lines.rev() {
        let entries: Vec<_> = fields::list(line).collect();
        for entry in entries.into_iter().rev() {
            // What is left of an entry that can't be read was written by nobody known.
            let Some(address) = address(entry) else {
                return best;
            };
            best = Some(address);
            if !trusts(nets, address) {
                return best;
            }
        }
    }
    best
}

/// Reads a PROXY header, version 1 or 2, at the start of `data`.
pub(super) fn proxied(data: &[u8]) -> Proxied {
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const V1: &[u8] = b"PROXY ";
    let could_be = |sign: &[u8]| sign.starts_with(data) || data.starts_with(sign);
    if !could_be(V1) && !could_be(V2) {
        return Proxied::Absent;
    }
    if data.len() < V1.len() || (could_be(V2) && data.len() < V2.len()) {
        return Proxied::Partial;
    }
    let result = HeaderResult::parse(data);
    if result.is_incomplete() {
        // Version 1 is one line; what is still incomplete at its end stays so.
        let over = if data.starts_with(V1) {
            data.len() >= LONGEST_V1 || data.contains(&b'\n')
        } else {
            data.len() >= LONGEST
        };
        return if over { Proxied::Bad } else { Proxied::Partial };
    }
    match result {
        HeaderResult::V1(Ok(header)) => {
            let source = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
                v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
            };
            Proxied::Header(header.header.len(), source)
        }
        HeaderResult::V2(Ok(header)) => {
            let source = match (header.command, header.addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(a)) => {
                    Some((a.source_address, a.source_port).into())
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(a)) => {
                    Some((a.source_address, a.source_port).into())
                }
                (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_))
                | (v2::Command::Local, _) => None,
            };
            Proxied::Header(header.len(), source)
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Proxied::Bad,
    }
}

/// An entry of `X-Forwarded-For`: an address, perhaps with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches('"');
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    plain
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|s| s.ip()))
        .map(|a| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]
    }

    #[test]
    fn the_viewer_is_the_last_address_that_no_trusted_proxy_has() {
        let peer = Some("10.0.0.1".parse().unwrap());
        for (lines, expected) in [
            (vec![], "10.0.0.1"),
            (vec!["203.0.113.9"], "203.0.113.9"),
            (vec!["6.6.6.6, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
            (vec!["6.6.6.6, 203.0.113.9", "10.2.2.2"], "203.0.113.9"),
            (vec!["10.9.9.9, 10.2.2.2"], "10.9.9.9"),
            (vec!["6.6.6.6, unknown, 10.2.2.2"], "10.2.2.2"),
            (vec!["203.0.113.9:4711"], "203.0.113.9"),
            (vec!["[2001:db8::1]:80"], "2001:db8::1"),
            (vec!["2001:db8::1"], "2001:db8::1"),
            (vec!["::ffff:203.0.113.9"], "203.0.113.9"),
            (vec![" , ,"], "10.0.0.1"),
        ] {
            let found = viewer(&nets(), peer, lines.iter().map(|l| l.as_bytes()));
            assert_eq!(found, Some(expected.parse().unwrap()), "{lines:?}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_address_that_it_maps() {
        assert!(trusts(&nets(), "::ffff:10.1.1.1".parse().unwrap()));
        assert!(!trusts(&nets(), "::ffff:11.1.1.1".parse().unwrap()));
    }

    #[test]
    fn a_proxy_header_is_told_from_a_request_by_its_first_bytes() {
        let v1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(
            proxied(v1),
            Proxied::Header(41, Some("203.0.113.9:5000".parse().unwrap()))
        );
        assert_eq!(proxied(b"PROXY UNKNOWN\r\nGET"), Proxied::Header(15, None));
        assert_eq!(proxied(b"PRO"), Proxied::Partial);
        assert_eq!(proxied(b"POST / "), Proxied::Absent);
        assert_eq!(proxied(b"PROXY TCP4 203"), Proxied::Partial);
        for bad in [
            &b"PROXY TCP4 x y z\r\n"[..],
            b"PROXY TCP4 nobody\r\n",
            &[b"PROXY ", [b'1'; 200].as_slice()].concat(),
        ] {
            assert_eq!(proxied(bad), Proxied::Bad);
        }
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        v2.extend_from_slice(&[203, 0, 113, 9, 10, 0, 0, 1, 0x13, 0x88, 0, 80]);
        assert_eq!(
            proxied(&v2),
            Proxied::Header(28, Some("203.0.113.9:5000".parse().unwrap()))
        );
        assert_eq!(proxied(v2.get(..20).unwrap()), Proxied::Partial);
        assert_eq!(
            proxied(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"),
            Proxied::Header(16, None)
        );
    }
}
