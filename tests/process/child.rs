//! A program that a test started: its log as it comes, signals to it, its end.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::sync::watch;

/// Nothing that a test waits for takes this long, on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// A running program; killed when dropped.
pub(crate) struct Child {
    name: &'static str,
    process: Arc<Mutex<std::process::Child>>,
    lines: watch::Receiver<Vec<String>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts `command`; what it writes anywhere is its log.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let process = Arc::new(Mutex::new(command.spawn().unwrap()));
        // The command holds the writing end: without it, the log ends with the program.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (log, lines) = watch::channel(Vec::new());
        let (end, ended) = watch::channel(None);
        let own = Arc::clone(&process);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                log.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
            let status = own
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .wait()
                .ok();
            end.send_replace(status);
        });
        Self {
            name,
            process,
            lines,
            ended,
        }
    }

    /// Everything it wrote so far.
    pub(crate) fn log(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// How many lines it wrote so far.
    pub(crate) fn written(&self) -> usize {
        self.lines.borrow().len()
    }

    /// Waits for the first line with `text` in it.
    pub(crate) async fn says(&self, text: &str) -> String {
        self.says_after(0, text).await
    }

    /// The same, among the lines after the first `skip`.
    pub(crate) async fn says_after(&self, skip: usize, text: &str) -> String {
        let found =
            |lines: &Vec<String>| lines.iter().skip(skip).find(|l| l.contains(text)).cloned();
        let mut lines = self.lines.clone();
        let waited = lines.wait_for(|lines| found(lines).is_some());
        match tokio::time::timeout(DEADLINE, waited).await {
            Ok(Ok(lines)) => found(&lines).unwrap(),
            Ok(Err(_)) | Err(_) => panic!("{} never said {text:?}:\n{}", self.name, self.log()),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut process = self.process.lock().unwrap();
        assert_eq!(process.try_wait().unwrap(), None, "{} is gone", self.name);
        let pid = Pid::from_child(&process);
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended. The code, unless a signal ended it.
    pub(crate) async fn ended(&self) -> Option<i32> {
        let mut ended = self.ended.clone();
        match tokio::time::timeout(DEADLINE, ended.wait_for(Option::is_some)).await {
            Ok(Ok(status)) => status.and_then(|s| s.code()),
            Ok(Err(_)) | Err(_) => panic!("{} does not end:\n{}", self.name, self.log()),
        }
    }

    /// Ends it at once, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().await, None);
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.ended.borrow().is_some()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be gone already.
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.kill().ok();
    }
}
