//! A PlaybackInfo asked for again, under another ceiling of the bitrate.
//!
//! The ceiling may stand in three places: the query wins over the body, and the body over its profile (clients 11.6).
//! It is set in all of them. The rest of the request keeps its value and its place, but for `AutoOpenLiveStream`: no
//! tuner is opened a second time.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{PlaybackRequest, Query, rewrite::set_query_value};

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
    /// The same request under this ceiling, bit/s. `None`: it is written in a way that can't be edited.
    pub fn again(&self, target: &str, ceiling: u64) -> Option<Again> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let read = Query::parse(query);
        if read.is_nested() {
            return None;
        }
        // A request without a body has a profile that only the server knows.
        let mut body = self.body.clone()?;
        let members = body.as_object_mut()?;
        let number = json!(ceiling);
        put(members, "MaxStreamingBitrate", &number);
        for (name, profile) in members.iter_mut() {
            if name.eq_ignore_ascii_case("DeviceProfile")
                && let Some(profile) = profile.as_object_mut()
            {
                put(profile, "MaxStreamingBitrate", &number);
            }
        }
        put(members, "AutoOpenLiveStream", &json!(false));
        let mut target = set_query_value(target, "maxStreamingBitrate", &ceiling.to_string());
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
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let asked = PlaybackRequest::read(&Query::parse(query), body.as_bytes());
        let again = asked.again(target, 9)?;
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
