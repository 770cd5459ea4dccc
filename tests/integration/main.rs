//! The whole of Finweir before a simulated Jellyfin, driven by models of the clients that people use.
//!
//! Each model does what the client was recorded doing (`tests/captures`) or is known to do: how it asks, which
//! address it then plays, what it does when it is refused, and what the person in front of it sees.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test reports by panicking"
)]

mod advising;
mod asking;
mod evading;
mod failing;
mod filling;
mod flows;
mod observing;
mod operating;
mod passing;
mod playing;
mod quotas;
mod refusing;
mod reloading;
mod reporting;
mod restarting;
mod sparing;
mod stepping;
mod subtitles;
mod support;
mod uplink;
mod waiting;
mod yielding;
