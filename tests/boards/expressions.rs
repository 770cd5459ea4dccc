//! What an expression names, and what is wrong with it.

use std::collections::BTreeMap;

use promql_parser::{
    label::MatchOp,
    parser::{Expr, LabelModifier, VectorSelector},
};

use super::families::{Family, base};

/// Metrics of Prometheus itself, which any expression may name.
pub(crate) const PROMETHEUS: &str = "up";
/// What stands for Grafana's variables when an expression is parsed.
pub(crate) const VARIABLES: &[(&str, &str)] = &[("$__rate_interval", "5m"), ("$__range", "1h")];

/// A metric named in an expression, and the innermost function around it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) selector: VectorSelector,
    /// `rate`, `increase`, ...; empty outside of any.
    pub(crate) function: String,
    pub(crate) ranged: bool,
}

pub(crate) fn parse(expr: &str) -> Expr {
    let plain = VARIABLES
        .iter()
        .fold(expr.to_owned(), |expr, (name, value)| {
            expr.replace(name, value)
        });
    promql_parser::parser::parse(&plain).unwrap_or_else(|error| panic!("{expr}\n{error}"))
}

pub(crate) fn named(expr: &Expr) -> Vec<Named> {
    let mut out = Vec::new();
    walk(expr, "", &mut out);
    out
}

pub(crate) fn walk(expr: &Expr, function: &str, out: &mut Vec<Named>) {
    let mut push = |selector: &VectorSelector, ranged| {
        out.push(Named {
            selector: selector.clone(),
            function: function.to_owned(),
            ranged,
        });
    };
    match expr {
        Expr::VectorSelector(selector) => push(selector, false),
        Expr::MatrixSelector(matrix) => push(&matrix.vs, true),
        Expr::Aggregate(aggregate) => walk(&aggregate.expr, function, out),
        Expr::Unary(unary) => walk(&unary.expr, function, out),
        Expr::Paren(paren) => walk(&paren.expr, function, out),
        Expr::Subquery(subquery) => walk(&subquery.expr, function, out),
        Expr::Binary(binary) => {
            walk(&binary.lhs, function, out);
            walk(&binary.rhs, function, out);
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                walk(argument, call.func.name, out);
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Labels that an expression groups by, each with the metrics grouped.
pub(crate) fn groupings(expr: &Expr, out: &mut Vec<(Vec<String>, Vec<String>)>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                let metrics = named(&aggregate.expr)
                    .into_iter()
                    .filter_map(|n| n.selector.name)
                    .collect();
                out.push((labels.labels.clone(), metrics));
            }
            groupings(&aggregate.expr, out);
        }
        Expr::Unary(unary) => groupings(&unary.expr, out),
        Expr::Paren(paren) => groupings(&paren.expr, out),
        Expr::Subquery(subquery) => groupings(&subquery.expr, out),
        Expr::Binary(binary) => {
            groupings(&binary.lhs, out);
            groupings(&binary.rhs, out);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|arg| groupings(arg, out)),
        Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => {}
    }
}

/// What is wrong with the names in an expression.
pub(crate) fn wrong_names(text: &str, families: &BTreeMap<String, Family>) -> Vec<String> {
    let expr = parse(text);
    let mut wrong = Vec::new();
    let family = |metric: &str| {
        let histogram = families
            .get(base(metric, true))
            .is_some_and(|family| family.kind == "histogram");
        families.get(base(metric, histogram))
    };
    for used in named(&expr) {
        let metric = used.selector.name.clone().unwrap_or_default();
        if metric == PROMETHEUS {
            continue;
        }
        let Some(family) = family(&metric) else {
            wrong.push(format!("`{metric}` does not exist: {text}"));
            continue;
        };
        for matcher in &used.selector.matchers.matchers {
            if ["job", "instance"].contains(&matcher.name.as_str()) {
                continue;
            }
            let Some(values) = family.labels.get(&matcher.name) else {
                wrong.push(format!(
                    "`{metric}` has no label `{}`: {text}",
                    matcher.name
                ));
                continue;
            };
            // A variable of the board is whatever the operator picks.
            let wanted = match &matcher.op {
                MatchOp::Equal => vec![matcher.value.as_str()],
                MatchOp::Re(_) if !matcher.value.contains('$') => {
                    matcher.value.split('|').collect()
                }
                MatchOp::Re(_) | MatchOp::NotEqual | MatchOp::NotRe(_) => Vec::new(),
            };
            for value in wanted {
                if !values.contains(value) {
                    wrong.push(format!(
                        "`{metric}` is never {}={value}: {text}",
                        matcher.name
                    ));
                }
            }
        }
    }
    let mut grouped = Vec::new();
    groupings(&expr, &mut grouped);
    for (labels, metrics) in grouped {
        for label in labels {
            let known = ["job", "instance"].contains(&label.as_str())
                || metrics.iter().any(|metric| {
                    family(metric).is_some_and(|family| family.labels.contains_key(&label))
                });
            if !known {
                wrong.push(format!("nothing here has the label `{label}`: {text}"));
            }
        }
    }
    wrong
}
