//! Lines on standard output, each with the time of day.
//!
//! A thread of its own writes them: a terminal that is held up holds up nobody else, and a reader that has gone
//! is told to whoever asks.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::watch;

use crate::clock;

/// Lines that wait for a slow terminal; beyond it they are dropped.
const WAITING: usize = 1000;

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    lines: SyncSender<String>,
    closed: watch::Receiver<bool>,
}

/// Waits until all lines are out.
#[derive(Debug)]
pub(super) struct Printing(JoinHandle<()>);

// === impl Printer ===

impl Printer {
    /// Starts the thread that writes.
    pub(super) fn start() -> io::Result<(Self, Printing)> {
        let (lines, receiver) = sync_channel(WAITING);
        let (closed, is_closed) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("story".to_owned())
            .spawn(move || write(&receiver, &closed))?;
        let printer = Self {
            lines,
            closed: is_closed,
        };
        Ok((printer, Printing(thread)))
    }

    /// Prints a line as it is.
    pub(super) fn plain(&self, line: impl Into<String>) {
        // A terminal that stands still loses lines and nothing else.
        drop(self.lines.try_send(line.into()));
    }

    /// Prints a line with the time before it.
    pub(super) fn tell(&self, line: &str) {
        self.plain(format!("{}  {line}", time_of_day()));
    }

    /// Returns when nobody reads any more.
    pub(super) async fn closed(&self) {
        let mut closed = self.closed.clone();
        if closed.wait_for(|closed| *closed).await.is_err() {
            // The thread ends only after the last printer.
            std::future::pending::<()>().await;
        }
    }
}

// === impl Printing ===

impl Printing {
    /// Waits until every line is out. Every [`Printer`] must have been dropped.
    pub(super) fn finish(self) {
        // A panic of the thread has cost its lines and nothing else.
        drop(self.0.join());
    }
}

fn write(lines: &Receiver<String>, closed: &watch::Sender<bool>) {
    let mut out = io::stdout().lock();
    for line in lines {
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            closed.send_replace(true);
        }
    }
}

/// `20:15:03`
fn time_of_day() -> String {
    Timestamp::try_from(clock::wall()).map_or_else(
        |_| "--:--:--".to_owned(),
        |now| {
            now.to_zoned(TimeZone::system())
                .strftime("%H:%M:%S")
                .to_string()
        },
    )
}
