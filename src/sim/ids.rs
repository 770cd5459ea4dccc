//! Ids and tokens: 32 hex digits, derived from what they name or from a counter.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
};

/// The id of something that these words name.
pub(super) fn derived(words: &[&str]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        words.hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(1), half(2))
}

/// A GUID in the form ids have here: 32 lower-case digits. `None`: it is no GUID.
pub(super) fn guid(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    (bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| bare.to_ascii_lowercase())
}

/// The same with dashes, as addresses have it.
pub(super) fn dashed(id: &str) -> String {
    let mut out = String::with_capacity(36);
    for (at, c) in id.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(c);
    }
    out
}
