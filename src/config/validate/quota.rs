//! Where usage is kept, and whether a quota would outlive a restart.

use std::path::PathBuf;

use super::Build;
use crate::{
    admission::{Measure, Policy},
    config::quota::State,
};

impl Build<'_> {
    /// The directory of the file, else the one that systemd gives.
    pub(super) fn state_dir(&mut self, written: Option<State>, policy: &Policy) -> Option<PathBuf> {
        let given = || {
            let all = self.environment.get("STATE_DIRECTORY")?;
            all.split(':')
                .next()
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from)
        };
        let directory = match written.and_then(|state| state.dir) {
            Some(dir) if dir.as_os_str().is_empty() => {
                self.wrong("state.dir", "must name a directory");
                None
            }
            Some(dir) => Some(self.directory.join(dir)),
            None => given(),
        };
        if directory.is_none() && policy.quotas().next().is_some() {
            let key = ["users.default.quota", "users.rules", "classes"]
                .into_iter()
                .find(|key| self.tree.at(&crate::config::tree::steps(key)).is_some());
            self.warn(
                key.unwrap_or("users"),
                "has a quota, but there is no `state.dir`, nor a directory that systemd gives: a restart begins it anew",
            );
        }
        directory
    }
}

/// Whether anybody is held to a number of bytes.
pub(super) fn counts_bytes(policy: &Policy) -> bool {
    policy.quotas().any(|quota| quota.measure == Measure::Bytes)
}
