//! Why one decision was made: the state just before it, and which change would have let the play in.

mod asks;

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use self::asks::Asks;
use super::{
    Moment, at, exact,
    report::{clock, line, shortened},
    what::What,
};
use crate::{
    admission::{
        Admission, Demand, GpuView, Input, LeaseView, Reason, Seats, Snapshot, WaiterView,
    },
    ident::DecisionId,
    journal::{Part, Reading},
};

/// What was decided, where it was let in with a smaller picture.
const SMALLER: &str = "admitted in a smaller form";

/// One decision, explained.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Its number.
    pub id: DecisionId,
    /// When, seconds since 1970.
    pub at: f64,
    /// Everything that was decided about it, in order: it may wait first.
    pub decided: Vec<Seen>,
    /// Who and what.
    pub demand: Option<Demand>,
    /// What it costs, in seats.
    pub cost: Seats,
    /// What of what into what.
    pub work: String,
    /// The class.
    pub class: String,
    /// The GPUs just before.
    pub before: Vec<GpuView>,
    /// The GPUs just after.
    pub after: Vec<GpuView>,
    /// Who held seats, or a transcode, just before.
    pub holders: Vec<Holder>,
    /// Who waited just before.
    pub waiting: Vec<WaiterView>,
    /// What would have let it in, as sentences, the nearest first; where it was let in only because a rule observes, what
    /// would have if that were enforced. Empty: it was let in, or nothing would have.
    pub instead: Vec<String>,
    /// Whether the state before is exact.
    pub exact: bool,
}

/// One thing that was decided.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// When, seconds since 1970.
    pub at: f64,
    /// In words: `admitted`, `queued`.
    pub what: &'static str,
    /// Why.
    pub reason: Reason,
    /// What a rule that only observes would have answered.
    pub would: Option<Reason>,
    /// How long it had waited, seconds.
    pub waited: f64,
}

/// Who held seats.
#[derive(Debug, Serialize)]
pub struct Holder {
    /// The lease.
    #[serde(flatten)]
    pub lease: LeaseView,
    /// It is of the same user.
    pub same_user: bool,
    /// It is of the same class.
    pub same_class: bool,
}

/// Explains a decision. `None`: the journal does not hold it.
pub fn explain(reading: &Reading, base: Instant, id: DecisionId) -> Option<Explanation> {
    let text = format!("\"id\":\"{id}\"");
    let found = reading.parts.iter().find_map(|part| {
        let names = |step: &crate::journal::Step| {
            let did = step.did.as_deref();
            did.is_some_and(|did| did.contains(&text))
        };
        Some((part, part.steps.iter().position(names)?))
    });
    let (part, place) = found?;
    Some(
        Scene {
            part,
            place,
            base,
            id,
        }
        .explained(),
    )
}

impl Explanation {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        line(&mut out, format_args!("{}  {}", self.id, clock(self.at)));
        if let Some(demand) = &self.demand {
            let who = &demand.who;
            let on_client = if who.client.is_empty() {
                String::new()
            } else {
                format!(" on {}", shortened(&who.client, 32))
            };
            line(
                &mut out,
                format_args!(
                    "  {}{} wanted {} ({}), {} seats, on {}, in class {}",
                    shortened(who.name.as_deref().unwrap_or(who.user.as_str()), 40),
                    on_client,
                    shortened(demand.item.as_str(), 40),
                    self.work,
                    self.cost,
                    demand.node,
                    self.class,
                ),
            );
        }
        for seen in &self.decided {
            let waited = if seen.waited > 0.05 {
                format!(" after {:.1} s", seen.waited)
            } else {
                String::new()
            };
            let would = seen.would.map_or_else(String::new, |would| {
                format!("; a rule that only observes would have said {would}")
            });
            line(
                &mut out,
                format_args!(
                    "  {}: {}{waited}: {} [{}]{would}",
                    clock(seen.at),
                    seen.what,
                    seen.reason.in_words(),
                    seen.reason
                ),
            );
        }
        line(&mut out, format_args!("\nSeats before and after:"));
        for (before, after) in self.before.iter().zip(&self.after) {
            line(
                &mut out,
                format_args!(
                    "  {:<16} {} of {} held in {} transcodes -> {} in {}; {} waited",
                    before.gpu,
                    before.held,
                    before.capacity,
                    before.sessions,
                    after.held,
                    after.sessions,
                    before.waiting
                ),
            );
        }
        if !self.holders.is_empty() {
            line(&mut out, format_args!("\nHeld by:"));
            for Holder {
                lease, same_user, ..
            } in &self.holders
            {
                line(
                    &mut out,
                    format_args!(
                        "  {:>5} seats  {:<16} {:<20} {:<32} {} since {:.0} s{}",
                        lease.held.to_string(),
                        shortened(
                            lease.user_name.as_deref().unwrap_or(lease.user.as_str()),
                            16
                        ),
                        shortened(&lease.client, 20),
                        lease.work,
                        lease.state.as_str(),
                        lease.age.as_secs_f64(),
                        if *same_user { "  (the same user)" } else { "" },
                    ),
                );
            }
        }
        if !self.waiting.is_empty() {
            line(&mut out, format_args!("\nWaited before it:"));
            for waiter in &self.waiting {
                line(
                    &mut out,
                    format_args!(
                        "  {:>5} seats  {:<16} for {:.0} s ({})",
                        waiter.cost.to_string(),
                        shortened(
                            waiter.user_name.as_deref().unwrap_or(waiter.user.as_str()),
                            16
                        ),
                        waiter.waited.as_secs_f64(),
                        waiter.reason
                    ),
                );
            }
        }
        if !self.instead.is_empty() {
            let head = match self.decided.first() {
                Some(seen) if seen.would.is_some() => {
                    "If that were enforced, this would let it in at once:"
                }
                Some(seen) if seen.what == SMALLER => "Would have let it in whole:",
                Some(_) | None => "Would have let it in at once:",
            };
            line(&mut out, format_args!("\n{head}"));
            for sentence in &self.instead {
                line(&mut out, format_args!("  {sentence}"));
            }
        }
        if !self.exact {
            line(
                &mut out,
                format_args!("\nnote: the journal lacks what came before, so this is not exact"),
            );
        }
        out
    }
}

/// Where a decision stands in a journal.
struct Scene<'a> {
    part: &'a Part,
    place: usize,
    base: Instant,
    id: DecisionId,
}

impl Scene<'_> {
    fn explained(&self) -> Explanation {
        let mut explanation = Explanation {
            id: self.id,
            at: 0.0,
            decided: Vec::new(),
            demand: None,
            cost: Seats::ZERO,
            work: String::new(),
            class: String::new(),
            before: Vec::new(),
            after: Vec::new(),
            holders: Vec::new(),
            waiting: Vec::new(),
            instead: Vec::new(),
            exact: self.part.is_whole(),
        };
        let mut before: Option<Admission> = None;
        let mut last = self.place;
        exact::run(self.part, self.base, &mut |moment, core, events| {
            if moment.step + 1 == self.place {
                before = Some(core.clone());
            }
            if moment.step == self.place {
                explanation.at = moment.wall;
                let now = self.moment(moment.step);
                explanation.after = core.snapshot(now).gpus;
            }
            for event in events {
                self.see(&mut explanation, moment, &What::of(event));
            }
            // A wait ends within minutes.
            let waits = explanation
                .decided
                .last()
                .is_some_and(|seen| seen.what == "queued");
            if moment.step >= self.place && !waits {
                last = moment.step;
                return false;
            }
            true
        });
        let core = before.unwrap_or_else(|| {
            super::core_of(
                &self.part.header,
                self.base,
                Arc::clone(&self.part.header.policy),
            )
        });
        self.look(&mut explanation, core);
        explanation
    }

    fn moment(&self, step: usize) -> Instant {
        let t = self.part.steps.get(step).map_or(0, |step| step.t);
        at(self.base, t)
    }

    fn see(&self, explanation: &mut Explanation, moment: Moment, what: &What<'_>) {
        let (subject, what, reason, would, waited) = match what {
            What::Admitted {
                subject,
                reason,
                would,
            } => (subject, "admitted", *reason, *would, None),
            What::Queued { subject, reason } => (subject, "queued", *reason, None, None),
            What::Granted {
                subject, waited, ..
            } => (subject, "admitted", Reason::Waited, None, Some(*waited)),
            What::Stepped {
                subject,
                reason,
                waited,
                ..
            } => (subject, SMALLER, *reason, None, Some(*waited)),
            What::Refused {
                subject, reason, ..
            } => (subject, "refused", *reason, None, None),
            What::Left { subject, .. } => (
                subject,
                "left while it waited",
                Reason::WaitedOut,
                None,
                None,
            ),
            What::Ended { .. } | What::Other => return,
        };
        if subject.decision != self.id {
            return;
        }
        explanation.cost = subject.cost;
        explanation.work.clone_from(&subject.work);
        explanation.class = subject.class.to_string();
        explanation.decided.push(Seen {
            at: moment.wall,
            what,
            reason,
            would,
            waited: waited.map_or(0.0, |waited| waited.as_secs_f64()),
        });
    }

    /// Looks round just before the decision.
    fn look(&self, explanation: &mut Explanation, mut core: Admission) {
        let Some(step) = self.part.steps.get(self.place) else {
            return;
        };
        let now = at(self.base, step.t);
        core.advance(now);
        drop(core.drain_events());
        let Snapshot {
            gpus,
            leases,
            waiting,
            ..
        } = core.snapshot(now);
        explanation.before = gpus;
        explanation.waiting = waiting;
        let mut demand = None;
        if let Input::Decide(asked) | Input::TurnAway { demand: asked, .. } = &step.told {
            demand = Some(asked.as_ref().clone());
        }
        explanation.holders = leases
            .into_iter()
            .filter(|lease| lease.held > Seats::ZERO)
            .map(|lease| Holder {
                same_user: demand.as_ref().is_some_and(|d| d.who.user == lease.user),
                same_class: lease.class.as_str() == explanation.class,
                lease,
            })
            .collect();
        let first = explanation.decided.first();
        let observed = first.is_some_and(|seen| seen.would.is_some());
        let at_once = first.is_some_and(|seen| seen.what == "admitted");
        if let Some(demand) = &demand
            && (observed || !at_once)
        {
            if observed {
                let enforced = asks::enforced(core.policy());
                core.set_policy(now, enforced);
            }
            let whole = first.is_some_and(|seen| seen.what == SMALLER);
            let asks = Asks {
                core,
                now,
                demand,
                whole,
            };
            explanation.instead = asks.instead();
        }
        explanation.demand = demand;
    }
}
