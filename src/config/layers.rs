//! Puts the layers together: files, `conf.d`, the environment, the command line; later ones win.
//!
//! `serde-saphyr` reads each file, with line and column, and each layer is checked by itself, so that a mistake is
//! found even where a later layer hides it. The `config` crate merges: sections key by key, lists as a whole. Every
//! value carries the number of its place through the merge as the origin that `config` keeps for it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::config::{Map, Source, Value as Merged, ValueKind};

use super::{
    file::File,
    place::{Mistake, Place},
    read::read,
    tree::{Entry, Node, Step, Value, steps},
};

/// Longest file that is read.
const LONGEST: u64 = 1 << 20;
const PREFIX: &str = "FINWEIR";
/// Lists can't be reached into from the environment: `config` would replace the whole list by a section.
const LISTS: &[&str] = &[
    "gpus",
    "nodes",
    "classes",
    "libraries",
    "windows",
    "clients",
    "notify.on",
    "notify.urls",
    "users.rules",
    "server.trusted_proxies",
];

/// The environment of the process, or what a test puts in its place.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A value from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The option: `--listen`.
    pub option: &'static str,
    /// The key it sets: `server.listen`.
    pub key: &'static str,
    /// The value, as it was given.
    pub value: String,
}

/// The layers, lowest first, and what was wrong with them.
#[derive(Default)]
pub(super) struct Layers {
    roots: Vec<Node>,
    variables: BTreeMap<String, String>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) sources: Vec<PathBuf>,
}

// === impl Environment ===

impl Environment {
    /// The variables of this process; those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of one variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

// === impl Layers ===

impl Layers {
    /// Adds a file and the `conf.d/*.yaml` beside it.
    pub(super) fn add_files(&mut self, path: &Path) {
        self.add_file(path);
        let beside = path.parent().unwrap_or(Path::new("")).join("conf.d");
        self.sources.push(beside.clone());
        let mut more: Vec<PathBuf> = fs::read_dir(&beside)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .collect();
        more.sort();
        for path in more {
            self.add_file(&path);
        }
    }

    fn add_file(&mut self, path: &Path) {
        self.sources.push(path.to_owned());
        let name = path.display().to_string();
        let long = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > LONGEST);
        let text = if long {
            Err("is longer than 1 MiB".to_owned())
        } else {
            fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
        };
        match text {
            Ok(text) => self.add_text(&name, &text),
            Err(problem) => self.mistakes.push(Mistake {
                place: Place::Nowhere,
                key: String::new(),
                problem: format!("{name} {problem}"),
            }),
        }
    }

    /// Adds a text as if it were a file of this name.
    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        match Node::parse(&Arc::from(name), text) {
            Ok(mut root) => {
                self.mistakes.extend(read::<File>(&mut root).1);
                self.roots.push(root);
            }
            Err(mistake) => self.mistakes.push(mistake),
        }
    }

    /// Adds the variables `FINWEIR__SECTION__KEY`.
    pub(super) fn add_environment(&mut self, environment: &Environment) {
        let prefix = format!("{PREFIX}__");
        for (name, value) in &environment.0 {
            let Some(rest) = name
                .to_ascii_uppercase()
                .strip_prefix(&prefix)
                .map(str::to_owned)
            else {
                continue;
            };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let mistakes = if let Some(list) = LISTS
                .iter()
                .find(|list| key.strip_prefix(**list).is_some_and(|r| r.starts_with('.')))
            {
                vec![Mistake {
                    place: Place::Variable(name.clone()),
                    key: key.clone(),
                    problem: format!(
                        "entries of the list `{list}` can't be set from the environment; write a file in conf.d"
                    ),
                }]
            } else {
                let one = BTreeMap::from([(name.clone(), value.clone())]);
                merge(&[], &one).map_or_else(
                    |mistake| vec![mistake],
                    |mut root| read::<File>(&mut root).1,
                )
            };
            if mistakes.is_empty() {
                self.variables.insert(name.clone(), value.clone());
            }
            self.mistakes.extend(mistakes);
        }
    }

    /// Adds options of the command line.
    pub(super) fn add_flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            let place = Place::Flag(flag.option.to_owned());
            let mut node = Node {
                place: place.clone(),
                value: Value::Text(flag.value.clone()),
                dead: false,
            };
            for part in flag.key.rsplit('.') {
                node = Node {
                    place: place.clone(),
                    value: Value::Map(vec![Entry {
                        key: part.to_owned(),
                        key_place: place.clone(),
                        node,
                    }]),
                    dead: false,
                };
            }
            let faults = read::<File>(&mut node).1;
            self.mistakes.extend(faults);
            self.roots.push(node);
        }
    }

    /// All layers as one tree. Flags go over variables, variables over files.
    pub(super) fn merged(&self) -> Result<Node, Mistake> {
        let is_flag = |n: &&Node| matches!(n.place, Place::Flag(_));
        let files: Vec<&Node> = self.roots.iter().filter(|n| !is_flag(n)).collect();
        let flags: Vec<&Node> = self.roots.iter().filter(is_flag).collect();
        let below = merge(&files, &self.variables)?;
        let over: Vec<&Node> = std::iter::once(&below).chain(flags).collect();
        let mut merged = merge(&over, &BTreeMap::new())?;
        locate(&mut merged, &mut Vec::new(), &self.roots);
        Ok(merged)
    }
}

/// Sections lose their place in the merge: theirs is where the last layer that has them wrote their key.
fn locate(node: &mut Node, path: &mut Vec<Step>, roots: &[Node]) {
    if node.place == Place::Nowhere && !path.is_empty() {
        node.place = roots
            .iter()
            .rev()
            .find_map(|root| {
                root.key_place_of(path)
                    .or_else(|| root.at(path).map(|n| &n.place))
            })
            .cloned()
            .unwrap_or_default();
    }
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                path.push(Step::Key(entry.key.clone()));
                locate(&mut entry.node, path, roots);
                path.pop();
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                locate(item, path, roots);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Whole(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// Lays trees over each other, then variables.
pub(super) fn merge(
    roots: &[&Node],
    variables: &BTreeMap<String, String>,
) -> Result<Node, Mistake> {
    let mut places = vec![Place::Nowhere];
    let mut builder = ::config::Config::builder();
    for root in roots {
        builder = builder.add_source(Layer::of(root, &mut places));
    }
    if !variables.is_empty() {
        let variables = variables.clone().into_iter().collect();
        builder = builder.add_source(
            ::config::Environment::with_prefix(PREFIX)
                .prefix_separator("__")
                .separator("__")
                .source(Some(variables)),
        );
    }
    let collected = builder.build().and_then(|merged| merged.collect());
    let collected = collected.map_err(|error| Mistake {
        place: Place::Nowhere,
        key: String::new(),
        problem: format!("the layers can't be put together: {error}"),
    })?;
    Ok(Node {
        value: Value::Map(entries(collected, &places, "")),
        ..Node::default()
    })
}

/// A tree in the form that `config` merges.
#[derive(Clone)]
struct Layer(Map<String, Merged>);

impl Layer {
    fn of(root: &Node, places: &mut Vec<Place>) -> Self {
        match to_merged(root, places).kind {
            ValueKind::Table(table) => Self(table),
            ValueKind::Nil
            | ValueKind::Boolean(_)
            | ValueKind::I64(_)
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)
            | ValueKind::String(_)
            | ValueKind::Array(_) => Self(Map::new()),
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layer({} keys)", self.0.len())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Merged>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn to_merged(node: &Node, places: &mut Vec<Place>) -> Merged {
    let origin = places.len().to_string();
    places.push(node.place.clone());
    let kind = match &node.value {
        Value::Null => ValueKind::Nil,
        Value::Bool(value) => ValueKind::Boolean(*value),
        Value::Whole(value) => ValueKind::I64(*value),
        Value::Float(value) => ValueKind::Float(*value),
        Value::Text(value) => ValueKind::String(value.clone()),
        // Dead entries stay, so that numbers of entries stay those of the file; the reader finds them again.
        Value::List(items) => {
            ValueKind::Array(items.iter().map(|item| to_merged(item, places)).collect())
        }
        Value::Map(entries) => ValueKind::Table(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), to_merged(&entry.node, places)))
                .collect(),
        ),
    };
    Merged::new(Some(&origin), kind)
}

fn entries(table: Map<String, Merged>, places: &[Place], path: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let node = from_merged(value, places, &path);
            Entry {
                key_place: node.place.clone(),
                key,
                node,
            }
        })
        .collect();
    // `config` keeps no order.
    found.sort_by(|a, b| (&a.key_place, &a.key).cmp(&(&b.key_place, &b.key)));
    found
}

fn from_merged(value: Merged, places: &[Place], path: &str) -> Node {
    let number = value
        .origin()
        .and_then(|origin| origin.parse::<usize>().ok());
    let place = match (number, value.origin()) {
        (Some(number), _) => places.get(number).cloned().unwrap_or_default(),
        (None, Some(_)) => Place::Variable(variable(path)),
        (None, None) => Place::Nowhere,
    };
    let value = match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(value) => Value::Bool(value),
        ValueKind::I64(value) => Value::Whole(value),
        ValueKind::U64(value) => {
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Whole)
        }
        ValueKind::I128(value) => Value::Text(value.to_string()),
        ValueKind::U128(value) => Value::Text(value.to_string()),
        ValueKind::Float(value) => Value::Float(value),
        ValueKind::String(value) => Value::Text(value),
        ValueKind::Array(items) => Value::List(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| from_merged(item, places, &format!("{path}[{index}]")))
                .collect(),
        ),
        ValueKind::Table(table) => Value::Map(entries(table, places, path)),
    };
    Node {
        place,
        value,
        dead: false,
    }
}

/// The variable that sets a key.
fn variable(path: &str) -> String {
    let parts: Vec<String> = steps(path)
        .into_iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.to_ascii_uppercase()),
            Step::Index(_) => None,
        })
        .collect();
    format!("{PREFIX}__{}", parts.join("__"))
}
