//! Jellyfin servers and what they encode on: addresses, secrets, seats.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::Build;
use crate::{
    admission::{self, Gpu, Mode, Seats},
    config::{
        file,
        place::{did_you_mean, listed},
        profile::{LOW_POWER_OFF, Profile, SEATS_PER_CORE},
        secret::{Secret, SecretText},
        tree::steps,
        units::Capacity,
    },
    hop::{Address, Origin},
    ident::{GpuId, NodeId, Token},
    upstream,
};

/// Kept free of what a profile promises; a stated number is taken as it is.
const HEADROOM: f64 = 0.15;
/// Assumed where no GPU is named.
pub(in crate::config) const ASSUMED: Profile = Profile::IntelUhd730;
const LONGEST_SECRET: usize = 4096;

impl Build<'_> {
    /// The GPUs; one is assumed if none is named.
    pub(super) fn gpus(&mut self, written: Vec<file::Gpu>, cost: Option<&file::Cost>) -> Vec<Gpu> {
        let mut written = written;
        if written.is_empty() {
            self.warn(
                "gpus",
                format!(
                    "no GPU is named, so one like `{}` is assumed; name yours, its profile says how much it can bear",
                    ASSUMED.as_str()
                ),
            );
            written.push(file::Gpu {
                name: Some("gpu".to_owned()),
                profile: Some(ASSUMED),
                ..file::Gpu::default()
            });
        }
        let usual = admission::CostModel::default().tone_map;
        let tone_map = cost.and_then(|c| c.tone_map).unwrap_or(usual);
        let mut taken = BTreeMap::new();
        written
            .into_iter()
            .enumerate()
            .map(|(nth, gpu)| {
                let entry = self.entry("gpus", nth);
                let name = self.name(&entry, gpu.name.as_deref(), &mut taken);
                let (capacity, learn) = self.capacity(&entry, &gpu);
                let max_sessions = gpu.max_sessions.and_then(|l| l.0);
                if gpu.max_sessions.is_none() && gpu.profile.is_some_and(Profile::counts_sessions) {
                    self.warn(
                        &entry,
                        "NVIDIA's drivers count sessions (8 before 590, 12 since; professional cards are not counted): set `max_sessions`",
                    );
                }
                if max_sessions == Some(0) {
                    self.wrong(&format!("{entry}.max_sessions"), "must be at least 1, or `unlimited`");
                }
                Gpu {
                    id: GpuId::new(name),
                    capacity,
                    max_sessions,
                    tone_map: gpu.profile.map_or(tone_map, Profile::tone_map),
                    learn,
                    mode: gpu.mode.map_or(Mode::Enforce, Mode::from),
                }
            })
            .collect()
    }

    /// Seats that may be handed out, and whether they are learned.
    fn capacity(&mut self, entry: &str, gpu: &file::Gpu) -> (Seats, bool) {
        let written = gpu.capacity.unwrap_or(Capacity::Profile);
        if gpu.cores.is_some() && gpu.profile != Some(Profile::Software) {
            self.warn(
                &format!("{entry}.cores"),
                "counts only with `profile: software`",
            );
        }
        let by_profile = match (gpu.profile, gpu.cores) {
            (Some(Profile::Software), Some(cores)) => Some(f64::from(cores) * SEATS_PER_CORE),
            (Some(Profile::Software), None) | (None, _) => None,
            (Some(profile), _) => Some(profile.raw()),
        };
        let (raw, learn, headroom) = match (written, by_profile) {
            (Capacity::Seats(seats), _) => (Some(seats), false, 0.0),
            (Capacity::Profile, raw) => (raw, false, HEADROOM),
            (Capacity::Auto, raw) => (raw, true, HEADROOM),
        };
        let Some(raw) = raw else {
            self.wrong(
                entry,
                if gpu.profile.is_some() {
                    "with `profile: software` needs `cores` (physical ones), or a `capacity` in seats"
                } else {
                    "needs a `profile`, or a `capacity` in seats"
                },
            );
            return (Seats::from_f64(1.0), learn);
        };
        let low_power = match (gpu.low_power, gpu.profile) {
            (Some(false), Some(profile)) if profile.has_low_power() => {
                if matches!(written, Capacity::Seats(_)) {
                    1.0
                } else {
                    LOW_POWER_OFF
                }
            }
            (Some(_), profile) if !profile.is_some_and(Profile::has_low_power) => {
                self.warn(
                    &format!("{entry}.low_power"),
                    "has no effect: only integrated Intel profiles have low-power encoders",
                );
                1.0
            }
            _ => 1.0,
        };
        let headroom = gpu.headroom.map_or(headroom, |p| p.0);
        let seats = raw * low_power * (1.0 - headroom);
        if seats < 0.25 {
            let key = if gpu.headroom.is_some() {
                format!("{entry}.headroom")
            } else {
                entry.to_owned()
            };
            self.wrong(
                &key,
                "leaves less than a quarter of a seat: nothing could be transcoded",
            );
        }
        (Seats::from_f64(seats), learn)
    }

    /// The Jellyfin servers, for the core and for those who call them.
    pub(super) fn nodes(
        &mut self,
        one: Option<file::Jellyfin>,
        several: Option<Vec<file::Node>>,
        gpus: &[Gpu],
    ) -> (Vec<admission::Node>, Vec<upstream::Settings>) {
        let alone = several.as_ref().is_none_or(Vec::is_empty);
        if one.is_some() && !alone {
            self.wrong(
                "jellyfin",
                "`jellyfin` is for one server and `nodes` for several; keep one of them",
            );
        }
        let listed = if alone {
            let one = one.unwrap_or_default();
            vec![file::Node {
                name: Some("jellyfin".to_owned()),
                url: Some(
                    one.url
                        .unwrap_or_else(|| "http://127.0.0.1:8096".to_owned()),
                ),
                api_key: one.api_key,
                api_key_file: one.api_key_file,
                gpu: one.gpu,
                ca_file: one.ca_file,
                timeout: one.timeout,
                disk_free: one.disk_free,
            }]
        } else {
            several.unwrap_or_default()
        };
        let names: Vec<String> = gpus.iter().map(|g| g.id.to_string()).collect();
        let mut taken = BTreeMap::new();
        let (mut nodes, mut upstreams) = (Vec::new(), Vec::new());
        for (nth, node) in listed.into_iter().enumerate() {
            let entry = if alone {
                "jellyfin".to_owned()
            } else {
                self.entry("nodes", nth)
            };
            let name = if alone {
                "jellyfin".to_owned()
            } else {
                self.name(&entry, node.name.as_deref(), &mut taken)
            };
            let gpu = self.gpu_of(&entry, node.gpu.as_deref(), &names);
            let mistakes = self.mistakes.len();
            let key = self.secret(
                &format!("{entry}.api_key"),
                node.api_key,
                node.api_key_file,
                &format!("{name}-api-key"),
            );
            let learns = gpus.iter().position(|g| g.id.as_str() == gpu && g.learn);
            // A key that can't be had is said once; what would follow from it is not.
            let absent = key.is_none() && self.mistakes.len() == mistakes;
            match (absent, learns) {
                (true, Some(nth)) => {
                    let of = self.entry("gpus", nth);
                    self.wrong(
                        &format!("{of}.capacity"),
                        format!("`auto` learns from what `{name}` says is running, which needs an API key: set `{entry}.api_key`, or write `profile`"),
                    );
                }
                (true, None) => self.warn(
                    &entry,
                    "no API key: what runs can't be compared with Jellyfin, nor files be looked up; make one in Jellyfin's dashboard and set `api_key_file`",
                ),
                (false, _) => {}
            }
            let timeout = node.timeout.map_or(Duration::from_secs(10), |s| s.0);
            if timeout < Duration::from_millis(100) {
                self.wrong(&format!("{entry}.timeout"), "must be at least 100ms");
            }
            let disk_free = self.disk_free(&entry, node.disk_free, key.is_some());
            let ca_file = node.ca_file.map(|path| self.path(path));
            nodes.push(admission::Node {
                id: NodeId::new(&name),
                gpu: GpuId::new(gpu),
            });
            if let Some((origin, base_url, url)) =
                self.origin(&entry, &name, node.url.as_deref(), ca_file.as_deref())
            {
                upstreams.push(upstream::Settings {
                    node: NodeId::new(name),
                    origin,
                    url,
                    base_url,
                    api_key: key,
                    ca_file,
                    timeout,
                    disk_free,
                });
            }
        }
        if nodes.len() > 1 {
            let second = self.entry("nodes", 1);
            self.wrong(
                &second,
                "this version serves one Jellyfin server; run one Finweir for each",
            );
        }
        for (nth, gpu) in gpus.iter().enumerate() {
            if !nodes.iter().any(|n| n.gpu == gpu.id) {
                let entry = self.entry("gpus", nth);
                self.warn(&entry, format!("no Jellyfin server uses `{}`", gpu.id));
            }
        }
        (nodes, upstreams)
    }

    fn gpu_of(&mut self, entry: &str, written: Option<&str>, names: &[String]) -> String {
        match (written, names) {
            (Some(name), _) => {
                self.known(&format!("{entry}.gpu"), "gpu", "gpus", name, names);
                name.to_owned()
            }
            (None, [only]) => only.clone(),
            (None, _) => {
                let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
                names.sort_unstable();
                names.dedup();
                self.wrong(
                    entry,
                    format!("needs a `gpu`, as there are several: {}", listed(&names)),
                );
                names.first().map_or_else(String::new, |n| (*n).to_owned())
            }
        }
    }

    /// Reads `http://host:port/base`, `https://…` or `unix:/path`.
    fn origin(
        &mut self,
        entry: &str,
        name: &str,
        url: Option<&str>,
        ca_file: Option<&Path>,
    ) -> Option<(Origin, String, String)> {
        let key = format!("{entry}.url");
        let Some(url) = url else {
            self.wrong(entry, "needs a `url`, such as `http://127.0.0.1:8096`");
            return None;
        };
        if let Some(path) = url.strip_prefix("unix:") {
            if !path.starts_with('/') {
                self.wrong(
                    &key,
                    "must name the socket by its whole path: `unix:/run/jellyfin.sock`",
                );
                return None;
            }
            return Some((
                Origin::new(name, Address::Unix(PathBuf::from(path))),
                String::new(),
                url.to_owned(),
            ));
        }
        let Ok(uri) = url.parse::<http::Uri>() else {
            self.wrong(&key, "must be a URL such as `http://127.0.0.1:8096`");
            return None;
        };
        let scheme = uri
            .scheme_str()
            .filter(|_| uri.host().is_some_and(|h| !h.is_empty()));
        let Some(scheme @ ("http" | "https")) = scheme else {
            let hint = scheme.map_or_else(String::new, |s| did_you_mean(s, ["http", "https"]));
            self.wrong(
                &key,
                format!("must begin with `http://`, `https://` or `unix:/`{hint}"),
            );
            return None;
        };
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            self.wrong(&key, "must not hold a user or password; use `api_key_file`");
            return None;
        }
        if uri.query().is_some() {
            self.wrong(&key, "must not have a query; only the base path that Jellyfin is set to may follow the port");
            return None;
        }
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let base_url = uri.path().trim_end_matches('/').to_owned();
        let address = if scheme == "https" {
            Address::Tls {
                host,
                port: uri.port_u16().unwrap_or(443),
                config: self.tls(entry, ca_file)?,
            }
        } else {
            if ca_file.is_some() {
                self.warn(&format!("{entry}.ca_file"), "counts only with `https://`");
            }
            Address::Tcp {
                host,
                port: uri.port_u16().unwrap_or(80),
            }
        };
        Some((
            Origin::new(name, address),
            base_url,
            url.trim_end_matches('/').to_owned(),
        ))
    }

    fn tls(&mut self, entry: &str, ca_file: Option<&Path>) -> Option<Arc<rustls::ClientConfig>> {
        let mut roots: rustls::RootCertStore =
            webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        if let Some(path) = ca_file {
            let key = format!("{entry}.ca_file");
            let certificates: Result<Vec<_>, _> =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            match certificates {
                Ok(certificates) if !certificates.is_empty() => {
                    if roots.add_parsable_certificates(certificates).0 == 0 {
                        self.wrong(&key, "holds no certificate that can be trusted as a root");
                    }
                }
                Ok(_) => self.wrong(
                    &key,
                    format!("{} holds no certificate in PEM form", path.display()),
                ),
                Err(error) => {
                    self.wrong(&key, format!("{} cannot be read: {error}", path.display()));
                }
            }
            self.sources.push(path.to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|c| c.with_root_certificates(roots).with_no_client_auth());
        match config {
            Ok(config) => Some(Arc::new(config)),
            Err(error) => {
                self.wrong(
                    &format!("{entry}.url"),
                    format!("TLS is not available: {error}"),
                );
                None
            }
        }
    }

    /// Finds a secret: text, variable, file, or a credential that systemd handed over.
    pub(super) fn secret(
        &mut self,
        key: &str,
        written: Option<Secret>,
        file: Option<PathBuf>,
        credential: &str,
    ) -> Option<Token> {
        let file_key = format!("{key}_file");
        if written.is_some() && file.is_some() {
            let name = key.rsplit('.').next().unwrap_or(key);
            self.wrong(
                &file_key,
                format!("`{name}` and `{name}_file` are both there; keep one of them"),
            );
            return None;
        }
        let credentials = self
            .environment
            .get("CREDENTIALS_DIRECTORY")
            .map(PathBuf::from);
        let (text, key) = match (written, file) {
            (Some(Secret(SecretText::Plain(text))), _) => (text, key.to_owned()),
            (Some(Secret(SecretText::Env(name))), _) => match self.environment.get(&name) {
                Some(text) => (text.to_owned(), key.to_owned()),
                None => {
                    self.wrong(key, format!("environment variable {name} is not set"));
                    return None;
                }
            },
            (None, Some(path)) => {
                let handed = credentials
                    .map(|c| c.join(&path))
                    .filter(|p| path.components().count() == 1 && p.is_file());
                (
                    self.read_secret(&file_key, &handed.unwrap_or_else(|| self.path(path)))?,
                    file_key,
                )
            }
            (None, None) => {
                let path = credentials?.join(credential);
                if !path.is_file() {
                    return None;
                }
                (self.read_secret(key, &path)?, key.to_owned())
            }
        };
        let text = text.trim();
        if text.is_empty()
            || text.len() > LONGEST_SECRET
            || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            self.wrong(&key, "must be one word of visible ASCII characters");
            return None;
        }
        Some(Token::new(text))
    }

    fn read_secret(&mut self, key: &str, path: &Path) -> Option<String> {
        self.sources.push(path.to_owned());
        match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong(key, format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }

    /// A relative path starts at the file's directory.
    fn path(&self, path: PathBuf) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether a key was written at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.tree
            .at(&steps(key))
            .is_some_and(|n| super::written(&n.place))
    }
}
