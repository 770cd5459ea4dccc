//! What was used, in the form in which it is kept over a restart.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What was used on one date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Billionths of a seat-second.
    #[serde(default)]
    pub gpu_time: u64,
    /// Plays begun.
    #[serde(default)]
    pub plays: u64,
    /// Bytes of media.
    #[serde(default)]
    pub bytes: u64,
}

/// What every user has used, by date. Written as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    pub(super) users: BTreeMap<String, Pages>,
}

/// What one user has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pages {
    pub(super) name: Option<Arc<str>>,
    #[serde(serialize_with = "write_days", deserialize_with = "read_days")]
    pub(super) days: BTreeMap<Date, Amounts>,
}

/// The format that is written; another is refused.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    users: BTreeMap<String, Pages>,
}

impl Book {
    /// The same, with other words for users and their names.
    #[must_use]
    pub fn renamed(&self, user: impl Fn(&str) -> String, name: impl Fn(&str) -> String) -> Self {
        let pages = self.users.iter().map(|(id, pages)| {
            let name = pages.name.as_deref().map(|known| Arc::from(name(known)));
            let days = pages.days.clone();
            (user(id), Pages { name, days })
        });
        Self {
            users: pages.collect(),
        }
    }
}

impl Serialize for Book {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            version: VERSION,
            users: self.users.clone(),
        };
        written.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Book {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(from)?;
        if written.version == VERSION {
            Ok(Self {
                users: written.users,
            })
        } else {
            let version = written.version;
            Err(de::Error::custom(format_args!(
                "it is of version {version}, and this Finweir reads version {VERSION}"
            )))
        }
    }
}

fn write_days<S: Serializer>(days: &BTreeMap<Date, Amounts>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(days.iter().map(|(date, amounts)| (Dated(*date), amounts)))
}

fn read_days<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Date, Amounts>, D::Error> {
    let days = BTreeMap::<Dated, Amounts>::deserialize(from)?;
    Ok(days.into_iter().map(|(date, a)| (date.0, a)).collect())
}

/// A date as `2026-11-25`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Dated(Date);

impl Serialize for Dated {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Dated {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Dated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date such as 2026-11-25")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Dated, E> {
                text.parse().map(Dated).map_err(E::custom)
            }
        }
        from.deserialize_str(Visitor)
    }
}

/// A date in a field.
pub(super) mod dated {
    use super::{Date, Dated, Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        date: &Date,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        Dated(*date).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Date, D::Error> {
        Dated::deserialize(from).map(|date| date.0)
    }
}
