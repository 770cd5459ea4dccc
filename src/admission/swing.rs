//! What moves the limits while leases run: readings, time windows, a new policy.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Admission, Capacity, Event, Mode, Policy, Seats, Timer, Window,
    capacity::Sample,
    index::{Index, Listed},
    lease::Lease,
    ledger::{Hold, Ledger},
    policy::WEEK,
    queue::{Lane, Line, Thirst},
};
use crate::ident::{ClassId, LeaseId, UserId};

impl Admission {
    /// Takes in one reading of a GPU.
    pub(super) fn learn(&mut self, now: Instant, index: usize, sample: Sample) {
        let Some(limiter) = self.limiters.get_mut(index) else {
            return;
        };
        let before = limiter.next_step();
        limiter.sample(now, sample);
        let after = limiter.next_step();
        self.move_step(index, before, after);
        self.tell_capacity();
    }

    pub(super) fn move_step(
        &mut self,
        index: usize,
        before: Option<Instant>,
        after: Option<Instant>,
    ) {
        if let Some(at) = before {
            self.timers.remove(&(at, Timer::Step(index)));
        }
        if let Some(at) = after {
            self.timers.insert((at, Timer::Step(index)));
        }
    }

    /// Relates `now` to the week here (minute 0 = Monday 00:00), for time windows.
    pub fn set_minute_of_week(&mut self, now: Instant, minute: u16) {
        self.advance(now);
        self.week = Some((now, minute));
        self.open_windows(now);
        self.settle(now);
    }

    /// Swaps the policy. Running leases stay; nothing more is admitted where they exceed it. Whatever waits is
    /// judged by the new one.
    pub fn set_policy(&mut self, now: Instant, policy: Arc<Policy>) {
        self.advance(now);
        self.own_mode = None;
        let old = std::mem::replace(&mut self.policy, policy);
        let policy = Arc::clone(&self.policy);
        self.timers
            .retain(|(_, timer)| !matches!(timer, Timer::Step(_)));
        let mut limiters = Vec::new();
        for (index, gpu) in policy.gpus.iter().enumerate() {
            let known = old.gpus.iter().position(|known| known.id == gpu.id);
            let kept = known.and_then(|index| self.limiters.get(index).cloned());
            let mut limiter = kept.unwrap_or_else(|| Capacity::new(gpu.capacity, gpu.learn));
            limiter.set(now, gpu.capacity, gpu.learn);
            self.move_step(index, None, limiter.next_step());
            limiters.push(limiter);
        }
        let told: Vec<Seats> = policy
            .gpus
            .iter()
            .map(|gpu| {
                let known = old.gpus.iter().position(|known| known.id == gpu.id);
                known
                    .and_then(|index| self.told.get(index).copied())
                    .unwrap_or(gpu.capacity)
            })
            .collect();
        self.limiters = limiters;
        self.told = told;
        let (gpus, classes) = (policy.gpus.len(), policy.classes.len());
        let ledger = Ledger::new(gpus, classes, policy.libraries.len());
        let mut old = std::mem::replace(&mut self.ledger, ledger);
        old.meter.forget_seats();
        self.ledger.meter = old.meter;
        let mut ids: Vec<LeaseId> = self.leases.keys().copied().collect();
        ids.sort_unstable();
        self.foresight.clear(gpus);
        self.missed.clear();
        self.index = Index::default();
        self.preempted.clear();
        for id in ids {
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.frees = None;
                lease.listed = Listed::default();
                lease.asked = Arc::new(lease.asked.anew(&policy));
                lease.held = Lease::holds(&lease.asked, lease.state);
                self.ledger
                    .change(&lease.asked.account, Hold::default(), lease.held);
            }
            self.list(id);
            self.foresee(id);
            self.arm(id);
        }
        for right in self.rights.values_mut() {
            right.asked = Arc::new(right.asked.anew(&policy));
        }
        self.open_windows(now);
        self.requeue(&policy);
        self.events.push(Event::PolicyChanged { mode: policy.mode });
        self.settle(now);
        // Shorter timers may be due at once. What comes free then may be what a claim lacked that waits in another line.
        self.advance(now);
        for ticket in self.in_order() {
            self.retry_own(now, ticket);
        }
        self.settle(now);
    }

    /// Puts every waiting demand in line anew, by the new policy's classes and priorities.
    fn requeue(&mut self, policy: &Policy) {
        for ticket in self.in_order() {
            let Some(mut waiter) = self.queue.remove(ticket) else {
                continue;
            };
            waiter.asked = Arc::new(waiter.asked.anew(policy));
            waiter.place = self.place(&waiter.asked, waiter.arrival);
            waiter.thirst = Thirst::default();
            // Lines of the old policy mean nothing. Before the GPU nobody overtakes, and whoever is blocked by
            // something else leaves it as soon as he is first.
            let account = &waiter.asked.account;
            waiter.line = match account.gpu {
                Some(gpu) => Line::Gpu(Lane {
                    gpu,
                    class: account.class,
                    need: waiter.asked.need(),
                }),
                None => Line::User(account.user.clone()),
            };
            self.ledger.mark(waiter.asked.account.user.clone());
            self.queue.insert(ticket, waiter);
        }
    }

    /// The windows that hold now for this class.
    pub(super) fn windows_now<'a>(
        &'a self,
        class: &'a ClassId,
    ) -> impl Iterator<Item = &'a Window> {
        self.windows
            .iter()
            .filter_map(|index| self.policy.windows.get(*index))
            .filter(move |window| window.concerns(class))
    }

    /// What may be handed out on a GPU. [`Mode::Enforce`]: with the windows that are enforced; [`Mode::Observe`]:
    /// as if all were.
    pub(super) fn capacity_of(&self, gpu: usize, mode: Mode) -> Seats {
        let (Some(limiter), Some(rule)) = (self.limiters.get(gpu), self.policy.gpus.get(gpu))
        else {
            return Seats::ZERO;
        };
        let mut capacity = limiter.now();
        for window in self
            .windows
            .iter()
            .filter_map(|index| self.policy.windows.get(*index))
        {
            let ours = window.gpus.is_empty() || window.gpus.contains(&rule.id);
            let counts = mode == Mode::Observe || self.mode(window.mode) == Mode::Enforce;
            if let Some(factor) = window.capacity.filter(|_| ours && counts) {
                capacity = Seats::from_f64(capacity.as_f64() * factor.get());
            }
        }
        capacity
    }

    fn minute_of_week(&self, now: Instant) -> Option<(u16, Duration)> {
        let (at, minute) = self.week?;
        let since = now.saturating_duration_since(at);
        let minutes = (since.as_secs() / 60) % u64::from(WEEK);
        let minute = (u64::from(minute) + minutes) % u64::from(WEEK);
        let into = Duration::from_secs(since.as_secs() % 60)
            + Duration::from_nanos(since.subsec_nanos().into());
        Some((u16::try_from(minute).unwrap_or(0), into))
    }

    /// Finds the windows that hold now, and when that changes.
    pub(super) fn open_windows(&mut self, now: Instant) {
        if let Some(at) = self.edge.take() {
            self.timers.remove(&(at, Timer::Window));
        }
        self.windows.clear();
        if let Some((minute, into)) = self.minute_of_week(now) {
            let windows = self.policy.windows.iter().enumerate();
            self.windows = windows
                .filter(|(_, w)| w.holds_at(minute))
                .map(|(i, _)| i)
                .collect();
            let edge = self
                .policy
                .windows
                .iter()
                .filter_map(|w| w.next_edge(minute))
                .min();
            if let Some(minutes) = edge {
                let at = now + Duration::from_secs(u64::from(minutes) * 60) - into;
                self.timers.insert((at, Timer::Window));
                self.edge = Some(at);
            }
        }
        self.tell_capacity();
        self.wake_all();
    }

    pub(super) fn until_window_edge(&self) -> Duration {
        self.edge.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(self.latest)
        })
    }

    /// Tells of each GPU whose capacity is not what was told last.
    pub(super) fn tell_capacity(&mut self) {
        for (index, gpu) in self.policy.gpus.iter().enumerate() {
            let to = self.capacity_of(index, Mode::Enforce);
            let Some(told) = self.told.get_mut(index) else {
                continue;
            };
            let from = std::mem::replace(told, to);
            if from != to {
                let gpu = gpu.id.clone();
                self.events.push(Event::CapacityChanged { gpu, from, to });
                // The head of its line is to be looked at.
                self.ledger.mark(UserId::anonymous());
            }
        }
    }

    /// Rules have changed: everything that waits is looked at.
    pub(super) fn wake_all(&mut self) {
        for ticket in self.in_order() {
            if let Some(waiter) = self.queue.get(ticket) {
                self.ledger.mark(waiter.asked.account.user.clone());
            }
        }
    }
}
