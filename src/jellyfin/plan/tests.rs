use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A 1080p H.264 film of 6 Mbit/s with a text and a bitmap subtitle.
fn film() -> Value {
    json!({"Id": "a", "Container": "mkv", "Bitrate": 6_400_000, "MediaStreams": [
        {"Type": "Video", "Index": 0, "Codec": "h264", "Profile": "High", "Level": 41, "Width": 1920, "Height": 1080,
         "BitRate": 6_000_000, "BitDepth": 8, "RefFrames": 4, "ReferenceFrameRate": 23.976, "VideoRangeType": "SDR",
         "IsAVC": true},
        {"Type": "Audio", "Index": 1, "Codec": "ac3", "Channels": 6},
        {"Type": "Subtitle", "Index": 2, "Codec": "subrip", "IsTextSubtitleStream": true},
        {"Type": "Subtitle", "Index": 3, "Codec": "dvbsub"}]})
}

fn with(changes: &[(&str, Value)]) -> Source {
    let mut value = film();
    for (name, change) in changes {
        value["MediaStreams"][0][*name] = change.clone();
    }
    Source::read(&value)
}

fn hls(query: &str, source: Option<&Source>) -> Plan {
    let query = StreamQuery::read(&Query::parse(query), Media::Video);
    let (encoding, policy) = (Encoding::default(), UserPolicy::default());
    Plan::of_stream(&query, Media::Video, false, source, &encoding, policy)
}

fn progressive(query: &str, source: Option<&Source>) -> Plan {
    let query = StreamQuery::read(&Query::parse(query), Media::Video);
    let (encoding, policy) = (Encoding::default(), UserPolicy::default());
    Plan::of_stream(&query, Media::Video, true, source, &encoding, policy)
}

fn work(plan: Plan) -> VideoWork {
    match plan {
        Plan::Video(work) => work,
        Plan::Direct | Plan::Remux | Plan::Audio => panic!("no encode: {plan:?}"),
    }
}

#[test]
fn each_condition_of_a_copy_can_fail_alone() {
    let base = "VideoCodec=h264&VideoBitrate=7000000&MaxFramerate=24&MaxWidth=1920&MaxHeight=1080&h264-level=41&h264-profile=high&h264-rangetype=SDR&h264-videobitdepth=8&h264-maxrefframes=4&h264-deinterlace=true&RequireAvc=true&RequireNonAnamorphic=true&h264-rotation=0";
    assert_eq!(hls(base, Some(&with(&[]))), Plan::Remux);
    let broken: [(&str, Value); 14] = [
        ("Codec", json!("vc1")),
        ("BitRate", json!(7_000_001)),
        ("BitRate", json!(null)),
        ("ReferenceFrameRate", json!(24.06)),
        ("Width", json!(1921)),
        ("Height", json!(null)),
        ("Level", json!(42)),
        ("Profile", json!("High 10")),
        ("VideoRangeType", json!("Unknown")),
        ("BitDepth", json!(10)),
        ("RefFrames", json!(5)),
        ("IsInterlaced", json!(true)),
        ("IsAnamorphic", json!(true)),
        ("IsAVC", json!(false)),
    ];
    for (name, value) in broken {
        let plan = hls(base, Some(&with(&[(name, value.clone())])));
        assert!(matches!(plan, Plan::Video(_)), "{name}: {value} was copied");
    }
    let turned = with(&[("Rotation", json!(-90))]);
    assert!(matches!(hls(base, Some(&turned)), Plan::Video(_)));
    let forbidden = format!("{base}&allowVideoStreamCopy=FALSE");
    assert!(matches!(hls(&forbidden, Some(&with(&[]))), Plan::Video(_)));
}

#[test]
fn a_width_asked_for_is_a_limit_of_the_copy_too() {
    assert!(matches!(
        hls("VideoCodec=h264&Width=1280", Some(&with(&[]))),
        Plan::Video(_)
    ));
    assert_eq!(
        hls("VideoCodec=h264&Width=1280&MaxWidth=1920", Some(&with(&[]))),
        Plan::Remux
    );
}

#[test]
fn a_source_of_few_bits_may_become_more() {
    let bitrate = |own: u64| {
        let source = with(&[("BitRate", json!(own)), ("Codec", json!("vc1"))]);
        work(hls("VideoCodec=h264&VideoBitrate=100000000", Some(&source))).bitrate
    };
    // Twice or two and a half times the source, then once more what so few bits are scaled by.
    assert_eq!(bitrate(2_500_000), Some(5_000_000));
    assert_eq!(bitrate(2_000_000), Some(5_000_000));
    assert_eq!(bitrate(6_000_000), Some(6_000_000));
}

#[test]
fn a_profile_no_richer_than_the_first_asked_for_is_copied() {
    let simple = with(&[("Profile", json!("Constrained Baseline"))]);
    assert_eq!(
        hls("VideoCodec=h264&h264-profile=high,main", Some(&simple)),
        Plan::Remux
    );
    assert!(matches!(
        hls("VideoCodec=h264&h264-profile=main,high10", Some(&with(&[]))),
        Plan::Video(_)
    ));
}

#[test]
fn without_a_codec_or_with_copy_everything_is_a_remux() {
    let source = with(&[("Codec", json!("vc1"))]);
    for query in [
        "",
        "VideoCodec=",
        "VideoCodec=copy",
        "VideoCodec=hevc,copy",
        "VideoCodec=copy&allowVideoStreamCopy=false",
    ] {
        assert_eq!(hls(query, Some(&source)), Plan::Remux, "{query}");
        assert_eq!(hls(query, None), Plan::Remux, "{query}");
    }
}

#[test]
fn burn_in_is_the_default_of_progressive_streams_only() {
    let source = with(&[]);
    let query = "VideoCodec=h264&SubtitleStreamIndex=2";
    assert_eq!(hls(query, Some(&source)), Plan::Remux);
    assert!(work(progressive(query, Some(&source))).burn_in);
    assert_eq!(
        progressive("VideoCodec=h264&SubtitleStreamIndex=-1", Some(&source)),
        Plan::Remux
    );
    let dvb = "VideoCodec=h264&SubtitleStreamIndex=3&SubtitleMethod=Embed";
    assert!(work(hls(dvb, Some(&source))).burn_in);
}

#[test]
fn a_subtitle_that_is_not_there_forbids_the_copy_but_is_not_drawn() {
    let plan = hls(
        "VideoCodec=h264&SubtitleStreamIndex=9&SubtitleMethod=Encode",
        Some(&with(&[])),
    );
    assert!(!work(plan).burn_in);
}

#[test]
fn always_burn_in_burns_when_it_encodes_and_never_causes_it() {
    let query = "SubtitleStreamIndex=2&SubtitleMethod=Hls&AlwaysBurnInSubtitleWhenTranscoding=true";
    let source = with(&[]);
    assert_eq!(
        hls(&format!("VideoCodec=h264&{query}"), Some(&source)),
        Plan::Remux
    );
    assert!(work(hls(&format!("VideoCodec=av1&{query}"), Some(&source))).burn_in);
}

#[test]
fn codecs_that_the_server_does_not_encode_to_come_last() {
    let out = |query: &str, encoding: &Encoding| {
        let query = StreamQuery::read(&Query::parse(query), Media::Video);
        let source = with(&[("Codec", json!("vc1"))]);
        let policy = UserPolicy::default();
        work(Plan::of_stream(
            &query,
            Media::Video,
            false,
            Some(&source),
            encoding,
            policy,
        ))
        .codec_out
    };
    let plain = Encoding::default();
    let hevc = Encoding {
        hevc: true,
        ..Encoding::default()
    };
    assert_eq!(out("VideoCodec=hevc,h264", &plain), "h264");
    assert_eq!(out("VideoCodec=h265,h264", &hevc), "hevc");
    assert_eq!(out("VideoCodec=av1,hevc", &plain), "av1");
}

#[test]
fn a_user_who_may_not_encode_gets_a_copy() {
    let query = StreamQuery::read(
        &Query::parse("VideoCodec=hevc&VideoBitrate=1"),
        Media::Video,
    );
    let policy = UserPolicy::read(&json!({"EnableVideoPlaybackTranscoding": false}));
    let plan = Plan::of_stream(
        &query,
        Media::Video,
        true,
        Some(&with(&[])),
        &Encoding::default(),
        policy,
    );
    assert_eq!(plan, Plan::Remux);
}

#[test]
fn dolby_vision_goes_by_its_fallback_and_by_the_servers_version() {
    let copied = |range: &str, asked: &str, version| {
        let source = with(&[("VideoRangeType", json!(range)), ("Codec", json!("hevc"))]);
        let text = format!("VideoCodec=hevc&hevc-rangetype={asked}");
        let query = StreamQuery::read(&Query::parse(&text), Media::Video);
        let encoding = Encoding {
            version,
            strips_dynamic_hdr: false,
            ..Encoding::default()
        };
        let policy = UserPolicy::default();
        Plan::of_stream(
            &query,
            Media::Video,
            false,
            Some(&source),
            &encoding,
            policy,
        ) == Plan::Remux
    };
    assert!(!copied("DOVIWithHDR10", "SDR,HDR10", (10, 8)));
    assert!(copied("DOVIWithHDR10", "SDR,HDR10", (10, 10)));
    assert!(copied("DOVIWithSDR", "SDR,HLG", (10, 11)));
    assert!(!copied("DOVIWithSDR", "SDR", (10, 11)));
    assert!(copied("HDR10Plus", "SDR,HDR10", (10, 11)));
    assert!(!copied("HDR10Plus", "SDR,HDR10", (10, 10)));
    assert!(!copied("DOVI", "SDR,HDR10", (12, 0)));
    assert!(!copied("HDR10", "SDR", (12, 0)));
    assert!(!copied("DOVIWithEL", "SDR,HDR10", (12, 0)));
    assert!(copied("DOVIWithEL", "SDR,DOVI", (12, 0)));
}

#[test]
fn a_low_bitrate_shrinks_the_picture_and_voids_the_height() {
    let source = with(&[]);
    let out = |query: &str| {
        work(hls(
            &format!("VideoCodec=h264&allowVideoStreamCopy=false&{query}"),
            Some(&source),
        ))
        .size_out
    };
    assert_eq!(
        out("VideoBitrate=300000&MaxFramerate=23.976&MaxWidth=1920"),
        (960, 540)
    );
    assert_eq!(out("VideoBitrate=400000&MaxHeight=144"), (960, 540));
    assert_eq!(out("VideoBitrate=1116000&MaxFramerate=23.976"), (1280, 720));
    assert_eq!(
        out("VideoBitrate=2808000&MaxFramerate=23.976"),
        (1920, 1080)
    );
    assert_eq!(out("MaxHeight=144"), (416, 234));
    assert_eq!(out("VideoBitrate=9000000&MaxHeight=720"), (1280, 720));
    assert_eq!(out("VideoBitrate=9000000"), (1920, 1080));
    assert_eq!(
        out("VideoBitrate=9000000&Width=4096&Height=2304"),
        (1920, 1080)
    );
    assert_eq!(out("VideoBitrate=9000000&Width=1280"), (1280, 720));
}

#[test]
fn frames_forced_upon_a_stream_are_counted() {
    let plan = hls(
        "VideoCodec=h264&allowVideoStreamCopy=false&Framerate=120",
        Some(&with(&[])),
    );
    assert_eq!(work(plan).millifps, Some(120_000));
    assert_eq!(
        work(hls("VideoCodec=h264&Framerate=5", None)).millifps,
        None
    );
}

#[test]
fn what_is_not_known_is_the_dearest_it_could_be() {
    let out = |query: &str| work(hls(query, None)).size_out;
    assert_eq!(
        out("VideoCodec=h264&VideoBitrate=400000&MaxHeight=144"),
        (960, 540)
    );
    assert_eq!(out("VideoCodec=h264&VideoBitrate=400000"), (3840, 2160));
    assert_eq!(out("VideoCodec=h264"), (416, 234));
    let query = StreamQuery::read(&Query::parse("VideoCodec=h264"), Media::Video);
    let plan = Plan::of_stream(
        &query,
        Media::Video,
        true,
        None,
        &Encoding::dearest(),
        UserPolicy::default(),
    );
    assert!(work(plan).tone_map);
}

#[test]
fn static_counts_on_progressive_routes_and_not_for_discs() {
    let mut disc = with(&[]);
    assert_eq!(
        progressive("Static=true&VideoCodec=hevc", Some(&disc)),
        Plan::Direct
    );
    assert_ne!(
        hls("Static=true&VideoCodec=hevc", Some(&disc)),
        Plan::Direct
    );
    disc.disc = true;
    assert_ne!(progressive("Static=true", Some(&disc)), Plan::Direct);
}

#[test]
fn an_answer_without_a_transcoding_url_runs_nothing() {
    let encoding = Encoding::default();
    let plan =
        |source: &Source| Plan::of_source(source, Media::Video, &encoding, UserPolicy::default());
    let mut source = with(&[]);
    assert_eq!(plan(&source), Plan::Direct);
    source.transcoding_url =
        Some("/videos/a/master.m3u8?VideoCodec=hevc&VideoBitrate=1000000".to_owned());
    assert!(matches!(plan(&source), Plan::Video(_)));
    source.transcoding_url = Some("/Audio/a/stream.mp3?AudioCodec=mp3".to_owned());
    assert_eq!(plan(&source), Plan::Audio);
    source.transcoding_url = Some("/videos/a/stream?DeviceId=x".to_owned());
    assert_eq!(plan(&source), Plan::Remux);
}

#[test]
fn settings_are_read_from_the_server() {
    let read = |value| Encoding::read(&value, (10, 11));
    assert!(read(json!({"EnableTonemapping": true})).tone_mapping);
    let vpp = json!({"EnableVppTonemapping": true, "HardwareAccelerationType": "qsv"});
    assert!(read(vpp).tone_mapping);
    let nothing = json!({"EnableVppTonemapping": true, "HardwareAccelerationType": "none", "AllowHevcEncoding": true});
    assert!(!read(nothing.clone()).tone_mapping && read(nothing).hevc);
}

proptest! {
    #[test]
    fn planning_never_panics(
        width in any::<u32>(), height in any::<u32>(), bitrate in any::<u64>(), fps in any::<f32>(),
        asked in any::<i32>(), rate in any::<f32>(), known in any::<bool>(), codec in "(h264|hevc|av1|x|copy)",
    ) {
        let source = with(&[("Width", json!(width)), ("Height", json!(height)), ("BitRate", json!(bitrate)),
            ("ReferenceFrameRate", json!(fps))]);
        let text = format!("VideoCodec={codec}&VideoBitrate={asked}&MaxWidth={asked}&Height={asked}&MaxFramerate={rate}");
        let _ = hls(&text, known.then_some(&source));
        let _ = progressive(&text, known.then_some(&source));
    }

    #[test]
    fn a_limit_is_never_exceeded_by_the_width(limit in 2_u32..5000, bitrate in 1_u64..100_000_000) {
        let text = format!("VideoCodec=vp8&MaxWidth={limit}&VideoBitrate={bitrate}");
        prop_assert!(work(hls(&text, Some(&with(&[])))).size_out.0 <= limit);
        prop_assert!(work(hls(&text, None)).size_out.0 <= limit);
    }

    #[test]
    fn the_unknown_is_never_cheaper_than_what_turns_out(
        width in 16_u32..3840, bitrate in 1_u64..60_000_000, asked in 0_u64..60_000_000, limit in 16_u32..4000,
    ) {
        let height = width * 9 / 16;
        let source = with(&[("Width", json!(width)), ("Height", json!(height)), ("BitRate", json!(bitrate)), ("Codec", json!("vc1"))]);
        let text = format!("VideoCodec=h264&VideoBitrate={asked}&MaxWidth={limit}");
        let (known, unknown) = (work(hls(&text, Some(&source))).size_out, work(hls(&text, None)).size_out);
        prop_assert!(u64::from(known.0) * u64::from(known.1) <= u64::from(unknown.0) * u64::from(unknown.1) + 8000);
    }
}
