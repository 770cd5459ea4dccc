//! Measures policies: viewers with habits against the core and a model GPU, in virtual time.
//!
//! A scenario is a YAML file: a house (GPUs, servers, library, viewers with habits), the policies to be compared, and
//! what should come of it (`docs/decisions.md` has the reference). One evening is drawn from it by its seed; every
//! policy is then given the same evening, beside three rules to compare with (no gate, a plain count limit, first come
//! first served by seats) and a bound that no schedule exceeds (`bound`).
//!
//! - `file`, `units`: what is written.
//! - `chance`, `plan`: the evening that is drawn from it.
//! - `calendar`: its date, for quotas.
//! - `rules`, `keeper`: who decides: the same core object as in production, asked in the same order, or a plain rule.
//! - `run`: viewers, players, FFmpeg and `/Sessions` around it.
//! - `score`, `bound`: what it came to, and what it could have come to.
//! - `report`, `picture`: for people.

mod bound;
mod calendar;
mod chance;
mod file;
mod keeper;
mod picture;
mod plan;
mod report;
mod rules;
mod run;
mod score;
#[cfg(test)]
mod tests;
mod units;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use self::{
    chance::Chance,
    file::File,
    keeper::{Keeper, Plain},
    plan::Evening,
    run::Run,
    score::Tally,
};
pub use self::{
    picture::picture,
    report::table,
    rules::{Rules, When},
    score::Outcome,
};
use crate::{
    admission::{Gpu, Mode, Node, Seats},
    ident::{DeviceId, GpuId, NodeId},
};

/// The rules that every policy is compared with.
const PLAIN: [&str; 3] = ["no gate", "count limit", "fifo"];

/// A house, an evening, and the policies to be compared.
#[derive(Clone, Debug)]
pub struct Scenario {
    path: String,
    file: File,
    /// At least one.
    evenings: Vec<Evening>,
}

/// Something wrong in a scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub problem: String,
}

/// A policy of a scenario as it is written: a configuration of Finweir.
#[derive(Clone, Debug)]
pub struct PolicyText {
    /// Its name.
    pub name: String,
    /// The YAML, with empty lines before it so that its lines have the numbers that they have in the scenario.
    pub yaml: String,
}

// === impl Mistake ===

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            problem,
        } = self;
        write!(f, "{file}:{line}:{column}: {problem}")
    }
}

impl std::error::Error for Mistake {}

// === impl Scenario ===

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let file = File::parse(path, text)?;
        let evenings = 0..file.evenings.max(1);
        let evenings = evenings
            .map(|number| Evening::draw(&file, number))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            file,
            evenings,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The file it was read from.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What should happen, and why.
    pub fn story(&self) -> &str {
        &self.file.story
    }

    /// Screens with somebody before them.
    pub fn viewers(&self) -> usize {
        self.evening().map_or(0, |evening| evening.viewers.len())
    }

    /// Evenings that are played.
    pub fn evenings(&self) -> usize {
        self.evenings.len()
    }

    fn evening(&self) -> Option<&Evening> {
        self.evenings.first()
    }

    /// The policies to be compared, to be read by whoever knows Finweir's configuration.
    pub fn policies(&self) -> Vec<PolicyText> {
        let policies = self.file.policies.iter();
        let texts = policies.map(|policy| {
            let line = usize::try_from(policy.config.defined.line()).unwrap_or(0);
            PolicyText {
                name: policy.policy.clone(),
                yaml: "\n".repeat(line.saturating_sub(1).min(100_000)) + &policy.config.value,
            }
        });
        texts.collect()
    }

    /// Plays the evenings under each policy and each plain rule. `base` is the moment that virtual time begins at.
    pub fn run(&self, base: Instant, policies: &[(String, Rules)]) -> Vec<Outcome> {
        let bound: f64 = self.evenings.iter().map(bound::bound).sum();
        let fitted: Vec<(&str, Rules)> = policies
            .iter()
            .map(|(name, rules)| (name.as_str(), self.fit(rules)))
            .collect();
        let classes: BTreeMap<String, String> = fitted.first().map_or_else(BTreeMap::new, |p| {
            let viewers = self.evenings.iter().flat_map(|evening| &evening.viewers);
            let class = |viewer| p.1.policy.class_of(&run::who(viewer)).id.to_string();
            viewers
                .map(|viewer| (viewer.user.clone(), class(viewer)))
                .collect()
        });
        let (minute, date) = (self.file.minute_of_week(), self.file.date());
        let plain = [Plain::NoGate, Plain::Count(self.count_limit()), Plain::Fifo];
        let plain = PLAIN.iter().zip(plain);
        let plain = plain.map(|(name, rule)| {
            let tally = self.played(&|| self.plain(rule));
            (*name, tally)
        });
        let cores = fitted.iter().map(|(name, rules)| {
            let tally = self.played(&|| Keeper::core(base, rules, minute, date));
            (*name, tally)
        });
        plain
            .chain(cores)
            .filter_map(|(name, tally)| {
                Some(tally?.outcome(&self.file.name, name, bound, &classes))
            })
            .collect()
    }

    /// All evenings under one rule.
    fn played(&self, keeper: &dyn Fn() -> Keeper) -> Option<Tally> {
        let mut tallies = self
            .evenings
            .iter()
            .map(|evening| Run::new(evening, keeper()).play());
        let mut all = tallies.next()?;
        for tally in tallies {
            all.add(tally);
        }
        Some(all)
    }

    /// Looks for a schedule that knows the evening, in so many steps: first come, first served, but some are turned away
    /// though they would fit, once, twice or always. Smooth viewer-minutes of the best that was found in which nobody
    /// stands still: less than any bound, and a schedule that exists.
    pub fn search(&self, steps: u32) -> f64 {
        let found = |evening| self.search_one(evening, steps);
        self.evenings.iter().map(found).sum()
    }

    fn search_one(&self, evening: &Evening, steps: u32) -> f64 {
        let mut chance = Chance::new(self.file.seed, u64::MAX);
        let viewers = evening.viewers.iter();
        let wish: Vec<&str> = viewers
            .filter(|viewer| viewer.plays.iter().any(|play| play.counted))
            .map(|viewer| viewer.device.as_str())
            .collect();
        let last = u64::try_from(wish.len()).unwrap_or(0).saturating_sub(1);
        let mut barred: BTreeMap<DeviceId, u32> = BTreeMap::new();
        let mut best = 0.0;
        for step in 0..=steps {
            let mut other = barred.clone();
            // The first is nobody barred; then one or two others each time.
            for _ in 0..chance.between(1, 2) {
                let at = usize::try_from(chance.between(0, last)).unwrap_or(0);
                let often = [0, 1, 2, u32::MAX];
                let often = often.get(usize::try_from(chance.between(0, 3)).unwrap_or(0));
                if let (Some(device), Some(often), 1..) = (wish.get(at), often, step) {
                    other.insert(DeviceId::new(device), *often);
                }
            }
            let mut keeper = self.plain(Plain::Fifo);
            keeper.bar(other.clone());
            let tally = Run::new(evening, keeper).play();
            if tally.is_smooth() && tally.minutes() >= best {
                best = tally.minutes();
                barred = other;
            }
        }
        best
    }

    /// What did not come out as the scenario expects.
    pub fn breaches(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut wrong = Vec::new();
        for expect in &self.file.expect {
            let name = &expect.policy.value;
            let Some(outcome) = outcomes.iter().find(|o| o.policy == *name) else {
                wrong.push(format!("{}: `{name}` was not run", self.path));
                continue;
            };
            let ranges = [
                ("smooth_share", expect.smooth_share, outcome.smooth_share),
                ("stalled", expect.stalled, outcome.stalled.into()),
                ("jain", expect.jain, outcome.jain),
                ("wait_p50_s", expect.wait_p50_s, outcome.wait_p50_s),
                ("wait_p95_s", expect.wait_p95_s, outcome.wait_p95_s),
                ("refused", expect.refused, outcome.refused.into()),
                ("gave_up", expect.gave_up, outcome.gave_up.into()),
                ("yielded", expect.yielded, outcome.yielded.into()),
                ("ended", expect.ended, outcome.ended.into()),
            ];
            for (what, range, value) in ranges {
                if let Some([from, to]) = range
                    && !(from..=to).contains(&value)
                {
                    let line = expect.policy.referenced.line();
                    wrong.push(format!(
                        "{}:{line}: {name}: {what} is {value}, not within {from} and {to}",
                        self.path
                    ));
                }
            }
        }
        wrong
    }

    /// The limit of the plain count: as written, or as many of the dearest kind as all GPUs carry.
    fn count_limit(&self) -> usize {
        if let Some(count) = self.file.count_limit {
            return usize::try_from(count).unwrap_or(usize::MAX);
        }
        let gpus = self.evening().into_iter().flat_map(|evening| &evening.gpus);
        let seats: f64 = gpus.map(|gpu| gpu.seats).sum();
        let viewers = self.evenings.iter().flat_map(|evening| &evening.viewers);
        let plays = viewers.flat_map(|viewer| &viewer.plays);
        let dearest = plays
            .filter_map(|play| play.offers.first()?.forms.first()?.shape.as_ref())
            .map(|shape| {
                crate::admission::CostModel::default()
                    .seats(&shape.work())
                    .as_f64()
            })
            .fold(1.0, f64::max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped just before"
        )]
        let count = (seats / dearest).floor().clamp(1.0, 1e6) as usize;
        count
    }

    fn plain(&self, rule: Plain) -> Keeper {
        let gpus = self.evening().into_iter().flat_map(|evening| &evening.gpus);
        let room: Vec<(f64, f64)> = gpus.map(|gpu| (gpu.seats, gpu.tone_map)).collect();
        let servers = self
            .evening()
            .into_iter()
            .flat_map(|evening| &evening.servers);
        let servers = servers.map(|(name, gpu)| (NodeId::new(name), *gpu));
        Keeper::plain(rule, &room, servers.collect())
    }

    /// The policy in this house: its servers, and its GPUs unless the policy names them itself.
    fn fit(&self, rules: &Rules) -> Rules {
        let mut policy = (*rules.policy).clone();
        let Some(evening) = self.evening() else {
            return rules.clone();
        };
        let gpus = &evening.gpus;
        let names_all = gpus
            .iter()
            .all(|gpu| policy.gpus.iter().any(|own| own.id.as_str() == gpu.name));
        if !names_all {
            policy.gpus = gpus
                .iter()
                .map(|gpu| Gpu {
                    id: GpuId::new(&gpu.name),
                    capacity: Seats::from_f64(gpu.seats),
                    max_sessions: None,
                    tone_map: gpu.tone_map,
                    learn: false,
                    mode: Mode::Enforce,
                })
                .collect();
        }
        policy.nodes = evening
            .servers
            .iter()
            .map(|(name, gpu)| Node {
                id: NodeId::new(name),
                gpu: GpuId::new(gpus.get(*gpu).map_or("", |gpu| gpu.name.as_str())),
            })
            .collect();
        Rules {
            policy: Arc::new(policy),
            ..rules.clone()
        }
    }
}
