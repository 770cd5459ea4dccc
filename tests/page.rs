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
#[path = "demo/hands.rs"]
mod hands;
#[path = "demo/process.rs"]
#[expect(dead_code, reason = "the demo's test uses the rest")]
mod process;
#[path = "demo/running.rs"]
#[expect(dead_code, reason = "the demo's test uses the rest")]
mod running;

use serde_json::json;

use self::{
    browser::Page,
    process::get,
    running::{Demo, by},
};

/// axe-core 4 (MPL-2.0), as published; see `tests/axe/README.md`.
const AXE: &str = include_str!("axe/axe.min.js");
const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// A demo in which somebody plays and somebody was refused.
fn demo() -> Demo {
    let mut demo = Demo::start(&["--for", "5m"]);
    demo.until_lively();
    demo
}

impl Page {
    /// What axe finds that keeps somebody out.
    fn faults(&mut self) -> String {
        self.call("Runtime.evaluate", &json!({"expression": AXE}));
        self.text(
            "axe.run(document, {resultTypes: ['violations']}).then(found => { \
             const bad = found.violations.filter(v => ['serious', 'critical'].includes(v.impact)); \
             return bad.map(v => v.id + ': ' + v.help + '\\n' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('\\n')).join('\\n') })",
        )
    }
}

#[test]
fn it_fits_every_screen_lives_and_keeps_nobody_out() {
    let demo = demo();
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
    page.log_in(&demo.url("login"));
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
    let demo = demo();
    let scratch = tempfile::tempdir().unwrap();
    let mut page = Page::open(&demo.url(""), scratch.path(), by(30));
    page.screen(DESKTOP, true);
    page.log_in(&demo.url("login"));
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

    // A page that is open is not the operator's any more once the session ends elsewhere.
    page.log_in(&demo.url("login"));
    page.until("Number(document.documentElement.dataset.frames) >= 1");
    page.text(
        "(() => { window.old = true; const body = new URLSearchParams(new FormData(document.getElementById('act'))); \
         return fetch('logout', {method: 'POST', body}).then(answer => String(answer.status)) })()",
    );
    page.becomes(
        "document.querySelector('a[href=login]')",
        "the session has ended",
    );
    assert!(page.errors.is_empty(), "{:#?}", page.errors);
}
