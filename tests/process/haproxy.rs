//! On a calm evening: the shipped HAProxy configuration, Finweir and Jellyfin in a row.

use std::{net::SocketAddr, path::Path};

use ::http::Method;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::{
    balancer::{Balancer, SHIPPED, haproxy},
    child::{Child, DEADLINE, Signal},
    house::{API_KEY, Finweir, House, jellyfin},
    http::{Answer, Connection, ask, get, request},
    tap::Tap,
    viewer::{Viewer, film},
};

/// Another address of this machine, so that a viewer differs from a proxy.
const VIEWER: [u8; 4] = [127, 0, 0, 9];

#[tokio::test]
async fn haproxy_takes_the_shipped_configuration() {
    let child = Child::start("haproxy", haproxy(Path::new(SHIPPED)).arg("-c"));
    assert_eq!(child.ended().await, Some(0), "{}", child.log());
    assert_eq!(child.log().trim(), "Configuration file is valid");
}

#[tokio::test]
async fn a_second_transcode_is_refused_through_haproxy_and_no_log_holds_a_token() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let (anna, again) = (
        Viewer::new(&sim, "anna", "a"),
        Viewer::new(&sim, "anna", "b"),
    );
    let plays = anna.play(haproxy.address, &film(1)).await.plays();
    again.play(haproxy.address, &film(2)).await.refused();
    anna.segment(haproxy.address, &plays, 1).await;

    // Other places and spellings of a token, whatever they are answered.
    for key in ["api_key", "APIKEY", "%41piKey", "X-Emby-Token", "secret"] {
        let target = format!("/Items?{key}={}", anna.token);
        ask(haproxy.address, get(&target)).await.unwrap();
    }
    haproxy.child.says("GET /Items").await;
    haproxy.child.says("/PlaybackInfo").await;
    let log = haproxy.child.log();
    assert!(log.contains(" finweir/finweir "), "{log}");
    assert!(!log.contains(" finweir/jellyfin "), "{log}");
    let (metrics, state) = (finweir.metrics().await, finweir.state().await.to_string());
    for text in [log, finweir.child.log(), metrics, state] {
        for secret in [&anna.token, &again.token, API_KEY] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    // What is for operators is not for viewers.
    let metrics = ask(haproxy.address, get("/metrics")).await.unwrap();
    assert_eq!(metrics.status, 403);
}

#[tokio::test]
async fn jellyfin_sees_the_viewers_address_and_not_what_the_viewer_claims() {
    let sim = jellyfin().await;
    let tap = Tap::before(sim.address()).await;
    let house = House::new(tap.address);
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), tap.address).await;

    for target in [
        "/System/Info/Public?forwarded",
        "/Items/x/PlaybackInfo?forwarded",
    ] {
        let from = SocketAddr::from((VIEWER, 0));
        let mut connection = Connection::open_from(from, haproxy.address).await.unwrap();
        let method = if target.contains("Playback") {
            Method::POST
        } else {
            Method::GET
        };
        let mut spoofed = request(method, target, "");
        for (name, value) in [
            ("Host", "film.example"),
            ("X-Forwarded-For", "10.1.2.3"),
            ("X-Forwarded-For", "10.4.5.6"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Request-ID", "mine"),
        ] {
            let value = value.parse().unwrap();
            if name == "Host" {
                spoofed.headers_mut().insert(name, value);
            } else {
                spoofed.headers_mut().append(name, value);
            }
        }
        connection.ask(spoofed).await.unwrap();
        let heads = tap.heads(target);
        let head = heads.first().unwrap();
        let all = |wanted: &str| -> Vec<&str> {
            let fields = head.iter().filter(|(name, _)| name == wanted);
            fields.map(|(_, value)| value.as_str()).collect()
        };
        // The right-most address that is no proxy of ours: Jellyfin reads them from the right.
        assert_eq!(all("x-forwarded-for"), ["127.0.0.9, 127.0.0.1"], "{head:?}");
        assert_eq!(all("x-forwarded-proto"), ["http"], "{head:?}");
        assert_eq!(all("x-forwarded-host"), ["film.example"], "{head:?}");
        assert_eq!(all("host"), ["film.example"], "{head:?}");
        assert_eq!(all("x-request-id").len(), 1, "{head:?}");
        assert_ne!(all("x-request-id"), ["mine"], "{head:?}");
    }
}

#[tokio::test]
async fn a_websocket_stays_open_and_carries_messages_both_ways() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let anna = Viewer::new(&sim, "anna", "television");

    let stream = TcpStream::connect(haproxy.address).await.unwrap();
    let url = format!(
        "ws://localhost/socket?ApiKey={}&deviceId=television",
        anna.token
    );
    let (mut socket, answer) = client_async(url, stream).await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut next = async |kind: &str| loop {
        let message = tokio::time::timeout(DEADLINE, socket.next()).await;
        let text = message.unwrap().unwrap().unwrap().into_text().unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        if message.get("MessageType") == Some(&json!(kind)) {
            return message;
        }
    };
    next("ForceKeepAlive").await;
    // A reload leaves it alone.
    finweir.child.signal(Signal::HUP);
    finweir.child.says("\"Configuration reloaded\"").await;

    // Down: what an administrator sends to the screen.
    let sessions = ask(sim.address(), get(&format!("/Sessions?ApiKey={API_KEY}")))
        .await
        .unwrap();
    let sessions = sessions.json();
    let mut all = sessions.as_array().unwrap().iter();
    let own = all
        .find(|s| s.get("DeviceId") == Some(&json!("television")))
        .unwrap();
    let id = own.get("Id").and_then(Value::as_str).unwrap();
    let target = format!("/Sessions/{id}/Message?ApiKey={API_KEY}");
    let sent = request(Method::POST, &target, r#"{"Header":"h","Text":"Dinner!"}"#);
    assert_eq!(ask(sim.address(), sent).await.unwrap().status, 204);
    let shown = next("GeneralCommand").await;
    assert_eq!(
        shown.pointer("/Data/Arguments/Text"),
        Some(&json!("Dinner!"))
    );

    // Up, and the answer: still the same socket.
    socket
        .send(Message::text(r#"{"MessageType":"KeepAlive"}"#))
        .await
        .unwrap();
    let answer = tokio::time::timeout(DEADLINE, socket.next()).await;
    let answer = answer.unwrap().unwrap().unwrap().into_text().unwrap();
    assert!(answer.contains("KeepAlive"), "{answer}");
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn a_viewer_who_gives_up_waiting_makes_room_in_the_line() {
    let sim = jellyfin().await;
    let mut house = House::new(sim.address());
    house.settings.max_wait = "60s";
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let anna = Viewer::new(&sim, "anna", "a");
    anna.play(haproxy.address, &film(1)).await.plays();

    let again = Viewer::new(&sim, "anna", "b");
    let mut held = Connection::open(haproxy.address).await.unwrap();
    let waits = held.send(again.wish(&film(2)));
    let waiting = async {
        finweir.child.says("\"Queued\"").await;
        finweir.state().await
    };
    // The one that ends first drops the other, and with it the request.
    let waiting = tokio::select! {
        answer = waits => panic!("not held: {answer:?}"),
        waiting = waiting => waiting,
    };
    assert_eq!(waiting.get("queue_depth"), Some(&json!(1)), "{waiting}");
    drop(held);
    finweir.child.says("\"Client left while it waited\"").await;
    let waiting = finweir.state().await;
    assert_eq!(waiting.get("queue_depth"), Some(&json!(0)), "{waiting}");
}

#[tokio::test]
async fn parts_of_large_files_arrive_as_jellyfin_sent_them() {
    let sim = jellyfin().await;
    let house = House::new(sim.address());
    let finweir = house.start().await.ready().await;
    let haproxy = Balancer::before(&house, (finweir.address, finweir.admin), sim.address()).await;
    let anna = Viewer::new(&sim, "anna", "a");
    let megabyte = 1 << 20;
    for range in [
        (0, 0),
        (7, 40 * megabyte),
        (3_000_000_001, 3_000_000_001 + 3 * megabyte),
    ] {
        let (_direct, plain) = anna.download(sim.address(), &film(0), range).await;
        let (_through, carried) = anna.download(haproxy.address, &film(0), range).await;
        let (plain, carried) = tokio::join!(Answer::read(plain), Answer::read(carried));
        let (plain, carried) = (plain.unwrap(), carried.unwrap());
        assert_eq!(
            carried.header("content-range"),
            plain.header("content-range")
        );
        assert!(plain.body == carried.body, "{range:?} differs");
        let (first, last) = range;
        assert_eq!(u64::try_from(plain.body.len()).unwrap(), last - first + 1);
    }
}

#[tokio::test]
async fn a_unix_socket_and_the_proxy_protocol_do_as_well() {
    let sim = jellyfin().await;
    let tap = Tap::before(sim.address()).await;
    for unix in [true, false] {
        let mut house = House::new(tap.address);
        let socket = house.path("finweir.sock");
        house.settings.proxy_protocol = true;
        if unix {
            house.settings.listen = format!("unix:{}", socket.display());
        }
        let finweir: Finweir = house.start().await.ready().await;
        let (admin, own) = (finweir.admin, finweir.address.to_string());
        let to = if unix {
            format!("unix@{}", socket.display())
        } else {
            own
        };
        let line = format!(
            "server finweir {to} send-proxy-v2 check addr {} port {}",
            admin.ip(),
            admin.port()
        );
        let haproxy = Balancer::with(&house, &line, tap.address).await;
        let from = SocketAddr::from((VIEWER, 0));
        let mut connection = Connection::open_from(from, haproxy.address).await.unwrap();
        let target = format!("/System/Info/Public?unix={unix}");
        assert_eq!(connection.ask(get(&target)).await.unwrap().status, 200);
        let heads = tap.heads(&target);
        let head = heads.first().unwrap();
        let forwarded: Vec<&str> = head
            .iter()
            .filter(|(name, _)| name == "x-forwarded-for")
            .flat_map(|(_, value)| value.split(", "))
            .collect();
        // HAProxy says it twice, in the header and in its own protocol.
        assert_eq!(forwarded, ["127.0.0.9", "127.0.0.9"], "{head:?}");
        haproxy.child.says(" finweir/finweir ").await;
        if unix {
            finweir.child.signal(Signal::TERM);
            assert_eq!(finweir.child.ended().await, Some(0));
            assert!(!socket.exists());
        }
    }
}
