//! The state of the simulated server: users, logins, sessions, jobs. Nothing runs by itself; time is applied to it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Options, Seen, SimUser, Version,
    ids::derived,
    jobs::{Job, Playback},
    library::Library,
    recorded,
};
use crate::{
    clock,
    gpu::model::{JobId, ModelGpu},
};

/// How many requests are remembered.
const LOG: usize = 10_000;

pub(super) struct World {
    pub(super) version: Version,
    pub(super) server_id: String,
    pub(super) throttling: bool,
    pub(super) tone_mapping: bool,
    pub(super) strict: bool,
    /// Bytes that were free before any job wrote, where it is not the recorded number.
    pub(super) free_space: Option<u64>,
    pub(super) library: Arc<Library>,
    pub(super) users: Vec<User>,
    pub(super) logins: Vec<Login>,
    /// API keys with the name of their application.
    pub(super) keys: Vec<(String, String)>,
    pub(super) sessions: Vec<Session>,
    pub(super) gpu: ModelGpu,
    pub(super) jobs: Vec<Job>,
    pub(super) started: u64,
    pub(super) lives: HashMap<String, String>,
    pub(super) profiles: HashMap<String, Value>,
    /// Titles whose remembered streams a user's report replaced.
    pub(super) forgotten: HashSet<(String, String)>,
    pub(super) log: VecDeque<Seen>,
    pub(super) faults: VecDeque<String>,
    pub(super) now: f64,
    pub(super) next_job: u64,
    counter: u64,
    began: SystemTime,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) policy: Value,
}

#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) token: String,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) device: String,
    pub(super) device_id: String,
    pub(super) version: String,
}

/// A client on a device, as `/Sessions` lists it.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) device: String,
    pub(super) device_id: String,
    pub(super) version: String,
    pub(super) user: Option<String>,
    pub(super) active: f64,
    pub(super) checked_in: Option<f64>,
    pub(super) paused_at: Option<f64>,
    pub(super) playback: Option<Playback>,
    /// The job it shows, and what it says of it.
    pub(super) transcoding: Option<(JobId, Value)>,
    pub(super) sockets: Vec<mpsc::Sender<String>>,
}

// === impl World ===

impl World {
    pub(super) fn new(options: &Options, began: SystemTime) -> Self {
        let recorded = recorded(options.version);
        let server_id = recorded
            .pointer("/public/Id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Self {
            version: options.version,
            server_id,
            throttling: options.throttling,
            tone_mapping: options.tone_mapping,
            strict: options.strict,
            free_space: None,
            library: Arc::new(options.library.clone()),
            users: options
                .users
                .iter()
                .map(|user| User::new(user, options.version))
                .collect(),
            logins: Vec::new(),
            keys: vec![(options.api_key.clone(), "finweir".to_owned())],
            sessions: Vec::new(),
            gpu: ModelGpu::new(options.gpu),
            jobs: Vec::new(),
            started: 0,
            lives: HashMap::new(),
            profiles: HashMap::new(),
            forgotten: HashSet::new(),
            log: VecDeque::new(),
            faults: VecDeque::new(),
            now: 0.0,
            next_job: 0,
            counter: 0,
            began,
        }
    }

    /// A new id. The same run gives the same ids, another server others.
    pub(super) fn fresh(&mut self, kind: &str) -> String {
        self.counter += 1;
        let nanos = clock::since_1970(self.began).as_nanos().to_string();
        derived(&[kind, &self.server_id, &nanos, &self.counter.to_string()])
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// A point in virtual time as the server writes it.
    pub(super) fn date(&self, at: f64) -> String {
        let at = self.began + std::time::Duration::from_secs_f64(at.max(0.0));
        jiff::Timestamp::try_from(at).map_or_else(
            |_| NEVER.to_owned(),
            |stamp| stamp.strftime("%Y-%m-%dT%H:%M:%S.%6f0Z").to_string(),
        )
    }

    pub(super) fn note(&mut self, seen: Seen) {
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(seen);
    }

    /// Records something that no correct client or proxy does.
    pub(super) fn fault(&mut self, what: impl Into<String>) {
        if self.strict && self.faults.len() < LOG {
            self.faults.push_back(what.into());
        }
    }
}

pub(super) const NEVER: &str = "0001-01-01T00:00:00.0000000Z";

// === impl User ===

impl User {
    fn new(user: &SimUser, version: Version) -> Self {
        let recorded = recorded(version);
        let policy = if user.admin {
            recorded.pointer("/user/Policy")
        } else {
            recorded.get("guest_policy")
        };
        let mut policy = policy.cloned().unwrap_or_else(|| json!({}));
        for (name, value) in &user.policy {
            if let Some(members) = policy.as_object_mut() {
                members.insert(name.clone(), value.clone());
            }
        }
        Self {
            id: user
                .id
                .clone()
                .unwrap_or_else(|| derived(&["user", &user.name])),
            name: user.name.clone(),
            password: user.password.clone(),
            policy,
        }
    }

    pub(super) fn allows(&self, switch: &str, default: bool) -> bool {
        self.policy
            .get(switch)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    pub(super) fn limit(&self, name: &str) -> i64 {
        self.policy.get(name).and_then(Value::as_i64).unwrap_or(0)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.allows("IsAdministrator", false)
    }

    /// As the server shows it.
    pub(super) fn shown(&self, world: &World) -> Value {
        let mut shown = recorded(world.version)
            .get("user")
            .cloned()
            .unwrap_or_else(|| json!({}));
        if let Some(members) = shown.as_object_mut() {
            members.insert("Name".to_owned(), json!(self.name));
            members.insert("Id".to_owned(), json!(self.id));
            members.insert("ServerId".to_owned(), json!(world.server_id));
            members.insert("LastLoginDate".to_owned(), json!(world.date(world.now)));
            members.insert("LastActivityDate".to_owned(), json!(world.date(world.now)));
            members.insert("Policy".to_owned(), self.policy.clone());
        }
        shown
    }
}
