//! What stalled downloads and idle connections cost, in a process of their own so that nothing else is counted.
#![expect(clippy::unwrap_used, reason = "a test reports by panicking")]
#![expect(
    clippy::panic,
    clippy::string_slice,
    reason = "a test reports by panicking"
)]
#![expect(dead_code, reason = "the support module serves another test as well")]

#[path = "hop/support.rs"]
mod support;

use support::{Hop, Script, Upstream};
use tokio::io::AsyncWriteExt as _;

/// Resident memory of this process in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn stalled_downloads_hold_next_to_nothing() {
    const DOWNLOADS: usize = 100;
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let block = vec![7u8; 1 << 20];
    let before = resident();
    let mut held = Vec::new();
    for i in 0..DOWNLOADS {
        let mut client = hop.client().await;
        client.send("GET /film HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (mut wire, _) = upstream.request().await;
        let framing = if i % 2 == 0 {
            "Content-Length: 1073741824"
        } else {
            "Transfer-Encoding: chunked"
        };
        wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n40000000\r\n"))
            .await;
        client.head().await.unwrap();
        // Until the sockets are full.
        while let Ok(Ok(_)) =
            tokio::time::timeout(std::time::Duration::from_millis(5), wire.io.write(&block)).await
        {
        }
        held.push((client, wire));
    }
    let each = resident().saturating_sub(before) / DOWNLOADS;
    assert!(
        each <= 128,
        "{each} KiB for each stalled download, both its ends here included"
    );
    drop(held);
}

#[tokio::test]
async fn idle_connections_hold_no_buffer() {
    const CONNECTIONS: usize = 300;
    let origin = Upstream::start()
        .await
        .serve(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let hop = Hop::start(Script::forward(origin));
    let before = resident();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = hop.client().await;
        client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        held.push(client);
    }
    let each = resident().saturating_sub(before) / CONNECTIONS;
    assert!(
        each <= 16,
        "{each} KiB for each idle connection, its other end here included"
    );
    drop(held);
}
