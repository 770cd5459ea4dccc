//! What is tried before a transcode waits, shrinks or is refused.

use crate::{config::file::File, ident::ClassId, jellyfin::Client, proxy::Cheaper};

/// What the file says of it.
pub(super) fn cheaper(file: &File) -> Cheaper {
    let usual = Cheaper::default();
    let classes = file.classes.iter().flatten().filter_map(|class| {
        let name = class.name.as_deref()?.trim();
        Some((ClassId::new(name), class.direct_play?.into()))
    });
    let clients = file.clients.iter().flatten().filter_map(|client| {
        let name = Client::from(client.client?).as_str();
        Some((name, client.direct_play?))
    });
    let versions = file.versions.clone().unwrap_or_default();
    let version_floor = versions
        .prefer
        .is_none_or(bool::from)
        .then(|| versions.floor.unwrap_or(1080));
    Cheaper {
        direct_play: file.direct_play.map_or(usual.direct_play, Into::into),
        subtitles: file.subtitles.map_or(usual.subtitles, Into::into),
        classes: classes.collect(),
        version_floor,
        clients: clients.collect(),
    }
}
