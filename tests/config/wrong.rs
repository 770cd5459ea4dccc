//! What is wrong with a file, and what is only worth a warning.

use std::{
    fs,
    path::{Path, PathBuf},
};

use finweir::config::{Config, Environment};
use proptest::prelude::*;

use super::{environment, mistakes, warnings};

/// Each `tests/config/NAME.yaml` gives exactly the messages in `NAME.expected`.
#[test]
fn bad_files_are_told_all_their_mistakes() {
    let mut names: Vec<PathBuf> = fs::read_dir("tests/config")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    let mut wrong = String::new();
    for path in names {
        let said = Config::load(Some(&path), &Environment::default())
            .unwrap_err()
            .to_string()
            + "\n";
        let expected = path.with_extension("expected");
        if std::env::var_os("FINWEIR_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong += &format!("== {}\n{said}", path.display());
        }
        assert!(
            !said.contains("topsecret") && !said.contains("secretpassword"),
            "{said}"
        );
    }
    assert!(wrong.is_empty(), "differ from .expected:\n{wrong}");
}

#[test]
fn a_quota_that_a_restart_would_forget_is_a_warning() {
    let quota = "users: {default: {quota: {plays: 20/week}}}";
    let said = warnings(quota);
    assert!(
        said.contains("f.yaml:1") && said.contains("state.dir"),
        "{said}"
    );
    assert!(!warnings(&format!("{quota}\nstate: {{dir: state}}")).contains("quota"));
    // systemd may name several.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.yaml");
    fs::write(&path, quota).unwrap();
    let given = environment(&[("STATE_DIRECTORY", "/var/lib/finweir:/var/lib/other")]);
    let loaded = Config::load(Some(&path), &given).unwrap();
    assert!(!loaded.warnings.iter().any(|w| w.problem.contains("quota")));
    assert_eq!(
        loaded.config.state_dir.as_deref(),
        Some(Path::new("/var/lib/finweir"))
    );
}

#[test]
fn what_is_allowed_but_not_meant_is_a_warning() {
    let said = warnings(
        "jellyfin: {url: 'http://a', api_key: k}\n\
         queue: {max_wait: 25s}\n\
         gpus: [{name: n, profile: nvidia-ada, low_power: off}, {name: spare, capacity: 3, profile: software}]\n\
         limits: {transcodes: 3}\n\
         users: {default: {transcodes: 4, seats: 99}}\n\
         windows: [{name: idle, from: '01:00', to: '02:00'}]\n\
         classes: [{name: family, users: [a], priority: 1, preempt: [default]}]\n\
         preemption: {grace: 30s}\n"
            .replace("api_key: k}", "api_key: k, gpu: n}")
            .as_str(),
    );
    for part in [
        "f.yaml:2:19: queue.max_wait: most players give up after 25s",
        "f.yaml:3:8: gpus[0]: NVIDIA's drivers count sessions",
        "gpus[0].low_power: has no effect",
        "gpus[1]: no Jellyfin server uses `spare`",
        "f.yaml:5:31: users.default.transcodes: is more than `limits.transcodes` (3)",
        "users.default.seats: is more than all GPUs have together",
        "windows[0]: changes nothing",
        "classes[0].preempt: does nothing: it takes 35s",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert_eq!(said.lines().count(), 8, "{said}");
}

#[test]
fn nobody_is_preempted_without_an_api_key() {
    let text = "jellyfin: {url: 'http://a'}\n\
                classes: [{name: family, users: [a], priority: 1, preempt: [default]}]\n";
    assert!(warnings(text).contains("does nothing without an API key"));
    let config = Config::parse_str("f.yaml", text).unwrap().config;
    assert!(config.policy.classes[0].preempt.is_empty());
}

#[test]
fn anchors_and_merge_keys_are_understood() {
    let text = "leases: {reserve: &short 20s, intent: *short}\n\
                gpus:\n  - &card {name: a, profile: intel-uhd770}\n  - {<<: *card, name: b}\n\
                jellyfin: {api_key: k, gpu: b}\n";
    let policy = Config::parse_str("f.yaml", text).unwrap().config.policy;
    assert_eq!(policy.timers.reserve, policy.timers.intent);
    assert_eq!(policy.gpus[1].id.as_str(), "b");
    assert_eq!(policy.gpus[0].capacity, policy.gpus[1].capacity);
}

#[test]
fn a_file_made_to_exhaust_the_reader_is_refused() {
    let deep = format!("gpus: {}", "[".repeat(100_000));
    assert!(mistakes(&deep).lines().count() >= 1);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let of = format!("*a{}, ", n - 1).repeat(10);
        laughs += &format!("a{n}: &a{n} [{of}]\n");
    }
    assert!(mistakes(&laughs).lines().count() <= 101);
    let many: String = (0..5000).map(|n| format!("key{n}: 1\n")).collect();
    assert!(mistakes(&many).lines().count() <= 201);
}

#[test]
fn a_missing_file_is_a_mistake() {
    let error = Config::load(
        Some(Path::new("/nonexistent.yaml")),
        &Environment::default(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("configuration: /nonexistent.yaml cannot be read: "),
        "{error}"
    );
}

#[test]
fn a_key_that_cannot_be_had_is_said_once_and_not_what_follows_from_it() {
    let text = "jellyfin: {url: 'http://a', api_key: {env: NOT_SET_HERE}}\n\
                gpus: [{name: g, profile: intel-uhd770, capacity: auto}]\n";
    assert_eq!(
        mistakes(text),
        "f.yaml:1:29: jellyfin.api_key: environment variable NOT_SET_HERE is not set"
    );
    let text = "gpus: [{name: g, profile: intel-uhd770, capacity: auto}]\n";
    assert!(mistakes(text).contains("needs an API key"));
}

#[test]
fn finweir_is_not_put_before_itself() {
    for (url, listen, itself) in [
        ("http://127.0.0.1:8097", "127.0.0.1:8097", true),
        ("http://localhost:8097", "0.0.0.0:8097", true),
        ("http://[::1]:8097/jf", "'[::]:8097'", true),
        ("http://10.0.0.2", "10.0.0.2:80", true),
        ("http://127.0.0.1:8096", "127.0.0.1:8097", false),
        ("http://10.0.0.5:8097", "0.0.0.0:8097", false),
        ("http://jellyfin:8097", "0.0.0.0:8097", false),
        ("unix:/run/jellyfin.sock", "127.0.0.1:8097", false),
    ] {
        let text = format!(
            "jellyfin: {{url: '{url}', api_key: k}}\nserver: {{listen: {listen}}}\n\
             gpus: [{{name: g, profile: intel-uhd770}}]\n"
        );
        let said = Config::parse_str("f.yaml", &text).err();
        let said = said.map_or_else(String::new, |mistakes| mistakes.to_string());
        let place = "f.yaml:1:17: jellyfin.url: is the address of `server.listen`";
        assert_eq!(said.starts_with(place), itself, "{text}{said}");
        assert_eq!(said.is_empty(), !itself, "{text}{said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is cut out of or put into a file: no panic, no secret in a message.
    #[test]
    fn no_damage_makes_it_panic_or_tell_a_secret(at in 0usize..2000, cut in 0usize..40, put in "[-:{}\\[\\]#&*!|>'\"%@`, \ta-z0-9\n]{0,6}") {
        let text = fs::read_to_string("config/example.yaml").unwrap()
            .replace("{env: JELLYFIN_API_KEY}", "hushhushhush");
        let chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let damaged: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[(at + cut).min(chars.len())..].iter().copied()).collect();
        let said = match Config::parse_str("f.yaml", &damaged) {
            Ok(loaded) => format!("{:?}", loaded.warnings),
            Err(mistakes) => mistakes.to_string(),
        };
        prop_assert!(!said.contains("hush"), "{}", said);
    }
}
