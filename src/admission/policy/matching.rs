//! Whom and what a rule is about: names, patterns, networks.

use std::str::Chars;

use super::{Class, LibraryRule, Who};
use crate::ident::{ClassId, UserId};

/// Whether `text` fits a pattern with `*` (any run) and `?` (any one), in any letter case. Never worse than
/// the product of both lengths.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let here = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = here;
                star = Some((pattern.clone(), text.clone()));
            }
            (Some(want), Some(got)) if want == '?' || same_letter(want, got) => {}
            (None | Some(_), _) => {
                let Some((after, swallowed)) = &mut star else {
                    return false;
                };
                if swallowed.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), swallowed.clone());
            }
        }
    }
}

fn same_letter(a: char, b: char) -> bool {
    a == b || a.eq_ignore_ascii_case(&b) || (!a.is_ascii() && a.to_lowercase().eq(b.to_lowercase()))
}

// === impl Who ===

impl Who {
    /// Whether `name` means this user: his name, a pattern of it, or his id.
    pub fn is_called(&self, name: &str) -> bool {
        self.name
            .as_deref()
            .is_some_and(|own| fits_pattern(name, own))
            || UserId::new(name) == self.user
    }
}

// === impl LibraryRule ===

impl LibraryRule {
    /// Whether it is about items of `library` that `class` plays.
    pub fn concerns(&self, library: Option<&str>, class: &ClassId) -> bool {
        library.is_some_and(|library| fits_pattern(&self.library, library))
            && (self.classes.is_empty() || self.classes.contains(class))
    }
}

// === impl Class ===

impl Class {
    /// Whether `who` belongs to it.
    pub fn matches(&self, who: &Who) -> bool {
        let user = self.users.is_empty() || self.users.iter().any(|name| who.is_called(name));
        let client = self.clients.is_empty()
            || self
                .clients
                .iter()
                .any(|name| fits_pattern(name, &who.client));
        let network = self.networks.is_empty()
            || who.address.is_some_and(|address| {
                let address = address.to_canonical();
                self.networks
                    .iter()
                    .any(|network| network.contains(&address))
            });
        user && client && network && self.admin.is_none_or(|admin| admin == who.admin)
    }

    /// Whether everybody belongs to it, so that it can stand last.
    pub fn is_everybody(&self) -> bool {
        self.users.is_empty()
            && self.clients.is_empty()
            && self.networks.is_empty()
            && self.admin.is_none()
    }
}
