//! A simulated Jellyfin, and the real program in front of it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use finweir::{
    gpu::model,
    sim::{Library, Options, Sim, SimUser},
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{
    child::Child,
    http::{ask, get, until},
};

/// What the simulated server knows as an API key.
pub(crate) const API_KEY: &str = "simulated-api-key-5f1c";

/// A directory for one test, and what tests say in a configuration.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) jellyfin: SocketAddr,
    pub(crate) settings: Settings,
}

/// What differs between the configurations of tests.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Transcodes of each user.
    pub(crate) transcodes: &'static str,
    /// Seats of the GPU.
    pub(crate) seats: u32,
    pub(crate) max_wait: &'static str,
    pub(crate) listen: String,
    pub(crate) admin: String,
    pub(crate) proxy_protocol: bool,
    pub(crate) api_key: &'static str,
    pub(crate) drain: (&'static str, &'static str),
}

/// The program, serving.
pub(crate) struct Finweir {
    pub(crate) child: Child,
    /// Where it serves; the address of nothing for a Unix socket.
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A port that nobody else gets while this lives: bound, but not listening, and willing to share.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _socket: Socket,
}

/// A server with films that take long, on a GPU that makes segments quickly.
pub(crate) async fn jellyfin() -> Sim {
    jellyfin_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// The same, at an address.
pub(crate) async fn jellyfin_at(listen: SocketAddr) -> Sim {
    let users = ["anna", "ben", "carla"];
    Sim::start(Options {
        listen,
        gpu: model::Options {
            capacity_seats: 60.0,
            tone_map: 0.25,
        },
        users: std::iter::once(SimUser::admin("admin", "adminpw"))
            .chain(users.map(|name| SimUser::new(name, "pw")))
            .collect(),
        api_key: API_KEY.to_owned(),
        library: Library::evening(),
        ..Options::default()
    })
    .await
    .unwrap()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transcodes: "1",
            seats: 8,
            max_wait: "0s",
            listen: "127.0.0.1:0".to_owned(),
            admin: "127.0.0.1:0".to_owned(),
            proxy_protocol: false,
            api_key: API_KEY,
            drain: ("300ms", "20s"),
        }
    }
}

impl House {
    /// A directory, with nothing in it yet, for a Finweir before that server.
    pub(crate) fn new(jellyfin: SocketAddr) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            jellyfin,
            settings: Settings::default(),
        }
    }

    /// Where its configuration is.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("finweir.yaml")
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration.
    pub(crate) fn yaml(&self) -> String {
        let Settings {
            transcodes,
            seats,
            max_wait,
            listen,
            admin,
            proxy_protocol,
            api_key,
            drain: (delay, limit),
        } = &self.settings;
        format!(
            "jellyfin: {{url: \"http://{}\", api_key: {api_key}}}\n\
             gpus: [{{name: gpu, capacity: {seats}, headroom: 0%}}]\n\
             users: {{default: {{transcodes: {transcodes}, when_full: wait}}}}\n\
             queue: {{max_wait: {max_wait}}}\n\
             starts: {{per_user: unlimited}}\n\
             leases: {{linger: 1s}}\n\
             poll: {{active: 500ms, idle: 500ms}}\n\
             server: {{listen: \"{listen}\", proxy_protocol: {proxy_protocol}, drain: {{delay: {delay}, limit: {limit}}}}}\n\
             admin: {{listen: \"{admin}\"}}\n\
             direct_play: off\n",
            self.jellyfin
        )
    }

    /// Writes the configuration.
    pub(crate) fn write(&self) {
        fs::write(self.file(), self.yaml()).unwrap();
    }

    /// Writes the configuration and starts the program with it.
    pub(crate) async fn start(&self) -> Finweir {
        self.write();
        Finweir::start(&self.file()).await
    }
}

/// The program, called with these arguments.
pub(crate) fn finweir(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finweir"));
    Child::start("finweir", command.args(arguments).env_clear())
}

impl Finweir {
    /// Starts `finweir run` with a configuration, and waits until it serves.
    pub(crate) async fn start(file: &Path) -> Self {
        let child = finweir(&["run", "--config", file.to_str().unwrap()]);
        Self::serving(child).await
    }

    /// Waits until it serves and has found Jellyfin.
    pub(crate) async fn serving(child: Child) -> Self {
        let line: Value = serde_json::from_str(&child.says("Finweir serves").await).unwrap();
        let address = |key: &str| line.get(key).and_then(Value::as_str)?.parse().ok();
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            address: address("listen").unwrap_or(nowhere),
            admin: address("admin").unwrap(),
            child,
        }
    }

    /// What `/state` says.
    pub(crate) async fn state(&self) -> Value {
        ask(self.admin, get("/state")).await.unwrap().json()
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        self.page("/metrics").await
    }

    /// What the admin side says there.
    pub(crate) async fn page(&self, path: &str) -> String {
        ask(self.admin, get(path)).await.unwrap().text()
    }

    /// The value of a series, written as `/metrics` writes it.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|l| l.strip_prefix(series))?;
        value.trim().parse().ok()
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(self) -> Self {
        until(self.admin, "/ready", 200).await;
        self.child.says("Jellyfin answers").await;
        self
    }
}

impl Port {
    /// Takes a free port.
    pub(crate) fn take() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        Self {
            address: socket.local_addr().unwrap().as_socket().unwrap(),
            _socket: socket,
        }
    }
}
