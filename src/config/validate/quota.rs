//! Where usage is kept, and whether a quota would outlive a restart.

use std::path::PathBuf;

use super::Build;
use crate::{
    admission::{Measure, Policy, Quota, UserLimits},
    config::quota::State,
};

impl Build<'_> {
    /// The directory of the file, else the one that systemd gives.
    pub(super) fn state_dir(&mut self, written: Option<State>, policy: &Policy) -> Option<PathBuf> {
        let given = || {
            let all = self.environment.get("STATE_DIRECTORY")?;
            all.split(':').next().filter(|dir| !dir.is_empty()).map(PathBuf::from)
        };
        let directory = match written.and_then(|state| state.dir) {
            Some(dir) if dir.as_os_str().is_empty() => {
                self.wrong("state.dir", "must name a directory");
                None
            }
            Some(dir) => Some(self.directory.join(dir)),
            None => given(),
        };
        if directory.is_none() && quotas(policy).next().is_some() {
            let key = ["users.default.quota", "users.rules", "classes"]
                .into_iter()
                .find(|key| self.tree.at(&crate::config::tree::steps(key)).is_some());
            self.warn(
                key.unwrap_or("users"),
                "has a quota, but there is no `state.dir`: a restart begins it anew",
            );
        }
        directory
    }
}

/// Every quota of the policy.
fn quotas(policy: &Policy) -> impl Iterator<Item = &Quota> {
    let users = policy.users.iter().map(|rule| &rule.limits);
    let classes = policy.classes.iter().filter_map(|class| class.user.as_ref());
    let all = std::iter::once(&policy.user).chain(users).chain(classes);
    all.flat_map(|limits: &UserLimits| limits.quotas.iter())
}

/// Whether anybody is held to a number of bytes.
pub(super) fn counts_bytes(policy: &Policy) -> bool {
    quotas(policy).any(|quota| quota.measure == Measure::Bytes)
}
