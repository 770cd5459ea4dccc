use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn video(text: &str) -> StreamQuery {
    StreamQuery::read(&Query::parse(text), Media::Video)
}

#[test]
fn the_first_value_counts_and_names_bind_in_any_letter_case() {
    let read = video("VIDEOCODEC=H264,hevc&videocodec=copy&maxwidth=1280&MaxWidth=640&STATIC=True");
    assert_eq!(read.video_codecs, ["h264", "hevc"]);
    assert_eq!(read.max_width, Some(1280));
    assert!(read.is_static);
}

#[test]
fn options_keep_their_letter_case_and_begin_in_lower_case() {
    let read = video("h264-level=41&H264-Level=30&Hevc-level=120&profile=main&h264-profile=high");
    assert_eq!(read.option("h264", "level"), Some("41,30"));
    assert_eq!(read.option("hevc", "level"), None);
    assert_eq!(read.option("h264", "profile"), Some("high"));
    assert_eq!(read.option("av1", "profile"), Some("main"));
}

#[test]
fn a_token_is_not_among_the_options() {
    let read = video("api_key=secret&apikey=secret&h264-level=41");
    assert!(!format!("{read:?}").contains("secret"));
}

#[test]
fn params_override_what_is_named_but_not_static() {
    let read = video(
        "Static=false&VideoCodec=copy&VideoBitrate=9&params=;dev;;true;h264;aac;1;2;300000;;;24;640;360;;;;;;;sess",
    );
    assert!(!read.is_static);
    assert_eq!(read.video_codecs, ["h264"]);
    assert_eq!(read.video_bitrate, Some(300_000));
    assert_eq!((read.max_width, read.max_height), (Some(640), Some(360)));
    assert_eq!(read.max_millifps, Some(24_000));
    assert_eq!(read.subtitle, Some(2));
    assert_eq!(read.session, Some("sess".into()));
    assert_eq!(read.device, Some("dev".into()));
}

#[test]
fn params_of_an_audio_request_leave_video_alone() {
    let query = Query::parse("VideoCodec=h264&params=;;;;hevc;mp3");
    let read = StreamQuery::read(&query, Media::Audio);
    assert_eq!(read.video_codecs, ["h264"]);
    assert_eq!(read.audio_codecs, ["mp3"]);
}

#[test]
fn a_number_that_is_refused_is_absent_and_a_negative_one_is_nothing() {
    let read = video("VideoBitrate=-5&MaxWidth=99999999999&MaxHeight=x&Width=0x10&Height=90");
    assert_eq!(read.video_bitrate, Some(0));
    assert_eq!(read.max_width, Some(16));
    assert_eq!(read.max_height, Some(90));
    assert_eq!(video("MaxWidth=640&Width=320").max_width, Some(640));
}

#[test]
fn a_segment_tells_where_it_stands() {
    let read = video("runtimeTicks=60000000&actualSegmentLengthTicks=30030000&SegmentLength=3");
    assert_eq!(read.segment_start, Some(Duration::from_secs(6)));
    assert_eq!(read.segment_ticks, Some(30_030_000));
    assert_eq!(read.segment_length, Some(3));
}

#[test]
fn methods_are_names_or_numbers_and_anything_else_is_none() {
    let methods = ["Encode", "0", "hls", "9", "Burn"]
        .map(|m| video(&format!("SubtitleMethod={m}")).subtitle_method);
    let read: Vec<_> = methods.iter().map(Option::as_deref).collect();
    assert_eq!(
        read,
        [Some("encode"), Some("encode"), Some("hls"), None, None]
    );
}

proptest! {
    #[test]
    fn reading_a_query_never_panics(text in "\\PC{0,200}", list in "[;a-z0-9,.-]{0,120}") {
        let _ = video(&text);
        let _ = video(&format!("params={list}"));
        let _ = StreamQuery::read(&Query::parse(&text), Media::Audio);
    }
}
