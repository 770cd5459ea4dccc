//! `GET /Sessions` as it was recorded: every row is read, and its plan says what its TranscodingInfo says.
#![expect(
    clippy::indexing_slicing,
    reason = "what a JSON value does not have reads as null"
)]

use finweir::jellyfin::{Encoding, Plan, SessionRow, sessions};
use serde_json::Value;

use super::recording::{Check, Record, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[Check {
    name: "sessions",
    takes: |_| true,
    run: rows_are_read,
}];

fn rows_are_read(_: &Server, set: &Set, tally: &mut Tally) {
    let mut jobs = 0;
    for record in &set.records {
        let Some(body) = listing(record) else {
            continue;
        };
        let wrong = misread(body, &mut jobs);
        tally.compare(record, wrong.is_none(), || wrong.unwrap_or_default());
    }
    if jobs > 0 {
        tally.remark(format!("{jobs} rows with a TranscodingInfo"));
    }
}

/// The body of an answer of `GET /Sessions`.
fn listing(record: &Record) -> Option<&str> {
    let request = record.request.as_ref()?;
    let response = record.response.as_ref()?;
    let path = request.target.split('?').next()?.to_ascii_lowercase();
    let wanted = request.method == "GET" && path == "/sessions" && response.status == 200;
    response.body.as_deref().filter(|_| wanted)
}

fn misread(body: &str, jobs: &mut usize) -> Option<String> {
    let Ok(rows) = sessions(body.as_bytes()) else {
        return Some("not read".to_owned());
    };
    let Ok(raw) = serde_json::from_str::<Vec<Value>>(body) else {
        return Some("not JSON".to_owned());
    };
    if rows.len() != raw.len() {
        return Some(format!("{} rows of {}", rows.len(), raw.len()));
    }
    rows.iter().zip(&raw).find_map(|(row, raw)| {
        *jobs += usize::from(raw.get("TranscodingInfo").is_some());
        differs(row, raw)
    })
}

fn differs(row: &SessionRow, raw: &Value) -> Option<String> {
    if Some(row.id.as_str()) != raw["Id"].as_str()
        || Some(row.device.as_str()) != raw["DeviceId"].as_str()
        || Some(row.client.as_str()) != raw["Client"].as_str()
        || row.user_name.as_deref() != raw["UserName"].as_str()
        || row.paused != raw["PlayState"]["IsPaused"].as_bool().unwrap_or(false)
        || row.method.as_deref() != raw["PlayState"]["PlayMethod"].as_str()
    {
        return Some(format!("{row:?}"));
    }
    let info = &raw["TranscodingInfo"];
    let plan = row.plan(&Encoding::default());
    if info.is_null() {
        let idle = plan == Plan::Direct;
        return (!idle).then(|| format!("{plan:?} without a job"));
    }
    let job = row.job.as_ref()?;
    if job.completion != info["CompletionPercentage"].as_f64()
        || job.bitrate != info["Bitrate"].as_u64()
    {
        return Some(format!("{job:?}"));
    }
    match plan {
        Plan::Video(work) => {
            let told = (info["Width"].as_u64(), info["Height"].as_u64());
            let size = (
                Some(u64::from(work.size_out.0)),
                Some(u64::from(work.size_out.1)),
            );
            let agrees = info["IsVideoDirect"] == false
                && size == told
                && info["VideoCodec"] == work.codec_out.as_str();
            (!agrees).then(|| format!("{work:?}"))
        }
        Plan::Remux => (info["IsVideoDirect"] != true).then(|| "a copy that is none".to_owned()),
        Plan::Audio => (!info["VideoCodec"].is_null()).then(|| "audio with video".to_owned()),
        Plan::Direct => Some(format!("{plan:?} with a job")),
    }
}
