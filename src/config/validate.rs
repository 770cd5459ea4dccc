//! File to [`Config`]: defaults filled in, names resolved, rules across keys checked. Finds all mistakes.

mod core;
mod direct;
mod disk;
mod journal;
mod overlap;
mod players;
mod preempt;
mod quota;
mod rules;
mod servers;
mod wire;
mod word;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Config, Environment, NEVER,
    file::File,
    place::{Mistake, Place, did_you_mean, listed},
    print::Effective,
    tree::{Node, Step, Value, steps},
};
use crate::{
    admission::{Mode, Policy},
    hop, proxy, telemetry,
};

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

/// From this part of a GPU's seats on plays are made cheaper, if the file says nothing.
const PRESSURE: f64 = 0.5;

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
    pub(super) fn known(
        &mut self,
        key: &str,
        what: &str,
        list: &str,
        name: &str,
        names: &[String],
    ) {
        if names.iter().any(|n| n == name) || !self.names_known(list) {
            return;
        }
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = if hint.is_empty() {
            format!("; there is {}", listed(&names))
        } else {
            hint
        };
        self.wrong(key, format!("{what} `{name}` does not exist{hint}"));
    }

    /// Takes the name of an entry; it must be there once only.
    pub(super) fn name(
        &mut self,
        entry: &str,
        name: Option<&str>,
        taken: &mut BTreeMap<String, String>,
    ) -> String {
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
                    self.wrong(
                        &key,
                        format!(
                            "`{name}` is there twice (first at {place}); give each its own name"
                        ),
                    );
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
        let cheaper = direct::cheaper(&file);
        let gpus = self.gpus(file.gpus.unwrap_or_default(), file.cost.as_ref());
        let (nodes, upstreams) = self.nodes(file.jellyfin, file.nodes, &gpus);
        let queue = self.queue(&file.queue.unwrap_or_default());
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
        let mut policy = Policy {
            mode,
            transcodes: limit(file.limits.unwrap_or_default().transcodes),
            user: rules.user,
            users: rules.users,
            classes: rules.classes,
            libraries: rules.libraries,
            windows: rules.windows,
            uplink: self.uplink(file.uplink.unwrap_or_default()),
            anonymous: file
                .anonymous
                .map_or(crate::admission::Access::Deny, Into::into),
            pressure: crate::admission::Fraction::new(file.pressure.map_or(PRESSURE, |p| p.0))
                .unwrap_or_default(),
            queue,
            end_dead_jobs: leases.end_dead_jobs.unwrap_or(false),
            end_parked_jobs: leases.end_parked.unwrap_or(false),
            preemption: self.preemption(&file.preemption.unwrap_or_default()),
            timers: self.timers(&leases),
            cost: self.cost(&file.cost.unwrap_or_default()),
            gpus,
            nodes,
        };
        self.across(&policy);
        self.preempts(&policy);
        let keyed = upstreams.iter().all(|node| node.api_key.is_some());
        self.preempts_with_a_key(&mut policy, keyed);
        let state_dir = self.state_dir(file.state, &policy);
        let server = file.server.unwrap_or_default();
        let drain = server.drain.clone().unwrap_or_default();
        let hop = self.hop(server);
        self.calls_itself(&hop.listen, &upstreams);
        let admin = self.admin(file.admin.unwrap_or_default());
        if let hop::Listen::Tcp(data) = &hop.listen
            && data.port() == admin.listen.port()
            && data.port() != 0
            && (data.ip() == admin.listen.ip()
                || data.ip().is_unspecified()
                || admin.listen.ip().is_unspecified())
        {
            self.wrong(
                "admin.listen",
                format!("is the address of `server.listen` ({data}); give it another port"),
            );
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
        let notify = self.notify(file.notify.unwrap_or_default());
        let control = self.poll(&file.poll.unwrap_or_default());
        let (shapes, patience) = self.clients(file.clients.unwrap_or_default());
        let journal = self.journal(file.journal.unwrap_or_default(), state_dir.as_deref());
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
            cheaper,
            viewer_page: file.viewer_page.unwrap_or(false),
            counts_bytes: quota::counts_bytes(&policy),
        };
        Config {
            hop,
            nodes: upstreams,
            policy: Arc::new(policy),
            proxy,
            control,
            telemetry,
            journal,
            notify,
            admin,
            state_dir,
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
