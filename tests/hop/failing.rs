//! Upstreams that fail: the client is told if it can be, and cut off if not.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use finweir::hop::{Address, Client, End, Exchanged, Failure, Origin};
use http::Request;
use tokio::net::TcpListener;

use crate::support::{Hop, Script, Upstream, Wire, settings, soon, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

async fn closed_port() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Origin::new(
        "gone",
        Address::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
    )
}

#[tokio::test]
async fn a_refused_connection_is_told_and_the_clients_connection_kept() {
    let hop = Hop::start(Script::forward(closed_port().await));
    let mut client = hop.client().await;
    for _ in 0..2 {
        let (head, body) = client.ask(GET).await;
        assert_eq!((status(&head), body.as_slice()), (502, &b"connect"[..]));
    }
    let done = hop.script.dones(2).await;
    assert_eq!(done[0].end, End::Upstream(Failure::Connect("gone".into())));
    assert_eq!(done[0].status, Some(502));
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_is_told_when_its_time_is_up() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Fills the backlog: from then on the kernel answers no handshake.
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(
        Duration::from_millis(100),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        queued.push(stream.unwrap());
    }
    let mut settings = settings();
    settings.timeouts.connect = Duration::from_millis(50);
    let full = Address::Tcp {
        host: "127.0.0.1".into(),
        port: address.port(),
    };
    let hop = Hop::with(settings, Script::forward(Origin::new("full", full)));
    let (head, body) = hop.client().await.ask(GET).await;
    assert_eq!(
        (status(&head), body.as_slice()),
        (504, &b"connect-timeout"[..])
    );
}

#[tokio::test]
async fn silence_is_told_when_its_time_is_up() {
    let mut upstream = Upstream::start().await;
    let mut settings = settings();
    settings.timeouts.first_byte = Duration::from_millis(50);
    let hop = Hop::with(settings, Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    let ((head, body), (mut wire, _)) = tokio::join!(client.ask(GET), upstream.request());
    assert_eq!(
        (status(&head), body.as_slice()),
        (504, &b"first-byte-timeout"[..])
    );
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn answers_that_cant_be_read_are_told_as_such() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for (answer, said) in [
        ("", "truncated"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
        ("SSH-2.0-x\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "malformed",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "malformed",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "malformed",
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "malformed",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "malformed",
        ),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "malformed"),
        ("HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", "malformed"),
    ] {
        let mut client = hop.client().await;
        client.send(GET).await;
        let (mut wire, _) = upstream.request().await;
        wire.send(answer).await;
        drop(wire);
        let head = client.head().await.unwrap();
        assert_eq!(status(&head), 502, "{answer:?}");
        assert_eq!(client.take(said.len()).await, said.as_bytes(), "{answer:?}");
    }
    let mut client = hop.client().await;
    client.send(GET).await;
    let (mut wire, _) = upstream.request().await;
    wire.send(format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    ))
    .await;
    assert_eq!(status(&client.head().await.unwrap()), 502);
}

#[tokio::test]
async fn half_a_body_is_never_given_an_end() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for answer in [
        "Content-Length: 10\r\n\r\nhalf",
        "Content-Length: 1000000\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ] {
        let mut client = hop.client().await;
        client.send(GET).await;
        let (mut wire, _) = upstream.request().await;
        wire.send(format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        drop(wire);
        client.head().await.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(client.rest().await, body.as_bytes());
    }
    for done in hop.script.dones(5).await {
        assert_eq!(
            done.end,
            End::Upstream(Failure::Truncated("upstream".into()))
        );
    }
}

#[tokio::test]
async fn chunks_that_cant_be_followed_cut_the_answer() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send(GET).await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.head().await.unwrap();
    wire.send("0x4\r\nhalf\r\n0\r\n\r\n").await;
    assert!(client.rest().await.is_empty());
    assert_eq!(
        hop.script.first_done().await.end,
        End::Upstream(Failure::Malformed("upstream".into()))
    );
}

#[tokio::test]
async fn a_body_that_stops_moving_is_cut_when_its_time_is_up() {
    let mut upstream = Upstream::start().await;
    let mut settings = settings();
    settings.timeouts.idle = Duration::from_millis(50);
    let hop = Hop::with(settings, Script::forward(upstream.origin.clone()));
    let mut wires = Vec::new();
    for length in [10, 10_000_000] {
        let mut client = hop.client().await;
        client.send(GET).await;
        let (mut wire, _) = upstream.request().await;
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhalf"
        ))
        .await;
        client.head().await.unwrap();
        assert_eq!(client.rest().await, b"half");
        wires.push(wire);
    }
    for done in hop.script.dones(2).await {
        assert_eq!(done.end, End::Upstream(Failure::IdleTimeout));
    }
}

/// Answers one request, then closes when it has read the next.
async fn one_then_none(client: &mut Wire, upstream: &mut Upstream, next: &str) -> Wire {
    client.send(GET).await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    client.head().await.unwrap();
    client.send(next).await;
    wire.head().await.unwrap();
    wire
}

#[tokio::test]
async fn only_what_has_no_effect_is_sent_again_when_a_pooled_connection_was_stale() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    drop(one_then_none(&mut client, &mut upstream, GET).await);
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 200);

    for request in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let wire = one_then_none(&mut client, &mut upstream, request).await;
        drop(wire);
        let head = client.head().await.unwrap();
        assert_eq!(status(&head), 502, "{request}");
        assert_eq!(client.take(9).await, b"truncated");
        assert!(upstream.wires.try_recv().is_err(), "sent twice: {request}");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_not_used_for_a_post() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send(GET).await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    client.head().await.unwrap();
    drop(wire);
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
        .await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(status(&client.head().await.unwrap()), 204);
}

fn tls(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> tokio_rustls::TlsAcceptor {
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn trusting(roots: &[&rcgen::CertifiedKey<rcgen::KeyPair>]) -> Arc<rustls::ClientConfig> {
    let mut store = rustls::RootCertStore::empty();
    for root in roots {
        store.add(root.cert.der().clone()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn an_https_upstream_is_served_only_if_its_certificate_is_good() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let acceptor = tls(&certified);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = vec![b'x'; 1 << 20];
    finweir::tasks::Tasks::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut wire = Wire::new(stream);
            while wire.head().await.is_some() {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n")
                    .await;
                wire.send(&body).await;
            }
        }
    });
    let origin = |host: &str, config| {
        Origin::new(
            "secure",
            Address::Tls {
                host: host.into(),
                port,
                config,
            },
        )
    };
    let hop = Hop::start(Script::forward(origin(
        "localhost",
        trusting(&[&certified]),
    )));
    let mut client = hop.client().await;
    for _ in 0..2 {
        let (head, body) = client.ask(GET).await;
        assert_eq!((status(&head), body.len()), (200, 1 << 20));
        assert!(body.iter().all(|b| *b == b'x'));
    }
    drop(hop);
    for bad in [
        origin("localhost", trusting(&[&other])),
        origin("127.0.0.1", trusting(&[&certified])),
    ] {
        let hop = Hop::start(Script::forward(bad));
        let (head, body) = hop.client().await.ask(GET).await;
        assert_eq!((status(&head), body.as_slice()), (502, &b"tls"[..]));
    }
}

fn get() -> Request<Bytes> {
    Request::get("http://ignored/path?q=1")
        .header("x-a", "1")
        .header("te", "x")
        .body(Bytes::new())
        .unwrap()
}

#[tokio::test]
async fn a_handlers_own_call_is_read_up_to_its_bound_and_streamed_beyond_it() {
    use http_body_util::BodyExt as _;
    let mut upstream = Upstream::start().await;
    let client = Client::new(settings().timeouts);
    let origin = upstream.origin.clone();
    let exchange = client.exchange(&origin, get(), 10);
    let serve = async {
        let (mut wire, head) = upstream.request().await;
        assert!(head.starts_with("GET /path?q=1 HTTP/1.1\r\n") && head.contains("x-a: 1"));
        assert!(!head.contains("te:"));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: 1\r\n\r\nhello")
            .await;
        wire
    };
    let (exchanged, mut wire) = soon(async { tokio::join!(exchange, serve) }).await;
    let Ok(Exchanged::Whole(response)) = exchanged else {
        panic!("{exchanged:?}")
    };
    assert_eq!(response.body().as_ref(), b"hello");
    assert!(!response.headers().contains_key("keep-alive"));
    // On the same connection, and too long.
    let (exchanged, ()) = soon(async {
        tokio::join!(client.exchange(&origin, get(), 10), async {
            wire.head().await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                .await;
            wire.send(vec![b'y'; 100_000]).await;
        })
    })
    .await;
    let Ok(Exchanged::Long(response)) = exchanged else {
        panic!("{exchanged:?}")
    };
    assert_eq!(
        http_body::Body::size_hint(response.body()).exact(),
        Some(100_000)
    );
    let body = soon(response.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    assert!(body.len() == 100_000 && body.iter().all(|b| *b == b'y'));
    // Stale: tried once more.
    let (exchanged, ()) = soon(async {
        tokio::join!(client.exchange(&origin, get(), 10), async {
            wire.head().await.unwrap();
            drop(wire);
            let (mut wire, _) = upstream.request().await;
            wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        })
    })
    .await;
    assert!(matches!(exchanged, Ok(Exchanged::Whole(r)) if r.status() == 204));
}

#[tokio::test]
async fn a_handlers_own_call_that_is_dropped_closes_its_connection() {
    let mut upstream = Upstream::start().await;
    let client = Client::new(settings().timeouts);
    let origin = upstream.origin.clone();
    let mut wire = tokio::select! {
        _ = client.exchange(&origin, get(), 10) => panic!("nobody answered"),
        (wire, _) = upstream.request() => wire,
    };
    assert!(wire.rest().await.is_empty());
}
