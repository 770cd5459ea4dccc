//! A running demo, and where it is.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::process::{Process, get};

/// So many seconds from now.
pub(crate) fn by(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// A running demo, and where it is.
pub(crate) struct Demo {
    pub(crate) process: Process,
    /// The address of the admin side.
    pub(crate) admin: String,
    /// Where viewers connect.
    pub(crate) viewers: String,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_finweir"))
                .arg("demo")
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .args(arguments)
                .env_remove("FINWEIR__LOGGING__LEVEL"),
        );
        let place = |line: &str, label: &str| {
            let rest = line.trim_start().strip_prefix(label)?;
            let start = rest.find("http://")? + "http://".len();
            let address = rest.get(start..)?;
            let end = address.find(['/', ' ']).unwrap_or(address.len());
            Some(address.get(..end)?.to_owned())
        };
        let deadline = by(30);
        let admin = process.until(deadline, |line| place(line, "status page"));
        let viewers = process.until(deadline, |line| place(line, "viewers' side"));
        Self {
            process,
            admin,
            viewers,
        }
    }

    /// Looks at `/metrics` whenever something has happened, until `enough`.
    pub(crate) fn until(&mut self, deadline: Instant, enough: impl Fn(&str) -> bool) -> String {
        loop {
            let (status, metrics) = get(&self.admin, "/metrics");
            assert_eq!(status, 200);
            if enough(&metrics) {
                return metrics;
            }
            self.happening(deadline);
        }
    }

    /// Waits until somebody plays and somebody was refused.
    pub(crate) fn until_lively(&mut self) {
        let deadline = by(60);
        loop {
            let (_, state) = get(&self.admin, "/state");
            let state: Value = serde_json::from_str(&state).unwrap();
            let refused = |one: &Value| one["decision"] == "reject";
            if state["recent"].as_array().unwrap().iter().any(refused)
                && !state["leases"].as_array().unwrap().is_empty()
            {
                return;
            }
            self.happening(deadline);
        }
    }

    /// The address of a page of the admin side.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.admin)
    }

    /// Waits until something happens.
    pub(crate) fn happening(&mut self, deadline: Instant) {
        let line = self.process.line(deadline);
        assert!(line.is_some(), "{}", self.process.said.join("\n"));
    }
}
