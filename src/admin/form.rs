//! The fields of a form or a query, as browsers write them.

use percent_encoding::percent_decode_str;

/// Fields read at most.
const MOST: usize = 256;

/// Fields by name; the first of a name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(text: &str) -> Self {
        let fields = text.split('&').filter(|pair| !pair.is_empty()).take(MOST);
        let fields = fields.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(fields.collect())
    }

    /// The field of this name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(own, _)| own == name);
        field.map_or("", |(_, value)| value)
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields = Fields::read("text=Good+night%21&csrf=ab%20c&empty=&text=second&bare");
        assert_eq!(fields.get("text"), "Good night!");
        assert_eq!(fields.get("csrf"), "ab c");
        assert_eq!(fields.get("empty"), "");
        assert_eq!(fields.get("nothing"), "");
        assert_eq!(Fields::read("").get("text"), "");
        assert_eq!(Fields::read("a=%ff%zz").get("a"), "\u{fffd}%zz");
    }
}
