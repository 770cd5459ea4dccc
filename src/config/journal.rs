//! The section `journal` of the file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Size, Span};

/// What is written down of every decision, to explain and replay it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// Its directory, or `none`. Left out: `journal` in the directory of `state`.
    pub(super) dir: Option<PathBuf>,
    /// All its files together.
    pub(super) max_size: Option<Size>,
    /// What is older is removed.
    pub(super) max_age: Option<Span>,
    /// Write keyed hashes instead of users, devices and sessions.
    pub(super) pseudonyms: Option<bool>,
}
