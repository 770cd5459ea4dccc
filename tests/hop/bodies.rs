//! Bodies pass byte for byte, in both directions, in bounded memory.

use tokio::io::AsyncWriteExt as _;

use crate::support::{Hop, Script, Upstream, header, soon, status, to};
use finweir::hop::{End, Forward, Meter, Step};

/// Bytes that show a shift, a loss or a swap.
fn pattern(n: usize) -> Vec<u8> {
    (0..n as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// Copied in one piece, copied in several, and spliced.
#[tokio::test]
async fn a_meter_counts_what_was_sent_however_it_was_moved() {
    for n in [5, 60_000, 3_000_000] {
        let origin = Upstream::start().await.serve(move |_| {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").into_bytes();
            answer.extend(pattern(n));
            answer
        });
        let meter = Meter::default();
        let counts = meter.clone();
        let hop = Hop::start(Script::new(move |_| {
            Step::Forward(Forward {
                meter: Some(counts.clone()),
                ..to(&origin)
            })
        }));
        let mut client = hop.client().await;
        let (_, body) = client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(body, pattern(n));
        let done = hop.script.first_done().await;
        let metered = meter.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((metered, done.bytes), (n as u64, n as u64));
    }
}

#[tokio::test]
async fn answers_of_every_framing_arrive_byte_for_byte() {
    let chunked = "5;a=\"b\"\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 7\r\n\r\n";
    let gzip = "\u{1f}\u{8b}not touched";
    let origin = Upstream::start().await.serve(move |head| {
        let answer = match head.split(' ').nth(1).unwrap() {
            "/fixed" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello".to_owned(),
            "/empty" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "/range" => {
                assert!(head.contains("Range: bytes=2-4\r\n"));
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\ncde".to_owned()
            }
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\nETag: \"x\"\r\n\r\n".to_owned(),
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "/head" => {
                assert!(head.starts_with("HEAD "));
                "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned()
            }
            "/chunked" => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{chunked}"),
            "/gzip" => format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{gzip}", gzip.len()),
            other => panic!("{other}"),
        };
        answer.into_bytes()
    });
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    for (path, code, extra, body) in [
        ("/fixed", 200, "", "hello"),
        ("/range", 206, "Range: bytes=2-4\r\n", "cde"),
        ("/empty", 200, "", ""),
        ("/204", 204, "", ""),
        ("/gzip", 200, "Accept-Encoding: gzip\r\n", gzip),
        ("/fixed", 200, "", "hello"),
    ] {
        let (head, got) = client
            .ask(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n{extra}\r\n"))
            .await;
        assert_eq!(
            (status(&head), got.as_slice()),
            (code, body.as_bytes()),
            "{path}"
        );
        assert_eq!(header(&head, "connection"), None);
    }
    client
        .send("GET /304 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /head HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (304, Some("900"))
    );
    let head = client.head().await.unwrap();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (200, Some("1000"))
    );

    client
        .send("GET /chunked HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(client.take(chunked.len()).await, chunked.as_bytes());
    assert!(client.buffer.is_empty());
    let done = hop.script.dones(9).await;
    assert!(
        done.iter()
            .all(|d| d.end == End::Complete && d.first_byte.is_some())
    );
    assert_eq!(done[0].bytes, 5);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_ends_the_clients_as_well() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    drop(wire);
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "connection"), Some("close"));
    assert_eq!(client.rest().await, b"until the end");
}

#[tokio::test]
async fn http_1_0_gets_content_without_chunks_and_the_end_of_the_connection() {
    let origin = Upstream::start().await.serve(|head| {
        assert!(head.starts_with("GET /a HTTP/1.1\r\n"), "{head}");
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"
            .to_vec()
    });
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    client.send("GET /a HTTP/1.0\r\n\r\n").await;
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "transfer-encoding"), None);
    assert_eq!(header(&head, "connection"), Some("close"));
    assert_eq!(client.rest().await, b"abcde");
    assert_eq!(hop.script.first_done().await.end, End::Complete);
}

#[tokio::test]
async fn a_large_file_arrives_whole_and_its_connection_serves_the_next() {
    const SIZE: usize = 24 << 20;
    let data = pattern(SIZE);
    let sent = data.clone();
    let origin = Upstream::start().await.serve(move |_| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&sent);
        answer
    });
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    for _ in 0..2 {
        let (_, got) = client.ask("GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(got == data);
    }
    assert_eq!(hop.script.dones(2).await[1].bytes, SIZE as u64);
}

#[tokio::test]
async fn a_long_chunked_stream_is_passed_on_as_it_came() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client.send("GET /live HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (mut wire, _) = upstream.request().await;
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.head().await.unwrap();
    let mut all = Vec::new();
    for size in [1usize, 70_000, 3, 200_000, 16_384] {
        let mut chunk = format!("{size:X}\r\n").into_bytes();
        chunk.extend_from_slice(&pattern(size));
        chunk.extend_from_slice(b"\r\n");
        all.extend_from_slice(&chunk);
        // What is produced live arrives before more is produced.
        wire.send(&chunk).await;
        assert!(client.take(chunk.len()).await == chunk);
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(client.take(5).await, b"0\r\n\r\n");
    assert_eq!(hop.script.first_done().await.bytes, all.len() as u64 + 5);
}

#[tokio::test]
async fn uploads_of_both_framings_arrive_byte_for_byte() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    let data = pattern(1 << 20);
    client
        .send(format!(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            data.len()
        ))
        .await;
    let (mut wire, head) = upstream.request().await;
    assert_eq!(header(&head, "content-length"), Some("1048576"));
    let ((), got) = tokio::join!(client.send(&data), wire.take(data.len()));
    assert!(got == data);
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 200);
    client.take(2).await;

    let chunks = "7;ext\r\nchunked\r\n0\r\nX-Check: 1\r\n\r\n";
    client.send("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Check\r\n\r\n7;ext\r\nchu").await;
    let head = wire.head().await.unwrap();
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(header(&head, "content-length"), None);
    client.send(&chunks[10..]).await;
    assert_eq!(wire.take(chunks.len()).await, chunks.as_bytes());
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(status(&client.head().await.unwrap()), 204);
    hop.script.dones(2).await;
}

#[tokio::test]
async fn messages_that_arrive_byte_by_byte_are_passed_on() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    let body = "5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n";
    let request =
        format!("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let slowly = async {
        for byte in request.as_bytes() {
            client.send([*byte]).await;
            tokio::task::yield_now().await;
        }
    };
    let (mut wire, ()) = tokio::join!(upstream.accept(), slowly);
    assert!(
        wire.head()
            .await
            .unwrap()
            .starts_with("POST /a HTTP/1.1\r\n")
    );
    assert_eq!(wire.take(body.len()).await, body.as_bytes());
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for byte in answer.as_bytes() {
        wire.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    client.head().await.unwrap();
    assert_eq!(client.take(body.len()).await, body.as_bytes());
    assert_eq!(hop.script.first_done().await.end, End::Complete);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Upstream::start().await.serve(|head| {
        let path = head.split(' ').nth(1).unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
            path.len()
        )
        .into_bytes()
    });
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    let all: String = (0..300)
        .map(|i| {
            format!(
                "GET /{i} HTTP/1.1\r\nHost: h\r\nX-Pad: {}\r\n\r\n",
                "p".repeat(90)
            )
        })
        .collect();
    client.send(all).await;
    for i in 0..300 {
        let head = client.head().await.unwrap();
        let n = header(&head, "content-length").unwrap().parse().unwrap();
        assert_eq!(client.take(n).await, format!("/{i}").as_bytes());
    }
    hop.script.dones(300).await;
}

#[tokio::test]
async fn fields_keep_their_order_and_letters_and_connection_fields_end_here() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send(
            "GET /A%2fb?X=1&x=2 HTTP/1.1\r\nuSER-agent:  Odd  Player \r\nhost: h:1\r\nConnection: keep-alive, X-Secret, Host\r\n\
             Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: x\r\nX-Secret: 1\r\nUpgrade: h2c\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n",
        )
        .await;
    let (mut wire, head) = upstream.request().await;
    assert_eq!(
        head,
        "GET /A%2fb?X=1&x=2 HTTP/1.1\r\nuSER-agent: Odd  Player\r\nhost: h:1\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
    );
    wire.send("HTTP/1.1 200 Fine By Me\r\nconnection: Keep-Alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nx-One: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        client.head().await.unwrap(),
        "HTTP/1.1 200 Fine By Me\r\nx-One: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"
    );
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_upstream() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for framing in ["Content-Length: 1073741824", "Transfer-Encoding: chunked"] {
        let mut client = hop.client().await;
        client.send("GET /film HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (mut wire, _) = upstream.request().await;
        wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n40000000\r\n"))
            .await;
        client.head().await.unwrap();
        let block = vec![7u8; 1 << 20];
        let mut taken = 0;
        // Socket buffers take a few megabytes; then nothing moves any more.
        while let Ok(n) =
            tokio::time::timeout(std::time::Duration::from_millis(400), wire.io.write(&block)).await
        {
            taken += n.unwrap();
            assert!(
                taken < 200 << 20,
                "the upstream is read though nobody reads the answer"
            );
        }
        // And it goes on where it stopped.
        assert!(client.take(1 << 20).await.ends_with(&[7u8; 1000]));
        drop(client);
        soon(async { while wire.io.write(&block).await.is_ok() {} }).await;
    }
    let done = hop.script.dones(2).await;
    assert!(done.iter().all(|d| d.end == End::ClientLeft));
}
