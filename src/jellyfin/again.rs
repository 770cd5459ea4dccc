//! A PlaybackInfo asked for again, with something changed: mostly the ceiling of the bitrate.
//!
//! A ceiling may stand in three places: the query wins over the body, and the body over its profile.
//! It is set in all of them. The rest of the request keeps its value and its place, but for `AutoOpenLiveStream`: no
//! tuner is opened a second time.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{PlaybackRequest, Query, rewrite::set_query_value};

/// What is changed in a request that is made again. What is left out stays as the client wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// `MaxStreamingBitrate`, bit/s.
    pub ceiling: Option<u64>,
    /// `EnableDirectPlay`.
    pub direct_play: Option<bool>,
    /// `AlwaysBurnInSubtitleWhenTranscoding`; stands in the body only.
    pub burn_in: Option<bool>,
}

/// A target and a body to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Again {
    /// Path and query.
    pub target: String,
    /// The body.
    pub body: Bytes,
}

// Both may hold a token.
impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

impl PlaybackRequest {
    /// The same request with this change. `None`: it is written in a way that can't be edited.
    pub fn again(&self, target: &str, change: &Change) -> Option<Again> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let read = Query::parse(query);
        if read.is_nested() {
            return None;
        }
        // A request without a body has a profile that only the server knows.
        let mut body = self.body.clone()?;
        let members = body.as_object_mut()?;
        let mut target = target.to_owned();
        if let Some(ceiling) = change.ceiling {
            let number = json!(ceiling);
            put(members, "MaxStreamingBitrate", &number);
            for (name, profile) in members.iter_mut() {
                if name.eq_ignore_ascii_case("DeviceProfile")
                    && let Some(profile) = profile.as_object_mut()
                {
                    put(profile, "MaxStreamingBitrate", &number);
                }
            }
            target = set_query_value(&target, "maxStreamingBitrate", &ceiling.to_string());
        }
        if let Some(direct_play) = change.direct_play {
            put(members, "EnableDirectPlay", &json!(direct_play));
            if read.get("EnableDirectPlay").is_some() {
                target = set_query_value(&target, "enableDirectPlay", &direct_play.to_string());
            }
        }
        if let Some(burn_in) = change.burn_in {
            put(
                members,
                "AlwaysBurnInSubtitleWhenTranscoding",
                &json!(burn_in),
            );
        }
        put(members, "AutoOpenLiveStream", &json!(false));
        if read.get("AutoOpenLiveStream").is_some() {
            target = set_query_value(&target, "autoOpenLiveStream", "false");
        }
        let body = serde_json::to_vec(&body).ok()?;
        Some(Again {
            target,
            body: Bytes::from(body),
        })
    }
}

/// Sets a member of what a client sent, whatever letter case it is written in, as often as it is there.
fn put(members: &mut Map<String, Value>, name: &str, value: &Value) {
    let mut there = false;
    for (key, old) in members.iter_mut() {
        if key.eq_ignore_ascii_case(name) {
            *old = value.clone();
            there = true;
        }
    }
    if !there {
        members.insert(name.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(target: &str, body: &str) -> Option<(String, String)> {
        again_with(
            target,
            body,
            &Change {
                ceiling: Some(9),
                ..Change::default()
            },
        )
    }

    fn again_with(target: &str, body: &str, change: &Change) -> Option<(String, String)> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let asked = PlaybackRequest::read(&Query::parse(query), body.as_bytes());
        let again = asked.again(target, change)?;
        Some((
            again.target,
            String::from_utf8(again.body.to_vec()).unwrap(),
        ))
    }

    #[test]
    fn the_ceiling_is_set_wherever_it_may_stand() {
        let (target, body) = again(
            "/Items/a/PlaybackInfo?UserId=u&MAXSTREAMINGBITRATE=3&AutoOpenLiveStream=true",
            r#"{"userid":"u","maxStreamingBitrate":3,"DeviceProfile":{"Name":"x","MaxStreamingBitrate":5},"autoOpenLiveStream":true,"x":[1]}"#,
        )
        .unwrap();
        assert_eq!(
            target,
            "/Items/a/PlaybackInfo?UserId=u&MAXSTREAMINGBITRATE=9&AutoOpenLiveStream=false"
        );
        assert_eq!(
            body,
            r#"{"userid":"u","maxStreamingBitrate":9,"DeviceProfile":{"Name":"x","MaxStreamingBitrate":9},"autoOpenLiveStream":false,"x":[1]}"#
        );
    }

    #[test]
    fn only_what_is_changed_is_written() {
        let change = Change {
            direct_play: Some(false),
            burn_in: Some(false),
            ..Change::default()
        };
        let (target, body) = again_with(
            "/Items/a/PlaybackInfo?EnableDirectPlay=true&x=1",
            r#"{"alwaysBurnInSubtitleWhenTranscoding":true,"MaxStreamingBitrate":3}"#,
            &change,
        )
        .unwrap();
        assert_eq!(target, "/Items/a/PlaybackInfo?EnableDirectPlay=false&x=1");
        assert_eq!(
            body,
            r#"{"alwaysBurnInSubtitleWhenTranscoding":false,"MaxStreamingBitrate":3,"EnableDirectPlay":false,"AutoOpenLiveStream":false}"#
        );
    }

    #[test]
    fn what_is_missing_is_added_at_the_end() {
        let (target, body) = again("/Items/a/PlaybackInfo", r#"{"DeviceProfile":{}}"#).unwrap();
        assert_eq!(target, "/Items/a/PlaybackInfo?maxStreamingBitrate=9");
        assert_eq!(
            body,
            r#"{"DeviceProfile":{"MaxStreamingBitrate":9},"MaxStreamingBitrate":9,"AutoOpenLiveStream":false}"#
        );
    }

    #[test]
    fn what_can_not_be_edited_is_not_asked_again() {
        assert_eq!(again("/Items/a/PlaybackInfo?UserId=u", ""), None);
        assert_eq!(again("/Items/a/PlaybackInfo?UserId=u", "[1]"), None);
        assert_eq!(again("/Items/a/PlaybackInfo?userId%3Du", "{}"), None);
    }
}
