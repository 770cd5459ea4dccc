//! What players are told and how they are treated.

use std::{collections::BTreeMap, time::Duration};

use super::Build;
use crate::{
    admission::{Mode, Reason},
    config::{file, place::choice, texts, tree::steps},
    jellyfin::{Client, Shape},
    proxy,
};

impl Build<'_> {
    pub(super) fn clients(
        &mut self,
        written: Vec<file::Client>,
    ) -> (
        BTreeMap<&'static str, Shape>,
        BTreeMap<&'static str, Duration>,
    ) {
        let (mut shapes, mut patience) = (BTreeMap::new(), BTreeMap::new());
        let mut seen = BTreeMap::new();
        for (nth, client) in written.into_iter().enumerate() {
            let entry = self.entry("clients", nth);
            let Some(name) = client.client else {
                self.wrong(&entry, "needs a `client`");
                continue;
            };
            let name = Client::from(name).as_str();
            if let Some(first) = seen.insert(name, format!("{entry}.client")) {
                let place = self.tree.place_of(&steps(&first)).clone();
                self.wrong(
                    &format!("{entry}.client"),
                    format!("`{name}` is there twice (first at {place}); put both into one entry"),
                );
            }
            shapes.extend(client.shape.map(|shape| (name, shape.into())));
            patience.extend(client.patience.map(|span| (name, span.0)));
            if client
                .patience
                .is_some_and(|p| p.0 > Duration::from_secs(120))
            {
                self.warn(
                    &format!("{entry}.patience"),
                    "no known player waits for two minutes",
                );
            }
        }
        (shapes, patience)
    }

    pub(super) fn starts(&mut self, written: &file::Starts) -> Option<proxy::Starts> {
        if written.burst == Some(0) {
            self.wrong(
                "starts.burst",
                "must be at least 1; to allow no transcode at all, deny it by a class",
            );
        }
        let usual = std::num::NonZeroU32::new(6)?;
        let per_minute = written.per_user.map_or(Some(usual), |r| r.0)?;
        Some(proxy::Starts {
            per_minute,
            burst: written
                .burst
                .and_then(std::num::NonZeroU32::new)
                .unwrap_or(usual),
            mode: written.mode.map_or(Mode::Enforce, Mode::from),
        })
    }

    pub(super) fn texts(
        &mut self,
        written: BTreeMap<String, BTreeMap<String, String>>,
    ) -> proxy::Texts {
        let mut texts = texts::built_in();
        let shown: Vec<Reason> = texts::shown().collect();
        for (language, by_reason) in written {
            if !(2..=3).contains(&language.len())
                || !language.bytes().all(|b| b.is_ascii_alphabetic())
            {
                self.wrong(
                    &format!("texts.{language}"),
                    "must be a language such as `en` or `de`",
                );
            }
            for (word, text) in by_reason {
                let key = format!("texts.{language}.{word}");
                let notice = proxy::Notice::ALL.iter().find(|n| n.as_str() == word);
                if let Some(notice) = notice.filter(|_| text.chars().count() <= 500) {
                    texts.set_notice(&language, *notice, text);
                    continue;
                }
                match shown.iter().find(|r| r.as_str() == word) {
                    Some(reason) if text.chars().count() <= 500 => {
                        texts.set(&language, *reason, text);
                    }
                    Some(_) => self.wrong(&key, "must have at most 500 characters"),
                    None if notice.is_some() => {
                        self.wrong(&key, "must have at most 500 characters");
                    }
                    None => {
                        let notices = proxy::Notice::ALL.iter().map(|n| n.as_str());
                        let words: Vec<&str> =
                            shown.iter().map(|r| r.as_str()).chain(notices).collect();
                        self.wrong(
                            &key,
                            format!(
                                "is no reason for a refusal; a reason is {}",
                                choice(&word, &words)
                            ),
                        );
                    }
                }
            }
        }
        texts
    }
}
