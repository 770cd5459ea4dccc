//! Why one decision was made: the state just before it, and which change would have let the play in.

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Moment, at, exact,
    report::{clock, line, shortened},
    what::What,
};
use crate::{
    admission::{
        Access, Admission, Decision, Demand, GpuView, Input, LeaseView, Policy, Reason, Seats,
        Snapshot, UserLimits, WaiterView,
    },
    ident::DecisionId,
    journal::{Part, Reading},
};

/// A raised limit is looked for so far up.
const FURTHER: u32 = 8;

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
    /// What would have let it in, as sentences, the nearest first. Empty: it was let in, or nothing would have.
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
            line(
                &mut out,
                format_args!(
                    "  {} on {} wanted {} ({}), {} seats, as {} of class {}",
                    shortened(who.name.as_deref().unwrap_or(who.user.as_str()), 40),
                    shortened(&who.client, 32),
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
                    "  {}: {} ({}){waited}{would}",
                    clock(seen.at),
                    seen.what,
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
            line(&mut out, format_args!("\nWould have let it in at once:"));
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
            } => (
                subject,
                "admitted in a smaller form",
                *reason,
                None,
                Some(*waited),
            ),
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
        let demand = match &step.told {
            Input::Decide(demand) | Input::TurnAway { demand, .. } => Some(demand.as_ref().clone()),
            Input::Advance
            | Input::Bind { .. }
            | Input::Confirm { .. }
            | Input::Touch { .. }
            | Input::TouchDevice { .. }
            | Input::Stop { .. }
            | Input::StopDevice { .. }
            | Input::Release { .. }
            | Input::Withdraw { .. }
            | Input::Sample { .. }
            | Input::Reconcile { .. }
            | Input::Week { .. }
            | Input::Policy(_)
            | Input::Drain => None,
        };
        explanation.holders = leases
            .into_iter()
            .filter(|lease| lease.held > Seats::ZERO)
            .map(|lease| Holder {
                same_user: demand.as_ref().is_some_and(|d| d.who.user == lease.user),
                same_class: lease.class.as_str() == explanation.class,
                lease,
            })
            .collect();
        let first = explanation.decided.first().map(|seen| seen.what);
        if let Some(demand) = &demand
            && first != Some("admitted")
        {
            let asks = Asks { core, now, demand };
            explanation.instead = asks.instead();
        }
        explanation.demand = demand;
    }
}

/// What would have let a demand in.
struct Asks<'a> {
    core: Admission,
    now: Instant,
    demand: &'a Demand,
}

impl Asks<'_> {
    fn instead(&self) -> Vec<String> {
        let mut found = Vec::new();
        let policy = self.core.policy();
        if let Some(node) = policy.nodes.iter().find(|n| n.id == self.demand.node)
            && let Some(seats) = self.seats(&node.gpu)
        {
            found.push(format!("{seats} seats more on {}", node.gpu));
        }
        found.extend(self.limits());
        found.extend(self.access());
        for rung in &self.demand.rungs {
            let smaller = Demand {
                kind: rung.kind,
                rungs: Vec::new(),
                ..self.demand.clone()
            };
            if self.enters(policy, &smaller) {
                found.push(format!("a smaller form: {}", rung.kind));
                break;
            }
        }
        if found.is_empty() && self.enters(&self.loosened(), self.demand) {
            found.push("several rules are in the way at once: without all of them".to_owned());
        }
        found
    }

    /// Whether the demand is let in as it is under a policy.
    fn enters(&self, policy: &Arc<Policy>, demand: &Demand) -> bool {
        let mut core = self.core.clone();
        core.set_policy(self.now, Arc::clone(policy));
        matches!(
            core.decide(self.now, demand.clone()),
            Decision::Admit { .. }
        )
    }

    fn with(&self, change: impl FnOnce(&mut Policy)) -> bool {
        let mut policy = self.core.policy().as_ref().clone();
        change(&mut policy);
        self.enters(&Arc::new(policy), self.demand)
    }

    /// The fewest seats more on a GPU that let it in, to a tenth.
    fn seats(&self, gpu: &crate::ident::GpuId) -> Option<Seats> {
        let more = |tenths: u32| {
            self.with(|policy| {
                for known in policy.gpus.iter_mut().filter(|known| known.id == *gpu) {
                    known.capacity = known.capacity.plus(Seats::from_milli(tenths * 100));
                }
            })
        };
        let (mut low, mut high) = (0, 1);
        while !more(high) {
            if high > 4096 {
                return None;
            }
            (low, high) = (high, high * 2);
        }
        while low + 1 < high {
            let middle = u32::midpoint(low, high);
            if more(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(Seats::from_milli(high * 100))
    }

    /// The nearest higher limits that let it in.
    fn limits(&self) -> Vec<String> {
        let mut found = Vec::new();
        let policy = self.core.policy();
        let user = policy.limits_of(&self.demand.who);
        let mut count = |what: &str, now: Option<u32>, set: &dyn Fn(&mut Policy, u32)| {
            let Some(now) = now else { return };
            let higher = (now..now.saturating_add(FURTHER))
                .map(|limit| limit + 1)
                .find(|limit| self.with(|policy| set(policy, *limit)));
            found.extend(higher.map(|limit| format!("{what} {limit} (it is {now})")));
        };
        count("user limit", user.transcodes, &|policy, limit| {
            self.user(policy).transcodes = Some(limit);
        });
        count(
            "stream limit of the user",
            user.streams,
            &|policy, limit| {
                self.user(policy).streams = Some(limit);
            },
        );
        let class = policy.class_of(&self.demand.who);
        let id = class.id.clone();
        let of_class = format!("limit of class {id}");
        count(&of_class, class.transcodes, &|policy, limit| {
            for class in policy.classes.iter_mut().filter(|class| class.id == id) {
                class.transcodes = Some(limit);
            }
        });
        count(
            "limit of the whole server",
            policy.transcodes,
            &|policy, limit| {
                policy.transcodes = Some(limit);
            },
        );
        for gpu in &policy.gpus {
            let what = format!("sessions of {}", gpu.id);
            count(&what, gpu.max_sessions, &|policy, limit| {
                for known in policy.gpus.iter_mut().filter(|known| known.id == gpu.id) {
                    known.max_sessions = Some(limit);
                }
            });
        }
        if user.seats.is_some() && self.with(|policy| self.user(policy).seats = None) {
            found.push("no limit of the user's seats".to_owned());
        }
        let unlimited = |policy: &mut Policy| {
            for class in policy.classes.iter_mut().filter(|class| class.id == id) {
                class.seats = None;
            }
        };
        if class.seats.is_some() && self.with(unlimited) {
            found.push(format!("no limit of the seats of class {id}"));
        }
        found
    }

    fn access(&self) -> Vec<String> {
        let policy = self.core.policy();
        let mut found = Vec::new();
        let id = policy.class_of(&self.demand.who).id.clone();
        let allowed = |policy: &mut Policy| {
            for class in policy.classes.iter_mut().filter(|class| class.id == id) {
                class.transcode = Access::Allow;
                class.uhd = Access::Allow;
            }
        };
        if self.with(allowed) && !self.with(|_| ()) {
            found.push(format!("class {id} being allowed to transcode this"));
        }
        for (index, rule) in policy.libraries.iter().enumerate() {
            let without = self.with(|policy| {
                policy.libraries.remove(index);
            });
            if without {
                found.push(format!("no rule for library {}", rule.library));
            }
        }
        for (index, window) in policy.windows.iter().enumerate() {
            let without = self.with(|policy| {
                policy.windows.remove(index);
            });
            if without {
                found.push(format!("outside the window {}", window.name));
            }
        }
        found
    }

    /// The limits that hold for this user, to be changed.
    fn user<'p>(&self, policy: &'p mut Policy) -> &'p mut UserLimits {
        let who = &self.demand.who;
        let named = policy
            .users
            .iter()
            .position(|rule| who.is_called(&rule.user));
        let id = policy.class_of(who).id.clone();
        let class = policy.classes.iter().position(|class| class.id == id);
        if let Some(rule) = named.and_then(|index| policy.users.get_mut(index)) {
            return &mut rule.limits;
        }
        let limits = class.and_then(|index| policy.classes.get_mut(index)?.user.as_mut());
        limits.unwrap_or(&mut policy.user)
    }

    /// The policy without any limit.
    fn loosened(&self) -> Arc<Policy> {
        let mut policy = self.core.policy().as_ref().clone();
        policy.transcodes = None;
        policy.libraries.clear();
        policy.windows.clear();
        policy.users.clear();
        policy.user = UserLimits {
            mode: policy.user.mode,
            ..UserLimits::default()
        };
        policy.anonymous = Access::Allow;
        for class in &mut policy.classes {
            class.user = None;
            class.transcodes = None;
            class.seats = None;
            class.transcode = Access::Allow;
            class.uhd = Access::Allow;
        }
        for gpu in &mut policy.gpus {
            gpu.max_sessions = None;
            gpu.capacity = gpu.capacity.plus(Seats::from_milli(1_000_000));
        }
        Arc::new(policy)
    }
}
