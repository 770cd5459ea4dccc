//! Quotas over time: what counts, what is refused, and that no clock can reset or double anything.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3600;

fn today(date: Date, day_left: u64) -> Today {
    let to_sunday = u64::try_from(6 - date.weekday().to_monday_zero_offset()).unwrap();
    Today {
        date,
        day_left: secs(day_left),
        week_left: secs(day_left + to_sunday * 24 * HOUR),
    }
}

/// A Wednesday.
const DAY: Date = date(2026, 11, 25);

fn quota(measure: Measure, period: Period, limit: u64) -> Quota {
    Quota {
        measure,
        period,
        limit,
    }
}

/// A world at ten in the evening of a Wednesday.
fn world(quotas: &[Quota]) -> World {
    let mut limits = policy(8000);
    limits.user.quotas = quotas.into();
    let mut world = World::new(limits);
    world.core.set_today(world.now, today(DAY, 2 * HOUR));
    world
}

/// A minute of GPU time a day.
fn a_minute() -> World {
    world(&[quota(Measure::GpuTime, Period::Day, 60 * GPU_SECOND)])
}

impl World {
    fn used(&self, user: &str, measure: Measure, period: Period) -> u64 {
        self.core.ledger.meter.used(&user.into(), measure, period)
    }

    fn gpu_seconds(&self, user: &str) -> u64 {
        self.used(user, Measure::GpuTime, Period::Day) / GPU_SECOND
    }

    fn date(&mut self, date: Date) {
        self.core.set_today(self.now, today(date, 24 * HOUR));
    }

    /// Watches for so long, reading all the time.
    fn watch(&mut self, session: &str, seconds: u64) {
        for second in 0..seconds {
            self.wait(1);
            self.segment(session, i64::try_from(second).unwrap());
        }
    }
}

#[test]
fn who_has_used_up_his_gpu_time_is_told_when_it_begins_anew() {
    let mut world = a_minute();
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 60);
    match world.video("ann", "phone", "other") {
        Decision::Reject {
            reason,
            retry_after,
        } => {
            assert_eq!(reason, Reason::Quota);
            assert_eq!(retry_after, secs(2 * HOUR - 60));
        }
        other => panic!("{other:?}"),
    }
    let demand = ask("ann", "phone", "other", Kind::Video(ONE));
    let view = world
        .core
        .used_up(world.now, &demand.who, &demand.kind)
        .unwrap();
    assert_eq!((view.used, view.limit, view.left), (60.0, 60.0, 0.0));
    assert_eq!(view.renews, secs(2 * HOUR - 60));
    admitted(&world.video("bob", "tv", "film"));
}

#[test]
fn what_runs_or_comes_back_is_never_ended_or_refused() {
    let mut world = a_minute();
    let lease = world.play("ann", "tv", "film", "s1");
    world.watch("s1", 120);
    assert_eq!(world.state(lease), LeaseState::Active);
    // Another track of the same film, on the same screen.
    assert_eq!(
        reason(&world.video("ann", "tv", "film")),
        Reason::Replacement
    );
    world.core.drain_events();
    // Stopped and begun again at once.
    world.play("ann", "tv", "film", "s2");
    world.stop("s2");
    world.wait(6);
    admitted(&world.video("ann", "tv", "film"));
}

#[test]
fn the_next_film_on_the_same_screen_is_a_new_start() {
    let mut world = a_minute();
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 61);
    world.stop("s1");
    world.wait(1);
    assert_eq!(rejected(&world.video("ann", "tv", "next")), Reason::Quota);
}

#[test]
fn gpu_time_concerns_only_what_needs_the_gpu() {
    let mut world = a_minute();
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 60);
    for (device, kind) in [("a", Kind::Direct), ("b", Kind::Remux), ("c", Kind::Audio)] {
        admitted(&world.decide(ask("ann", device, "other", kind)));
    }
    let remux = Rung {
        kind: Kind::Remux,
        index: 3,
        rate: Bitrate::ZERO,
    };
    let mut demand = ask("ann", "phone", "another", Kind::Video(ONE));
    demand.rungs = vec![remux];
    match world.decide(demand) {
        Decision::Downgrade { rung, reason, .. } => assert_eq!((rung, reason), (3, Reason::Quota)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gpu_time_is_seats_times_seconds_from_the_first_read_to_the_end_of_the_job() {
    let mut world = a_minute();
    let lease = admitted(&world.video("ann", "tv", "film"));
    world.core.bind(world.now, lease, &"s1".into());
    world.wait(10);
    assert_eq!(world.gpu_seconds("ann"), 0, "a reservation costs nothing");
    world.segment("s1", 0);
    world.wait(10);
    world.play("ann", "phone", "other", "s2");
    world.wait(10);
    assert_eq!(world.gpu_seconds("ann"), 30);
    world.stop("s1");
    world.stop("s2");
    world.wait(600);
    // FFmpeg takes five seconds to go.
    assert_eq!(world.gpu_seconds("ann"), 40);
}

#[test]
fn a_play_counts_when_it_begins_and_once() {
    let mut world = world(&[quota(Measure::Plays, Period::Week, 3)]);
    let plays = |world: &World| world.used("ann", Measure::Plays, Period::Week);
    let given = admitted(&world.video("ann", "tv", "film"));
    world.core.release(world.now, given, Ended::Undelivered);
    admitted(&world.video("ann", "tv", "film"));
    world.wait(60);
    assert_eq!(plays(&world), 0, "nothing was played");
    // A player that asks twice before it begins.
    admitted(&world.video("ann", "tv", "film"));
    world.play("ann", "tv", "film", "s1");
    assert_eq!(plays(&world), 1);
    world.watch("s1", 20);
    world.play("ann", "tv", "film", "s2");
    world.stop("s2");
    world.wait(10);
    world.play("ann", "tv", "film", "s3");
    assert_eq!(plays(&world), 1, "it went on");
    world.stop("s3");
    world.wait(1);
    world.play("ann", "tv", "next", "s4");
    assert_eq!(plays(&world), 2);
    let direct = admitted(&world.decide(ask("ann", "phone", "song", Kind::Direct)));
    world.core.touch_lease(world.now, direct, Activity::Started);
    assert_eq!(plays(&world), 3);
    let refused = world.decide(ask("ann", "tablet", "song", Kind::Direct));
    assert_eq!(rejected(&refused), Reason::Quota);
}

#[test]
fn bytes_concern_everything() {
    let mut world = world(&[quota(Measure::Bytes, Period::Day, 1000)]);
    world.play("ann", "tv", "film", "s1");
    assert!(world.core.spend_session_bytes(world.now, &"s1".into(), 999));
    assert!(!world.core.spend_session_bytes(world.now, &"s2".into(), 999));
    admitted(&world.decide(ask("ann", "a", "other", Kind::Direct)));
    world.core.spend_bytes(world.now, &"ann".into(), 1);
    for kind in [Kind::Direct, Kind::Remux, Kind::Video(ONE)] {
        let decision = world.decide(ask("ann", "b", "other", kind));
        assert_eq!(rejected(&decision), Reason::Quota);
    }
}

#[test]
fn a_quota_that_only_observes_refuses_nobody() {
    let mut world = a_minute();
    let mut limits = Policy::clone(world.core.policy());
    limits.user.mode = Mode::Observe;
    world.core.set_policy(world.now, Arc::new(limits));
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 60);
    assert_eq!(reason(&world.video("ann", "phone", "x")), Reason::Observed);
    let would = world.events().into_iter().find_map(|event| match event {
        Event::Admitted { would, .. } => would,
        _ => None,
    });
    assert_eq!(would, Some(Reason::Quota));
}

#[test]
fn a_new_limit_finds_what_was_used() {
    let mut world = world(&[]);
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 30);
    let mut limits = Policy::clone(world.core.policy());
    limits.user.quotas = [quota(Measure::GpuTime, Period::Week, 30 * GPU_SECOND)].into();
    world.core.set_policy(world.now, Arc::new(limits.clone()));
    assert_eq!(rejected(&world.video("ann", "phone", "x")), Reason::Quota);
    limits.user.quotas = [quota(Measure::GpuTime, Period::Week, 99 * GPU_SECOND)].into();
    world.core.set_policy(world.now, Arc::new(limits));
    admitted(&world.video("ann", "phone", "x"));
}

#[test]
fn a_day_of_any_length_ends_when_it_ends() {
    for (hours, refused) in [(23, false), (24, false), (25, true)] {
        let mut world = a_minute();
        world.core.set_today(world.now, today(DAY, hours * HOUR));
        world.play("ann", "tv", "film", "s1");
        world.watch("s1", 60);
        world.wait(23 * HOUR + 1800 - 60);
        if hours < 24 {
            world.date(date(2026, 11, 26));
        }
        let left = world.core.quotas(world.now)[0].renews;
        match hours {
            23 => assert_eq!(left, secs(24 * HOUR)),
            _ => assert_eq!(left, secs(hours * HOUR - 23 * HOUR - 1800)),
        }
        world.wait(1800);
        if hours == 24 {
            world.date(date(2026, 11, 26));
        }
        let decision = world.video("ann", "phone", "x");
        assert_eq!(reason(&decision) == Reason::Quota, refused, "{hours} h");
    }
}

#[test]
fn a_new_day_and_a_new_week_begin_once() {
    let both = [
        quota(Measure::GpuTime, Period::Day, 60 * GPU_SECOND),
        quota(Measure::GpuTime, Period::Week, 100 * GPU_SECOND),
    ];
    let mut world = world(&both);
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 60);
    world.stop("s1");
    world.wait(60);
    assert_eq!(world.gpu_seconds("ann"), 65);
    assert_eq!(rejected(&world.video("ann", "tv", "x")), Reason::Quota);
    // Told twice, as it is twice a minute.
    world.date(date(2026, 11, 26));
    world.date(date(2026, 11, 26));
    world.play("ann", "tv", "x", "s2");
    world.watch("s2", 40);
    world.date(date(2026, 11, 26));
    assert_eq!(world.gpu_seconds("ann"), 40);
    match world.video("ann", "phone", "y") {
        // The week ends on Sunday, and clients are not sent away for longer than a day.
        Decision::Reject { retry_after, .. } => assert_eq!(retry_after, secs(24 * HOUR)),
        other => panic!("{other:?}"),
    }
    world.stop("s2");
    world.wait(60);
    // Sunday is the last day of the week, and Monday the first.
    world.date(date(2026, 11, 29));
    assert_eq!(rejected(&world.video("ann", "tv", "x")), Reason::Quota);
    world.date(date(2026, 11, 30));
    admitted(&world.video("ann", "tv", "x"));
}

#[test]
fn no_change_of_the_clock_or_the_time_zone_resets_or_doubles_anything() {
    let mut world = a_minute();
    world.play("ann", "tv", "film", "s1");
    world.watch("s1", 60);
    world.stop("s1");
    world.wait(60);
    let refused = |world: &mut World| reason(&world.video("ann", "phone", "x")) == Reason::Quota;
    assert!(refused(&mut world));
    // Set forward by mistake, and back; to New Zealand, and back; an hour back over midnight, and on.
    for other in [date(2030, 1, 1), date(2026, 11, 26), date(2026, 11, 24)] {
        world.date(other);
        assert!(!refused(&mut world), "{other}");
        world.wait(60);
        world.date(DAY);
        assert!(refused(&mut world), "{other}");
        assert_eq!(world.gpu_seconds("ann"), 65, "{other}");
    }
}

#[test]
fn what_is_told_can_be_written_down() {
    let told = today(DAY, HOUR);
    let json = serde_json::to_string(&told).unwrap();
    assert!(json.contains("\"2026-11-25\""), "{json}");
    assert_eq!(serde_json::from_str::<Today>(&json).unwrap(), told);
    let quota = quota(Measure::GpuTime, Period::Week, 3);
    let json = serde_json::to_string(&quota).unwrap();
    assert_eq!(serde_json::from_str::<Quota>(&json).unwrap(), quota);
}

#[test]
fn nothing_is_counted_and_nobody_refused_before_the_date_is_known() {
    let mut limits = policy(8000);
    limits.user.quotas = [quota(Measure::Plays, Period::Day, 0)].into();
    let mut world = World::new(limits);
    world.play("ann", "tv", "film", "s1");
    world.core.set_today(world.now, today(DAY, HOUR));
    assert_eq!(world.used("ann", Measure::Plays, Period::Day), 0);
    assert_eq!(rejected(&world.video("ann", "phone", "x")), Reason::Quota);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut world = a_minute();
    for user in 0..5000 {
        world
            .core
            .spend_bytes(world.now, &format!("u{user}").as_str().into(), 1);
    }
    world.core.spend_bytes(world.now, &"ann".into(), 1);
    for day in 1..=28 {
        world.date(date(2027, 2, day));
        world.core.spend_bytes(world.now, &"ann".into(), 10);
    }
    assert_eq!(world.used("ann", Measure::Bytes, Period::Week), 70);
    let book = world.core.changed_usage(world.now).unwrap();
    let json = serde_json::to_value(&book).unwrap();
    assert_eq!(json["users"].as_object().unwrap().len(), 4096);
    let days = json["users"]["ann"]["days"].as_object().unwrap();
    assert_eq!(days.len(), 16);
    assert!(days.contains_key("2027-02-28") && !days.contains_key("2026-11-25"));
    assert_eq!(world.core.changed_usage(world.now), None);
}

/// What happens in a random life.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Play(u8, u8),
    Stop(u8, u8),
    Bytes(u8, u64),
    Date(i32),
    Reload,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..100).prop_map(Step::Wait),
        3 => (0u8..3, 0u8..3).prop_map(|(user, device)| Step::Play(user, device)),
        2 => (0u8..3, 0u8..3).prop_map(|(user, device)| Step::Stop(user, device)),
        2 => (0u8..3, 1u64..1_000_000).prop_map(|(user, bytes)| Step::Bytes(user, bytes)),
        2 => (-3i32..4).prop_map(Step::Date),
        1 => Just(Step::Reload),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a plain count of seats second by second.
    #[test]
    fn usage_is_exact_never_decreases_and_outlives_a_restart(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = world(&[]);
        let mut day = DAY;
        let mut seat_seconds: BTreeMap<(String, Date), u64> = BTreeMap::new();
        let mut bytes: BTreeMap<(String, Date), u64> = BTreeMap::new();
        for (nth, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(seconds) => for _ in 0..seconds {
                    for lease in world.core.leases.values().filter(|lease| !lease.held.reserved) {
                        let key = (lease.asked.account.user.to_string(), day);
                        *seat_seconds.entry(key).or_default() += u64::from(lease.held.seats.milli());
                    }
                    world.wait(1);
                },
                Step::Play(user, device) => {
                    let (user, session) = (format!("u{user}"), format!("s{nth}"));
                    if let Decision::Admit { lease, .. } = world.video(&user, &format!("d{device}"), "film") {
                        world.core.bind(world.now, lease, &session.as_str().into());
                        world.segment(&session, 0);
                    }
                }
                Step::Stop(user, device) => {
                    let screen = (format!("u{user}").as_str().into(), format!("d{device}").as_str().into());
                    let session = world.core.screens.get(&screen).and_then(|ids| ids.first())
                        .and_then(|id| world.core.leases[id].session().cloned());
                    if let Some(session) = session {
                        world.stop(session.as_str());
                    }
                }
                Step::Bytes(user, n) => {
                    let user = format!("u{user}");
                    world.core.spend_bytes(world.now, &user.as_str().into(), n);
                    *bytes.entry((user, day)).or_default() += n;
                }
                Step::Date(days) => {
                    day = DAY.checked_add(jiff::Span::new().days(days)).unwrap();
                    world.date(day);
                }
                Step::Reload => {
                    let policy = Arc::clone(world.core.policy());
                    world.core.set_policy(world.now, policy);
                }
                Step::Restart => {
                    world.core.spend_bytes(world.now, &"u0".into(), 1);
                    *bytes.entry(("u0".to_owned(), day)).or_default() += 1;
                    let book = world.core.changed_usage(world.now).unwrap();
                    let json = serde_json::to_string(&book).unwrap();
                    let read: Book = serde_json::from_str(&json).unwrap();
                    prop_assert_eq!(&read, &book);
                    let mut core = Admission::new(world.now, Arc::clone(world.core.policy()));
                    core.set_today(world.now, today(day, HOUR));
                    core.restore_usage(read);
                    world.core = core;
                }
            }
            let monday = day.checked_sub(jiff::Span::new().days(i64::from(day.weekday().to_monday_zero_offset()))).unwrap();
            for user in ["u0", "u1", "u2"] {
                let of = |all: &BTreeMap<(String, Date), u64>, from: Date, to: Date| -> u64 {
                    all.iter().filter(|((own, date), _)| own == user && (from..=to).contains(date)).map(|(_, n)| n).sum()
                };
                let sunday = monday.checked_add(jiff::Span::new().days(6)).unwrap();
                for (period, from, to) in [(Period::Day, day, day), (Period::Week, monday, sunday)] {
                    prop_assert_eq!(world.used(user, Measure::GpuTime, period), of(&seat_seconds, from, to) * (GPU_SECOND / 1000));
                    prop_assert_eq!(world.used(user, Measure::Bytes, period), of(&bytes, from, to));
                }
            }
        }
    }
}

#[test]
fn who_waits_over_midnight_is_looked_at_when_his_quota_begins_anew() {
    let mut limits = policy(8000);
    limits.user.quotas = [quota(Measure::Bytes, Period::Day, 1000)].into();
    limits.user.when_full = WhenFull::StepDownThenWait;
    let mut world = World::new(limits);
    world.date(DAY);
    world.core.spend_bytes(world.now, &"ann".into(), 1000);
    world
        .core
        .operate(world.now, Order::Pause, &Arc::from("anna"))
        .unwrap();
    // New transcodes are paused, and the copy that would do instead is more than she may have today.
    let ticket = queued(&world.decide(Demand {
        patience: secs(10),
        rungs: houses::ladder(4),
        ..ask("ann", "tv", "film", Kind::Video(ONE))
    }));
    world.core.drain_events();
    world.date(date(2026, 11, 26));
    let steps = |event: &Event| matches!(event, Event::Downgraded { ticket: of, .. } if *of == Some(ticket));
    assert!(world.events().iter().any(steps));
}
