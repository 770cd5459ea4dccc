use proptest::prelude::*;

use super::*;

const ID: &str = "dacff066de8493d578b5115be2d2abbb";

fn of(method: &str, target: &str) -> Result<Route, Unreadable> {
    classify(method, target, &Dialect::default()).map(|routed| routed.route)
}

fn starts(target: &str) -> Starts {
    classify("GET", target, &Dialect::default())
        .unwrap()
        .starts_ffmpeg()
}

fn id() -> ItemId {
    ItemId::new(ID)
}

fn stream(container: Option<&str>) -> Route {
    Route::Progressive {
        media: Media::Video,
        item: id(),
        container: container.map(str::to_owned),
        head: false,
    }
}

#[test]
fn a_stream_is_one_however_its_address_is_written() {
    for path in [
        format!("/Videos/{ID}/stream.mkv"),
        format!("/videos/{ID}/STREAM.MKV"),
        format!("/%56ideos/{ID}/str%65am%2Emkv"),
        format!("/Videos/{ID}/stream.mkv/"),
        format!("/x/../Videos/{ID}/./stream.mkv"),
        format!("/%2e%2E/./Videos/{ID}/stream.mkv"),
        format!("/emby/Videos/{ID}/stream.mkv"),
        format!("/MediaBrowser/Videos/{ID}/stream.mkv"),
        format!("/jellyfin/Videos/{ID}/stream.mkv"),
        format!("http://jellyfin:8096/Videos/{ID}/stream.mkv"),
        format!("/Videos/%20{ID}/stream.mkv"),
        format!("/Videos/%7B{ID}%7d/stream.mkv"),
        "/Videos/DACFF066-DE84-93D5-78B5-115BE2D2ABBB/stream.mkv".to_owned(),
    ] {
        assert_eq!(of("GET", &path), Ok(stream(Some("mkv"))), "{path}");
        assert_eq!(of("get", &path), Ok(stream(Some("mkv"))), "{path}");
    }
    assert_eq!(
        of("GET", &format!("/Videos/{ID}/stream?a=b")),
        Ok(stream(None))
    );
}

#[test]
fn a_download_is_one_however_its_address_is_written() {
    for path in [
        format!("/Items/{ID}/Download"),
        format!("/items/{ID}/DOWNLOAD?ApiKey=k"),
        format!("/emby/Items/{ID}/%46ile/"),
    ] {
        assert_eq!(
            of("GET", &path),
            Ok(Route::Download { item: id() }),
            "{path}"
        );
    }
    assert_eq!(
        of("POST", &format!("/Items/{ID}/Download")),
        Ok(Route::Other)
    );
    assert_eq!(starts(&format!("/Items/{ID}/Download")), Starts::No);
}

#[test]
fn what_the_server_does_not_know_is_other() {
    for path in [
        format!("/Videos//{ID}/stream.mkv"),
        format!("/Videos%2F{ID}/stream.mkv"),
        format!("/%2556ideos/{ID}/stream.mkv"),
        format!("/Videos\\{ID}\\stream.mkv"),
        format!("/Videos/{ID}/streams"),
        format!("/LiveTv/LiveStreamFiles/{ID}/stream.ts"),
        format!("/Videos/{ID}/{ID}/Subtitles/2/0/Stream.vtt"),
        "/web/index.html".to_owned(),
        "/Artists/Beyonc%C3%A9".to_owned(),
        "/%zz/x".to_owned(),
        "*".to_owned(),
        "host:443".to_owned(),
        String::new(),
    ] {
        assert_eq!(of("GET", &path), Ok(Route::Other), "{path}");
    }
    assert_eq!(
        of("POST", &format!("/Videos/{ID}/stream.mkv")),
        Ok(Route::Other)
    );
}

#[test]
fn what_two_readers_could_take_for_two_things_is_refused() {
    for path in [
        format!("/Videos/{ID}/stream.mkv#?static=true"),
        format!("/Videos/{ID}/stream#x"),
        format!("/Videos/{ID}/stream.mkv?a=b#c"),
        format!("/Videos/{ID}%/stream.mkv"),
        format!("/Videos/{ID}%00/stream.mkv"),
        format!("/Videos/{ID}/stream.mkv%ff"),
        format!("/Videos/{ID}/stream%c1%ad"),
        format!("/Video%C5%BF/{ID}/stream.mkv"),
        format!("/Vid\u{e9}os/x/Videos/{ID}/stream"),
        format!("/Videos/{ID}/stream.mkv?a=\u{7f}"),
        format!("http://h/Videos%2F{ID}/stream.mkv"),
        format!("http://h/Videos\\{ID}\\stream.mkv"),
        format!("http:\\\\h\\Videos\\{ID}\\stream.mkv"),
        format!("http://h/Videos/{ID}/stream.mkv#?static=true"),
        format!("x:/Videos/{ID}/stream.mkv"),
        format!("/Videos/{ID}/hls1/main/one.ts"),
        "/Videos/%7B0x1,0x2,0x3,%7B0x1%7D%7D/stream".to_owned(),
    ] {
        assert!(of("GET", &path).is_err(), "{path}");
    }
}

#[test]
fn only_static_true_beside_nothing_else_is_static() {
    let with = |query: &str| starts(&format!("/Videos/{ID}/stream.mkv{query}"));
    for query in [
        "?static=true",
        "?a=b&Static=TRUE",
        "?st%61tic=true",
        "?static=true&static=false",
        "?static%3Dtrue",
    ] {
        assert_eq!(with(query), Starts::Static, "{query}");
    }
    for query in [
        "",
        "?",
        "?static=false&static=true",
        "?static=",
        "?static=yes",
        "?static=true&params=a;b;false",
        "?a=b;static=true",
        "?Static%3Dtrue",
        "?%C5%BFtatic=false&static=true",
        "?static%3Dfalse%26static%3Dtrue",
        "?ApiKey%3Dx&static%3Dtrue",
    ] {
        assert_eq!(with(query), Starts::Yes, "{query}");
    }
}

#[test]
fn head_and_playlists_start_nothing() {
    for (method, path) in [
        ("HEAD", "stream.mkv"),
        ("HEAD", "master.m3u8"),
        ("GET", "master.m3u8"),
        ("GET", "main.m3u8"),
        ("HEAD", "hls1/main/0.ts"),
        ("GET", "hls/abc/abc0.ts"),
    ] {
        let target = format!("/Videos/{ID}/{path}");
        let routed = classify(method, &target, &Dialect::default()).unwrap();
        assert_eq!(routed.starts_ffmpeg(), Starts::No, "{method} {path}");
    }
    for path in ["live.m3u8", "hls1/main/-1.mp4", "hls1/x/7.ts?a=b"] {
        assert_eq!(starts(&format!("/Videos/{ID}/{path}")), Starts::Yes);
    }
    assert_eq!(starts(&format!("/Audio/{ID}/universal")), Starts::Yes);
}

#[test]
fn a_segment_says_which_and_a_live_one_whose() {
    for (file, index) in [
        ("-1.mp4", -1),
        ("007.ts", 7),
        ("%2012.ts", 12),
        ("0x1f.ts", 31),
    ] {
        assert_eq!(
            of("GET", &format!("/videos/{ID}/hls1/main/{file}")),
            Ok(Route::Segment {
                media: Media::Video,
                item: id(),
                index
            })
        );
    }
    assert_eq!(
        of("GET", &format!("/videos/{ID}/hls/Ab12/Ab120.ts")),
        Ok(Route::LiveSegment {
            item: id(),
            playlist: "Ab12".to_owned()
        })
    );
}

#[test]
fn reports_logins_and_stops_are_known_by_both_their_names() {
    use Report::{Ping, Progress, Start, Stopped};
    for (method, path, route) in [
        ("POST", "/Sessions/Playing", Route::Report(Start)),
        (
            "POST",
            "/sessions/playing/progress",
            Route::Report(Progress),
        ),
        ("POST", "/emby/Sessions/Playing/Ping", Route::Report(Ping)),
        ("POST", "/Sessions/Playing/Stopped", Route::Report(Stopped)),
        ("POST", "/Users/u/PlayingItems/i", Route::Report(Start)),
        ("POST", "/PlayingItems/i/Progress", Route::Report(Progress)),
        ("DELETE", "/PlayingItems/i", Route::Report(Stopped)),
        ("DELETE", "/Users/u/PlayingItems/i", Route::Report(Stopped)),
        ("DELETE", "/Videos/ActiveEncodings?a=b", Route::StopEncoding),
        ("POST", "/Users/AuthenticateByName", Route::Login),
        ("POST", "/Users/AuthenticateWithQuickConnect", Route::Login),
        ("POST", "/LiveStreams/Open", Route::OpenLiveStream),
        ("GET", "/Playback/BitrateTest?size=1", Route::BitrateTest),
        ("GET", "/socket?ApiKey=x", Route::Socket),
        ("GET", "/health", Route::Health),
        ("HEAD", "/health/", Route::Health),
        ("GET", "/a/health", Route::Other),
        ("GET", "/Sessions/Playing", Route::Other),
    ] {
        assert_eq!(of(method, path), Ok(route), "{method} {path}");
    }
    let based = Dialect {
        base_url: "/jf".to_owned(),
        ..Dialect::default()
    };
    let health = classify("GET", "/JF/health", &based).unwrap();
    assert_eq!(health.route, Route::Health);
}

#[test]
fn playback_info_is_told_apart_by_method() {
    for (method, post) in [("GET", false), ("POST", true)] {
        assert_eq!(
            of(method, &format!("/items/{ID}/playbackinfo?userId=u")),
            Ok(Route::PlaybackInfo { item: id(), post })
        );
    }
    let options = of("OPTIONS", &format!("/Items/{ID}/PlaybackInfo"));
    assert_eq!(options, Ok(Route::Other));
}

/// One way to write the same address differently.
#[derive(Clone, Debug)]
enum Twist {
    Case(prop::sample::Index),
    Encode(prop::sample::Index),
    Dots(prop::sample::Index, &'static str),
    Prefix(&'static str),
    TrailingSlash,
    Absolute,
    Repeat,
}

fn twist() -> impl Strategy<Value = Twist> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Twist::Case),
        at().prop_map(Twist::Encode),
        (
            at(),
            prop::sample::select(vec!["/.", "/x/..", "/%2e", "/y/%2E%2e"])
        )
            .prop_map(|(at, dots)| Twist::Dots(at, dots)),
        prop::sample::select(vec!["/emby", "/MediaBrowser", "/jellyfin", "/a/b"])
            .prop_map(Twist::Prefix),
        Just(Twist::TrailingSlash),
        Just(Twist::Absolute),
        Just(Twist::Repeat),
    ]
}

impl Twist {
    fn apply(&self, path: &str, query: &str) -> (String, String) {
        let mut path = path.to_owned();
        let mut query = query.to_owned();
        match self {
            Self::Case(at) => {
                let mut bytes = path.into_bytes();
                let at = at.index(bytes.len());
                // The digits of an escape may change their case, too.
                bytes[at] ^= if bytes[at].is_ascii_alphabetic() {
                    0x20
                } else {
                    0
                };
                path = String::from_utf8(bytes).unwrap();
            }
            Self::Encode(at) => {
                let bytes = path.as_bytes();
                let at = at.index(bytes.len());
                let byte = bytes[at];
                let escaped = bytes[..at].ends_with(b"%")
                    || at >= 2 && bytes[..at - 1].ends_with(b"%")
                    || byte == b'%';
                if byte != b'/' && !escaped {
                    path.replace_range(at..=at, &format!("%{byte:02x}"));
                }
            }
            Self::Dots(at, dots) => {
                let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
                path.insert_str(slashes[at.index(slashes.len())], dots);
            }
            Self::Prefix(prefix) => path.insert_str(0, prefix),
            Self::TrailingSlash if !path.ends_with('/') => path.push('/'),
            Self::TrailingSlash | Self::Absolute => {}
            Self::Repeat => query.push_str("&static=true&Static=true&videoCodec=copy"),
        }
        (path, query)
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(method in ".{0,8}", target in "\\PC{0,200}|(/|%|[0-9a-fA-F]|[ -~]|\\.){0,60}") {
        if let Ok(routed) = classify(&method, &target, &Dialect::default()) {
            routed.starts_ffmpeg();
        }
    }

    #[test]
    fn bytes_make_no_panic_either(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let target = String::from_utf8_lossy(&bytes);
        if let Ok(routed) = classify("GET", &target, &Dialect::default()) {
            routed.starts_ffmpeg();
        }
    }

    #[test]
    fn no_other_writing_of_an_address_gets_round_the_gate(
        name in prop::sample::select(vec![
            "Videos/ID/stream.mkv", "Videos/ID/stream", "Videos/ID/live.m3u8",
            "Videos/ID/hls1/main/0.ts", "Audio/ID/hls1/main/-1.mp4", "Audio/ID/universal", "Audio/ID/stream.mp3",
        ]),
        twists in prop::collection::vec(twist(), 0..6),
    ) {
        let mut path = format!("/{}", name.replace("ID", ID));
        let mut query = "static=false&videoCodec=h264".to_owned();
        for twist in &twists {
            (path, query) = twist.apply(&path, &query);
        }
        if twists.iter().any(|twist| matches!(twist, Twist::Absolute)) {
            path.insert_str(0, "http://jellyfin:8096");
        }
        let target = format!("{path}?{query}");
        if let Ok(routed) = classify("GET", &target, &Dialect::default()) {
            prop_assert_eq!(routed.starts_ffmpeg(), Starts::Yes, "{}", target);
        }
    }
}
