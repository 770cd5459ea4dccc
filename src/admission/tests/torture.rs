//! Random operations in small worlds.

mod outside;
mod sentences;

use std::collections::{BTreeMap, HashSet};

use super::{
    super::{capacity::Sample, ledger::Usage},
    houses::{ladder, random_policy, wider},
    *,
};

/// Small, fast, and the same everywhere (xorshift64*).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()].clone()
    }

    pub(super) fn maybe(&mut self, least: u64, most: u64) -> Option<u32> {
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

pub(super) struct Torture {
    dice: Dice,
    names: Names,
    pub(super) core: Admission,
    now: Instant,
    sessions: Vec<PlaySessionId>,
    named: u64,
    pub(super) leases: HashSet<LeaseId>,
    pub(super) tickets: HashSet<Ticket>,
    pub(super) before: BTreeMap<String, bool>,
    /// What flows beside the leases has just been told.
    pub(super) flowed: bool,
    /// Streams that were to be ended after the last step, and their screens.
    sentenced: Vec<(LeaseId, (UserId, crate::ident::DeviceId))>,
    /// How many were told, passed on, carried out before the play had begun, and after it was closed.
    fates: [u64; 4],
}

impl Torture {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let policy = random_policy(&mut dice);
        policy.check().unwrap();
        let now = t0();
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
            flowed: false,
            sentenced: Vec::new(),
            fates: [0; 4],
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
            origin: match (stream, dice.pick(&[true, false])) {
                (true, true) => Origin::Stream,
                (true, false) => Origin::Running,
                (false, _) => Origin::Negotiation,
            },
            library: dice.pick(&self.names.libraries),
            rate: Bitrate::new(dice.pick(&[0, 2, 8, 30]) * 1_000_000),
            rungs: {
                let rungs = ladder(dice.roll(5));
                wider(dice, rungs)
            },
            would: None,
            patience: secs(dice.pick(&[0, 3, 10, 60])),
            replaces: !stream && dice.one_in(6),
            why: None,
        }
    }

    /// What somebody who plays asks when he changes something.
    fn asks_again(&mut self, id: LeaseId) -> Option<Demand> {
        let lease = self.core.leases.get(&id)?;
        let demand = lease.asked.demand.clone();
        let work = self.dice.pick(&[ONE, ONE, Work::UNKNOWN]);
        Some(Demand {
            session: None,
            kind: Kind::Video(work),
            origin: Origin::Negotiation,
            rungs: ladder(self.dice.roll(4)),
            patience: secs(self.dice.pick(&[0, 20])),
            ..demand
        })
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

    fn ask(&mut self, demand: Demand) {
        let now = self.now;
        let session = demand.session.is_some();
        let wish = demand.clone();
        let before = self.who_waits(&demand);
        let decision = self.core.decide(now, demand);
        self.check_yielding(&decision, before);
        if let Decision::Reject { reason, .. } = decision {
            self.check_refusal(now, wish, reason);
        }
        if let Decision::Admit { lease, .. } | Decision::Downgrade { lease, .. } = decision
            && !session
            && !self.dice.one_in(8)
        {
            self.named += 1;
            let session = PlaySessionId::new(format!("s{}", self.named));
            self.core.bind(now, lease, &session);
            self.sessions.push(session);
        }
    }

    /// One random operation, told in words for a failure.
    fn step(&mut self) {
        let paces: &[u64] = if self.sentenced.is_empty() {
            &[0, 0, 0, 100, 500, 2000, 9000, 31_000]
        } else {
            &[0, 0, 100, 500, 2000]
        };
        let pace = self.dice.pick(paces);
        self.now += Duration::from_millis(pace);
        // One moment at a time, so that what each timer does is looked at alone.
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= self.now) {
            self.core.advance(at);
            self.check("timer");
        }
        let now = self.now;
        if !self.sentenced.is_empty() && self.dice.one_in(3) {
            self.squirm();
            self.check("a way out of a sentence");
            return;
        }
        let op = self.dice.roll(100);
        match op {
            0..18 => {
                let id = self.lease();
                let again = self.dice.one_in(3).then(|| self.asks_again(id)).flatten();
                let demand = match again {
                    Some(demand) => demand,
                    None => self.demand(),
                };
                self.ask(demand);
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
                let why = Ended::Undelivered;
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
            82..87 => {
                let (who, activity) = (self.dice.pick(&self.names.users), self.activity());
                self.core
                    .touch_device(now, &who.user, &who.device, activity);
            }
            87 => {
                let bits = self.dice.pick(&[0, 0, 5, 40]) * 1_000_000;
                self.core.set_flow(now, Bitrate::new(bits));
                self.flowed = true;
            }
            88..91 => {
                let throughput = self.dice.one_in(2).then_some(4.0);
                let starving = u32::from(self.dice.one_in(3));
                let sample = Sample {
                    throughput,
                    starving,
                };
                self.core.advance(now);
                self.core.learn(now, 0, sample);
                self.core.settle(now);
            }
            91..96 => self.poll(),
            96 => self.order(),
            97 => {
                let (user, bytes) = (self.dice.pick(&self.names.users).user, self.dice.roll(300));
                self.core.spend_bytes(now, &user, bytes);
            }
            98 => {
                let day = i8::try_from(1 + self.dice.roll(5)).unwrap();
                self.core.set_today(
                    now,
                    Today {
                        date: jiff::civil::date(2026, 11, day),
                        day_left: secs(3600),
                        week_left: secs(7200),
                    },
                );
            }
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
}

/// Returns what happened to sentences.
pub(super) fn torture(seed: u64, steps: u64) -> [u64; 4] {
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
    world.fates
}
