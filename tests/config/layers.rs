//! Files, variables and options over each other; where secrets come from, and that they are not printed.

use std::fs;

use finweir::{
    admission::Seats,
    config::{Config, Environment, Flag},
};

use super::environment;

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
