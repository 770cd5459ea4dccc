//! Which change of the policy would have let a demand in, tried one by one on a copy of the core.

use std::{sync::Arc, time::Instant};

use crate::{
    admission::{Access, Admission, Decision, Demand, Mode, Policy, Seats, UserLimits},
    ident::GpuId,
};

/// A raised limit is looked for so far up.
const FURTHER: u32 = 8;

/// What would have let a demand in.
pub(super) struct Asks<'a> {
    pub(super) core: Admission,
    pub(super) now: Instant,
    pub(super) demand: &'a Demand,
    /// It was let in already, in a smaller form: what is asked is what would have let it in whole.
    pub(super) whole: bool,
}

/// The policy with every rule enforced.
pub(super) fn enforced(policy: &Policy) -> Arc<Policy> {
    let mut policy = policy.clone();
    policy.mode = Mode::Enforce;
    policy.user.mode = Mode::Enforce;
    policy.uplink.mode = Mode::Enforce;
    for gpu in &mut policy.gpus {
        gpu.mode = Mode::Enforce;
    }
    for rule in &mut policy.users {
        rule.limits.mode = Mode::Enforce;
    }
    for class in &mut policy.classes {
        class.mode = Mode::Enforce;
        if let Some(limits) = &mut class.user {
            limits.mode = Mode::Enforce;
        }
    }
    for rule in &mut policy.libraries {
        rule.mode = Mode::Enforce;
    }
    for window in &mut policy.windows {
        window.mode = Mode::Enforce;
    }
    Arc::new(policy)
}

impl Asks<'_> {
    pub(super) fn instead(&self) -> Vec<String> {
        let mut found = Vec::new();
        let policy = self.core.policy();
        if let Some(node) = policy.nodes.iter().find(|n| n.id == self.demand.node)
            && let Some(seats) = self.seats(&node.gpu)
        {
            found.push(format!("{seats} seats more on {}", node.gpu));
        }
        found.extend(self.limits());
        found.extend(self.access());
        for rung in self.demand.rungs.iter().filter(|_| !self.whole) {
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

    /// Whether the demand is let in at once under a policy, be it in a smaller form where that would be something new.
    fn enters(&self, policy: &Arc<Policy>, demand: &Demand) -> bool {
        let mut core = self.core.clone();
        core.set_policy(self.now, Arc::clone(policy));
        match core.decide(self.now, demand.clone()) {
            Decision::Admit { .. } => true,
            Decision::Downgrade { .. } => !self.whole,
            Decision::Queue { .. } | Decision::Reject { .. } => false,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Policy)) -> bool {
        let mut policy = self.core.policy().as_ref().clone();
        change(&mut policy);
        self.enters(&Arc::new(policy), self.demand)
    }

    /// The fewest seats more on a GPU that let it in, to a tenth.
    fn seats(&self, gpu: &GpuId) -> Option<Seats> {
        let gpus = self.core.snapshot(self.now).gpus;
        let has = gpus.iter().find(|view| view.gpu == *gpu)?.capacity;
        let more = |tenths: u32| {
            self.with(|policy| {
                for known in policy.gpus.iter_mut().filter(|known| known.id == *gpu) {
                    // What was learned counts, whatever the policy begins with.
                    known.learn = false;
                    known.capacity = has.plus(Seats::from_milli(tenths * 100));
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
        if !user.quotas.is_empty() && self.with(|policy| self.user(policy).quotas = Arc::from([])) {
            found.push("more of the user's quota".to_owned());
        }
        if policy.uplink.limit.is_some() && self.with(|policy| policy.uplink.limit = None) {
            found.push("more room on the line out of the house".to_owned());
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
        policy.uplink.limit = None;
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
