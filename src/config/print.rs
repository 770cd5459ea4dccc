//! Shows a configuration: as one YAML with secrets masked, as the difference to another, and in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Config, DEFAULT_YAML,
    layers::merge,
    place::{Mistake, Place},
    tree::{Entry, Node, Value},
    validate::words,
};
use crate::{
    admission::{Access, Fraction, Mode, UserLimits, WhenFull},
    hop::Listen,
    ident::Token,
    proxy::{DirectPlay, Subtitles},
};

/// Keys whose value is never shown.
const SECRET: [&str; 2] = ["api_key", "token"];

/// A section of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its key.
    pub name: &'static str,
    /// A reload takes it over: it is part of the policy, or of how requests are judged.
    pub reloads: bool,
}

macro_rules! sections {
    ($($name:literal $reloads:literal,)*) => {
        /// Every section of the file, in the order of `config/default.yaml`.
        pub const SECTIONS: &[Section] = &[$(Section { name: $name, reloads: $reloads },)*];
    };
}

sections! {
    "version" true,
    "mode" true,
    "on_error" true,
    "jellyfin" false,
    "nodes" false,
    "gpus" true,
    "limits" true,
    "users" true,
    "starts" true,
    "classes" true,
    "libraries" true,
    "windows" true,
    "uplink" true,
    "direct_play" true,
    "pressure" true,
    "subtitles" true,
    "versions" true,
    "anonymous" true,
    "queue" true,
    "leases" true,
    "preemption" true,
    "cost" true,
    "clients" true,
    "texts" true,
    "messages" true,
    "viewer_page" true,
    "notify" true,
    "poll" false,
    "journal" false,
    "requests" true,
    "state" false,
    "logging" false,
    "metrics" false,
    "server" false,
    "admin" false,
}

/// The configuration as it was put together, defaults included.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// The YAML.
    yaml: String,
    /// Each key that has a value, with it. Secrets are masked.
    flat: BTreeMap<String, String>,
    /// Secrets, to see that one has changed.
    secrets: BTreeMap<String, Option<Token>>,
}

// === impl Effective ===

impl Effective {
    /// Lays what was written over the defaults.
    pub(super) fn of(tree: &Node) -> Result<Self, Mistake> {
        let defaults = Node::parse(&Arc::from("default"), DEFAULT_YAML)?;
        let mut merged = merge(&[&defaults, tree], &BTreeMap::new())?;
        let written = |name: &str| matches!(&tree.value, Value::Map(entries) if entries.iter().any(|e| e.key == name));
        if let Value::Map(entries) = &mut merged.value {
            // One stands for the other.
            entries.retain(|e| e.key != "jellyfin" || !written("nodes"));
        }
        sort(&mut merged, &defaults);
        let mut effective = Self::default();
        effective.print(&merged, 0, "");
        Ok(effective)
    }

    pub(super) fn note_secrets(&mut self, secrets: BTreeMap<String, Option<Token>>) {
        self.secrets = secrets;
    }

    /// The YAML, with where each value was written; secrets masked.
    pub fn as_yaml(&self) -> &str {
        &self.yaml
    }

    /// What differs in `new`, one line for each key.
    pub(super) fn changes(&self, new: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.flat.keys().chain(new.flat.keys()).collect();
        let mut lines: Vec<String> = keys
            .into_iter()
            .filter_map(|key| match (self.flat.get(key), new.flat.get(key)) {
                (old, now) if old == now => None,
                (Some(old), Some(now)) => Some(format!("{key}: {old} -> {now}")),
                (Some(old), None) => Some(format!("{key}: {old} -> (gone)")),
                (None, Some(now)) => Some(format!("{key}: (new) {now}")),
                (None, None) => None,
            })
            .collect();
        for (name, secret) in &new.secrets {
            if self.secrets.get(name).is_some_and(|old| old != secret) {
                lines.push(format!("{name}: (changed)"));
            }
        }
        lines
    }

    pub(super) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let in_section = |key: &str, name: &str| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let of = |flat: &BTreeMap<String, String>, name: &str| -> Vec<(String, String)> {
            flat.iter()
                .filter(|(key, _)| in_section(key, name))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let secret_changed = |name: &str| {
            new.secrets.iter().any(|(key, secret)| {
                let admin = key.starts_with("admin.");
                let word = key.starts_with("notify.");
                let here = match name {
                    "admin" => admin,
                    "jellyfin" => !admin && key.starts_with("jellyfin "),
                    "nodes" => !admin && !word && !key.starts_with("jellyfin "),
                    _ => false,
                };
                here && self.secrets.get(key).is_some_and(|old| old != secret)
            })
        };
        SECTIONS
            .iter()
            .filter(|s| !s.reloads)
            .filter(|s| of(&self.flat, s.name) != of(&new.flat, s.name) || secret_changed(s.name))
            .map(|s| s.name)
            .collect()
    }

    fn print(&mut self, node: &Node, depth: usize, path: &str) {
        let indent = "  ".repeat(depth);
        match &node.value {
            Value::Map(entries) => {
                for Entry { key, node, .. } in entries {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    self.yaml.push_str(&format!("{indent}{}:", quoted(key)));
                    self.print_value(key, node, depth, &path);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.yaml.push_str(&format!("{indent}-"));
                    let start = self.yaml.len();
                    self.print_value("", item, depth, &path);
                    // The first key of a section stands behind the dash.
                    let entry = self.yaml.split_off(start);
                    self.yaml.push(' ');
                    self.yaml.push_str(entry.trim_start());
                }
            }
            Value::Null | Value::Bool(_) | Value::Whole(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }

    fn print_value(&mut self, key: &str, node: &Node, depth: usize, path: &str) {
        let empty = match &node.value {
            Value::Map(entries) => entries.is_empty().then_some("{}"),
            Value::List(items) => items.is_empty().then_some("[]"),
            Value::Null | Value::Bool(_) | Value::Whole(_) | Value::Float(_) | Value::Text(_) => {
                None
            }
        };
        let nested = matches!(node.value, Value::Map(_) | Value::List(_)) && empty.is_none();
        if nested {
            self.yaml.push('\n');
            self.print(node, depth + 1, path);
            return;
        }
        let text = match empty {
            Some(empty) => empty.to_owned(),
            None if is_secret(key, path) && !matches!(node.value, Value::Null) => {
                "(set)".to_owned()
            }
            None => scalar(&node.value),
        };
        let origin = match &node.place {
            Place::File { file, .. } if &**file == "default" => String::new(),
            Place::Nowhere => String::new(),
            place @ (Place::File { .. } | Place::Variable(_) | Place::Flag(_)) => {
                format!("  # {place}")
            }
        };
        self.yaml.push_str(&format!(" {text}{origin}\n"));
        if !matches!(node.value, Value::Null) {
            self.flat.insert(path.to_owned(), text);
        }
    }
}

/// Whether the value of a key is never shown. A URL that words go to holds a token.
fn is_secret(key: &str, path: &str) -> bool {
    SECRET.contains(&key) || key == "url" && path.starts_with("notify.")
}

/// Puts keys in the order of the defaults.
fn sort(node: &mut Node, defaults: &Node) {
    if let (Value::Map(entries), Value::Map(known)) = (&mut node.value, &defaults.value) {
        entries.sort_by_key(|e| known.iter().position(|k| k.key == e.key));
        for entry in entries {
            if let Some(same) = known.iter().find(|k| k.key == entry.key) {
                sort(&mut entry.node, &same.node);
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Whole(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => quoted(text),
    }
}

/// A text as YAML reads it back as the same text.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./%".contains(c))
        && !["true", "false", "null", "on", "off", "yes", "no", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    let unit = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_alphabetic() || c == '%')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "./%".contains(c))
        && text.parse::<f64>().is_err();
    if plain || unit {
        text.to_owned()
    } else {
        serde_json::to_string(text).unwrap_or_default()
    }
}

/// What the configuration means, in words.
pub(super) fn summary(config: &Config) -> String {
    let policy = &config.policy;
    let mut lines = Vec::new();
    lines.push(match policy.mode {
        Mode::Observe => "Observes: decides and records, but refuses nothing.".to_owned(),
        Mode::Enforce => "Enforces its limits.".to_owned(),
    });
    lines.push(match &config.hop.listen {
        Listen::Tcp(address) => format!(
            "Viewers connect to {address}, operators to {}.",
            config.admin.listen
        ),
        Listen::Unix(path) => format!(
            "Viewers connect to unix:{}, operators to {}.",
            path.display(),
            config.admin.listen
        ),
    });
    for (node, upstream) in policy.nodes.iter().zip(&config.nodes) {
        let key = if upstream.api_key.is_some() {
            "with an API key"
        } else {
            "without an API key"
        };
        lines.push(format!(
            "Jellyfin `{}` at {} encodes on `{}`; it is called {key}.",
            node.id, upstream.url, node.gpu
        ));
    }
    for gpu in &policy.gpus {
        let learned = if gpu.learn {
            ", then as many as it is seen to bear"
        } else {
            ""
        };
        let sessions = gpu
            .max_sessions
            .map_or_else(String::new, |n| format!(", at most {n} transcodes"));
        lines.push(format!(
            "GPU `{}` has {} seats to hand out{learned}{sessions}: about {:.0} of 1080p, or {} of 4K HDR to 1080p.",
            gpu.id,
            gpu.capacity,
            gpu.capacity.as_f64().floor(),
            (gpu.capacity.as_f64() / uhd_hdr(gpu.tone_map)).floor(),
        ));
    }
    if let Some(all) = policy.transcodes {
        lines.push(format!("The whole server runs at most {all} transcodes."));
    }
    lines.push(format!("Each user may run {}.", limits(&policy.user)));
    for rule in &policy.users {
        lines.push(format!(
            "User `{}` may run {}.",
            rule.user,
            limits(&rule.limits)
        ));
    }
    for class in &policy.classes {
        let mut parts = Vec::new();
        if class.transcode == Access::Deny {
            parts.push("may not transcode".to_owned());
        } else {
            parts.extend(
                class
                    .transcodes
                    .map(|n| format!("runs at most {n} transcodes together")),
            );
            parts.extend(
                class
                    .seats
                    .map(|s| format!("holds at most {s} seats together")),
            );
            if class.uhd == Access::Deny {
                parts.push("may not transcode 4K".to_owned());
            }
        }
        let percent = |part: Fraction| format!("{:.0} %", part.get() * 100.0);
        parts.extend(
            class
                .share
                .map(|share| format!("goes first until it holds {} of a GPU", percent(share))),
        );
        if class.reserve.get() > 0.0 {
            parts.push(format!(
                "has {} of each GPU kept free",
                percent(class.reserve)
            ));
        }
        parts.extend(
            class
                .user
                .as_ref()
                .map(|user| format!("each of it may run {}", limits(user))),
        );
        if parts.is_empty() {
            parts.push("has no limit of its own".to_owned());
        }
        lines.push(format!("Class `{}` {}.", class.id, parts.join(", ")));
    }
    for rule in &policy.libraries {
        lines.push(format!("Library `{}` has a rule of its own.", rule.library));
    }
    for window in &policy.windows {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        lines.push(format!(
            "From {} to {} window `{}` holds.",
            time(window.from),
            time(window.to),
            window.name
        ));
    }
    let uplink = &config.policy.uplink;
    if let Some(limit) = uplink.limit {
        lines.push(format!(
            "The line out of the house carries {limit}{}.",
            match uplink.mode {
                Mode::Enforce => "; a play for which it has no room waits, gets a smaller picture, or is refused",
                Mode::Observe => "; nobody waits or is refused for it",
            }
        ));
    }
    lines.push(
        match config.proxy.cheaper.direct_play {
            DirectPlay::Off => "Nobody is made to play a file as it is instead of a transcode.",
            DirectPlay::Pressure => {
                "Who can, plays the file as it is when its transcode would have to wait or be refused."
            }
            DirectPlay::Always => "Who can, plays the file as it is instead of a transcode.",
        }
        .to_owned(),
    );
    match config.proxy.cheaper.subtitles {
        Subtitles::AsIs => {}
        Subtitles::Pressure => lines.push(
            "Text subtitles go beside the picture when drawing them in would have to wait or be refused."
                .to_owned(),
        ),
        Subtitles::External => {
            lines.push("Text subtitles go beside the picture where the player can show them.".to_owned());
        }
    }
    if let Some(floor) = config.proxy.cheaper.version_floor {
        lines.push(format!(
            "Of several versions of a film the one that costs least is played, down to {floor} lines."
        ));
    }
    if config.proxy.viewer_page {
        lines.push("Viewers see their own place at /finweir/.".to_owned());
    }
    if !config.notify.receivers.is_empty() {
        let receivers: Vec<String> = config
            .notify
            .receivers
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.push(format!(
            "Word goes to {} when something is wrong.",
            receivers.join(", ")
        ));
    }
    lines.push(format!(
        "Up to {} may wait, for at most {}.",
        policy.queue.length,
        words(policy.queue.max_wait)
    ));
    lines.join("\n") + "\n"
}

/// Seats of 4K24 HDR10 HEVC to 1080p, for a GPU that tone-maps at this price.
fn uhd_hdr(tone_map: f64) -> f64 {
    (0.5 * 3.2 * 1.25 + 0.5 * 0.8 + tone_map * 3.2) * 1.15
}

fn limits(user: &UserLimits) -> String {
    let transcodes = user.transcodes.map_or_else(
        || "any number of transcodes".to_owned(),
        |n| match n {
            0 => "no transcode".to_owned(),
            1 => "1 transcode".to_owned(),
            n => format!("{n} transcodes"),
        },
    );
    let seats = user
        .seats
        .map_or_else(String::new, |s| format!(" of {s} seats together"));
    let streams = user
        .streams
        .map_or_else(String::new, |n| format!(", {n} streams in all"));
    let full = match user.when_full {
        WhenFull::WaitThenStepDown => "",
        WhenFull::StepDownThenWait => ", gets a smaller picture rather than wait",
        WhenFull::Wait => ", waits rather than get a smaller picture",
        WhenFull::StepDown => ", gets a smaller picture and never waits",
    };
    let floor = user.floor.map_or_else(String::new, |lines| {
        format!(", never smaller than {lines} pixels high")
    });
    let watched = match user.mode {
        Mode::Observe => " (only watched)",
        Mode::Enforce => "",
    };
    let quotas = super::quota::words(&user.quotas);
    format!("{transcodes}{seats}{streams}{quotas}{full}{floor}{watched}")
}
