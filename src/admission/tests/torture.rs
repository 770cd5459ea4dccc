//! Random operations in small worlds; every invariant after every step.
//!
//! `FINWEIR_TORTURE_STEPS` sets the number of steps, `FINWEIR_TORTURE_SEED` the first seed (a failure names it).

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use super::{
    super::lease::Lease,
    super::ledger::{Hold, Usage},
    *,
};

const STEPS_OF_A_WORLD: u64 = 2500;

/// Small, fast, and the same everywhere (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()].clone()
    }

    fn maybe(&mut self, least: u64, most: u64) -> Option<u32> {
        self.one_in(2)
            .then(|| u32::try_from(least + self.roll(most - least + 1)).unwrap())
    }
}

/// Names, made once: making them is dearer than a step.
struct Names {
    users: Vec<Who>,
    items: Vec<ItemId>,
    nodes: Vec<NodeId>,
    libraries: Vec<Option<Arc<str>>>,
}

struct Torture {
    dice: Dice,
    names: Names,
    core: Admission,
    now: Instant,
    sessions: Vec<PlaySessionId>,
    named: u64,
    leases: HashSet<LeaseId>,
    tickets: HashSet<Ticket>,
    before: BTreeMap<String, bool>,
}

fn random_policy(dice: &mut Dice) -> Policy {
    let mut policy = policy(1000 + 500 * u32::try_from(dice.roll(10)).unwrap());
    if dice.one_in(12) {
        policy.mode = Mode::Observe;
    }
    policy.gpus[0].learn = dice.one_in(2);
    policy.gpus[0].max_sessions = dice.maybe(1, 4);
    policy.gpus.push(Gpu {
        id: "other".into(),
        capacity: seats(2500),
        ..policy.gpus[0].clone()
    });
    policy.nodes.push(Node {
        id: "second".into(),
        gpu: "gpu".into(),
    });
    policy.nodes.push(Node {
        id: "third".into(),
        gpu: "other".into(),
    });
    policy.transcodes = dice.maybe(2, 6);
    policy.user.transcodes = dice.maybe(1, 3);
    policy.user.streams = dice.maybe(2, 4);
    policy.user.seats = dice.maybe(1, 4).map(|n| seats(n * 1000));
    if dice.one_in(6) {
        policy.user.mode = Mode::Observe;
    }
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["a*".to_owned()];
    family.priority = 10;
    family.transcodes = dice.maybe(1, 4);
    family.seats = dice.maybe(1, 6).map(|n| seats(n * 1000));
    let mut guests = Class::everybody();
    guests.transcodes = dice.maybe(1, 3);
    guests.max_wait = dice.one_in(3).then(|| secs(4));
    if dice.one_in(8) {
        guests.uhd = Access::Deny;
    }
    policy.classes = vec![family, guests];
    if dice.one_in(3) {
        policy.libraries.push(LibraryRule {
            library: "Films*".to_owned(),
            classes: Vec::new(),
            transcode: Access::Allow,
            uhd: Access::Allow,
            transcodes: Some(1),
            mode: Mode::Enforce,
        });
    }
    if dice.one_in(3) {
        policy.windows.push(Window {
            name: "evening".to_owned(),
            days: Days::ALL,
            from: 1200,
            to: 30,
            classes: Vec::new(),
            transcode: Access::Allow,
            uhd: Access::Allow,
            transcodes: dice.maybe(1, 3),
            capacity: Fraction::new(0.5),
            gpus: Vec::new(),
            mode: Mode::Enforce,
        });
    }
    policy.queue = QueueBounds {
        length: 6,
        per_user: 3,
        max_wait: secs(15),
    };
    policy.end_dead_jobs = dice.one_in(2);
    policy
}

impl Torture {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let policy = random_policy(&mut dice);
        policy.check().unwrap();
        let now = crate::clock::now();
        let devices = ["tv", "phone", "web"];
        let mut users = Vec::new();
        for user in ["ann", "amy", "bob", "cid"] {
            users.extend(devices.iter().map(|device| who(user, device)));
        }
        users.push(who("anonymous", ""));
        let names = Names {
            users,
            items: ["one", "two", "three"].iter().map(ItemId::new).collect(),
            nodes: ["node", "second", "third"]
                .iter()
                .map(NodeId::new)
                .collect(),
            libraries: vec![None, Some(Arc::from("Films 4K"))],
        };
        let mut core = Admission::new(now, Arc::new(policy));
        if dice.one_in(2) {
            core.set_minute_of_week(now, u16::try_from(dice.roll(10_080)).unwrap());
        }
        Self {
            dice,
            names,
            core,
            now,
            sessions: Vec::new(),
            named: 0,
            leases: HashSet::new(),
            tickets: HashSet::new(),
            before: BTreeMap::new(),
        }
    }

    fn demand(&mut self) -> Demand {
        let dice = &mut self.dice;
        let work = match dice.roll(4) {
            0 => Work::UNKNOWN,
            1 => Work {
                size_in: (1280, 720),
                size_out: (1280, 720),
                ..ONE
            },
            _ => ONE,
        };
        let kind = match dice.roll(8) {
            0 => Kind::Direct,
            1 => Kind::Remux,
            _ => Kind::Video(work),
        };
        let stream = dice.one_in(4);
        let known = !self.sessions.is_empty() && dice.one_in(6);
        let session = if known {
            Some(dice.pick(&self.sessions))
        } else if stream {
            self.named += 1;
            Some(PlaySessionId::new(format!("s{}", self.named)))
        } else {
            None
        };
        if let (Some(session), false) = (&session, known) {
            self.sessions.push(session.clone());
        }
        Demand {
            who: dice.pick(&self.names.users),
            item: dice.pick(&self.names.items),
            session,
            node: dice.pick(&self.names.nodes),
            kind,
            origin: if stream {
                Origin::Stream
            } else {
                Origin::Negotiation
            },
            library: dice.pick(&self.names.libraries),
            rungs: Vec::new(),
            patience: secs(dice.pick(&[0, 3, 10, 60])),
        }
    }

    fn session(&mut self) -> PlaySessionId {
        if self.sessions.len() > 24 {
            let surplus = self.sessions.len() - 24;
            self.sessions.drain(..surplus);
        }
        if self.sessions.is_empty() {
            "nobody".into()
        } else {
            self.dice.pick(&self.sessions)
        }
    }

    fn lease(&mut self) -> LeaseId {
        let mut ids: Vec<_> = self.leases.iter().copied().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            LeaseId(0)
        } else {
            self.dice.pick(&ids)
        }
    }

    fn activity(&mut self) -> Activity {
        match self.dice.roll(12) {
            0 => Activity::Playlist,
            1 => Activity::Stream,
            2 => Activity::StreamEnded,
            3 => Activity::Started,
            4 => Activity::Progress {
                paused: true,
                position: Some(Duration::ZERO),
            },
            5 => Activity::Progress {
                paused: true,
                position: Some(secs(60)),
            },
            6 => Activity::Progress {
                paused: false,
                position: Some(secs(90)),
            },
            7 => Activity::Progress {
                paused: false,
                position: None,
            },
            _ => Activity::Segment {
                index: self.dice.roll(40).cast_signed() - 1,
            },
        }
    }

    /// One random operation, told in words for a failure.
    fn step(&mut self) {
        let pace = self.dice.pick(&[0, 0, 0, 100, 500, 2000, 9000, 31_000]);
        self.now += Duration::from_millis(pace);
        // One moment at a time, so that what each timer does is looked at alone.
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= self.now) {
            self.core.advance(at);
            self.check("timer");
        }
        let now = self.now;
        let op = self.dice.roll(100);
        match op {
            0..18 => {
                let demand = self.demand();
                let session = demand.session.is_some();
                let decision = self.core.decide(now, demand);
                if let Decision::Admit { lease, .. } = decision
                    && !session
                    && !self.dice.one_in(8)
                {
                    self.named += 1;
                    let session = PlaySessionId::new(format!("s{}", self.named));
                    self.core.bind(now, lease, &session);
                    self.sessions.push(session);
                }
            }
            18..40 => {
                let (session, activity) = (self.session(), self.activity());
                let kind = if self.dice.one_in(5) {
                    Kind::Video(Work::UNKNOWN)
                } else {
                    Kind::Video(ONE)
                };
                let _ = self.core.confirm(now, &session, &kind, activity);
            }
            40..66 => {
                let (session, activity) = (self.session(), self.activity());
                self.core.touch(now, &session, activity);
            }
            66..72 => {
                let session = self.session();
                let why = if self.dice.one_in(6) {
                    Ended::Revoked
                } else {
                    Ended::Stopped
                };
                self.core.stop(now, &session, why);
            }
            72..78 => {
                let lease = self.lease();
                let why = self.dice.pick(&[Ended::Undelivered, Ended::UpstreamFailed]);
                self.core.release(now, lease, why);
                self.check("release");
                self.core.release(now, lease, why);
                assert!(self.core.events.is_empty(), "a second release does nothing");
            }
            78..82 => {
                let tickets = self.core.in_order();
                if !tickets.is_empty() {
                    let ticket = self.dice.pick(&tickets);
                    self.core.withdraw(now, ticket);
                    self.core.withdraw(now, ticket);
                }
            }
            82..84 => {
                let who = self.dice.pick(&self.names.users);
                self.core.supersede(now, &who.user, &who.device);
            }
            84..87 => {
                let (who, activity) = (self.dice.pick(&self.names.users), self.activity());
                self.core
                    .touch_device(now, &who.user, &who.device, activity);
            }
            87..91 => {
                let gpu = self.core.policy.gpus[0].id.clone();
                let throughput = self.dice.one_in(2).then_some(4.0);
                let starving = u32::from(self.dice.one_in(3));
                self.core.sample(
                    now,
                    &gpu,
                    Sample {
                        throughput,
                        starving,
                    },
                );
            }
            91..99 => self.poll(),
            _ => {
                if self.dice.one_in(3) {
                    let policy = random_policy(&mut self.dice);
                    self.core.set_policy(now, Arc::new(policy));
                } else if self.dice.one_in(20) {
                    self.core.drain(now);
                }
            }
        }
        self.check(&format!("operation {op}"));
        self.core.advance(now);
        assert!(
            self.core.events.is_empty(),
            "a second advance to one moment does nothing"
        );
        assert!(
            self.core.next_deadline().is_none_or(|at| at > now),
            "nothing is overdue"
        );
    }

    fn poll(&mut self) {
        let node = self.dice.pick(&self.names.nodes);
        let mut running = Vec::new();
        let mut ids: Vec<_> = self.leases.iter().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let lease = &self.core.leases[&id];
            if lease.asked.demand.node != node || self.dice.one_in(4) {
                continue;
            }
            let completion = self
                .dice
                .pick(&[None, Some(0.2), Some(0.4), Some(0.7), Some(1.0)]);
            let demand = &lease.asked.demand;
            running.push((
                demand.who.clone(),
                demand.item.clone(),
                demand.kind,
                completion,
            ));
        }
        if self.dice.one_in(6) {
            let demand = self.demand();
            running.push((demand.who, demand.item, demand.kind, Some(0.1)));
        }
        let running: Vec<Running> = running
            .into_iter()
            .map(|(who, item, kind, completion)| Running {
                who,
                item,
                kind,
                completion,
                runtime: Some(secs(600)),
                position: Some(secs(self.dice.roll(600))),
                paused: self.dice.one_in(4),
            })
            .collect();
        self.core.reconcile(self.now, &node, &running);
    }

    /// Every invariant.
    fn check(&mut self, what: &str) {
        let events = self.core.drain_events();
        let mut asked = Vec::new();
        let mut unasked = false;
        let mut moved_limit = false;
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
                    let reason = self.core.leases.get(lease).map(|lease| lease.reason);
                    if reason == Some(Reason::Waited) {
                        asked.push(*lease);
                    } else {
                        unasked = true;
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
                    assert!(self.leases.remove(lease), "{lease} ended twice")
                }
                Event::Reconciled { lease, found, .. } => {
                    if *found == Reconciled::Adopted {
                        assert!(self.leases.insert(lease.unwrap()));
                    }
                    unasked = true;
                }
                Event::Moved { to, .. } => unasked |= *to == LeaseState::Active,
                Event::CapacityChanged { .. } | Event::PolicyChanged { .. } => moved_limit = true,
                Event::Downgraded { .. } => panic!("nothing steps down yet"),
                Event::EndJob { .. } => {}
            }
        }
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
            assert!(
                core.holds_claim(&claim, &waiter.asked).is_none(),
                "{ticket} has a claim and waits ({what})"
            );
            let verdict = core.judge(&waiter.asked, waiter.place, claim.freed());
            assert!(verdict.block.is_some(), "{ticket} fits and waits ({what})");
        }
        let over = self.over();
        // A window opening moves class limits without an event.
        let swung = moved_limit || unasked || what == "timer" && !core.policy.windows.is_empty();
        for (limit, is) in &over {
            let was = self.before.get(limit).copied().unwrap_or(false);
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
        let screens: usize = core.screens.values().map(Vec::len).sum();
        assert_eq!(screens, core.leases.len());
        for (session, known) in &core.sessions {
            match known {
                Known::Lease(id) => assert_eq!(core.leases[id].session(), Some(session)),
                Known::Alias(id) => assert!(core.leases[id].aliases.contains(session)),
                Known::Right(screen) => assert!(core.rights.contains_key(screen)),
            }
        }
        let others = core.timers.iter().filter(|(_, timer)| {
            matches!(timer, Timer::Recheck(_) | Timer::Window | Timer::Step(_))
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
}

fn concerns(limit: &str, lease: &Lease) -> bool {
    let subject = &lease.asked.subject;
    let video = lease.is_video();
    let (what, of) = limit.split_once(' ').unwrap();
    match what {
        "gpu" => video && subject.gpu.as_ref().is_some_and(|gpu| gpu.as_str() == of),
        "class" => video && subject.class.as_str() == of,
        "user" => subject.user.as_str() == of,
        _ => video,
    }
}

fn torture(seed: u64, steps: u64) {
    let mut world = Torture::new(seed);
    for _ in 0..steps {
        world.step();
    }
    // Time alone gives everything back.
    let far = world.now + secs(3 * 24 * 3600);
    while let Some(at) = world.core.next_deadline().filter(|at| *at <= far) {
        if world.core.leases.is_empty()
            && world.core.queue.len() == 0
            && world.core.rights.is_empty()
        {
            break;
        }
        world.core.advance(at);
        world.check("timer");
    }
    let core = &world.core;
    assert!(core.leases.is_empty() && core.sessions.is_empty() && core.screens.is_empty());
    assert!(core.rights.is_empty() && core.queue.len() == 0);
    assert_eq!(core.ledger.all(), Usage::default());
    assert_eq!(core.ledger.users().count(), 0);
}

#[test]
fn nothing_is_oversold_lost_or_stranded_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let steps = number("FINWEIR_TORTURE_STEPS").unwrap_or(1_000_000);
    let first = number("FINWEIR_TORTURE_SEED").unwrap_or(1);
    let worlds = steps.div_ceil(STEPS_OF_A_WORLD);
    let next = std::sync::atomic::AtomicU64::new(0);
    let run = || {
        loop {
            let world = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if world >= worlds {
                return;
            }
            let seed = first + world;
            let result = std::panic::catch_unwind(|| torture(seed, STEPS_OF_A_WORLD));
            assert!(
                result.is_ok(),
                "seed {seed} failed: FINWEIR_TORTURE_STEPS=1 FINWEIR_TORTURE_SEED={seed}"
            );
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let ran = worlds * STEPS_OF_A_WORLD;
    #[expect(clippy::print_stdout, reason = "`just torture` shows it")]
    {
        println!("{ran} random steps in {worlds} worlds, every invariant after each");
    }
    assert!(ran >= steps);
}
