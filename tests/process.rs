//! The real program, as processes see it: started, told by signals, upgraded, killed, behind a real HAProxy.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

#[path = "process/balancer.rs"]
mod balancer;
#[path = "process/child.rs"]
mod child;
#[path = "process/house.rs"]
mod house;
#[path = "process/http.rs"]
mod http;
#[path = "process/tap.rs"]
mod tap;
#[path = "process/viewer.rs"]
mod viewer;

#[path = "process/crashing.rs"]
mod crashing;
#[path = "process/failing_over.rs"]
mod failing_over;
#[path = "process/haproxy.rs"]
mod haproxy;
#[path = "process/journal.rs"]
mod journal;
#[path = "process/reloading.rs"]
mod reloading;
#[path = "process/starting.rs"]
mod starting;
#[path = "process/stopping.rs"]
mod stopping;
#[path = "process/unit.rs"]
mod unit;
