//! Lets async code wait on [`Admission`].
//!
//! One mutex, held for microseconds, never across `.await`. Three rules:
//!
//! - **One function touches the state** ([`Gate::apply`]): lock, apply, take the events, unlock, *then* deliver.
//!   Events left inside until the next call would strand a waiter.
//! - **Deliver after unlocking.** A grant sent to a waiter who has left comes back as an undelivered
//!   [`Reservation`], whose drop takes the lock.
//! - **A waiter's future owns a guard** that withdraws its ticket, so a client that leaves gives its place back.

mod ending;
mod entering;
mod quota;
mod reservation;
mod tell;
#[cfg(test)]
mod tests;
mod throttle;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc, oneshot};

use self::ending::ending;
pub use self::{
    ending::{EndJob, Ending},
    reservation::Reservation,
    throttle::Throttle,
};
use crate::{
    admission::{
        Activity, Admission, Bitrate, Covered, Demand, Ended, Event, Input, Kind, Order, Policy,
        Reason, Seats, Snapshot, Subject, Who,
    },
    clock,
    ident::{DeviceId, ItemId, LeaseId, PlaySessionId, Ticket, UserId},
    journal::Journal,
    telemetry::Telemetry,
};

/// Jobs to end and not yet taken up by [`crate::gate`]'s reader; beyond it they are left to Jellyfin's own timers.
const ACTIONS: usize = 64;

/// The async face of the core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    telemetry: Telemetry,
    journal: OnceLock<Journal>,
    /// Wakes [`Gate::run_timers`] when the next deadline may have moved.
    moved: Notify,
    actions: mpsc::Sender<EndJob>,
}

#[derive(Debug)]
struct State {
    core: Admission,
    waiters: HashMap<Ticket, oneshot::Sender<Outcome>>,
}

/// What became of a demand.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Run now. The seats go back when the reservation is dropped.
    Admitted(Reservation),
    /// Run a cheaper form now.
    Downgraded {
        /// The rung's seats.
        reservation: Reservation,
        /// Which rung of the demand.
        rung: usize,
    },
    /// No.
    Rejected {
        /// Why.
        reason: Reason,
        /// When it may be tried again.
        retry_after: Duration,
    },
}

// === impl Gate ===

impl Gate {
    /// Starts empty under `policy`. The receiver yields jobs that a rule wants ended.
    pub fn new(
        now: Instant,
        policy: Arc<Policy>,
        telemetry: Telemetry,
    ) -> (Self, mpsc::Receiver<EndJob>) {
        let (actions, ends) = mpsc::channel(ACTIONS);
        let state = Mutex::new(State {
            core: Admission::new(now, policy),
            waiters: HashMap::new(),
        });
        (
            Self(Arc::new(Shared {
                state,
                telemetry,
                journal: OnceLock::new(),
                moved: Notify::new(),
                actions,
            })),
            ends,
        )
    }

    /// Whether this demand would replace or resume what its device holds, and so is never refused.
    pub fn replaces(&self, demand: &Demand) -> bool {
        self.lock().core.replaces(demand)
    }

    /// Whether this demand would be let in at once as things stand. Nothing comes of asking.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.apply(None, |state, _| state.core.fits(demand))
    }

    /// Whether the line out of the house can spare what this sends, as Finweir's own choice.
    pub fn spares(&self, demand: &Demand) -> bool {
        self.spares_rate(&demand.who, demand.rate)
    }

    /// Whether the line out of the house can spare so much for this viewer.
    pub fn spares_rate(&self, who: &Who, rate: Bitrate) -> bool {
        self.lock().core.spares(who, rate)
    }

    /// What the line out of the house has left for this viewer; `None`: as much as he wants.
    pub fn line_room(&self, who: &Who) -> Option<Bitrate> {
        self.lock().core.line_room(who)
    }

    /// Whether a viewer outside plays a file as it is; where his device is not known, whether anybody at his address does.
    pub fn plays_directly(
        &self,
        device: Option<&DeviceId>,
        address: Option<std::net::IpAddr>,
    ) -> bool {
        self.lock().core.plays_directly(device, address)
    }

    /// Whether this device of the user's plays something now.
    pub fn plays(&self, user: &UserId, device: &DeviceId) -> bool {
        self.lock().core.plays(user, device)
    }

    /// Whether this session, if it is known, plays this item.
    pub fn is_about(&self, session: &PlaySessionId, item: &ItemId) -> bool {
        self.lock()
            .core
            .item_of(session)
            .is_none_or(|known| known == item)
    }

    /// What the lease of this session covers, in seats, if it was stepped down to that.
    pub fn stepped_to(&self, session: &PlaySessionId) -> Option<Seats> {
        self.lock().core.stepped_to(session)
    }

    /// Refuses a demand for a reason that the core does not know (its start rate), and records it.
    pub fn refuse(&self, demand: &Demand, reason: Reason, retry_after: Duration) -> Outcome {
        self.tell(Input::TurnAway {
            demand: Box::new(demand.clone()),
            reason,
            retry_after,
        });
        Outcome::Rejected {
            reason,
            retry_after,
        }
    }

    /// A request that starts FFmpeg came for this session.
    pub fn confirm(&self, session: &PlaySessionId, kind: &Kind, activity: Activity) -> Covered {
        let input = self.noted(|| Input::Confirm {
            session: session.clone(),
            kind: Box::new(*kind),
            activity,
        });
        self.apply(input, |state, now| {
            state.core.confirm(now, session, kind, activity)
        })
    }

    /// Notes a sign of life. `false`: the session is unknown.
    pub fn touch(&self, session: &PlaySessionId, activity: Activity) -> bool {
        let input = self.noted(|| Input::Touch {
            session: session.clone(),
            activity,
        });
        self.apply(input, |state, now| state.core.touch(now, session, activity))
    }

    /// Notes a report that named no session.
    pub fn touch_device(&self, user: &UserId, device: &DeviceId, activity: Activity) {
        self.tell(Input::TouchDevice {
            user: user.clone(),
            device: device.clone(),
            activity,
        });
    }

    /// The session was stopped.
    pub fn stop(&self, session: &PlaySessionId, why: Ended) {
        self.tell(Input::Stop {
            session: session.clone(),
            why,
        });
    }

    /// Ends a lease at once.
    pub fn release(&self, lease: LeaseId, why: Ended) {
        self.tell(Input::Release { lease, why });
    }

    /// Swaps the policy.
    pub fn set_policy(&self, policy: Arc<Policy>) {
        self.tell(Input::Policy(policy));
    }

    /// Does what the operator orders. `None`: there is nothing it could be done to. Else whom it was about, if it was
    /// about somebody.
    pub fn operate(&self, order: Order, who: &Arc<str>) -> Option<Option<Arc<Subject>>> {
        let input = self.noted(|| Input::Operate {
            order,
            who: Arc::clone(who),
        });
        self.apply(input, |state, now| state.core.operate(now, order, who))
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.lock().core.policy().clone()
    }

    /// Shows all that is held and waiting.
    pub fn snapshot(&self) -> Snapshot {
        self.apply(None, |state, now| state.core.snapshot(now))
    }

    /// Fires timers as they come due, for ever.
    pub async fn run_timers(&self) {
        loop {
            let moved = self.0.moved.notified();
            let next = self.lock().core.next_deadline();
            match next {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => self.apply(None, |_, _| ()),
                    () = moved => {}
                },
                None => moved.await,
            }
        }
    }

    /// The one function that touches the state. `input`: what `change` tells the core.
    fn apply<R>(&self, input: Option<Input>, change: impl FnOnce(&mut State, Instant) -> R) -> R {
        let mut state = self.lock();
        // Read under the lock: the journal's order is that of its times.
        let now = clock::now();
        let before = state.core.next_deadline();
        state.core.advance(now);
        let result = change(&mut state, now);
        let events = state.core.drain_events();
        if let Some(journal) = self.0.journal.get() {
            // Whoever only looks may be the first to find a timer due.
            let due = before.is_some_and(|at| at <= now);
            if let Some(input) = input.or(due.then_some(Input::Advance)) {
                journal.step(now, input, &events);
            }
        }
        let deliveries: Vec<_> = events
            .iter()
            .filter_map(|event| self.delivery(event))
            .map(|(ticket, outcome)| (state.waiters.remove(&ticket), outcome))
            .collect();
        for event in &events {
            if let Event::Withdrawn { ticket, .. } = event {
                state.waiters.remove(ticket);
            }
        }
        let moved = state.core.next_deadline() != before;
        drop(state);

        if moved {
            self.0.moved.notify_one();
        }
        if !events.is_empty() {
            self.0.telemetry.record(&events);
            self.act(&events);
        }
        for (waiter, outcome) in deliveries {
            // A waiter that has left sends the outcome back, and one that left in this very call is not there at all:
            // dropping the outcome gives the seats to the next in line, which takes the lock.
            match waiter {
                Some(waiter) => drop(waiter.send(outcome)),
                None => drop(outcome),
            }
        }
        result
    }

    fn act(&self, events: &[Event]) {
        for event in events {
            let Some((subject, ending)) = ending(event) else {
                continue;
            };
            let end = EndJob {
                node: subject.node.clone(),
                user: subject.user.clone(),
                session: subject.session.clone(),
                device: subject.device.clone(),
                ending,
            };
            if self.0.actions.try_send(end).is_err() {
                tracing::warn!(node = %subject.node, "too many jobs to end at once; this one is left to Jellyfin's timers");
            }
        }
    }

    fn bind(&self, lease: LeaseId, session: &PlaySessionId) {
        self.tell(Input::Bind {
            lease,
            session: session.clone(),
        });
    }

    /// A panic inside the core has already cost its one request; the ledger is still the best truth there is.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
