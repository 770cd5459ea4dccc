//! Charges the bytes of media to whoever was sent them, when a response has ended, where a quota asks for it.

use super::Proxy;
use crate::{
    admission::{Kind, QuotaView, Reason, Who},
    demand,
    hop::{Done, Forward, Peer, Verdict},
    ident::{PlaySessionId, UserId},
    jellyfin::Credentials,
};

/// Who is charged.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    /// The user of the token, if there is one.
    pub(super) user: UserId,
    /// Whose lease it is, where nobody is known by a token.
    pub(super) session: Option<PlaySessionId>,
}

impl Proxy {
    /// What is used up, if that is why somebody is refused.
    pub(super) fn used_up(&self, reason: Reason, who: &Who, kind: &Kind) -> Option<QuotaView> {
        (reason == Reason::Quota)
            .then(|| self.gate.used_up(who, kind))
            .flatten()
    }

    /// Whether anybody is held to a number of bytes.
    pub(super) fn counts_bytes(&self) -> bool {
        self.current.load().settings.counts_bytes
    }

    /// The same, with its bytes charged at the end.
    pub(super) fn charged(&self, forward: Forward, payer: impl FnOnce() -> Payer) -> Forward {
        if !self.counts_bytes() {
            return forward;
        }
        let payer = payer();
        let gate = self.gate.clone();
        let before = forward.on_done;
        let charge = move |done: &Done| {
            let Payer { user, session } = &payer;
            let of_session = session.as_ref().filter(|_| *user == UserId::anonymous());
            if !of_session.is_some_and(|session| gate.spend_session_bytes(session, done.bytes)) {
                gate.spend_bytes(user, done.bytes);
            }
            if let Some(before) = before {
                before(done);
            }
        };
        Forward {
            on_done: Some(Box::new(charge)),
            ..forward
        }
    }
}

impl Proxy {
    /// A file to be kept passes, and is charged to whoever's token asks for it.
    pub(super) async fn download(&self, claims: &Credentials, peer: &Peer) -> Verdict {
        let verified = self.verify(claims).await;
        let user = demand::who(verified.as_ref(), claims, None, None).user;
        let forward = self.forward_file(peer, None, true);
        let session = None;
        Verdict::Forward(self.charged(forward, || Payer { user, session }))
    }
}

impl Payer {
    /// Whoever holds the lease of this session.
    pub(super) fn of_session(session: Option<PlaySessionId>) -> Self {
        Self {
            user: UserId::anonymous(),
            session,
        }
    }
}
