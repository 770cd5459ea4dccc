//! Tables in Markdown: the median over the rounds, and the ratio to the base formed within each round, as median
//! with its 10th to 90th percentile.

use crate::{measure::Figures, target::Target, workload::Kind};

/// A column: how a figure comes about, and what is asked of it.
struct Column {
    title: &'static str,
    digits: usize,
    /// From a target's figures and the origin's own, of one round.
    value: fn(&Figures, Option<&Figures>) -> Option<f64>,
    /// Also as a ratio to the base.
    ratio: bool,
    bar: Option<Bar>,
}

/// Most that Finweir may have.
enum Bar {
    Value(f64),
    Ratio(f64),
}

/// A bar, and how Finweir stands to it.
pub(crate) struct Verdict {
    what: String,
    most: f64,
    found: f64,
}

fn columns(kind: Kind) -> Vec<Column> {
    let per_request: fn(&Figures, Option<&Figures>) -> Option<f64> =
        |own, _| Some(own["proxy"] / own["n"] * 1e5);
    let plain = |title, digits, value| Column {
        title,
        digits,
        value,
        ratio: false,
        bar: None,
    };
    let against = |title, digits, value, bar| Column {
        title,
        digits,
        value,
        ratio: true,
        bar,
    };
    match kind {
        Kind::Small => vec![
            against(
                "CPU s / 100k requests",
                2,
                per_request,
                Some(Bar::Ratio(1.0)),
            ),
            plain("requests/s", 0, |own, _| Some(own["n"] / own["secs"])),
            plain("p50 µs", 0, |own, _| own.get("p50").copied()),
        ],
        Kind::Seg | Kind::Lease | Kind::Big => vec![
            against(
                "CPU s / GB",
                3,
                |own, _| Some(own["proxy"] / own["bytes"] * 1e9),
                Some(Bar::Ratio(0.6)),
            ),
            plain("GB/s", 2, |own, _| Some(own["bytes"] / own["secs"] / 1e9)),
        ],
        Kind::Rate => vec![
            against(
                "added p50 µs",
                0,
                |own, to| added(own, to, "p50"),
                Some(Bar::Ratio(1.1)),
            ),
            against(
                "added p99 µs",
                0,
                |own, to| added(own, to, "p99"),
                Some(Bar::Ratio(1.1)),
            ),
            plain("p50 µs", 0, |own, _| own.get("p50").copied()),
            plain("p99 µs", 0, |own, _| own.get("p99").copied()),
            against("CPU s / 100k requests", 2, per_request, None),
        ],
        Kind::Mem => vec![
            Column {
                bar: Some(Bar::Value(16.0)),
                ..plain("RSS at rest MiB", 1, |own, _| Some(own["rest"] / 1024.0))
            },
            against("KiB / idle connection", 1, |own, _| Some(own["idle"]), None),
            against(
                "KiB / stalled download",
                1,
                |own, _| Some(own["stalled"]),
                Some(Bar::Value(128.0)),
            ),
        ],
        Kind::Calls => vec![
            against(
                "calls / small request",
                2,
                |own, _| Some(own["small"]),
                None,
            ),
            against("calls / MB of segments", 1, |own, _| Some(own["mb"]), None),
        ],
    }
}

fn added(own: &Figures, origin: Option<&Figures>, name: &str) -> Option<f64> {
    Some(own.get(name)? - origin?.get(name)?)
}

/// The table of one kind; bars that Finweir is held to go to `verdicts`.
pub(crate) fn print(
    kind: Kind,
    targets: &[Target],
    base: usize,
    rounds: &[Vec<Option<Figures>>],
    verdicts: &mut Vec<Verdict>,
) -> String {
    let columns = columns(kind);
    let direct = targets.iter().position(Target::is_direct);
    let base_name = &targets[base].name;
    let mut out = "| target |".to_owned();
    for column in &columns {
        out.push_str(&format!(" {} |", column.title));
        if column.ratio {
            out.push_str(&format!(" x {base_name} |"));
        }
    }
    let width = out.matches('|').count() - 1;
    out.push_str(&format!("\n|{}\n", "---|".repeat(width)));
    for (at, target) in targets.iter().enumerate() {
        if rounds.iter().all(|round| round[at].is_none()) {
            continue;
        }
        out.push_str(&format!("| {} |", target.name));
        for column in &columns {
            let value = |round: &Vec<Option<Figures>>, at: usize| {
                let origin = direct.and_then(|d| round[d].as_ref());
                (column.value)(round[at].as_ref()?, origin)
            };
            let values = sorted(rounds.iter().filter_map(|round| value(round, at)));
            let middle = part(&values, 0.5);
            out.push_str(&format!(" {} |", shown(middle, column.digits)));
            let mut middle_ratio = None;
            if column.ratio {
                // A base of nothing (less than the origin alone, by chance) gives no ratio.
                let ratios = sorted(rounds.iter().filter_map(|round| {
                    let base = value(round, base).filter(|base| *base > 0.0)?;
                    Some(value(round, at)? / base)
                }));
                middle_ratio = part(&ratios, 0.5);
                let range = format!(
                    " {} ({}-{}) |",
                    shown(middle_ratio, 2),
                    shown(part(&ratios, 0.1), 2),
                    shown(part(&ratios, 0.9), 2)
                );
                out.push_str(&range);
            }
            let judged = match &column.bar {
                Some(Bar::Value(most)) => middle.map(|found| (*most, found, String::new())),
                Some(Bar::Ratio(most)) => {
                    middle_ratio.map(|found| (*most, found, format!(", x {base_name}")))
                }
                None => None,
            };
            if target.name == "finweir"
                && let Some((most, found, unit)) = judged
            {
                verdicts.push(Verdict {
                    what: format!("{kind:?}: {}{unit}", column.title),
                    most,
                    found,
                });
            }
        }
        out.push('\n');
    }
    out
}

/// How Finweir stands to its bars.
pub(crate) fn judge(verdicts: &[Verdict]) -> String {
    let mut out = "| bar | at most | found | |\n|---|---|---|---|\n".to_owned();
    for Verdict { what, most, found } in verdicts {
        let word = if found <= most { "met" } else { "missed" };
        out.push_str(&format!("| {what} | {most:.2} | {found:.2} | {word} |\n"));
    }
    out
}

/// How often runs stayed disturbed, and what else the machine did meanwhile.
pub(crate) fn disturbance(rounds: &[Vec<Option<Figures>>]) -> Option<String> {
    let named = |name: &'static str| {
        let figures = rounds.iter().flatten().flatten();
        sorted(figures.filter_map(move |f| f.get(name).copied()))
    };
    let disturbed = named("disturbed");
    if disturbed.is_empty() {
        return None;
    }
    let (foreign, stolen) = (named("foreign"), named("stolen"));
    Some(format!(
        "{} of {} runs stayed disturbed; other programs took {} % of a CPU (median; 90th percentile {} %), the host {} % ({} %)\n",
        disturbed.iter().sum::<f64>(),
        disturbed.len(),
        shown(part(&foreign, 0.5).map(|x| x * 100.0), 1),
        shown(part(&foreign, 0.9).map(|x| x * 100.0), 1),
        shown(part(&stolen, 0.5).map(|x| x * 100.0), 1),
        shown(part(&stolen, 0.9).map(|x| x * 100.0), 1),
    ))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which this part of the sorted values lies, between two of them where it must be.
fn part(sorted: &[f64], part: f64) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? as f64 * part;
    let (low, high) = (sorted[place as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
