//! The program as it is called.
#![expect(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
};

fn finweir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_finweir"))
        .args(arguments)
        .env_clear()
        .env("JELLYFIN_API_KEY", "the-key")
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_says_what_a_good_file_means() {
    let output = finweir(&["check", "config/minimal.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert!(
        text.starts_with("config/minimal.yaml is well.\nEnforces its limits.\n"),
        "{text}"
    );
    assert!(
        text.contains("GPU `igpu` has 15.3 seats to hand out"),
        "{text}"
    );
    assert_eq!(err(&output), "");
}

#[test]
fn check_prints_one_configuration_with_origins_and_no_secret() {
    let output = finweir(&["check", "--print", "config/minimal.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(
        text.contains("  - name: igpu  # config/minimal.yaml:6:12\n"),
        "{text}"
    );
    assert!(text.contains("  max_wait: 15s\n"), "{text}");
    assert!(!text.contains("the-key"));
}

#[test]
fn check_lists_all_mistakes_of_a_bad_file_and_exits_64() {
    let output = finweir(&["check", "tests/config/unknown-keys.yaml"]);
    assert_eq!(output.status.code(), Some(64));
    let text = err(&output);
    assert!(
        text.starts_with(
            "tests/config/unknown-keys.yaml:2:1: quue: unknown key; did you mean `queue`?\n"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("4 mistakes in the configuration\n"),
        "{text}"
    );
    assert_eq!(out(&output), "");
}

#[test]
fn warnings_do_not_fail_a_check() {
    let output = finweir(&["check", "config/default.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        err(&output).starts_with("warning: config/default.yaml:"),
        "{}",
        err(&output)
    );
}

#[test]
fn run_refuses_a_bad_configuration_before_anything_starts() {
    let output = finweir(&["run", "--config", "tests/config/names.yaml"]);
    assert_eq!(output.status.code(), Some(64));
    let output = finweir(&["run", "--jellyfin", "ftp://x"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        err(&output).starts_with("from option --jellyfin: jellyfin.url: "),
        "{}",
        err(&output)
    );
    let output = finweir(&[
        "run",
        "--jellyfin",
        "http://x",
        "--admin-listen",
        "0.0.0.0:1",
    ]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        err(&output).contains("from option --admin-listen: admin.listen: "),
        "{}",
        err(&output)
    );
}

#[test]
fn schema_prints_the_schema() {
    let output = finweir(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(schema["title"], "Configuration of Finweir");
    assert!(schema["$defs"]["Gpu"]["properties"]["profile"].is_object());
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let output = finweir(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    for word in [
        "run",
        "check",
        "demo",
        "sim",
        "notify",
        "schema",
        "healthcheck",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let version = finweir(&["--version"]);
    assert_eq!(
        out(&version),
        format!("finweir {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_arguments_exit_2_and_say_why() {
    for arguments in [
        &["rnu"][..],
        &["check"],
        &["run"],
        &["run", "--jelyfin", "x"],
        &[],
    ] {
        let output = finweir(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!err(&output).is_empty());
    }
    // Either will do, and both are named.
    let said = err(&finweir(&["run"]));
    assert!(said.contains("--config <FILE>"), "{said}");
    assert!(said.contains("--jellyfin <URL>"), "{said}");
}

#[test]
fn healthcheck_follows_the_answer() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            1,
        ),
        ("hello", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ready", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..read].to_vec()).unwrap()
        });
        let output = finweir(&["healthcheck", "--url", &url]);
        assert_eq!(output.status.code(), Some(code), "{}", err(&output));
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /ready HTTP/1.1\r\n")
        );
    }
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = finweir(&["healthcheck", "--url", &format!("http://{free}/ready")]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_commands_of_a_journal_say_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = finweir(arguments);
        assert_eq!(out(&output), "");
        (output.status.code(), err(&output))
    };
    let (code, text) = said(&["explain", "12", "--journal", path]);
    assert_eq!(code, Some(2));
    assert_eq!(
        text,
        "finweir: `12` is not the number of a decision, such as d-1k3j9x2m\n"
    );
    let nowhere = dir.path().join("nowhere");
    let (code, text) = said(&["replay", nowhere.to_str().unwrap()]);
    assert!(!text.contains("no journal was named"), "{text}");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("nowhere: can't be read: No such file"),
        "{text}"
    );
    for command in ["plan", "advise"] {
        let (code, text) = said(&[command, path]);
        assert_eq!(code, Some(1));
        assert!(text.contains("there is no journal here"), "{text}");
        let (code, text) = said(&[command, nowhere.to_str().unwrap()]);
        assert_eq!(code, Some(1));
        assert!(text.contains("nowhere: can't be read"), "{text}");
    }
    let (code, text) = said(&["advise", path, "--config", "tests/config/unknown-keys.yaml"]);
    assert_eq!(code, Some(64));
    assert!(text.contains("unknown key"), "{text}");
    // Paths are known to Jellyfin alone.
    let (code, text) = said(&["advise", path, "--tdarr", "list"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--config <FILE>"), "{text}");
    let (code, text) = said(&["plan", path, "--gpu", "a-good-one"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("there is no such profile"), "{text}");
    // It costs what the machine has cores: that is not known here.
    assert!(!text.contains("software"), "{text}");
    let file = dir.path().join("journal-1.ndjson");
    std::fs::write(&file, "{\"file\":{\"version\":9}}\n").unwrap();
    let (code, text) = said(&["replay", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(
            "journal-1.ndjson:1: the journal has version 9, and this Finweir reads version 1"
        ),
        "{text}"
    );
}
