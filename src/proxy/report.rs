//! Reports of players, and stops: passed on to Jellyfin, and noted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use super::{Proxy, refusal};
use crate::{
    admission::{Activity, Ended},
    hop::{Body, Exchanged},
    ident::{ItemId, PlaySessionId, UserId},
    jellyfin::{Query, Report},
    upstream::Verified,
};

/// Most bytes of Jellyfin's answer to a report: it is empty, or an error text.
const MAX_ANSWER: usize = 64 << 10;
/// Jellyfin's ticks are 100 ns.
const TICKS_PER_MICRO: u64 = 10;

/// What a report says.
#[derive(Debug, Default)]
struct Said {
    session: Option<PlaySessionId>,
    item: Option<ItemId>,
    paused: bool,
    position: Option<Duration>,
    /// The query names a device.
    device: bool,
}

/// A ping keeps a job alive.
pub(super) fn ping(proxy: &Proxy, query: Option<&str>) {
    if let Some(session) = query.and_then(|q| {
        Query::parse(q)
            .value("PlaySessionId")
            .map(PlaySessionId::new)
    }) {
        proxy.gate.touch(
            &session,
            Activity::Progress {
                paused: false,
                position: None,
            },
        );
    }
}

/// Forwards a report or a stop (`None`: `DELETE ActiveEncodings`) and notes it. Worked out to the end even if
/// the client hangs up.
///
/// A stop counts as soon as it comes, if its token is good: Jellyfin takes two seconds to answer it, and the web client
/// asks for the next episode after a tenth of one (captures, `web/6-next`). Anything else counts once Jellyfin took it.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    report: Option<Report>,
    request: Request<Bytes>,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let said = Said::read(&query, request.body());
    let claims = proxy.claims(request.headers(), Some(&query));
    let exchange = proxy.exchange(request, MAX_ANSWER);
    let early = async {
        let known = said.ends(report)
            && matches!(
                proxy.verify(&claims).await,
                Some(Verified::User(_) | Verified::ApiKey)
            );
        if known {
            said.stop(proxy);
        }
        known
    };
    let (exchanged, stopped) = tokio::join!(exchange, early);
    let response = match exchanged {
        Ok(Exchanged::Whole(response)) => response.map(refusal::whole),
        Ok(Exchanged::Long(response)) => response,
        Err(failed) => return failed,
    };
    if !response.status().is_success() {
        return response;
    }
    let activity = match report {
        Some(Report::Start) => Activity::Started,
        Some(Report::Progress | Report::Ping) => Activity::Progress {
            paused: said.paused,
            position: said.position,
        },
        Some(Report::Stopped) | None => {
            if !stopped {
                said.stop(proxy);
            }
            if said.session.is_none()
                && let (Some(device), Some(item)) = (&claims.device, &said.item)
                && let Some(user) = user(proxy, &claims).await
            {
                proxy.gate.stop_device(&user, device, item, Ended::Stopped);
            }
            return response;
        }
    };
    match &said.session {
        Some(session) => {
            proxy.gate.touch(session, activity);
        }
        // Direct play on the web names no session.
        None => {
            if let (Some(user), Some(device)) = (user(proxy, &claims).await, claims.device) {
                proxy.gate.touch_device(&user, &device, activity);
            }
        }
    }
    response
}

async fn user(proxy: &Arc<Proxy>, claims: &crate::jellyfin::Credentials) -> Option<UserId> {
    match proxy.verify(claims).await {
        Some(Verified::User(identity)) => Some(identity.user),
        Some(Verified::ApiKey | Verified::Refused) | None => None,
    }
}

// === impl Said ===

impl Said {
    /// Reads the body, or the query for a stop by DELETE. Member names come in any letter case.
    fn read(query: &str, body: &[u8]) -> Self {
        let query = Query::parse(query);
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let member = |name: &str| {
            let object = value.as_object()?;
            object
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let session = member("PlaySessionId")
            .and_then(Value::as_str)
            .or_else(|| query.value("PlaySessionId"));
        let ticks =
            member("PositionTicks").and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
        Self {
            session: session.filter(|s| !s.is_empty()).map(PlaySessionId::new),
            item: member("ItemId").and_then(Value::as_str).map(ItemId::new),
            paused: member("IsPaused").and_then(Value::as_bool).unwrap_or(false),
            position: ticks.map(|t| Duration::from_micros(t / TICKS_PER_MICRO)),
            device: query.value("DeviceId").is_some(),
        }
    }

    /// Whether Jellyfin will end a session for this. It wants both ids in a DELETE.
    fn ends(&self, report: Option<Report>) -> bool {
        self.session.is_some()
            && match report {
                Some(Report::Stopped) => true,
                Some(Report::Start | Report::Progress | Report::Ping) => false,
                None => self.device,
            }
    }

    fn stop(&self, proxy: &Proxy) {
        if let Some(session) = &self.session {
            proxy.judged.forget(session);
            proxy.gate.stop(session, Ended::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_in_either_casing() {
        let said = Said::read(
            "",
            br#"{"playSessionId":"ABC","positionTicks":20000000,"isPaused":true}"#,
        );
        assert_eq!(said.session, Some(PlaySessionId::new("abc")));
        assert_eq!(said.position, Some(Duration::from_secs(2)));
        assert!(said.paused);
    }

    #[test]
    fn a_stop_by_delete_is_read_from_the_query() {
        let said = Said::read("deviceId=x&playSessionId=abc", b"");
        assert_eq!(said.session, Some(PlaySessionId::new("abc")));
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        assert!(Said::read("", b"[1,2").session.is_none());
        assert!(Said::read("", br#"{"PlaySessionId":7}"#).session.is_none());
    }
}
