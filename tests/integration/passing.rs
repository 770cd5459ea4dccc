//! Everything else passes, byte for byte.

use std::net::SocketAddr;

use finweir::sim::Version;

use crate::support::{AndroidTv, Answer, House, Origin, Setting, Socket, Web, ask, both, items};

/// What no intermediary keeps, and what differs from one answer to the next.
const NOT_COMPARED: [&str; 5] = [
    "connection",
    "transfer-encoding",
    "date",
    "x-response-time-ms",
    "keep-alive",
];

async fn same(
    house: SocketAddr,
    jellyfin: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let straight = ask(jellyfin, method, target, &headers, None).await.unwrap();
    let through = ask(house, method, target, &headers, None).await.unwrap();
    assert_eq!(through.status, straight.status, "{target}");
    assert!(through.body == straight.body, "{target}");
    let kept = |answer: &Answer| {
        let mut kept = answer.headers.clone();
        kept.retain(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
        kept.sort();
        kept
    };
    assert_eq!(kept(&through), kept(&straight), "{target}");
    through
}

#[tokio::test]
async fn what_jellyfin_serves_arrives_byte_for_byte() {
    both(async |version| {
        let house = House::of(version).await;
        let (to, jellyfin) = (house.address(), house.sim().address());
        let device = Web::login(&house, "anna", "laptop").await.device;
        let token = &device.token;
        for target in [
            "/web/index.html".to_owned(),
            "/System/Info/Public".to_owned(),
            "/health".to_owned(),
            "/Branding/Configuration".to_owned(),
            format!("/Items/{}/Images/Primary", items::LONG),
            format!("/Items/{}?ApiKey={token}", items::LONG),
            format!("/Playback/BitrateTest?Size=100000&ApiKey={token}"),
            "/nowhere".to_owned(),
        ] {
            same(to, jellyfin, "GET", &target, &[]).await;
        }
        let file = format!(
            "/Videos/{0}/stream.mp4?static=true&MediaSourceId={0}",
            items::DIRECT
        );
        for range in [
            "bytes=0-0",
            "bytes=1000-99999",
            "bytes=-500",
            "bytes=999999999999-",
        ] {
            same(to, jellyfin, "GET", &file, &[("Range", range)]).await;
        }
        let head = same(to, jellyfin, "HEAD", &file, &[]).await;
        assert!(
            head.header("content-length")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 1_000_000
        );
        same(
            to,
            jellyfin,
            "OPTIONS",
            "/Items",
            &[
                ("Origin", "http://a"),
                ("Access-Control-Request-Method", "GET"),
            ],
        )
        .await;
        assert_eq!(house.snapshot().leases.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn images_and_compressed_files_arrive_byte_for_byte() {
    // Bytes of every value; whoever decoded, or guessed a length, would change them.
    let bytes: Vec<u8> = (0..300_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let body = bytes.clone();
    let origin = Origin::start(move |_, target| {
        let headers = if target.starts_with("/web/") {
            "Content-Type: text/javascript\r\nContent-Encoding: br\r\nVary: Accept-Encoding\r\nETag: \"a\"\r\n"
        } else {
            "Content-Type: image/webp\r\nCache-Control: public, max-age=31536000\r\nAge: 7\r\n"
        };
        (200, headers.to_owned(), body.clone())
    })
    .await;
    let house = Setting::of(Version::V12_0).before(origin.address, None);
    for target in [
        "/web/main.js?v=1",
        "/Items/1/Images/Primary?maxWidth=300&tag=x&quality=90",
    ] {
        let headers = [("Accept-Encoding", "gzip, br"), ("X-Odd", "\u{e9}\u{e8}")];
        let answer = same(house.address(), origin.address, "GET", target, &headers).await;
        assert!(answer.body == bytes);
        same(house.address(), origin.address, "HEAD", target, &headers).await;
    }
}

#[tokio::test]
async fn a_websocket_passes_both_ways() {
    both(async |version| {
        let house = House::of(version).await;
        let tv = AndroidTv::login(&house, "anna", "tv").await;
        let mut socket = Socket::open(&tv.device).await;
        socket.until("ForceKeepAlive").await;
        let ping = r#"{"MessageType":"KeepAlive"}"#;
        for _ in 0..3 {
            socket.send(ping).await;
            socket.until(r#""MessageType":"KeepAlive""#).await;
        }
    })
    .await;
}
