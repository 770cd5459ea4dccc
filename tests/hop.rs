//! The hop between raw sockets: what goes in at one end comes out at the other, and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test reports by panicking"
)]

#[path = "hop/support.rs"]
mod support;

#[path = "hop/answers.rs"]
mod answers;
#[path = "hop/bodies.rs"]
mod bodies;
#[path = "hop/failing.rs"]
mod failing;
#[path = "hop/leaving.rs"]
mod leaving;
#[path = "hop/lifecycle.rs"]
mod lifecycle;
#[path = "hop/peers.rs"]
mod peers;
#[path = "hop/smuggling.rs"]
mod smuggling;
