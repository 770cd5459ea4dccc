//! Which stream addresses a session's lease is known to cover, so that a segment is judged once and then recognised.
//!
//! A PlaySessionId alone proves nothing: the same session may carry a URL that copies and one that encodes,
//! and anybody may edit a URL. The address without the two values that change with each segment
//! is judged once; after that its hash is enough.

use std::hash::{BuildHasher, RandomState};

use dashmap::DashMap;

use crate::{admission::Kind, ident::PlaySessionId, jellyfin::Media};

/// Sessions remembered; beyond it all are forgotten and judged again.
const SESSIONS: usize = 16_384;
/// Addresses remembered per session; a quality change makes a new session, so few are in use.
const ADDRESSES: usize = 8;

/// Addresses that were judged, by session.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    hasher: RandomState,
    judged: DashMap<PlaySessionId, Vec<(u64, Kind)>>,
}

impl Fingerprints {
    /// The hash of an address, without what changes from segment to segment. The same query encodes video under one
    /// controller and none under the other.
    pub(super) fn of(&self, media: Media, item: &str, query: &str) -> u64 {
        let video = media == Media::Video;
        self.hasher.hash_one((video, item, constant_part(query)))
    }

    /// What this address was judged to be.
    pub(super) fn judged(&self, session: &PlaySessionId, fingerprint: u64) -> Option<Kind> {
        self.judged
            .get(session)?
            .iter()
            .find(|(seen, _)| *seen == fingerprint)
            .map(|(_, kind)| *kind)
    }

    /// Notes what this address is.
    pub(super) fn learn(&self, session: &PlaySessionId, fingerprint: u64, kind: Kind) {
        if self.judged.len() >= SESSIONS {
            self.judged.clear();
        }
        let mut seen = self.judged.entry(session.clone()).or_default();
        seen.retain(|(old, _)| *old != fingerprint);
        if seen.len() >= ADDRESSES {
            seen.remove(0);
        }
        seen.push((fingerprint, kind));
    }

    /// Forgets a session: it was stopped.
    pub(super) fn forget(&self, session: &PlaySessionId) {
        self.judged.remove(session);
    }
}

/// Jellyfin writes `&runtimeTicks=N&actualSegmentLengthTicks=N` behind everything else. Only a tail of exactly
/// that form is cut off; anything else is part of the address.
fn constant_part(query: &str) -> &str {
    let Some((front, tail)) = query.split_once("&runtimeTicks=") else {
        return query;
    };
    let Some((start, length)) = tail.split_once("&actualSegmentLengthTicks=") else {
        return query;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if number(start) && number(length) {
        front
    } else {
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_that_jellyfin_writes_is_left_out() {
        assert_eq!(
            constant_part("a=1&runtimeTicks=0&actualSegmentLengthTicks=30"),
            "a=1"
        );
        let edited = "a=1&runtimeTicks=0&actualSegmentLengthTicks=30&VideoBitrate=1";
        assert_eq!(constant_part(edited), edited);
        let doubled = "a=1&runtimeTicks=0&b=2&actualSegmentLengthTicks=30";
        assert_eq!(constant_part(doubled), doubled);
    }

    #[test]
    fn an_edited_address_is_judged_again() {
        let prints = Fingerprints::default();
        let session = PlaySessionId::new("s");
        prints.learn(
            &session,
            prints.of(Media::Video, "item", "VideoCodec=copy"),
            Kind::Remux,
        );
        assert_eq!(
            prints.judged(&session, prints.of(Media::Video, "item", "VideoCodec=copy")),
            Some(Kind::Remux)
        );
        assert_eq!(
            prints.judged(&session, prints.of(Media::Video, "item", "VideoCodec=h264")),
            None
        );
        assert_eq!(
            prints.judged(
                &session,
                prints.of(Media::Video, "other", "VideoCodec=copy")
            ),
            None
        );
        assert_eq!(
            prints.judged(&session, prints.of(Media::Audio, "item", "VideoCodec=copy")),
            None
        );
    }
}
