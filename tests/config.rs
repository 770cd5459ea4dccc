//! The configuration as an operator meets it: good files, bad files, layers, secrets.
#![expect(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use finweir::{
    admission::{Mode, Reason, Seats},
    config::{self, Config, DEFAULT_YAML, Effective, Environment, Flag, Loaded, SECTIONS},
};
use proptest::prelude::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn house() -> Environment {
    environment(&[("JELLYFIN_API_KEY", "the-key")])
}

fn mistakes(text: &str) -> String {
    Config::parse_str("f.yaml", text).unwrap_err().to_string()
}

fn warnings(text: &str) -> String {
    let Loaded { warnings, .. } = Config::parse_str("f.yaml", text).unwrap();
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// All settings but where they were written.
fn settings(loaded: Loaded) -> String {
    let mut config = loaded.config;
    config.effective = Effective::default();
    format!("{config:#?}")
}

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
fn default_yaml_says_what_the_defaults_are() {
    let written = Config::parse_str("default.yaml", DEFAULT_YAML).unwrap();
    let built_in = Config::parse_str("nothing.yaml", "").unwrap();
    assert_eq!(settings(written), settings(built_in));
}

/// The examples in comments become real, and the lists before them open.
fn uncommented() -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in DEFAULT_YAML.lines() {
        match line.strip_prefix('#') {
            Some(example) if example.starts_with("  ") => {
                let before = lines.pop().unwrap();
                lines.push(before.replace(": []", ":").replace(": {} ", ":"));
                lines.push(example.to_owned());
            }
            Some(_) => {}
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// Every key as `gpus[].name`. What is under `texts` has names of the operator's.
fn keys_of(value: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) if path != "texts" && !path.ends_with("api_key") => {
            for (key, member) in members {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                into.insert(path.clone());
                keys_of(member, &path, into);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                keys_of(item, &format!("{path}[]"), into);
            }
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Object(_) => {}
    }
}

fn keys_of_schema(
    root: &serde_json::Value,
    schema: &serde_json::Value,
    path: &str,
    into: &mut BTreeSet<String>,
) {
    if let Some(name) = schema.get("$ref").and_then(|r| r.as_str()) {
        let name = name.strip_prefix("#/$defs/").unwrap();
        keys_of_schema(
            root,
            root.get("$defs").unwrap().get(name).unwrap(),
            path,
            into,
        );
    }
    for choice in ["anyOf", "oneOf"] {
        for part in schema
            .get(choice)
            .and_then(|c| c.as_array())
            .into_iter()
            .flatten()
        {
            if ["api_key", "token", "urls[].url"]
                .iter()
                .all(|secret| !path.ends_with(secret))
            {
                keys_of_schema(root, part, path, into);
            }
        }
    }
    if let Some(items) = schema.get("items") {
        keys_of_schema(root, items, &format!("{path}[]"), into);
    }
    for (key, member) in schema
        .get("properties")
        .and_then(|p| p.as_object())
        .into_iter()
        .flatten()
    {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        into.insert(path.clone());
        if ["api_key", "token", "urls[].url"]
            .iter()
            .all(|secret| !path.ends_with(secret))
        {
            keys_of_schema(root, member, &path, into);
        }
    }
}

#[test]
fn default_yaml_has_every_key_of_the_schema_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    let mut known = BTreeSet::new();
    keys_of_schema(&schema, &schema, "", &mut known);
    let yaml: serde_json::Value = serde_saphyr::from_str(&uncommented()).unwrap();
    let mut listed = BTreeSet::new();
    keys_of(&yaml, "", &mut listed);
    let missing: Vec<_> = known.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in default.yaml: {missing:?}; not in the schema: {unknown:?}"
    );
    assert!(known.len() > 120, "only {} keys were found", known.len());
    let sections: BTreeSet<&str> = SECTIONS.iter().map(|s| s.name).collect();
    let top: BTreeSet<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|k| !k.contains('.'))
        .collect();
    assert_eq!(sections, top);
}

#[test]
fn every_line_of_default_yaml_says_what_it_is_for() {
    for line in DEFAULT_YAML.lines().filter(|l| !l.trim().is_empty()) {
        assert!(
            line.trim_start_matches('#').contains("# ") || line.starts_with("# "),
            "{line}"
        );
    }
}

#[test]
fn the_examples_in_default_yaml_are_right() {
    let said = mistakes(&uncommented());
    // The two ways to name a server, and to give a key, exclude each other; the variable is not set.
    for line in said.lines() {
        assert!(
            line.contains(": jellyfin: ")
                || line.contains(": nodes[0].api_key_file: ")
                || line.contains(": notify.urls[0].url_file: "),
            "{said}"
        );
    }
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let path = "config/finweir.schema.json";
    if std::env::var_os("FINWEIR_BLESS").is_some() {
        fs::write(path, config::schema()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        config::schema(),
        "run: finweir schema > {path}"
    );
}

#[test]
fn the_shipped_files_are_well() {
    for name in ["example", "minimal"] {
        let path = PathBuf::from(format!("config/{name}.yaml"));
        let loaded = Config::load(Some(&path), &house()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert!(loaded.sources.contains(&path));
        assert!(loaded.sources.contains(&PathBuf::from("config/conf.d")));
    }
    let minimal = fs::read_to_string("config/minimal.yaml").unwrap();
    assert!(minimal.lines().count() <= 10);
}

#[test]
fn the_example_means_what_its_comments_say() {
    let config = Config::load(Some(Path::new("config/example.yaml")), &house())
        .unwrap()
        .config;
    let policy = &config.policy;
    assert_eq!(policy.mode, Mode::Enforce);
    let igpu = &policy.gpus[0];
    assert_eq!(
        (igpu.capacity, igpu.learn),
        (Seats::from_milli(14_400), true)
    );
    assert_eq!(policy.users[0].limits.transcodes, Some(4));
    assert_eq!(policy.users[0].limits.seats, None);
    let children = &policy.classes[0];
    assert_eq!(children.user.as_ref().unwrap().transcodes, Some(1));
    assert_eq!(
        children.user.as_ref().unwrap().seats,
        Some(Seats::from_milli(8000))
    );
    assert_eq!(policy.classes.last().unwrap().id.as_str(), "default");
    let bedtime = &policy.windows[0];
    assert_eq!((bedtime.from, bedtime.to), (21 * 60, 6 * 60 + 30));
    assert!(bedtime.days.has(6) && !bedtime.days.has(5));
    let text = config
        .proxy
        .texts
        .get(Some("de-DE,de;q=0.9"), Reason::TimeWindow);
    assert_eq!(text, Some("Es ist spät. Gute Nacht!"));
}

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
fn later_layers_win_and_lists_are_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finweir.yaml");
    let beside = dir.path().join("conf.d");
    fs::create_dir(&beside).unwrap();
    fs::write(
        &file,
        "queue: {length: 1, per_user: 1}\ngpus: [{name: a, capacity: 3}, {name: b, capacity: 4}]\n",
    )
    .unwrap();
    fs::write(beside.join("20.yaml"), "queue: {length: 3}\n").unwrap();
    fs::write(
        beside.join("10.yaml"),
        "queue: {length: 2, max_wait: 7s}\ngpus: [{name: c, capacity: 5}]\n",
    )
    .unwrap();
    fs::write(beside.join("30.txt"), "nonsense").unwrap();
    let variables = environment(&[
        ("FINWEIR__QUEUE__MAX_WAIT", "8s"),
        ("FINWEIR__SERVER__LISTEN", "127.0.0.1:1"),
        ("FINWEIR__SERVER__TRUSTED_PROXIES", "10.0.0.1,10.0.0.2"),
        ("FINWEIR__JELLYFIN__API_KEY", "1234567890123456"),
        ("FINWEIR__CLIENTS", "web"),
    ]);
    let flags = [Flag {
        option: "--listen",
        key: "server.listen",
        value: "127.0.0.1:2".to_owned(),
    }];
    let error = Config::load_with(Some(&file), &variables, &flags)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "from environment variable FINWEIR__CLIENTS: clients[0]: must be a section with the keys client, shape, patience, direct_play"
    );
    let variables: Environment = environment(&[
        ("FINWEIR__QUEUE__MAX_WAIT", "8s"),
        ("FINWEIR__SERVER__LISTEN", "127.0.0.1:1"),
        ("FINWEIR__SERVER__TRUSTED_PROXIES", "10.0.0.1,10.0.0.2"),
        ("FINWEIR__JELLYFIN__API_KEY", "1234567890123456"),
        ("FINWEIR__QUEUE__PER_USER", "4"),
        ("FINWEIR__LIMITS__TRANSCODES", "6"),
        ("FINWEIR__MESSAGES", "off"),
    ]);
    let config = Config::load_with(Some(&file), &variables, &flags)
        .unwrap()
        .config;
    let queue = &config.policy.queue;
    assert_eq!(
        (queue.length, queue.per_user, queue.max_wait.as_secs()),
        (3, 4, 8)
    );
    assert_eq!(config.policy.gpus.len(), 1);
    // A number of seats is meant as it is written.
    assert_eq!(config.policy.gpus[0].capacity, Seats::from_milli(5000));
    assert_eq!(
        config.hop.listen,
        finweir::hop::Listen::Tcp("127.0.0.1:2".parse().unwrap())
    );
    assert_eq!(config.hop.trusted.len(), 2);
    assert_eq!(config.policy.transcodes, Some(6));
    assert!(!config.proxy.messages);
    assert_eq!(
        config.nodes[0].api_key.as_ref().unwrap().expose(),
        "1234567890123456"
    );
}

#[test]
fn a_hidden_mistake_is_found_and_placed_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finweir.yaml");
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(&file, "queue: {length: many}\n").unwrap();
    fs::write(
        dir.path().join("conf.d/a.yaml"),
        "queue: {length: 2}\nnodes: [{url: 'http://x'}]\n",
    )
    .unwrap();
    let error = Config::load(Some(&file), &Environment::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("finweir.yaml:1:17: queue.length: must be a whole number"),
        "{error}"
    );
    assert!(
        error.contains("conf.d/a.yaml:2:9: nodes[0]: needs a `name`"),
        "{error}"
    );
}

#[test]
fn mistakes_in_variables_and_options_say_so() {
    let variables = environment(&[
        ("FINWEIR__QUEUE__LENGHT", "3"),
        ("FINWEIR__QUEUE__MAX_WAIT", "3"),
        ("FINWEIR__GPUS__0__CAPACITY", "3"),
        ("FINWEIR__ADMIN__LISTEN", "0.0.0.0:9097"),
        ("FINWEIR_CAPTURES", "is not ours"),
    ]);
    let flags = [Flag {
        option: "--listen",
        key: "server.listen",
        value: "here".to_owned(),
    }];
    let error = Config::load_with(None, &variables, &flags)
        .unwrap_err()
        .to_string();
    for line in [
        "from environment variable FINWEIR__QUEUE__LENGHT: queue.lenght: unknown key; did you mean `length`?",
        "from environment variable FINWEIR__QUEUE__MAX_WAIT: queue.max_wait: needs a unit: write `3s` or `3m`",
        "from environment variable FINWEIR__GPUS__0__CAPACITY: gpus.0.capacity: entries of the list `gpus` can't be set from the environment; write a file in conf.d",
        "from environment variable FINWEIR__ADMIN__LISTEN: admin.listen: is open to the network, so it needs `admin.token` or `admin.token_file`",
        "from option --listen: server.listen: must be an address and a port such as `127.0.0.1:9097` (names are not looked up; all addresses: `0.0.0.0` or `[::]`)",
    ] {
        assert!(error.lines().any(|l| l == line), "no `{line}` in:\n{error}");
    }
    assert_eq!(error.lines().count(), 5, "{error}");
}

#[test]
fn secrets_come_from_variables_files_and_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finweir.yaml");
    fs::write(dir.path().join("key"), "from-file\n").unwrap();
    fs::write(
        &file,
        "jellyfin: {api_key_file: key}\nadmin: {token: {env: TOKEN}}\n",
    )
    .unwrap();
    let token = "0123456789abcdef0123";
    let loaded = Config::load(Some(&file), &environment(&[("TOKEN", token)])).unwrap();
    assert_eq!(
        loaded.config.nodes[0].api_key.as_ref().unwrap().expose(),
        "from-file"
    );
    assert_eq!(loaded.config.admin.token.as_ref().unwrap().expose(), token);
    assert!(loaded.sources.contains(&dir.path().join("key")));

    let handed = tempfile::tempdir().unwrap();
    fs::write(handed.path().join("jellyfin-api-key"), "handed").unwrap();
    fs::write(handed.path().join("key"), "handed-by-name").unwrap();
    let credentials = handed.path().to_str().unwrap();
    let variables = environment(&[("CREDENTIALS_DIRECTORY", credentials), ("TOKEN", token)]);
    let named = Config::load(Some(&file), &variables).unwrap().config;
    assert_eq!(
        named.nodes[0].api_key.as_ref().unwrap().expose(),
        "handed-by-name"
    );
    let implied = Config::load(None, &variables).unwrap().config;
    assert_eq!(
        implied.nodes[0].api_key.as_ref().unwrap().expose(),
        "handed"
    );
}

#[test]
fn a_secret_is_never_printed() {
    let text = "jellyfin: {api_key: hush-hush-hush}\nadmin: {token: hush-hush-hush-hush}\n";
    let loaded = Config::parse_str("f.yaml", text).unwrap();
    let printed = format!(
        "{:?}{}{}",
        loaded,
        loaded.config.effective.as_yaml(),
        loaded.config.summary()
    );
    assert!(!printed.contains("hush"), "{printed}");
    assert!(loaded.config.effective.as_yaml().contains("api_key: (set)"));
}

#[test]
fn where_words_go_is_never_printed_and_taken_over_by_a_reload() {
    let of = |secret: &str| {
        let text = format!(
            "notify: {{urls: [{{url: \"gotifys://push.example/{secret}\"}}, {{url: {{env: WORD}}}}]}}\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("finweir.yaml");
        fs::write(&file, text).unwrap();
        let variables = environment(&[("WORD", "ntfys://hush-user:hush@ntfy.example/hush")]);
        Config::load(Some(&file), &variables).unwrap()
    };
    let (old, new) = (of("hush-1"), of("hush-2"));
    let printed = format!(
        "{:?}{}{}",
        old,
        old.config.effective.as_yaml(),
        old.config.summary()
    );
    assert!(!printed.contains("hush"), "{printed}");
    assert!(printed.contains("Word goes to gotifys://push.example, ntfys://ntfy.example when"));
    assert_eq!(
        old.config.changes(&new.config),
        ["notify.urls[0]: (changed)"]
    );
    assert!(old.config.needs_restart(&new.config).is_empty());
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
fn the_table_of_profiles_says_what_each_gives() {
    let text = fs::read_to_string("docs/operating.md").unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut said: Vec<(String, String)> = rows
        .filter_map(|row| {
            let (name, rest) = row.split_once("` | ")?;
            let seats = rest.strip_suffix(" |")?.rsplit(" | ").next()?;
            config::profiles()
                .contains(&name)
                .then(|| (name.to_owned(), seats.to_owned()))
        })
        .collect();
    let cores = (
        "software".to_owned(),
        "half a seat a core, less 15 %".to_owned(),
    );
    assert_eq!(said.pop(), Some(cores));
    let gives: Vec<_> = config::profiles()
        .into_iter()
        .filter(|name| *name != "software")
        .map(|name| {
            let seats = config::profile_seats(name).unwrap();
            (name.to_owned(), seats.to_string())
        })
        .collect();
    assert_eq!(said, gives);
}

#[test]
fn the_configuration_that_operating_installs_is_well_and_observes() {
    let text = fs::read_to_string("docs/operating.md").unwrap();
    let (_, rest) = text.split_once("<<'END'\n").unwrap();
    let (yaml, _) = rest.split_once("END\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finweir.yaml");
    fs::write(&file, yaml).unwrap();
    fs::write(dir.path().join("jellyfin-api-key"), "the-key\n").unwrap();
    let loaded = Config::load(Some(&file), &environment(&[])).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.policy.mode, Mode::Observe);
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

#[test]
fn nobody_is_preempted_without_an_api_key() {
    let text = "jellyfin: {url: 'http://a'}\n\
                classes: [{name: family, users: [a], priority: 1, preempt: [default]}]\n";
    assert!(warnings(text).contains("does nothing without an API key"));
    let config = Config::parse_str("f.yaml", text).unwrap().config;
    assert!(config.policy.classes[0].preempt.is_empty());
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
