//! Faults of a policy that no single field shows.

use std::collections::HashSet;

use super::{Class, Policy, PolicyError};

impl Policy {
    /// Checks what a single field can't show: names that are there twice or not at all, the last class.
    ///
    /// # Errors
    /// All faults found, not only the first.
    pub fn check(&self) -> Result<(), Vec<PolicyError>> {
        let mut faults = Vec::new();
        let gpus: Vec<&str> = self.gpus.iter().map(|g| g.id.as_str()).collect();
        let nodes: Vec<&str> = self.nodes.iter().map(|n| n.id.as_str()).collect();
        let classes: Vec<&str> = self.classes.iter().map(|c| c.id.as_str()).collect();
        for (what, names) in [("gpu", &gpus), ("node", &nodes), ("class", &classes)] {
            twice(what, names, &mut faults);
        }
        if gpus.is_empty() {
            faults.push(PolicyError::Missing("gpu"));
        }
        if nodes.is_empty() {
            faults.push(PolicyError::Missing("node"));
        }
        let mut known = |what: &'static str, name: &str, names: &[&str]| {
            if !names.contains(&name) {
                let name = name.to_owned();
                faults.push(PolicyError::Unknown { what, name });
            }
        };
        for node in &self.nodes {
            known("gpu", node.gpu.as_str(), &gpus);
        }
        for class in self.libraries.iter().flat_map(|rule| &rule.classes) {
            known("class", class.as_str(), &classes);
        }
        for class in self.classes.iter().flat_map(|class| &class.preempt) {
            known("class", class.as_str(), &classes);
        }
        for window in &self.windows {
            for class in &window.classes {
                known("class", class.as_str(), &classes);
            }
            for gpu in &window.gpus {
                known("gpu", gpu.as_str(), &gpus);
            }
        }
        if !self.classes.last().is_some_and(Class::is_everybody) {
            faults.push(PolicyError::NoDefaultClass);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

fn twice(what: &'static str, names: &[&str], faults: &mut Vec<PolicyError>) {
    let mut seen = HashSet::new();
    let mut told = HashSet::new();
    for name in names {
        if !seen.insert(*name) && told.insert(*name) {
            let name = (*name).to_owned();
            faults.push(PolicyError::Duplicate { what, name });
        }
    }
}
