//! The clients. What each does and shows is told where it stands (`tests/captures/README.md` for the recordings).

mod android_tv;
mod apps;
mod bare;
mod player;
mod viewer;
mod web;

pub(crate) use self::{
    android_tv::AndroidTv,
    apps::{App, Leaves, Shape},
    bare::Curl,
    viewer::Viewer,
    web::{BROWSER, Web},
};

use finweir::sim::Version;
use serde_json::{Value, json};

use super::recorded;

/// A device profile as it was recorded (`browser`, `tv-box`, `stick`, `phone`, …), with a ceiling of its own.
fn profile(version: Version, name: &str, bitrate: u64) -> Value {
    let prefix = format!("{name} / ");
    let records = recorded(version, "negotiation");
    let record = records
        .iter()
        .find(|record| {
            record["name"]
                .as_str()
                .is_some_and(|own| own.starts_with(&prefix))
        })
        .unwrap();
    let body: Value = serde_json::from_str(record["request"]["body"].as_str().unwrap()).unwrap();
    let mut profile = body["DeviceProfile"].clone();
    profile["MaxStreamingBitrate"] = json!(bitrate);
    profile
}
