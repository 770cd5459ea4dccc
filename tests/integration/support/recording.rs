//! What was recorded of real clients and servers.

use std::{
    collections::HashMap,
    io::Read as _,
    path::Path,
    sync::{Arc, LazyLock, Mutex},
};

use finweir::sim::Version;
use serde_json::Value;

/// The records of a set (`negotiation`, `web/1-heavy3m`, …) of a version, in their order.
pub(crate) fn recorded(version: Version, set: &str) -> Arc<Vec<Value>> {
    static READ: LazyLock<Mutex<HashMap<String, Arc<Vec<Value>>>>> = LazyLock::new(Mutex::default);
    let directory = match version {
        Version::V10_11 => "10.11",
        Version::V12_0 => "12.0",
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(directory)
        .join(format!("{set}.jsonl.gz"));
    let key = path.display().to_string();
    let mut read = READ.lock().unwrap();
    let records = read.entry(key).or_insert_with(|| {
        let mut text = String::new();
        let file = std::fs::File::open(&path).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        let records = lines.map(|line| serde_json::from_str(line).unwrap());
        Arc::new(records.collect())
    });
    Arc::clone(records)
}
