//! Random policies and ladders for tortured worlds.

use super::{torture::Dice, *};

pub(super) fn random_policy(dice: &mut Dice) -> Policy {
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
    let part = |dice: &mut Dice| Fraction::new(dice.pick(&[0.0, 0.2, 0.5, 0.7])).unwrap();
    if dice.one_in(2) {
        family.share = dice.one_in(2).then(|| part(dice));
        guests.share = dice.one_in(3).then(|| part(dice));
        family.reserve = part(dice);
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
            capacity: Fraction::new(0.5).filter(|_| dice.one_in(2)),
            gpus: Vec::new(),
            mode: Mode::Enforce,
        });
    }
    policy.user.when_full = dice.pick(&[
        WhenFull::WaitThenStepDown,
        WhenFull::StepDownThenWait,
        WhenFull::Wait,
        WhenFull::StepDown,
    ]);
    if dice.one_in(3) {
        let period = dice.pick(Period::ALL);
        let (measure, limit) = dice.pick(&[
            (Measure::GpuTime, 60 * GPU_SECOND),
            (Measure::Plays, 3),
            (Measure::Bytes, 1000),
        ]);
        policy.user.quotas = [Quota {
            measure,
            period,
            limit,
        }]
        .into();
    }
    if dice.one_in(2) {
        let bits = dice.pick(&[16, 32, 64]) * 1_000_000;
        policy.uplink.limit = Some(Bitrate::new(bits));
        if dice.one_in(6) {
            policy.uplink.mode = Mode::Observe;
        }
    }
    policy.user.floor = dice.pick(&[None, None, Some(720)]);
    policy.user.yields = dice.pick(&[
        Yields::ToHigher,
        Yields::ToHigher,
        Yields::Always,
        Yields::Never,
    ]);
    if dice.one_in(2) {
        policy.classes[0].preempt = vec!["default".into()];
        policy.preemption = Preemption {
            grace: secs(dice.roll(6)),
            every: secs(dice.pick(&[0, 10, 60])),
        };
    }
    policy.end_parked_jobs = dice.one_in(2);
    policy.pressure = Fraction::new(dice.pick(&[1.0, 0.9, 0.5, 0.0])).unwrap();
    policy.queue = QueueBounds {
        length: 6,
        per_user: 3,
        max_wait: secs(15),
        keep_place: secs(30),
    };
    policy.end_dead_jobs = dice.one_in(2);
    if dice.one_in(3) {
        end_guests_in(&mut policy, dice);
    }
    policy
}

/// Nothing but a small GPU is in the way, nobody steps down, and the family has its guests ended.
fn end_guests_in(policy: &mut Policy, dice: &mut Dice) {
    policy.mode = Mode::Enforce;
    policy.transcodes = None;
    policy.user = UserLimits {
        transcodes: None,
        when_full: WhenFull::Wait,
        mode: Mode::Enforce,
        ..UserLimits::default()
    };
    policy.libraries.clear();
    policy.windows.clear();
    policy.uplink.limit = None;
    policy.pressure = Fraction::new(1.0).unwrap();
    for gpu in &mut policy.gpus {
        gpu.capacity = seats(1000 * u32::try_from(1 + dice.roll(2)).unwrap());
        gpu.learn = false;
        gpu.max_sessions = None;
    }
    for class in &mut policy.classes {
        class.transcodes = None;
        class.seats = None;
        class.max_wait = None;
        class.share = None;
        class.reserve = Fraction::default();
        class.uhd = Access::Allow;
    }
    policy.classes[0].preempt = vec!["default".into()];
    policy.preemption = Preemption {
        grace: secs(2 + dice.roll(9)),
        every: Duration::ZERO,
    };
    policy.queue.max_wait = secs(30);
    policy.timers.idle = secs(1800);
}

/// The first so many rungs of a ladder that goes down to a remux.
pub(super) fn ladder(rungs: u64) -> Vec<Rung> {
    let size = |size_out| Work { size_out, ..ONE };
    let kinds = [
        Kind::Video(ONE),
        Kind::Video(size((1280, 720))),
        Kind::Video(size((640, 360))),
        Kind::Remux,
    ];
    let rungs = usize::try_from(rungs).unwrap();
    kinds
        .into_iter()
        .take(rungs)
        .enumerate()
        .map(|(index, kind)| Rung {
            kind,
            rate: Bitrate::new(6_000_000 >> index),
            index,
        })
        .collect()
}

/// Now and then the cheapest for the GPU is not the slimmest for the line: a remux has the bitrate of its file.
pub(super) fn wider(dice: &mut Dice, mut rungs: Vec<Rung>) -> Vec<Rung> {
    if let Some(last) = rungs.last_mut().filter(|_| dice.one_in(3)) {
        last.rate = Bitrate::new(dice.pick(&[3, 12]) * 1_000_000);
    }
    rungs
}
