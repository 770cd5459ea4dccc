//! What it says and does at the start, well or badly.

use std::{fs, net::TcpListener, process::Command};

use serde_json::Value;

use super::{
    child::{Child, Signal},
    house::{Finweir, House, Port, finweir, jellyfin_at},
    http::{Connection, ask, get, until},
    viewer::{Viewer, film},
};

/// A house without a server.
fn empty() -> (House, Port) {
    let port = Port::take();
    (House::new(port.address), port)
}

#[tokio::test]
async fn an_address_in_use_is_named_and_ends_with_1() {
    let (mut house, _port) = empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for admin in [true, false] {
        let free = "127.0.0.1:0".to_owned();
        let (own, other) = if admin {
            (free, taken.clone())
        } else {
            (taken.clone(), free)
        };
        (house.settings.listen, house.settings.admin) = (own, other);
        house.write();
        let child = finweir(&["run", "--config", house.file().to_str().unwrap()]);
        assert_eq!(child.ended().await, Some(1), "{}", child.log());
        let what = if admin { " for the admin side" } else { "" };
        let said = format!("finweir: cannot listen on {taken}{what}: Address already in use");
        assert!(child.log().contains(&said), "{}", child.log());
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_and_ends_with_64() {
    let (house, _port) = empty();
    let missing = house.path("missing.yaml");
    for file in [missing.as_path(), house.dir.path()] {
        let file = file.to_str().unwrap();
        let child = finweir(&["run", "--config", file]);
        assert_eq!(child.ended().await, Some(64), "{}", child.log());
        assert!(child.log().contains(file), "{}", child.log());
    }
}

#[tokio::test]
async fn an_admin_side_open_to_the_network_needs_a_token() {
    let (mut house, _port) = empty();
    house.settings.admin = "0.0.0.0:0".to_owned();
    house.write();
    let child = finweir(&["run", "--config", house.file().to_str().unwrap()]);
    assert_eq!(child.ended().await, Some(64), "{}", child.log());
    let said = "finweir.yaml:9:";
    assert!(child.log().contains(said), "{}", child.log());
    assert!(
        child.log().contains("needs `admin.token`"),
        "{}",
        child.log()
    );

    let text = house
        .yaml()
        .replace("0.0.0.0:0\"", "0.0.0.0:0\", token: a-token-of-some-length");
    fs::write(house.file(), text).unwrap();
    let finweir = Finweir::start(&house.file()).await;
    assert!(!finweir.child.log().contains("a-token-of-some-length"));
}

#[tokio::test]
async fn without_jellyfin_it_serves_answers_that_say_so_and_recovers_when_jellyfin_comes() {
    let (house, port) = empty();
    let finweir = house.start().await;
    let answer = ask(finweir.address, get("/System/Ping")).await.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body.get("reason"), Some(&Value::from("connect")), "{body}");
    let detail = body.get("detail").and_then(Value::as_str).unwrap();
    assert!(detail.contains("jellyfin"), "{detail}");
    let ready = until(finweir.admin, "/ready", 503).await;
    assert!(
        ready.text().contains("no answer from jellyfin"),
        "{}",
        ready.text()
    );
    assert_eq!(ask(finweir.admin, get("/live")).await.unwrap().status, 200);

    let sim = jellyfin_at(port.address).await;
    let finweir = finweir.ready().await;
    let anna = Viewer::new(&sim, "anna", "a");
    anna.play(finweir.address, &film(1)).await.plays();
}

#[tokio::test]
async fn it_says_what_was_decided_and_why_in_one_line_of_json_and_no_secret_anywhere() {
    let sim = super::house::jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let anna = Viewer::new(&sim, "anna", "first");
    let again = Viewer::new(&sim, "anna", "second");
    anna.play(finweir.address, &film(1)).await.plays();
    again.play(finweir.address, &film(2)).await.refused();

    let line = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let first = line(finweir.child.says("\"Admitted\"").await);
    let refused = line(finweir.child.says("\"Refused").await);
    let field = |line: &Value, name: &str| line.get(name).cloned().unwrap_or_default();
    assert_eq!(field(&first, "decision"), "admit");
    assert_eq!(field(&first, "reason"), "fits");
    assert_eq!(field(&refused, "decision"), "reject");
    assert_eq!(field(&refused, "reason"), "user-limit");
    assert_eq!(field(&refused, "level"), "INFO");
    assert_eq!(field(&refused, "node"), "jellyfin");
    assert_eq!(field(&refused, "user.id"), sim.user_id("anna").unwrap());

    let shown = [
        finweir.child.log(),
        finweir.metrics().await,
        finweir.state().await.to_string(),
        ask(finweir.admin, get("/")).await.unwrap().text(),
    ];
    for text in shown {
        for secret in [super::house::API_KEY, &anna.token, &again.token] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for title in ["The Long Field", "Paper Rivers"] {
            assert!(!text.contains(title), "{title} in {text}");
        }
    }
}

#[tokio::test]
async fn with_nothing_but_an_address_it_observes_and_refuses_nothing() {
    let sim = super::house::jellyfin().await;
    let any = "127.0.0.1:0";
    let arguments = [
        "run",
        "--jellyfin",
        &sim.url(),
        "--listen",
        any,
        "--admin-listen",
        any,
    ];
    let finweir = Finweir::serving(finweir(&arguments)).await.ready().await;
    let serves = finweir.child.says("Finweir serves").await;
    assert!(serves.contains("\"mode\":\"observe\""), "{serves}");
    finweir.child.says("no API key").await;
    // Two is the usual limit of a user.
    for device in ["one", "two", "three"] {
        let anna = Viewer::new(&sim, "anna", device);
        anna.play(finweir.address, &film(1)).await.plays();
    }
    let would = "finweir_would_have_decisions_total{reason=\"user-limit\"}";
    assert_eq!(finweir.metric(would).await, Some(1.0));
    let said = finweir.child.says("\"would\":\"user-limit\"").await;
    assert!(said.contains("\"decision\":\"admit\""), "{said}");
    finweir.child.signal(Signal::HUP);
    finweir.child.says("\"Configuration reloaded\"").await;
    let anna = Viewer::new(&sim, "anna", "four");
    anna.play(finweir.address, &film(1)).await.plays();
}

#[tokio::test]
async fn with_a_wrong_api_key_it_says_so_and_counts_what_passes() {
    let sim = super::house::jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.api_key = "not-the-key";
    let finweir = house.start().await.ready().await;
    let said = finweir.child.says("/Sessions can't be read").await;
    assert!(
        said.contains("401") && !said.contains("not-the-key"),
        "{said}"
    );
    let up = "finweir_jellyfin_poll_up{node=\"jellyfin\"}";
    assert_eq!(finweir.metric(up).await, Some(0.0));
    let (anna, again) = (
        Viewer::new(&sim, "anna", "a"),
        Viewer::new(&sim, "anna", "b"),
    );
    anna.play(finweir.address, &film(1)).await.plays();
    again.play(finweir.address, &film(2)).await.refused();
}

#[tokio::test]
async fn a_shells_small_limit_of_open_files_is_not_the_limit_of_connections() {
    const MANY: usize = 100;
    let sim = super::house::jellyfin().await;
    let house = House::new(sim.address());
    house.write();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -Sn 64 && exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_finweir"))
        .arg(house.file());
    let finweir = Finweir::serving(Child::start("finweir", &mut command))
        .await
        .ready()
        .await;
    let mut open = Vec::new();
    for _ in 0..MANY {
        let mut connection = Connection::open(finweir.address).await.unwrap();
        let answer = connection.ask(get("/System/Ping")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        open.push(connection);
    }
}

#[tokio::test]
async fn a_limit_of_open_files_that_is_too_low_is_told() {
    let (house, _port) = empty();
    house.write();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 1000 && exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_finweir"))
        .arg(house.file());
    let finweir = Finweir::serving(Child::start("finweir", &mut command)).await;
    let said = finweir.child.says("server.max_connections").await;
    assert!(
        said.contains("\"WARN\"") && said.contains("\"limit\":1000"),
        "{said}"
    );
}
