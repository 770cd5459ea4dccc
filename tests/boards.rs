//! Holds `grafana/` and `docs/metrics.md` to the metrics that exist, and lets promtool judge rules and output.
//!
//! No Grafana is at hand, so that nothing here says how a panel looks. What is checked of each board is what Grafana's
//! dashboard-linter checks, and that every name, label and label value in it exists. That its panels show something is
//! held by `boards_live.rs`, with a real Prometheus.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test reports by panicking"
)]

#[path = "boards/expressions.rs"]
mod expressions;
#[path = "boards/families.rs"]
mod families;
#[path = "boards/files.rs"]
mod files;

#[path = "boards/layout.rs"]
mod layout;
#[path = "boards/links.rs"]
mod links;
#[path = "boards/metrics.rs"]
mod metrics;
#[path = "boards/names.rs"]
mod names;
#[path = "boards/rules.rs"]
mod rules;
