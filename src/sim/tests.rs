use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

async fn sim(options: Options) -> (Sim, String) {
    let sim = Sim::start(options).await.unwrap();
    let token = sim.token_of("admin", "sofa").unwrap();
    (sim, token)
}

/// Sends one request and reads the whole answer.
async fn send(sim: &Sim, method: &str, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    let length = body.len();
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn fast(speed: f64) -> Options {
    Options {
        speed,
        library: Library::evening(),
        ..Options::default()
    }
}

fn segment(item: &str, number: i64, token: &str) -> String {
    let at = number * 30_000_000;
    format!(
        "/videos/{item}/hls1/main/{number}.ts?DeviceId=sofa&PlaySessionId=p1&VideoCodec=h264&VideoBitrate=2000000&AudioCodec=aac&SegmentContainer=ts&ApiKey={token}&runtimeTicks={at}&actualSegmentLengthTicks=30000000"
    )
}

#[tokio::test]
async fn a_far_seek_starts_ffmpeg_anew_and_a_near_one_does_not() {
    let (sim, token) = sim(fast(200.0)).await;
    let item = Library::evening().ids().remove(1);
    for (number, started) in [(0, 1), (1, 1), (1500, 2), (1501, 2), (0, 2)] {
        let answer = send(&sim, "GET", &segment(&item, number, &token), "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
        assert_eq!(sim.started(), started, "segment {number}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn silence_of_a_minute_ends_a_job_and_reports_keep_it() {
    let (sim, token) = sim(fast(50.0)).await;
    let item = Library::evening().ids().remove(5);
    let body = |paused: bool| {
        json!({"ItemId": item, "PlaySessionId": "p1", "PositionTicks": 0, "IsPaused": paused})
            .to_string()
    };
    send(&sim, "GET", &segment(&item, 0, &token), "").await;
    let playing = format!("/Sessions/Playing?ApiKey={token}");
    send(&sim, "POST", &playing, &body(false)).await;
    sim.advance(Duration::from_secs(100));
    assert_eq!(sim.running(), 1, "the server reports by itself");
    let progress = format!("/Sessions/Playing/Progress?ApiKey={token}");
    send(&sim, "POST", &progress, &body(true)).await;
    sim.advance(Duration::from_secs(61));
    assert_eq!(sim.running(), 0, "a paused viewer who is silent is gone");
    sim.stop().await;
}

#[tokio::test]
async fn a_message_reaches_the_socket_of_its_session() {
    let (sim, token) = sim(Options::default()).await;
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    let hello = format!(
        "GET /socket?ApiKey={token} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(hello.as_bytes()).await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "ForceKeepAlive").await;
    assert!(seen.starts_with("HTTP/1.1 101"));
    let sessions = send(&sim, "GET", &format!("/Sessions?ApiKey={token}"), "").await;
    let id = sessions
        .split("\"Id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let body = json!({"Header": "h", "Text": "the film waits", "TimeoutMs": 5000}).to_string();
    let target = format!("/Sessions/{id}/Message?ApiKey={token}");
    let answer = send(&sim, "POST", &target, &body).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    read_until(&mut stream, &mut seen, "the film waits").await;
    assert!(seen.contains("DisplayMessage"));
    sim.kill();
    let left = stream.read(&mut [0; 16]).await;
    assert!(matches!(left, Ok(0) | Err(_)), "the connection is cut");
}

async fn read_until(stream: &mut TcpStream, seen: &mut String, wanted: &str) {
    let mut piece = [0; 4096];
    while !seen.contains(wanted) {
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
}

#[tokio::test]
async fn how_full_the_disk_is_is_told_to_administrators_alone_and_follows_what_jobs_write() {
    for version in [Version::V10_11, Version::V12_0] {
        let mut options = Options {
            version,
            ..fast(1.0)
        };
        options.users.push(SimUser::new("anna", "pw"));
        let (sim, token) = sim(options).await;
        let anna = sim.token_of("anna", "sofa").unwrap();
        for (token, status) in [(anna.as_str(), 403), ("nobody's", 401)] {
            let target = format!("/System/Info/Storage?ApiKey={token}");
            let answer = send(&sim, "GET", &target, "").await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
        let key = Options::default().api_key;
        let folder = async |token: &str, name: &str| {
            let target = format!("/System/Info/Storage?ApiKey={token}");
            let answer = send(&sim, "GET", &target, "").await;
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let start = body.find('{').unwrap();
            let end = body.rfind('}').unwrap();
            let whole: Value = serde_json::from_str(body.get(start..=end).unwrap()).unwrap();
            let folder = whole[name].clone();
            (
                folder["FreeSpace"].as_i64().unwrap(),
                folder["UsedSpace"].as_i64().unwrap(),
            )
        };
        sim.set_free_space(1_000_000_000);
        let (free, used) = folder(&key, "TranscodingTempFolder").await;
        assert_eq!((free, free + used), (1_000_000_000, 270_553_174_016));
        let item = Library::evening().ids().remove(1);
        send(&sim, "GET", &segment(&item, 0, &token), "").await;
        sim.advance(Duration::from_secs(20));
        let (left, used) = folder(&token, "TranscodingTempFolder").await;
        assert!(left < free, "{left}");
        assert_eq!(left + used, 270_553_174_016);
        // A folder that is not there has no disk.
        let images = folder(&key, "ImageCacheFolder").await.0;
        assert_eq!(images == -1, version == Version::V12_0, "{images}");
        sim.advance(Duration::from_secs(100));
        assert_eq!(sim.jobs().len(), 0);
        assert_eq!(folder(&key, "TranscodingTempFolder").await.0, free);
        sim.stop().await;
    }
}

#[tokio::test]
async fn the_log_holds_no_token() {
    let (sim, token) = sim(Options::default()).await;
    send(&sim, "GET", &format!("/Users/Me?ApiKey={token}"), "").await;
    let log = sim.log();
    assert_eq!(log.len(), 1);
    assert!(!format!("{log:?}").contains(&token));
    sim.stop().await;
}
