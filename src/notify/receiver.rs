//! Where words go: URLs as Apprise writes them. They hold secrets, so that nothing but scheme and host is ever shown.

use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::ident::Token;

/// The schemes that are understood; those with an `s` are the same over TLS.
pub const SCHEMES: [&str; 11] = [
    "ntfy", "ntfys", "gotify", "gotifys", "discord", "apprise", "apprises", "json", "jsons",
    "http", "https",
];

/// Who speaks what.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object of our own.
    Json,
    /// ntfy, with the topic.
    Ntfy(String),
    /// Gotify, with the token.
    Gotify(String),
    /// Discord, or what takes its messages.
    Discord,
    /// An Apprise API server.
    Apprise,
}

/// How a receiver knows us.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// None is needed, or it is in the URL.
    None,
    /// A user and a password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}

/// Where words go. Shows scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    pub(super) format: Format,
    pub(super) target: Url,
    pub(super) login: Login,
    shown: String,
}

// === impl Receiver ===

impl Receiver {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without any part of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "must be a URL such as `ntfys://host/topic`, `gotifys://host/token`, `discord://id/token`, \
                      `apprises://host/key`, `jsons://host/path` or `https://host/path`";
        let url = Url::parse(text).map_err(|_| wanted.to_owned())?;
        let scheme = url.scheme().to_owned();
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(wanted.to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("has no host")?.to_owned();
        let parts: Vec<String> = url
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        match scheme.as_str() {
            "discord" => Self::discord(&host, &parts),
            "ntfy" | "ntfys" if parts.is_empty() => Self::ntfy_sh(&url, &host),
            "ntfy" | "ntfys" => Self::ntfy(&url, &scheme, &parts),
            "gotify" | "gotifys" => Self::gotify(&url, &scheme, &parts),
            "apprise" | "apprises" => Self::apprise(&url, &scheme, &parts),
            _ => Self::webhook(&url, &scheme, &parts),
        }
    }

    /// All of it, to see whether it has changed.
    pub fn secret(&self) -> Token {
        let Self {
            format,
            target,
            login,
            ..
        } = self;
        let format = match format {
            Format::Json | Format::Discord | Format::Apprise => "",
            Format::Ntfy(secret) | Format::Gotify(secret) => secret,
        };
        let login = match login {
            Login::None => "",
            Login::Bearer(secret) | Login::Basic(_, secret) => secret,
        };
        Token::new(format!("{target} {format} {login}"))
    }

    fn discord(id: &str, parts: &[String]) -> Result<Self, String> {
        let [token] = parts else {
            return Err(
                "must be `discord://id/token`: both are in the URL of the webhook".to_owned(),
            );
        };
        let target = format!("https://discord.com/api/webhooks/{id}/{token}");
        Ok(Self {
            format: Format::Discord,
            target: Url::parse(&target).map_err(|_| "has no host".to_owned())?,
            login: Login::None,
            shown: "discord://discord.com".to_owned(),
        })
    }

    /// `ntfy://topic` is a topic of the public server.
    fn ntfy_sh(url: &Url, topic: &str) -> Result<Self, String> {
        Ok(Self {
            format: Format::Ntfy(decoded(topic)?),
            target: Url::parse("https://ntfy.sh/").map_err(|_| "has no host".to_owned())?,
            login: login(url)?,
            shown: "ntfy://ntfy.sh".to_owned(),
        })
    }

    fn ntfy(url: &Url, scheme: &str, parts: &[String]) -> Result<Self, String> {
        let (topic, path) = parts
            .split_last()
            .ok_or("needs a topic: `ntfys://host/topic`")?;
        Ok(Self {
            format: Format::Ntfy(decoded(topic)?),
            target: target(url, scheme, path)?,
            login: login(url)?,
            shown: shown(url, scheme),
        })
    }

    fn gotify(url: &Url, scheme: &str, parts: &[String]) -> Result<Self, String> {
        let (token, path) = parts
            .split_last()
            .ok_or("needs a token: `gotifys://host/token`")?;
        let path: Vec<String> = path.iter().cloned().chain(["message".to_owned()]).collect();
        let token = decoded(token)?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a token that can't be one".to_owned());
        }
        Ok(Self {
            format: Format::Gotify(token),
            target: target(url, scheme, &path)?,
            login: login(url)?,
            shown: shown(url, scheme),
        })
    }

    fn apprise(url: &Url, scheme: &str, parts: &[String]) -> Result<Self, String> {
        let (key, path) = parts
            .split_last()
            .ok_or("needs a key: `apprises://host/key`")?;
        let tail = ["notify".to_owned(), key.clone()];
        let path: Vec<String> = path.iter().cloned().chain(tail).collect();
        Ok(Self {
            format: Format::Apprise,
            target: target(url, scheme, &path)?,
            login: login(url)?,
            shown: shown(url, scheme),
        })
    }

    /// Our own JSON; but a path as Discord has them is Discord's, or of a server that takes the same.
    fn webhook(url: &Url, scheme: &str, parts: &[String]) -> Result<Self, String> {
        let as_discord = scheme.starts_with("http")
            && matches!(parts, [api, hooks, id, _] if api == "api" && hooks == "webhooks"
                && id.bytes().all(|byte| byte.is_ascii_digit()));
        let format = if as_discord {
            Format::Discord
        } else {
            Format::Json
        };
        let mut to = target(url, scheme, parts)?;
        to.set_query(url.query());
        if parts.last().is_some() && url.path().ends_with('/') {
            to.set_path(&format!("{}/", to.path()));
        }
        Ok(Self {
            format,
            target: to,
            login: login(url)?,
            shown: shown(url, scheme),
        })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.shown)
    }
}

/// Scheme and host.
fn shown(url: &Url, scheme: &str) -> String {
    format!("{scheme}://{}", authority(url))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What is asked over HTTP.
fn target(url: &Url, scheme: &str, path: &[String]) -> Result<Url, String> {
    let plain = if scheme.ends_with('s') {
        "https"
    } else {
        "http"
    };
    let text = format!("{plain}://{}/{}", authority(url), path.join("/"));
    Url::parse(&text).map_err(|_| "has a host that can't be one".to_owned())
}

/// Who we are there: `user:password@`, or `token@`.
fn login(url: &Url) -> Result<Login, String> {
    let user = decoded(url.username())?;
    Ok(match url.password() {
        Some(password) => Login::Basic(user, decoded(password)?),
        None if user.is_empty() => Login::None,
        None => Login::Bearer(user),
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "has escapes that are not UTF-8".to_owned())
}
