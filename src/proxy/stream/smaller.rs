//! A master playlist of a smaller picture.
//!
//! Kodi takes the TranscodingUrl apart and writes its own bitrate and size into it, and some clients make the address
//! by themselves: what they are told by PlaybackInfo is lost on them. But every one of them asks for `master.m3u8`, and
//! Jellyfin makes the playlist of what the query says, under the PlaySessionId that stands in it (captures `flows`,
//! `sharing`: the addresses it lists repeat the query). So Jellyfin is asked for the playlist with the values of the
//! smaller picture in place of the client's, and all that the client reads from then on is that picture.

use std::sync::Arc;

use http::Request;

use super::{Proxy, playlist};
use crate::{
    admission::{Bitrate, Kind, Rung, Seats},
    demand,
    hop::Verdict,
    ident::PlaySessionId,
    jellyfin::{self, Source, Step, UserPolicy},
};

/// The smaller forms of a playlist's picture, dearest first.
#[derive(Debug, Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    pub(super) rungs: Vec<Rung>,
}

/// The smaller forms in which this playlist could be asked for. `slim`: the line out of the house is short.
pub(super) fn steps(
    proxy: &Proxy,
    source: &Source,
    target: &str,
    (whole, rate): (&Kind, Bitrate),
    slim: bool,
    user: UserPolicy,
) -> Steps {
    if !whole.is_video() {
        return Steps::default();
    }
    let source = Source {
        transcoding_url: Some(target.to_owned()),
        ..source.clone()
    };
    let all = jellyfin::steps(&source, &proxy.node.encoding.load(), user);
    let (steps, rungs) = demand::rungs(all, (price(proxy, whole), rate), slim, |kind| {
        price(proxy, kind)
    });
    Steps { steps, rungs }
}

fn price(proxy: &Proxy, kind: &Kind) -> Seats {
    demand::price(&proxy.gate.policy(), &proxy.node.id, kind)
}

/// Answers with Jellyfin's playlist of a smaller picture.
pub(super) async fn master(proxy: &Arc<Proxy>, step: &Step, request: Request<()>) -> Verdict {
    let (mut parts, ()) = request.into_parts();
    match step.url.parse() {
        Ok(target) => parts.uri = target,
        Err(error) => {
            tracing::error!(node = %proxy.node.id, %error, "an edited address can't be read; the playlist passes as it is asked for");
        }
    }
    playlist(proxy, Request::from_parts(parts, ()), |_| None).await
}

// === impl Steps ===

impl Steps {
    /// The form with this place in the rungs.
    pub(super) fn nth(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }

    /// The dearest form that the lease of a session covers which was stepped down to less than this. `None`: it was not, or
    /// no form is small enough, and what the playlist lists is judged by itself.
    pub(super) fn under(
        &self,
        proxy: &Proxy,
        session: &PlaySessionId,
        whole: &Kind,
    ) -> Option<&Step> {
        let covered = proxy.gate.stepped_to(session)?;
        if price(proxy, whole) <= covered {
            return None;
        }
        let fits = |rung: &&Rung| price(proxy, &rung.kind) <= covered;
        self.nth(self.rungs.iter().find(fits)?.index)
    }
}
