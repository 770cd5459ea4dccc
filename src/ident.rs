//! Names of users, devices, sessions, items, nodes and GPUs: newtypes that cannot be swapped.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $normal:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name as it was written, in its normal form.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from($normal(text.as_ref()).as_ref()))
            }

            /// Returns the name in its normal form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <Cow<'de, str>>::deserialize(from).map(Self::new)
            }
        }
    )*};
}

names! {
    /// A Jellyfin user: 32 lower-case hex digits, or `anonymous`.
    UserId = guid;
    /// A device as the client names itself. Chosen by the client, so never a basis for trust.
    DeviceId = verbatim;
    /// A PlaySessionId. Jellyfin compares it without regard to letter case.
    PlaySessionId = lower;
    /// A library item or one of its media sources: 32 lower-case hex digits for library files.
    ItemId = guid;
    /// A GPU of the configuration, or `cpu` for software encoding.
    GpuId = verbatim;
    /// A Jellyfin server of the configuration.
    NodeId = verbatim;
    /// A class of the configuration.
    ClassId = verbatim;
}

impl UserId {
    /// The user that requests without a valid token are charged to.
    pub fn anonymous() -> Self {
        Self::new("anonymous")
    }
}

fn verbatim(text: &str) -> String {
    text.to_owned()
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Jellyfin writes a GUID with or without dashes, in either letter case.
fn guid(text: &str) -> String {
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    if bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        bare.to_ascii_lowercase()
    } else {
        text.to_ascii_lowercase()
    }
}

/// The number of a lease, unique while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

/// The receipt of one waiting demand, unique while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

/// The number of a decision: the same in logs, on the page, in `/state` and in the journal. `d-1k3j9x2m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(pub u64);

/// Digits and letters that can't be taken for one another.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl DecisionId {
    /// Reads what [`DecisionId`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("d-")?;
        if digits.is_empty() || digits.len() > 12 {
            return None;
        }
        let mut number = 0;
        for digit in digits.bytes() {
            let value = DIGITS
                .iter()
                .position(|d| *d == digit.to_ascii_lowercase())?;
            number = number << 5 | u64::try_from(value).ok()?;
        }
        Some(Self(number))
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("d-")?;
        let digits = (64 - self.0.leading_zeros()).div_ceil(5).max(1);
        for place in (0..digits).rev() {
            let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or(0);
            write!(
                f,
                "{}",
                char::from(DIGITS.get(digit).copied().unwrap_or(b'0'))
            )?;
        }
        Ok(())
    }
}

impl Serialize for DecisionId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// An access token or API key. Never printed: it leaves only through [`Token::expose`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// Takes a token.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }

    /// Returns the token itself, to be sent to Jellyfin and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_one_name_however_it_is_written() {
        let plain = ItemId::new("0b1c2d3e4f5061728394a5b6c7d8e9f0");
        assert_eq!(plain, ItemId::new("0B1C2D3E-4F50-6172-8394-A5B6C7D8E9F0"));
        assert_eq!(ItemId::new("Not-A-Guid").as_str(), "not-a-guid");
    }

    #[test]
    fn a_decision_is_found_by_the_number_that_was_printed() {
        for number in [0, 1, 31, 32, 1 << 20, 54_321_012_345] {
            let id = DecisionId(number);
            assert_eq!(DecisionId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(DecisionId(33).to_string(), "d-11");
        for text in ["", "d-", "d-i", "12", "d-1234567890123"] {
            assert_eq!(DecisionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", Token::new("4bdf0e0f")), "Token(..)");
    }
}
