//! Writes gathered families as OpenMetrics 1.0, which the `prometheus` crate does not: it has exemplars.
//!
//! Against the text format 0.0.4: a counter's family is named without `_total`, a family in seconds or bytes says its
//! unit, numbers in `le` always have a point, quotes in help texts are escaped, and the end is marked.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplars::Exemplar;

/// Units that a name may end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// Writes `families`. `exemplar` gives that of the `nth` bucket of a histogram.
pub(super) fn encode(
    families: &[MetricFamily],
    exemplar: impl Fn(&str, usize) -> Option<Exemplar>,
) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|f| !f.get_metric().is_empty()) {
        let name = family.name();
        let (kind, base) = match family.get_field_type() {
            MetricType::COUNTER => ("counter", name.strip_suffix("_total").unwrap_or(name)),
            MetricType::GAUGE => ("gauge", name),
            MetricType::HISTOGRAM => ("histogram", name),
            MetricType::SUMMARY => ("summary", name),
            MetricType::UNTYPED => ("unknown", name),
        };
        line(&mut out, format_args!("# TYPE {base} {kind}"));
        let unit = base.rsplit_once('_').map(|(_, unit)| unit);
        if let Some(unit) = unit.filter(|unit| UNITS.contains(unit)) {
            line(&mut out, format_args!("# UNIT {base} {unit}"));
        }
        let help = escaped(family.help());
        line(&mut out, format_args!("# HELP {base} {help}"));
        for metric in family.get_metric() {
            let labels = labels(metric.get_label());
            match family.get_field_type() {
                MetricType::COUNTER => {
                    let value = number(metric.get_counter().get_value());
                    line(
                        &mut out,
                        format_args!("{base}_total{} {value}", braced(&labels)),
                    );
                }
                MetricType::GAUGE => {
                    let value = number(metric.get_gauge().get_value());
                    line(&mut out, format_args!("{base}{} {value}", braced(&labels)));
                }
                MetricType::HISTOGRAM => {
                    histogram(&mut out, base, &labels, metric, &exemplar);
                }
                // No family of this program is of these kinds.
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn histogram(
    out: &mut String,
    base: &str,
    labels: &str,
    metric: &Metric,
    exemplar: &impl Fn(&str, usize) -> Option<Exemplar>,
) {
    let histogram = metric.get_histogram();
    let comma = if labels.is_empty() { "" } else { "," };
    let finite = histogram
        .get_bucket()
        .iter()
        .filter(|bucket| bucket.upper_bound().is_finite());
    let last = (f64::INFINITY, histogram.get_sample_count());
    let buckets = finite
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .chain([last]);
    for (nth, (bound, count)) in buckets.enumerate() {
        let bound = number(bound);
        let tail = exemplar(base, nth).map_or_else(String::new, |one| {
            let Exemplar { id, value, at } = one;
            format!(" # {{decision=\"{id}\"}} {} {at:.3}", number(value))
        });
        line(
            out,
            format_args!("{base}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}{tail}"),
        );
    }
    let labels = braced(labels);
    let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
    line(out, format_args!("{base}_count{labels} {count}"));
    line(out, format_args!("{base}_sum{labels} {}", number(sum)));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    writeln!(out, "{text}").ok();
}

fn labels(pairs: &[LabelPair]) -> String {
    let written: Vec<String> = pairs
        .iter()
        .map(|pair| format!("{}=\"{}\"", pair.name(), escaped(pair.value())))
        .collect();
    written.join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

/// A number with a point, as `le` wants it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value:?}")
    }
}
