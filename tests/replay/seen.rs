//! What a recorded file has shown so far: sources, users with their policies, settings.
#![expect(
    clippy::indexing_slicing,
    reason = "what a JSON value does not have reads as null"
)]

use std::collections::HashMap;

use finweir::jellyfin::{Encoding, PlaybackAnswer, Query, Source, StreamQuery, UserPolicy};
use serde_json::Value;

use super::recording::{Record, Server};

/// What a file has shown so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Sources by their id, by item where it has none of that id, and by live stream.
    sources: HashMap<String, Source>,
    /// Policies by user.
    policies: HashMap<String, UserPolicy>,
    /// Users by token.
    users: HashMap<String, String>,
    /// What the server said of its settings.
    encoding: Option<Value>,
}

// === impl Seen ===

impl Seen {
    pub(crate) fn learn(&mut self, record: &Record) {
        let (Some(request), Some(response)) = (&record.request, &record.response) else {
            return;
        };
        let path = request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if let Some(user) = path
            .strip_prefix("/users/")
            .and_then(|rest| rest.strip_suffix("/policy"))
        {
            let policy = request
                .body
                .as_deref()
                .and_then(|body| serde_json::from_str(body).ok());
            if let Some(policy) = policy.filter(|_| response.status < 300) {
                self.policies.insert(bare(user), UserPolicy::read(&policy));
            }
        }
        let Some(body) = response.json().filter(|_| response.status == 200) else {
            return;
        };
        if path.ends_with("/playbackinfo") {
            self.learn_answer(&path, response.body.as_deref().unwrap_or_default());
        } else if path.ends_with("/configuration/encoding") {
            self.encoding = Some(body);
        } else if let Some(token) = body["AccessToken"].as_str() {
            let user = bare(body["User"]["Id"].as_str().unwrap_or_default());
            self.policies
                .insert(user.clone(), UserPolicy::read(&body["User"]["Policy"]));
            self.users.insert(token.to_owned(), user);
        } else {
            let single = std::slice::from_ref(&body);
            for item in body["Items"].as_array().map_or(single, Vec::as_slice) {
                let id = item["Id"].as_str().map(bare);
                for (at, source) in item["MediaSources"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    self.learn_source(Source::read(source), id.as_deref().filter(|_| at == 0));
                }
            }
        }
    }

    fn learn_answer(&mut self, path: &str, body: &str) {
        let item = path.rsplit('/').nth(1).map(bare);
        let Ok(answer) = PlaybackAnswer::read(body.to_owned().into()) else {
            return;
        };
        for source in answer.sources() {
            self.learn_source(source.clone(), item.as_deref());
        }
    }

    fn learn_source(&mut self, source: Source, item: Option<&str>) {
        if source.streams.is_empty() {
            return;
        }
        if let Some(live) = &source.live_stream {
            self.sources.insert(live.clone(), source.clone());
        }
        if let Some(id) = &source.id {
            self.sources.insert(bare(id.as_str()), source.clone());
        }
        if let Some(item) = item {
            self.sources.entry(item.to_owned()).or_insert(source);
        }
    }

    /// The source that the server used: the live stream, the source asked for, or the item's own.
    pub(crate) fn source(&self, path: &str, query: &StreamQuery) -> Option<&Source> {
        if let Some(live) = &query.live_stream {
            return self.sources.get(live);
        }
        let asked = query.source.as_ref().map(|id| bare(id.as_str()));
        let item = path
            .split('/')
            .skip_while(|part| *part != "videos" && *part != "audio")
            .nth(1)
            .map(bare);
        asked.or(item).and_then(|id| self.sources.get(&id))
    }

    pub(crate) fn encoding(&self, server: &Server) -> Encoding {
        let nothing = Value::Null;
        Encoding::read(
            self.encoding.as_ref().unwrap_or(&nothing),
            server.dialect.version,
        )
    }

    pub(crate) fn policy(&self, token: Option<&str>) -> UserPolicy {
        token
            .and_then(|token| self.policies.get(self.users.get(token)?))
            .copied()
            .unwrap_or_default()
    }
}

fn bare(id: &str) -> String {
    id.replace('-', "").to_ascii_lowercase()
}

/// The token of a request, where these recordings put it.
pub(crate) fn token(target: &str, headers: &[(String, String)]) -> Option<String> {
    let query = Query::for_auth(target.split_once('?').map_or("", |(_, query)| query));
    if let Some(token) = query.get("ApiKey").or(query.get("api_key")) {
        return Some(token.to_owned());
    }
    headers.iter().find_map(|(_, value)| {
        let (_, rest) = value.split_once("Token=\"")?;
        rest.split_once('"').map(|(token, _)| token.to_owned())
    })
}
