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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use prometheus::{
        Counter, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    };

    use super::*;
    use crate::{ident::DecisionId, telemetry::exemplars::Exemplars};

    #[test]
    fn every_kind_is_written_as_the_specification_has_it() {
        let registry = Registry::new();
        let counts = Opts::new("a_decisions_total", "Says \"no\".\nOr C:\\.");
        let counts = IntCounterVec::new(counts, &["who"]).unwrap();
        counts.with_label_values(&["a\"b\\c\nd"]).inc_by(3);
        let bytes = Counter::new("b_bytes_total", "Bytes.").unwrap();
        bytes.inc_by(0.5);
        let gauge = IntGauge::new("c_up", "Up.").unwrap();
        gauge.set(-1);
        let waits = HistogramOpts::new("d_wait_seconds", "Waits.").buckets(vec![0.5, 1.0]);
        let waits = Histogram::with_opts(waits).unwrap();
        let routes = HistogramOpts::new("e_seconds", "Routes.").buckets(vec![10.0]);
        let routes = HistogramVec::new(routes, &["route"]).unwrap();
        let empty = IntCounterVec::new(Opts::new("f_total", "None."), &["x"]).unwrap();
        waits.observe(0.7);
        waits.observe(4.0);
        routes.with_label_values(&["segment"]).observe(2.5);
        registry.register(Box::new(counts)).unwrap();
        registry.register(Box::new(bytes)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(waits)).unwrap();
        registry.register(Box::new(routes)).unwrap();
        registry.register(Box::new(empty)).unwrap();
        let exemplars = Exemplars::new(&[0.5, 1.0]);
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        exemplars.note(0.9, DecisionId(7), at);
        exemplars.note(0.7, DecisionId(8), at);
        exemplars.note(4.0, DecisionId(9), at);
        let text = encode(&registry.gather(), |family, nth| {
            (family == "d_wait_seconds")
                .then(|| exemplars.of(nth))
                .flatten()
        });
        let expected = r#"# TYPE a_decisions counter
# HELP a_decisions Says \"no\".\nOr C:\\.
a_decisions_total{who="a\"b\\c\nd"} 3.0
# TYPE b_bytes counter
# UNIT b_bytes bytes
# HELP b_bytes Bytes.
b_bytes_total 0.5
# TYPE c_up gauge
# HELP c_up Up.
c_up -1.0
# TYPE d_wait_seconds histogram
# UNIT d_wait_seconds seconds
# HELP d_wait_seconds Waits.
d_wait_seconds_bucket{le="0.5"} 0
d_wait_seconds_bucket{le="1.0"} 1 # {decision="d-8"} 0.7 1700000000.250
d_wait_seconds_bucket{le="+Inf"} 2 # {decision="d-9"} 4.0 1700000000.250
d_wait_seconds_count 2
d_wait_seconds_sum 4.7
# TYPE e_seconds histogram
# UNIT e_seconds seconds
# HELP e_seconds Routes.
e_seconds_bucket{route="segment",le="10.0"} 1
e_seconds_bucket{route="segment",le="+Inf"} 1
e_seconds_count{route="segment"} 1
e_seconds_sum{route="segment"} 2.5
# EOF
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn an_observation_at_a_bound_is_in_the_bucket_below_it() {
        let exemplars = Exemplars::new(&[0.5, 1.0]);
        exemplars.note(0.5, DecisionId(1), SystemTime::UNIX_EPOCH);
        exemplars.note(1.0, DecisionId(2), SystemTime::UNIX_EPOCH);
        exemplars.note(1.1, DecisionId(3), SystemTime::UNIX_EPOCH);
        let ids: Vec<_> = (0..4).map(|n| exemplars.of(n).map(|e| e.id)).collect();
        let waited = |ticket| Some(DecisionId(ticket));
        assert_eq!(ids, [waited(1), waited(2), waited(3), None]);
    }
}
