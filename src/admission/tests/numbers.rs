//! Prices, capacities, and what a policy says about one person.

use super::{
    super::capacity::{Capacity, Sample},
    *,
};

#[test]
fn the_price_list_is_the_one_in_the_hardware_table() {
    let model = CostModel::default();
    let film = |codec_in, bits, hdr, tone_map, size_out| Work {
        codec_in,
        size_in: (3840, 2160),
        millifps: 24_000,
        bits,
        hdr,
        tone_map,
        size_out,
        ..ONE
    };
    let (full, hd, uhd) = ((1920, 1080), (1280, 720), (3840, 2160));
    let small = Work {
        millifps: 24_000,
        ..ONE
    };
    let table = [
        (
            Work {
                size_in: hd,
                size_out: hd,
                ..ONE
            },
            0.4,
        ),
        (small, 0.8),
        (ONE, 1.0),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                ..small
            },
            0.9,
        ),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                size_out: hd,
                ..small
            },
            0.7,
        ),
        (
            Work {
                codec_in: Codec::Hevc,
                bits: 10,
                hdr: Hdr::Hdr,
                tone_map: true,
                ..small
            },
            1.1,
        ),
        (
            Work {
                codec_in: Codec::Av1,
                ..small
            },
            0.9,
        ),
        (
            Work {
                millifps: 60_000,
                ..ONE
            },
            2.0,
        ),
        (film(Codec::H264, 8, Hdr::Sdr, false, full), 2.3),
        (film(Codec::Hevc, 10, Hdr::Sdr, false, full), 2.8),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, full), 3.7),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, hd), 3.4),
        (film(Codec::Hevc, 10, Hdr::DolbyVision, true, full), 4.6),
        (
            Work {
                burn_in: true,
                ..film(Codec::Hevc, 10, Hdr::Hdr, true, full)
            },
            4.6,
        ),
        (film(Codec::Av1, 10, Hdr::Hdr, true, full), 4.0),
        (film(Codec::Hevc, 10, Hdr::Hdr, true, uhd), 5.1),
        (
            Work {
                millifps: 60_000,
                ..film(Codec::Hevc, 10, Hdr::Hdr, true, full)
            },
            9.2,
        ),
    ];
    for (work, listed) in table {
        let seats = model.seats(&work).as_f64();
        assert!(
            (seats - listed).abs() <= 0.0751,
            "{work} is {seats}, listed as {listed}"
        );
    }
    let mut gpu = policy(20_000).gpus.remove(0);
    for (factor, listed) in [(0.4, 4.2), (1.0, 6.4)] {
        gpu.tone_map = factor;
        let seats = model.seats_on(&Work::UNKNOWN, &gpu).as_f64();
        assert!(
            (seats - listed).abs() <= 0.06,
            "tone-mapping {factor}: {seats}"
        );
    }
    assert_eq!(
        model.seats(&Work {
            size_in: (320, 240),
            size_out: (320, 240),
            ..ONE
        }),
        seats(250)
    );
}

#[test]
fn faults_between_fields_of_a_policy_are_all_found() {
    let mut rules = policy(1000);
    rules.gpus.push(rules.gpus[0].clone());
    rules.nodes[0].gpu = "gone".into();
    rules.classes = vec![guests()];
    rules.users.clear();
    let faults = rules.check().unwrap_err();
    let expected = [
        PolicyError::Duplicate {
            what: "gpu",
            name: "gpu".to_owned(),
        },
        PolicyError::Unknown {
            what: "gpu",
            name: "gone".to_owned(),
        },
        PolicyError::NoDefaultClass,
    ];
    assert_eq!(faults, expected);
}

#[test]
fn classes_match_by_user_client_network_and_rank() {
    let mut class = guests();
    class.clients = vec!["*Web".to_owned()];
    class.networks = vec!["10.0.0.0/8".parse().unwrap()];
    let mut one = who("Guést7", "tv");
    one.address = Some("::ffff:10.1.2.3".parse().unwrap());
    class.users = vec!["gUÉst?".to_owned()];
    assert!(class.matches(&one));
    one.client = Arc::from("Android");
    assert!(!class.matches(&one));
    one.client = Arc::from("Jellyfin Web");
    one.address = None;
    assert!(!class.matches(&one));
    class.networks.clear();
    class.admin = Some(true);
    assert!(!class.matches(&one));
}

#[test]
fn a_user_rule_comes_before_the_class_and_the_class_before_the_general_limit() {
    let limits = |n| UserLimits {
        transcodes: Some(n),
        mode: Mode::Enforce,
        ..UserLimits::default()
    };
    let mut rules = with_class(Class {
        user: Some(limits(2)),
        ..guests()
    });
    rules.user = limits(1);
    rules.users.push(UserRule {
        user: "guest-of-honour".to_owned(),
        limits: limits(3),
    });
    for (user, most) in [("ann", 1), ("guest1", 2), ("Guest-Of-Honour", 3)] {
        assert_eq!(
            rules.limits_of(&who(user, "tv")).transcodes,
            Some(most),
            "{user}"
        );
    }
}

fn reading(throughput: f64) -> Sample {
    Sample {
        throughput: Some(throughput),
        starving: 0,
    }
}

const STARVING: Sample = Sample {
    throughput: None,
    starving: 1,
};

#[test]
fn a_fixed_capacity_learns_nothing() {
    let t0 = t0();
    let mut capacity = Capacity::new(Seats::from_milli(8000), false);
    capacity.sample(t0, STARVING);
    assert_eq!(capacity.now(), Seats::from_milli(8000));
    assert_eq!(capacity.next_step(), None);
}

#[test]
fn starvation_lowers_at_once_and_never_below_half() {
    let t0 = t0();
    let mut capacity = Capacity::new(Seats::from_milli(8000), true);
    capacity.sample(t0, STARVING);
    assert_eq!(capacity.now(), Seats::from_milli(7000));
    capacity.sample(t0 + secs(1), STARVING);
    assert_eq!(
        capacity.now(),
        Seats::from_milli(7000),
        "one fault is punished once"
    );
    for n in 1..30 {
        capacity.sample(t0 + secs(n * 10), STARVING);
    }
    assert_eq!(capacity.now(), Seats::from_milli(4000));
}

#[test]
fn few_readings_raise_nothing_many_raise_slowly_and_old_ones_are_forgotten() {
    let t0 = t0();
    let mut capacity = Capacity::new(Seats::from_milli(8000), true);
    for n in 0..23 {
        capacity.sample(t0 + secs(n), reading(40.0));
    }
    assert_eq!(capacity.next_step(), None);
    capacity.sample(t0 + secs(23), reading(40.0));
    let mut steps = 0;
    let mut highest = capacity.now();
    while let Some(at) = capacity.next_step() {
        let before = capacity.now();
        capacity.step(at);
        assert!(capacity.now() <= before.plus(Seats::from_milli(160)));
        highest = highest.max(capacity.now());
        steps += 1;
        assert!(steps < 1000, "it comes to rest");
    }
    assert_eq!(highest, Seats::from_milli(24_000), "three times at most");
    assert_eq!(
        capacity.now(),
        Seats::from_milli(8000),
        "nobody watches any more"
    );
}
