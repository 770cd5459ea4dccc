//! What a journal says about plays before they are replayed: what became of each ticket, and how long plays last.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde_json::Value;

use crate::{
    admission::{Ended, Input, Subject},
    ident::{LeaseId, Ticket},
    journal::Part,
};

/// Plays of a class without which its own median says little.
const ENOUGH: usize = 5;
/// What is assumed of a house without a single play.
const UNKNOWN: Duration = Duration::from_secs(45 * 60);
/// Shorter ones were looked into, not watched.
const LEAST: Duration = Duration::from_secs(60);

/// How long video transcodes last, by class.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    all: Vec<Duration>,
    classes: BTreeMap<String, Vec<Duration>>,
}

impl Usual {
    pub(super) fn note(&mut self, subject: &Subject, ended: Ended, lasted: Duration) {
        let watched = match ended {
            Ended::Stopped | Ended::Idle | Ended::Gone => lasted >= LEAST,
            Ended::Abandoned
            | Ended::Replaced
            | Ended::Undelivered
            | Ended::DeadPlayer
            | Ended::Parked
            | Ended::Preempted
            | Ended::Revoked => false,
        };
        if watched && subject.gpu.is_some() {
            self.all.push(lasted);
            let class = self.classes.entry(subject.class.to_string()).or_default();
            class.push(lasted);
        }
    }

    /// The median of the class, or of all.
    pub(super) fn lasts(&self, class: &str) -> Duration {
        let median = |of: &Vec<Duration>| {
            let mut sorted = of.clone();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied()
        };
        self.classes
            .get(class)
            .filter(|of| of.len() >= ENOUGH)
            .and_then(median)
            .or_else(|| median(&self.all))
            .unwrap_or(UNKNOWN)
    }
}

/// What was decided about a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It began under this lease, in this form.
    Began(LeaseId, Form),
    /// It waited.
    Waited(Ticket),
    /// It was refused.
    Refused,
}

/// The form in which it plays: a rung by the number of its author, or the whole.
pub(super) type Form = Option<u64>;

/// What became of a ticket: the lease that it began under, in which form, and when. `None`: it came to nothing.
pub(super) type Tickets = HashMap<Ticket, Option<(LeaseId, Form, u64)>>;

/// The answers to the demands of a part, in their order, and what became of the tickets.
pub(super) fn traces(part: &Part) -> (Vec<Answer>, Tickets) {
    let mut answers = Vec::new();
    let mut tickets = Tickets::new();
    for step in &part.steps {
        let asks = matches!(step.told, Input::Decide(_));
        let text = step.did.as_deref().unwrap_or_default();
        if !asks && !text.contains("\"ticket\"") {
            continue;
        }
        // What was written by a newer program may hold events that this one doesn't know.
        let events: Vec<serde_json::Map<String, Value>> =
            serde_json::from_str(text).unwrap_or_default();
        let mut answer = Answer::Refused;
        for (name, about) in events.iter().flatten() {
            let number = |key: &str| about.get(key).and_then(Value::as_u64);
            let lease = number("lease").map(LeaseId);
            let ticket = number("ticket").map(Ticket);
            match (name.as_str(), lease, ticket) {
                ("admitted", Some(lease), _) | ("downgraded", Some(lease), None) => {
                    answer = Answer::Began(lease, number("rung"));
                }
                ("refused", _, None) => answer = Answer::Refused,
                ("queued", _, Some(ticket)) => {
                    answer = Answer::Waited(ticket);
                    tickets.insert(ticket, None);
                }
                ("granted" | "downgraded", Some(lease), Some(ticket)) => {
                    tickets.insert(ticket, Some((lease, number("rung"), step.t)));
                }
                _ => {}
            }
        }
        if asks {
            answers.push(answer);
        }
    }
    (answers, tickets)
}
