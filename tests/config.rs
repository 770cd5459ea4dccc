//! The configuration as an operator meets it: good files, bad files, layers, secrets.
#![expect(clippy::unwrap_used, reason = "a test reports by panicking")]

#[path = "config/layers.rs"]
mod layers;
#[path = "config/meaning.rs"]
mod meaning;
#[path = "config/shipped.rs"]
mod shipped;
#[path = "config/wrong.rs"]
mod wrong;

use finweir::config::{Config, Effective, Environment, Loaded};

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
