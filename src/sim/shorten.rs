//! Films in a fraction of their time, so that a demonstration has an end.

use serde_json::{Value, json};

use super::library::{Library, members, number};

impl Library {
    /// The same titles, each lasting one `by`-th of its time.
    pub fn shortened(&self, by: i64) -> Self {
        let by = by.max(1);
        let items = self.items().iter().map(|item| {
            let mut shown = item.answer(true);
            divide(&mut shown, &["RunTimeTicks"], by);
            let sources = shown.get_mut("MediaSources").and_then(Value::as_array_mut);
            for source in sources.into_iter().flatten() {
                divide(source, &["RunTimeTicks", "Size"], by);
            }
            shown
        });
        Self::from_items(Some(&Value::Array(items.collect())))
    }
}

fn divide(value: &mut Value, names: &[&str], by: i64) {
    for name in names {
        let Some(own) = number(value, name) else {
            continue;
        };
        if let Some(members) = members(value) {
            members.insert((*name).to_owned(), json!(own / by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_library_has_the_same_titles_in_less_time() {
        let (whole, short) = (Library::evening(), Library::evening().shortened(60));
        assert_eq!(whole.ids(), short.ids());
        for (long, short) in whole.items().iter().zip(short.items()) {
            for (long, short) in long.sources.iter().zip(&short.sources) {
                assert_eq!(long.ticks.map(|t| t / 60), short.ticks);
                assert_eq!(long.size / 60, short.size);
                assert_eq!(long.streams.len(), short.streams.len());
                assert_eq!(long.container, short.container);
            }
        }
    }
}
