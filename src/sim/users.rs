//! Users and logins.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    auth::{Client, Who},
    ids,
    negotiate::member,
    recorded,
    reply::{self, Reply},
    request::Ask,
    world::{User, World},
};

impl World {
    /// `POST /Users/AuthenticateByName`
    pub(super) fn authenticate(&mut self, ask: &Ask, client: &Client) -> Reply {
        let body = match ask.json() {
            Ok(body) => body,
            Err(error) => return reply::invalid("$", &error.to_string()),
        };
        let text = |name: &str| {
            member(&body, name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (name, password) = (text("Username"), text("Pw"));
        let found = self
            .users
            .iter()
            .find(|u| u.name.eq_ignore_ascii_case(name) && u.password == password)
            .map(|u| {
                (
                    u.id.clone(),
                    u.limit("MaxActiveSessions"),
                    u.allows("IsDisabled", false),
                )
            });
        let Some((user, most, disabled)) = found else {
            return reply::error(StatusCode::UNAUTHORIZED);
        };
        if client.device_id.is_none() || client.client.is_none() {
            return reply::error(StatusCode::BAD_REQUEST);
        }
        let active = self
            .sessions
            .iter()
            .filter(|s| s.user.as_ref() == Some(&user));
        let active = i64::try_from(active.count()).unwrap_or(i64::MAX);
        if disabled || (most > 0 && active >= most) {
            return reply::error(StatusCode::FORBIDDEN);
        }
        let login = self.login(&user, client);
        let mut client = client.clone();
        client.token = Some(login.token.clone());
        let who = self.who(client);
        let session = self
            .session_of(&who)
            .and_then(|at| self.sessions.get(at))
            .map(|s| self.shown_session(s));
        let user = self.user(&user).map(|u| u.shown(self));
        reply::json(&json!({
            "User": user,
            "SessionInfo": session,
            "AccessToken": login.token,
            "ServerId": self.server_id,
        }))
    }

    /// `GET /Users/Me`
    pub(super) fn me(&self, who: &Who) -> Reply {
        match who.user().and_then(|id| self.user(id)) {
            Some(user) => reply::json(&user.shown(self)),
            None => reply::problem(StatusCode::BAD_REQUEST),
        }
    }

    pub(super) fn list_users(&self) -> Reply {
        let mut users: Vec<&User> = self.users.iter().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        reply::json(&Value::Array(users.iter().map(|u| u.shown(self)).collect()))
    }

    /// `POST /Users/New`
    pub(super) fn new_user(&mut self, ask: &Ask) -> Reply {
        let body = ask.json().unwrap_or(Value::Null);
        let text = |name: &str| {
            member(&body, name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (name, password) = (text("Name"), text("Password"));
        if name.is_empty()
            || self
                .users
                .iter()
                .any(|u| u.name.eq_ignore_ascii_case(&name))
        {
            return reply::error(StatusCode::BAD_REQUEST);
        }
        let user = User {
            id: self.fresh("user"),
            name,
            password,
            policy: recorded(self.version)
                .get("guest_policy")
                .cloned()
                .unwrap_or_else(|| json!({})),
        };
        let mut shown = user.shown(self);
        if let Some(out) = shown.as_object_mut() {
            out.shift_remove("LastLoginDate");
            out.shift_remove("LastActivityDate");
        }
        self.users.push(user);
        reply::json(&shown)
    }

    /// `/Users/{id}` and `/Users/{id}/Policy`
    pub(super) fn user_route(&mut self, ask: &Ask, id: &str, policy: bool) -> Reply {
        let Some(id) = ids::guid(id) else {
            return reply::invalid("userId", &format!("The value '{id}' is not valid."));
        };
        let Some(at) = self.users.iter().position(|u| u.id == id) else {
            return reply::problem(StatusCode::NOT_FOUND);
        };
        if !policy {
            let shown = self.users.get(at).map(|u| u.shown(self));
            return reply::json(&json!(shown));
        }
        match ask.json() {
            Ok(Value::Object(members)) => {
                if let Some(user) = self.users.get_mut(at) {
                    user.policy = Value::Object(members);
                }
                reply::empty(StatusCode::NO_CONTENT)
            }
            Ok(_) | Err(_) => reply::invalid("$", "A policy is required."),
        }
    }

    /// `/Auth/Keys`
    pub(super) fn keys(&mut self, ask: &Ask) -> Reply {
        if ask.method == Method::POST {
            let app = ask.query.get("app").unwrap_or_default().to_owned();
            let key = self.fresh("key");
            self.keys.push((key, app));
            return reply::empty(StatusCode::NO_CONTENT);
        }
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|(key, app)| {
                json!({
                    "Id": 0,
                    "AccessToken": key,
                    "DeviceId": "",
                    "AppName": app,
                    "AppVersion": "",
                    "DeviceName": "",
                    "UserId": "00000000000000000000000000000000",
                    "IsActive": false,
                    "DateCreated": self.date(0.0),
                    "DateLastActivity": super::world::NEVER,
                })
            })
            .collect();
        reply::json(&super::library::listed(&keys))
    }

    /// `GET /Devices`
    pub(super) fn devices(&self) -> Reply {
        let template = recorded(self.version).get("device").cloned();
        let devices: Vec<Value> = self
            .logins
            .iter()
            .map(|login| {
                let mut shown = template.clone().unwrap_or_else(|| json!({}));
                if let Some(out) = shown.as_object_mut() {
                    let user = self.user(&login.user).map(|u| u.name.clone());
                    out.insert("Name".to_owned(), json!(login.device));
                    out.insert("Id".to_owned(), json!(login.device_id));
                    out.insert("LastUserName".to_owned(), json!(user));
                    out.insert("LastUserId".to_owned(), json!(login.user));
                    out.insert("AppName".to_owned(), json!(login.client));
                    out.insert("AppVersion".to_owned(), json!(login.version));
                }
                shown
            })
            .collect();
        reply::json(&super::library::listed(&devices))
    }
}
