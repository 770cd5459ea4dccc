//! The server about itself, its items and its configuration.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    auth::Who,
    ids,
    library::{Item, listed},
    recorded,
    reply::{self, Filler, Reply},
    request::{Ask, Wish},
    world::World,
};

/// The most that the bit rate test sends.
const MOST_TEST_BYTES: i64 = 100_000_000;

impl World {
    pub(super) fn fixture(&self, name: &str) -> Reply {
        reply::json(recorded(self.version).get(name).unwrap_or(&Value::Null))
    }

    /// `GET /System/Info/Storage`: all folders lie on one disk, which is full by what was there and what jobs have written.
    pub(super) fn storage(&self) -> Reply {
        let mut shown = recorded(self.version)
            .get("storage")
            .cloned()
            .unwrap_or_default();
        self.fill_disk(&mut shown);
        reply::json(&shown)
    }

    fn fill_disk(&self, value: &mut Value) {
        let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
        // Where it says -1 the folder is not there.
        if let (Some(free), Some(used)) = (number(value, "FreeSpace"), number(value, "UsedSpace")) {
            let size = free + used;
            let free = self
                .free_space
                .unwrap_or(free)
                .saturating_sub(self.written())
                .min(size);
            if let Some(folder) = value.as_object_mut() {
                folder.insert("FreeSpace".to_owned(), json!(free));
                folder.insert("UsedSpace".to_owned(), json!(size - free));
            }
            return;
        }
        match value {
            Value::Object(members) => members.values_mut().for_each(|v| self.fill_disk(v)),
            Value::Array(list) => list.iter_mut().for_each(|v| self.fill_disk(v)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    pub(super) fn encoding(&self) -> Reply {
        let mut shown = recorded(self.version)
            .get("encoding")
            .cloned()
            .unwrap_or_else(|| json!({}));
        if let Some(out) = shown.as_object_mut() {
            out.insert("EnableThrottling".to_owned(), json!(self.throttling));
            out.insert("EnableTonemapping".to_owned(), json!(self.tone_mapping));
        }
        reply::json(&shown)
    }

    pub(super) fn configuration(&self, name: Option<&str>) -> Reply {
        match name {
            None => reply::json(&json!({
                "EnableMetrics": false,
                "EnableLegacyAuthorization": self.version == super::Version::V10_11,
                "RemoteClientBitrateLimit": 0,
                "InactiveSessionThreshold": 0,
                "CorsHosts": ["*"],
                "ServerName": "vm",
                "IsStartupWizardCompleted": true,
            })),
            Some("encoding") => self.encoding(),
            Some("network") => reply::json(&json!({
                "BaseUrl": "",
                "EnableHttps": false,
                "InternalHttpPort": 8096,
                "KnownProxies": [],
                "LocalNetworkSubnets": [],
                "EnableRemoteAccess": true,
            })),
            Some(_) => reply::error(StatusCode::NOT_FOUND),
        }
    }

    /// `GET /Items`, and the same below a user.
    pub(super) fn list_items(&self, ask: &Ask, who: &Who) -> Reply {
        let query = &ask.query;
        let list = |name: &str| {
            query.get(name).map(|v| {
                v.split(',')
                    .map(|t| t.trim().to_ascii_lowercase())
                    .collect::<Vec<_>>()
            })
        };
        let wanted = list("ids").map(|ids| {
            ids.iter()
                .filter_map(|id| ids::guid(id))
                .collect::<Vec<_>>()
        });
        let kinds = list("includeItemTypes");
        let fields = list("fields").unwrap_or_default();
        let with_sources = fields.iter().any(|f| f == "mediasources");
        let fits = |item: &&Item| {
            let kind = item.kind.to_ascii_lowercase();
            !item.is_channel()
                && wanted.as_ref().is_none_or(|ids| ids.contains(&item.id))
                && kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
        };
        let items = self.library.items().iter().filter(fits);
        let mut shown: Vec<Value> = items.map(|item| item.answer(with_sources)).collect();
        let without_user = who.user().is_none() && query.get("userId").is_none();
        let hidden = |name: &str| !fields.iter().any(|f| f == name);
        for out in shown.iter_mut().filter_map(Value::as_object_mut) {
            if hidden("mediastreams") {
                out.shift_remove("MediaStreams");
            }
            if hidden("path") {
                out.shift_remove("Path");
            }
            if without_user {
                out.shift_remove("UserData");
                let sources = out.get_mut("MediaSources").and_then(Value::as_array_mut);
                for source in sources
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_object_mut)
                {
                    source.shift_remove("DefaultAudioStreamIndex");
                    source.shift_remove("DefaultSubtitleStreamIndex");
                }
            }
        }
        reply::json(&listed(&shown))
    }

    /// `GET /Items/{id}`, and the same below a user.
    pub(super) fn one_item(&self, ask: &Ask, who: &Who, id: &str) -> Reply {
        let wish = Wish {
            query: &ask.query,
            body: &Value::Null,
        };
        match self.acting_for(who, &wish) {
            Ok(Some(_)) => {}
            Ok(None) => return reply::error(StatusCode::BAD_REQUEST),
            Err(refused) => return *refused,
        }
        let Some(item) = self.library.find(id) else {
            return reply::problem(StatusCode::NOT_FOUND);
        };
        let mut shown = item.answer(true);
        let extra = recorded(self.version).get("item_extra");
        if let (Some(out), Some(Value::Object(extra))) = (shown.as_object_mut(), extra) {
            for (name, value) in extra {
                out.entry(name).or_insert_with(|| value.clone());
            }
        }
        reply::json(&shown)
    }

    pub(super) fn channels(&self) -> Reply {
        let channels = self.library.items().iter().filter(|item| item.is_channel());
        let shown: Vec<Value> = channels.map(|item| item.answer(false)).collect();
        reply::json(&listed(&shown))
    }

    /// The libraries: which item is in which is told by its ancestors.
    pub(super) fn folders(&self, virtual_folders: bool) -> Reply {
        let folders: Vec<Value> = FOLDERS
            .iter()
            .map(|(name, kind)| {
                let id = ids::derived(&["library", name]);
                if virtual_folders {
                    json!({"Name": name, "CollectionType": kind, "ItemId": id, "Locations": [format!("/media/{kind}")]})
                } else {
                    json!({"Name": name, "CollectionType": kind, "Id": id, "ServerId": self.server_id, "Type": "CollectionFolder", "IsFolder": true})
                }
            })
            .collect();
        if virtual_folders {
            reply::json(&Value::Array(folders))
        } else {
            reply::json(&listed(&folders))
        }
    }

    pub(super) fn ancestors(&self, id: &str) -> Reply {
        let Some(item) = self.library.find(id) else {
            return reply::problem(StatusCode::NOT_FOUND);
        };
        let (name, kind) = match item.kind.as_str() {
            "Episode" => ("Shows", "tvshows"),
            "Audio" => ("Music", "music"),
            _ => item
                .shown
                .get("Library")
                .and_then(Value::as_str)
                .and_then(|own| FOLDERS.iter().find(|(name, _)| *name == own).copied())
                .unwrap_or(("Movies", "movies")),
        };
        reply::json(&json!([{
            "Name": name,
            "Id": ids::derived(&["library", name]),
            "Type": "CollectionFolder",
            "CollectionType": kind,
            "IsFolder": true,
        }]))
    }
}

/// Libraries by name and kind.
const FOLDERS: [(&str, &str); 4] = [
    ("Movies", "movies"),
    ("Shows", "tvshows"),
    ("Music", "music"),
    ("4K Movies", "movies"),
];

/// `GET /Playback/BitrateTest`
pub(super) fn bitrate_test(ask: &Ask) -> Reply {
    let size = match ask.query.number("size") {
        Ok(size) => size.unwrap_or(102_400),
        Err(malformed) => return reply::malformed(&malformed),
    };
    if !(1..=MOST_TEST_BYTES).contains(&size) {
        return reply::invalid("size", "The field size must be between 1 and 100000000.");
    }
    let body = Body::new(Filler::new(size.unsigned_abs()));
    reply::with(StatusCode::OK, "application/octet-stream", body)
}

/// A page that stands for the web client.
pub(super) fn page() -> Reply {
    let page = "<!doctype html><html><head><meta charset=\"utf-8\"><title>Jellyfin</title></head>\
                <body>A simulated Jellyfin.</body></html>\n";
    let mut reply = reply::text(StatusCode::OK, "text/html", page);
    reply::set(&mut reply, http::header::CACHE_CONTROL, "no-cache");
    reply::set(&mut reply, http::header::ACCEPT_RANGES, "bytes");
    reply
}
