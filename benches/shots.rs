//! Draws the status page of a demo in a real Chromium: `cargo bench --bench shots -- DIR`, or `just shots`.
//!
//! `DIR ADDRESS` draws that of a demo that runs already, whose last hour is longer. `status-page.png` and
//! `status-page-phone.png` are those of the documentation; the others are for the eye.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it reports by panicking"
)]
#![expect(clippy::print_stderr, reason = "it says what it lacks")]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads the clock for its deadline"
)]

#[path = "../tests/demo/browser.rs"]
mod browser;
#[path = "../tests/demo/hands.rs"]
mod hands;
#[path = "../tests/demo/process.rs"]
#[expect(dead_code, reason = "tests use the rest of it")]
mod process;
#[path = "../tests/demo/running.rs"]
#[expect(dead_code, reason = "tests use the rest of it")]
mod running;

use std::{fs, path::Path};

use serde_json::json;

use self::{
    browser::Page,
    running::{Demo, by},
};

fn main() {
    // What else stands there is cargo's.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let mut demo = None;
    let (dir, admin) = match words.as_slice() {
        [dir] => {
            let demo = demo.insert(Demo::start(&["--for", "5m"]));
            demo.until_lively();
            (dir, &demo.admin)
        }
        [dir, admin] => (dir, admin),
        _ => {
            eprintln!("shots: name the directory that the pictures go to");
            return;
        }
    };
    fs::create_dir_all(dir).unwrap();
    draw(Path::new(dir), &format!("http://{admin}/"));
}

fn draw(dir: &Path, url: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let mut page = Page::open(url, scratch.path(), by(30));
    let shoot = |page: &mut Page, name: &str| {
        let shot = page.call("Page.captureScreenshot", &json!({}));
        let picture = decoded(shot["data"].as_str().unwrap());
        fs::write(dir.join(format!("{name}.png")), picture).unwrap();
    };
    for (name, screen, dark) in [
        ("status-page-light", (1280, 1440), false),
        ("status-page", (1280, 1440), true),
        ("reader-phone-light", (390, 1400), false),
        ("reader-phone-dark", (390, 1400), true),
    ] {
        page.screen(screen, dark);
        page.until("document.documentElement.dataset.frames");
        shoot(&mut page, name);
    }
    page.load(&format!("{url}login"));
    shoot(&mut page, "login");
    page.log_in(&format!("{url}login"));
    page.screen((1280, 1100), true);
    page.until("document.querySelector('.streams tbody tr')");
    page.text("(() => { document.querySelector('.streams summary').click(); return '' })()");
    shoot(&mut page, "operator-dark");
    page.screen((390, 1400), false);
    shoot(&mut page, "status-page-phone");
}

/// Reads base64.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("{letter} is not of base64"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            out.push(byte);
        }
    }
    out
}
