//! Listeners, time-outs, logs and polling.

use std::{net::IpAddr, time::Duration};

use super::Build;
use crate::{
    admin,
    config::{file, place::choice, tree::steps, units::Size},
    control, hop,
    ident::Token,
    upstream,
};

impl Build<'_> {
    /// A server whose address is where viewers connect is Finweir itself.
    pub(super) fn calls_itself(&mut self, listen: &hop::Listen, upstreams: &[upstream::Settings]) {
        let hop::Listen::Tcp(own) = listen else {
            return;
        };
        for (nth, upstream) in upstreams.iter().enumerate() {
            let Ok(url) = upstream.url.parse::<http::Uri>() else {
                continue;
            };
            let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
            let ip = host.parse::<IpAddr>().ok();
            let local = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
            let is_own = ip == Some(own.ip())
                || local && (own.ip().is_loopback() || own.ip().is_unspecified());
            let port = match url.scheme_str() {
                Some("https") => 443,
                Some(_) | None => 80,
            };
            if is_own && url.port_u16().unwrap_or(port) == own.port() {
                let key = if self.has("nodes") {
                    format!("{}.url", self.entry("nodes", nth))
                } else {
                    "jellyfin.url".to_owned()
                };
                self.wrong(
                    &key,
                    format!("is the address of `server.listen` ({own}): Finweir would call itself; name Jellyfin's own address"),
                );
            }
        }
    }

    pub(super) fn hop(&mut self, written: file::Server) -> hop::Settings {
        let trusted: Vec<_> = match written.trusted_proxies {
            Some(networks) => networks.into_iter().map(|n| n.0).collect(),
            None => ["127.0.0.0/8", "::1/128"]
                .iter()
                .filter_map(|n| n.parse().ok())
                .collect(),
        };
        if trusted.iter().any(|n: &ipnet::IpNet| n.prefix_len() == 0) {
            self.warn(
                "server.trusted_proxies",
                "trusts everybody: any client can claim any address",
            );
        }
        let timeouts = written.timeouts.unwrap_or_default();
        let usual = hop::Timeouts::default();
        let timeouts = hop::Timeouts {
            head: timeouts.head.map_or(usual.head, |s| s.0),
            keep_alive: timeouts.keep_alive.map_or(usual.keep_alive, |s| s.0),
            connect: timeouts.connect.map_or(usual.connect, |s| s.0),
            first_byte: timeouts.first_byte.map_or(usual.first_byte, |s| s.0),
            idle: timeouts.idle.map_or(usual.idle, |s| s.0),
            tunnel: timeouts.tunnel.map_or(usual.tunnel, |s| s.0),
        };
        for (key, value) in [
            ("server.timeouts.head", timeouts.head),
            ("server.timeouts.connect", timeouts.connect),
            ("server.timeouts.first_byte", timeouts.first_byte),
            ("server.timeouts.idle", timeouts.idle),
            ("server.timeouts.tunnel", timeouts.tunnel),
        ] {
            if value < Duration::from_millis(100) {
                self.wrong(key, "must be at least 100ms");
            }
        }
        if timeouts.first_byte < Duration::from_secs(60) {
            self.warn(
                "server.timeouts.first_byte",
                "Jellyfin may need a minute for a first segment",
            );
        }
        let via = written.via.filter(|v| v != "none");
        if via.as_ref().is_some_and(|v| {
            v.is_empty()
                || !v
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }) {
            self.wrong(
                "server.via",
                "must be a name of letters, digits, `-`, `.` and `_`, or `none`",
            );
        }
        let count =
            |n: Option<u32>, usual: u32| usize::try_from(n.unwrap_or(usual)).unwrap_or(usize::MAX);
        let max_connections = count(written.max_connections, 10_000);
        if max_connections == 0 {
            self.wrong("server.max_connections", "must be at least 1");
        }
        hop::Settings {
            listen: written.listen.map_or_else(
                || hop::Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 8097))),
                |l| l.0,
            ),
            trusted,
            proxy_protocol: written.proxy_protocol.unwrap_or(false),
            via,
            timeouts,
            pool: count(written.pool, 64),
            workers: written.workers.and_then(|w| w.0).map_or_else(
                || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                usize::from,
            ),
            max_connections,
        }
    }

    pub(super) fn admin(&mut self, written: file::Admin) -> admin::Settings {
        let listen = written.listen.map_or_else(
            || std::net::SocketAddr::from(([127, 0, 0, 1], 9097)),
            |l| l.0,
        );
        let token = self.secret(
            "admin.token",
            written.token,
            written.token_file,
            "admin-token",
        );
        if token.is_none() && !listen.ip().is_loopback() {
            self.wrong(
                if self.tree.at(&steps("admin.listen")).is_some() {
                    "admin.listen"
                } else {
                    "admin"
                },
                "is open to the network, so it needs `admin.token` or `admin.token_file`",
            );
        }
        if token
            .as_ref()
            .is_some_and(|t: &Token| t.expose().len() < 16)
        {
            self.wrong(
                "admin.token",
                "is shorter than 16 characters; take the output of `openssl rand -hex 24`",
            );
        }
        admin::Settings { listen, token }
    }

    pub(super) fn level(&mut self, written: Option<String>) -> String {
        const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
        let level = written.unwrap_or_else(|| "info".to_owned());
        for part in level.split(',').map(str::trim) {
            let word = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if !LEVELS.contains(&word) {
                self.wrong(
                    "logging.level",
                    format!(
                        "must be a directive such as `info,finweir::hop=debug`, or {}",
                        choice(word, &LEVELS)
                    ),
                );
                break;
            }
        }
        level
    }

    pub(super) fn poll(&mut self, written: &file::Poll) -> control::Settings {
        let settings = control::Settings {
            poll: written.active.map_or(Duration::from_secs(5), |s| s.0),
            idle_poll: written.idle.map_or(Duration::from_secs(30), |s| s.0),
            disk_poll: Duration::from_secs(60),
        };
        for (key, value) in [
            ("poll.active", settings.poll),
            ("poll.idle", settings.idle_poll),
        ] {
            if value < Duration::from_millis(500) {
                self.wrong(key, "must be at least 500ms, so as not to load Jellyfin");
            }
        }
        if settings.poll > Duration::from_secs(30) {
            self.warn(
                "poll.active",
                "seats of jobs that end unseen come back only after this long",
            );
        }
        settings
    }

    pub(super) fn size(&mut self, key: &str, written: Option<Size>, usual: usize) -> usize {
        let size = written.map_or(usual, |s| s.0);
        if !((16 << 10)..=(64 << 20)).contains(&size) {
            self.wrong(key, "must be from 16KiB to 64MiB");
        }
        size
    }
}
