//! What a person does with the status page in a browser.

use std::{ops::Not, time::Instant};

use serde_json::json;

use super::{browser::Page, running::by};

/// The token of the demo's operator.
const TOKEN: &str = "demo-admin-token";

impl Page {
    /// Shows it on a screen of this size.
    pub(crate) fn screen(&mut self, (width, height): (u32, u32), dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Waits until an expression holds; the page says when something has moved.
    pub(crate) fn until(&mut self, condition: &str) {
        let wait = format!(
            "new Promise((done, late) => {{ const holds = () => {{ try {{ return {condition} }} catch {{ return false }} }}; \
             const look = () => {{ if (holds()) done('yes') }}; look(); \
             new MutationObserver(look).observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}}); \
             setTimeout(() => late(new Error(document.body.innerText)), 20000) }})"
        );
        assert_eq!(self.text(&wait), "yes", "{condition}");
    }

    /// Presses what `selector` names, and waits until `condition` holds of the page that follows.
    pub(crate) fn press(&mut self, selector: &str, condition: &str) {
        let click = format!(
            "(() => {{ window.old = true; document.querySelector({}).click(); return 'clicked' }})()",
            json!(selector)
        );
        // It may be answered by the next page, or not at all.
        drop(self.ask(
            "Runtime.evaluate",
            &json!({"expression": click, "returnByValue": true}),
        ));
        self.becomes(condition, selector);
    }

    /// Waits until a page has followed of which `condition` holds; `what` says after what.
    pub(crate) fn becomes(&mut self, condition: &str, what: &str) {
        let deadline = by(20);
        let expression = format!(
            "(() => {{ try {{ return String(!window.old && document.readyState === 'complete' && !!({condition})) }} \
             catch {{ return '' }} }})()"
        );
        let ask = json!({"expression": expression, "returnByValue": true});
        while self
            .ask("Runtime.evaluate", &ask)
            .is_ok_and(|answer| answer["result"]["value"] == "true")
            .not()
        {
            assert!(
                Instant::now() < deadline,
                "{what}: {condition}: {}",
                self.text("document.body.innerText")
            );
        }
    }

    /// Logs in on the page at `url`, as anna.
    pub(crate) fn log_in(&mut self, url: &str) {
        self.load(url);
        self.text(&format!(
            "(() => {{ document.getElementById('token').value = '{TOKEN}'; document.getElementById('name').value = 'anna'; return '' }})()"
        ));
        self.press(
            "form button",
            "document.querySelector('#act span').innerText.startsWith('anna (')",
        );
    }
}
