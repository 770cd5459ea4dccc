//! Finweir before a simulated Jellyfin, both in this process, on ports that the system chose.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Fault, Play, Relay, Web};
use finweir::{
    admission::{GpuView, LeaseView, Snapshot},
    app::{Bound, Running},
    config::Config,
    hop::Listen,
    sim::{Library, Options, Sim, SimUser, Version},
};

/// The API key that the simulated Jellyfin knows.
const KEY: &str = "simulated-api-key";
/// Whatever is waited for comes within this, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(20);

/// What there is to play: the same ids on both versions.
pub(crate) mod items {
    /// Half an hour of H.264 in MP4: plays directly at a high ceiling.
    pub(crate) const LONG: &str = "31e149f349e25bfb3ef7af02a3d244d7";
    /// A minute of 8 bit HEVC in MP4.
    pub(crate) const HEVC8: &str = "cf9006a2eb52aaf6e1a8feb6a7d5a510";
    /// 4K HDR10 HEVC with E-AC-3.
    pub(crate) const HDR: &str = "dccc157a40d18912b7555ef60c66b1b3";
    /// H.264 and AAC in MP4: plays directly.
    pub(crate) const DIRECT: &str = "59aa3d6210b05f5b98dc522d5b73dfb7";
    /// H.264 and AC-3 in MKV: copied into another container.
    pub(crate) const REMUX: &str = "95af903ab8acb37098b52050ad74023b";
    /// 38 Mbit/s H.264.
    pub(crate) const HEAVY: &str = "dacff066de8493d578b5115be2d2abbb";
    /// H.264 with bitmap subtitles as its third stream.
    pub(crate) const BITMAP_SUBS: &str = "86f1967c19d5e6efb198bdfb75b7771f";
    /// The same in 4K HDR10 HEVC and in 1080p H.264.
    pub(crate) const VERSIONS: &str = "f187e3b074b12618cd1a010f489d1810";
    /// The episodes of a show.
    pub(crate) const EPISODES: [&str; 3] = [
        "9d6b51dcc82d942df7b3fa2201259750",
        "9d307d4e850cb425f4cab62ee0b970a0",
        "3ba090741ee9ccb9223e794fbd4e832d",
    ];
}

/// Changes what a file may not say.
type Tune = Box<dyn Fn(&mut Config)>;

/// How a house is furnished.
pub(crate) struct Setting {
    version: Version,
    sections: BTreeMap<&'static str, String>,
    tunes: Vec<Tune>,
    sim: Options,
    key: bool,
    fault: Option<(&'static str, Fault)>,
}

/// A house: its Jellyfin, and Finweir before it.
pub(crate) struct House {
    pub(crate) version: Version,
    pub(crate) config: Config,
    yaml: String,
    setting: Setting,
    sim: Option<Sim>,
    jellyfin: SocketAddr,
    finweir: Option<Running>,
    relay: Option<Relay>,
    address: SocketAddr,
}

/// Runs a test on both versions of Jellyfin, side by side: most of their time they wait.
pub(crate) async fn both(test: impl AsyncFn(Version)) {
    let (new, old) = (test(Version::V12_0), test(Version::V10_11));
    tokio::join!(Box::pin(new), Box::pin(old));
}

/// Waits until `condition` holds; `what` says what did not happen. It looks again and again: neither the core nor the
/// simulated Jellyfin has an event for all that is waited for here.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let looked = tokio::time::timeout(DEADLINE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    assert!(looked.await.is_ok(), "it never came to this: {what}");
}

// === impl Setting ===

impl Setting {
    /// A GPU of three seats, one transcode for each user, nobody waits, nothing runs from before, and nobody is made
    /// to play the file itself.
    pub(crate) fn of(version: Version) -> Self {
        let sections = [
            ("gpus", "[{name: igpu, capacity: 3}]"),
            ("users", "{default: {transcodes: 1}}"),
            ("starts", "{per_user: unlimited}"),
            ("queue", "{max_wait: 0s}"),
            ("direct_play", "off"),
            ("leases", "{recovery: 0s, linger: 100ms}"),
            (
                "server",
                "{listen: '127.0.0.1:0', workers: 1, drain: {delay: 0s, limit: 2s}}",
            ),
            ("admin", "{listen: '127.0.0.1:0'}"),
        ];
        let names = ["anna", "ben", "carla", "dora", "emil", "fritz"];
        let mut sim = Options {
            version,
            api_key: KEY.to_owned(),
            library: Library::of_version(version),
            ..Options::default()
        };
        sim.users.extend(names.map(|name| SimUser::new(name, "pw")));
        sim.gpu.capacity_seats = 60.0;
        sim.strict = true;
        Self {
            version,
            sections: sections.map(|(name, yaml)| (name, yaml.to_owned())).into(),
            tunes: vec![Box::new(|config: &mut Config| {
                // Shorter than a file may say: Jellyfin is in this process.
                config.control.poll = Duration::from_millis(50);
                config.control.idle_poll = Duration::from_millis(50);
            })],
            sim,
            key: true,
            fault: None,
        }
    }

    /// Writes a section of the file.
    pub(crate) fn set(mut self, section: &'static str, yaml: &str) -> Self {
        self.sections.insert(section, yaml.to_owned());
        self
    }

    /// Changes what the file may not say: timers shorter than is sane outside of a test.
    pub(crate) fn tune(mut self, change: impl Fn(&mut Config) + 'static) -> Self {
        self.tunes.push(Box::new(change));
        self
    }

    /// Finweir gets no API key.
    pub(crate) fn without_key(mut self) -> Self {
        self.key = false;
        self
    }

    /// Jellyfin takes this long for requests whose head contains `what`.
    pub(crate) fn slow(mut self, what: &'static str, delay: Duration) -> Self {
        self.fault = Some((what, Fault::Slow(delay)));
        self
    }

    /// Jellyfin answers the first `times` requests whose head contains `what` with 503.
    pub(crate) fn failing(mut self, what: &'static str, times: usize) -> Self {
        self.fault = Some((what, Fault::Fails(times)));
        self
    }

    /// Requests whose head contains `what` ask for more than they did when they come to Jellyfin.
    pub(crate) fn raising(mut self, what: &'static str) -> Self {
        self.fault = Some((what, Fault::Raises));
        self
    }

    /// The GPU encodes no faster than this: a film is not done at once.
    pub(crate) fn encoding_at(mut self, seats: f64) -> Self {
        self.sim.gpu.capacity_seats = seats;
        self
    }

    /// The channels send a picture of this size.
    pub(crate) fn channels_in(mut self, width: u32, height: u32) -> Self {
        self.sim.library = self.sim.library.with_channels_in(width, height);
        self
    }

    /// The file, for a Jellyfin at this address.
    pub(crate) fn yaml(&self, jellyfin: SocketAddr) -> String {
        let key = if self.key { KEY } else { "null" };
        let mut yaml =
            format!("jellyfin: {{url: 'http://{jellyfin}', api_key: {key}, timeout: 3s}}\n");
        for (section, text) in &self.sections {
            yaml.push_str(&format!("{section}: {text}\n"));
        }
        yaml
    }

    fn config(&self, yaml: &str) -> Config {
        let mut config = match Config::parse_str("house.yaml", yaml) {
            Ok(loaded) => loaded.config,
            Err(mistakes) => panic!("{mistakes}"),
        };
        for tune in &self.tunes {
            tune(&mut config);
        }
        config
    }

    /// Starts the simulated Jellyfin and Finweir before it.
    pub(crate) async fn start(self) -> House {
        let sim = Sim::start(self.sim.clone()).await.unwrap();
        let relay = match self.fault {
            Some((what, fault)) => Some(Relay::start(sim.address(), what, fault).await),
            None => None,
        };
        let before = relay.as_ref().map_or(sim.address(), |relay| relay.address);
        let mut house = self.before(before, Some(sim));
        house.relay = relay;
        until("Finweir has looked at Jellyfin", || {
            let seen = |route: &str| house.sim().log().iter().any(|seen| seen.route == route);
            !house.setting.key || seen("Sessions") && seen("NamedConfiguration")
        })
        .await;
        house
    }

    /// Starts Finweir before another server.
    pub(crate) fn before(self, jellyfin: SocketAddr, sim: Option<Sim>) -> House {
        let yaml = self.yaml(jellyfin);
        let config = self.config(&yaml);
        let running = Bound::bind(config.clone()).unwrap().serve().unwrap();
        let address = running.address().unwrap();
        House {
            version: self.version,
            config,
            yaml,
            setting: self,
            sim,
            jellyfin,
            finweir: Some(running),
            relay: None,
            address,
        }
    }
}

// === impl House ===

impl House {
    /// A house as [`Setting::of`] furnishes it.
    pub(crate) async fn of(version: Version) -> Self {
        Setting::of(version).start().await
    }

    /// Each of these watches a film in a browser, by a transcode.
    pub(crate) async fn occupied_by(&self, names: &[&str]) -> Vec<(Web, Play)> {
        let mut playing = Vec::new();
        for name in names {
            let web = Web::login(self, name, &format!("{name}-laptop")).await;
            let play = web.play(items::LONG).await.playing();
            assert!(play.transcodes);
            playing.push((web, play));
        }
        assert_eq!(self.held() as usize, names.len());
        playing
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The simulated Jellyfin.
    pub(crate) fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    /// Finweir.
    pub(crate) fn finweir(&self) -> &Running {
        self.finweir.as_ref().unwrap()
    }

    /// The file it runs on.
    pub(crate) fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Puts another file in force, as a reload does.
    pub(crate) fn goes_on_with(&self, yaml: &str) {
        self.finweir().apply(&self.setting.config(yaml));
    }

    /// All that is held and waiting.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.finweir().gate().snapshot()
    }

    /// The GPU.
    pub(crate) fn gpu(&self) -> GpuView {
        self.snapshot().gpus[0].clone()
    }

    /// Transcodes that hold seats.
    pub(crate) fn held(&self) -> u32 {
        self.gpu().sessions
    }

    /// Demands that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.snapshot().waiting.len()
    }

    /// The lease of a PlaySession.
    pub(crate) fn lease(&self, session: &str) -> Option<LeaseView> {
        let leases = self.snapshot().leases;
        leases.into_iter().find(|lease| {
            lease
                .session
                .as_ref()
                .is_some_and(|own| own.as_str() == session)
        })
    }

    /// The sum of a metric that counts over all series that carry these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = self.finweir().telemetry().gather();
        let of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels
                    .iter()
                    .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        };
        text.lines()
            .filter(of)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    }

    /// Demands that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.metric("finweir_decisions_total", &[("decision", "reject")])
    }

    /// Demands that were refused for this.
    pub(crate) fn refused_for(&self, reason: &str) -> u64 {
        self.metric(
            "finweir_decisions_total",
            &[("decision", "reject"), ("reason", reason)],
        )
    }

    /// How often Jellyfin was asked for this route.
    pub(crate) fn asked(&self, route: &str) -> usize {
        self.sim()
            .log()
            .iter()
            .filter(|seen| seen.route == route)
            .count()
    }

    /// Finweir stops and starts anew, at the same address.
    pub(crate) async fn restart_finweir(&mut self) {
        self.stop_finweir().await;
        self.start_finweir();
    }

    /// Finweir stops.
    pub(crate) async fn stop_finweir(&mut self) {
        self.finweir.take().unwrap().drain().await;
    }

    /// Finweir starts, at the address that it had.
    pub(crate) fn start_finweir(&mut self) {
        self.config.hop.listen = Listen::Tcp(self.address);
        let running = Bound::bind(self.config.clone()).unwrap().serve().unwrap();
        self.finweir = Some(running);
    }

    /// Jellyfin dies at once.
    pub(crate) fn kill_jellyfin(&mut self) {
        self.sim.take().unwrap().kill();
    }

    /// Jellyfin is there again, with nothing running, at the same address.
    pub(crate) async fn start_jellyfin(&mut self, version: Version) {
        let options = Options {
            version,
            library: Library::of_version(version),
            listen: self.jellyfin,
            ..self.setting.sim.clone()
        };
        self.version = version;
        self.sim = Some(Sim::start(options).await.unwrap());
    }
}
