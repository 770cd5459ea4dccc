//! Every recorded use of a token: Finweir takes the one that the server took, and none where it took none.

use std::collections::HashMap;

use finweir::{
    ident::UserId,
    jellyfin::{Route, classify, credentials},
};
use serde_json::Value;

use super::recording::{Check, Record, Request, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[Check {
    name: "carriers",
    takes: |set| set == "carriers",
    run: carriers,
}];

/// Whose a token is.
#[derive(Clone, Debug, PartialEq)]
enum Owner {
    User(UserId),
    ApiKey,
}

fn carriers(server: &Server, set: &Set, tally: &mut Tally) {
    let mut owners: HashMap<String, Owner> = HashMap::new();
    for record in &set.records {
        let (Some(request), Some(response)) = (&record.request, &record.response) else {
            tally.skip();
            continue;
        };
        learn(record, &mut owners);
        if is_open_to_all(request, server) {
            tally.skip();
            continue;
        }
        let read = credentials(&request.header_map(), request.query(), &server.dialect);
        let owner = read
            .token
            .as_ref()
            .and_then(|token| owners.get(token.expose()).cloned());
        if response.status == 401 {
            tally.compare(record, owner.is_none(), || {
                format!("the server took no token, Finweir one of {owner:?}")
            });
        } else if request.target.starts_with("/Users/Me") && response.status == 200 {
            let me = response
                .json()
                .and_then(|body| Some(UserId::new(body.get("Id")?.as_str()?)));
            let said = me.map(Owner::User);
            tally.compare(record, said.is_some() && owner == said, || {
                format!("the server said {said:?}, Finweir {owner:?}")
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

/// Remembers the tokens that an answer names.
fn learn(record: &Record, owners: &mut HashMap<String, Owner>) {
    let Some(body) = record
        .response
        .as_ref()
        .and_then(|response| response.json())
    else {
        return;
    };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    if let (Some(token), Some(user)) = (
        text(&body, "AccessToken"),
        body.get("User").and_then(|user| text(user, "Id")),
    ) {
        owners.insert(token, Owner::User(UserId::new(user)));
    }
    let listed = body.get("Items").and_then(Value::as_array);
    for key in listed.into_iter().flatten() {
        if let (Some(token), Some(_)) = (text(key, "AccessToken"), text(key, "AppName")) {
            owners.insert(token, Owner::ApiKey);
        }
    }
}

/// Where an answer says nothing about the token: logins and progressive streams need none.
fn is_open_to_all(request: &Request, server: &Server) -> bool {
    classify(&request.method, &request.target, &server.dialect)
        .is_ok_and(|routed| matches!(routed.route, Route::Login | Route::Progressive { .. }))
}
