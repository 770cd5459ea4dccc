//! The last minutes of a GPU as a small picture: seats held, what could be held, and who waited.

use std::fmt::{self, Write};

use crate::admin::history::Point;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 56.0;
/// Spans that the picture may show, in minutes: the shortest that holds what is known.
const SPANS: [u32; 4] = [5, 15, 30, 60];

/// Draws it.
pub(super) fn strip(out: &mut String, past: &[Point]) -> fmt::Result {
    let known = past.first().map_or(0.0, |first| first.ago);
    let minutes = SPANS
        .into_iter()
        .find(|minutes| known <= f64::from(*minutes) * 60.0);
    let minutes = minutes.unwrap_or(60);
    let span = f64::from(minutes) * 60.0;
    let most_held = past
        .iter()
        .map(|point| point.held)
        .max()
        .unwrap_or_default();
    let most_waiting = past.iter().map(|point| point.waiting).max().unwrap_or(0);
    let top = past
        .iter()
        .map(|point| point.capacity.max(point.held).milli())
        .max();
    let top = f64::from(top.unwrap_or(0).max(1));
    let x = |point: &Point| WIDTH * (1.0 - point.ago / span).clamp(0.0, 1.0);
    let y = |milli: u32| 4.0 + (HEIGHT - 5.0) * (1.0 - f64::from(milli) / top);

    let said = format!(
        "Last {minutes} min: at most {most_held} seats held, at most {most_waiting} waiting"
    );
    write!(
        out,
        "<figure class=\"past\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{said}\">"
    )?;
    if let (Some(first), Some(last)) = (past.first(), past.last()) {
        let held = steps(past, &x, |point| y(point.held.milli()));
        let capacity = steps(past, &x, |point| y(point.capacity.milli()));
        let (left, right) = (x(first), x(last));
        write!(
            out,
            "<path class=\"held\" d=\"M{left:.0} {HEIGHT}V{held}V{HEIGHT}Z\"/>\
             <path class=\"capacity\" d=\"M{left:.0} {capacity}H{right:.0}\"/>"
        )?;
        waits(out, past, &x, f64::from(most_waiting.max(4)))?;
    }
    writeln!(
        out,
        "</svg><figcaption><span>last {minutes} min</span><span>most held {most_held}</span>\
         <span>most waiting {most_waiting}</span></figcaption></figure>"
    )
}

/// A line that goes level until it steps; written only where it does. It begins with a height.
fn steps(past: &[Point], x: &impl Fn(&Point) -> f64, y: impl Fn(&Point) -> f64) -> String {
    let mut line = String::new();
    let mut before = None;
    for point in past {
        let height = format!("{:.1}", y(point));
        if before.as_ref() != Some(&height) {
            if before.is_some() {
                line.push_str(&format!("H{:.0}V", x(point)));
            }
            line.push_str(&height);
            before = Some(height);
        }
    }
    if let Some(last) = past.last() {
        line.push_str(&format!("H{:.0}", x(last)));
    }
    line
}

/// Who waited, as an area that hangs from the top: the more, the deeper, down to a third of the picture.
fn waits(out: &mut String, past: &[Point], x: &impl Fn(&Point) -> f64, most: f64) -> fmt::Result {
    let (Some(first), true) = (past.first(), past.iter().any(|point| point.waiting > 0)) else {
        return Ok(());
    };
    let depth = steps(past, x, |point| {
        HEIGHT / 3.0 * f64::from(point.waiting) / most
    });
    write!(
        out,
        "<path class=\"waits\" d=\"M{:.0} 0V{depth}V0Z\"/>",
        x(first)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Seats;

    fn point(ago: f64, held: u32, waiting: u32) -> Point {
        Point {
            ago,
            held: Seats::from_milli(held),
            capacity: Seats::from_milli(8500),
            waiting,
        }
    }

    #[test]
    fn the_picture_steps_where_seats_do_and_says_the_most() {
        let mut out = String::new();
        let past = [
            point(120.0, 1000, 0),
            point(110.0, 1000, 0),
            point(100.0, 8500, 3),
            point(90.0, 0, 0),
        ];
        strip(&mut out, &past).unwrap();
        assert!(
            out.contains("Last 5 min: at most 8.5 seats held, at most 3 waiting"),
            "{out}"
        );
        assert!(
            out.contains("d=\"M360 56V49.0H400V4.0H420V55.0H420V56Z\""),
            "{out}"
        );
        assert!(out.contains("M360 4.0H420H420"), "{out}");
        assert!(out.contains("M360 0V0.0H400V14.0H420V0.0H420V0Z"), "{out}");
    }

    #[test]
    fn nothing_known_draws_nothing_and_says_so() {
        let mut out = String::new();
        strip(&mut out, &[]).unwrap();
        assert!(out.contains("at most 0.0 seats held"), "{out}");
        assert!(!out.contains("<path"), "{out}");
    }
}
