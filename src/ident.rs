//! Names of users, devices, sessions, items, nodes and GPUs: newtypes that cannot be swapped.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LeaseId(pub u64);

/// The receipt of one waiting demand, unique while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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
    fn a_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", Token::new("4bdf0e0f")), "Token(..)");
    }
}
