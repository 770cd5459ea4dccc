//! Reads a [`Node`] into a type and finds every mistake, not only the first.
//!
//! serde stops at the first error. So a value that can't be read is reported, marked dead and passed over, and the
//! reading starts again, until it succeeds. Every key of the file types is optional, so it always does.

use std::fmt;

use serde::{
    Deserializer, de,
    de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    place::{Mistake, Place, choice, did_you_mean, listed},
    tree::{Node, Step, Value, key},
};

/// More mistakes than anybody reads at once.
const MOST: usize = 100;

/// Reads `root`, marks what is wrong in it, and says what that is.
pub(super) fn read<T: DeserializeOwned + Default>(root: &mut Node) -> (T, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    while mistakes.len() < MOST {
        match T::deserialize(Reader(root)) {
            Ok(value) => return (value, mistakes),
            Err(mut fault) => {
                fault.path.reverse();
                let place = if fault.of_key {
                    root.key_place_of(&fault.path)
                } else {
                    None
                };
                mistakes.push(Mistake {
                    place: place.unwrap_or(root.place_of(&fault.path)).clone(),
                    key: key(&fault.path),
                    problem: fault.problem,
                });
                if !root.kill(&fault.path) || fault.path.is_empty() {
                    break;
                }
            }
        }
    }
    (T::default(), mistakes)
}

/// What is wrong with one value. The path grows, last step first, on its way out.
#[derive(Debug)]
struct Fault {
    path: Vec<Step>,
    problem: String,
    of_key: bool,
}

struct Reader<'a>(&'a Node);

// === impl Fault ===

impl Fault {
    fn new(problem: String) -> Self {
        Self {
            path: Vec::new(),
            problem,
            of_key: false,
        }
    }

    fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    fn unknown_key(word: &str, known: &[&str]) -> Self {
        let hint = did_you_mean(word, known.iter().copied());
        let hint = if hint.is_empty() {
            format!("; known here: {}", known.join(", "))
        } else {
            hint
        };
        Self {
            of_key: true,
            ..Self::new(format!("unknown key{hint}"))
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new(problem.to_string())
    }

    // Only the kind of what is there: the value itself may be a secret.
    fn invalid_type(there: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        let wanted = wanted.to_string();
        let wanted = match wanted.as_str() {
            "a sequence" => "a list",
            "a map" => "a section with keys",
            "a string" | "path string" => "a text",
            "u32" | "u64" => "a whole number from 0",
            "f64" => "a number",
            other => other,
        };
        Self::new(format!("must be {wanted}, not {}", kind(&there)))
    }

    fn invalid_value(_: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::new(format!("must be {wanted}"))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("must be {}", choice(word, known)))
    }

    fn unknown_field(word: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_key(word, known)
    }
}

fn kind(there: &de::Unexpected<'_>) -> &'static str {
    match there {
        de::Unexpected::Bool(_) => "true or false",
        de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) => {
            "a number (put it in quotes if it is a text)"
        }
        de::Unexpected::Char(_) | de::Unexpected::Str(_) => "a text",
        de::Unexpected::Seq => "a list",
        de::Unexpected::Map => "a section with keys",
        de::Unexpected::Unit | de::Unexpected::Option => "empty",
        de::Unexpected::Bytes(_)
        | de::Unexpected::NewtypeStruct
        | de::Unexpected::Enum
        | de::Unexpected::UnitVariant
        | de::Unexpected::NewtypeVariant
        | de::Unexpected::TupleVariant
        | de::Unexpected::StructVariant
        | de::Unexpected::Other(_) => "this",
    }
}

// === impl Reader ===

impl<'de> Reader<'_> {
    /// From the environment everything comes as text.
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Value::Text(text) = &self.0.value {
            if let Ok(whole) = text.parse::<i64>() {
                return signed(whole, visitor);
            }
            if let Ok(float) = text.parse() {
                return visitor.visit_f64(float);
            }
        }
        self.deserialize_any(visitor)
    }
}

fn signed<'de, V: Visitor<'de>>(whole: i64, visitor: V) -> Result<V::Value, Fault> {
    match u64::try_from(whole) {
        Ok(whole) => visitor.visit_u64(whole),
        Err(_) => visitor.visit_i64(whole),
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Whole(value) => signed(*value, visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
            }),
            Value::Map(_) => visitor.visit_map(Keys::of(self.0)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_none(),
            Value::Bool(_)
            | Value::Whole(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => visitor.visit_some(self),
        }
    }

    // From the environment a list comes as one text with commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (&self.0.value, &self.0.place) {
            (Value::Text(text), Place::Variable(_)) => {
                let items: Vec<Node> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Node {
                        place: self.0.place.clone(),
                        value: Value::Text(item.to_owned()),
                        dead: false,
                    })
                    .collect();
                visitor.visit_seq(Items {
                    items: items.iter().enumerate(),
                })
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "on" | "yes" | "true" => visitor.visit_bool(true),
                "off" | "no" | "false" => visitor.visit_bool(false),
                _ => Err(Fault::new("must be `on` or `off`".to_owned())),
            },
            Value::Null | Value::Whole(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
                Err(Fault::new("must be `on` or `off`".to_owned()))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            // `leases:` with nothing under it says nothing.
            Value::Null => visitor.visit_map(Keys {
                left: [].iter(),
                next: None,
            }),
            Value::Map(entries) => {
                if let Some(unknown) = entries
                    .iter()
                    .find(|e| !e.node.dead && !fields.contains(&e.key.as_str()))
                {
                    return Err(Fault::unknown_key(&unknown.key, fields)
                        .under(Step::Key(unknown.key.clone())));
                }
                visitor.visit_map(Keys::of(self.0))
            }
            Value::Bool(_)
            | Value::Whole(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => Err(Fault::new(format!(
                "must be a section with the keys {}",
                fields.join(", ")
            ))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Null
            | Value::Bool(_)
            | Value::Whole(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => Err(Fault::new(format!("must be {}", listed(variants)))),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char str string bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.find(|(_, n)| !n.dead) else {
            return Ok(None);
        };
        seed.deserialize(Reader(item))
            .map(Some)
            .map_err(|fault| fault.under(Step::Index(index)))
    }
}

struct Keys<'a> {
    left: std::slice::Iter<'a, super::tree::Entry>,
    next: Option<&'a super::tree::Entry>,
}

impl<'a> Keys<'a> {
    fn of(node: &'a Node) -> Self {
        let left = match &node.value {
            Value::Map(entries) => entries.iter(),
            Value::Null
            | Value::Bool(_)
            | Value::Whole(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => [].iter(),
        };
        Self { left, next: None }
    }
}

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.left.find(|e| !e.node.dead) else {
            return Ok(None);
        };
        self.next = Some(entry);
        seed.deserialize(entry.key.as_str().into_deserializer())
            .map(Some)
            .map_err(|fault: Fault| fault.under(Step::Key(entry.key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.next.take() else {
            return Err(Fault::new("has no value".to_owned()));
        };
        seed.deserialize(Reader(&entry.node))
            .map_err(|fault| fault.under(Step::Key(entry.key.clone())))
    }
}
