//! How full the disk is that a server writes its transcodes to, as it is shown.

use serde::Serialize;

/// The disk that a server writes its transcodes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that there are in all, if the server says so.
    pub size: Option<u64>,
    /// The folder, as the server calls it.
    pub path: Option<String>,
    /// Too little is free.
    pub filling: bool,
}

/// A number of bytes as people say it: `3.2 GB`, `850 MB`.
pub fn size_in_words(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    match (tenths / 10, tenths % 10) {
        (0, _) => format!("{} MB", bytes / 1_000_000),
        (whole @ 1..100, tenth @ 1..) => format!("{whole}.{tenth} GB"),
        (whole, _) => format!("{whole} GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, said) in [
            (0, "0 MB"),
            (999_999_999, "999 MB"),
            (1_000_000_000, "1 GB"),
            (3_290_000_000, "3.2 GB"),
            (70_713_548_800, "70.7 GB"),
            (870_713_548_800, "870 GB"),
        ] {
            assert_eq!(size_in_words(bytes), said);
        }
    }
}
