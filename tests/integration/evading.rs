//! Ways round the gate: there is none.

use std::time::Duration;

use finweir::sim::{Kind, Sim, Version};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::support::{
    AndroidTv, Curl, House, Play, Setting, Web, ask, both, items, open, recorded,
};

/// A house whose only seat is taken.
async fn full(version: Version) -> House {
    let house = Setting::of(version)
        .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
        .set("users", "{default: {transcodes: unlimited}}")
        .start()
        .await;
    let web = Web::login(&house, "anna", "laptop").await;
    web.play(items::LONG).await.playing();
    assert_eq!(encodes(house.sim()), 1);
    house
}

/// A request: method, target, headers.
type Asked = (String, String, Vec<(String, String)>);

/// Jobs that encode video now.
fn encodes(sim: &Sim) -> usize {
    let jobs = sim.jobs();
    jobs.iter()
        .filter(|job| job.running && job.kind == Kind::Transcode && job.seats > 0.0)
        .count()
}

/// The requests of the set `routes` with this token in place of the recorded one.
fn routes(version: Version, token: &str) -> Vec<Asked> {
    let records = recorded(version, "routes");
    let login = records[0]["response"]["body"].as_str().unwrap();
    let login: Value = serde_json::from_str(login).unwrap();
    let old = login["AccessToken"].as_str().unwrap();
    let with = |text: &str| text.replace(old, token);
    let asked = records.iter().skip(2).filter_map(|record| {
        let request = record
            .get("request")
            .filter(|request| request.is_object())?;
        let method = request["method"].as_str()?;
        if method == "DELETE" || method == "POST" {
            return None;
        }
        let headers = request["headers"].as_object()?;
        let headers = headers
            .iter()
            .filter(|(name, _)| {
                !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("connection")
            })
            .map(|(name, value)| (name.clone(), with(value.as_str().unwrap_or_default())));
        Some((
            method.to_owned(),
            with(request["target"].as_str()?),
            headers.collect(),
        ))
    });
    asked.collect()
}

/// Sends a request, reads the beginning of its answer and hangs up.
async fn knock(address: std::net::SocketAddr, (method, target, headers): &Asked) {
    let target = target.replace("jellyfin:8096", &address.to_string());
    let Ok(mut stream) = open(address, method, &target, headers, None).await else {
        return;
    };
    let mut some = [0; 512];
    let _cut = timeout(Duration::from_secs(2), stream.read(&mut some)).await;
}

#[tokio::test]
async fn no_spelling_of_an_address_gets_round_a_full_gpu() {
    both(async |version| {
        let house = full(version).await;
        let curl = Curl::login(&house, "ben", "shell").await;
        let routes = routes(version, &curl.device.token);
        let mut ways = Vec::new();
        for route in &routes {
            knock(house.address(), route).await;
            if encodes(house.sim()) > 1 {
                ways.push(route.1.clone());
                house.sim().advance(Duration::from_secs(70));
            }
        }
        assert_eq!(ways, Vec::<String>::new(), "ways round the gate");
        assert!(routes.len() > 40, "{}", routes.len());
        assert!(
            house.refused_for("gpu-full") + house.refused_for("gpu-sessions") > 20,
            "{}",
            house.refused()
        );

        // Without Finweir the same requests start encodes: the test can fail.
        let mut started = 0;
        for route in &routes {
            let before = house.sim().started();
            knock(house.sim().address(), route).await;
            started += usize::from(house.sim().started() > before);
        }
        assert!(started > 20, "{started}");
    })
    .await;
}

/// A television that copies HDR: its master playlist offers variants that encode.
async fn copies_hdr(house: &House, user: &str, id: &str) -> (AndroidTv, Play) {
    let tv = AndroidTv::login(house, user, id).await;
    let records = recorded(house.version, "negotiation");
    let asked = records
        .iter()
        .find(|record| record["name"] == "remux / Hdr")
        .unwrap();
    let mut body: Value = serde_json::from_str(asked["request"]["body"].as_str().unwrap()).unwrap();
    body["UserId"] = json!(tv.device.user_id);
    let answer = tv.device.playback_info(items::HDR, "", &body).await.json();
    let mut play = Play::transcoded(items::HDR, &answer, &answer["MediaSources"][0]).unwrap();
    tv.device.playlists(&mut play).await.unwrap();
    (tv, play)
}

#[tokio::test]
async fn a_copy_of_hdr_offers_no_variant_that_encodes() {
    both(async |version| {
        let house = full(version).await;
        let (_tv, play) = copies_hdr(&house, "ben", "tv").await;
        let straight = ask(house.sim().address(), "GET", &play.url, &[], None)
            .await
            .unwrap();
        let offered = straight.text().matches("#EXT-X-STREAM-INF").count();
        assert!(offered > 1, "Jellyfin offers only {offered}");
        assert_eq!(play.hls.variants.len(), 1);
        assert_eq!(encodes(house.sim()), 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_copies_cannot_switch_to_an_encode() {
    both(async |version| {
        let house = full(version).await;
        let (tv, play) = copies_hdr(&house, "ben", "tv").await;
        for url in play.hls.init.iter().chain(&play.hls.segments[..2]) {
            assert_eq!(tv.device.fetch(url).await.status, 200);
        }
        assert_eq!((encodes(house.sim()), house.refused()), (1, 0));
        let segment = &play.hls.segments[2];
        let edits = [
            edited(segment, "VideoCodec", "h264"),
            edited(
                &edited(segment, "VideoCodec", "h264"),
                "VideoBitrate",
                "400000",
            ),
            format!(
                "{}&AllowVideoStreamCopy=false",
                without(segment, "AllowVideoStreamCopy")
            ),
        ];
        for url in &edits {
            let answer = tv.device.fetch(url).await;
            assert_eq!(answer.status, 429, "{url}");
            assert_eq!(encodes(house.sim()), 1);
        }
        // The copy itself plays on.
        assert_eq!(tv.device.fetch(segment).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn what_was_let_in_as_sound_is_no_pass_for_the_picture() {
    both(async |version| {
        let house = full(version).await;
        let (tv, play) = copies_hdr(&house, "ben", "tv").await;
        let picture = edited(&play.hls.segments[2], "VideoCodec", "h264");
        let sound = picture.replacen("/videos/", "/audio/", 1);
        assert_ne!(sound, picture);
        // The same query encodes nothing under the audio controller.
        tv.device.fetch(&sound).await;
        assert_eq!((encodes(house.sim()), house.refused()), (1, 0));
        assert_eq!(tv.device.fetch(&picture).await.status, 429);
        assert_eq!(encodes(house.sim()), 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_is_no_pass_for_another_film() {
    both(async |version| {
        let house = Setting::of(version)
            .set("gpus", "[{name: igpu, capacity: 3, max_sessions: 1}]")
            .start()
            .await;
        let web = Web::login(&house, "anna", "laptop").await;
        let play = web.play(items::LONG).await.playing();
        let other = Curl::login(&house, "anna", "shell").await;
        let url = format!(
            "{}&PlaySessionId={}",
            other.encoding(items::HEVC8),
            play.session
        );
        assert_eq!(other.device.fetch(&url).await.status, 429);
        assert_eq!((encodes(house.sim()), house.held()), (1, 1));
        web.seek(&play, 1).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_login_a_file_may_be_had_and_an_encode_may_not() {
    both(async |version| {
        let house = House::of(version).await;
        let anyone = Web::login(&house, "anna", "laptop").await.device;
        let encode = format!(
            "/Videos/{0}/stream.ts?MediaSourceId={0}&VideoCodec=h264&VideoBitrate=400000",
            items::HEAVY
        );
        let answer = anyone.fetch(&encode).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["reason"], "anonymous");
        let file = format!(
            "/Videos/{0}/stream?static=true&MediaSourceId={0}",
            items::HEAVY
        );
        anyone.file(&file).await.unwrap();
        assert_eq!(
            (house.sim().started(), house.refused_for("anonymous")),
            (0, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_not_waved_through() {
    both(async |version| {
        let house = full(version).await;
        let curl = Curl::login(&house, "ben", "shell").await;
        let plain = curl.encoding(items::HEVC8);
        for target in [
            plain.replace("/Videos/", "/Videos/%zz/"),
            plain.replace("stream.ts", "stream%00.ts"),
        ] {
            let answer = curl.device.fetch(&target).await;
            assert!(answer.status >= 400, "{target}: {}", answer.status);
        }
        assert_eq!(encodes(house.sim()), 1);
    })
    .await;
}

#[tokio::test]
async fn a_question_too_long_to_read_is_decided_at_the_stream() {
    both(async |version| {
        let house = full(version).await;
        let web = Web::login(&house, "ben", "laptop").await;
        let mut body = web.body(items::HEVC8, Duration::ZERO);
        body["Padding"] = json!("x".repeat(3 << 19));
        let answer = web.device.playback_info(items::HEVC8, "", &body).await;
        assert_eq!((answer.status, house.refused()), (200, 0));
        let answer = answer.json();
        let mut play = Play::transcoded(items::HEVC8, &answer, &answer["MediaSources"][0]).unwrap();
        assert_eq!(web.begin(&mut play, Duration::ZERO).await, Err(429));
        assert_eq!((encodes(house.sim()), house.refused()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_question_that_was_read_by_get_is_decided_at_the_stream() {
    both(async |version| {
        let house = full(version).await;
        // mpv-shim and Kodi ask again by GET when a POST took too long.
        let web = Web::login(&house, "ben", "laptop").await;
        let target = format!("/Items/{}/PlaybackInfo", items::HEVC8);
        assert_eq!(web.device.send("GET", &target, None).await.status, 200);
        let url = format!(
            "/videos/{0}/main.m3u8?DeviceId=laptop&MediaSourceId={0}&VideoCodec=h264&AudioCodec=aac&VideoBitrate=1000000&PlaySessionId=made-up&ApiKey={1}",
            items::HEVC8,
            web.device.token
        );
        // A media playlist starts nothing.
        assert_eq!(web.device.fetch(&url).await.status, 200);
        let master = url.replace("main.m3u8", "master.m3u8");
        assert_eq!(web.device.fetch(&master).await.status, 429);
        for name in ["hls1/main/0.ts", "hls1/main/7.ts", "hls1/main/-1.mp4"] {
            let segment = url.replace("main.m3u8", name) + "&runtimeTicks=0&actualSegmentLengthTicks=30000000";
            assert_eq!(web.device.fetch(&segment).await.status, 429, "{name}");
        }
        assert_eq!(encodes(house.sim()), 1);
    })
    .await;
}

fn edited(url: &str, key: &str, value: &str) -> String {
    format!("{}&{key}={value}", without(url, key))
}

fn without(url: &str, key: &str) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.split('=').next().unwrap().eq_ignore_ascii_case(key))
        .collect();
    format!("{path}?{}", kept.join("&"))
}
