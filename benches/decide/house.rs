//! A house at full size: leases that hold all there is, and waiters for more.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use finweir::{
    admission::{
        Activity, Admission, Bitrate, Class, Codec, Decision, Demand, Event, GPU_SECOND, Hdr, Kind,
        Measure, Mode, Origin, Period, Policy, Preemption, Quota, Rung, Running, Seats, Today, Who,
        Work,
    },
    ident::{ClassId, GpuId, ItemId, LeaseId, NodeId, PlaySessionId, UserId},
};

/// A transcode of exactly one seat.
pub(crate) const WORK: Work = Work {
    codec_in: Codec::H264,
    size_in: (1920, 1080),
    millifps: 30_000,
    bits: 8,
    hdr: Hdr::Sdr,
    codec_out: Codec::H264,
    size_out: (1920, 1080),
    tone_map: false,
    burn_in: false,
};
/// What a transcode sends, bit/s.
const RATE: u64 = 6_000_000;
/// How old the house is when it is measured: nobody has left for so long that every wait looks vain.
const AGE: Duration = Duration::from_secs(100 * 3600);
/// Longer than anything is measured.
pub(crate) const EVER: Duration = Duration::from_secs(10_000 * 3600);

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) leases: u32,
    pub(crate) waiters: u32,
}

/// What is in force beside the seats of the GPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// A class may have streams of the others ended.
    pub(crate) preempt: bool,
    /// The line out of the house is limited, and full.
    pub(crate) uplink: bool,
    /// Everybody has quotas.
    pub(crate) quotas: bool,
}

/// The core, filled.
pub(crate) struct House {
    pub(crate) core: Admission,
    pub(crate) now: Instant,
    pub(crate) sessions: Vec<PlaySessionId>,
    leases: VecDeque<LeaseId>,
    named: u32,
}

fn policy(size: Size, rules: Rules) -> Policy {
    let capacity = Seats::from_milli(size.leases * 1000);
    let mut policy = Policy::observe(NodeId::new("node"), GpuId::new("gpu"), capacity);
    policy.mode = Mode::Enforce;
    policy.queue.length = size.waiters + 10;
    policy.queue.max_wait = EVER;
    policy.timers.idle = EVER;
    if rules.preempt {
        let mut family = Class::everybody();
        family.id = ClassId::new("family");
        family.users = vec!["family*".to_owned()];
        family.priority = 10;
        family.preempt = vec![ClassId::new("default")];
        policy.classes.insert(0, family);
        policy.preemption = Preemption {
            grace: Duration::from_secs(5),
            every: Duration::ZERO,
        };
    }
    if rules.uplink {
        policy.uplink.limit = Some(Bitrate::new(u64::from(size.leases) * RATE));
    }
    if rules.quotas {
        let quota = |measure, period, limit| Quota {
            measure,
            period,
            limit,
        };
        policy.user.quotas = [
            quota(Measure::GpuTime, Period::Day, GPU_SECOND * 10_000_000),
            quota(Measure::Plays, Period::Week, 1_000),
            quota(Measure::Bytes, Period::Week, u64::MAX),
        ]
        .into();
    }
    policy
}

impl House {
    pub(crate) fn new(size: Size, rules: Rules) -> Self {
        let now = Instant::now();
        let mut house = Self {
            core: Admission::new(now, Arc::new(policy(size, rules))),
            now,
            sessions: Vec::new(),
            leases: VecDeque::new(),
            named: 0,
        };
        house.tell_date(25);
        for _ in 0..size.leases {
            let demand = house.guest(0);
            let Decision::Admit { lease, .. } = house.core.decide(now, demand) else {
                panic!("there is room");
            };
            house.begin(lease);
        }
        for n in 0..size.waiters {
            let mut demand = house.guest(EVER.as_secs());
            // Bitrates differ, as films do.
            demand.rate = Bitrate::new(RATE + u64::from(n % 8) * 1_000_000);
            assert!(matches!(
                house.core.decide(now, demand),
                Decision::Queue { .. }
            ));
        }
        house.now += AGE;
        house.core.advance(house.now);
        house.core.drain_events();
        house
    }

    pub(crate) fn tell_date(&mut self, day: i8) {
        let today = Today {
            date: jiff::civil::date(2026, 11, day),
            day_left: EVER,
            week_left: EVER,
        };
        self.core.set_today(self.now, today);
    }

    /// A demand of somebody who was never here.
    fn demand(&mut self, name: &str, patience: u64) -> Demand {
        self.named += 1;
        let n = self.named;
        Demand {
            who: Who {
                user: UserId::new(format!("{n:032x}")),
                name: Some(Arc::from(format!("{name}{n}"))),
                admin: false,
                device: format!("device{n}").as_str().into(),
                client: Arc::from("Jellyfin Web"),
                address: None,
            },
            item: ItemId::new(format!("{:032x}", n % 5000)),
            session: None,
            node: NodeId::new("node"),
            kind: Kind::Video(WORK),
            origin: Origin::Negotiation,
            library: None,
            rate: Bitrate::new(RATE),
            rungs: Vec::new(),
            would: None,
            patience: Duration::from_secs(patience),
            replaces: false,
            why: None,
        }
    }

    pub(crate) fn guest(&mut self, patience: u64) -> Demand {
        self.demand("user", patience)
    }

    /// One of the class that goes first, who would wait in vain: a film of so many frames a second.
    pub(crate) fn family(&mut self, millifps: u32) -> Demand {
        Demand {
            kind: Kind::Video(Work { millifps, ..WORK }),
            ..self.demand("family", 12)
        }
    }

    /// A guest whose player has four smaller forms.
    pub(crate) fn with_rungs(&mut self) -> Demand {
        let rung = |index| Rung {
            kind: Kind::Video(Work {
                size_out: (1280 - 8 * u32::try_from(index).unwrap(), 720),
                ..WORK
            }),
            rate: Bitrate::new(3_000_000),
            index,
        };
        Demand {
            rungs: (0..4).map(rung).collect(),
            ..self.guest(0)
        }
    }

    /// A lease that was given out is played.
    pub(crate) fn begin(&mut self, lease: LeaseId) {
        let session = PlaySessionId::new(format!("{:032x}", lease.0));
        self.core.bind(self.now, lease, &session);
        self.core
            .touch(self.now, &session, Activity::Segment { index: 0 });
        self.sessions.push(session);
        self.leases.push_back(lease);
    }

    /// The lease that was granted longest ago.
    pub(crate) fn oldest(&mut self) -> LeaseId {
        self.leases.pop_front().unwrap()
    }

    /// Who was granted a seat plays; as many wait as before.
    pub(crate) fn refill(&mut self) -> Option<LeaseId> {
        let mut first = None;
        for event in self.core.drain_events() {
            if let Event::Granted { lease, subject, .. } = event {
                if subject.class.as_str() == "family" {
                    first = Some(lease);
                } else {
                    self.begin(lease);
                    let demand = self.guest(EVER.as_secs());
                    drop(self.core.decide(self.now, demand));
                }
            }
        }
        first
    }

    /// How many were told of their end since the last look.
    pub(crate) fn told(&mut self) -> usize {
        let events = self.core.drain_events();
        let told = events
            .iter()
            .filter(|event| matches!(event, Event::Preempting { grace: Some(_), .. }));
        told.count()
    }

    /// What Jellyfin says of it.
    pub(crate) fn running(&self, completion: f64) -> Vec<Running> {
        let leases = self.core.snapshot(self.now).leases.into_iter();
        let running = leases.map(|lease| Running {
            who: Who {
                user: lease.user,
                name: lease.user_name,
                admin: false,
                device: lease.device,
                client: lease.client,
                address: None,
            },
            item: lease.item,
            kind: Kind::Video(WORK),
            completion: Some(completion),
            runtime: Some(Duration::from_secs(7200)),
            position: Some(Duration::from_secs(60)),
            paused: false,
            rate: Bitrate::new(RATE),
        });
        running.collect()
    }
}
