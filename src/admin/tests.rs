//! A made-up evening, and what the admin side makes of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod acting;
mod lasting;

use super::*;
use crate::{
    admission::{
        Bitrate, GpuView, LeaseState, LeaseView, Mode, Policy, Reason, Seats, Snapshot, UplinkView,
        WaiterView,
    },
    ident::{ClassId, DeviceId, GpuId, ItemId, LeaseId, PlaySessionId, Ticket, UserId},
    telemetry::{self, Decided, Disk, NodeHealth},
};

const SECRET: &str = "a-very-secret-admin-token";

fn lease(
    number: u64,
    user: &str,
    client: &str,
    work: &str,
    (cost, held): (u32, u32),
    state: LeaseState,
) -> LeaseView {
    LeaseView {
        lease: LeaseId(number),
        session: Some(PlaySessionId::new(format!("{number:032x}"))),
        user: UserId::new(format!("{:032x}", number * 7919)),
        user_name: Some(Arc::from(user)),
        device: DeviceId::new(format!("TW96aWxsYS81LjAgKFgxMTsg{number}MzQ1Njc")),
        client: Arc::from(client),
        class: ClassId::new(if number.is_multiple_of(3) {
            "guests"
        } else {
            "family"
        }),
        item: ItemId::new(format!("{:032x}", number * 104_729)),
        node: NodeId::new("jellyfin-1"),
        gpu: (cost > 0).then(|| GpuId::new("uhd770")),
        work: work.to_owned(),
        cost: Seats::from_milli(cost),
        held: Seats::from_milli(held),
        rate: Bitrate::ZERO,
        state,
        reason: if cost == 0 {
            Reason::Cheap
        } else {
            Reason::Fits
        },
        age: Duration::from_secs(97 * number * number),
        idle: Duration::from_secs(4 + number * 3),
        paused: number == 4,
        completion: (cost > 0 && held > 0 && state != LeaseState::Reserved)
            .then_some(0.17 * f64::from(u32::try_from(number).unwrap())),
        lead: (number == 1).then_some(150.0),
        starved: false,
        stray: false,
    }
}

fn decided(
    at: f64,
    decision: &'static str,
    reason: Reason,
    user: &str,
    work: &str,
    cost: f64,
) -> Decided {
    Decided {
        id: crate::ident::DecisionId(7),
        at,
        decision,
        reason,
        would: None,
        user: user.to_owned(),
        client: "Jellyfin Android TV".to_owned(),
        class: "guests".to_owned(),
        work: work.to_owned(),
        cost,
        gpu: Some("uhd770".to_owned()),
        node: "jellyfin-1".to_owned(),
        waited: if decision == "queue" { 0.0 } else { 6.4 },
    }
}

fn evening() -> View {
    let leases = vec![
        lease(
            1,
            "Anna",
            "Jellyfin Web",
            "hevc 2160p hdr -> h264 1080p",
            (2800, 2800),
            LeaseState::Active,
        ),
        lease(
            2,
            "Ben",
            "Jellyfin Android TV",
            "hevc 2160p -> h264 1080p",
            (2300, 2300),
            LeaseState::Active,
        ),
        lease(
            3,
            "Guest",
            "Jellyfin Roku",
            "h264 1080p -> h264 720p",
            (700, 700),
            LeaseState::Reserved,
        ),
        lease(
            4,
            "Clara",
            "Swiftfin iOS",
            "h264 1080p -> h264 480p",
            (1000, 0),
            LeaseState::Finished,
        ),
        lease(5, "David", "Kodi", "direct", (0, 0), LeaseState::Active),
        lease(
            6,
            "Emil",
            "Jellyfin Web",
            "vc1 1080p -> h264 1080p",
            (1100, 1100),
            LeaseState::Lingering,
        ),
    ];
    let waiter = WaiterView {
        ticket: Ticket(4),
        user: UserId::new("00000000000000000000000000000009"),
        user_name: Some(Arc::from("Flora")),
        device: DeviceId::new("firetv-livingroom"),
        client: Arc::from("Jellyfin Android TV"),
        class: ClassId::new("guests"),
        item: ItemId::new("1"),
        cost: Seats::from_milli(2800),
        reason: Reason::GpuFull,
        waited: Duration::from_secs(6),
        expected: Some(Duration::from_secs(4)),
        left: Duration::from_secs(9),
    };
    let snapshot = Snapshot {
        mode: Mode::Enforce,
        own_mode: None,
        paused: false,
        gpus: vec![
            GpuView {
                gpu: GpuId::new("uhd770"),
                capacity: Seats::from_milli(9400),
                given: Seats::from_milli(9400),
                learned: Seats::from_milli(9400),
                held: Seats::from_milli(6900),
                reserved: Seats::from_milli(700),
                lent: Seats::ZERO,
                sessions: 4,
                max_sessions: Some(8),
                waiting: 1,
                starving: 0,
            },
            GpuView {
                gpu: GpuId::new("cpu"),
                capacity: Seats::from_milli(2000),
                given: Seats::from_milli(2000),
                learned: Seats::from_milli(2000),
                held: Seats::ZERO,
                reserved: Seats::ZERO,
                lent: Seats::ZERO,
                sessions: 0,
                max_sessions: None,
                waiting: 0,
                starving: 0,
            },
        ],
        leases,
        waiting: vec![waiter],
        uplink: UplinkView {
            limit: Some(Bitrate::new(40_000_000)),
            held: Bitrate::new(23_400_000),
            other: Bitrate::new(5_100_000),
            waiting: 0,
        },
        transcodes: 5,
    };
    let now = 1_790_000_000.0;
    let recent = vec![
        decided(
            now - 6.0,
            "queue",
            Reason::GpuFull,
            "Flora",
            "hevc 2160p hdr -> h264 1080p",
            2.8,
        ),
        decided(
            now - 41.0,
            "reject",
            Reason::UserLimit,
            "Guest",
            "h264 1080p -> h264 720p",
            0.7,
        ),
        decided(
            now - 97.0,
            "admit",
            Reason::Waited,
            "Ben",
            "hevc 2160p -> h264 1080p",
            2.3,
        ),
        decided(
            now - 460.0,
            "reject",
            Reason::WaitedOut,
            "Guest",
            "av1 2160p hdr -> h264 1080p",
            3.1,
        ),
        decided(
            now - 5000.0,
            "reject",
            Reason::UhdDenied,
            "Guest",
            "hevc 2160p hdr -> h264 1080p",
            2.8,
        ),
    ];
    let health = |node: &str, poll| NodeHealth {
        node: node.to_owned(),
        reachable: Some(true),
        poll,
        disk: None,
    };
    let readiness = Readiness::new();
    readiness.listening();
    View::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(now),
        snapshot,
        recent,
        vec![health("jellyfin-1", Some(true)), health("jellyfin-2", None)],
        &[NodeId::new("jellyfin-2")],
        &readiness.checks(&telemetry()),
    )
}

#[test]
fn why_is_asked_only_where_there_is_a_journal() {
    let drawn = |explains| {
        let sheet = Sheet {
            explains,
            ..sheet(evening(), Eye::Reader)
        };
        page::document(&sheet, &Door::None)
    };
    assert!(drawn(true).contains("href=\"explain?id="));
    assert!(!drawn(false).contains("explain?id="));
}

fn sheet(view: View, eye: Eye) -> Sheet {
    Sheet {
        view,
        past: Vec::new(),
        explains: true,
        eye,
    }
}

/// The page, as who may only read sees it.
fn document(view: View) -> String {
    page::document(&sheet(view, Eye::Reader), &Door::Closed)
}

fn telemetry() -> Telemetry {
    Telemetry::new(&telemetry::Settings {
        format: telemetry::LogFormat::Json,
        level: "info".to_owned(),
        user_label: telemetry::UserLabel::None,
        gpus: vec!["uhd770".to_owned()],
        nodes: vec!["jellyfin-1".to_owned()],
        classes: vec!["default".to_owned()],
    })
}

#[test]
fn the_page_says_who_holds_waits_and_was_refused() {
    let page = document(evening());
    for said in [
        "<b>6.9</b> of 9.4 seats held",
        "hevc 2160p hdr → h264 1080p",
        "Anna",
        "Swiftfin iOS",
        "this user runs all the transcodes allowed",
        "no seat came free in time",
        "the GPU has too few seats left",
        "No API key for jellyfin-2",
        "17 %",
        "<dt>sessions</dt><dd>4 of 8</dd>",
        ">41 s ago</span>",
        "data-as=\"in\">4 s</span>",
        "17 %, 2 min ahead",
        "data-as=\"in\">9 s</span>",
    ] {
        assert!(page.contains(said), "{said} is not in\n{page}");
    }
    assert!(!page.contains("Observing"));
}

#[test]
fn observing_is_said_in_words_with_what_would_have_been_refused() {
    let mut view = evening();
    view.mode = Mode::Observe;
    view.recent = vec![Decided {
        would: Some(Reason::ClassLimit),
        ..decided(
            view.at - 3.0,
            "admit",
            Reason::Observed,
            "Guest",
            "remux",
            0.0,
        )
    }];
    let page = document(view);
    assert!(page.contains("Observing: nothing is refused."));
    assert!(page.contains("would have been held up: this class runs all the transcodes allowed"));
    // Nobody was.
    assert!(page.contains("Would have waited or been refused"));
    assert!(!page.contains("Refused lately"));
}

#[test]
fn a_gpu_with_no_room_for_anything_is_called_full() {
    let pill = |held: u32| {
        let mut view = evening();
        view.gpus.truncate(1);
        view.gpus[0].waiting = 0;
        view.gpus[0].held = Seats::from_milli(held);
        document(view)
    };
    assert!(pill(9370).contains(">full</span>"));
    assert!(pill(9300).contains(">has room</span>"));
}

#[test]
fn nothing_is_seen_of_a_server_that_does_not_answer() {
    let mut view = evening();
    view.nodes.truncate(1);
    view.nodes[0].reachable = Some(false);
    view.nodes[0].poll = Some(true);
    let page = document(view);
    assert!(page.contains("what it runs can't be seen now"), "{page}");
    assert!(!page.contains("what it runs is seen"));
}

#[test]
fn what_clients_say_of_themselves_never_becomes_markup() {
    let evil = "<script>alert(1)</script>\"'&\u{202e}\u{0}";
    let mut view = evening();
    for lease in &mut view.leases {
        lease.client = Arc::from(evil);
        lease.user_name = Some(Arc::from(evil));
        lease.device = DeviceId::new(evil);
        lease.class = ClassId::new(evil);
        lease.node = NodeId::new(evil);
        evil.clone_into(&mut lease.work);
    }
    for waiter in &mut view.waiting {
        waiter.client = Arc::from(evil);
        waiter.user_name = None;
        waiter.user = UserId::new(evil);
        waiter.device = DeviceId::new(evil);
    }
    for decided in &mut view.recent {
        evil.clone_into(&mut decided.user);
        evil.clone_into(&mut decided.client);
        evil.clone_into(&mut decided.work);
        evil.clone_into(&mut decided.class);
        evil.clone_into(&mut decided.node);
        decided.gpu = Some(evil.to_owned());
    }
    for node in &mut view.nodes {
        evil.clone_into(&mut node.node);
    }
    view.warnings.push(evil.to_owned());
    view.gpus[1].gpu = GpuId::new(evil);
    let page = document(view);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
    assert_eq!(page.matches("<script").count(), 1, "the page's own: {page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'));
}

#[test]
fn a_long_name_is_cut() {
    let mut view = evening();
    view.leases[0].client = Arc::from("x".repeat(10_000));
    assert!(document(view).len() < 40_000);
}

#[test]
fn state_is_flat_and_names_what_it_holds() {
    let state = serde_json::to_value(evening()).unwrap();
    assert_eq!(state["mode"], "enforce");
    assert_eq!(state["seats_held"], 6.9);
    assert_eq!(state["seats_capacity"], 11.4);
    assert_eq!(state["queue_depth"], 1);
    assert_eq!(state["gpus"][0]["gpu"], "uhd770");
    assert_eq!(state["leases"][0]["state"], "active");
    assert_eq!(state["leases"][0]["cost"], 2.8);
    assert_eq!(state["waiting"][0]["left"], 9.0);
    assert_eq!(state["recent"][1]["reason"], "user-limit");
    assert_eq!(state["nodes"][1]["api_key"], false);
}

#[test]
fn a_disk_that_fills_is_a_warning_and_one_that_is_not_known_is_none() {
    let full = telemetry();
    let node = NodeId::new("jellyfin-1");
    let disk = |filling| Disk {
        free: 3_290_000_000,
        size: None,
        path: Some("/<b>".to_owned()),
        filling,
    };
    let view = |disk| {
        full.disk(&node, disk);
        View::new(
            SystemTime::UNIX_EPOCH,
            Snapshot::default(),
            Vec::new(),
            full.nodes(),
            &[],
            &Readiness::new().checks(&full),
        )
    };
    let parts = |view: View| -> std::collections::BTreeMap<_, _> {
        page::parts(&sheet(view, Eye::Reader)).into_iter().collect()
    };
    let filling = parts(view(Some(disk(true))));
    let said = "The disk that jellyfin-1 writes its transcodes to (/&lt;b&gt;) is filling: 3.2 GB are free.";
    assert!(filling["notices"].contains(said), "{filling:?}");
    assert!(filling["nodes"].contains("3.2 GB free for transcodes"));
    let state = serde_json::to_value(view(Some(disk(true)))).unwrap();
    assert_eq!(
        state["nodes"][0]["disk"],
        serde_json::json!({"free": 3_290_000_000_u64, "size": null, "path": "/<b>", "filling": true})
    );
    let roomy = parts(view(Some(disk(false))));
    assert!(!roomy["notices"].contains("filling"));
    assert!(roomy["nodes"].contains("3.2 GB free for transcodes"));
    let unknown = parts(view(None));
    assert!(!unknown["notices"].contains("filling"));
    assert!(unknown["nodes"].contains("room for transcodes not known"));
}

struct Fixture {
    admin: RunningAdmin,
    gate: Gate,
    readiness: Readiness,
    telemetry: Telemetry,
    drains: Arc<AtomicUsize>,
    messages: Arc<Mutex<Vec<Message>>>,
}

fn start(token: Option<&str>) -> Fixture {
    let telemetry = telemetry();
    let policy = Policy::observe(
        NodeId::new("jellyfin-1"),
        GpuId::new("uhd770"),
        Seats::from_milli(9400),
    );
    let (gate, _jobs) = Gate::new(clock::now(), Arc::new(policy), telemetry.clone());
    let readiness = Readiness::new();
    let drains = Arc::new(AtomicUsize::new(0));
    let count = drains.clone();
    let messages = Arc::new(Mutex::new(Vec::new()));
    let told = messages.clone();
    let handles = Handles {
        gate: gate.clone(),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        keyless: Vec::new(),
        drain: Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
        message: Arc::new(move |message| {
            told.lock().unwrap().push(message);
            Box::pin(std::future::ready(Ok(())))
        }),
        explain: Some(Explain::new(|id| match id.to_string().as_str() {
            "d-1k3j9x2m" => {
                Ok("refused: the GPU <has> too few seats\n\n  3.7 seats  anna\n".to_owned())
            }
            _ => Err("it is not there".to_owned()),
        })),
    };
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: token.map(Token::new),
    };
    let admin = bind(&settings).unwrap().serve(handles).unwrap();
    Fixture {
        admin,
        gate,
        readiness,
        telemetry,
        drains,
        messages,
    }
}

impl Fixture {
    /// Sends one request with these extra header lines; returns the whole answer.
    async fn ask(&self, line: &str, headers: &str) -> String {
        self.ask_with(line, headers, "").await
    }

    async fn ask_with(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.admin.address())
            .await
            .unwrap();
        let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn status(&self, line: &str, headers: &str) -> u16 {
        let answer = self.ask(line, headers).await;
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

const LOCAL: &str = "Host: localhost\r\n";

#[tokio::test]
async fn every_route_answers_with_its_type_and_the_headers_that_protect_it() {
    let fixture = start(None);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/login", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/mark.svg", "image/svg+xml"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/live", "text/plain; charset=utf-8"),
        ("/state", "application/json"),
    ] {
        let answer = fixture.ask(&format!("GET {path}"), LOCAL).await;
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        for header in [
            &format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: same-origin",
        ] {
            assert!(head.contains(header), "{path}: {header} is not in {head}");
        }
    }
    let open = "Host: localhost\r\nAccept: application/openmetrics-text; version=1.0.0\r\n";
    let answer = fixture.ask("GET /metrics", open).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.to_lowercase().contains(kind), "{head}");
    assert!(head.to_lowercase().contains("vary: accept"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    assert_eq!(fixture.status("GET /nothing", LOCAL).await, 404);
    assert_eq!(fixture.status("HEAD /metrics", LOCAL).await, 200);
    fixture.admin.stop().await;
}

#[tokio::test]
async fn a_decision_is_explained_and_nothing_in_it_is_markup() {
    let fixture = start(None);
    let told = fixture.ask("GET /explain?id=d-1k3j9x2m", LOCAL).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains("the GPU &lt;has&gt; too few seats"), "{told}");
    // Columns stay columns on a phone, sentences are wrapped.
    assert!(told.contains("<pre>\nrefused: "), "{told}");
    assert!(
        told.contains("<pre class=\"columns\" tabindex=\"0\">\n  3.7 seats  anna"),
        "{told}"
    );
    let unknown = fixture.ask("GET /explain?id=d-2k3j9x2m", LOCAL).await;
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    assert!(unknown.contains("finweir explain d-2k3j9x2m"), "{unknown}");
    assert_eq!(
        fixture.status("GET /explain?id=%3Cscript%3E", LOCAL).await,
        400
    );
    assert_eq!(fixture.status("GET /explain", LOCAL).await, 400);
    fixture.admin.stop().await;
}

#[tokio::test]
async fn ready_says_why_not() {
    let fixture = start(None);
    let node = NodeId::new("jellyfin-1");
    assert_eq!(fixture.status("GET /ready", LOCAL).await, 503);
    fixture.readiness.listening();
    assert!(
        fixture
            .ask("GET /ready", LOCAL)
            .await
            .ends_with("\r\n\r\nready\n")
    );

    fixture.telemetry.reachable(&node, false);
    let answer = fixture.ask("GET /ready", LOCAL).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with("not ready: jellyfin: no answer from jellyfin-1\n"),
        "{answer}"
    );
    fixture.telemetry.reachable(&node, true);

    // A rejected configuration is a warning: the one before it works.
    fixture.telemetry.reloaded(false, SystemTime::UNIX_EPOCH);
    fixture
        .readiness
        .config_error(Some("line 4: unknown key".to_owned()));
    let answer = fixture.ask("GET /ready?verbose", LOCAL).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("[-] config: the last one was rejected"),
        "{answer}"
    );
    assert!(answer.contains("[+] jellyfin: reachable"), "{answer}");

    fixture.readiness.draining();
    assert_eq!(fixture.status("GET /ready", LOCAL).await, 503);
    assert_eq!(fixture.status("GET /live", LOCAL).await, 200);
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_loopback_reads_nothing() {
    let fixture = start(Some(SECRET));
    assert_eq!(
        fixture.status("GET /state", "Host: evil.example\r\n").await,
        403
    );
    assert_eq!(
        fixture.status("GET http://evil.example/state", LOCAL).await,
        403
    );
    assert_eq!(
        fixture
            .status("GET /state", "Host: 127.0.0.1:9097\r\n")
            .await,
        200
    );
    let with_token = format!("Host: finweir.example\r\nAuthorization: Bearer {SECRET}\r\n");
    assert_eq!(fixture.status("GET /state", &with_token).await, 200);
}

#[tokio::test]
async fn what_a_proxy_carried_is_not_local() {
    let fixture = start(Some(SECRET));
    for header in [
        "X-Forwarded-For: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "Via: 1.1 x",
    ] {
        let headers = format!("{LOCAL}{header}\r\n");
        assert_eq!(
            fixture.status("GET /state", &headers).await,
            401,
            "{header}"
        );
        let headers = format!("{headers}Authorization: bearer {SECRET}\r\n");
        assert_eq!(
            fixture.status("GET /state", &headers).await,
            200,
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_drain_needs_the_token_and_a_browser_cannot_add_it() {
    let fixture = start(Some(SECRET));
    // `user:<SECRET>`, as a browser sends it on its own once it was typed in.
    let basic = "Authorization: Basic dXNlcjphLXZlcnktc2VjcmV0LWFkbWluLXRva2Vu\r\n";
    let carried = format!("{LOCAL}X-Forwarded-For: 203.0.113.9\r\n{basic}");
    assert_eq!(fixture.status("GET /", &carried).await, 200);
    for headers in [
        LOCAL.to_owned(),
        format!("{LOCAL}{basic}"),
        format!("{LOCAL}Authorization: Bearer wrong\r\n"),
        format!("{LOCAL}Authorization: Bearer {SECRET}x\r\n"),
    ] {
        assert_eq!(
            fixture.status("POST /drain", &headers).await,
            401,
            "{headers}"
        );
    }
    let query = format!("POST /drain?token={SECRET}");
    assert_eq!(fixture.status(&query, LOCAL).await, 401);
    assert_eq!(fixture.drains.load(Ordering::SeqCst), 0);

    let bearer = format!("{LOCAL}Authorization: Bearer {SECRET}\r\n");
    assert_eq!(fixture.status("GET /drain", &bearer).await, 405);
    assert_eq!(fixture.status("POST /state", &bearer).await, 405);
    assert_eq!(fixture.status("POST /drain", &bearer).await, 202);
    assert_eq!(fixture.drains.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.status("GET /ready", LOCAL).await, 503);
}

#[tokio::test]
async fn without_a_token_nothing_can_be_done() {
    for token in [None, Some("")] {
        let fixture = start(token);
        let empty = format!("{LOCAL}Authorization: Bearer \r\n");
        assert_eq!(fixture.status("POST /drain", &empty).await, 403);
        // `user:`, with no password.
        let carried = format!("{LOCAL}Via: 1.1 x\r\nAuthorization: Basic dXNlcjo=\r\n");
        assert_eq!(fixture.status("GET /state", &carried).await, 401);
        assert_eq!(fixture.drains.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn an_open_address_needs_a_token() {
    for (listen, token, fine) in [
        ("0.0.0.0:0", None, false),
        ("0.0.0.0:0", Some(""), false),
        ("0.0.0.0:0", Some(SECRET), true),
        ("[::ffff:127.0.0.1]:0", None, true),
        ("127.0.0.1:0", None, true),
    ] {
        let bound = bind(&Settings {
            listen: listen.parse().unwrap(),
            token: token.map(Token::new),
        });
        assert_eq!(bound.is_ok(), fine, "{listen} {token:?}: {bound:?}");
    }
}

#[test]
fn the_admin_settings_do_not_print_the_token() {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: Some(Token::new(SECRET)),
    };
    assert!(!format!("{settings:?}").contains(SECRET));
}

#[tokio::test]
async fn a_stopped_listener_takes_no_more() {
    let fixture = start(None);
    let address = fixture.admin.address();
    fixture.admin.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
