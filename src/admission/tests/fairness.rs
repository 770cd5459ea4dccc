//! Who is served first: users of a class, and classes.

use std::collections::HashSet;

use super::*;

/// The users of those who are granted seats, in order, since the last call.
fn served(world: &mut World) -> Vec<String> {
    let granted = |event| match event {
        Event::Granted { subject, .. } => Some(subject.user.to_string()),
        _ => None,
    };
    world.events().into_iter().filter_map(granted).collect()
}

fn waits(world: &mut World, user: &str, device: &str) -> Ticket {
    let demand = ask(user, device, "film", Kind::Video(ONE));
    queued(&world.decide(Demand {
        patience: secs(600),
        ..demand
    }))
}

fn long_queue(milli: u32) -> Policy {
    let mut policy = policy(milli);
    policy.queue = QueueBounds {
        length: 100,
        per_user: 10,
        max_wait: secs(600),
        keep_place: secs(30),
    };
    policy
}

fn part(part: f64) -> Fraction {
    Fraction::new(part).unwrap()
}

/// A family with a share, a reserve and a priority, and everybody else.
fn house(milli: u32, share: Option<f64>, reserve: f64, priority: u32) -> Policy {
    let mut policy = long_queue(milli);
    let mut family = Class::everybody();
    family.id = "family".into();
    family.users = vec!["mum".to_owned(), "dad".to_owned(), "kid*".to_owned()];
    family.share = share.map(part);
    family.reserve = part(reserve);
    family.priority = priority;
    policy.classes.insert(0, family);
    policy
}

/// Ends the reservation of a user's device at once.
fn leave(world: &mut World, user: &str, device: &str) {
    let screen = (UserId::new(user), device.into());
    let lease = *world.core.screens[&screen].first().unwrap();
    world.core.release(world.now, lease, Ended::Undelivered);
}

/// Keeps a reservation alive without end.
fn patient_timers(mut policy: Policy) -> Policy {
    policy.timers.reserve = secs(100_000);
    policy
}

#[test]
fn a_user_with_six_devices_is_served_in_turn_with_the_others() {
    let mut world = World::new(patient_timers(long_queue(6000)));
    for device in ["a", "b", "c", "d", "e", "f"] {
        admitted(&world.video("greedy", device, "film"));
    }
    for device in ["g", "h", "i"] {
        waits(&mut world, "greedy", device);
    }
    for user in ["bob", "cid"] {
        for device in ["a", "b"] {
            waits(&mut world, user, device);
        }
    }
    world.events();
    for device in ["a", "b", "c", "d"] {
        leave(&mut world, "greedy", device);
    }
    assert_eq!(
        served(&mut world),
        ["bob", "cid", "bob", "cid"],
        "he holds more than they do, however early he asked"
    );
}

#[test]
fn a_4k_film_weighs_as_much_as_it_costs() {
    let mut world = World::new(patient_timers(long_queue(5000)));
    admitted(&world.decide(ask("uhd", "tv", "film", Kind::Video(Work::UNKNOWN))));
    admitted(&world.video("hd", "tv", "film"));
    waits(&mut world, "uhd", "phone");
    waits(&mut world, "hd", "phone");
    world.events();
    let mut larger = patient_timers(long_queue(5000));
    larger.gpus[0].capacity = seats(6000);
    world.core.set_policy(world.now, Arc::new(larger));
    assert_eq!(
        served(&mut world),
        ["hd"],
        "one demand each, but not one seat each"
    );
}

#[test]
fn who_holds_seats_is_not_starved_by_newcomers_who_hold_none() {
    let mut world = World::new(patient_timers(long_queue(2000)));
    admitted(&world.video("ann", "tv", "film"));
    admitted(&world.video("bob", "tv", "film"));
    let ticket = waits(&mut world, "ann", "phone");
    let mut passed = 0;
    for newcomer in 0..20 {
        let user = format!("new{newcomer}");
        waits(&mut world, &user, "tv");
        let last = if newcomer == 0 {
            "bob".to_owned()
        } else {
            format!("new{}", newcomer - 1)
        };
        world.events();
        leave(&mut world, &last, "tv");
        world.wait(3);
        if world.core.queue.get(ticket).is_none() {
            break;
        }
        passed += 1;
    }
    assert!(
        (1..=5).contains(&passed),
        "one seat in hand is made up for by ten seconds of waiting: {passed} passed"
    );
}

#[test]
fn an_idle_share_is_lent_and_comes_back_first() {
    let mut world = World::new(patient_timers(house(4000, Some(0.5), 0.0, 0)));
    for (user, device) in [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")] {
        assert_eq!(reason(&world.video(user, device, "film")), Reason::Fits);
    }
    for user in ["e", "f"] {
        waits(&mut world, user, "1");
    }
    for user in ["mum", "dad", "kid"] {
        waits(&mut world, user, "1");
    }
    world.events();
    for user in ["a", "b", "c", "d"] {
        leave(&mut world, user, "1");
    }
    assert_eq!(
        served(&mut world),
        ["mum", "dad", "e", "f"],
        "the family goes first until it has its half; then the others, who are below theirs"
    );
}

#[test]
fn a_share_counts_before_priority_and_priority_before_the_turn() {
    let mut world = World::new(patient_timers(house(2000, Some(0.5), 0.0, 10)));
    admitted(&world.video("a", "1", "film"));
    admitted(&world.video("b", "1", "film"));
    for user in ["c", "d", "mum", "dad"] {
        waits(&mut world, user, "1");
    }
    world.events();
    for user in ["a", "b", "mum", "c"] {
        leave(&mut world, user, "1");
    }
    assert_eq!(served(&mut world), ["mum", "c", "dad", "d"]);
}

#[test]
fn a_guest_cannot_take_the_familys_last_seat() {
    let mut world = World::new(house(4000, None, 0.25, 0));
    for user in ["a", "b", "c"] {
        admitted(&world.video(user, "tv", "film"));
    }
    assert_eq!(rejected(&world.video("d", "tv", "film")), Reason::GpuFull);
    admitted(&world.video("mum", "tv", "film"));
    assert_eq!(rejected(&world.video("d", "tv", "film")), Reason::GpuFull);
}

#[test]
fn what_can_never_have_room_beside_a_reserve_does_not_wait_for_it() {
    let mut world = World::new(house(4600, None, 0.25, 0));
    let wide = |user| Demand {
        patience: secs(10),
        ..ask(user, "tv", "film", Kind::Video(Work::UNKNOWN))
    };
    assert_eq!(rejected(&world.decide(wide("guest"))), Reason::GpuFull);
    admitted(&world.decide(wide("mum")));
}

#[test]
fn a_reserve_that_only_observes_keeps_nothing_and_says_so() {
    let mut limits = house(2000, None, 0.5, 0);
    limits.classes[0].mode = Mode::Observe;
    let mut world = World::new(limits);
    admitted(&world.video("a", "tv", "film"));
    world.events();
    assert_eq!(reason(&world.video("b", "tv", "film")), Reason::Observed);
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::Admitted {
            would: Some(Reason::GpuFull),
            ..
        }
    )));
}

/// A small world for one property: demands that wait long, and leases that end when the dice say.
struct Crowd {
    world: World,
    seed: u64,
    made: u32,
}

impl Crowd {
    fn new(policy: Policy, seed: u64) -> Self {
        Self {
            world: World::new(patient_timers(policy)),
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            made: 0,
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        (self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    /// One more screen of this user asks, and waits as long as it takes, if it must.
    fn asks(&mut self, user: &str, work: Work) -> Option<Ticket> {
        self.made += 1;
        let device = format!("screen{}", self.made);
        let decision = self.world.decide(Demand {
            patience: secs(600),
            ..ask(user, &device, "film", Kind::Video(work))
        });
        match decision {
            Decision::Queue { ticket, .. } => Some(ticket),
            _ => None,
        }
    }

    /// Any lease ends, as if its answer had not been delivered: nobody keeps a right.
    fn one_ends(&mut self) {
        let mut ids: Vec<_> = self.world.core.leases.keys().copied().collect();
        ids.sort_unstable();
        if !ids.is_empty() {
            let id = ids[usize::try_from(self.roll(ids.len() as u64)).unwrap()];
            self.world
                .core
                .release(self.world.now, id, Ended::Undelivered);
        }
    }

    /// Seats of a class on the only GPU.
    fn class(&self, class: usize) -> u32 {
        self.world.core.ledger.part(0, class).milli()
    }

    /// The waiting demands, as (priority, borrows, cost, ticket).
    fn waiting(&self) -> Vec<(u32, bool, Seats, Ticket)> {
        let core = &self.world.core;
        let about = |(ticket, waiter): (Ticket, &queue::Waiter)| {
            let class = waiter.asked.account.class;
            let borrows = core.borrows(0, class);
            (waiter.asked.priority, borrows, waiter.asked.cost, ticket)
        };
        core.queue.iter().map(about).collect()
    }
}

const WORKS: [Work; 3] = [
    ONE,
    Work::UNKNOWN,
    Work {
        size_in: (1280, 720),
        size_out: (1280, 720),
        ..ONE
    },
];

#[test]
fn however_the_seats_come_free_a_user_is_passed_only_within_what_he_holds() {
    for seed in 0..40 {
        let mut crowd = Crowd::new(long_queue(4000), seed);
        let users = ["ann", "bob", "cid", "dan", "eve"];
        let mut since = HashMap::new();
        for _ in 0..300 {
            let step = crowd.roll(4);
            crowd.world.wait(step);
            if crowd.roll(2) == 0 {
                let user = users[usize::try_from(crowd.roll(5)).unwrap()];
                if let Some(ticket) = crowd.asks(user, ONE) {
                    since.insert(ticket, crowd.world.now);
                }
            } else {
                crowd.one_ends();
            }
            let core = &crowd.world.core;
            let charged = |waiter: &queue::Waiter| {
                let user = &waiter.asked.account.user;
                let held = core.ledger.user(user).seats;
                held.plus(core.queue.wanted_before(user, waiter.arrival))
            };
            let oldest = core
                .queue
                .iter()
                .map(|(_, waiter)| waiter.since + secs(10) * charged(waiter).milli() / 1000)
                .min();
            let granted: Vec<Ticket> = crowd
                .world
                .events()
                .into_iter()
                .filter_map(|event| match event {
                    Event::Granted { ticket, .. } => Some(ticket),
                    _ => None,
                })
                .collect();
            for ticket in granted {
                // Whoever came after the turn of one who still waits was not served before him.
                let came = since[&ticket];
                assert!(
                    oldest.is_none_or(|turn| came <= turn),
                    "seed {seed}: somebody was overtaken beyond his turn"
                );
            }
        }
    }
}

#[test]
fn no_seat_that_somebody_may_have_lies_idle() {
    for seed in 0..40 {
        let share = [None, Some(0.5)][usize::try_from(seed % 2).unwrap()];
        let mut crowd = Crowd::new(house(4000, share, 0.0, 10), seed);
        for _ in 0..300 {
            if crowd.roll(2) == 0 {
                let user = ["mum", "dad", "ann", "bob"][usize::try_from(crowd.roll(4)).unwrap()];
                crowd.asks(user, ONE);
            } else {
                crowd.one_ends();
            }
            let free = 4000 - crowd.world.held();
            let waits = crowd.world.core.queue.len();
            assert!(
                waits == 0 || free < 1000,
                "seed {seed}: {free} free and {waits} wait"
            );
        }
    }
}

#[test]
fn a_share_is_reached_as_soon_as_enough_has_come_free() {
    for seed in 0..40 {
        let mut crowd = Crowd::new(house(4000, Some(0.5), 0.0, 0), seed);
        for _ in 0..8 {
            let user = ["ann", "bob", "cid", "dan"][usize::try_from(crowd.roll(4)).unwrap()];
            crowd.asks(user, ONE);
        }
        assert_eq!(crowd.class(1), 4000, "idle seats are lent");
        for user in ["mum", "dad", "kid"] {
            crowd.asks(user, ONE);
        }
        // Nobody but the family is served until it has its half, whoever leaves.
        for ended in 1..=2 {
            crowd.one_ends();
            let family = crowd.class(0);
            assert!(
                family == ended * 1000 || family + crowd.class(1) == 4000 && family >= 1000,
                "seed {seed}: {family} after {ended}"
            );
        }
        for _ in 0..12 {
            crowd.one_ends();
            let waits = crowd.waiting();
            let below = crowd.class(0) < 2000;
            let family = waits.iter().any(|(_, borrows, ..)| !borrows);
            assert!(
                !(below && family) || crowd.world.held() == 4000,
                "seed {seed}: the share comes back first"
            );
        }
    }
}

#[test]
fn a_lower_class_is_never_served_while_a_higher_one_waits_for_the_same_seats() {
    for seed in 0..60 {
        let mut crowd = Crowd::new(house(6000, None, 0.0, 10), seed);
        let mut priority = HashMap::new();
        for _ in 0..300 {
            let waited: HashSet<Ticket> = crowd.waiting().iter().map(|w| w.3).collect();
            if crowd.roll(2) == 0 {
                let user = ["mum", "dad", "ann", "bob"][usize::try_from(crowd.roll(4)).unwrap()];
                let work = WORKS[usize::try_from(crowd.roll(3)).unwrap()];
                crowd.asks(user, work);
            } else {
                crowd.one_ends();
            }
            for (rank, _, _, ticket) in crowd.waiting() {
                priority.insert(ticket, rank);
            }
            let highest = crowd
                .waiting()
                .iter()
                .filter(|(.., ticket)| waited.contains(ticket))
                .map(|(rank, ..)| *rank)
                .max();
            for event in crowd.world.events() {
                // No end is known in this world, so nobody may pass.
                if let Event::Granted { ticket, .. } = event {
                    let rank = priority.get(&ticket).copied();
                    assert!(rank >= highest, "seed {seed}: {rank:?} before {highest:?}");
                }
                if let Event::Admitted { subject, .. } = event {
                    let family = subject.class.as_str() == "family";
                    assert!(
                        family || highest.unwrap_or(0) == 0,
                        "seed {seed}: a guest went past"
                    );
                }
            }
        }
    }
}

#[test]
fn a_large_one_is_served_in_its_turn_under_a_stream_of_small_ones() {
    for seed in 0..40 {
        let mut crowd = Crowd::new(long_queue(4000), seed);
        for _ in 0..4 {
            crowd.asks("ann", ONE);
        }
        let large = crowd.asks("large", Work::UNKNOWN).unwrap();
        let mut ended = 0;
        while crowd.world.core.queue.get(large).is_some() {
            let user = format!("small{}", crowd.made);
            crowd.asks(&user, WORKS[2]);
            crowd.one_ends();
            ended += 1;
            assert!(ended <= 4, "seed {seed}: four ends make room for it");
        }
    }
}
