//! Finweir: transcode admission control for Jellyfin.
//!
//! (The map of the crate and its layering is written when the parts are in.)

pub mod admin;
pub mod admission;
pub mod clock;
pub mod config;
pub mod control;
pub mod gate;
pub mod gpu;
pub mod hop;
pub mod ident;
pub mod jellyfin;
pub mod proxy;
pub mod sim;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
