//! What two parsers could read in two ways never reaches the upstream.

use crate::support::{Hop, Script, Upstream, header, status};

/// Requests that are refused, each with the reason why it is dangerous.
const REFUSED: &[(&str, &str)] = &[
    (
        "length and chunked",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "chunked and length",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "length list",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello",
    ),
    (
        "length with plus",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
    ),
    (
        "length with minus",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nhello",
    ),
    (
        "length in hex",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello",
    ),
    (
        "length with space",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 2\r\n\r\nhello",
    ),
    (
        "empty length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\nhello",
    ),
    (
        "length overflow",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\nx",
    ),
    (
        "chunked, identity",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "identity",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n",
    ),
    (
        "xchunked",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "quoted chunked",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "vertical tab before chunked",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two encodings",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "encoding, then another",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks in 1.0",
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("space before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
    (
        "space before length's colon",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello",
    ),
    (
        "encoding with a space in its name",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer Encoding: chunked\r\n\r\n",
    ),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: b\r\n\r\n"),
    (
        "two equal hosts",
        "GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
    ),
    ("odd host", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    ("bare LF", "GET / HTTP/1.1\nHost: h\n\n"),
    ("one bare LF", "GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n"),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n"),
    ("bare CR", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"),
    (
        "folded header",
        "GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n 2\r\n\r\n",
    ),
    (
        "folded first header",
        "GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
    ),
    (
        "folded encoding",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "NUL in a value",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    ),
    (
        "NUL in a name",
        "GET / HTTP/1.1\r\nHost: h\r\nX\0: a\r\n\r\n",
    ),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        "line without colon",
        "GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n",
    ),
    ("empty name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"),
    (
        "unencoded space",
        "GET /a?b=c d HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        "utf-8 in path",
        "GET /Vid\u{e9}os/x HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    ("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("no slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("other scheme", "GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        "target of another host",
        "GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    ("asterisk for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("h2c preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("preface as 1.1", "PRI * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n"),
    ("HTTP/0.9", "GET /\r\n\r\n"),
    ("lower-case version", "GET / http/1.1\r\nHost: h\r\n\r\n"),
    ("connect", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
    ("trace", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("head in lower case", "head / HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        "method with a bracket",
        "GE(T / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "unknown expectation",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx",
    ),
    ("tls", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
];

#[tokio::test]
async fn a_head_in_doubt_is_refused_and_nothing_of_it_goes_on() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for (name, request) in REFUSED {
        let mut client = hop.client().await;
        client.send(request).await;
        let head = client
            .head()
            .await
            .unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(status(&head), 400, "{name}");
        assert_eq!(header(&head, "connection"), Some("close"), "{name}");
        assert_eq!(client.rest().await, b"bad-request", "{name}");
        assert!(
            upstream.wires.try_recv().is_err(),
            "{name} reached the upstream"
        );
    }
    let mut client = hop.client().await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "a".repeat(17_000)
        ))
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 400);
    let mut client = hop.client().await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: 1\r\n".repeat(101)
        ))
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 400);
    let mut client = hop.client().await;
    let many = "a,".repeat(50);
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: {many}\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&client.head().await.unwrap()), 400);
    assert!(upstream.wires.try_recv().is_err());
}

#[tokio::test]
async fn a_refused_request_hides_no_second_one() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    let mut client = hop.client().await;
    client
        .send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    client.head().await.unwrap();
    assert_eq!(client.rest().await, b"bad-request");
    assert!(upstream.wires.try_recv().is_err());
}

#[tokio::test]
async fn chunks_in_doubt_are_refused_and_the_upstream_gets_no_whole_body() {
    let mut upstream = Upstream::start().await;
    let hop = Hop::start(Script::forward(upstream.origin.clone()));
    for chunks in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;\nx\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "-1\r\n\r\n",
    ] {
        let mut client = hop.client().await;
        client
            .send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let (mut wire, _) = upstream.request().await;
        client.send(chunks).await;
        let head = client.head().await.unwrap();
        assert_eq!(status(&head), 400, "{chunks:?}");
        assert_eq!(client.rest().await, b"bad-request", "{chunks:?}");
        let got = wire.rest().await;
        assert!(!got.ends_with(b"0\r\n\r\n"), "{chunks:?}");
    }
}

#[tokio::test]
async fn what_is_odd_but_clear_passes() {
    let origin = Upstream::start().await.serve(|head| {
        let line = head.lines().next().unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}",
            line.len()
        )
        .into_bytes()
    });
    let hop = Hop::start(Script::forward(origin));
    let mut client = hop.client().await;
    for (request, line) in [
        (
            "get /System/Ping HTTP/1.1\r\nHost: a\r\n\r\n",
            "get /System/Ping HTTP/1.1",
        ),
        (
            "GET http://a:1/x?y HTTP/1.1\r\nHost: A:1\r\n\r\n",
            "GET http://a:1/x?y HTTP/1.1",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1",
        ),
        (
            "GET /%zz/Videos HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%zz/Videos HTTP/1.1",
        ),
        (
            "GET /Videos/%00/stream HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /Videos/%00/stream HTTP/1.1",
        ),
        (
            "\r\n\r\nGET /after-empty-lines HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /after-empty-lines HTTP/1.1",
        ),
        (
            "GET /a?x={}|\"<>^`[]\\ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a?x={}|\"<>^`[]\\ HTTP/1.1",
        ),
        (
            "GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            "GET /h2c HTTP/1.1",
        ),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1"),
        (
            "GET / HTTP/1.1\r\nHost:a\r\nX:\r\nY:\t1\t\r\n\r\n",
            "GET / HTTP/1.1",
        ),
    ] {
        let (head, body) = client.ask(request).await;
        assert_eq!(status(&head), 200, "{request:?}");
        assert_eq!(body, line.as_bytes(), "{request:?}");
    }
}
