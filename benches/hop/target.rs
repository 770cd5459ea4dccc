//! What is measured: the proxies, how each is started, and the processes they run as.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// HAProxy with one thread, no logging, no checks: less work than Finweir does.
const HAPROXY: &str = "global
  nbthread 1
  maxconn 7000
  {global}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  http-reuse always
  {defaults}
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  server o 127.0.0.1:{origin}
";

/// A way to the origin.
pub(crate) struct Target {
    pub(crate) name: String,
    how: How,
}

enum How {
    /// No proxy: the origin itself.
    Direct,
    Haproxy {
        global: &'static str,
        defaults: &'static str,
    },
    /// Words of a command, with `{port}` and `{origin}` in them.
    Command(Vec<String>),
}

/// A process that ends when this is dropped.
pub(crate) struct Process(Child);

impl Target {
    /// Reads a built-in name, or `name=command`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').unwrap_or((text, ""));
        let how = match (name, command) {
            ("direct", "") => How::Direct,
            ("haproxy", "") => How::Haproxy {
                global: "",
                defaults: "",
            },
            ("haproxy-splice", "") => How::Haproxy {
                global: "",
                defaults: "option splice-response",
            },
            ("haproxy-splice-1m", "") => How::Haproxy {
                global: "tune.pipesize 1048576",
                defaults: "option splice-response",
            },
            ("finweir", "") => How::Command(words(&format!(
                "env FINWEIR__SERVER__WORKERS=1 {} run --jellyfin http://127.0.0.1:{{origin}} --listen 127.0.0.1:{{port}} --admin-listen 127.0.0.1:0",
                finweir()
            ))),
            (_, "") => return Err(format!("no target {name}; give name=command").into()),
            _ => How::Command(words(command)),
        };
        Ok(Self {
            name: name.to_owned(),
            how,
        })
    }

    /// True for the origin itself.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.how, How::Direct)
    }

    /// Starts it, alone on `cpu`, and waits until it listens; `None` for the origin itself.
    pub(crate) fn start(
        &self,
        dir: &Path,
        cpu: usize,
        origin: u16,
    ) -> Result<Option<(Process, u16)>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{origin}", &origin.to_string())
        };
        let command = match &self.how {
            How::Direct => return Ok(None),
            How::Haproxy { global, defaults } => {
                let file = dir.join(format!("haproxy-{port}.cfg"));
                let text = HAPROXY
                    .replace("{global}", global)
                    .replace("{defaults}", defaults);
                fs::write(&file, fill(&text))?;
                words(&format!("haproxy -db -f {}", file.display()))
            }
            How::Command(words) => words.iter().map(|word| fill(word)).collect(),
        };
        let log = fs::File::create(dir.join(format!("{}-{port}.log", self.name)))?;
        let mut process = Process(
            Command::new("taskset")
                .args(["-c", &cpu.to_string()])
                .args(command)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()?,
        );
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if process.0.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(20) {
                let said = fs::read_to_string(dir.join(format!("{}-{port}.log", self.name)))?;
                return Err(format!("{} does not listen on {port}: {said}", self.name).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some((process, port)))
    }
}

/// The binary that is measured.
pub(crate) fn finweir() -> String {
    env::var("FINWEIR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_finweir").to_owned())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

// === impl Process ===

impl Process {
    /// This program again, as origin or load.
    pub(crate) fn again(args: &[&str]) -> Result<Self> {
        Ok(Self(
            Command::new(env::current_exe()?)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        ))
    }

    /// Attaches strace; it counts calls until [`Process::interrupt`].
    pub(crate) fn strace(pid: u32, out: &Path) -> Result<Self> {
        Ok(Self(
            Command::new("strace")
                .args(["-f", "-c", "-o"])
                .arg(out)
                .args(["-p", &pid.to_string()])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?,
        ))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The first line it says.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        // One line is all that is sent before the program waits, so nothing is lost with the buffer.
        let out = self.0.stdout.as_mut().ok_or("no output to read")?;
        BufReader::new(out).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// All it says until it ends well. Its standard input is closed.
    pub(crate) fn finish(mut self) -> Result<String> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let out = self.0.stdout.as_mut().ok_or("no output to read")?;
        out.read_to_string(&mut said)?;
        let status = self.0.wait()?;
        if !status.success() {
            return Err(format!("the load generator ended with {status}").into());
        }
        Ok(said)
    }

    /// Ends it as Ctrl-C does, and waits.
    pub(crate) fn interrupt(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // A proxy with idle connections may drain for long: it has nothing to finish here.
        let killed = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = killed {
            crate::complain(&format!("a process is left running: {error}"));
        }
    }
}
