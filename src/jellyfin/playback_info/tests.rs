use proptest::prelude::*;
use serde_json::json;

use super::*;

fn request(query: &str, body: &Value) -> PlaybackRequest {
    PlaybackRequest::read(&Query::parse(query), body.to_string().as_bytes())
}

#[test]
fn the_query_wins_over_the_body() {
    let read = request(
        "enabledirectplay=false&MaxStreamingBitrate=1000000&userId=",
        &json!({"EnableDirectPlay": true, "MaxStreamingBitrate": 9_000_000, "UserId": "b2eb2f9c-c27c-4ddd-800c-955f0ac93d6f"}),
    );
    assert!(!read.direct_play);
    assert_eq!(read.max_bitrate, Some(1_000_000));
    assert_eq!(read.user, Some("b2eb2f9cc27c4ddd800c955f0ac93d6f".into()));
}

#[test]
fn body_members_bind_in_any_letter_case_and_numbers_may_be_text() {
    let read = request(
        "",
        &json!({"enabledirectstream": "False", "MAXSTREAMINGBITRATE": "3000000", "subtitleStreamIndex": "-1",
            "AudioStreamIndex": 1, "autoOpenLiveStream": true}),
    );
    assert!(!read.direct_stream && read.direct_play && read.opens_live_stream);
    assert_eq!(read.max_bitrate, Some(3_000_000));
    assert_eq!((read.audio, read.subtitle), (Some(1), Some(-1)));
}

#[test]
fn a_profile_without_a_ceiling_has_eight_megabits() {
    let ceiling = |body: &Value| request("", body).max_bitrate;
    assert_eq!(ceiling(&json!({"DeviceProfile": {}})), Some(8_000_000));
    assert_eq!(
        ceiling(&json!({"DeviceProfile": {"MaxStreamingBitrate": null}})),
        None
    );
    assert_eq!(
        ceiling(&json!({"deviceProfile": {"maxStreamingBitrate": 5}})),
        Some(5)
    );
    assert_eq!(ceiling(&json!({})), None);
}

#[test]
fn rokus_request_is_in_its_query() {
    let read = request(
        "UserId=u&StartTimeTicks=0&IsPlayback=true&AutoOpenLiveStream=true&MaxStreamingBitrate=140000000&EnableDirectPlay=false&MediaSourceId=abc&AudioStreamIndex=2",
        &json!({"DeviceProfile": {"Name": "Roku"}}),
    );
    assert!(read.is_playback && read.opens_live_stream && !read.direct_play);
    assert_eq!(read.source, Some("abc".into()));
    assert_eq!(read.audio, Some(2));
}

#[test]
fn an_empty_or_broken_body_asks_for_nothing_special() {
    for body in [&b""[..], b"[]", b"{", b"\xff"] {
        let read = PlaybackRequest::read(&Query::parse(""), body);
        assert!(
            read.direct_play && read.direct_stream && read.allow_video_copy && read.is_playback
        );
        assert_eq!(read.body, None);
    }
}

#[test]
fn an_answer_that_is_not_one_is_an_error() {
    for raw in [
        "",
        "[]",
        "{}",
        r#"{"MediaSources": null}"#,
        "Error processing request.",
    ] {
        assert!(PlaybackAnswer::read(Bytes::from_static(raw.as_bytes())).is_err());
    }
}

#[test]
fn an_answer_that_is_not_edited_is_the_very_bytes() {
    let raw =
        Bytes::from_static(b"{ \"mediaSources\" : [ {\"id\":\"a\"} ],\"playSessionId\":\"S1\" }\n");
    let answer = PlaybackAnswer::read(raw.clone()).unwrap();
    assert_eq!(answer.print(), raw);
    assert_eq!(answer.session(), Some("s1".into()));
    assert_eq!(answer.sources().len(), 1);
}

#[test]
fn neither_request_nor_answer_prints_what_is_secret() {
    let body = json!({"DeviceProfile": {"Name": "secret"}});
    let raw = json!({"MediaSources": [{"Path": "/secret", "Name": "secret", "TranscodingUrl": "?ApiKey=secret"}]});
    let answer = PlaybackAnswer::read(Bytes::from(raw.to_string())).unwrap();
    assert!(!format!("{:?} {answer:?}", request("", &body)).contains("secret"));
}

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("MediaSources".to_owned()),
            Just("mediaSources".to_owned()),
            Just("TranscodingUrl".to_owned()),
            Just("MediaStreams".to_owned()),
            "[A-Za-z]{1,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), query in "\\PC{0,60}") {
        let _ = PlaybackRequest::read(&Query::parse(&query), &bytes);
        if let Ok(answer) = PlaybackAnswer::read(Bytes::from(bytes.clone())) {
            prop_assert_eq!(answer.print(), bytes);
        }
    }

    #[test]
    fn unknown_members_survive_every_edit(extra in any_json(), in_source in any_json(), error in any::<bool>()) {
        let value = json!({
            "Before": extra,
            "MediaSources": [{"Unknown": in_source, "SupportsDirectPlay": true, "TranscodingUrl": "/videos/x/master.m3u8"}],
            "PlaySessionId": "p", "After": extra,
        });
        let mut answer = PlaybackAnswer::read(Bytes::from(value.to_string())).unwrap();
        if error {
            answer.refuse_with_error_code();
        } else {
            answer.refuse_with_nothing_supported();
        }
        let printed: Value = serde_json::from_slice(&answer.print()).unwrap();
        prop_assert_eq!(&printed["Before"], &extra);
        prop_assert_eq!(&printed["After"], &extra);
        prop_assert_eq!(printed["PlaySessionId"].as_str(), Some("p"));
        if !error {
            prop_assert_eq!(&printed["MediaSources"][0]["Unknown"], &in_source);
        }
    }

    #[test]
    fn any_answer_is_edited_without_a_panic(value in any_json()) {
        let raw = Bytes::from(json!({"MediaSources": [value]}).to_string());
        let mut answer = PlaybackAnswer::read(raw).unwrap();
        answer.refuse_with_nothing_supported();
        answer.refuse_with_error_code();
        prop_assert!(answer.sources().is_empty());
    }
}
