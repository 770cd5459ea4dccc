//! Listening, upgrading the protocol, expectations, draining, and one hop taking over from another.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use finweir::{
    hop::{End, Listen, Settings, Step},
    tasks::Tasks,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{Hop, Script, Upstream, Wire, header, settings, soon, status, to};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const LONG: Duration = Duration::from_secs(20);

fn ok(_: &str) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
}

#[tokio::test]
async fn unix_sockets_work_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hop.sock");
    let body = vec![b'u'; 4 << 20];
    let sent = body.clone();
    let upstream = Upstream::start_unix(dir.path().join("jellyfin.sock")).await;
    let origin = upstream.serve(move |head| {
        assert!(head.contains("X-Forwarded-For: 203.0.113.7\r\n"), "{head}");
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n".to_vec();
        answer.extend_from_slice(&sent);
        answer
    });
    let settings = Settings {
        listen: Listen::Unix(path.clone()),
        workers: 2,
        ..settings()
    };
    let hop = Hop::with(settings, Script::forward(origin));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    for _ in 0..4 {
        let mut client = Wire::to_unix(&path).await;
        let (head, got) = client
            .ask("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
            .await;
        assert_eq!(status(&head), 200);
        assert!(got == body);
    }
    soon(hop.running.drain(LONG)).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_drain_leaves_the_socket_of_the_next_instance_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hop.sock");
    let origin = Upstream::start().await.serve(ok);
    let settings = Settings {
        listen: Listen::Unix(path.clone()),
        ..settings()
    };
    let first = Hop::with(settings.clone(), Script::forward(origin.clone()));
    let _second = Hop::with(settings, Script::forward(origin));
    soon(first.running.drain(LONG)).await;
    let (head, _) = Wire::to_unix(&path).await.ask(GET).await;
    assert_eq!(status(&head), 200);
}

#[tokio::test]
async fn an_upgraded_connection_carries_anything_both_ways() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("GET /socket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nahead")
        .await;
    let (mut wire, head) = upstream.request().await;
    assert_eq!(header(&head, "connection"), Some("Upgrade"));
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst").await;
    let head = client.head().await.unwrap();
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\n\r\n"
    );
    assert_eq!(client.take(5).await, b"first");
    assert_eq!(wire.take(5).await, b"ahead");
    let big = vec![0xa5u8; 3 << 20];
    let ((), got) = tokio::join!(client.send(&big), wire.take(big.len()));
    assert!(got == big);
    let ((), got) = tokio::join!(wire.send(&big), client.take(big.len()));
    assert!(got == big);
    // One side may end before the other.
    client.io.shutdown().await.unwrap();
    assert!(wire.rest().await.is_empty());
    wire.send("bye").await;
    drop(wire);
    assert_eq!(client.rest().await, b"bye");
    let done = hop.script.first_done().await;
    assert_eq!((done.end, done.status), (End::Complete, Some(101)));
    assert_eq!(done.bytes, 5 + (3 << 20) + 3);
}

#[tokio::test]
async fn a_real_websocket_client_is_served() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let stream = TcpStream::connect(hop.address).await.unwrap();
    let serve = async {
        let (mut wire, head) = upstream.request().await;
        let key = header(&head, "sec-websocket-key").unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        wire.send(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")).await;
        wire
    };
    let (connected, mut wire) = soon(async {
        tokio::join!(
            tokio_tungstenite::client_async("ws://h/socket", stream),
            serve
        )
    })
    .await;
    let (mut socket, _) = connected.unwrap();
    // A text frame: "hi". What tungstenite is handed must be the frame as the upstream sent it.
    wire.send([0x81, 2, b'h', b'i']).await;
    let mut frame = [0u8; 4];
    soon(tokio::io::AsyncReadExt::read_exact(
        socket.get_mut(),
        &mut frame,
    ))
    .await
    .unwrap();
    assert_eq!(frame, [0x81, 2, b'h', b'i']);
}

#[tokio::test]
async fn http_2_is_never_asked_for_in_a_clients_name() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for offer in [
        "Upgrade: h2c",
        "Upgrade: websocket, H2C",
        "Upgrade: h2c\r\nUpgrade: websocket",
    ] {
        let mut client = hop.client().await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n{offer}\r\n\r\n"
            ))
            .await;
        let (_wire, head) = upstream.request().await;
        assert_eq!(header(&head, "upgrade"), None, "{offer}");
        assert_eq!(header(&head, "connection"), None, "{offer}");
    }
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Upstream::start()
        .await
        .serve(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    for _ in 0..2 {
        let (head, body) = client
            .ask("GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        assert_eq!((status(&head), body.as_slice()), (403, &b"no"[..]));
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_upstream_asks() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    let request = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(request).await;
    let (mut wire, head) = upstream.request().await;
    assert_eq!(header(&head, "expect"), Some("100-continue"));
    wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(
        client.head().await.unwrap(),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("body").await;
    assert_eq!(wire.take(4).await, b"body");
    wire.send(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let head = client.head().await.unwrap();
    assert_eq!((status(&head), header(&head, "connection")), (200, None));

    // A client that does not wait.
    client.send(request).await;
    client.send("body").await;
    wire.head().await.unwrap();
    assert_eq!(wire.take(4).await, b"body");
    wire.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(status(&head), 200);

    // An upstream that does not want it.
    client.send(request).await;
    wire.head().await.unwrap();
    wire.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "connection")),
        (413, Some("close"))
    );
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart")
        .await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop")
        .await;
    drop(wire);
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "connection")),
        (401, Some("close"))
    );
    client.send(vec![b'x'; 500_000]).await;
    assert_eq!(client.rest().await, b"stop");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let origin = Upstream::start().await.serve(ok);
    let hop = Hop::with(
        Settings {
            max_connections: 2,
            ..settings()
        },
        Script::forward(origin),
    );
    let mut first = hop.client().await;
    let mut second = hop.client().await;
    assert_eq!(status(&first.ask(GET).await.0), 200);
    assert_eq!(status(&second.ask(GET).await.0), 200);
    let mut third = hop.client().await;
    third.send(GET).await;
    assert_eq!(status(&first.ask(GET).await.0), 200);
    assert!(hop.running.connections() <= 3);
    drop(second);
    assert_eq!(status(&third.head().await.unwrap()), 200);
}

#[tokio::test]
async fn a_head_that_does_not_come_and_an_idle_connection_are_closed_in_time() {
    let origin = Upstream::start().await.serve(ok);
    let mut settings = settings();
    settings.timeouts.head = Duration::from_millis(50);
    settings.timeouts.keep_alive = Duration::from_millis(50);
    let hop = Hop::with(settings, Script::forward(origin));
    let mut silent = hop.client().await;
    assert!(silent.rest().await.is_empty());
    let mut slow = hop.client().await;
    slow.send("GET / HT").await;
    assert!(slow.rest().await.is_empty());
    let mut idle = hop.client().await;
    assert_eq!(status(&idle.ask(GET).await.0), 200);
    assert!(idle.rest().await.is_empty());
}

#[tokio::test]
async fn a_drain_ends_idle_connections_lets_exchanges_finish_and_serves_the_backlog() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let address = hop.address;
    let mut idle = hop.client().await;
    idle.send(GET).await;
    let (mut wire, _) = upstream.request().await;
    wire.send(ok("")).await;
    idle.head().await.unwrap();
    idle.take(2).await;
    let mut busy = hop.client().await;
    busy.send(GET).await;
    wire.head().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    busy.head().await.unwrap();
    let mut waiting = hop.client().await;
    waiting.send(GET).await;
    let (mut second, _) = upstream.request().await;

    let draining = Tasks::new().spawn(hop.running.drain(LONG));
    assert!(idle.rest().await.is_empty());
    wire.send("done").await;
    assert_eq!(busy.take(8).await, b"halfdone");
    second.send(ok("")).await;
    let head = waiting.head().await.unwrap();
    assert_eq!(header(&head, "connection"), Some("close"));
    assert_eq!(soon(draining).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_waits_in_the_backlog_when_a_drain_begins_is_served() {
    let origin = Upstream::start().await.serve(ok);
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (entered, gate) = (
        Arc::new(tokio::sync::Notify::new()),
        std::sync::Mutex::new(gate),
    );
    let enter = Arc::clone(&entered);
    // The only event loop is held up, so that nothing is accepted meanwhile.
    let hop = Hop::start(Script::new(move |head| {
        if head.target == "/block" {
            enter.notify_one();
            gate.lock().unwrap().recv().unwrap();
        }
        Step::Forward(to(&origin))
    }));
    let mut first = hop.client().await;
    first.send("GET /block HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(entered.notified()).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = hop.client().await;
        client.send(GET).await;
        clients.push(client);
    }
    let draining = Tasks::new().spawn(hop.running.drain(LONG));
    // The drain has begun once it has been polled.
    tokio::task::yield_now().await;
    open.send(()).unwrap();
    clients.push(first);
    for mut client in clients {
        let head = client.head().await.expect("an answer, not a reset");
        assert_eq!(
            (status(&head), header(&head, "connection")),
            (200, Some("close"))
        );
    }
    assert_eq!(soon(draining).await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_of_a_full_hop_serves_those_who_wait_for_room() {
    let origin = Upstream::start().await.serve(ok);
    let hop = Hop::with(
        Settings {
            max_connections: 1,
            ..settings()
        },
        Script::forward(origin),
    );
    let mut idle = hop.client().await;
    assert_eq!(status(&idle.ask(GET).await.0), 200);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = hop.client().await;
        client.send(GET).await;
        waiting.push(client);
    }
    let draining = Tasks::new().spawn(hop.running.drain(LONG));
    assert!(idle.rest().await.is_empty());
    for mut client in waiting {
        assert_eq!(status(&client.head().await.unwrap()), 200);
    }
    assert_eq!(soon(draining).await.unwrap(), 0);
}

#[tokio::test]
async fn what_outlasts_a_drain_is_cut_and_counted_and_a_websocket_is_not_waited_for() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.head().await.unwrap();
    // Far less than the limit: nothing else is left.
    assert_eq!(soon(hop.running.drain(Duration::from_secs(3600))).await, 1);
    assert!(client.rest().await.is_empty());

    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send(GET).await;
    let (_wire, _) = upstream.request().await;
    assert_eq!(soon(hop.running.drain(Duration::from_millis(10))).await, 1);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_new_instance_takes_over_without_losing_a_connection() {
    let origin = Upstream::start().await.serve(ok);
    let mut settings = Settings {
        workers: 2,
        ..settings()
    };
    let first = Hop::with(settings.clone(), Script::forward(origin.clone()));
    settings.listen = Listen::Tcp(first.address);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let stop = Arc::clone(&stop);
            let address = first.address;
            Tasks::new().spawn(async move {
                let mut served = 0;
                while !stop.load(Ordering::SeqCst) {
                    let mut client = Wire::to(address).await;
                    let (head, body) = client.ask(GET).await;
                    assert_eq!((status(&head), body.as_slice()), (200, &b"ok"[..]));
                    served += 1;
                }
                served
            })
        })
        .collect();
    first.script.ended_at_least(50).await;
    let second = Hop::with(settings, Script::forward(origin));
    second.script.ended_at_least(20).await;
    assert_eq!(soon(first.running.drain(LONG)).await, 0);
    let so_far = second.script.count();
    second.script.ended_at_least(so_far + 50).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(soon(client).await.unwrap() > 0);
    }
}
