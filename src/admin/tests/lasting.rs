//! Pages that listen, and that they keep nobody out.

use tokio::net::TcpStream;

use super::*;
use crate::admission::Order;

async fn listen(fixture: &Fixture) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.admin.address()).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\n{LOCAL}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until `wanted` has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        seen.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        assert!(read > 0, "it ended before {wanted}: {text}");
        if text.contains(wanted) {
            return text;
        }
    }
}

#[tokio::test]
async fn a_page_that_listens_is_told_what_changes() {
    let fixture = start(None);
    let mut page = listen(&fixture).await;
    let first = read_until(&mut page, "\"nodes\":").await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(!first.contains("paused"), "{first}");
    let who = Arc::from("test");
    assert!(fixture.gate.operate(Order::Pause, &who).is_some());
    let next = read_until(&mut page, "paused").await;
    assert!(
        !next.contains("\"nodes\":"),
        "only what has changed: {next}"
    );
    // A stop ends it at once, and does not wait for the page.
    let at = clock::now();
    fixture.admin.stop().await;
    assert!(clock::now() - at < Duration::from_secs(4));
}

#[tokio::test]
async fn a_page_whose_session_was_ended_is_told_so_and_nothing_more() {
    let fixture = start(Some(SECRET));
    let browser = fixture.log_in().await;
    let mut page = TcpStream::connect(fixture.admin.address()).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\n{}\r\n", browser.headers());
    page.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut page, "\"}}\n\n").await;
    fixture
        .post("/logout", &browser.headers(), &browser.form())
        .await;
    let who = Arc::from("test");
    assert!(fixture.gate.operate(Order::Pause, &who).is_some());
    let next = read_until(&mut page, "\n\n").await;
    assert!(
        next.contains("event: over") && !next.contains("paused"),
        "{next}"
    );
    if !next.ends_with("\r\n0\r\n\r\n") {
        let end = read_until(&mut page, "\r\n0\r\n\r\n").await;
        assert!(!end.contains("data:"), "{end}");
    }
}

#[tokio::test]
async fn more_pages_than_there_is_room_for_leave_room_for_scrapers() {
    let fixture = start(None);
    let mut pages = Vec::new();
    for _ in 0..LISTENERS {
        let mut page = listen(&fixture).await;
        read_until(&mut page, "\r\n\r\n").await;
        pages.push(page);
    }
    let mut late = listen(&fixture).await;
    let answer = read_until(&mut late, "too many pages").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(fixture.status("GET /metrics", LOCAL).await, 200);
    assert_eq!(fixture.status("GET /live", LOCAL).await, 200);
    // Who leaves makes room.
    drop(pages.pop());
    loop {
        let mut next = listen(&fixture).await;
        let answer = read_until(&mut next, "\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::task::yield_now().await;
    }
}
