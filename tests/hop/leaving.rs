//! Clients that leave: the upstream is cancelled at once, or the work is finished, as the handler says.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use finweir::hop::{End, Step, Verdict};
use tokio::sync::Notify;

use crate::support::{Hop, Script, Upstream, header, soon, status, text, to};

#[tokio::test]
async fn leaving_before_the_answer_closes_the_upstream_connection() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("GET /segment HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    let (mut wire, _) = upstream.request().await;
    drop(client);
    assert!(wire.rest().await.is_empty());
    let done = hop.script.first_done().await;
    assert_eq!((done.end, done.status), (End::ClientLeft, None));
}

#[tokio::test]
async fn leaving_in_the_middle_of_a_body_closes_the_upstream_connection() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for framing in [
        "Content-Length: 10000000",
        "Content-Length: 1000",
        "Transfer-Encoding: chunked",
    ] {
        let mut client = hop.client().await;
        client.send("GET /film HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (mut wire, _) = upstream.request().await;
        wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhe"))
            .await;
        client.head().await.unwrap();
        client.take(5).await;
        // The upstream is silent: only the client's end tells.
        drop(client);
        assert!(wire.rest().await.is_empty());
    }
    let done = hop.script.dones(3).await;
    assert!(
        done.iter()
            .all(|d| d.end == End::ClientLeft && d.status == Some(200))
    );
}

#[tokio::test]
async fn a_request_sent_ahead_is_not_a_client_that_left() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (mut wire, _) = upstream.request().await;
    client.send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        .await;
    let head = wire.head().await.unwrap();
    assert!(head.starts_with("GET /2 "));
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
        .await;
    for body in [b"1", b"2"] {
        client.head().await.unwrap();
        assert_eq!(client.take(1).await, body);
    }
}

#[tokio::test]
async fn leaving_drops_a_decision_that_is_awaited() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (entered, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (e, d) = (Arc::clone(&entered), Arc::clone(&dropped));
    let mut script = Script::new(|_| Step::Decide);
    script.decide = Box::new(move |_, _| {
        let guard = Dropped(Arc::clone(&d));
        let entered = Arc::clone(&e);
        Box::pin(async move {
            entered.notify_one();
            std::future::pending::<()>().await;
            drop(guard);
            Verdict::Answer(text(200, ""))
        })
    });
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    client.send("GET /decide HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(entered.notified()).await;
    drop(client);
    soon(dropped.notified()).await;
}

#[tokio::test]
async fn a_report_is_finished_upstream_though_its_client_hung_up() {
    let mut upstream = Upstream::start().await;
    let origin = upstream.origin.clone();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let hop = Hop::start(Script::new(move |_| {
        let mut forward = to(&origin);
        forward.finish = true;
        let count = Arc::clone(&count);
        forward.on_done = Some(Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        Step::Forward(forward)
    }));
    let mut client = hop.client().await;
    client
        .send("POST /Sessions/Playing/Stopped HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        .await;
    drop(client);
    let (mut wire, head) = upstream.request().await;
    assert_eq!(header(&head, "content-length"), Some("2"));
    assert_eq!(wire.take(2).await, b"{}");
    // The connection is still there when the answer comes, late.
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let done = hop.script.first_done().await;
    assert_eq!(done.status, Some(204));
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_to_be_finished_is_worked_out_though_the_client_left() {
    let (entered, go, finished) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );
    let (e, g, f) = (Arc::clone(&entered), Arc::clone(&go), Arc::clone(&finished));
    let mut script = Script::new(|_| Step::Take {
        limit: 100,
        overflow: None,
        finish: true,
    });
    script.answer = Box::new(move |request, _| {
        assert_eq!(request.body().as_ref(), b"abc");
        let (e, g, f) = (Arc::clone(&e), Arc::clone(&g), Arc::clone(&f));
        Box::pin(async move {
            e.notify_one();
            g.notified().await;
            f.notify_one();
            text(204, "")
        })
    });
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    soon(entered.notified()).await;
    drop(client);
    go.notify_one();
    soon(finished.notified()).await;
}

#[tokio::test]
async fn a_half_sent_upload_is_cancelled_when_its_client_leaves() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        .await;
    let (mut wire, _) = upstream.request().await;
    drop(client);
    assert_eq!(wire.rest().await, b"half");
    assert_eq!(hop.script.first_done().await.end, End::ClientLeft);
}

#[tokio::test]
async fn each_way_to_end_calls_on_done_once() {
    let mut upstream = Upstream::start().await;
    let origin = upstream.origin.clone();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let hop = Hop::start(Script::new(move |_| {
        let mut forward = to(&origin);
        let count = Arc::clone(&count);
        forward.on_done = Some(Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        Step::Forward(forward)
    }));
    // Complete.
    let mut client = hop.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 200);
    // Failed.
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (wire, _) = upstream.request().await;
    drop(wire);
    assert_eq!(status(&client.head().await.unwrap()), 502);
    client.take(9).await;
    // Cut, the whole hop with it.
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (_wire, _) = upstream.request().await;
    assert_eq!(soon(hop.running.drain(std::time::Duration::ZERO)).await, 1);
    assert_eq!(hop.script.dones(3).await.len(), 3);
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}
