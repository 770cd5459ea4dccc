//! Answers that the handler gives itself, and bodies that it reads.

use bytes::Bytes;
use finweir::hop::{Failure, Step, Verdict};
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::{Hop, Script, Upstream, header, soon, status, text, to};

/// An answer whose body is fed by the test.
fn fed() -> (mpsc::Sender<Result<Bytes, Failure>>, Script) {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, Failure>>(4);
    let stream = Fed(Box::new(move |cx| receiver.poll_recv(cx)));
    let body = SyncBody(std::sync::Mutex::new(stream)).boxed();
    let body = std::sync::Mutex::new(Some(body));
    let script =
        Script::new(move |_| Step::Answer(Response::new(body.lock().unwrap().take().unwrap())));
    (sender, script)
}

type Poll = Box<
    dyn FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Bytes, Failure>>>
        + Send,
>;
struct Fed(Poll);
struct SyncBody(std::sync::Mutex<Fed>);

impl http_body::Body for SyncBody {
    type Data = Bytes;
    type Error = Failure;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let next = (self.0.lock().unwrap().0)(cx);
        next.map(|n| n.map(|r| r.map(Frame::data)))
    }
}

#[tokio::test]
async fn an_answer_has_its_length_and_date_and_keeps_the_connection() {
    let hop = Hop::start(Script::new(|head| match head.target {
        "/204" => Step::Answer(text(204, "")),
        _ => Step::Answer(text(429, "too many")),
    }));
    let mut client = hop.client().await;
    for _ in 0..2 {
        let (head, body) = client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!((status(&head), body.as_slice()), (429, &b"too many"[..]));
        assert_eq!(header(&head, "connection"), None);
        let date = header(&head, "date").unwrap();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    }
    client
        .send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /204 HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (429, Some("8"))
    );
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (204, None)
    );
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "connection"), Some("close"));
    assert_eq!(client.rest().await, b"too many");
}

#[tokio::test]
async fn an_unread_body_ends_the_connection_unless_it_is_here_already() {
    let hop = Hop::start(Script::new(|_| Step::Answer(text(403, "no"))));
    let mut client = hop.client().await;
    let (head, _) = client
        .ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    assert_eq!(header(&head, "connection"), None);
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\nbody")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "connection"), Some("close"));
    // The answer survives what the client is still sending.
    client.send(vec![b'x'; 300_000]).await;
    assert_eq!(client.rest().await, b"no");
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_in_chunks_as_it_comes() {
    let (sender, script) = fed();
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sender.send(Ok(Bytes::from_static(b"hello"))).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(client.take(10).await, b"5\r\nhello\r\n");
    sender
        .send(Ok(Bytes::from(vec![b'x'; 40_000])))
        .await
        .unwrap();
    drop(sender);
    let rest = client.until(b"0\r\n\r\n").await;
    assert_eq!(rest.len(), 6 + 40_000 + 2 + 5);
}

#[tokio::test]
async fn a_body_that_breaks_is_given_no_end() {
    let (sender, script) = fed();
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sender.send(Ok(Bytes::from_static(b"hello"))).await.unwrap();
    sender.send(Err(Failure::IdleTimeout)).await.unwrap();
    client.head().await.unwrap();
    assert_eq!(client.rest().await, b"5\r\nhello\r\n");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_body_it_was_reading() {
    let (sender, script) = fed();
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sender.send(Ok(Bytes::from_static(b"hello"))).await.unwrap();
    client.head().await.unwrap();
    drop(client);
    soon(sender.closed()).await;
}

fn echo(limit: usize, overflow: Option<finweir::hop::Origin>) -> Script {
    let mut script = Script::new(move |_| Step::Take {
        limit,
        overflow: overflow.as_ref().map(to),
        finish: false,
    });
    script.answer = Box::new(|request, _| {
        let said = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.body()
        );
        Box::pin(async move { text(200, &said) })
    });
    script
}

#[tokio::test]
async fn a_handler_reads_bodies_of_both_framings() {
    let hop = Hop::start(echo(10, None));
    let mut client = hop.client().await;
    for request in [
        "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /a?b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
    ] {
        let (head, body) = client.ask(request).await;
        assert_eq!(status(&head), 200);
        assert_eq!(body, b"POST /a?b b\"hello\"");
        assert_eq!(header(&head, "connection"), None);
    }
    client
        .send("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!(
        client.head().await.unwrap(),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    let (_, body) = client.ask("hello").await;
    assert_eq!(body, b"POST /a b\"hello\"");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_or_goes_on_unread() {
    let hop = Hop::start(echo(4, None));
    for request in [
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let mut client = hop.client().await;
        let (head, body) = client.ask(request).await;
        assert_eq!((status(&head), body.as_slice()), (413, &b"too-large"[..]));
    }
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(echo(4, Some(upstream.origin.clone())));
    let mut client = hop.client().await;
    let chunks = "2\r\nhe\r\n3;x\r\nllo\r\n5\r\nworld\r\n0\r\nX: 1\r\n\r\n";
    let head = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}{}", &chunks[..17])).await;
    let (mut wire, _) = upstream.request().await;
    client.send(&chunks[17..]).await;
    assert_eq!(wire.take(chunks.len()).await, chunks.as_bytes());
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(status(&client.head().await.unwrap()), 204);
    client
        .send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    wire.head().await.unwrap();
    assert_eq!(wire.take(5).await, b"hello");
}

#[tokio::test]
async fn a_decision_may_forward_or_answer_and_leaves_the_body_alone() {
    let mut upstream = Upstream::start().await;
    let origin = upstream.origin.clone();
    let mut script = Script::new(|_| Step::Decide);
    script.decide = Box::new(move |request, peer| {
        assert_eq!(peer.address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(request.headers()["x-forwarded-for"], "127.0.0.1");
        let verdict = if request.uri().path() == "/go" {
            Verdict::Forward(to(&origin))
        } else {
            Verdict::Answer(text(429, "wait"))
        };
        Box::pin(async move { verdict })
    });
    let hop = Hop::start(script);
    let mut client = hop.client().await;
    let (head, body) = client.ask("GET /no HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!((status(&head), body.as_slice()), (429, &b"wait"[..]));
    client
        .send("POST /go HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    let (mut wire, _) = upstream.request().await;
    assert_eq!(wire.take(4).await, b"body");
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(status(&client.head().await.unwrap()), 204);
}
