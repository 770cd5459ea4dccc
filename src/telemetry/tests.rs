//! What is counted, logged and remembered of each kind of event.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    admission::{
        Bitrate, Ended, GpuView, LeaseState, LeaseView, Mode, Order, Reconciled, Seats, Subject,
        UplinkView,
    },
    ident::{ClassId, DeviceId, GpuId, ItemId, LeaseId, PlaySessionId, Ticket, UserId},
};

/// Things that must never be in a log line or a metric, planted wherever they could come from.
const NAME: &str = "anna-of-the-secret-name";
const SESSION: &str = "5e551005e551005e551005e551005e55";
const ITEM: &str = "17e317e317e317e317e317e317e317e3";
const DEVICE: &str = "device-of-anna";
const USER: &str = "0123456789abcdef0123456789abcdef";

fn settings(user_label: UserLabel) -> Settings {
    Settings {
        format: LogFormat::Json,
        level: "info".to_owned(),
        user_label,
        gpus: vec!["uhd770".to_owned()],
        nodes: vec!["jellyfin-1".to_owned()],
        classes: vec!["family".to_owned(), "guests".to_owned()],
    }
}

fn subject() -> Subject {
    Subject {
        decision: DecisionId(33),
        user: UserId::new(USER),
        user_name: Some(Arc::from(NAME)),
        device: DeviceId::new(DEVICE),
        client: Arc::from("Jellyfin Web\n\u{1b}[31m"),
        class: ClassId::new("family"),
        item: ItemId::new(ITEM),
        node: NodeId::new("jellyfin-1"),
        gpu: Some(GpuId::new("uhd770")),
        session: Some(PlaySessionId::new(SESSION)),
        work: "hevc 2160p hdr -> h264 1080p".to_owned(),
        cost: Seats::from_milli(2800),
    }
}

fn admitted(subject: Subject, reason: Reason, would: Option<Reason>) -> Event {
    Event::Admitted {
        subject: Arc::new(subject),
        lease: LeaseId(1),
        reason,
        would,
    }
}

fn refused(ticket: Option<Ticket>, reason: Reason, waited: u64) -> Event {
    Event::Refused {
        subject: Arc::new(subject()),
        ticket,
        reason,
        waited: Duration::from_secs(waited),
        retry_after: Duration::from_secs(5),
    }
}

fn granted(waited: Duration) -> Event {
    Event::Granted {
        subject: Arc::new(subject()),
        ticket: Ticket(3),
        lease: LeaseId(4),
        reason: Reason::Waited,
        waited,
    }
}

/// One event of each kind.
fn every_event() -> Vec<Event> {
    let about = || Arc::new(subject());
    vec![
        admitted(subject(), Reason::Fits, None),
        Event::Queued {
            subject: about(),
            ticket: Ticket(3),
            reason: Reason::GpuFull,
        },
        granted(Duration::from_millis(6400)),
        refused(None, Reason::UserLimit, 0),
        Event::Downgraded {
            subject: about(),
            lease: LeaseId(5),
            rung: 1,
            reason: Reason::GpuFull,
            ticket: None,
            waited: Duration::ZERO,
        },
        Event::Withdrawn {
            subject: about(),
            ticket: Ticket(6),
            waited: Duration::from_secs(2),
        },
        Event::Moved {
            subject: about(),
            lease: LeaseId(1),
            from: LeaseState::Reserved,
            to: LeaseState::Active,
        },
        Event::LeaseEnded {
            subject: about(),
            lease: LeaseId(1),
            ended: Ended::Stopped,
            lasted: Duration::from_secs(90),
        },
        Event::Reconciled {
            subject: about(),
            lease: Some(LeaseId(7)),
            found: Reconciled::Adopted,
        },
        Event::Preempting {
            subject: about(),
            lease: LeaseId(7),
            grace: Some(Duration::from_secs(5)),
        },
        Event::EndJob {
            subject: about(),
            lease: LeaseId(7),
            ended: Ended::DeadPlayer,
        },
        Event::CapacityChanged {
            gpu: GpuId::new("uhd770"),
            from: Seats::from_milli(9400),
            to: Seats::from_milli(8000),
        },
        Event::Operator {
            order: Order::Pause,
            who: Arc::from("anna (127.0.0.1)"),
            subject: Some(about()),
        },
        Event::PolicyChanged {
            mode: Mode::Enforce,
        },
    ]
}

/// Collects what is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Sink {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// The lines that `work` logs. One at a time: `tracing` keeps one level for all threads, and a subscriber that comes or
/// goes elsewhere changes it for a moment.
fn lines(level: &str, text: bool, work: impl FnOnce()) -> Vec<String> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let sink = Sink::default();
    let subscriber = logging::subscriber(level, text, sink.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    let written = sink.0.lock().unwrap().clone();
    String::from_utf8(written)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn json(level: &str, label: UserLabel, events: &[Event]) -> Vec<serde_json::Value> {
    let telemetry = Telemetry::new(&settings(label));
    lines(level, false, || telemetry.record(events))
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The value of one line of the text format; `None` where the line is not there.
fn value(telemetry: &Telemetry, series: &str) -> Option<f64> {
    let text = telemetry.gather();
    let line = text.lines().find(|line| {
        line.strip_prefix("finweir_")
            .and_then(|l| l.strip_prefix(series))
            .is_some_and(|l| l.starts_with(' '))
    })?;
    line.rsplit(' ').next().unwrap().parse().ok()
}

#[test]
fn each_event_that_matters_is_one_line_with_message_and_fields() {
    for (event, (message, fields)) in every_event().into_iter().zip([
        (
            "Admitted",
            "decision=admit reason=fits seats=2.8 gpu=uhd770 node=jellyfin-1 class=family",
        ),
        (
            "Queued",
            "decision=queue reason=gpu-full seats=2.8 gpu=uhd770",
        ),
        (
            "Admitted after a wait",
            "decision=admit reason=waited waited_ms=6400",
        ),
        ("Refused", "decision=reject reason=user-limit"),
        ("Stepped down", "decision=downgrade reason=gpu-full"),
        (
            "Client left while it waited",
            "decision.id=d-11 ticket=T6 waited_ms=2000",
        ),
        ("", ""),
        (
            "Lease ended",
            "decision.id=d-11 lease=L1 ended=stopped lasted_s=90 gpu=uhd770 node=jellyfin-1",
        ),
        (
            "Jellyfin and the leases disagreed",
            "found=adopted lease=L7 node=jellyfin-1",
        ),
        (
            "A stream is to be ended for somebody who goes before it",
            "lease=L7 grace_s=5",
        ),
        (
            "Asked Jellyfin to end a job",
            "lease=L7 ended=dead-player node=jellyfin-1",
        ),
        ("Capacity of a GPU changed", "gpu=uhd770 from=9.4 to=8.0"),
        ("The operator acted", "action=pause"),
        ("Policy in force", "mode=enforce"),
    ]) {
        let logged = json("info", UserLabel::None, std::slice::from_ref(&event));
        if message.is_empty() {
            assert!(logged.is_empty(), "{event:?} is for debug only: {logged:?}");
            continue;
        }
        let [line] = logged.as_slice() else {
            panic!("{event:?}: {logged:?}");
        };
        assert_eq!(line["message"], message, "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        for field in fields.split(' ') {
            let (key, wanted) = field.split_once('=').unwrap();
            let found = &line[key];
            let found = found
                .as_str()
                .map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(found, wanted, "{key} in {line}");
        }
        let of_a_user = !matches!(
            event,
            Event::CapacityChanged { .. } | Event::PolicyChanged { .. }
        );
        assert_eq!(line["user.id"] == USER, of_a_user, "{line}");
    }
}

#[test]
fn no_line_tells_a_name_a_session_an_item_or_a_device() {
    for line in json("info", UserLabel::Id, &every_event()) {
        let line = line.to_string();
        for secret in [NAME, SESSION, ITEM, DEVICE] {
            assert!(!line.contains(secret), "{secret} is in {line}");
        }
    }
}

#[test]
fn at_debug_the_item_is_told_but_no_name_and_no_session() {
    let logged = json("debug", UserLabel::Id, &every_event());
    assert!(logged.iter().any(|line| line["item.id"] == ITEM));
    assert!(
        logged
            .iter()
            .any(|line| line["message"] == "Lease moved" && line["to"] == "active")
    );
    for line in logged {
        let line = line.to_string();
        assert!(!line.contains(NAME) && !line.contains(SESSION), "{line}");
    }
}

#[test]
fn names_are_logged_where_the_configuration_asks_for_them() {
    let logged = json("info", UserLabel::Name, &every_event());
    assert!(logged.iter().any(|line| line["user.name"] == NAME));
}

#[test]
fn a_client_cannot_forge_a_line() {
    for text in [true, false] {
        let telemetry = Telemetry::new(&settings(UserLabel::None));
        let event = admitted(subject(), Reason::Fits, None);
        let logged = lines("info", text, || telemetry.record(&[event]));
        assert_eq!(logged.len(), 1, "{logged:?}");
        assert!(!logged[0].contains('\u{1b}'), "{logged:?}");
    }
}

#[test]
fn direct_play_is_no_line_unless_it_would_have_been_refused() {
    let direct = || Subject {
        gpu: None,
        cost: Seats::ZERO,
        work: "direct".to_owned(),
        ..subject()
    };
    let plain = admitted(direct(), Reason::Cheap, None);
    assert!(json("info", UserLabel::None, &[plain]).is_empty());
    let would = admitted(direct(), Reason::Observed, Some(Reason::UserStreams));
    let logged = json("info", UserLabel::None, &[would]);
    assert_eq!(logged[0]["would"], "user-streams");
    let unjudged = admitted(direct(), Reason::FailOpen, None);
    assert_eq!(
        json("info", UserLabel::None, &[unjudged])[0]["level"],
        "WARN"
    );
}

#[test]
fn logging_is_set_up_once_and_says_so() {
    let wrong = Settings {
        level: "finweir=loud".to_owned(),
        ..settings(UserLabel::None)
    };
    assert!(matches!(init_logging(&wrong), Err(LogError::Level(..))));
    // Errors only: the other tests of this process log through it.
    let quiet = Settings {
        level: "error".to_owned(),
        ..settings(UserLabel::None)
    };
    assert!(init_logging(&quiet).is_ok());
    assert!(matches!(init_logging(&quiet), Err(LogError::Twice(_))));
}

#[test]
fn a_warning_that_every_request_meets_is_one_line_and_each_is_counted() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    let node = NodeId::new("jellyfin-1");
    let logged = lines("info", false, || {
        for _ in 0..1000 {
            telemetry.fail_open(FailOpen::Answer);
            telemetry.upstream_failure(&node, "connect");
        }
        telemetry.fail_open(FailOpen::Identity);
    });
    assert_eq!(logged.len(), 3, "{logged:?}");
    assert_eq!(
        value(&telemetry, "fail_open_total{why=\"answer\"}"),
        Some(1000.0)
    );
    let failures = "upstream_failures_total{kind=\"connect\",node=\"jellyfin-1\"}";
    assert_eq!(value(&telemetry, failures), Some(1000.0));
}

#[test]
fn a_held_back_warning_comes_with_how_many_there_were() {
    let start = clock::now();
    let quiet = Quiet::new(start);
    assert_eq!(quiet.pass(start), Some(0));
    assert_eq!(quiet.pass(start + Duration::from_secs(1)), None);
    assert_eq!(quiet.pass(start + Duration::from_secs(9)), None);
    assert_eq!(quiet.pass(start + Duration::from_secs(10)), Some(2));
}

#[test]
fn a_poll_is_logged_when_it_begins_and_ceases_to_fail() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    let node = NodeId::new("jellyfin-1");
    let logged = lines("info", false, || {
        for ok in [true, true, false, false, true] {
            telemetry.polled(&node, ok);
        }
        for ok in [true, false, false, true] {
            telemetry.reachable(&node, ok);
        }
    });
    assert_eq!(logged.len(), 4, "{logged:?}");
    assert_eq!(
        value(&telemetry, "jellyfin_poll_up{node=\"jellyfin-1\"}"),
        Some(1.0)
    );
    assert_eq!(telemetry.nodes()[0].reachable, Some(true));
}

#[test]
fn a_disk_is_logged_when_it_begins_to_fill_and_has_room_again_and_not_shown_while_unknown() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    let node = NodeId::new("jellyfin");
    let disk = |free, filling| {
        Some(Disk {
            free,
            size: Some(270_000_000_000),
            path: Some("/cache/transcodes".to_owned()),
            filling,
        })
    };
    let said = lines("info", true, || {
        for disk in [
            None,
            disk(70_000_000_000, false),
            disk(4_900_000_000, true),
            disk(4_800_000_000, true),
            disk(7_000_000_000, false),
        ] {
            telemetry.disk(&node, disk);
        }
    });
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("is filling") && said[0].contains("4.9 GB"),
        "{said:?}"
    );
    assert!(said[1].contains("has room again"), "{said:?}");
    let free = "jellyfin_disk_free_bytes{node=\"jellyfin\"}";
    let filling = "jellyfin_disk_filling{node=\"jellyfin\"}";
    assert_eq!(value(&telemetry, free), Some(7e9));
    assert_eq!(value(&telemetry, filling), Some(0.0));
    telemetry.disk(&node, disk(1, true));
    assert_eq!(value(&telemetry, filling), Some(1.0));
    telemetry.disk(&node, None);
    assert_eq!(value(&telemetry, free), None);
    assert_eq!(value(&telemetry, filling), None);
    assert_eq!(telemetry.nodes()[0].disk, None);
}

#[test]
fn every_label_value_that_can_be_known_stands_at_zero() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    for series in [
        "decisions_total{decision=\"reject\",reason=\"user-limit\"}",
        "decisions_total{decision=\"admit\",reason=\"waited\"}",
        "would_have_decisions_total{reason=\"gpu-full\"}",
        "user_decisions_total{decision=\"reject\",user=\"\"}",
        "leases{state=\"parked\"}",
        "leases_ended_total{ended=\"dead-player\"}",
        "queue_outcomes_total{outcome=\"gone\"}",
        "queue_depth{class=\"guests\"}",
        "gpu_seats_held{gpu=\"uhd770\"}",
        "reconciliations_total{kind=\"orphan\"}",
        "requests_total{code=\"5xx\",route=\"playback-info\"}",
        "upstream_first_byte_seconds_count{route=\"segment\"}",
        "fail_open_total{why=\"too-long\"}",
        "upstream_failures_total{kind=\"truncated\",node=\"jellyfin-1\"}",
        "config_reloads_total{result=\"failure\"}",
        "queue_wait_seconds_count",
    ] {
        assert_eq!(value(&telemetry, series), Some(0.0), "{series}");
    }
    assert_eq!(
        value(&telemetry, "config_last_reload_successful"),
        Some(1.0)
    );
    assert!(
        !telemetry
            .gather()
            .contains("reason=\"fits\",decision=\"reject\"")
    );
}

#[test]
fn a_wait_is_counted_once_as_it_begins_and_once_as_it_ends() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    telemetry.record(&every_event());
    telemetry.record(&[refused(Some(Ticket(9)), Reason::WaitedOut, 12)]);
    for (series, count) in [
        (
            "decisions_total{decision=\"queue\",reason=\"gpu-full\"}",
            1.0,
        ),
        ("decisions_total{decision=\"admit\",reason=\"waited\"}", 1.0),
        (
            "decisions_total{decision=\"reject\",reason=\"waited-out\"}",
            1.0,
        ),
        (
            "decisions_total{decision=\"reject\",reason=\"user-limit\"}",
            1.0,
        ),
        ("queue_outcomes_total{outcome=\"granted\"}", 1.0),
        ("queue_outcomes_total{outcome=\"waited-out\"}", 1.0),
        ("queue_outcomes_total{outcome=\"gone\"}", 1.0),
        ("queue_wait_seconds_count", 3.0),
        ("queue_wait_seconds_bucket{le=\"5\"}", 1.0),
        ("leases_ended_total{ended=\"stopped\"}", 1.0),
        ("jobs_ended_total{ended=\"dead-player\"}", 1.0),
        ("gpu_seats_capacity{gpu=\"uhd770\"}", 8.0),
        ("gpu_capacity_changes_total{gpu=\"uhd770\"}", 1.0),
        ("enforcing", 1.0),
    ] {
        assert_eq!(value(&telemetry, series), Some(count), "{series}");
    }
}

#[test]
fn users_beyond_the_bound_share_a_label() {
    let telemetry = Telemetry::new(&settings(UserLabel::Name));
    for number in 0..80 {
        let user = Subject {
            user_name: Some(Arc::from(format!("user-{number}"))),
            ..subject()
        };
        telemetry.record(&[admitted(user, Reason::Fits, None)]);
    }
    let text = telemetry.gather();
    let users: BTreeSet<_> = text
        .lines()
        .filter(|line| line.starts_with("finweir_user_decisions_total{"))
        .collect();
    assert_eq!(users.len(), labels::MAX_USERS + 1, "{users:#?}");
    let other = "user_decisions_total{decision=\"admit\",user=\"other\"}";
    assert_eq!(value(&telemetry, other), Some(30.0));
}

#[test]
fn a_request_is_counted_by_route_and_class_of_status() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    telemetry.request(
        Served::Segment,
        Some(206),
        Some(Duration::from_millis(3)),
        2_000_000,
    );
    telemetry.request(Served::Segment, None, None, 10);
    telemetry.request(Served::Other, Some(999), None, 0);
    for (series, count) in [
        ("requests_total{code=\"2xx\",route=\"segment\"}", 1.0),
        ("requests_total{code=\"none\",route=\"segment\"}", 1.0),
        ("requests_total{code=\"5xx\",route=\"other\"}", 1.0),
        ("proxied_bytes_total{route=\"segment\"}", 2_000_010.0),
        (
            "upstream_first_byte_seconds_bucket{route=\"segment\",le=\"0.0025\"}",
            0.0,
        ),
        (
            "upstream_first_byte_seconds_bucket{route=\"segment\",le=\"0.005\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&telemetry, series), Some(count), "{series}");
    }
    for (index, served) in Served::ALL.iter().enumerate() {
        assert_eq!(
            *served as usize, index,
            "ALL is in the order of the variants"
        );
    }
    for (index, why) in FailOpen::ALL.iter().enumerate() {
        assert_eq!(*why as usize, index, "ALL is in the order of the variants");
    }
}

fn lease(class: &str, node: &str, state: LeaseState, held: u32) -> LeaseView {
    LeaseView {
        lease: LeaseId(1),
        session: None,
        user: UserId::new(USER),
        user_name: None,
        device: DeviceId::new(DEVICE),
        client: Arc::from("x"),
        class: ClassId::new(class),
        item: ItemId::new(ITEM),
        node: NodeId::new(node),
        gpu: Some(GpuId::new("uhd770")),
        work: String::new(),
        cost: Seats::from_milli(1000),
        held: Seats::from_milli(held),
        rate: Bitrate::ZERO,
        state,
        reason: Reason::Fits,
        age: Duration::ZERO,
        idle: Duration::ZERO,
        paused: false,
        completion: None,
        lead: None,
        starved: false,
        stray: false,
    }
}

#[test]
fn gauges_follow_the_snapshot_and_go_back_to_zero() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    let gpu = |name: &str, held| GpuView {
        gpu: GpuId::new(name),
        capacity: Seats::from_milli(9400),
        given: Seats::from_milli(9400),
        learned: Seats::from_milli(9400),
        held: Seats::from_milli(held),
        reserved: Seats::ZERO,
        lent: Seats::ZERO,
        sessions: 2,
        max_sessions: None,
        waiting: 0,
        starving: 0,
    };
    telemetry.observe(&Snapshot {
        mode: Mode::Enforce,
        gpus: vec![gpu("uhd770", 2000), gpu("arc", 0)],
        leases: vec![
            lease("family", "jellyfin-1", LeaseState::Active, 1000),
            lease("new", "jellyfin-2", LeaseState::Finished, 0),
        ],
        waiting: Vec::new(),
        uplink: UplinkView {
            limit: Some(Bitrate::new(40_000_000)),
            held: Bitrate::new(8_000_000),
            other: Bitrate::new(800),
            waiting: 1,
        },
        transcodes: 2,
        ..Snapshot::default()
    });
    for (series, count) in [
        ("gpu_seats_held{gpu=\"uhd770\"}", Some(2.0)),
        ("gpu_seats_capacity{gpu=\"arc\"}", Some(9.4)),
        ("leases{state=\"active\"}", Some(1.0)),
        ("leases{state=\"finished\"}", Some(1.0)),
        ("class_leases{class=\"new\"}", Some(1.0)),
        ("class_leases{class=\"guests\"}", Some(0.0)),
        ("node_transcodes{node=\"jellyfin-1\"}", Some(1.0)),
        ("transcodes", Some(2.0)),
        ("uplink_limit_bytes_per_second", Some(5_000_000.0)),
        (
            "uplink_bytes_per_second{what=\"streams\"}",
            Some(1_000_000.0),
        ),
        ("uplink_bytes_per_second{what=\"other\"}", Some(100.0)),
        ("uplink_waiting", Some(1.0)),
    ] {
        assert_eq!(value(&telemetry, series), count, "{series}");
    }
    telemetry.observe(&Snapshot {
        gpus: vec![gpu("uhd770", 0)],
        ..Snapshot::default()
    });
    for (series, count) in [
        ("gpu_seats_held{gpu=\"uhd770\"}", Some(0.0)),
        ("gpu_seats_capacity{gpu=\"arc\"}", None),
        ("leases{state=\"active\"}", Some(0.0)),
        ("class_leases{class=\"new\"}", Some(0.0)),
        ("node_transcodes{node=\"jellyfin-1\"}", Some(0.0)),
        ("enforcing", Some(0.0)),
        ("uplink_limit_bytes_per_second", Some(f64::INFINITY)),
        ("uplink_bytes_per_second{what=\"streams\"}", Some(0.0)),
    ] {
        assert_eq!(value(&telemetry, series), count, "{series}");
    }
}

#[test]
fn a_rejected_configuration_keeps_the_time_of_the_last_good_one() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    telemetry.reloaded(true, at(1000));
    telemetry.reloaded(false, at(2000));
    assert!(!telemetry.config_ok());
    assert_eq!(
        value(&telemetry, "config_last_reload_successful"),
        Some(0.0)
    );
    let time = "config_last_reload_success_timestamp_seconds";
    assert_eq!(value(&telemetry, time), Some(1000.0));
    assert_eq!(
        value(&telemetry, "config_reloads_total{result=\"failure\"}"),
        Some(1.0)
    );
}

#[test]
fn the_list_of_decisions_is_bounded_and_begins_with_the_newest() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    for _ in 0..KEPT + 50 {
        telemetry.record(&every_event());
    }
    telemetry.record(&[refused(Some(Ticket(1)), Reason::WaitedOut, 12)]);
    let recent = telemetry.recent();
    assert_eq!(recent.len(), KEPT);
    assert_eq!(recent[0].reason, Reason::WaitedOut);
    assert!((recent[0].waited - 12.0).abs() < 0.01);
    assert_eq!(recent[0].user, NAME, "the page names people");
    assert_eq!(recent[1].decision, "downgrade");
}

#[test]
fn a_wait_leads_to_its_line_in_the_log() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    telemetry.record(&[refused(Some(Ticket(41)), Reason::WaitedOut, 12)]);
    let open = telemetry.gather_open();
    let id = subject().decision.to_string();
    let bucket =
        format!("finweir_queue_wait_seconds_bucket{{le=\"15.0\"}} 1 # {{decision=\"{id}\"}} 12.0 ");
    assert!(open.contains(&bucket), "{open}");
    assert!(open.ends_with("# EOF\n"));
    let refusal = refused(Some(Ticket(41)), Reason::WaitedOut, 12);
    let log = json("info", UserLabel::None, &[refusal]);
    assert_eq!(log[0]["decision.id"], id.as_str(), "{log:?}");
    assert!(!telemetry.gather().contains(&id), "the old format has none");
}

#[test]
fn both_formats_tell_the_same() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    telemetry.record(&every_event());
    let series = |text: &str| -> BTreeSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter(|line| line.starts_with("finweir_"))
            .map(|line| {
                let line = line.split(" # ").next().unwrap_or_default();
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.replace(".0\"}", "\"}");
                format!("{name} {}", value.parse::<f64>().unwrap())
            })
            .collect()
    };
    let (open, plain) = (telemetry.gather_open(), telemetry.gather());
    assert_eq!(series(&open), series(&plain));
    let families: Vec<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let distinct: BTreeSet<&str> = families.iter().copied().collect();
    assert_eq!(families.len(), distinct.len());
}

#[test]
fn who_holds_what_where_follows_the_snapshot() {
    let telemetry = Telemetry::new(&settings(UserLabel::Name));
    let mut held = lease("family", "jellyfin-1", LeaseState::Active, 1500);
    held.user_name = Some(Arc::from("anna"));
    held.gpu = Some(GpuId::new("uhd770"));
    telemetry.observe(&Snapshot {
        leases: vec![held],
        ..Snapshot::default()
    });
    let of_anna = "user_seats_held{node=\"jellyfin-1\",user=\"anna\"}";
    let of_gpu = "node_gpu_seats_held{gpu=\"uhd770\",node=\"jellyfin-1\"}";
    assert_eq!(value(&telemetry, of_anna), Some(1.5));
    assert_eq!(value(&telemetry, of_gpu), Some(1.5));
    telemetry.observe(&Snapshot::default());
    assert_eq!(value(&telemetry, of_anna), Some(0.0));
    assert_eq!(value(&telemetry, of_gpu), Some(0.0));
}

#[test]
fn who_went_on_to_something_else_was_not_refused() {
    let telemetry = Telemetry::new(&settings(UserLabel::None));
    telemetry.record(&[
        refused(None, Reason::GpuFull, 0),
        refused(Some(Ticket(1)), Reason::Superseded, 2),
        refused(None, Reason::Draining, 0),
        refused(Some(Ticket(2)), Reason::WaitedOut, 12),
    ]);
    assert_eq!(telemetry.refusals(), 2);
    assert!(!telemetry.has_journal_trouble());
    telemetry.journal_trouble(true);
    assert!(telemetry.has_journal_trouble());
    assert_eq!(value(&telemetry, "journal_trouble"), Some(1.0));
}
