//! Who is believed about where a request comes from.

use std::sync::{Arc, Mutex};

use finweir::hop::{Peer, Settings, Step};

use crate::support::{Hop, Script, Upstream, Wire, settings, status, to};

/// Sends `preface` and a request with `fields`; returns what the upstream got of them and who the peer was.
async fn through(settings: Settings, preface: &[u8], fields: &str) -> (Vec<String>, Peer) {
    let mut upstream = Upstream::start().await;
    let origin = upstream.origin.clone();
    let seen = Arc::new(Mutex::new(Peer::default()));
    let see = Arc::clone(&seen);
    let hop = Hop::with(
        settings,
        Script::new(move |head| {
            *see.lock().unwrap() = head.peer.clone();
            Step::Forward(to(&origin))
        }),
    );
    let mut client = hop.client().await;
    client.send(preface).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
        .await;
    let (_wire, head) = upstream.request().await;
    let lines = head
        .lines()
        .skip(2)
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    let peer = seen.lock().unwrap().clone();
    (lines, peer)
}

fn trusting(net: &str) -> Settings {
    Settings {
        trusted: vec![net.parse().unwrap()],
        proxy_protocol: true,
        ..settings()
    }
}

const CLAIMS: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: films\r\nForwarded: for=1\r\n";

#[tokio::test]
async fn what_a_stranger_says_about_itself_is_replaced() {
    let (lines, peer) = through(settings(), b"", CLAIMS).await;
    assert_eq!(lines, ["X-Forwarded-For: 127.0.0.1"]);
    assert_eq!(peer.address, Some("127.0.0.1".parse().unwrap()));
    assert!(!peer.trusted);
}

#[tokio::test]
async fn what_a_trusted_peer_says_is_kept_and_added_to() {
    let (lines, peer) = through(trusting("127.0.0.0/8"), b"", CLAIMS).await;
    assert_eq!(
        lines,
        [
            "X-Forwarded-Proto: https",
            "x-forwarded-host: films",
            "Forwarded: for=1",
            "X-Forwarded-For: 203.0.113.7, 127.0.0.1"
        ]
    );
    assert_eq!(peer.address, Some("203.0.113.7".parse().unwrap()));
    assert!(peer.trusted);
}

#[tokio::test]
async fn what_a_client_put_before_the_trusted_peers_word_is_not_believed() {
    let fields = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.9\r\n";
    let (lines, peer) = through(trusting("127.0.0.0/8"), b"", fields).await;
    assert_eq!(
        lines,
        ["X-Forwarded-For: 10.0.0.1, 203.0.113.7, 127.0.0.9, 127.0.0.1"]
    );
    assert_eq!(peer.address, Some("203.0.113.7".parse().unwrap()));
}

#[tokio::test]
async fn requests_of_many_viewers_on_one_connection_have_each_their_own_address() {
    let origin = Upstream::start()
        .await
        .serve(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let hop = Hop::with(
        trusting("127.0.0.1/32"),
        Script::new(move |head| {
            see.lock()
                .unwrap()
                .push(head.peer.address.unwrap().to_string());
            Step::Forward(to(&origin))
        }),
    );
    let mut client = hop.client().await;
    for viewer in ["203.0.113.7", "2001:db8::1", "198.51.100.2"] {
        client
            .ask(&format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {viewer}\r\n\r\n"
            ))
            .await;
    }
    client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(
        *seen.lock().unwrap(),
        ["203.0.113.7", "2001:db8::1", "198.51.100.2", "127.0.0.1"]
    );
}

fn v2(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f".to_vec();
    header.extend_from_slice(&source);
    // To 10.0.0.1:80 from port 5000, and an empty TLV of no meaning.
    header.extend_from_slice(&[10, 0, 0, 1, 0x13, 0x88, 0, 80, 4, 0, 0]);
    header
}

#[tokio::test]
async fn a_proxy_header_of_a_trusted_peer_names_the_viewer() {
    let v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\r\n".to_vec();
    for header in [v1, v2([203, 0, 113, 7])] {
        let (lines, peer) = through(trusting("127.0.0.1/32"), &header, CLAIMS).await;
        // The viewer is no proxy: what it says about itself is not believed.
        assert_eq!(lines, ["X-Forwarded-For: 203.0.113.7"]);
        assert_eq!(peer.address, Some("203.0.113.7".parse().unwrap()));
        assert!(!peer.trusted);
    }
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
        b"",
    ] {
        let (_, peer) = through(trusting("127.0.0.1/32"), header, "").await;
        assert_eq!(peer.address, Some("127.0.0.1".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_proxy_header_of_a_stranger_or_unasked_for_is_refused() {
    let asked = trusting("10.0.0.0/8");
    let unasked = Settings {
        proxy_protocol: false,
        ..trusting("127.0.0.1/32")
    };
    let broken = trusting("127.0.0.1/32");
    let v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\r\n".to_vec();
    let mut upstream = Upstream::start().await;
    for (settings, header) in [
        (asked.clone(), v1.clone()),
        (asked, v2([203, 0, 113, 7])),
        (unasked.clone(), v1),
        (unasked, v2([203, 0, 113, 7])),
        (
            broken.clone(),
            b"PROXY TCP4 203.0.113.777 10.0.0.1 5000 80\r\n".to_vec(),
        ),
        (broken.clone(), b"PROXY TCP4 nobody\r\n".to_vec()),
        (broken, [b"PROXY TCP4 ".to_vec(), vec![b'1'; 9000]].concat()),
    ] {
        let hop = Hop::with(settings, Script::forward(upstream.origin.clone()));
        let mut client: Wire = hop.client().await;
        client.send(&header).await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let head = client.head().await;
        let head =
            head.unwrap_or_else(|| panic!("no answer to {:?}", header.escape_ascii().to_string()));
        assert_eq!(status(&head), 400);
        assert!(upstream.wires.try_recv().is_err());
    }
}

#[tokio::test]
async fn via_is_added_only_if_asked_for() {
    let (lines, _) = through(
        Settings {
            via: Some("weir".into()),
            ..settings()
        },
        b"",
        "Via: 1.1 edge\r\n",
    )
    .await;
    assert_eq!(
        lines,
        [
            "Via: 1.1 edge",
            "X-Forwarded-For: 127.0.0.1",
            "Via: 1.1 weir"
        ]
    );
}
