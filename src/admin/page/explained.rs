//! Why something was decided.

use super::{MARK, frame_head, text::Whole};
use crate::ident::DecisionId;

/// Draws it.
pub(in crate::admin) fn explained(id: DecisionId, answer: &Result<String, String>) -> String {
    let head = frame_head("Finweir: why", 0, false);
    let said = match answer {
        Ok(text) => lines(text),
        Err(why) => format!(
            "<p class=\"notice warn\">{}</p><p>On the server: <code>finweir explain {id}</code></p>",
            Whole(why)
        ),
    };
    format!(
        "{head}<body>\n<header class=\"top\">{MARK}<h1>Finweir</h1></header>\n\
         <main class=\"card explained\"><h2>Why {id}</h2>{said}<p><a href=\"./\">Back to the page</a></p></main>\n</body>\n</html>\n"
    )
}

/// Lines of columns are kept in one line each and can be moved sideways; others are wrapped.
fn lines(text: &str) -> String {
    let in_columns = |line: &str| line.trim_start().contains("  ");
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunk_by(|one, next| in_columns(one) == in_columns(next))
        .map(|lines| {
            let class = match lines.first() {
                Some(line) if in_columns(line) => " class=\"columns\" tabindex=\"0\"",
                Some(_) | None => "",
            };
            // The first newline of a `pre` is dropped by browsers.
            format!("<pre{class}>\n{}</pre>", Whole(&lines.join("\n")))
        })
        .collect()
}
