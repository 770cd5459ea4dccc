//! Chromium, driven over its own protocol.

use std::{
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::process::Process;

/// A page in a browser.
pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    session: String,
    sent: u64,
    loads: u64,
    /// What the page, or the browser about it, called an error.
    pub(crate) errors: Vec<String>,
    _browser: Process,
}

impl Page {
    /// Opens `url` in a fresh browser.
    pub(crate) fn open(url: &str, profile: &std::path::Path, deadline: Instant) -> Self {
        let mut browser = Process::start(
            Command::new("chromium")
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--remote-debugging-port=0",
                ])
                .arg(format!("--user-data-dir={}", profile.display()))
                .arg("about:blank"),
        );
        let address = browser.until(deadline, |line| {
            line.strip_prefix("DevTools listening on ")
                .map(str::to_owned)
        });
        let address = address.trim();
        let host = address
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let (socket, _) = client(address, stream).unwrap();
        let mut page = Self {
            socket,
            session: String::new(),
            sent: 0,
            loads: 0,
            errors: Vec::new(),
            _browser: browser,
        };
        let target = page.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", &attach);
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.load(url);
        page
    }

    /// Goes to `url`, and waits until it is loaded.
    pub(crate) fn load(&mut self, url: &str) {
        let before = self.loads;
        self.call("Page.navigate", &json!({"url": url}));
        self.loaded_since(before);
    }

    fn loaded_since(&mut self, before: u64) {
        while self.loads == before {
            self.read();
        }
    }

    /// The text that an expression of the page's own language gives, awaited if it is a promise.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let ask = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &ask);
        let value = answer.pointer("/result/value").and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("{expression}: {answer}"))
            .to_owned()
    }

    /// Calls the browser itself.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask(method, params)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls the browser itself, which can't answer while a page is on its way.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.sent += 1;
        let sent = self.sent;
        let mut message = json!({"id": sent, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::text(message.to_string()))
            .unwrap();
        loop {
            let mut answer = self.read();
            if answer["id"] == json!(sent) {
                return match answer.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }

    /// The next message, of which only loads and errors are remembered.
    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                self.note(&message);
                return message;
            }
        }
    }

    fn note(&mut self, message: &Value) {
        let wrong = match message["method"].as_str() {
            Some("Page.loadEventFired") => {
                self.loads += 1;
                false
            }
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            _ => false,
        };
        if wrong {
            self.errors.push(message["params"].to_string());
        }
    }
}
