//! Whom the operator wants told, and of what.

use std::time::Duration;

use super::Build;
use crate::{
    config::word,
    notify::{On, Receiver, Refused, Settings},
};

/// Most receivers.
const RECEIVERS: usize = 16;
/// Longest time in which refusals are counted.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Build<'_> {
    pub(super) fn notify(&mut self, written: word::Notify) -> Settings {
        let usual = Settings::default();
        let receivers = self.receivers(written.urls.unwrap_or_default());
        let on: Vec<On> = match written.on {
            Some(names) => names.into_iter().map(On::from).collect(),
            None => usual.on,
        };
        if on.is_empty() && !receivers.is_empty() {
            self.warn("notify.on", "is empty: no word is ever sent");
        }
        let refused = written.refused.unwrap_or_default();
        let refused = Refused {
            more_than: refused.more_than.unwrap_or(usual.refused.more_than),
            within: refused.within.map_or(usual.refused.within, |s| s.0),
        };
        let minute = Duration::from_secs(60);
        if refused.within < minute || refused.within > LONGEST {
            self.wrong("notify.refused.within", "must be from 1m to 24h");
        }
        let after = written.after.map_or(usual.after, |s| s.0);
        if after > LONGEST {
            self.wrong("notify.after", "must be at most 24h");
        }
        let repeat = written.repeat.map_or(usual.repeat, |s| s.0);
        if repeat < minute {
            self.wrong("notify.repeat", "must be at least 1m, or never");
        }
        let name = written.name.unwrap_or(usual.name);
        if name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control)
        {
            self.wrong("notify.name", "must be a name of at most 64 characters");
        }
        Settings {
            receivers,
            on,
            refused,
            after,
            repeat,
            rate: written.rate.map_or(usual.rate, |rate| rate.0),
            name,
            pace: usual.pace,
        }
    }

    fn receivers(&mut self, written: Vec<word::NotifyUrl>) -> Vec<Receiver> {
        if written.len() > RECEIVERS {
            self.wrong(
                "notify.urls",
                format!("has more than {RECEIVERS} entries; an Apprise server can pass words on"),
            );
        }
        let mut receivers: Vec<Receiver> = Vec::new();
        for (nth, one) in written.into_iter().enumerate() {
            let entry = self.entry("notify.urls", nth);
            let key = format!("{entry}.url");
            if one.url.is_none() && one.url_file.is_none() {
                self.wrong(&entry, "needs a `url` or a `url_file`");
                continue;
            }
            let Some(secret) = self.secret(&key, one.url, one.url_file, "notify-url") else {
                continue;
            };
            match Receiver::parse(secret.expose()) {
                Ok(same) if receivers.contains(&same) => self.wrong(&key, "is there twice"),
                Ok(receiver) => receivers.push(receiver),
                Err(problem) => self.wrong(&key, problem),
            }
        }
        receivers
    }
}
