//! `GET /System/Info/Storage`: how much room there is where a server writes its transcodes. 10.11 and later answer it,
//! to administrators and API keys.

use serde_json::Value;

/// Longest path that is kept.
const LONGEST: usize = 256;

/// The disk that transcodes are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that there are in all, if the server says so.
    pub size: Option<u64>,
    /// The folder, as the server calls it.
    pub path: Option<String>,
}

/// Reads the answer. `None`: the server does not know.
pub fn transcode_space(answer: &Value) -> Option<Space> {
    let folder = answer.get("TranscodingTempFolder")?;
    // -1 stands for a disk that can't be asked.
    let bytes = |name: &str| u64::try_from(folder.get(name)?.as_i64()?).ok();
    let free = bytes("FreeSpace")?;
    let path = folder.get("Path").and_then(Value::as_str);
    Some(Space {
        free,
        size: bytes("UsedSpace").and_then(|used| used.checked_add(free)),
        path: path
            .filter(|path| !path.is_empty() && path.len() <= LONGEST)
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(folder: &Value) -> Option<Space> {
        transcode_space(&json!({"CacheFolder": {"FreeSpace": 1}, "TranscodingTempFolder": folder}))
    }

    #[test]
    fn what_the_server_knows_is_read() {
        let space = |size, path: Option<&str>| Space {
            free: 7,
            size,
            path: path.map(str::to_owned),
        };
        let whole = json!({"Path": "/t", "FreeSpace": 7, "UsedSpace": 3, "StorageType": "Fixed", "DeviceId": "/"});
        assert_eq!(read(&whole), Some(space(Some(10), Some("/t"))));
        assert_eq!(read(&json!({"FreeSpace": 7})), Some(space(None, None)));
        let no_size = json!({"FreeSpace": 7, "UsedSpace": -1, "Path": "x".repeat(300)});
        assert_eq!(read(&no_size), Some(space(None, None)));
    }

    #[test]
    fn what_it_does_not_know_is_unknown() {
        for folder in [
            json!({"Path": "/t", "FreeSpace": -1, "UsedSpace": -1}),
            json!({"Path": "/t"}),
            json!({"FreeSpace": "7"}),
            json!(null),
            json!([7]),
        ] {
            assert_eq!(read(&folder), None);
        }
        assert_eq!(transcode_space(&json!({})), None);
        assert_eq!(transcode_space(&json!("Degraded")), None);
    }
}
