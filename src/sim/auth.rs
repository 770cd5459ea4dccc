//! Who sends a request: the carriers of a token, per version, and the tables of logins and keys.

use http::HeaderMap;

use super::{
    Version,
    request::Query,
    world::{Login, World},
};

/// What a header says of the client, and its token.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) token: Option<String>,
    pub(super) client: Option<String>,
    pub(super) device: Option<String>,
    pub(super) device_id: Option<String>,
    pub(super) version: Option<String>,
}

/// Who it turns out to be.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// No token, or one that is not known.
    Nobody,
    /// An API key.
    Key {
        app: String,
        token: String,
        client: Client,
    },
    /// A user with a login.
    User {
        user: String,
        token: String,
        client: Client,
    },
}

/// Reads what the version reads, in its order.
pub(super) fn client(headers: &HeaderMap, query: &Query, version: Version) -> Client {
    let legacy = version == Version::V10_11;
    let first = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.is_empty())
    };
    let line = match first("authorization") {
        Some(line) => Some(line),
        None if legacy => first("x-emby-authorization"),
        None => None,
    };
    let mut client = line
        .and_then(|line| parse(line, legacy))
        .unwrap_or_default();
    let old = |name: &str| first(name).filter(|_| legacy).map(str::to_owned);
    client.token = client
        .token
        .filter(|token| !token.is_empty())
        .or_else(|| old("x-emby-token"))
        .or_else(|| old("x-mediabrowser-token"))
        .or_else(|| query.joined("ApiKey"))
        .or_else(|| query.joined("api_key").filter(|_| legacy));
    client
}

fn parse(line: &str, legacy: bool) -> Option<Client> {
    let (scheme, rest) = line.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("MediaBrowser")
        || (legacy && scheme.eq_ignore_ascii_case("Emby"));
    if !known {
        return None;
    }
    let mut client = Client::default();
    for (key, value) in pairs(rest) {
        let value = Some(value).filter(|v| !v.is_empty());
        match key.as_str() {
            "Token" => client.token = value,
            "Client" => client.client = value,
            "Device" => client.device = value,
            "DeviceId" => client.device_id = value,
            "Version" => client.version = value,
            _ => {}
        }
    }
    Some(client)
}

/// `key=value, key="value"`: a quote switches quoting, nothing escapes it, values are percent-decoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let (mut key, mut value) = (String::new(), String::new());
    let (mut quoted, mut in_value) = (false, false);
    let mut finish = |key: &mut String, value: &mut String, in_value: &mut bool| {
        if *in_value {
            let decoded = value.trim_matches('"').replace('+', " ");
            let decoded = percent_encoding::percent_decode_str(&decoded)
                .decode_utf8_lossy()
                .into_owned();
            out.push((key.trim().to_owned(), decoded));
        }
        key.clear();
        value.clear();
        *in_value = false;
    };
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        match c {
            ',' if !quoted => finish(&mut key, &mut value, &mut in_value),
            '=' if !quoted && !in_value => in_value = true,
            c if in_value => value.push(c),
            c => key.push(c),
        }
    }
    finish(&mut key, &mut value, &mut in_value);
    out
}

// === impl World ===

impl World {
    /// Looks a client's token up.
    pub(super) fn who(&self, mut client: Client) -> Who {
        let Some(token) = client.token.clone() else {
            return Who::Nobody;
        };
        if let Some(login) = self.logins.iter().find(|login| login.token == token) {
            client.client = client.client.or_else(|| Some(login.client.clone()));
            client.device = client.device.or_else(|| Some(login.device.clone()));
            client.device_id = client.device_id.or_else(|| Some(login.device_id.clone()));
            client.version = client.version.or_else(|| Some(login.version.clone()));
            let user = login.user.clone();
            let disabled = self
                .user(&user)
                .is_none_or(|u| u.allows("IsDisabled", false));
            return if disabled {
                Who::Nobody
            } else {
                Who::User {
                    user,
                    token,
                    client,
                }
            };
        }
        match self.keys.iter().find(|(key, _)| *key == token) {
            Some((_, app)) => Who::Key {
                app: app.clone(),
                token,
                client,
            },
            None => Who::Nobody,
        }
    }

    /// Logs a user in. An older login of the same user on the same device ends.
    pub(super) fn login(&mut self, user: &str, client: &Client) -> Login {
        let device_id = client.device_id.clone().unwrap_or_default();
        self.logins
            .retain(|login| login.user != user || login.device_id != device_id);
        let login = Login {
            token: self.fresh("token"),
            user: user.to_owned(),
            client: client.client.clone().unwrap_or_default(),
            device: client.device.clone().unwrap_or_default(),
            device_id,
            version: client.version.clone().unwrap_or_default(),
        };
        self.logins.push(login.clone());
        login
    }
}

// === impl Who ===

impl Who {
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Key { .. } | Self::User { .. } => true,
        }
    }

    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::User { user, .. } => Some(user),
            Self::Nobody | Self::Key { .. } => None,
        }
    }

    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Key { token, .. } | Self::User { token, .. } => Some(token),
        }
    }

    pub(super) fn client(&self) -> Option<&Client> {
        match self {
            Self::Nobody => None,
            Self::Key { client, .. } | Self::User { client, .. } => Some(client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(line: &str) -> Option<String> {
        parse(line, false).and_then(|client| client.token)
    }

    #[test]
    fn a_header_is_read_as_the_server_reads_it() {
        assert_eq!(token("mediabrowser Token=\"a\"").as_deref(), Some("a"));
        assert_eq!(
            token("MediaBrowser Token=a, Client=b").as_deref(),
            Some("a")
        );
        assert_eq!(
            token("MediaBrowser Client=\"a,b=c\", Token=\"t\"").as_deref(),
            Some("t")
        );
        assert_eq!(token("MediaBrowser token=\"a\""), None);
        assert_eq!(token("Emby Token=\"a\""), None);
        assert_eq!(token("Bearer a"), None);
        let escaped = "MediaBrowser Client=\"a\\\"b\", DeviceId=\"d\", Token=\"t\"";
        assert_eq!(token(escaped), None);
    }
}
