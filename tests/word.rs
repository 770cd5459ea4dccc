//! Words to the operator, from the program as it is run: configuration, reload, command, log.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reports by panicking, and reads the clock for its deadline"
)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "demo/process.rs"]
mod process;
#[path = "word/receiver.rs"]
mod receiver;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    process::{Process, get, sum},
    receiver::{next, receiver},
};

/// In every URL.
const SECRET: &str = "s3cret-of-the-house";

fn by(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// `finweir run` on `file`, and where its admin side is.
fn run(file: &Path, admin: SocketAddr) -> Process {
    Process::start(
        Command::new(env!("CARGO_BIN_EXE_finweir"))
            .args(["run", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", &admin.to_string()])
            .arg("--config")
            .arg(file),
    )
}

#[test]
fn the_operator_is_told_of_what_is_wrong_and_of_its_end() {
    let (first, posts) = receiver();
    let (second, others) = receiver();
    // Nothing listens there, and nobody else can have the port.
    let held = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&held, &free).unwrap();
    let jellyfin: SocketAddr = rustix::net::getsockname(&held).unwrap().try_into().unwrap();
    // The admin side does not say which port it took: one is found for it.
    let admin = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("finweir.yaml");
    let write = |receiver: SocketAddr, mode: &str| {
        let text = format!(
            "mode: {mode}\n\
             jellyfin: {{url: \"http://{jellyfin}\"}}\n\
             gpus: [{{name: igpu, capacity: 3}}]\n\
             logging: {{level: debug, format: json}}\n\
             notify:\n  after: 0s\n  urls: [{{url: \"gotify://{receiver}/{SECRET}\"}}]\n"
        );
        // In one move, as editors do it.
        let new = scratch.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    write(first, "observe");
    let mut process = run(&file, admin);

    let (path, body) = next(&posts);
    assert_eq!(path, "/message");
    assert_eq!(
        body["title"],
        "Finweir: Jellyfin server jellyfin does not answer"
    );

    write(first, "nonsense");
    let (_, body) = next(&posts);
    assert_eq!(body["title"], "Finweir: The configuration was rejected");
    // The new receiver hears only what comes after.
    write(second, "enforce");
    let (_, body) = next(&others);
    assert_eq!(body["title"], "Finweir: The configuration is well again");

    rustix::net::listen(&held, 16).unwrap();
    let server = TcpListener::from(held);
    std::thread::spawn(move || {
        for stream in server.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                if line.ends_with("\r\n\r\n") {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHealthy";
                    if stream.get_mut().write_all(answer).is_err() {
                        break;
                    }
                    line.clear();
                }
            }
        }
    });
    let (_, body) = next(&others);
    assert_eq!(
        body["title"],
        "Finweir: Jellyfin server jellyfin answers again"
    );
    assert!(
        posts.try_recv().is_err(),
        "the old receiver is not told any more"
    );

    // A word is counted once its answer is there, a moment after it came.
    let deadline = by(20);
    let metrics = loop {
        let (_, metrics) = get(&admin.to_string(), "/metrics");
        let sent = sum(&metrics, "finweir_notifications_total{", "outcome=\"sent\"");
        if sent > 3.5 {
            assert!(sent < 4.5, "{sent}");
            break metrics;
        }
        assert!(Instant::now() < deadline, "{sent}");
    };
    process.signal("TERM");
    process.signal("TERM");
    process.end(by(30));
    let said = process.said.join("\n");
    assert!(said.contains("Word to the operator"), "{said}");
    assert!(
        !said.contains(SECRET) && !metrics.contains(SECRET),
        "{said}"
    );
}

#[test]
fn the_command_tries_each_receiver_and_says_which_is_wrong() {
    let (well, posts) = receiver();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("finweir.yaml");
    let tried = |urls: &str| {
        let text =
            format!("jellyfin: {{url: \"http://127.0.0.1:9\"}}\nnotify: {{urls: [{urls}]}}\n");
        fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_finweir"))
            .args(["notify", "--test", "--config"])
            .arg(&file)
            .env("WORD", format!("ntfy://{well}/{SECRET}"))
            .output()
            .unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (said(output.stdout), said(output.stderr));
        assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
        (output.status.code(), out, err)
    };
    let (code, out, err) = tried("{url: {env: WORD}}");
    assert_eq!(
        (code, out),
        (Some(0), format!("ntfy://{well}: sent\n")),
        "{err}"
    );
    let (path, body) = next(&posts);
    assert_eq!((path.as_str(), &body["topic"]), ("/", &Value::from(SECRET)));
    assert_eq!(body["message"], "If you read this, words arrive.");

    // Port 9 is for discarding, and closed wherever this runs.
    let (code, out, _) = tried(&format!(
        "{{url: {{env: WORD}}}}, {{url: \"json://127.0.0.1:9/{SECRET}\"}}"
    ));
    assert_eq!(code, Some(1));
    let away = "json://127.0.0.1:9: not sent, no connection to it\n";
    assert_eq!(out, format!("ntfy://{well}: sent\n{away}"));
    let (code, _, err) = tried("");
    assert_eq!(code, Some(64));
    assert!(err.contains("`notify.urls` is empty"), "{err}");
}
