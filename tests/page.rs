//! The status page in a real Chromium, over the demo: how it looks, that it lives, what can be done, who can use it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reports by panicking, and reads the clock for its deadline"
)]

#[path = "demo/browser.rs"]
mod browser;
#[path = "demo/process.rs"]
#[expect(dead_code, reason = "the demo's test uses the rest")]
mod process;

use std::{
    ops::Not,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::{
    browser::Page,
    process::{Process, get},
};

/// axe-core 4 (MPL-2.0), as published; see `tests/axe/README.md`.
const AXE: &str = include_str!("axe/axe.min.js");
const TOKEN: &str = "demo-admin-token";
const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

fn by(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// A running demo.
struct Demo {
    _process: Process,
    admin: String,
}

impl Demo {
    /// Starts one, and waits until somebody plays, waits and was refused.
    fn start() -> Self {
        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_finweir"))
                .arg("demo")
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .args(["--for", "5m"]),
        );
        let admin = process.until(by(30), |line| {
            let rest = line.trim_start().strip_prefix("status page")?;
            let (_, address) = rest.split_once("http://")?;
            address.split('/').next().map(str::to_owned)
        });
        let deadline = by(60);
        loop {
            let (_, state) = get(&admin, "/state");
            let state: Value = serde_json::from_str(&state).unwrap();
            let refused = |one: &Value| one["decision"] == "reject";
            if state["recent"].as_array().unwrap().iter().any(refused)
                && !state["leases"].as_array().unwrap().is_empty()
            {
                break;
            }
            process.line(deadline).unwrap();
        }
        Self {
            _process: process,
            admin,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.admin)
    }
}

impl Page {
    fn screen(&mut self, (width, height): (u32, u32), dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Waits until an expression holds; the page says when something has moved.
    fn until(&mut self, condition: &str) {
        let wait = format!(
            "new Promise((done, late) => {{ const holds = () => {{ try {{ return {condition} }} catch {{ return false }} }}; \
             const look = () => {{ if (holds()) done('yes') }}; look(); \
             new MutationObserver(look).observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}}); \
             setTimeout(() => late(new Error(document.body.innerText)), 20000) }})"
        );
        assert_eq!(self.text(&wait), "yes", "{condition}");
    }

    /// Presses what `selector` names, and waits until `condition` holds of the page that follows.
    fn press(&mut self, selector: &str, condition: &str) {
        let click = format!(
            "(() => {{ window.old = true; document.querySelector({}).click(); return 'clicked' }})()",
            json!(selector)
        );
        // It may be answered by the next page, or not at all.
        drop(self.ask(
            "Runtime.evaluate",
            &json!({"expression": click, "returnByValue": true}),
        ));
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
                "{selector}: {condition}: {}",
                self.text("document.body.innerText")
            );
        }
    }

    /// What axe finds that keeps somebody out.
    fn faults(&mut self) -> String {
        self.call("Runtime.evaluate", &json!({"expression": AXE}));
        self.text(
            "axe.run(document, {resultTypes: ['violations']}).then(found => { \
             const bad = found.violations.filter(v => ['serious', 'critical'].includes(v.impact)); \
             return bad.map(v => v.id + ': ' + v.help + '\\n' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('\\n')).join('\\n') })",
        )
    }

    fn log_in(&mut self, demo: &Demo) {
        self.load(&demo.url("login"));
        self.text(&format!(
            "(() => {{ document.getElementById('token').value = '{TOKEN}'; document.getElementById('name').value = 'anna'; return '' }})()"
        ));
        self.press(
            "form button",
            "document.querySelector('#act span').innerText.startsWith('anna (')",
        );
    }
}

#[test]
fn it_fits_every_screen_lives_and_keeps_nobody_out() {
    let demo = Demo::start();
    let scratch = tempfile::tempdir().unwrap();
    let mut page = Page::open(&demo.url(""), scratch.path(), by(30));
    page.screen(DESKTOP, false);

    // It changes by itself, without being loaded again.
    page.text("window.mine = 'kept'");
    page.until("Number(document.documentElement.dataset.frames) >= 3");
    assert_eq!(page.text("window.mine"), "kept");
    assert_eq!(
        page.text("String(document.getElementById('stale').hidden)"),
        "true"
    );
    let seen = page.text("document.body.innerText");
    for said in [
        "of 8.5 seats held",
        "anna",
        "Refused lately",
        "most held",
        "Log in to act",
    ] {
        assert!(seen.contains(said), "{said} is not in\n{seen}");
    }
    assert_eq!(
        page.text("String(document.querySelectorAll('main button').length)"),
        "0"
    );

    for path in ["", "login"] {
        page.load(&demo.url(path));
        looks_well(&mut page, path);
    }
    page.log_in(&demo);
    looks_well(&mut page, "as operator");

    // Without scripts it says the same.
    page.call(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    page.load(&demo.url(""));
    let root = page.call("DOM.getDocument", &json!({}));
    let node = json!({"nodeId": root["root"]["nodeId"]});
    let plain = page.call("DOM.getOuterHTML", &node)["outerHTML"].to_string();
    for said in ["of 8.5 seats held", "anna", "Refused lately", "http-equiv"] {
        assert!(plain.contains(said), "{said} is not in\n{plain}");
    }
    assert!(page.errors.is_empty(), "{:#?}", page.errors);
}

fn looks_well(page: &mut Page, what: &str) {
    for screen in [DESKTOP, PHONE] {
        for dark in [false, true] {
            page.screen(screen, dark);
            let width = page.text("String(document.documentElement.scrollWidth)");
            assert!(
                width.parse::<u32>().unwrap() <= screen.0,
                "{what}: something sticks out at {screen:?}: {width}"
            );
            let faults = page.faults();
            assert_eq!(faults, "", "{what}, {screen:?}, dark: {dark}");
        }
    }
}

#[test]
fn an_operator_pauses_writes_and_ends_a_stream_and_nobody_else_can() {
    let demo = Demo::start();
    let scratch = tempfile::tempdir().unwrap();
    let mut page = Page::open(&demo.url(""), scratch.path(), by(30));
    page.screen(DESKTOP, true);
    page.log_in(&demo);
    let pills = "document.querySelector('[data-part=status]').innerText";

    page.press("[formaction=pause]", &format!("{pills}.includes('paused')"));
    let said = page.text("document.querySelector('.said').innerText");
    assert!(said.contains("No new transcode is let in"), "{said}");
    page.press(
        "[formaction=resume]",
        &format!("!{pills}.includes('paused')"),
    );
    page.press(
        "[formaction='mode?mode=observe']",
        &format!("{pills}.includes('observing by hand')"),
    );
    page.press(
        "[formaction='mode?mode=enforce']",
        &format!("!{pills}.includes('by hand')"),
    );

    // What is open and half written stays while the page lives.
    page.until("document.querySelector('.streams tr[id] details')");
    let id = page.text(
        "(() => { const row = document.querySelector('.streams tbody tr'); row.querySelector('summary').click(); \
         const field = row.querySelector('input'); field.value = 'Dinner is ready'; field.focus(); return row.id })()",
    );
    page.text("(() => { document.documentElement.dataset.frames = '0'; return '' })()");
    page.until("Number(document.documentElement.dataset.frames) >= 2");
    let kept = page.text(&format!(
        "(() => {{ const row = document.getElementById('{id}'); if (!row) return 'gone'; const field = row.querySelector('input'); \
         return row.querySelector('details').open + ' ' + field.value + ' ' + (document.activeElement === field) }})()"
    ));
    assert!(
        ["true Dinner is ready true", "gone"].contains(&kept.as_str()),
        "{kept}"
    );

    // Whoever plays longest yet is asked to stop.
    page.press(
        ".streams tbody tr [formaction^=release]",
        "/is ended|has ended already/.test(document.querySelector('.said').innerText)",
    );
    let (_, metrics) = get(&demo.admin, "/metrics");
    for action in ["pause", "resume", "observe", "enforce"] {
        let counted = format!("finweir_operator_actions_total{{action=\"{action}\"}} 1");
        assert!(metrics.contains(&counted), "{counted}\n{metrics}");
    }
    page.press(
        "#act [formaction=logout]",
        "document.querySelector('a[href=login]')",
    );
    assert_eq!(
        page.text("String(document.querySelectorAll('button').length)"),
        "0"
    );
    assert!(page.errors.is_empty(), "{:#?}", page.errors);
}

/// `FINWEIR_SHOTS=DIR cargo test --test page draw -- --ignored` draws the page for the eye; `FINWEIR_ADMIN=ADDRESS` of a
/// demo that runs already, so that its last hour is longer.
#[test]
#[ignore = "writes files for the eye"]
fn draw() {
    let dir = std::path::PathBuf::from(std::env::var("FINWEIR_SHOTS").unwrap());
    let demo = match std::env::var("FINWEIR_ADMIN") {
        Ok(admin) => Demo {
            _process: Process::start(&mut Command::new("true")),
            admin,
        },
        Err(_) => Demo::start(),
    };
    let scratch = tempfile::tempdir().unwrap();
    let mut page = Page::open(&demo.url(""), scratch.path(), by(30));
    let shoot = |page: &mut Page, name: &str| {
        let shot = page.call("Page.captureScreenshot", &json!({}));
        let file = dir.join(format!("{name}.b64"));
        std::fs::write(file, shot["data"].as_str().unwrap()).unwrap();
    };
    for (name, screen, dark) in [
        ("desktop-light", (1280, 1440), false),
        ("desktop-dark", (1280, 1440), true),
        ("phone-light", (390, 1400), false),
        ("phone-dark", (390, 1400), true),
    ] {
        page.screen(screen, dark);
        page.until("document.documentElement.dataset.frames");
        shoot(&mut page, name);
    }
    page.load(&demo.url("login"));
    shoot(&mut page, "login");
    page.log_in(&demo);
    page.screen((1280, 1100), true);
    page.until("document.querySelector('.streams tbody tr')");
    page.text("(() => { document.querySelector('.streams summary').click(); return '' })()");
    shoot(&mut page, "operator-dark");
    page.screen((390, 1400), false);
    shoot(&mut page, "operator-phone");
}
