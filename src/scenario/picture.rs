//! Seats over time as an SVG picture: one strip for each policy.

use super::{Outcome, Scenario, score::Moment, units::seconds};

const WIDTH: f64 = 960.0;
const STRIP: f64 = 110.0;
const LEFT: f64 = 150.0;
const TOP: f64 = 40.0;
/// Points of a line at most.
const POINTS: usize = 400;

/// Draws seats in use, what the GPUs carry, and how many wait, for each policy of a scenario.
pub fn picture(scenario: &Scenario, outcomes: &[Outcome]) -> String {
    let end = outcomes
        .iter()
        .filter_map(|outcome| outcome.moments.last())
        .map(|moment| seconds(moment.at))
        .fold(60.0, f64::max);
    let most = outcomes
        .iter()
        .flat_map(|outcome| &outcome.moments)
        .map(|moment| moment.capacity)
        .fold(1.0, f64::max)
        * 1.6;
    let height = TOP + STRIP * number(outcomes.len()) + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"15\">{}: seats in use (blue) of those that there are (dashed), and how many wait (orange)</text>\n",
        LEFT + WIDTH + 20.0,
        escaped(scenario.name())
    );
    for (index, outcome) in outcomes.iter().enumerate() {
        strip(&mut svg, outcome, TOP + STRIP * number(index), end, most);
    }
    let hours = (end / 3600.0).floor();
    let mut hour = 0.0;
    while hour <= hours {
        let x = LEFT + hour * 3600.0 / end * WIDTH;
        push(
            &mut svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"#555\">+{hour} h</text>",
                height - 12.0
            ),
        );
        hour += 1.0;
    }
    svg.push_str("</svg>\n");
    svg
}

fn strip(svg: &mut String, outcome: &Outcome, top: f64, end: f64, most: f64) {
    let floor = top + STRIP - 12.0;
    let x = |moment: &Moment| LEFT + seconds(moment.at) / end * WIDTH;
    let y = |seats: f64| floor - seats.min(most) / most * (STRIP - 16.0);
    let group = outcome.moments.len().div_ceil(POINTS).max(1);
    let points: Vec<Moment> = outcome.moments.chunks(group).filter_map(mean).collect();
    push(
        svg,
        format_args!(
            "<text x=\"8\" y=\"{:.1}\">{}</text><text x=\"8\" y=\"{:.1}\" fill=\"#555\">{:.1}% of the bound</text>\
             <text x=\"8\" y=\"{:.1}\" fill=\"#b00\">{}</text>",
            top + 30.0,
            escaped(&outcome.policy),
            top + 46.0,
            outcome.smooth_share * 100.0,
            top + 62.0,
            if outcome.stalled > 0 {
                format!("{} stalled", outcome.stalled)
            } else {
                String::new()
            }
        ),
    );
    let line = |value: &dyn Fn(&Moment) -> f64| {
        points.iter().fold(String::new(), |line, moment| {
            format!("{line}{:.1},{:.1} ", x(moment), y(value(moment)))
        })
    };
    let busy = line(&|m| m.busy);
    push(
        svg,
        format_args!(
            "<polygon points=\"{LEFT},{floor} {busy}{:.1},{floor}\" fill=\"#7fb2d9\" stroke=\"none\"/>",
            points.last().map_or(LEFT, x)
        ),
    );
    let lines = [
        (line(&|m| m.capacity), "#333", "4 3"),
        (line(&|m| number(m.waiting)), "#d98c00", "none"),
    ];
    for (points, colour, dashes) in lines {
        push(
            svg,
            format_args!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-dasharray=\"{dashes}\"/>"
            ),
        );
    }
    push(
        svg,
        format_args!(
            "<line x1=\"{LEFT}\" y1=\"{floor}\" x2=\"{}\" y2=\"{floor}\" stroke=\"#999\"/>",
            LEFT + WIDTH
        ),
    );
}

/// What stands for several moments.
fn mean(moments: &[Moment]) -> Option<Moment> {
    let first = moments.first()?;
    let count = number(moments.len());
    Some(Moment {
        at: first.at,
        busy: moments.iter().map(|m| m.busy).sum::<f64>() / count,
        capacity: moments.iter().map(|m| m.capacity).sum::<f64>() / count,
        waiting: moments.iter().map(|m| m.waiting).max().unwrap_or(0),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of things on a picture")]
fn number(count: usize) -> f64 {
    count as f64
}

fn push(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.push_str(&what.to_string());
    svg.push('\n');
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
