//! What items are called and where their files are: for lists that people read, never for logs.

use reqwest::Method;
use serde_json::Value;

use super::{Api, CallError, segment};
use crate::ident::ItemId;

/// Items that are asked for at once: their ids fit into an address.
const AT_ONCE: usize = 50;

/// An item as an operator knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Described {
    /// The item.
    pub item: ItemId,
    /// What it is called, with the name of its show.
    pub title: String,
    /// Its file.
    pub path: Option<String>,
    /// The files of its versions.
    pub sources: Vec<(ItemId, Option<String>)>,
}

impl std::fmt::Debug for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Described")
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Titles and paths of items, as far as the server knows them.
    ///
    /// # Errors
    /// No key, or no answer that can be read.
    pub async fn describe(&self, items: &[ItemId]) -> Result<Vec<Described>, CallError> {
        let mut described = Vec::new();
        for some in items.chunks(AT_ONCE) {
            let ids: Vec<String> = some
                .iter()
                .map(|item| segment(item.as_str()).to_string())
                .collect();
            let path = format!("/Items?ids={}&fields=Path,MediaSources", ids.join(","));
            let answer = self.json(self.keyed(Method::GET, &path)?).await?;
            let list = answer
                .get("Items")
                .and_then(Value::as_array)
                .ok_or_else(|| CallError::Malformed("no Items".to_owned()))?;
            described.extend(list.iter().take(AT_ONCE).filter_map(read));
        }
        Ok(described)
    }
}

fn read(item: &Value) -> Option<Described> {
    let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let name = text(item, "Name").unwrap_or_default();
    let number = |name: &str| item.get(name).and_then(Value::as_i64);
    let title = match (
        text(item, "SeriesName"),
        number("ParentIndexNumber"),
        number("IndexNumber"),
    ) {
        (Some(show), Some(season), Some(episode)) => {
            format!("{show} S{season:02}E{episode:02} {name}")
        }
        (Some(show), _, _) => format!("{show}: {name}"),
        (None, _, _) => name,
    };
    let sources = item.get("MediaSources").and_then(Value::as_array);
    let source = |source: &Value| Some((ItemId::new(text(source, "Id")?), text(source, "Path")));
    Some(Described {
        item: ItemId::new(text(item, "Id")?),
        title,
        path: text(item, "Path"),
        sources: sources.into_iter().flatten().filter_map(source).collect(),
    })
}
