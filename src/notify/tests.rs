//! Words as receivers get them, and when.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::State as With,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    word::{State, Topic},
    *,
};
use crate::{
    ident::NodeId,
    telemetry::{self, Disk, LogFormat, UserLabel},
};

/// Stands wherever a URL has a secret.
const SECRET: &str = "s3cret-of-the-house";

fn telemetry() -> Telemetry {
    Telemetry::new(&telemetry::Settings {
        format: LogFormat::Json,
        level: "info".to_owned(),
        user_label: UserLabel::None,
        gpus: vec!["uhd770".to_owned()],
        nodes: vec!["attic".to_owned()],
        classes: vec!["default".to_owned()],
    })
}

fn count(telemetry: &Telemetry, outcome: &str) -> String {
    let series = format!("finweir_notifications_total{{outcome=\"{outcome}\"}} ");
    let metrics = telemetry.gather();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().to_owned()
}

fn quick(receivers: Vec<Receiver>) -> Settings {
    Settings {
        receivers,
        after: Duration::ZERO,
        pace: Pace {
            look: Duration::from_millis(5),
            patience: Duration::from_secs(5),
            retry: Duration::from_millis(5),
            retry_at_most: Duration::from_millis(20),
        },
        ..Settings::default()
    }
}

fn word(on: On, subject: Option<&str>, state: State) -> Word {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    let topic = Topic {
        on,
        subject: subject.map(str::to_owned),
    };
    let within = Duration::from_secs(600);
    Word::of(&topic, state, 2, within, (at, Duration::from_secs(200)))
}

// === A receiver ===

/// One request that arrived.
#[derive(Debug)]
struct Got {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Value,
}

#[derive(Clone)]
struct Desk {
    got: mpsc::Sender<Got>,
    /// What is answered, in this order; then 200.
    answers: Arc<Mutex<VecDeque<(StatusCode, &'static str)>>>,
}

/// A server that remembers what it was sent.
struct House {
    address: SocketAddr,
    got: mpsc::Receiver<Got>,
    _tasks: Tasks,
}

async fn take(
    With(desk): With<Desk>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path_and_query().unwrap().to_string();
    let got = Got {
        method,
        path,
        headers,
        body,
    };
    desk.got.send(got).await.unwrap();
    let answer = desk.answers.lock().unwrap().pop_front();
    let (status, after) = answer.unwrap_or((StatusCode::OK, "0"));
    (status, [("retry-after", after)], "")
}

impl House {
    fn on(listener: tokio::net::TcpListener, answers: &[(StatusCode, &'static str)]) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, got) = mpsc::channel(64);
        let desk = Desk {
            got: sender,
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let router = Router::new().fallback(take).with_state(desk);
        let tasks = Tasks::new();
        tasks.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            got,
            _tasks: tasks,
        }
    }

    async fn open(answers: &[(StatusCode, &'static str)]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answers)
    }

    async fn next(&mut self) -> Got {
        let next = tokio::time::timeout(Duration::from_secs(20), self.got.recv());
        next.await.expect("a word arrives").unwrap()
    }
}

fn receiver(url: &str, address: SocketAddr) -> Receiver {
    Receiver::parse(&url.replace("HOST", &address.to_string())).unwrap()
}

#[tokio::test]
async fn each_receiver_gets_the_shape_it_takes() {
    let mut house = House::open(&[]).await;
    let down = word(On::NodeDown, Some("attic"), State::Firing);
    let text = "Nothing plays from it. Is Jellyfin running, and is its address in the configuration right?";
    let title = "Jellyfin server attic does not answer";
    let titled = format!("Finweir: {title}");
    let our_own = json!({
        "version": 1, "from": "Finweir", "event": "node-down", "subject": "attic", "state": "firing",
        "title": title, "text": text, "at": 1_700_000_000.25, "lasted": 200,
    });
    let ntfy = json!({
        "topic": "house", "title": titled, "message": text, "priority": 4, "tags": ["warning"],
    });
    let discord = json!({
        "username": "Finweir",
        "embeds": [{"title": title, "description": text, "color": 0x00d0_3030}],
        "allowed_mentions": {"parse": []},
    });
    let gotify = json!({"title": titled, "message": text, "priority": 8});
    let apprise = json!({"title": titled, "body": text, "type": "failure", "format": "text"});
    let basic = Some(("authorization", "Basic YW5uYTpwYXNz"));
    for (url, path, header, body) in [
        ("json://HOST/hook?key=1", "/hook?key=1", None, &our_own),
        ("http://anna:pass@HOST/a/b/", "/a/b/", basic, &our_own),
        ("http://HOST", "/", None, &our_own),
        ("ntfy://HOST/house", "/", None, &ntfy),
        ("ntfy://anna:pass@HOST/base/house", "/base", basic, &ntfy),
        (
            "ntfy://tk_abc@HOST/house",
            "/",
            Some(("authorization", "Bearer tk_abc")),
            &ntfy,
        ),
        (
            "gotify://HOST/the.Token",
            "/message",
            Some(("x-gotify-key", "the.Token")),
            &gotify,
        ),
        (
            "gotify://HOST/base/the.Token",
            "/base/message",
            Some(("x-gotify-key", "the.Token")),
            &gotify,
        ),
        (
            "http://HOST/api/webhooks/123/tok-en",
            "/api/webhooks/123/tok-en",
            None,
            &discord,
        ),
        ("apprise://HOST/key", "/notify/key", None, &apprise),
    ] {
        let settings = quick(vec![receiver(url, house.address)]);
        let notifier = Notifier::new(settings.clone(), telemetry()).unwrap();
        let sent = notifier
            .0
            .sender
            .send(&settings.receivers[0], &down, &settings);
        sent.await.unwrap();
        let got = house.next().await;
        assert_eq!(
            (got.method, got.path.as_str()),
            (Method::POST, path),
            "{url}"
        );
        assert_eq!(&got.body, body, "{url}");
        assert_eq!(got.headers["content-type"], "application/json", "{url}");
        let agent = concat!("finweir/", env!("CARGO_PKG_VERSION"));
        assert_eq!(got.headers["user-agent"], agent, "{url}");
        match header {
            Some((name, value)) => assert_eq!(got.headers[name], value, "{url}"),
            None => assert!(!got.headers.contains_key("authorization"), "{url}"),
        }
    }
}

#[test]
fn urls_with_tls_and_public_servers_go_where_they_should() {
    for (url, target, shown) in [
        (
            "ntfys://ntfy.example/t",
            "https://ntfy.example/",
            "ntfys://ntfy.example",
        ),
        ("ntfy://a-topic", "https://ntfy.sh/", "ntfy://ntfy.sh"),
        (
            "gotifys://g.example:8443/tok",
            "https://g.example:8443/message",
            "gotifys://g.example:8443",
        ),
        (
            "discord://12/abc",
            "https://discord.com/api/webhooks/12/abc",
            "discord://discord.com",
        ),
        (
            "apprises://a.example/k",
            "https://a.example/notify/k",
            "apprises://a.example",
        ),
        (
            "jsons://j.example/x",
            "https://j.example/x",
            "jsons://j.example",
        ),
        (
            "https://h.example/x?y",
            "https://h.example/x?y",
            "https://h.example",
        ),
        ("json://[::1]:80/x", "http://[::1]/x", "json://[::1]:80"),
    ] {
        let receiver = Receiver::parse(url).unwrap();
        assert_eq!(receiver.target.as_str(), target, "{url}");
        assert_eq!(receiver.to_string(), shown, "{url}");
        assert_eq!(
            format!("{receiver:?}"),
            format!("Receiver({shown})"),
            "{url}"
        );
    }
}

#[test]
fn a_url_that_is_wrong_is_not_repeated_in_what_is_said_about_it() {
    for url in [
        "s3cret-of-the-house",
        "mailto:s3cret-of-the-house",
        "slack://host/s3cret-of-the-house",
        "ntfy:///s3cret-of-the-house",
        "discord://12/s3cret-of-the-house/more",
        "discord://s3cret-of-the-house",
        "gotify://host",
        "apprise://host/",
        "gotify://host/s3cret-of-the-house%0a",
        "ntfy://host/s3cret-of-the-house%ff",
        "json://host:s3cret-of-the-house/",
        "",
    ] {
        let problem = Receiver::parse(url).expect_err(url);
        assert!(!problem.contains(SECRET), "{url}: {problem}");
    }
}

// === When ===

/// Conditions under a clock of their own.
struct Evening {
    conditions: Conditions,
    begin: Instant,
    settings: Settings,
    seen: Seen,
    may: bool,
}

impl Evening {
    fn new() -> Self {
        Self {
            conditions: Conditions::default(),
            begin: clock::now(),
            settings: Settings::default(),
            seen: Seen::default(),
            may: true,
        }
    }

    /// What is said at this second.
    fn at(&mut self, second: u64) -> Vec<(&'static str, State)> {
        let words = self.words(second);
        words.iter().map(|word| (word.event, word.state)).collect()
    }

    fn words(&mut self, second: u64) -> Vec<Word> {
        let passed = Duration::from_secs(second);
        let (now, wall) = (self.begin + passed, SystemTime::UNIX_EPOCH + passed);
        let may = self.may;
        self.conditions
            .update(now, wall, &self.settings, &self.seen, || may)
    }
}

fn attic() -> Vec<String> {
    vec!["attic".to_owned()]
}

#[test]
fn one_word_is_said_of_a_condition_until_it_clears() {
    let mut evening = Evening::new();
    evening.seen.down = attic();
    assert_eq!(evening.at(0), [], "it may be a blink");
    assert_eq!(evening.at(29), []);
    assert_eq!(evening.at(30), [("node-down", State::Firing)]);
    for second in [31, 60, 600, 3629] {
        assert_eq!(evening.at(second), [], "{second}");
    }
    assert_eq!(evening.at(3630), [("node-down", State::Lasting)]);
    evening.seen.down.clear();
    assert_eq!(evening.at(3700), []);
    assert_eq!(evening.at(3729), []);
    let words = evening.words(3730);
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].state, State::Resolved);
    assert_eq!(words[0].title, "Jellyfin server attic answers again");
    assert_eq!(words[0].text, "It lasted 1 h 1 min.");
    assert_eq!(evening.at(9000), []);
}

#[test]
fn what_comes_and_goes_makes_no_noise() {
    let mut evening = Evening::new();
    for second in (0..3000).step_by(5) {
        evening.seen.down = if second % 40 < 20 {
            attic()
        } else {
            Vec::new()
        };
        assert_eq!(evening.at(second), [], "{second}");
    }
    // Once told, it is not taken back and told again with every blink.
    evening.seen.down = attic();
    assert_eq!(evening.at(3000), []);
    assert_eq!(evening.at(3030), [("node-down", State::Firing)]);
    for second in (3035..6000).step_by(5) {
        evening.seen.down = if second % 40 < 20 {
            attic()
        } else {
            Vec::new()
        };
        assert_eq!(evening.at(second), [], "{second}");
    }
}

#[test]
fn each_node_and_gpu_is_a_condition_of_its_own() {
    let mut evening = Evening::new();
    evening.settings.after = Duration::ZERO;
    evening.seen.down = vec!["attic".to_owned(), "cellar".to_owned()];
    evening.seen.starving = vec![("arc".to_owned(), 2)];
    assert_eq!(evening.words(0).len(), 3);
    evening.seen.down.remove(0);
    let words = evening.words(5);
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].subject.as_deref(), Some("attic"));
}

#[test]
fn a_disk_that_fills_is_told_at_once_and_not_taken_back_while_nobody_can_see_it() {
    let mut evening = Evening::new();
    let telemetry = telemetry();
    let attic = NodeId::new("attic");
    let mut looked = |second, disk: Option<(u64, bool)>| {
        let disk = disk.map(|(free, filling)| Disk {
            free,
            size: None,
            path: None,
            filling,
        });
        telemetry.disk(&attic, disk);
        evening.seen = Seen::of(&Snapshot::default(), &telemetry);
        evening.words(second)
    };
    assert_eq!(looked(0, None), []);
    assert_eq!(looked(60, Some((70_000_000_000, false))), []);
    let words = looked(120, Some((4_900_000_000, true)));
    assert_eq!(words.len(), 1);
    assert_eq!(
        words[0].title,
        "The disk of Jellyfin server attic is filling"
    );
    assert!(words[0].text.starts_with("4.9 GB are free"), "{words:?}");
    assert!(words[0].urgent);
    for minute in 3..100 {
        assert_eq!(looked(minute * 60, None), [], "{minute}");
    }
    let words = looked(6000, Some((4_000_000_000, true)));
    assert_eq!(words[0].state, State::Lasting, "{words:?}");
    let words = looked(6060, Some((9_000_000_000, false)));
    assert_eq!(words.len(), 1);
    assert_eq!(
        words[0].title,
        "The disk of Jellyfin server attic has room again"
    );
    assert_eq!(words[0].text, "It lasted 1 h 39 min.");
    assert_eq!(looked(6120, None), []);
}

#[test]
fn more_refusals_than_the_limit_within_the_time_are_worth_a_word() {
    let mut evening = Evening::new();
    evening.seen.refusals = 1000;
    assert_eq!(evening.at(0), [], "what was before is not counted");
    // Ten in ten minutes, for hours.
    for minute in 1..180 {
        evening.seen.refusals += 1;
        assert_eq!(evening.at(minute * 60), [], "{minute}");
    }
    evening.seen.refusals += 12;
    let words = evening.words(10_805);
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(words[0].title, "21 plays were refused within 10 min");
    assert!(!words[0].urgent);
    assert_eq!(evening.at(10_810), []);
    let mut said = Vec::new();
    for second in (10_815..12_000).step_by(5) {
        said.extend(evening.at(second));
    }
    assert_eq!(said, [("refused", State::Resolved)]);
}

#[test]
fn what_the_rate_holds_back_is_said_later_if_it_is_still_so() {
    let mut evening = Evening::new();
    evening.may = false;
    evening.seen.config_rejected = true;
    evening.seen.journal_trouble = true;
    assert_eq!(evening.at(0), []);
    evening.seen.journal_trouble = false;
    assert_eq!(evening.at(5), []);
    evening.may = true;
    assert_eq!(evening.at(10), [("config-rejected", State::Firing)]);
    evening.may = false;
    evening.seen.config_rejected = false;
    assert_eq!(evening.at(15), []);
    evening.may = true;
    assert_eq!(evening.at(20), [("config-rejected", State::Resolved)]);
}

#[test]
fn only_what_is_wanted_is_told() {
    let mut evening = Evening::new();
    evening.settings.on = vec![On::JournalTrouble];
    evening.seen = Seen {
        down: attic(),
        config_rejected: true,
        journal_trouble: true,
        ..Seen::default()
    };
    assert_eq!(evening.at(0), [("journal-trouble", State::Firing)]);
    assert_eq!(evening.at(100), []);
    evening.settings.on.clear();
    evening.seen.journal_trouble = false;
    assert_eq!(
        evening.at(200),
        [],
        "nobody wants to hear the end of it either"
    );
}

#[test]
fn the_memory_of_refusals_is_bounded() {
    let mut evening = Evening::new();
    evening.settings.refused.within = Duration::from_secs(86_400);
    for second in 0..200_000 {
        evening.seen.refusals = second;
        evening.words(second);
    }
    assert!(evening.conditions.marks() < 300);
}

// === Queue ===

#[tokio::test]
async fn a_queue_holds_one_word_for_each_condition_and_no_more_than_its_bound() {
    let queue = Queue::default();
    let of = |node: &str, state| word(On::NodeDown, Some(node), state);
    assert_eq!(queue.push(of("attic", State::Firing)), Pushed::Queued);
    let (first, _) = queue.next().await.unwrap();
    assert_eq!(queue.push(of("attic", State::Resolved)), Pushed::Replaced);
    // The first one was under way meanwhile; the newer one is still to be sent.
    queue.done(first);
    let (second, now) = queue.next().await.unwrap();
    assert_eq!(now.state, State::Resolved);
    queue.done(second);
    for node in 0..queue::MOST {
        let pushed = queue.push(of(&node.to_string(), State::Firing));
        assert_eq!(pushed, Pushed::Queued);
    }
    assert_eq!(queue.push(of("one more", State::Firing)), Pushed::Dropped);
    let (_, oldest) = queue.next().await.unwrap();
    assert_eq!(oldest.subject.as_deref(), Some("1"));
    queue.close();
    assert_eq!(queue.next().await, None);
}

// === The whole ===

/// A notifier that runs, and what it sees.
struct Running {
    notifier: Notifier,
    seen: Arc<Mutex<Seen>>,
    telemetry: Telemetry,
    tasks: Tasks,
}

impl Running {
    fn start(settings: Settings) -> Self {
        let telemetry = telemetry();
        let notifier = Notifier::new(settings, telemetry.clone()).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let look = {
            let seen = seen.clone();
            move || seen.lock().unwrap().clone()
        };
        tasks.spawn_loop(notifier.clone().run(tasks.clone(), look));
        Self {
            notifier,
            seen,
            telemetry,
            tasks,
        }
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.end_loops();
    }
}

fn said(got: &Got) -> (String, String) {
    let text = |key: &str| got.body[key].as_str().unwrap_or_default().to_owned();
    (text("event"), text("state"))
}

fn is(event: &str, state: &str) -> (String, String) {
    (event.to_owned(), state.to_owned())
}

#[tokio::test]
async fn a_receiver_that_was_away_learns_what_is_the_case_when_it_is_back() {
    // Bound, but it does not listen: connections are refused, and nobody else can have the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let away = socket.local_addr().unwrap();
    let mut there = House::open(&[]).await;
    let running = Running::start(quick(vec![
        receiver("json://HOST/away", away),
        receiver("json://HOST/there", there.address),
    ]));
    running.see(|seen| seen.down = attic());
    assert_eq!(
        said(&there.next().await),
        is("node-down", "firing"),
        "the other waits for nobody"
    );
    running.see(|seen| seen.config_rejected = true);
    assert_eq!(said(&there.next().await), is("config-rejected", "firing"));
    running.see(|seen| seen.down.clear());
    assert_eq!(said(&there.next().await), is("node-down", "resolved"));

    let mut back = House::on(socket.listen(8).unwrap(), &[]);
    let mut words = [said(&back.next().await), said(&back.next().await)];
    words.sort();
    // What was over before it was told is told as over.
    assert_eq!(
        words,
        [is("config-rejected", "firing"), is("node-down", "resolved")]
    );
    assert_ne!(count(&running.telemetry, "retried"), "0");
    assert_eq!(count(&running.telemetry, "replaced"), "1");
    assert_eq!(count(&running.telemetry, "failed"), "0");
}

#[tokio::test]
async fn a_busy_receiver_is_tried_again_and_one_that_refuses_is_not() {
    let answers = [
        (StatusCode::INTERNAL_SERVER_ERROR, "0"),
        (StatusCode::TOO_MANY_REQUESTS, "3600"),
        (StatusCode::OK, "0"),
        (StatusCode::NOT_FOUND, "0"),
        (StatusCode::PERMANENT_REDIRECT, "0"),
    ];
    let mut house = House::open(&answers).await;
    let running = Running::start(quick(vec![receiver("json://HOST/x", house.address)]));
    running.see(|seen| seen.config_rejected = true);
    for _ in 0..3 {
        assert_eq!(said(&house.next().await), is("config-rejected", "firing"));
    }
    running.see(|seen| seen.config_rejected = false);
    assert_eq!(said(&house.next().await), is("config-rejected", "resolved"));
    running.see(|seen| seen.journal_trouble = true);
    assert_eq!(said(&house.next().await), is("journal-trouble", "firing"));
    running.see(|seen| seen.journal_trouble = false);
    assert_eq!(said(&house.next().await), is("journal-trouble", "resolved"));
    assert_eq!(count(&running.telemetry, "retried"), "2");
    assert_eq!(count(&running.telemetry, "failed"), "2");
}

#[tokio::test]
async fn no_more_words_are_sent_than_the_rate_allows() {
    let mut house = House::open(&[]).await;
    let mut settings = quick(vec![receiver("json://HOST/x", house.address)]);
    settings.rate = NonZeroU32::new(2);
    let running = Running::start(settings);
    let nodes = (0..20).map(|node| format!("node{node:02}"));
    running.see(|seen| seen.down = nodes.collect());
    house.next().await;
    house.next().await;
    // The limit is lifted: what was held back is said.
    let mut settings = quick(vec![receiver("json://HOST/x", house.address)]);
    settings.rate = None;
    while count(&running.telemetry, "held-back") != "1" {
        tokio::task::yield_now().await;
    }
    assert!(house.got.is_empty());
    running.notifier.apply(settings);
    let mut nodes = Vec::new();
    for _ in 2..20 {
        nodes.push(house.next().await.body["subject"].to_string());
    }
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 18);
}

#[tokio::test]
async fn a_reload_changes_whom_is_told_and_repeats_nothing() {
    let (mut old, mut new) = (House::open(&[]).await, House::open(&[]).await);
    let running = Running::start(quick(vec![receiver("json://HOST/x", old.address)]));
    running.see(|seen| seen.config_rejected = true);
    assert_eq!(said(&old.next().await), is("config-rejected", "firing"));
    running
        .notifier
        .apply(quick(vec![receiver("json://HOST/x", new.address)]));
    running.see(|seen| seen.down = attic());
    assert_eq!(said(&new.next().await), is("node-down", "firing"));
    assert!(old.got.is_empty());
    running.notifier.apply(quick(Vec::new()));
}

#[tokio::test]
async fn a_test_word_says_what_became_of_it() {
    let mut well = House::open(&[]).await;
    let ill = House::open(&[(StatusCode::FORBIDDEN, "0")]).await;
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let notifier = Notifier::new(
        quick(vec![
            receiver("json://HOST/a", well.address),
            receiver("ntfy://HOST/b", ill.address),
            receiver("gotify://HOST/c", closed.local_addr().unwrap()),
        ]),
        telemetry(),
    )
    .unwrap();
    let results = notifier.test().await;
    let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    assert_eq!(results[0], Ok(()));
    assert_eq!(results[1], Err("it answered 403 Forbidden".to_owned()));
    assert_eq!(results[2], Err("no connection to it".to_owned()));
    assert_eq!(said(&well.next().await), is("test", "test"));
}

/// Lines that are written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_of_a_url_is_ever_logged_or_counted() {
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || written.clone())
        .finish();
    // One thread: everything of this test is logged here.
    let _guard = tracing::subscriber::set_default(subscriber);
    let answers = [
        (StatusCode::BAD_GATEWAY, "0"),
        (StatusCode::UNAUTHORIZED, "0"),
    ];
    let mut houses = Vec::new();
    let mut receivers = Vec::new();
    for url in [
        "json://HOST/s3cret-of-the-house?key=s3cret-of-the-house",
        "ntfy://anna:s3cret-of-the-house@HOST/s3cret-of-the-house",
        "gotify://HOST/s3cret-of-the-house",
        "http://HOST/api/webhooks/12/s3cret-of-the-house",
        "apprise://HOST/s3cret-of-the-house",
    ] {
        let house = House::open(&answers).await;
        receivers.push(receiver(url, house.address));
        houses.push(house);
    }
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let away = closed.local_addr().unwrap();
    receivers.push(receiver("json://HOST/s3cret-of-the-house", away));
    let running = Running::start(quick(receivers));
    running.see(|seen| seen.down = attic());
    for house in &mut houses {
        house.next().await;
        house.next().await;
    }
    while count(&running.telemetry, "failed") != "5" {
        tokio::task::yield_now().await;
    }
    let settings = running.notifier.0.settings.borrow().clone();
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("A word to the operator was not taken"),
        "{log}"
    );
    assert!(log.contains("it is tried again"), "{log}");
    for text in [log, format!("{settings:?}"), running.telemetry.gather()] {
        assert!(!text.contains(SECRET), "{text}");
    }
}
