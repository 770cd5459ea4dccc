//! The files for other programs: a table, and a list of paths.

use std::fmt::Write as _;

use super::Advice;

/// The columns of the table.
const HEAD: &str =
    "item,source,server,title,path,seat_hours,hours_watched,plays,users,causes,suggestion";

impl Advice {
    /// A row for each file, dearest first.
    pub fn csv(&self) -> String {
        let mut out = format!("{HEAD}\r\n");
        for file in &self.files {
            let cells = [
                file.item.to_string(),
                file.source
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                file.node.to_string(),
                file.title.clone().unwrap_or_default(),
                file.path.clone().unwrap_or_default(),
                format!("{:.3}", file.seat_hours),
                format!("{:.3}", file.hours),
                file.plays.to_string(),
                file.users.to_string(),
                file.named.clone(),
                file.advice.clone(),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            write!(out, "{}\r\n", cells.join(",")).expect("a string can always be written to");
        }
        out
    }

    /// The paths of the files that another form would help, one a line, dearest first; and how many have no path,
    /// or one with a line break in it, and are not in the list.
    pub fn paths(&self) -> (String, usize) {
        let mut out = String::new();
        let mut without = 0;
        let mut seen = std::collections::HashSet::new();
        for file in self.files.iter().filter(|file| file.convert) {
            match file.path.as_deref() {
                Some(path) if !path.is_empty() && !path.contains(['\n', '\r']) => {
                    if seen.insert(path) {
                        out.push_str(path);
                        out.push('\n');
                    }
                }
                Some(_) | None => without += 1,
            }
        }
        (out, without)
    }
}

/// A cell that is a cell to every spreadsheet: quoted where needed, and never a formula.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if formula { "'" } else { "" };
    if formula || cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{guard}{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
