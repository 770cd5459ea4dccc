//! Turns YAML into each module's settings. Nobody below this layer names it.
//!
//! Layers, lowest first: the built-in defaults, the file, `conf.d/*.yaml` beside it, environment variables
//! `FINWEIR__SECTION__KEY`, options of the command line. All mistakes are found at once, each with its place.

mod file;
mod journal;
mod layers;
mod names;
mod place;
mod print;
mod profile;
mod quota;
mod read;
mod secret;
mod texts;
mod tree;
mod units;
mod validate;
mod word;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::{file::File, layers::Layers, read::read, units::NEVER, validate::Build};
pub use self::{
    layers::{Environment, Flag},
    place::{Mistake, Mistakes, Place},
    print::{Effective, SECTIONS, Section},
    units::duration,
};
use crate::{
    admin,
    admission::{Policy, Seats},
    control, hop, notify, proxy, telemetry, upstream,
};

/// `config/default.yaml`: every key, its default, and what it does.
pub const DEFAULT_YAML: &str = include_str!("../config/default.yaml");

/// What the program runs on: validated, nothing optional that has a default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data path's listener and wire.
    pub hop: hop::Settings,
    /// The Jellyfin servers, in the order of [`Policy::nodes`].
    pub nodes: Vec<upstream::Settings>,
    /// Everything the core decides by.
    pub policy: Arc<Policy>,
    /// How requests are judged and refused.
    pub proxy: proxy::Settings,
    /// The loops beside the data path.
    pub control: control::Settings,
    /// Logs and metrics.
    pub telemetry: telemetry::Settings,
    /// What is written down of every decision.
    pub journal: crate::journal::Settings,
    /// Whom the operator wants told, and of what.
    pub notify: notify::Settings,
    /// The admin listener.
    pub admin: admin::Settings,
    /// Where what must outlive a restart is kept.
    pub state_dir: Option<PathBuf>,
    /// Between `/ready` going 503 and the listener closing.
    pub drain_delay: Duration,
    /// How long streams may finish after the listener has closed.
    pub drain_limit: Duration,
    /// The configuration as one YAML, defaults included and secrets masked: to print and to compare.
    pub effective: Effective,
}

/// A configuration, and what a person should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run on.
    pub config: Config,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Mistake>,
    /// Files and directories it was read from: a change of one asks for a reload.
    pub sources: Vec<PathBuf>,
}

// === impl Config ===

impl Config {
    /// Reads a file, or without one only the environment.
    ///
    /// # Errors
    /// Everything that is wrong, in the order it was written.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Mistakes> {
        Self::load_with(path, environment, &[])
    }

    /// As [`Config::load`], with options of the command line on top.
    ///
    /// # Errors
    /// Everything that is wrong, in the order it was written.
    pub fn load_with(
        path: Option<&Path>,
        environment: &Environment,
        flags: &[Flag],
    ) -> Result<Loaded, Mistakes> {
        let mut layers = Layers::default();
        if let Some(path) = path {
            layers.add_files(path);
        }
        layers.add_environment(environment);
        layers.add_flags(flags);
        let directory = path.and_then(Path::parent).map(Path::to_owned);
        assemble(layers, environment, directory.unwrap_or_default())
    }

    /// What `finweir run --jellyfin URL` runs on with no file: it observes, under sane limits. The environment and options
    /// of the command line lie on top.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn observe(
        jellyfin_url: &str,
        environment: &Environment,
        flags: &[Flag],
    ) -> Result<Loaded, Mistakes> {
        let mut layers = Layers::default();
        layers.add_text("observe mode", "mode: observe");
        layers.add_environment(environment);
        layers.add_flags(&[Flag {
            option: "--jellyfin",
            key: "jellyfin.url",
            value: jellyfin_url.to_owned(),
        }]);
        layers.add_flags(flags);
        assemble(layers, environment, PathBuf::new())
    }

    /// Reads a text as if it were a file of this name, with no other layer.
    ///
    /// # Errors
    /// Everything that is wrong, in the order it was written.
    pub fn parse_str(name: &str, text: &str) -> Result<Loaded, Mistakes> {
        let mut layers = Layers::default();
        layers.add_text(name, text);
        assemble(layers, &Environment::default(), PathBuf::new())
    }

    /// The sections in which `new` differs and which a running process does not take over.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        self.effective.needs_restart(&new.effective)
    }

    /// What differs in `new`, one line for each key, secrets masked.
    pub fn changes(&self, new: &Self) -> Vec<String> {
        self.effective.changes(&new.effective)
    }

    /// What the configuration means, in words.
    pub fn summary(&self) -> String {
        print::summary(self)
    }
}

/// The names of the profiles of GPUs.
pub fn profiles() -> Vec<&'static str> {
    profile::Profile::ALL.iter().map(|p| p.as_str()).collect()
}

/// The seats that a profile gives, with the usual headroom taken off. `None`: there is none of this name, or it depends
/// on the cores.
pub fn profile_seats(name: &str) -> Option<Seats> {
    let mut all = profile::Profile::ALL.iter();
    let profile = all.find(|profile| profile.as_str() == name)?;
    (profile.raw() > 0.0).then(|| Seats::from_f64(profile.raw() * 0.85))
}

/// The JSON schema of the YAML.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(File);
    schema.insert("title".to_owned(), "Configuration of Finweir".into());
    serde_json::to_string_pretty(schema.as_value()).map_or_else(|_| String::new(), |s| s + "\n")
}

fn assemble(
    layers: Layers,
    environment: &Environment,
    directory: PathBuf,
) -> Result<Loaded, Mistakes> {
    let mut tree = layers.merged().map_err(|m| Mistakes::new(vec![m]))?;
    let (file, again) = read::<File>(&mut tree);
    let effective = Effective::of(&tree).map_err(|m| Mistakes::new(vec![m]))?;
    let mut build = Build {
        tree: &tree,
        environment,
        directory,
        mistakes: layers.mistakes,
        warnings: Vec::new(),
        sources: layers.sources,
    };
    for mistake in again {
        let known = |m: &Mistake| m.key == mistake.key && m.problem == mistake.problem;
        if !build.mistakes.iter().any(known) {
            build.mistakes.push(mistake);
        }
    }
    let mut config = build.config(file, effective);
    let urls: Vec<_> = config.notify.receivers.iter().enumerate().collect();
    let urls = urls
        .into_iter()
        .map(|(nth, url)| (format!("notify.urls[{nth}]"), Some(url.secret())))
        .collect::<Vec<_>>();
    config.effective.note_secrets(
        config
            .nodes
            .iter()
            .map(|n| (format!("{} api_key", n.node), n.api_key.clone()))
            .chain([("admin.token".to_owned(), config.admin.token.clone())])
            .chain(urls)
            .collect(),
    );
    if build.mistakes.is_empty() {
        Ok(Loaded {
            config,
            warnings: Mistakes::new(build.warnings).0,
            sources: build.sources,
        })
    } else {
        Err(Mistakes::new(build.mistakes))
    }
}
