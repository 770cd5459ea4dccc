//! The Jellyfin servers, and whether they answer.

use std::fmt::{self, Write};

use super::{Sheet, text::Text};
use crate::telemetry::size_in_words;

/// Each of them.
pub(super) fn nodes(out: &mut String, sheet: &Sheet) -> fmt::Result {
    out.write_str("<section class=\"card\"><h2>Jellyfin</h2><ul class=\"nodes\">\n")?;
    for node in &sheet.view.nodes {
        let (class, word) = match node.reachable {
            Some(true) => ("good", "answers"),
            Some(false) => ("bad", "does not answer"),
            None => ("", "not asked yet"),
        };
        let poll = match (node.reachable, node.api_key, node.poll) {
            (Some(false), _, _) => "what it runs can't be seen now",
            (_, false, _) => "no API key: what it runs can't be seen",
            (_, true, Some(true)) => "what it runs is seen",
            (_, true, Some(false)) => "what it runs can't be read",
            (_, true, None) => "what it runs was not read yet",
        };
        let disk = match &node.disk {
            Some(disk) => format!("{} free for transcodes", size_in_words(disk.free)),
            None => "room for transcodes not known".to_owned(),
        };
        writeln!(
            out,
            "<li><b>{}</b><span class=\"pill {class}\">{word}</span><small>{poll}</small><small>{disk}</small></li>",
            Text(&node.node)
        )?;
    }
    out.write_str("</ul></section>\n")
}
