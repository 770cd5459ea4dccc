//! The section `notify` as it is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    names::OnName,
    secret::Secret,
    units::{Rate, Span, SpanOrNever},
};

/// Word sent to the operator when something is wrong.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    /// Where words go.
    pub(super) urls: Option<Vec<NotifyUrl>>,
    /// What is worth a word.
    pub(super) on: Option<Vec<OnName>>,
    /// When refusals are worth a word.
    pub(super) refused: Option<NotifyRefused>,
    /// A server is away, or a GPU is behind its viewers, for this long before a word is sent.
    pub(super) after: Option<Span>,
    /// A word is sent again while its cause lasts.
    pub(super) repeat: Option<SpanOrNever>,
    /// Most words, over time.
    pub(super) rate: Option<Rate>,
    /// Whom the words are from.
    pub(super) name: Option<String>,
}

/// Where words go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyUrl {
    /// `ntfys://host/topic`, `gotifys://host/token`, `discord://id/token`, `apprises://host/key`,
    /// `jsons://host/path`, `https://host/path`; without the `s`: not over TLS.
    pub(super) url: Option<Secret>,
    /// A file with the URL.
    pub(super) url_file: Option<PathBuf>,
}

/// When refusals are worth a word.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyRefused {
    /// More plays than this many are refused.
    pub(super) more_than: Option<u32>,
    /// Within this time.
    pub(super) within: Option<Span>,
}
