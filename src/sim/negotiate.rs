//! How the simulated server decides what a device plays directly, copies or encodes.

mod audio;
mod decide;
mod profile;
mod reason;
mod subtitles;
mod transcode;
mod url;

pub(super) use self::{
    decide::{Ask, Decision, decide},
    profile::{DeviceProfile, member},
    reason::Reasons,
    url::Session,
};

use super::library::Source;

/// A list of names as profiles write it: commas between, empty for anything, a leading `-` for all but.
pub(super) fn listed_in(list: Option<&str>, name: &str) -> bool {
    let Some(list) = list.map(str::trim).filter(|list| !list.is_empty()) else {
        return true;
    };
    let (list, negated) = match list.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (list, false),
    };
    let names: Vec<&str> = name.split(',').map(str::trim).collect();
    let found = list
        .split(',')
        .map(str::trim)
        .any(|entry| names.iter().any(|n| entry.eq_ignore_ascii_case(n)));
    found != negated
}

/// One name for a container that FFmpeg names by a list: the first that the device plays.
fn one_container(source: &Source, profiles: &[&profile::Direct], kind: &str) -> String {
    if source.container.contains(',') {
        for format in source.container.split(',') {
            let plays =
                |p: &&&profile::Direct| p.kind == kind && listed_in(p.container.as_deref(), format);
            if profiles.iter().any(|p| plays(&p)) {
                return format.to_owned();
            }
        }
    }
    source.container.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_means_anything_and_a_dash_all_but() {
        assert!(listed_in(None, "h264") && listed_in(Some(""), "h264"));
        assert!(listed_in(Some("mp4, m4v"), "mov,mp4,m4a"));
        assert!(!listed_in(Some("-dts,truehd"), "DTS"));
        assert!(listed_in(Some("-dts,truehd"), "aac"));
    }
}
