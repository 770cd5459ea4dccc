//! File to [`Config`]: defaults filled in, names resolved, rules across keys checked. Finds all mistakes.

mod rules;
mod servers;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Config, Environment, NEVER,
    file::{self, File},
    place::{Mistake, Place, did_you_mean, listed},
    print::Effective,
    texts,
    tree::{Node, Step, Value, steps},
};
use crate::{
    admin,
    admission::{CostModel, Mode, Policy, QueueBounds, Reason, Timers},
    control, hop,
    ident::Token,
    proxy, telemetry,
};

/// A held answer longer than this outlasts the patience of most players (clients 11.2).
const PATIENT: Duration = Duration::from_secs(25);

/// What is known and found while a file is made into a [`Config`].
pub(super) struct Build<'a> {
    pub(super) tree: &'a Node,
    pub(super) environment: &'a Environment,
    /// Relative paths start here.
    pub(super) directory: PathBuf,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
    pub(super) sources: Vec<PathBuf>,
}

// === impl Build ===

impl Build<'_> {
    /// Notes a mistake, unless something there was found faulty before.
    pub(super) fn wrong(&mut self, key: &str, problem: impl Into<String>) {
        let path = steps(key);
        if !self.tree.is_tainted(&path) {
            let mistake = self.at(key, &path, problem.into());
            self.mistakes.push(mistake);
        }
    }

    /// Notes what is allowed but probably not meant.
    pub(super) fn warn(&mut self, key: &str, problem: impl Into<String>) {
        let path = steps(key);
        if !self.tree.is_tainted(&path) {
            let warning = self.at(key, &path, problem.into());
            self.warnings.push(warning);
        }
    }

    fn at(&self, key: &str, path: &[Step], problem: String) -> Mistake {
        Mistake {
            place: self.tree.place_of(path).clone(),
            key: key.to_owned(),
            problem,
        }
    }

    /// The key of the `nth` entry of a list that was read.
    pub(super) fn entry(&self, list: &str, nth: usize) -> String {
        format!("{list}[{}]", self.tree.index_of_living(&steps(list), nth))
    }

    /// Whether all names of a list could be read, so that a name that is not among them does not exist.
    pub(super) fn names_known(&self, list: &str) -> bool {
        let path = steps(list);
        match self.tree.at(&path) {
            None => true,
            Some(node) if node.dead => false,
            Some(node) => match &node.value {
                Value::List(items) => items.iter().all(|item| {
                    !item.dead && item.at(&steps("name")).is_some_and(|name| !name.dead)
                }),
                Value::Null
                | Value::Bool(_)
                | Value::Whole(_)
                | Value::Float(_)
                | Value::Text(_)
                | Value::Map(_) => true,
            },
        }
    }

    /// Checks a name that must exist in a list.
    pub(super) fn known(&mut self, key: &str, what: &str, list: &str, name: &str, names: &[String]) {
        if names.iter().any(|n| n == name) || !self.names_known(list) {
            return;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = if hint.is_empty() {
            format!("; there is {}", listed(&names))
        } else {
            hint
        };
        self.wrong(key, format!("{what} `{name}` does not exist{hint}"));
    }

    /// Takes the name of an entry; it must be there once only.
    pub(super) fn name(&mut self, entry: &str, name: Option<&str>, taken: &mut BTreeMap<String, String>) -> String {
        let key = format!("{entry}.name");
        match name.map(str::trim) {
            None => {
                self.wrong(entry, "needs a `name`");
                entry.to_owned()
            }
            Some("") => {
                self.wrong(&key, "must not be empty");
                entry.to_owned()
            }
            Some(name) => {
                if let Some(first) = taken.get(name).cloned() {
                    let place = self.tree.place_of(&steps(&first)).clone();
                    self.wrong(&key, format!("`{name}` is there twice (first at {place}); give each its own name"));
                } else {
                    taken.insert(name.to_owned(), key);
                }
                name.to_owned()
            }
        }
    }

    /// Makes the whole configuration.
    pub(super) fn config(&mut self, file: File, effective: Effective) -> Config {
        self.version(file.version);
        let mode = file.mode.map_or(Mode::Enforce, Mode::from);
        let gpus = self.gpus(file.gpus.unwrap_or_default(), file.cost.as_ref());
        let (nodes, upstreams) = self.nodes(file.jellyfin, file.nodes, &gpus);
        let queue = self.queue(file.queue.unwrap_or_default());
        let rules = self.rules(
            rules::Written {
                users: file.users.unwrap_or_default(),
                classes: file.classes.unwrap_or_default(),
                libraries: file.libraries.unwrap_or_default(),
                windows: file.windows.unwrap_or_default(),
            },
            &gpus,
            &queue,
        );
        let leases = file.leases.unwrap_or_default();
        let policy = Policy {
            mode,
            transcodes: limit(file.limits.unwrap_or_default().transcodes),
            user: rules.user,
            users: rules.users,
            classes: rules.classes,
            libraries: rules.libraries,
            windows: rules.windows,
            anonymous: file.anonymous.map_or(crate::admission::Access::Deny, Into::into),
            queue,
            end_dead_jobs: leases.end_dead_jobs.unwrap_or(false),
            timers: self.timers(&leases),
            cost: self.cost(&file.cost.unwrap_or_default()),
            gpus,
            nodes,
        };
        self.across(&policy);
        let server = file.server.unwrap_or_default();
        let drain = server.drain.clone().unwrap_or_default();
        let hop = self.hop(server);
        let admin = self.admin(file.admin.unwrap_or_default());
        if let hop::Listen::Tcp(data) = &hop.listen
            && data.port() == admin.listen.port()
            && data.port() != 0
            && (data.ip() == admin.listen.ip() || data.ip().is_unspecified() || admin.listen.ip().is_unspecified())
        {
            self.wrong("admin.listen", format!("is the address of `server.listen` ({data}); give it another port"));
        }
        let logging = file.logging.unwrap_or_default();
        let telemetry = telemetry::Settings {
            format: logging.format.map(Into::into).unwrap_or_default(),
            level: self.level(logging.level),
            user_label: file
                .metrics
                .unwrap_or_default()
                .user_label
                .map(Into::into)
                .unwrap_or_default(),
            gpus: policy.gpus.iter().map(|g| g.id.to_string()).collect(),
            nodes: policy.nodes.iter().map(|n| n.id.to_string()).collect(),
            classes: policy.classes.iter().map(|c| c.id.to_string()).collect(),
        };
        let control = self.poll(file.poll.unwrap_or_default());
        let (shapes, patience) = self.clients(file.clients.unwrap_or_default());
        let requests = file.requests.unwrap_or_default();
        let proxy = proxy::Settings {
            on_error: file.on_error.map(Into::into).unwrap_or_default(),
            max_request: self.size("requests.max_request", requests.max_request, 1 << 20),
            max_answer: self.size("requests.max_answer", requests.max_answer, 8 << 20),
            starts: self.starts(&file.starts.unwrap_or_default()),
            shapes,
            patience,
            texts: self.texts(file.texts.unwrap_or_default()),
            messages: file.messages.unwrap_or(true),
        };
        Config {
            hop,
            nodes: upstreams,
            policy: Arc::new(policy),
            proxy,
            control,
            telemetry,
            admin,
            drain_delay: drain.delay.map_or(Duration::from_secs(5), |s| s.0),
            drain_limit: drain.limit.map_or(Duration::from_secs(60), |s| s.0),
            effective,
        }
    }

    fn version(&mut self, version: Option<u64>) {
        match version {
            None | Some(1) => {}
            Some(0) => self.wrong("version", "there is no version 0; write 1"),
            Some(newer) => self.wrong(
                "version",
                format!("is {newer}, but this Finweir reads version 1; use a newer Finweir, or write the file for version 1"),
            ),
        }
    }

    fn queue(&mut self, written: file::Queue) -> QueueBounds {
        let usual = QueueBounds::default();
        let queue = QueueBounds {
            length: written.length.unwrap_or(usual.length),
            per_user: written.per_user.unwrap_or(usual.per_user),
            max_wait: written.max_wait.map_or(usual.max_wait, |s| s.0),
        };
        if queue.length > 10_000 {
            self.wrong("queue.length", "must be at most 10000");
        }
        if queue.per_user > queue.length {
            self.warn("queue.per_user", "is more than `queue.length`, which counts first");
        }
        if queue.max_wait >= PATIENT {
            self.warn(
                "queue.max_wait",
                "most players give up after 25s, and HAProxy's `timeout server` must be longer by 5s at least",
            );
        }
        queue
    }

    fn timers(&mut self, written: &file::Leases) -> Timers {
        let usual = Timers::default();
        let span = |s: Option<super::units::Span>, usual: Duration| s.map_or(usual, |s| s.0);
        let timers = Timers {
            reserve: span(written.reserve, usual.reserve),
            intent: span(written.intent, usual.intent),
            idle: span(written.idle, usual.idle),
            park_after: written.park_after.map_or(usual.park_after, |s| s.0),
            parked: span(written.parked, usual.parked),
            linger: span(written.linger, usual.linger),
            dead_after: span(written.dead_after, usual.dead_after),
            grace: span(written.grace, usual.grace),
            recovery: span(written.recovery, usual.recovery),
            replace_idle: span(written.replace_idle, usual.replace_idle),
        };
        for (key, value) in [
            ("leases.reserve", timers.reserve),
            ("leases.intent", timers.intent),
            ("leases.idle", timers.idle),
            ("leases.dead_after", timers.dead_after),
        ] {
            if value < Duration::from_secs(1) {
                self.wrong(key, "must be at least 1s, or every play would lose its seats at once");
            }
        }
        if timers.intent < timers.reserve {
            self.warn("leases.intent", "is shorter than `leases.reserve`, so a playlist request prolongs nothing");
        }
        if timers.idle < Duration::from_secs(60) {
            self.warn(
                "leases.idle",
                "Jellyfin lets FFmpeg run for 60s after the last request: seats given back before that are still in use",
            );
        }
        timers
    }

    fn cost(&mut self, written: &file::Cost) -> CostModel {
        let usual = CostModel::default();
        let mut factor = |key: &str, written: Option<f64>, usual: f64, least: f64| {
            let value = written.unwrap_or(usual);
            if !(least..=20.0).contains(&value) {
                self.wrong(key, format!("must be a factor from {least} to 20"));
            }
            value
        };
        CostModel {
            tone_map: factor("cost.tone_map", written.tone_map, usual.tone_map, 0.0),
            uhd_surcharge: factor("cost.uhd_surcharge", written.uhd_surcharge, usual.uhd_surcharge, 1.0),
            ten_bit: factor("cost.ten_bit", written.ten_bit, usual.ten_bit, 1.0),
            dolby_vision: factor("cost.dolby_vision", written.dolby_vision, usual.dolby_vision, 1.0),
            burn_in: factor("cost.burn_in", written.burn_in, usual.burn_in, 1.0),
        }
    }

    fn hop(&mut self, written: file::Server) -> hop::Settings {
        let trusted: Vec<_> = match written.trusted_proxies {
            Some(networks) => networks.into_iter().map(|n| n.0).collect(),
            None => ["127.0.0.0/8", "::1/128"].iter().filter_map(|n| n.parse().ok()).collect(),
        };
        if trusted.iter().any(|n: &ipnet::IpNet| n.prefix_len() == 0) {
            self.warn("server.trusted_proxies", "trusts everybody: any client can claim any address");
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
            self.warn("server.timeouts.first_byte", "Jellyfin may need a minute for a first segment");
        }
        let via = written.via.filter(|v| v != "none");
        if via.as_ref().is_some_and(|v| {
            v.is_empty() || !v.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }) {
            self.wrong("server.via", "must be a name of letters, digits, `-`, `.` and `_`, or `none`");
        }
        let count = |n: Option<u32>, usual: u32| usize::try_from(n.unwrap_or(usual)).unwrap_or(usize::MAX);
        let max_connections = count(written.max_connections, 10_000);
        if max_connections == 0 {
            self.wrong("server.max_connections", "must be at least 1");
        }
        hop::Settings {
            listen: written
                .listen
                .map_or_else(|| hop::Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 8097))), |l| l.0),
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

    fn admin(&mut self, written: file::Admin) -> admin::Settings {
        let listen = written
            .listen
            .map_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 9097)), |l| l.0);
        let token = self.secret("admin.token", written.token, written.token_file, "admin-token");
        if token.is_none() && !listen.ip().is_loopback() {
            self.wrong(
                if self.tree.at(&steps("admin.listen")).is_some() { "admin.listen" } else { "admin" },
                "is open to the network, so it needs `admin.token` or `admin.token_file`",
            );
        }
        if token.as_ref().is_some_and(|t: &Token| t.expose().len() < 16) {
            self.wrong("admin.token", "is shorter than 16 characters; take the output of `openssl rand -hex 24`");
        }
        admin::Settings { listen, token }
    }

    fn level(&mut self, written: Option<String>) -> String {
        const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
        let level = written.unwrap_or_else(|| "info".to_owned());
        for part in level.split(',').map(str::trim) {
            let word = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if !LEVELS.contains(&word) {
                let hint = did_you_mean(word, LEVELS);
                self.wrong("logging.level", format!("must be {}, or directives such as `info,finweir::hop=debug`{hint}", listed(&LEVELS)));
                break;
            }
        }
        level
    }

    fn poll(&mut self, written: file::Poll) -> control::Settings {
        let settings = control::Settings {
            poll: written.active.map_or(Duration::from_secs(5), |s| s.0),
            idle_poll: written.idle.map_or(Duration::from_secs(30), |s| s.0),
        };
        for (key, value) in [("poll.active", settings.poll), ("poll.idle", settings.idle_poll)] {
            if value < Duration::from_millis(500) {
                self.wrong(key, "must be at least 500ms, so as not to load Jellyfin");
            }
        }
        if settings.poll > Duration::from_secs(30) {
            self.warn("poll.active", "seats of jobs that end unseen come back only after this long");
        }
        settings
    }

    #[expect(clippy::type_complexity, reason = "the two tables of `proxy::Settings`")]
    fn clients(
        &mut self,
        written: Vec<file::Client>,
    ) -> (BTreeMap<&'static str, crate::jellyfin::Shape>, BTreeMap<&'static str, Duration>) {
        let (mut shapes, mut patience) = (BTreeMap::new(), BTreeMap::new());
        let mut seen = BTreeMap::new();
        for (nth, client) in written.into_iter().enumerate() {
            let entry = self.entry("clients", nth);
            let Some(name) = client.client else {
                self.wrong(&entry, "needs a `client`");
                continue;
            };
            let name = proxy::client_key(name.into());
            if let Some(first) = seen.insert(name, format!("{entry}.client")) {
                let place = self.tree.place_of(&steps(&first)).clone();
                self.wrong(&format!("{entry}.client"), format!("`{name}` is there twice (first at {place}); put both into one entry"));
            }
            shapes.extend(client.shape.map(|shape| (name, shape.into())));
            patience.extend(client.patience.map(|span| (name, span.0)));
            if client.patience.is_some_and(|p| p.0 > Duration::from_secs(120)) {
                self.warn(&format!("{entry}.patience"), "no known player waits for two minutes");
            }
        }
        (shapes, patience)
    }

    fn size(&mut self, key: &str, written: Option<super::units::Size>, usual: usize) -> usize {
        let size = written.map_or(usual, |s| s.0);
        if !((16 << 10)..=(64 << 20)).contains(&size) {
            self.wrong(key, "must be from 16KiB to 64MiB");
        }
        size
    }

    fn starts(&mut self, written: &file::Starts) -> Option<proxy::Starts> {
        if written.burst == Some(0) {
            self.wrong("starts.burst", "must be at least 1; to allow no transcode at all, deny it by a class");
        }
        let usual = std::num::NonZeroU32::new(6)?;
        let per_minute = written.per_user.map_or(Some(usual), |r| r.0)?;
        Some(proxy::Starts {
            per_minute,
            burst: written.burst.and_then(std::num::NonZeroU32::new).unwrap_or(usual),
            mode: written.mode.map_or(Mode::Enforce, Mode::from),
        })
    }

    fn texts(&mut self, written: BTreeMap<String, BTreeMap<String, String>>) -> proxy::Texts {
        let mut texts = texts::built_in();
        let shown: Vec<Reason> = texts::shown().collect();
        for (language, by_reason) in written {
            if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic()) {
                self.wrong(&format!("texts.{language}"), "must be a language such as `en` or `de`");
            }
            for (word, text) in by_reason {
                let key = format!("texts.{language}.{word}");
                match shown.iter().find(|r| r.as_str() == word) {
                    Some(reason) if text.chars().count() <= 500 => texts.set(&language, *reason, text),
                    Some(_) => self.wrong(&key, "must have at most 500 characters"),
                    None => {
                        let words: Vec<&str> = shown.iter().map(|r| r.as_str()).collect();
                        let hint = did_you_mean(&word, words.iter().copied());
                        self.wrong(&key, format!("is no reason for a refusal{hint}; reasons: {}", words.join(", ")));
                    }
                }
            }
        }
        texts
    }
}

/// A limit of the file: left out means none.
pub(super) fn limit(written: Option<super::units::Limit>) -> Option<u32> {
    written.and_then(|limit| limit.0)
}

/// A duration in words.
pub(super) fn words(duration: Duration) -> String {
    if duration >= NEVER {
        return "never".to_owned();
    }
    let total = duration.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    let mut text = String::new();
    for (count, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s")] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() {
        text = format!("{}ms", duration.as_millis());
    }
    text
}

/// Whether somebody wrote a value of this node.
pub(super) fn written(place: &Place) -> bool {
    *place != Place::Nowhere
}
