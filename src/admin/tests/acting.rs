//! Who may act, and that nobody else can.

use super::*;
use crate::admission::{Codec, Demand, Hdr, Kind, Origin, Who, Work};

/// A browser that has logged in: its cookie, and the secret of its forms.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Fixture {
    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let headers = format!(
            "{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask_with(&format!("POST {path}"), &headers, body).await
    }

    /// Logs in by the form, as a browser does.
    async fn log_in(&self) -> Browser {
        let form = format!("token={SECRET}&name=Anna");
        let answer = self.post("/login", &ours(), &form).await;
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
        let cookie = header(&answer, "set-cookie");
        for guarded in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(guarded), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self
            .ask("GET /", &format!("{LOCAL}Cookie: {cookie}\r\n"))
            .await;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap();
        let csrf = rest.split('"').next().unwrap().to_owned();
        Browser { cookie, csrf }
    }
}

impl Browser {
    fn headers(&self) -> String {
        format!("{}Cookie: {}\r\n", ours(), self.cookie)
    }

    fn form(&self) -> String {
        format!("csrf={}", self.csrf)
    }
}

/// What a browser says of a form on a page of this site.
fn ours() -> String {
    format!("{LOCAL}Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n")
}

fn header(answer: &str, name: &str) -> String {
    let line = answer
        .lines()
        .find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {answer}"));
    line.split_once(':').unwrap().1.trim().to_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_login_gives_a_session_that_acts_and_a_logout_ends_it() {
    let fixture = start(Some(SECRET));
    let browser = fixture.log_in().await;
    let page = fixture.ask("GET /", &browser.headers()).await;
    assert!(
        page.contains("formaction=\"drain\"") && page.contains("Anna (127.0.0.1)"),
        "{page}"
    );
    assert!(!page.contains(SECRET));

    let enforce = "/mode?mode=enforce";
    let answer = fixture
        .post(enforce, &browser.headers(), &browser.form())
        .await;
    assert_eq!(
        (status(&answer), header(&answer, "location").as_str()),
        (303, "./")
    );
    assert_eq!(fixture.gate.snapshot().own_mode, Some(Mode::Observe));
    // What came of it is said once.
    let page = fixture.ask("GET /", &browser.headers()).await;
    assert!(page.contains("Enforcing until the next reload."), "{page}");
    let page = fixture.ask("GET /", &browser.headers()).await;
    assert!(!page.contains("Enforcing until the next reload."), "{page}");

    let act = async |path: &str| {
        let answer = fixture
            .post(path, &browser.headers(), &browser.form())
            .await;
        (status(&answer), answer)
    };
    assert_eq!(act("/pause").await.0, 303);
    assert!(fixture.gate.snapshot().paused);
    let (_, answer) = act("/logout").await;
    assert!(header(&answer, "set-cookie").contains("Max-Age=0"));
    assert_eq!(act("/resume").await.0, 401);
    assert!(fixture.gate.snapshot().paused);
    let page = fixture.ask("GET /", &browser.headers()).await;
    assert!(!page.contains("<button"), "{page}");
}

#[tokio::test]
async fn no_page_of_somebody_else_can_act() {
    let fixture = start(Some(SECRET));
    let browser = fixture.log_in().await;
    let cookie = format!("Cookie: {}\r\n", browser.cookie);
    let form = browser.form();
    for (origin, form) in [
        // The cookie alone, as if it had been sent along by itself.
        (ours(), String::new()),
        (ours(), "csrf=".to_owned()),
        (ours(), format!("{form}0")),
        // The secret as well, but from a page elsewhere.
        (
            format!("{LOCAL}Origin: http://evil.example\r\n"),
            form.clone(),
        ),
        (format!("{LOCAL}Origin: null\r\n"), form.clone()),
        (
            format!("{LOCAL}Origin: http://localhost:1\r\n"),
            form.clone(),
        ),
        (
            format!("{LOCAL}Sec-Fetch-Site: cross-site\r\n"),
            form.clone(),
        ),
        (
            format!("{LOCAL}Sec-Fetch-Site: same-site\r\n"),
            form.clone(),
        ),
    ] {
        let answer = fixture
            .post("/drain", &format!("{origin}{cookie}"), &form)
            .await;
        assert_eq!(status(&answer), 403, "{origin}{form}: {answer}");
    }
    // A secret in the address counts for nothing: it would end up in logs.
    let answer = fixture
        .post(&format!("/drain?{form}"), &browser.headers(), "")
        .await;
    assert_eq!(status(&answer), 403);
    assert_eq!(fixture.status("GET /drain", &browser.headers()).await, 405);
    // Another session's secret.
    let other = fixture.log_in().await;
    let answer = fixture
        .post("/drain", &browser.headers(), &other.form())
        .await;
    assert_eq!(status(&answer), 403);
    assert_eq!(fixture.drains.load(Ordering::SeqCst), 0);
    let answer = fixture.post("/drain", &browser.headers(), &form).await;
    assert_eq!(status(&answer), 303);
    assert_eq!(fixture.drains.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_wrong_token_opens_nothing_and_guessing_is_slow() {
    let fixture = start(Some(SECRET));
    for _ in 0..5 {
        let answer = fixture.post("/login", &ours(), "token=guess&name=x").await;
        assert_eq!(status(&answer), 401, "{answer}");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
    }
    let right = format!("token={SECRET}");
    let answer = fixture.post("/login", &ours(), &right).await;
    assert_eq!(status(&answer), 429, "{answer}");
    assert_eq!(header(&answer, "retry-after"), "60");
    let foreign = format!("{LOCAL}Origin: http://evil.example\r\n");
    let answer = fixture.post("/login", &foreign, &right).await;
    assert_eq!(status(&answer), 403, "{answer}");
}

#[tokio::test]
async fn from_afar_a_person_is_led_to_the_form_and_a_program_is_told() {
    let fixture = start(Some(SECRET));
    let afar = format!("{LOCAL}X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(fixture.status("GET /", &afar).await, 401);
    let person = format!("{afar}Accept: text/html,*/*\r\n");
    let answer = fixture.ask("GET /", &person).await;
    assert_eq!(
        (status(&answer), header(&answer, "location").as_str()),
        (303, "login")
    );
    for path in ["/login", "/page.css"] {
        let line = format!("GET {path}");
        assert_eq!(fixture.status(&line, &afar).await, 200, "{path}");
    }
    for path in ["/state", "/events", "/metrics"] {
        let line = format!("GET {path}");
        assert_eq!(fixture.status(&line, &person).await, 401, "{path}");
    }
    let browser = fixture.log_in().await;
    let with_session = format!("{afar}Cookie: {}\r\n", browser.cookie);
    assert_eq!(fixture.status("GET /state", &with_session).await, 200);
}

#[tokio::test]
async fn without_a_token_nothing_is_offered_and_the_page_says_why() {
    let fixture = start(None);
    let page = fixture.ask("GET /", LOCAL).await;
    assert!(page.contains("set <code>admin.token</code>"), "{page}");
    assert!(
        !page.contains("<button") && !page.contains("<form"),
        "{page}"
    );
    let answer = fixture.ask("GET /login", LOCAL).await;
    assert!(answer.contains("no admin token is configured"), "{answer}");
    let answer = fixture.post("/login", &ours(), "token=").await;
    assert_eq!(status(&answer), 403);
}

fn demand(user: &str, patience: Duration) -> Demand {
    let work = Work {
        codec_in: Codec::H264,
        size_in: (1920, 1080),
        millifps: 30_000,
        bits: 8,
        hdr: Hdr::Sdr,
        tone_map: false,
        ..Work::UNKNOWN
    };
    Demand {
        who: Who {
            user: UserId::new(user),
            name: Some(Arc::from(user)),
            admin: false,
            device: DeviceId::new(format!("{user}-tv")),
            client: Arc::from("Jellyfin Web"),
            address: None,
        },
        item: ItemId::new("film"),
        session: Some(PlaySessionId::new(format!("of-{user}"))),
        node: NodeId::new("jellyfin-1"),
        kind: Kind::Video(work),
        origin: Origin::Negotiation,
        library: None,
        rungs: Vec::new(),
        rate: Bitrate::ZERO,
        would: None,
        patience,
        replaces: false,
        why: None,
    }
}

#[tokio::test]
async fn a_program_with_the_token_does_all_of_it_and_each_is_recorded() {
    let fixture = start(Some(SECRET));
    let bearer = format!("{LOCAL}Authorization: Bearer {SECRET}\r\n");
    let post = async |path: &str, body: &str| fixture.post(path, &bearer, body).await;
    assert_eq!(status(&post("/mode", "mode=enforce").await), 200);
    assert_eq!(status(&post("/pause", "").await), 200);

    // Somebody waits while it is paused, and is let in by hand.
    let gate = fixture.gate.clone();
    let waits = gate.enter(demand("ben", Duration::from_secs(20)));
    let (outcome, answer) = tokio::join!(waits, post("/let-in?ticket=1", ""));
    assert!(answer.ends_with("ben was let in.\n"), "{answer}");
    let crate::gate::Outcome::Admitted(reservation) = outcome else {
        panic!("it was let in");
    };
    assert_eq!(reservation.reason(), Reason::Operator);

    let answer = post("/message?lease=L1", "text=Dinner+is+ready").await;
    assert!(answer.ends_with("Jellyfin shows it to ben.\n"), "{answer}");
    let message = fixture.messages.lock().unwrap().pop().unwrap();
    assert_eq!(
        (message.text.as_str(), message.device.as_str()),
        ("Dinner is ready", "ben-tv")
    );
    for (path, body, wanted) in [
        ("/message?lease=1", "text=+", 400),
        ("/release", "lease=1", 200),
        ("/release", "lease=1", 409),
        ("/release", "lease=x", 400),
        ("/let-in", "ticket=9", 409),
        ("/mode", "mode=off", 400),
        ("/resume", "", 200),
        ("/resume", "", 409),
    ] {
        let answer = post(path, body).await;
        assert_eq!(status(&answer), wanted, "{path} {body}: {answer}");
    }
    let metrics = fixture.ask("GET /metrics", LOCAL).await;
    for (action, count) in [
        ("let-in", 1),
        ("message", 1),
        ("release", 1),
        ("pause", 1),
        ("resume", 1),
        ("enforce", 1),
        ("drain", 0),
    ] {
        let counted = format!("finweir_operator_actions_total{{action=\"{action}\"}} {count}");
        assert!(metrics.contains(&counted), "{counted}");
    }
}

#[tokio::test]
async fn a_form_that_is_too_long_is_not_read() {
    let fixture = start(Some(SECRET));
    let bearer = format!("{LOCAL}Authorization: Bearer {SECRET}\r\n");
    let long = format!("text={}", "x".repeat(70_000));
    let answer = fixture.post("/message?lease=1", &bearer, &long).await;
    assert_eq!(status(&answer), 400, "{answer}");
}

#[test]
fn an_operator_sees_buttons_and_who_reads_sees_none() {
    let drawn = |eye| {
        let parts = page::parts(&sheet(evening(), eye));
        parts
            .into_iter()
            .map(|(_, markup)| markup)
            .collect::<String>()
    };
    let (reader, operator) = (drawn(Eye::Reader), drawn(Eye::Operator));
    assert!(!reader.contains("<button"), "{reader}");
    for button in [
        "release?lease=1\"",
        "message?lease=6\"",
        "let-in?ticket=4\"",
    ] {
        assert!(operator.contains(button), "{button} is not in {operator}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let mut snapshot = Snapshot {
        paused: true,
        ..Snapshot::default()
    };
    let mut slow = evening().gpus.remove(0);
    slow.learned = Seats::from_milli(7000);
    slow.starving = 1;
    snapshot.gpus.push(slow);
    let mut stray = evening().leases.remove(0);
    stray.stray = true;
    snapshot.leases.push(stray);
    let readiness = Readiness::new();
    let view = View::new(
        SystemTime::UNIX_EPOCH,
        snapshot,
        Vec::new(),
        Vec::new(),
        &[],
        &readiness.checks(&telemetry()),
    );
    let page = document(view);
    for said in [
        "uhd770 carries 7.0 of the 9.4 seats that are set",
        "uhd770 is too slow for 1 stream now",
        "1 transcode did not begin here",
        "Paused: no new transcode is let in.",
        ">did not begin here<",
    ] {
        assert!(page.contains(said), "{said} is not in\n{page}");
    }
}
