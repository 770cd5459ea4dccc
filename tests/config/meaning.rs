//! What a good file means.

use std::{fs, path::Path};

use finweir::{
    admission::{Mode, Reason},
    config::{Config, DEFAULT_YAML, Environment},
};

use super::{settings, warnings};

#[test]
fn every_refusal_has_a_short_text_in_english_and_german() {
    let texts = Config::parse_str("f.yaml", "").unwrap().config.proxy.texts;
    for reason in Reason::ALL {
        let texts = ["en", "de"].map(|language| texts.get(Some(language), *reason));
        if !reason.refuses() {
            assert_eq!(texts, [None, None], "{reason}");
            continue;
        }
        let [english, german] = texts.map(Option::unwrap);
        assert_ne!(english, german);
        assert!(english.len() < 200 && german.len() < 200, "{reason}");
    }
}

#[test]
fn quotas_are_laid_over_each_other_measure_by_measure() {
    let text = "users: {default: {quota: {gpu_time: '3h/day, 12h/week', plays: 20/week}}, \
                rules: [{user: alice, quota: {gpu_time: unlimited, bytes: 50GB/day}}]}\n\
                classes: [{name: guests, users: ['g*'], user: {quota: {plays: 1/day}}}]\nstate: {dir: /var/lib/f}";
    let loaded = Config::parse_str("f.yaml", text).unwrap();
    assert!(!warnings(text).contains("quota"));
    assert_eq!(
        loaded.config.state_dir.as_deref(),
        Some(Path::new("/var/lib/f"))
    );
    let policy = &loaded.config.policy;
    let told = |limits: &finweir::admission::UserLimits| -> Vec<(&str, &str, u64)> {
        let of = |q: &finweir::admission::Quota| (q.measure.as_str(), q.period.as_str(), q.limit);
        limits.quotas.iter().map(of).collect()
    };
    let hour = 3600 * finweir::admission::GPU_SECOND;
    let usual = [
        ("gpu-time", "day", 3 * hour),
        ("gpu-time", "week", 12 * hour),
        ("plays", "week", 20),
    ];
    assert_eq!(told(&policy.user), usual);
    assert_eq!(
        told(&policy.users[0].limits),
        [("plays", "week", 20), ("bytes", "day", 50_000_000_000)]
    );
    let guests = policy.classes[0].user.as_ref().unwrap();
    assert_eq!(told(guests), [usual[0], usual[1], ("plays", "day", 1)]);
    assert!(loaded.config.proxy.counts_bytes);
    let summary = loaded.config.summary();
    assert!(
        summary.contains(
            "2 transcodes, 3h of GPU time a day, 12h of GPU time a week, 20 plays a week"
        ),
        "{summary}"
    );
}

#[test]
fn a_number_is_taken_as_it_is_and_a_profile_with_headroom() {
    let capacity = |gpu: &str| {
        let text = format!("jellyfin: {{api_key: k}}\ngpus: [{{name: g, {gpu}}}]\n");
        Config::parse_str("f.yaml", &text)
            .unwrap()
            .config
            .policy
            .gpus[0]
            .capacity
            .milli()
    };
    assert_eq!(capacity("capacity: 3"), 3000);
    assert_eq!(capacity("capacity: 4, headroom: 25%"), 3000);
    assert_eq!(capacity("profile: intel-uhd600"), 6375);
    assert_eq!(capacity("profile: intel-uhd600, headroom: 0%"), 7500);
    assert_eq!(
        capacity("profile: intel-uhd600, low_power: off, headroom: 0%"),
        4500
    );
    assert_eq!(capacity("profile: software, cores: 8, headroom: 0%"), 4000);
    assert_eq!(capacity("profile: intel-uhd770, capacity: auto"), 15_300);
}

#[test]
fn observe_mode_needs_a_url_only() {
    let observe = |url| Config::observe(url, &Environment::default(), &[]);
    let config = observe("http://10.0.0.5:8096/jellyfin/").unwrap().config;
    assert_eq!(config.policy.mode, Mode::Observe);
    assert_eq!(config.nodes[0].base_url, "/jellyfin");
    assert_eq!(config.policy.user.transcodes, Some(2));
    let error = observe("10.0.0.5").unwrap_err().to_string();
    assert_eq!(
        error,
        "from option --jellyfin: jellyfin.url: must begin with `http://`, `https://` or `unix:/`"
    );
}

#[test]
fn urls_become_origins() {
    let node = |url: &str| {
        let text = format!("jellyfin: {{url: '{url}', api_key: k}}\n");
        let mut nodes = Config::parse_str("f.yaml", &text).unwrap().config.nodes;
        nodes.remove(0)
    };
    let finweir::hop::Address::Tcp { host, port } = &node("http://[::1]:8096").origin.0.address
    else {
        panic!("not TCP")
    };
    assert_eq!((host.as_str(), *port), ("::1", 8096));
    let tls = node("https://films.example/base/");
    let finweir::hop::Address::Tls { host, port, .. } = &tls.origin.0.address else {
        panic!("not TLS")
    };
    assert_eq!(
        (host.as_str(), *port, tls.base_url.as_str()),
        ("films.example", 443, "/base")
    );
    assert!(matches!(
        &node("unix:/run/j.sock").origin.0.address,
        finweir::hop::Address::Unix(_)
    ));
}

#[test]
fn a_reload_says_what_changed_and_what_needs_a_restart() {
    let parse = |text: &str| Config::parse_str("f.yaml", text).unwrap().config;
    let old = parse(
        "queue: {length: 8}\nadmin: {token: aaaaaaaaaaaaaaaaaaaa}\ngpus: [{name: a, capacity: 3}]\n",
    );
    let new = parse(
        "queue: {length: 9}\nadmin: {token: bbbbbbbbbbbbbbbbbbbb}\ngpus: [{name: a, capacity: 3}]\nserver: {workers: 3}\n",
    );
    assert_eq!(
        old.changes(&new),
        [
            "queue.length: 8 -> 9",
            "server.workers: auto -> 3",
            "admin.token: (changed)"
        ]
    );
    assert_eq!(old.needs_restart(&new), ["server", "admin"]);
    let judged = parse(
        "queue: {length: 8}\nadmin: {token: aaaaaaaaaaaaaaaaaaaa}\ngpus: [{name: a, capacity: 3}]\nmessages: off\n",
    );
    assert_eq!(old.changes(&judged), ["messages: true -> \"off\""]);
    assert!(old.needs_restart(&judged).is_empty());
    assert!(old.changes(&old).is_empty() && old.needs_restart(&old).is_empty());
    let limits = parse(
        "queue: {length: 9}\nadmin: {token: aaaaaaaaaaaaaaaaaaaa}\ngpus: [{name: a, capacity: 3}]\n",
    );
    assert!(old.needs_restart(&limits).is_empty());
}

#[test]
fn what_check_prints_is_a_configuration() {
    for text in [
        DEFAULT_YAML.to_owned(),
        fs::read_to_string("config/example.yaml").unwrap(),
    ] {
        let text = text.replace("{env: JELLYFIN_API_KEY}", "aa");
        let loaded = Config::parse_str("f.yaml", &text).unwrap();
        let printed = loaded.config.effective.as_yaml().replace("(set)", "aa");
        let again = Config::parse_str("again.yaml", &printed).unwrap();
        assert_eq!(settings(loaded), settings(again), "{printed}");
    }
}

#[test]
fn a_disk_is_watched_unless_that_is_turned_off_and_only_with_an_api_key() {
    let least = |text: &str| {
        let loaded = Config::parse_str("f.yaml", text).unwrap();
        loaded.config.nodes[0].disk_free
    };
    assert_eq!(least("jellyfin: {api_key: k}"), 5_000_000_000);
    assert_eq!(least("jellyfin: {api_key: k, disk_free: 0B}"), 0);
    let own = "nodes: [{name: a, url: 'http://a', api_key: k, disk_free: 20GiB}]";
    assert_eq!(least(own), 20 << 30);
    let text = "jellyfin: {disk_free: 10GB}";
    let said = "f.yaml:1:23: jellyfin.disk_free: does nothing without an API key";
    assert!(warnings(text).contains(said), "{}", warnings(text));
    assert!(!warnings("jellyfin: {api_key: k, disk_free: 10GB}").contains("disk_free"));
}
