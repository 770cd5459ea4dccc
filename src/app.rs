//! Builds the parts from a [`Config`], binds, serves, reloads and drains.

mod library;
mod reload;
mod run;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Notify;

pub use self::{
    library::name_files,
    reload::{Reload, Source},
    run::{RunError, run},
};
use crate::{
    admin::{self, Handles, Readiness, RunningAdmin},
    admission::Mode,
    clock,
    config::Config,
    control::{self, UsageFile},
    gate::{EndJob, Gate},
    hop,
    journal::{self, Journal, Note},
    notify::{Notifier, Seen, Tried},
    proxy::{DirectPlay, Node, Parts, Proxy},
    scenario::{Rules, When},
    tasks::Tasks,
    telemetry::Telemetry,
    upstream::{Api, TlsError},
};

/// What a configuration says, in the words of a simulation.
pub fn rules(config: &Config) -> Rules {
    let when = |direct: DirectPlay| match direct {
        DirectPlay::Off => When::Never,
        DirectPlay::Pressure => When::Pressure,
        DirectPlay::Always => When::Always,
    };
    let cheaper = &config.proxy.cheaper;
    let classes = cheaper.classes.iter();
    let starts = config.proxy.starts.filter(|s| s.mode == Mode::Enforce);
    Rules {
        policy: Arc::clone(&config.policy),
        direct_play: when(cheaper.direct_play),
        classes: classes
            .map(|(class, direct)| (class.clone(), when(*direct)))
            .collect(),
        version_floor: cheaper.version_floor,
        starts: starts.map(|s| (s.per_minute, s.burst)),
    }
}

/// What keeps the program from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data path's address can't be had.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] std::io::Error),
    /// The admin address can't be had.
    #[error("cannot listen on {0} for the admin side")]
    AdminListen(SocketAddr, #[source] std::io::Error),
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Spans can't be sent.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Otlp(#[from] crate::otlp::OtlpError),
    /// There is no server to forward to.
    #[error("no Jellyfin server is configured")]
    NoNode,
}

/// Everything is built and bound, nothing is served: the addresses are known.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    hop: hop::Bound,
    admin: admin::BoundAdmin,
    parts: Built,
    api: Api,
    ends: tokio::sync::mpsc::Receiver<EndJob>,
}

/// It serves.
#[derive(Debug)]
pub struct Running {
    hop: hop::Running,
    admin: RunningAdmin,
    built: Built,
    address: Option<SocketAddr>,
    admin_address: SocketAddr,
    drain_delay: Duration,
    drain_limit: Duration,
}

/// The parts that outlive a reload.
#[derive(Clone, Debug)]
struct Built {
    gate: Gate,
    proxy: Arc<Proxy>,
    telemetry: Telemetry,
    readiness: Readiness,
    tasks: Tasks,
    drain: Arc<Notify>,
    usage: Option<UsageFile>,
    notifier: Notifier,
    #[cfg(feature = "otlp")]
    spans: Option<crate::otlp::Spans>,
}

/// Sends a test word to each receiver of a configuration, and says what became of it.
///
/// # Errors
/// TLS or a runtime can't be had.
pub fn test_words(config: &Config) -> Result<Vec<Tried>, RunError> {
    let telemetry = Telemetry::new(&config.telemetry);
    let notifier = Notifier::new(config.notify.clone(), telemetry).map_err(StartError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(notifier.test()))
}

/// Reads the journal to explain a decision: its newest files only, as more would take the memory that streams need.
fn explainer(config: &Config) -> Option<admin::Explain> {
    const MOST: u64 = 64 << 20;
    let dir = config.journal.dir.clone()?;
    Some(admin::Explain::new(move |id| {
        let reading = journal::Reading::of_newest(&dir, MOST)
            .map_err(|error| format!("The journal can't be read: {error}."))?;
        crate::replay::explain(&reading, clock::now(), id)
            .map(|told| told.text())
            .ok_or_else(|| {
                "It is not in the newest part of the journal, or not yet written.".to_owned()
            })
    }))
}

// === impl Built ===

impl Built {
    /// Writes down what users have used. A disk that hangs may not keep a second signal from being heard.
    async fn save_usage(&self, last: bool) {
        let Some(file) = self.usage.clone() else {
            return;
        };
        let gate = self.gate.clone();
        tokio::task::spawn_blocking(move || control::write_usage(&gate, &file, last))
            .await
            .ok();
    }
}

// === impl Bound ===

impl Bound {
    /// Builds every part and binds both listeners.
    ///
    /// # Errors
    /// An address can't be had, or TLS can't be set up.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let node = config.nodes.first().ok_or(StartError::NoNode)?;
        let api = Api::new(node)?;
        let telemetry = Telemetry::new(&config.telemetry);
        let now = clock::now();
        let (gate, ends) = Gate::new(now, config.policy.clone(), telemetry.clone());
        #[cfg(feature = "otlp")]
        let spans = crate::otlp::Spans::start(&telemetry)?;
        let notifier = Notifier::new(config.notify.clone(), telemetry.clone())?;
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let proxy = Proxy::new(Parts {
            node: Node::new(node, api.clone()),
            settings: config.proxy.clone(),
            gate: gate.clone(),
            telemetry: telemetry.clone(),
            client: hop::Client::new(config.hop.timeouts.clone()),
            tasks: tasks.clone(),
        });
        let listen = config.hop.listen.to_string();
        let hop =
            hop::Bound::bind(config.hop.clone()).map_err(|e| StartError::Listen(listen, e))?;
        let admin = admin::bind(&config.admin)
            .map_err(|e| StartError::AdminListen(config.admin.listen, e))?;
        // Only once the addresses are ours: a process that can't start leaves no file.
        match Journal::begin(
            &config.journal,
            now,
            clock::wall(),
            &config.policy,
            telemetry.clone(),
        ) {
            Ok(Some(journal)) => {
                journal.note(now, Note::config_taken(config.effective.as_yaml()));
                gate.record_to(journal);
            }
            Ok(None) => {}
            // Nobody waits for a film because of a full disk.
            Err(error) => {
                telemetry.journal_failed(0);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "There is no journal: decisions can't be explained or replayed");
            }
        }
        let usage = config.state_dir.as_deref().map(UsageFile::in_directory);
        if let Some(file) = &usage {
            gate.restore_usage(file.load());
        }
        control::tell_date(&gate);
        telemetry.reloaded(true, clock::wall());
        let parts = Built {
            gate,
            proxy: Arc::new(proxy),
            telemetry,
            readiness: Readiness::new(),
            tasks,
            drain: Arc::new(Notify::new()),
            usage,
            notifier,
            #[cfg(feature = "otlp")]
            spans,
        };
        Ok(Self {
            config,
            hop,
            admin,
            parts,
            api,
            ends,
        })
    }

    /// Starts the loops and both listeners.
    ///
    /// # Errors
    /// The admin thread can't be had.
    pub fn serve(self) -> Result<Running, StartError> {
        let Self {
            config,
            hop,
            admin,
            parts,
            api,
            ends,
        } = self;
        let (address, admin_address) = (hop.address(), admin.address());
        let Built {
            gate,
            proxy,
            telemetry,
            readiness,
            tasks,
            drain,
            usage,
            notifier,
            ..
        } = &parts;

        let timers = gate.clone();
        tasks.spawn_loop(async move { timers.run_timers().await });
        tasks.spawn_loop(control::keep_time(gate.clone()));
        if let Some(file) = usage {
            tasks.spawn_loop(control::keep_usage(gate.clone(), file.clone()));
        }
        tasks.spawn_loop(crate::proxy::measure(proxy.clone()));
        let speaker = proxy.clone();
        tasks.spawn_loop(control::end_jobs(api.clone(), ends, move |end| {
            speaker.notice_of(end)
        }));
        let encoder = proxy.clone();
        tasks.spawn_loop(control::reconcile(
            api.clone(),
            gate.clone(),
            telemetry.clone(),
            config.control.clone(),
            move || encoder.encoding(),
        ));
        let least_free = config.nodes.first().map_or(0, |node| node.disk_free);
        tasks.spawn_loop(control::watch_disk(
            api.clone(),
            telemetry.clone(),
            config.control.disk_poll,
            least_free,
        ));
        let base_url = config
            .nodes
            .first()
            .map(|node| node.base_url.clone())
            .unwrap_or_default();
        let learner = proxy.clone();
        tasks.spawn_loop(control::watch_server(
            api.clone(),
            base_url,
            telemetry.clone(),
            move |d, e| learner.learn(d, e),
        ));

        let seen = (gate.clone(), telemetry.clone());
        let look = move || Seen::of(&seen.0.snapshot(), &seen.1);
        tasks.spawn_loop(notifier.clone().run(tasks.clone(), look));

        let asked = drain.clone();
        let handles = Handles {
            gate: gate.clone(),
            telemetry: telemetry.clone(),
            readiness: readiness.clone(),
            keyless: config
                .nodes
                .iter()
                .filter(|n| n.api_key.is_none())
                .map(|n| n.node.clone())
                .collect(),
            drain: Arc::new(move || asked.notify_one()),
            message: messenger(api, tasks.clone()),
            explain: gate.journal().and(explainer(&config)),
        };
        let admin = admin
            .serve(handles)
            .map_err(|e| StartError::AdminListen(admin_address, e))?;
        let hop = hop.serve(proxy.clone());
        readiness.listening();
        Ok(Running {
            hop,
            admin,
            built: parts,
            address,
            admin_address,
            drain_delay: config.drain_delay,
            drain_limit: config.drain_limit,
        })
    }
}

/// Sends an operator's message on the runtime that the client for calls belongs to.
fn messenger(api: Api, tasks: Tasks) -> Arc<dyn Fn(admin::Message) -> admin::Sent + Send + Sync> {
    Arc::new(move |message| {
        let api = api.clone();
        let sent = tasks.spawn(async move {
            control::message(&api, &message.user, &message.device, &message.text).await
        });
        Box::pin(async move {
            match sent.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(why)) => Err(why),
                Err(_) => Err("Finweir is stopping".to_owned()),
            }
        })
    })
}

// === impl Running ===

impl Running {
    /// The address of the data path; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The address of the admin side.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The gate, for the demo and for tests.
    pub fn gate(&self) -> &Gate {
        &self.built.gate
    }

    /// What was counted, for the demo and for tests.
    pub fn telemetry(&self) -> &Telemetry {
        &self.built.telemetry
    }

    /// Puts a new configuration in force, as far as that needs no restart.
    pub fn apply(&self, config: &Config) {
        self.built.apply(config);
    }

    /// Returns when somebody has asked for a drain on the admin side.
    pub async fn drain_asked(&self) {
        self.built.drain.notified().await;
    }

    /// A handle that reloads from `source` when told to, or when a file changes.
    pub fn reloader(&self, source: Source, config: Config) -> Reload {
        Reload::new(self.built.clone(), source, config)
    }

    /// Stops: `/ready` says no, then the listener closes, streams finish within the limit, what is left is cut.
    /// Returns how many connections were cut.
    pub async fn drain(self) -> usize {
        self.built.readiness.draining();
        tracing::info!(
            delay_s = self.drain_delay.as_secs(),
            limit_s = self.drain_limit.as_secs(),
            "Draining"
        );
        // Who is told twice to stop does not come to the end of this.
        self.built.save_usage(false).await;
        tokio::time::sleep(self.drain_delay).await;
        self.built.gate.drain();
        let cut = self.hop.drain(self.drain_limit).await;
        self.built.tasks.join(Duration::from_secs(5)).await;
        self.built.tasks.end_loops();
        self.built.save_usage(true).await;
        #[cfg(feature = "otlp")]
        if let Some(spans) = self.built.spans {
            spans.end().await;
        }
        self.admin.stop().await;
        if let Some(journal) = self.built.gate.journal().cloned() {
            journal.note(clock::now(), Note::Stopped);
            // It waits for a disk.
            tokio::task::spawn_blocking(move || journal.flush())
                .await
                .ok();
        }
        tracing::info!(cut, "Stopped");
        cut
    }
}

// === impl Built ===

impl Built {
    /// Nodes stay until a restart, and so do the GPUs they encode on: both are wired into the data path.
    fn apply(&self, config: &Config) {
        let now = self.gate.policy();
        let mut policy = config.policy.as_ref().clone();
        if policy
            .nodes
            .iter()
            .map(|n| &n.id)
            .ne(now.nodes.iter().map(|n| &n.id))
        {
            policy.nodes.clone_from(&now.nodes);
            let lost = now
                .gpus
                .iter()
                .filter(|gpu| now.nodes.iter().any(|n| n.gpu == gpu.id));
            for gpu in lost {
                if !policy.gpus.iter().any(|g| g.id == gpu.id) {
                    policy.gpus.push(gpu.clone());
                }
            }
        }
        if let Some(journal) = self.gate.journal() {
            journal.note(clock::now(), Note::config_taken(config.effective.as_yaml()));
        }
        self.gate.set_policy(Arc::new(policy));
        self.proxy.set_settings(config.proxy.clone());
        self.notifier.apply(config.notify.clone());
    }
}
