//! A configuration as a tree in which every value knows where it was written.
//!
//! Built from YAML by `serde-saphyr` (which gives line and column, and refuses duplicate keys), or from what the
//! `config` crate has merged. A value found faulty is marked dead instead of being taken out, so that the numbers in
//! the key `gpus[2].name` stay those of the file.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use super::place::{Mistake, Place};

/// A value and where it was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// A mistake was found in it: it is passed over from then on.
    pub(super) dead: bool,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    #[default]
    Null,
    Bool(bool),
    Whole(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

/// One step from a node to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

// === impl Node ===

impl Node {
    /// An empty map that nobody wrote.
    pub(super) fn empty() -> Self {
        Self {
            value: Value::Map(Vec::new()),
            ..Self::default()
        }
    }

    /// Reads YAML. An empty file is an empty map.
    pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Self, Mistake> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options) {
            Ok(None) => Ok(Self::empty()),
            Ok(Some(raw)) => Ok(Self::of(file, raw)),
            Err(error) => {
                let place = error
                    .location()
                    .map_or(Place::Nowhere, |at| place(file, &at));
                let place = match place {
                    Place::Nowhere => Place::File {
                        file: file.clone(),
                        line: 1,
                        column: 1,
                    },
                    Place::File { .. } | Place::Variable(_) | Place::Flag(_) => place,
                };
                Err(Mistake {
                    place,
                    key: String::new(),
                    problem: syntax(&error, text),
                })
            }
        }
    }

    fn of(file: &Arc<str>, raw: Spanned<Raw>) -> Self {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(b) => Value::Bool(b),
            Raw::Whole(n) => Value::Whole(n),
            Raw::Float(n) => Value::Float(n),
            Raw::Text(t) => Value::Text(t),
            Raw::List(items) => Value::List(items.into_iter().map(|i| Self::of(file, i)).collect()),
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_place: place(file, &key.referenced),
                        key: key.value,
                        node: Self::of(file, value),
                    })
                    .collect(),
            ),
        };
        Self {
            place: place(file, &raw.referenced),
            value,
            dead: false,
        }
    }

    /// The part of this node that `path` leads to.
    pub(super) fn at(&self, path: &[Step]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| node.child(step))
    }

    /// Where the part that `path` leads to was written, or the nearest thing around it.
    pub(super) fn place_of(&self, path: &[Step]) -> &Place {
        let mut node = self;
        let mut place = &self.place;
        for step in path {
            let Some(child) = node.child(step) else { break };
            node = child;
            if node.place != Place::Nowhere {
                place = &node.place;
            }
        }
        place
    }

    /// Where the key at the end of `path` was written.
    pub(super) fn key_place_of(&self, path: &[Step]) -> Option<&Place> {
        let (last, before) = path.split_last()?;
        match (&self.at(before)?.value, last) {
            (Value::Map(entries), Step::Key(key)) => entries
                .iter()
                .find(|e| e.key == *key)
                .map(|e| &e.key_place)
                .filter(|p| **p != Place::Nowhere),
            _ => None,
        }
    }

    /// Whether something on `path`, or under it, was found faulty before.
    pub(super) fn is_tainted(&self, path: &[Step]) -> bool {
        let mut node = self;
        for step in path {
            let Some(child) = node.child(step) else {
                return false;
            };
            node = child;
            if node.dead {
                return true;
            }
        }
        node.has_dead()
    }

    fn has_dead(&self) -> bool {
        self.dead
            || match &self.value {
                Value::List(items) => items.iter().any(Self::has_dead),
                Value::Map(entries) => entries.iter().any(|e| e.node.has_dead()),
                Value::Null
                | Value::Bool(_)
                | Value::Whole(_)
                | Value::Float(_)
                | Value::Text(_) => false,
            }
    }

    /// Marks the part that `path` leads to. `false`: there is no such part, or it was marked before.
    pub(super) fn kill(&mut self, path: &[Step]) -> bool {
        let mut node = self;
        for step in path {
            let child = match (&mut node.value, step) {
                (Value::List(items), Step::Index(index)) => items.get_mut(*index),
                (Value::Map(entries), Step::Key(key)) => entries
                    .iter_mut()
                    .find(|e| e.key == *key)
                    .map(|e| &mut e.node),
                _ => None,
            };
            let Some(child) = child else { return false };
            node = child;
        }
        !std::mem::replace(&mut node.dead, true)
    }

    /// The number in the file of the `nth` living entry of a list.
    pub(super) fn index_of_living(&self, list: &[Step], nth: usize) -> usize {
        match self.at(list).map(|n| &n.value) {
            Some(Value::List(items)) => items
                .iter()
                .enumerate()
                .filter(|(_, n)| !n.dead)
                .nth(nth)
                .map_or(nth, |(index, _)| index),
            _ => nth,
        }
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::List(items), Step::Index(index)) => items.get(*index),
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter().find(|e| e.key == *key).map(|e| &e.node)
            }
            _ => None,
        }
    }
}

/// Splits `gpus[0].name` into steps.
pub(super) fn steps(key: &str) -> Vec<Step> {
    let mut found = Vec::new();
    for part in key.split('.').filter(|p| !p.is_empty()) {
        let mut pieces = part.split('[');
        found.extend(
            pieces
                .next()
                .filter(|n| !n.is_empty())
                .map(|n| Step::Key(n.to_owned())),
        );
        found.extend(
            pieces
                .filter_map(|n| n.trim_end_matches(']').parse().ok())
                .map(Step::Index),
        );
    }
    found
}

/// Writes steps as `gpus[0].name`.
pub(super) fn key(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn place(file: &Arc<str>, at: &Location) -> Place {
    Place::File {
        file: file.clone(),
        line: u32::try_from(at.line()).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(at.column()).unwrap_or(u32::MAX).max(1),
    }
}

/// The parser's own words, without its copy of the file.
fn syntax(error: &serde_saphyr::Error, text: &str) -> String {
    let plain = error.without_snippet().to_string();
    let line = error
        .location()
        .and_then(|at| usize::try_from(at.line()).ok())
        .and_then(|line| text.lines().nth(line.saturating_sub(1)));
    if line.is_some_and(|l| l.trim_start_matches(' ').starts_with('\t')) {
        return "a tab indents this line; YAML allows spaces only".to_owned();
    }
    let first = plain.lines().next().unwrap_or_default();
    let bare = first.split(" at line ").next().unwrap_or(first);
    let bare = bare.trim_end_matches(':').trim();
    if let Some(rest) = bare.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(',').next().unwrap_or(rest);
        return format!("the key `{key}` is there twice in one section; keep one of them");
    }
    format!("this is not YAML: {bare}")
}

// === impl Raw ===

/// A value as the parser gives it.
enum Raw {
    Null,
    Bool(bool),
    Whole(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
                Raw::deserialize(from)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Whole(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Whole))
            }
            fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
                Ok(Raw::Text(value.to_string()))
            }
            fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
                Ok(Raw::Text(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
                Ok(Raw::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Raw, E> {
                Ok(Raw::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = from.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = from.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }
        from.deserialize_any(Any)
    }
}
