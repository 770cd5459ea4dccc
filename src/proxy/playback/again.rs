//! Asks Jellyfin once more, with something changed.

use std::time::Duration;

use http::{Request, StatusCode, response};

use super::{Negotiation, Offer};
use crate::{
    hop::Exchanged,
    jellyfin::{Change, PlaybackAnswer},
    upstream::Verified,
};

/// Jellyfin has just answered the same question; if it takes this long now, the first answer must do.
const SECOND_ANSWER: Duration = Duration::from_secs(5);
/// With less patience left than this, nothing is asked.
const LEAST: Duration = Duration::from_millis(300);

impl Negotiation<'_> {
    /// What Jellyfin's answer to the same wish with this change comes to. `None`: it can't be asked, or did not answer.
    pub(super) async fn changed(
        &self,
        change: Change,
        verified: Option<&Verified>,
    ) -> Option<Offer> {
        let (head, mut answer) = self.again(&change).await?;
        self.order_versions(&mut answer, verified);
        let source = self.chosen(&answer)?;
        let offer = self.offer(head, answer, source, verified).await;
        Some(Offer { change, ..offer })
    }

    /// Jellyfin's answer to the same wish with this change. `None`: it can't be asked, or did not answer.
    ///
    /// Never for a live stream: a PlaybackInfo may open a tuner.
    pub(super) async fn again(&self, change: &Change) -> Option<(response::Parts, PlaybackAnswer)> {
        let proxy = self.proxy;
        let limit = self.patience().min(SECOND_ANSWER);
        if limit < LEAST {
            return None;
        }
        let target = self.head.uri.path_and_query()?.as_str();
        let again = self.asked.again(target, change)?;
        let mut head = self.head.clone();
        head.uri = again.target.parse().ok()?;
        let max_answer = proxy.current.load().settings.max_answer;
        let request = Request::from_parts(head, again.body);
        let exchange = proxy.exchange(request, max_answer);
        match tokio::time::timeout(limit, exchange).await.ok()? {
            Ok(Exchanged::Whole(response)) if response.status() == StatusCode::OK => {
                let (head, body) = response.into_parts();
                let answer = PlaybackAnswer::read(body).ok()?;
                proxy.media.learn(answer.sources());
                Some((head, answer))
            }
            Ok(Exchanged::Whole(_) | Exchanged::Long(_)) | Err(_) => None,
        }
    }
}
