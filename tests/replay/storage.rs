//! `GET /System/Info/Storage` as it was recorded: what is free where transcodes are written is read.
#![expect(
    clippy::indexing_slicing,
    reason = "what a JSON value does not have reads as null"
)]

use finweir::jellyfin::transcode_space;

use super::recording::{Check, Server, Set, Tally};

pub(crate) const CHECKS: &[Check] = &[Check {
    name: "storage",
    takes: |set| set == "users",
    run: free_space_is_read,
}];

fn free_space_is_read(_: &Server, set: &Set, tally: &mut Tally) {
    for record in &set.records {
        let (Some(request), Some(response)) = (&record.request, &record.response) else {
            continue;
        };
        if request.target != "/System/Info/Storage" {
            continue;
        }
        let answer = response.json().unwrap_or_default();
        let folder = &answer["TranscodingTempFolder"];
        let recorded = (
            folder["FreeSpace"].as_u64(),
            folder["UsedSpace"].as_u64(),
            folder["Path"].as_str().map(str::to_owned),
        );
        let read = transcode_space(&answer).map(|space| {
            let used = space.size.map(|size| size - space.free);
            (Some(space.free), used, space.path)
        });
        let agrees = response.status == 200 && read.as_ref() == Some(&recorded);
        tally.compare(record, agrees, || format!("{read:?}"));
    }
}
