//! The comparison as a page with a picture of the seats over time; nothing is fetched from anywhere.

use super::{
    Comparison, Tally,
    report::{Changed, clock, fate, line},
};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 40.0;
/// Rows of the table.
const ROWS: usize = 500;

impl Comparison<'_> {
    /// As a page.
    pub fn html(&self, title: &str) -> String {
        let mut out = String::with_capacity(64 * 1024);
        line(
            &mut out,
            format_args!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n<title>Replay: {title}</title>\n<style>\n\
                 body{{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem}}\n\
                 table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #8884}}\n\
                 svg{{width:100%;height:auto}}.past{{stroke:#888;fill:#8883}}.under{{stroke:#0a7d5a;fill:#0a7d5a33}}\n\
                 .most{{stroke:#c33;stroke-dasharray:6 4}}text{{fill:currentColor;font-size:12px}}\n\
                 .wide{{overflow-x:auto}}.wide td{{white-space:nowrap}}\n</style>\n</head>\n<body>\n\
                 <h1>Replay of {title}</h1>\n<p>{sentence}</p>",
                title = escaped(title),
                sentence = escaped(&self.sentence()),
            ),
        );
        self.draw(&mut out);
        out.push_str("<table>\n<thead><tr><th></th><th>what happened</th><th>what would have</th></tr></thead>\n<tbody>\n");
        let number =
            |of: fn(&Tally) -> usize| (of(self.past).to_string(), of(self.under).to_string());
        let decimal = |of: fn(&Tally) -> f64| {
            (
                format!("{:.1}", of(self.past)),
                format!("{:.1}", of(self.under)),
            )
        };
        for (what, (was, would)) in [
            ("wishes", number(|t| t.wishes)),
            ("refused", number(|t| t.refused)),
            ("answers with a refusal", number(|t| t.refusals)),
            ("queued", number(|t| t.queued)),
            (
                "median wait, seconds",
                decimal(|t| t.wait_median.unwrap_or(0.0)),
            ),
            ("stepped down", number(|t| t.stepped_down)),
            ("left while waiting", number(|t| t.left)),
            ("peak seats", decimal(|t| t.peak_seats)),
            ("seat hours", decimal(|t| t.seat_hours)),
        ] {
            line(
                &mut out,
                format_args!(
                    "<tr><th scope=\"row\">{what}</th><td>{was}</td><td>{would}</td></tr>"
                ),
            );
        }
        out.push_str("</tbody>\n</table>\n");
        if !self.changed.is_empty() {
            out.push_str("<h2>Otherwise for</h2>\n<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr><th>When</th><th>Who</th><th>Client</th><th>What</th><th>Was</th><th>Would have been</th></tr></thead>\n<tbody>\n");
            for Changed { was, would } in self.changed.iter().take(ROWS) {
                let who = was.name.as_deref().unwrap_or(was.user.as_str());
                line(
                    &mut out,
                    format_args!(
                        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                        clock(was.at),
                        escaped(who),
                        escaped(&was.client),
                        escaped(&was.work),
                        escaped(&fate(was)),
                        escaped(&fate(would)),
                    ),
                );
            }
            out.push_str("</tbody>\n</table></div>\n");
        }
        for note in &self.notes {
            line(&mut out, format_args!("<p>Note: {}</p>", escaped(note)));
        }
        out.push_str("</body>\n</html>\n");
        out
    }

    fn draw(&self, out: &mut String) {
        let (past, under) = (self.past, self.under);
        let most = [past, under]
            .iter()
            .map(|tally| tally.peak_seats.max(tally.capacity))
            .fold(1.0, f64::max)
            * 1.1;
        let y = |seats: f64| HEIGHT - seats / most * HEIGHT;
        line(
            out,
            format_args!(
                "<svg viewBox=\"0 -12 {} {}\" role=\"img\" aria-label=\"Seats over time, as they were and as they would have been\" fill=\"none\" stroke-width=\"1.5\">",
                WIDTH + LEFT + 4.0,
                HEIGHT + 52.0
            ),
        );
        for (class, tally) in [("past", past), ("under", under)] {
            let count = u32::try_from(tally.line.len().max(1)).unwrap_or(u32::MAX);
            let step = WIDTH / f64::from(count);
            let mut x = LEFT;
            let mut points = format!("{LEFT},{HEIGHT} ");
            for seats in &tally.line {
                points.push_str(&format!("{x:.1},{:.1} ", y(*seats)));
                x += step;
            }
            points.push_str(&format!("{x:.1},{HEIGHT}"));
            line(
                out,
                format_args!("<polyline class=\"{class}\" points=\"{points}\"/>"),
            );
            let at = y(tally.capacity);
            line(
                out,
                format_args!(
                    "<path class=\"most {class}\" d=\"M{LEFT} {at:.1}H{}\"/>",
                    LEFT + WIDTH
                ),
            );
        }
        for part in 0..=4 {
            let seats = most * f64::from(part) / 4.0;
            line(
                out,
                format_args!(
                    "<text x=\"2\" y=\"{:.1}\">{seats:.1}</text>",
                    y(seats) + 4.0
                ),
            );
        }
        let (from, to) = past.span;
        line(
            out,
            format_args!(
                "<text x=\"{LEFT}\" y=\"{y:.1}\">{}</text><text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{}\" y=\"{y:.1}\" text-anchor=\"middle\">seats · grey: what happened · green: what would have · dashes: capacity</text>\n</svg>",
                clock(from),
                LEFT + WIDTH,
                clock(to),
                LEFT + WIDTH / 2.0,
                y = HEIGHT + 18.0
            ),
        );
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
