//! What must hold after every step of a tortured world.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use super::{
    super::{
        claim::Holds,
        lease::Lease,
        ledger::{Hold, Usage},
        rules::Asked,
    },
    torture::Torture,
    *,
};

impl Torture {
    /// Nobody is refused whom a smaller picture within his floor would have let in.
    pub(super) fn check_refusal(&mut self, now: Instant, demand: Demand, reason: Reason) {
        let asked = Asked::new(&self.core.policy, demand);
        // At the very end of the line: whoever is before it, is before it all the same.
        let arrival = self.core.queue.arrive(Duration::MAX / 2);
        let place = self.core.place(&asked, arrival);
        assert!(
            self.core.step_for(now, &asked, place).is_none(),
            "refused ({reason}), though a smaller picture fits"
        );
    }

    /// Every invariant.
    pub(super) fn check(&mut self, what: &str) {
        let events = self.core.drain_events();
        let mut asked = Vec::new();
        let mut unasked = false;
        let mut moved_limit = false;
        for (user, used) in self.core.ledger.users() {
            let runs = self.core.ledger.meter.seats(user);
            assert_eq!(
                runs,
                used.seats.less(used.reserved),
                "{what}: what is charged is what runs"
            );
        }
        assert!(
            self.core
                .ledger
                .meter
                .charged()
                .all(|user| self.core.ledger.user(user).seats > Seats::ZERO),
            "{what}: somebody is charged who runs nothing"
        );
        for event in &events {
            match event {
                Event::Admitted { lease, reason, .. } => {
                    assert!(self.leases.insert(*lease), "{lease} began twice");
                    if *reason == Reason::Fits {
                        asked.push(*lease);
                    } else {
                        unasked = true;
                    }
                }
                Event::Granted { lease, ticket, .. } => {
                    assert!(self.leases.insert(*lease), "{lease} began twice");
                    assert!(self.tickets.remove(ticket), "{ticket} ended twice");
                    let granted = self.core.leases.get(lease);
                    match granted.map(|lease| (lease.reason, lease.is_video())) {
                        Some((Reason::Waited, true)) => asked.push(*lease),
                        // It waited for a stream: its user's transcodes may be over their limit.
                        Some((Reason::Waited, false)) => {}
                        Some(_) | None => unasked = true,
                    }
                }
                Event::Queued { ticket, .. } => assert!(self.tickets.insert(*ticket)),
                Event::Refused {
                    ticket,
                    retry_after,
                    ..
                } => {
                    assert!(*retry_after >= secs(1));
                    assert!(
                        ticket.is_none_or(|t| self.tickets.remove(&t)),
                        "ended twice"
                    );
                }
                Event::Withdrawn { ticket, .. } => assert!(self.tickets.remove(ticket)),
                Event::LeaseEnded { lease, .. } => {
                    assert!(self.leases.remove(lease), "{lease} ended twice");
                }
                Event::Reconciled { lease, found, .. } => {
                    if *found == Reconciled::Adopted {
                        assert!(self.leases.insert(lease.unwrap()));
                    }
                    unasked = true;
                }
                Event::Moved { to, .. } => unasked |= *to == LeaseState::Active,
                Event::CapacityChanged { .. } | Event::PolicyChanged { .. } => moved_limit = true,
                Event::Downgraded {
                    lease,
                    ticket,
                    subject,
                    ..
                } => {
                    assert!(self.leases.insert(*lease), "{lease} began twice");
                    assert!(
                        ticket.is_none_or(|t| self.tickets.remove(&t)),
                        "ended twice"
                    );
                    let claimed = self.core.leases.get(lease).is_some_and(|lease| {
                        matches!(
                            lease.reason,
                            Reason::Replacement | Reason::Resume | Reason::Yields
                        )
                    });
                    unasked |= claimed;
                    // A remux may be let in where transcodes are over a limit.
                    if subject.gpu.is_some() && !claimed {
                        asked.push(*lease);
                    }
                }
                Event::Preempting { subject, .. } => {
                    assert_eq!(subject.class.as_str(), "default", "only whom a rule names");
                }
                Event::EndJob { subject, ended, .. } => {
                    let named = subject.class.as_str() == "default";
                    assert!(
                        *ended != Ended::Preempted || named,
                        "only whom a rule names"
                    );
                }
                Event::Operator { .. } => {}
            }
        }
        let by_rules = events.iter().all(|event| match event {
            Event::Admitted { reason, .. } => {
                matches!(reason, Reason::Fits | Reason::Cheap | Reason::RunsAlone)
            }
            Event::Granted { lease, .. } | Event::Downgraded { lease, .. } => {
                let lease = self.core.leases.get(lease);
                lease.is_some_and(|lease| {
                    !matches!(
                        lease.reason,
                        Reason::Replacement
                            | Reason::Resume
                            | Reason::Yields
                            | Reason::Adopted
                            | Reason::Operator
                    )
                })
            }
            Event::Moved { .. } | Event::Reconciled { .. } | Event::PolicyChanged { .. } => false,
            _ => true,
        });
        let core = &self.core;
        let known: HashSet<LeaseId> = core.leases.keys().copied().collect();
        assert_eq!(
            known, self.leases,
            "leases began and ended as told ({what})"
        );
        let waiting: HashSet<Ticket> = core.queue.iter().map(|(ticket, _)| ticket).collect();
        assert_eq!(
            waiting, self.tickets,
            "tickets began and ended as told ({what})"
        );
        self.check_sums();
        self.check_indexes();
        for (ticket, waiter) in core.queue.iter() {
            let claim = core.claim(core.latest, &waiter.asked);
            let holds = core.holds_claim(&claim, &waiter.asked, Some(waiter.place));
            assert!(
                !matches!(holds, Holds::Yes(..)),
                "{ticket} has a claim and waits in {:?} ({what})",
                waiter.line
            );
            let verdict = core.judge(&waiter.asked, waiter.place, claim.freed);
            assert!(verdict.block.is_some(), "{ticket} fits and waits ({what})");
            if waiter.asked.limits.when_full.steps_first() {
                let step = core.step_for(core.latest, &waiter.asked, waiter.place);
                assert!(
                    step.is_none(),
                    "{ticket} could step down and waits ({what})"
                );
            }
        }
        let over = self.over();
        // A window opening moves class limits without an event.
        let swung = moved_limit || unasked || what == "timer" && !core.policy.windows.is_empty();
        for (limit, is) in &over {
            let was = self.before.get(limit).copied().unwrap_or(false);
            let swung = if limit.starts_with("uplink") {
                !by_rules || self.flowed
            } else {
                swung
            };
            assert!(
                !is || was || swung,
                "{limit} was exceeded by {events:?} ({what})"
            );
        }
        if !unasked {
            for lease in asked.iter().filter_map(|id| core.leases.get(id)) {
                for (limit, is) in over.iter().filter(|(limit, _)| concerns(limit, lease)) {
                    assert!(
                        !is,
                        "{limit} does not bear what was admitted: {events:?} ({what})"
                    );
                }
            }
        }
        self.before = over;
        self.check_sentences(&events);
        self.flowed = false;
    }

    /// What stands before this demand by class, if it goes on where it is: the best that waits or was missed.
    pub(super) fn who_waits(&self, demand: &Demand) -> Option<(bool, u32)> {
        let core = &self.core;
        let gpu = core.policy.gpu_index(&demand.node)?;
        let rank = |class: usize| {
            let priority = core.policy.classes[class].priority;
            (core.borrows(gpu, class), u32::MAX - priority)
        };
        let own = core.policy.class_index(&demand.who)?;
        let waits = core.queue.lanes(gpu).map(|(lane, _, _)| lane.class);
        let missed = core.missed.iter().filter(|m| m.lane.gpu == gpu);
        let before = waits.chain(missed.map(|m| m.lane.class)).map(rank).min()?;
        let always = core.policy.limits_of(&demand.who).yields == Yields::Always;
        (before < rank(own) || always).then_some(before)
    }

    /// Nobody steps down for who does not go before him, and nobody who holds on gives seats away that nobody has.
    pub(super) fn check_yielding(&self, decision: &Decision, before: Option<(bool, u32)>) {
        if let Decision::Downgrade {
            lease,
            reason: Reason::Yields,
            ..
        } = decision
        {
            assert!(before.is_some(), "it yields, but to nobody");
            let lease = self.core.leases.get(lease);
            assert!(
                lease.is_none_or(|lease| lease.asked.keeps > lease.asked.cost),
                "what it yields stays with it until its old job is gone"
            );
        }
    }

    fn check_sums(&self) {
        let core = &self.core;
        let mut all = Usage::default();
        let mut gpus = vec![Usage::default(); core.policy.gpus.len()];
        let mut classes = vec![Usage::default(); core.policy.classes.len()];
        let mut users: BTreeMap<&UserId, Usage> = BTreeMap::new();
        let mut libraries = vec![Usage::default(); core.policy.libraries.len()];
        for lease in core.leases.values() {
            assert_eq!(lease.held, Lease::holds(&lease.asked, lease.state));
            assert_ne!(lease.state, LeaseState::Ended);
            assert_eq!(lease.sentence.is_some(), core.sentenced.contains(&lease.id));
            if let Some(at) = lease.sentence {
                let due = lease.fate(&core.policy.timers).0;
                assert!(due <= at, "a sentence is carried out in any state");
            }
            let account = &lease.asked.account;
            add(&mut all, lease.held);
            if let Some(gpu) = account.gpu {
                add(&mut gpus[gpu], lease.held);
            }
            add(&mut classes[account.class], lease.held);
            add(users.entry(&account.user).or_default(), lease.held);
            for rule in &account.libraries {
                add(&mut libraries[*rule], lease.held);
            }
        }
        assert_eq!(all, core.ledger.all());
        for (index, usage) in gpus.iter().enumerate() {
            assert_eq!(*usage, core.ledger.gpu(index));
        }
        for (index, usage) in classes.iter().enumerate() {
            assert_eq!(*usage, core.ledger.class(index));
        }
        for (index, usage) in libraries.iter().enumerate() {
            assert_eq!(*usage, core.ledger.library(index));
        }
        users.retain(|_, usage| *usage != Usage::default());
        assert_eq!(
            users,
            core.ledger
                .users()
                .map(|(user, usage)| (user, *usage))
                .collect()
        );
    }

    fn check_indexes(&self) {
        let core = &self.core;
        let mut timers = core.queue.len() + core.rights.len();
        for lease in core.leases.values() {
            let armed = lease.armed.unwrap();
            assert!(
                core.timers.contains(&(armed, Timer::Lease(lease.id))),
                "each lease has a timer"
            );
            assert!(
                armed <= lease.fate(&core.policy.timers).0,
                "and it is not late"
            );
            assert!(core.screens[&lease.screen()].contains(&lease.id));
            timers += 1;
        }
        let screens: usize = core.screens.values().map(BTreeSet::len).sum();
        assert_eq!(screens, core.leases.len());
        for (session, known) in &core.sessions {
            match known {
                Known::Lease(id) => assert_eq!(core.leases[id].session(), Some(session)),
                Known::Alias(id) => assert!(core.leases[id].aliases.contains(session)),
                Known::Right(screen) => assert!(core.rights.contains_key(screen)),
            }
        }
        assert!(core.index == core.recounted(), "the lists are right");
        assert!(
            core.ledger.meter.lists_all_idle(),
            "who may be forgotten is known"
        );
        assert!(core.queue.lists_all(), "who waits is listed");
        let ends: usize = core.foresight.known().count();
        let frees = core.leases.values().filter(|lease| lease.frees.is_some());
        assert_eq!(ends, frees.count(), "each known end has its lease");
        for (gpu, at, id) in core.foresight.known() {
            let lease = &core.leases[&id];
            assert_eq!(lease.frees, Some((gpu, at)));
            assert_eq!(lease.asked.account.gpu, Some(gpu));
            assert!(lease.held.transcode, "only what is held comes free");
        }
        for (_, timer) in &core.timers {
            if let Timer::Preempt(ticket) = timer {
                assert!(
                    core.queue
                        .get(*ticket)
                        .is_some_and(|w| w.preempts.is_some())
                );
            }
        }
        for (_, waiter) in core.queue.iter() {
            assert!(waiter.passed <= waiter.asked.cost, "it is not starved");
        }
        let others = core.timers.iter().filter(|(_, timer)| {
            matches!(
                timer,
                Timer::Recheck(_) | Timer::Preempt(_) | Timer::Window | Timer::Step(_)
            )
        });
        assert_eq!(
            core.timers.len(),
            timers + others.count(),
            "no timer outlives its owner"
        );
    }

    /// Which enforced limits are exceeded now. A job alone on its GPU never exceeds it.
    fn over(&self) -> BTreeMap<String, bool> {
        let mut over = BTreeMap::new();
        let core = &self.core;
        let policy = &core.policy;
        if policy.mode == Mode::Observe {
            return over;
        }
        let mut note = |name: &str, of: &str, is: bool| {
            let mut limit = String::with_capacity(24);
            write!(limit, "{name} {of}").unwrap();
            over.insert(limit, is);
        };
        for (index, gpu) in policy.gpus.iter().enumerate() {
            let used = core.ledger.gpu(index);
            let full = used.seats > core.capacity_of(index, Mode::Enforce) && used.transcodes > 1;
            let count = gpu.max_sessions.is_some_and(|most| used.transcodes > most);
            note("gpu", gpu.id.as_str(), full || count);
        }
        for (index, class) in policy.classes.iter().enumerate() {
            let used = core.ledger.class(index);
            let mut full = class.transcodes.is_some_and(|most| used.transcodes > most)
                || class.seats.is_some_and(|most| used.seats > most);
            for window in core.windows_now(&class.id) {
                full |= window.transcodes.is_some_and(|most| used.transcodes > most);
            }
            note("class", class.id.as_str(), full);
        }
        if policy.user.mode == Mode::Enforce {
            for (user, used) in core.ledger.users() {
                let full = policy
                    .user
                    .transcodes
                    .is_some_and(|most| used.transcodes > most)
                    || policy.user.seats.is_some_and(|most| used.seats > most)
                    || policy.user.streams.is_some_and(|most| used.streams > most);
                note("user", user.as_str(), full);
            }
        }
        if policy.uplink.mode == Mode::Enforce
            && let Some(limit) = policy.uplink.limit
        {
            let used = core.ledger.all().rate.plus(core.flow);
            note("uplink", "", used > limit);
        }
        note(
            "server",
            "",
            policy
                .transcodes
                .is_some_and(|most| core.ledger.all().transcodes > most),
        );
        over
    }
}

fn add(usage: &mut Usage, hold: Hold) {
    usage.seats = usage.seats.plus(hold.seats);
    if hold.reserved {
        usage.reserved = usage.reserved.plus(hold.seats);
    }
    usage.transcodes += u32::from(hold.transcode);
    usage.streams += u32::from(hold.stream);
    usage.rate = usage.rate.plus(hold.rate);
}

fn concerns(limit: &str, lease: &Lease) -> bool {
    let subject = &lease.asked.subject;
    let video = lease.is_video();
    let (what, of) = limit.split_once(' ').unwrap();
    match what {
        "gpu" => video && subject.gpu.as_ref().is_some_and(|gpu| gpu.as_str() == of),
        "class" => video && subject.class.as_str() == of,
        "user" => subject.user.as_str() == of,
        // What goes on with as much as before is let in over it.
        "uplink" => false,
        _ => video,
    }
}
