//! Ending running streams for others: whom, and whether there is time for it.

use super::{Build, words};
use crate::{
    admission::{Policy, Preemption},
    config::file,
};

impl Build<'_> {
    pub(super) fn preemption(&mut self, written: &file::Preemption) -> Preemption {
        let usual = Preemption::default();
        Preemption {
            grace: written.grace.map_or(usual.grace, |s| s.0),
            every: written.every.map_or(usual.every, |s| s.0),
        }
    }

    /// Only classes that go after it may be named, and who waits must be able to wait for it.
    pub(super) fn preempts(&mut self, policy: &Policy) {
        let names: Vec<String> = policy.classes.iter().map(|c| c.id.to_string()).collect();
        for (nth, class) in policy.classes.iter().enumerate() {
            if class.preempt.is_empty() {
                continue;
            }
            let entry = self.entry("classes", nth);
            for (which, named) in class.preempt.iter().enumerate() {
                let key = format!("{entry}.preempt[{which}]");
                match policy.classes.iter().find(|other| other.id == *named) {
                    Some(other) if other.priority < class.priority => {}
                    Some(other) => self.wrong(
                        &key,
                        format!(
                            "`{named}` has priority {} and `{}` has {}: a class preempts only such of a smaller one",
                            other.priority, class.id, class.priority
                        ),
                    ),
                    None => self.known(&key, "class", "classes", named.as_str(), &names),
                }
            }
            let takes = policy.preemption.grace + policy.timers.linger;
            let waits = class.max_wait.unwrap_or(policy.queue.max_wait);
            if takes + Preemption::SLACK > waits.min(policy.queue.max_wait) {
                self.warn(
                    &format!("{entry}.preempt"),
                    format!(
                        "does nothing: it takes {} (`preemption.grace` and `leases.linger`) until the seats are free, and who waits gives up after {}",
                        words(takes),
                        words(waits.min(policy.queue.max_wait))
                    ),
                );
            }
        }
    }

    /// Without an API key no player is stopped and no job ended, so that their seats would be handed out twice.
    pub(super) fn preempts_with_a_key(&mut self, policy: &mut Policy, keyed: bool) {
        for (nth, class) in policy.classes.iter_mut().enumerate() {
            if !keyed && !class.preempt.is_empty() {
                class.preempt.clear();
                let key = format!("{}.preempt", self.entry("classes", nth));
                self.warn(
                    &key,
                    "does nothing without an API key: no player is stopped and no job ended",
                );
            }
        }
    }
}
