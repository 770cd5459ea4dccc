//! Item → media sources and library: learned from the answers that pass, looked up where they did not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dashmap::DashMap;

use super::Api;
use crate::{clock, ident::ItemId, jellyfin::Source};

/// How long a look-up is believed; a file that is replaced has a new ETag, which the next answer shows.
const FRESH: Duration = Duration::from_secs(600);
/// How long a failed look-up is not repeated.
const FAILED: Duration = Duration::from_secs(10);
/// Entries remembered of each kind.
const ENTRIES: usize = 8192;

/// What is known of items. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Media(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    sources: DashMap<ItemId, (Instant, Option<Arc<Source>>)>,
    libraries: DashMap<ItemId, (Instant, Option<Arc<str>>)>,
}

// === impl Media ===

impl Media {
    /// Remembers the sources of an answer that passed.
    pub fn learn(&self, sources: &[Source]) {
        let until = clock::now() + FRESH;
        for source in sources {
            // The URL holds a token and describes one play, not the file.
            let file = Arc::new(Source {
                transcoding_url: None,
                ..source.clone()
            });
            let live = source.live_stream.as_deref().map(ItemId::new);
            for key in source.id.clone().into_iter().chain(live) {
                bound(&self.0.sources);
                self.0.sources.insert(key, (until, Some(file.clone())));
            }
        }
    }

    /// The source that a stream URL names, or the item's first.
    pub async fn source(
        &self,
        api: &Api,
        item: &ItemId,
        source: Option<&ItemId>,
        live_stream: Option<&str>,
    ) -> Option<Arc<Source>> {
        let now = clock::now();
        // An opened channel is known only from the answer that opened it.
        if let Some(live) = live_stream.map(ItemId::new) {
            return self.0.sources.get(&live).and_then(|entry| entry.1.clone());
        }
        let wanted = source.unwrap_or(item);
        if let Some(entry) = self.0.sources.get(wanted)
            && entry.0 > now
        {
            return entry.1.clone();
        }
        if !api.has_key() {
            return None;
        }
        let found: Vec<Source> = match api.media_sources(item).await {
            Ok(sources) => sources.iter().map(Source::read).collect(),
            Err(_) => Vec::new(),
        };
        self.learn(&found);
        let hit = found
            .iter()
            .find(|s| s.id.as_ref() == Some(wanted))
            .or(if source.is_none() {
                found.first()
            } else {
                None
            });
        let hit = hit.cloned().map(Arc::new);
        if hit.is_none() {
            bound(&self.0.sources);
            self.0.sources.insert(wanted.clone(), (now + FAILED, None));
        }
        hit
    }

    /// Whether this source is a disc folder, for which even `Static=true` runs FFmpeg. `None`: it is
    /// not known.
    pub fn is_disc(&self, source: &ItemId) -> Option<bool> {
        let entry = self
            .0
            .sources
            .get(source)
            .filter(|entry| entry.0 > clock::now())?;
        Some(entry.1.as_ref().is_some_and(|source| source.disc))
    }

    /// The library that an item is in.
    pub async fn library(&self, api: &Api, item: &ItemId) -> Option<Arc<str>> {
        let now = clock::now();
        if let Some(entry) = self.0.libraries.get(item)
            && entry.0 > now
        {
            return entry.1.clone();
        }
        let answer = api.libraries_of(item).await;
        let keep = if answer.is_ok() { FRESH } else { FAILED };
        let library: Option<Arc<str>> = answer
            .ok()
            .and_then(|names| names.into_iter().next())
            .map(Arc::from);
        bound(&self.0.libraries);
        self.0
            .libraries
            .insert(item.clone(), (now + keep, library.clone()));
        library
    }
}

/// Makes room: stale entries go first, then all.
fn bound<V>(map: &DashMap<ItemId, (Instant, V)>) {
    if map.len() >= ENTRIES {
        let now = clock::now();
        map.retain(|_, (until, _)| *until > now);
        if map.len() >= ENTRIES {
            map.clear();
        }
    }
}
