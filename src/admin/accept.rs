//! Which format of metrics a scraper asks for.

use axum::http::{HeaderMap, header};

/// Whether `Accept` asks for OpenMetrics 1.0 at least as much as for the text format. Without a word it does not.
pub(super) fn open_metrics(headers: &HeaderMap) -> bool {
    let (mut open, mut plain) = (0.0_f32, 0.0_f32);
    let values = headers.get_all(header::ACCEPT).into_iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0_f32, "1.0.0");
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse().unwrap_or(0.0),
                "version" => version = value.trim().trim_matches('"'),
                _ => {}
            }
        }
        match kind.as_str() {
            "application/openmetrics-text" if version == "1.0.0" => open = open.max(quality),
            "text/plain" | "text/*" | "*/*" => plain = plain.max(quality),
            _ => {}
        }
    }
    open > 0.0 && open >= plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(accept: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        open_metrics(&headers)
    }

    #[test]
    fn only_who_asks_for_openmetrics_gets_it() {
        // As Prometheus 2.42 and 3 ask.
        assert!(asks(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(asks(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6, text/plain;q=0.3"
        ));
        assert!(asks("Application/OpenMetrics-Text; version=\"1.0.0\""));
        for other in [
            "*/*",
            "text/plain;version=0.0.4",
            "text/html,*/*;q=0.8",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.2,text/plain",
            "application/openmetrics-text;q=x",
            "",
        ] {
            assert!(!asks(other), "{other}");
        }
        assert!(!open_metrics(&HeaderMap::new()));
    }
}
