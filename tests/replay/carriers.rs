//! Every recorded use of a token: Finweir takes the one that the server took, and none where it took none.

use std::collections::HashMap;

use finweir::{
    ident::{DeviceId, Token, UserId},
    jellyfin::{Client, Route, classify, credentials},
};
use http::header::{AUTHORIZATION, USER_AGENT};
use serde_json::Value;

use super::recording::{Check, Record, Request, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "carriers",
        takes: |set| set.starts_with("carriers"),
        run: carriers,
    },
    Check {
        name: "client",
        takes: |set| set.starts_with("web/"),
        run: client,
    },
];

/// Every call of the real web client is recognised as one.
fn client(server: &Server, set: &Set, tally: &mut Tally) {
    for record in &set.records {
        let headers = record.request.as_ref().map(Request::header_map);
        let Some(headers) = headers.filter(|headers| headers.contains_key(AUTHORIZATION)) else {
            tally.skip();
            continue;
        };
        let claims = credentials(&headers, None, &server.dialect);
        let agent = headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        let found = Client::of(claims.client.as_deref(), agent);
        tally.compare(record, found == Client::Web, || {
            format!("taken for {}", found.as_str())
        });
    }
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq)]
enum Owner {
    /// A user, on a device.
    User(UserId, Option<DeviceId>),
    ApiKey,
}

/// The tokens that are valid at a point of the recording.
#[derive(Default)]
struct Owners(HashMap<String, Owner>);

fn carriers(server: &Server, set: &Set, tally: &mut Tally) {
    let mut owners = Owners::default();
    for record in &set.records {
        let (Some(request), Some(response)) = (&record.request, &record.response) else {
            tally.skip();
            continue;
        };
        let read = credentials(&request.header_map(), request.query(), &server.dialect);
        owners.learn(record, read.device.clone());
        let owner = read.token.as_ref().and_then(|token| owners.of(token));
        let asks = asks_for_a_token(request, server);
        let served = matches!(response.status, 200..=299 | 304 | 400 | 403 | 404);
        if !asks || response.status != 401 && !served {
            tally.skip();
        } else if response.status == 401 {
            tally.compare(record, owner.is_none(), || {
                format!("the server took no token, Finweir one of {owner:?}")
            });
        } else if is_me(request) && response.status == 200 {
            let me = response
                .json()
                .and_then(|body| Some(UserId::new(body.get("Id")?.as_str()?)));
            let same =
                matches!((&owner, &me), (Some(Owner::User(user, _)), Some(me)) if user == me);
            tally.compare(record, same, || {
                format!("the server said {me:?}, Finweir {owner:?}")
            });
        } else {
            tally.compare(record, owner.is_some(), || {
                format!(
                    "the server took a token ({}), Finweir none that is known",
                    response.status
                )
            });
        }
    }
}

impl Owners {
    fn of(&self, token: &Token) -> Option<&Owner> {
        self.0.get(token.expose())
    }

    /// Remembers the tokens that an answer names. A login ends the older one of that user and device.
    fn learn(&mut self, record: &Record, device: Option<DeviceId>) {
        let Some(body) = record
            .response
            .as_ref()
            .and_then(|response| response.json())
        else {
            return;
        };
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let user = body.get("User").and_then(|user| text(user, "Id"));
        if let (Some(token), Some(user)) = (text(&body, "AccessToken"), user) {
            let owner = Owner::User(UserId::new(user), device);
            self.0.retain(|_, other| *other != owner);
            self.0.insert(token, owner);
        }
        let listed = body.get("Items").and_then(Value::as_array);
        for key in listed.into_iter().flatten() {
            if let (Some(token), Some(_)) = (text(key, "AccessToken"), text(key, "AppName")) {
                self.0.insert(token, Owner::ApiKey);
            }
        }
    }
}

fn is_me(request: &Request) -> bool {
    let path = request.target.split('?').next().unwrap_or("");
    path.eq_ignore_ascii_case("/Users/Me")
}

/// Whether the server answers this only to a token. Of what is not listed here an answer says nothing.
fn asks_for_a_token(request: &Request, server: &Server) -> bool {
    const ASKING: [&str; 7] = [
        "/users/me",
        "/sessions",
        "/system/info",
        "/items",
        "/auth/keys",
        "/devices",
        "/users",
    ];
    let path = request.target.split('?').next().unwrap_or("");
    let plain = path.trim_end_matches('/').to_ascii_lowercase();
    let routed = classify(&request.method, &request.target, &server.dialect);
    ASKING.contains(&plain.as_str())
        || routed.is_ok_and(|routed| {
            matches!(
                routed.route,
                Route::PlaybackInfo { .. }
                    | Route::Master { .. }
                    | Route::Main { .. }
                    | Route::LivePlaylist { .. }
                    | Route::Segment { .. }
                    | Route::Universal { .. }
                    | Route::StopEncoding
                    | Route::OpenLiveStream
                    | Route::BitrateTest
                    | Route::Report(_)
            )
        })
        || plain.ends_with("/download")
        || plain.ends_with("/file")
}
