//! Runs the rounds: every target once in each, in an order that moves on by one, disturbed runs again.

use std::{collections::BTreeMap, fs, path::PathBuf, thread, time::Duration, time::Instant};

use crate::{
    Args, Result,
    machine::{busy_and_stolen, cpu_seconds, resident},
    target::{Process, Target},
    workload::{Kind, SEGMENT, SMALL},
};

/// What one run gave, by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A run is disturbed when the host took this share of one CPU away,
const STOLEN: f64 = 0.02;
/// or when programs that are no part of it used this share.
const FOREIGN: f64 = 0.05;
/// A disturbed run is done again so often.
const AGAIN: usize = 3;

/// The processes, and what to run them with.
pub(crate) struct Bench<'a> {
    args: &'a Args,
    targets: &'a [Target],
    dir: PathBuf,
    origin: Process,
    origin_port: u16,
}

/// What a load generator is to do.
struct Work {
    mode: &'static str,
    path: &'static str,
    connections: usize,
    /// Seconds or bytes, by mode.
    amount: f64,
    /// Requests a second, where the mode is `rate`.
    rate: f64,
}

/// A target in a state to be measured.
struct Subject<'a> {
    pid: u32,
    port: u16,
    /// The proxy's process; `None` for the origin itself.
    process: Option<Process>,
    target: &'a Target,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(args: &'a Args, targets: &'a [Target], dir: PathBuf) -> Result<Self> {
        let mut words = vec!["origin"];
        words.extend(args.origin_copies.then_some("copies"));
        let mut origin = Process::again(&words)?;
        let said = origin.line()?;
        let port = said
            .strip_prefix("port=")
            .ok_or("the origin did not start")?;
        Ok(Self {
            args,
            targets,
            dir,
            origin_port: port.parse()?,
            origin,
        })
    }

    fn start(&self, target: &'a Target) -> Result<Subject<'a>> {
        let started = target.start(&self.dir, self.args.proxy_cpu, self.origin_port)?;
        let subject = match started {
            Some((process, port)) => Subject {
                pid: process.id(),
                port,
                process: Some(process),
                target,
            },
            None => Subject {
                pid: self.origin.id(),
                port: self.origin_port,
                process: None,
                target,
            },
        };
        Ok(subject)
    }

    /// All rounds of one kind: for each round, the figures of each target (none where the kind does not apply).
    pub(crate) fn rounds(&self, kind: Kind) -> Result<Vec<Vec<Option<Figures>>>> {
        let fresh = matches!(kind, Kind::Mem | Kind::Calls);
        let rounds = if fresh {
            self.args.rounds.min(3)
        } else {
            self.args.rounds
        };
        let mut subjects = Vec::new();
        if !fresh {
            for target in self.targets {
                let subject = self.start(target)?;
                self.run(kind, &subject)
                    .map_err(|error| format!("{}: {error}", target.name))?;
                subjects.push(subject);
            }
        }
        let mut all = Vec::new();
        for round in 0..rounds {
            let mut row: Vec<Option<Figures>> = self.targets.iter().map(|_| None).collect();
            for step in 0..self.targets.len() {
                let at = (round + step) % self.targets.len();
                let target = &self.targets[at];
                if fresh && target.is_direct() {
                    continue;
                }
                let result = match kind {
                    Kind::Mem => self.memory(target),
                    Kind::Calls => self.calls(target),
                    Kind::Small | Kind::Seg | Kind::Lease | Kind::Big | Kind::Rate => {
                        self.undisturbed(kind, &subjects[at])
                    }
                };
                row[at] = Some(result.map_err(|error| format!("{}: {error}", target.name))?);
            }
            all.push(row);
        }
        Ok(all)
    }

    fn undisturbed(&self, kind: Kind, subject: &Subject<'_>) -> Result<Figures> {
        let mut tries = 0;
        loop {
            let mut figures = self.run(kind, subject)?;
            let disturbed = figures["stolen"] > STOLEN || figures["foreign"] > FOREIGN;
            if !disturbed || tries == AGAIN {
                figures.insert("disturbed".to_owned(), f64::from(u8::from(disturbed)));
                return Ok(figures);
            }
            tries += 1;
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// One run, with the CPU time of the target and what else happened on the machine.
    fn run(&self, kind: Kind, subject: &Subject<'_>) -> Result<Figures> {
        let work = self.work(kind);
        let origin_before = cpu_seconds(self.origin.id());
        let before = cpu_seconds(subject.pid);
        let (busy, stolen) = busy_and_stolen();
        let start = Instant::now();
        let said = self.load(subject, &work)?.finish()?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds(subject.pid) - before;
        let origin = cpu_seconds(self.origin.id()) - origin_before;
        let (busy_now, stolen_now) = busy_and_stolen();
        let mut figures = parse(&said)?;
        let size = match kind {
            Kind::Small | Kind::Rate | Kind::Calls => SMALL,
            Kind::Seg | Kind::Lease => SEGMENT,
            Kind::Big | Kind::Mem => crate::workload::BIG,
        };
        if (figures["bytes"] - figures["n"] * size as f64).abs() > 0.5 {
            return Err(format!("bodies of the wrong length: {said}").into());
        }
        let proxy = if subject.target.is_direct() { 0.0 } else { cpu };
        let foreign = (busy_now - busy) - proxy - origin - figures["cpu"];
        figures.insert("foreign".to_owned(), foreign.max(0.0) / wall);
        figures.insert("stolen".to_owned(), (stolen_now - stolen) / wall);
        figures.insert("proxy".to_owned(), cpu);
        figures.insert("wall".to_owned(), wall);
        Ok(figures)
    }

    fn work(&self, kind: Kind) -> Work {
        let (mode, connections, amount) = match kind {
            Kind::Small => ("closed", self.args.connections, self.args.secs),
            Kind::Rate | Kind::Calls | Kind::Mem => ("rate", self.args.connections, self.args.secs),
            Kind::Seg | Kind::Lease => ("bulk", 16, self.args.gb * 1e9),
            Kind::Big => ("bulk", 4, self.args.gb * 1e9),
        };
        Work {
            mode,
            path: kind.target(),
            connections,
            amount,
            rate: self.args.rate,
        }
    }

    fn load(&self, subject: &Subject<'_>, work: &Work) -> Result<Process> {
        Process::again(&[
            "load",
            work.mode,
            &format!("127.0.0.1:{}", subject.port),
            &work.connections.to_string(),
            work.path,
            &work.amount.to_string(),
            &work.rate.to_string(),
        ])
    }

    /// A fresh process at rest, then with idle connections; another fresh one with stalled downloads.
    fn memory(&self, target: &'a Target) -> Result<Figures> {
        let mut figures = Figures::new();
        for (name, mode, kind, connections) in [
            ("idle", "idle", Kind::Small, self.args.idle),
            ("stalled", "stall", Kind::Mem, self.args.stalled),
        ] {
            let subject = self.start(target)?;
            let warm = Work {
                mode: "rate",
                path: Kind::Small.target(),
                connections: 4,
                amount: 1.0,
                rate: 200.0,
            };
            self.load(&subject, &warm)?.finish()?;
            settle();
            let rest = resident(subject.pid);
            figures.insert("rest".to_owned(), rest);
            let work = Work {
                mode,
                path: kind.target(),
                connections,
                amount: 262_144.0,
                rate: 0.0,
            };
            let mut held = self.load(&subject, &work)?;
            if held.line()? != "READY" {
                return Err(format!("the {name} connections did not come about").into());
            }
            settle();
            let grown = resident(subject.pid) - rest;
            figures.insert(name.to_owned(), grown / connections as f64);
            held.finish()?;
            drop(subject.process);
        }
        Ok(figures)
    }

    /// System calls of a fresh process, counted by strace: for each small request at 500 a second (at more, strace
    /// slows the process so that requests come in batches), and for each MB of segments.
    fn calls(&self, target: &'a Target) -> Result<Figures> {
        let subject = self.start(target)?;
        let out = self.dir.join("strace");
        let mut figures = Figures::new();
        for (name, mode, kind, connections, amount) in [
            ("small", "rate", Kind::Small, self.args.connections, 3.0),
            ("mb", "bulk", Kind::Seg, 16, 4e8),
        ] {
            let mut work = Work {
                mode,
                path: kind.target(),
                connections,
                amount: amount / 3.0,
                rate: 500.0,
            };
            self.load(&subject, &work)?.finish()?;
            let tracer = Process::strace(subject.pid, &out)?;
            settle();
            work.amount = amount;
            let said = parse(&self.load(&subject, &work)?.finish()?)?;
            tracer.interrupt()?;
            let report = fs::read_to_string(&out)?;
            let total = report
                .lines()
                .find(|line| line.ends_with(" total"))
                .and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok())
                .ok_or("strace gave no total")?;
            figures.insert(name.to_owned(), total / said["n"]);
        }
        let megabytes = SEGMENT as f64 / 1e6;
        figures
            .entry("mb".to_owned())
            .and_modify(|calls| *calls /= megabytes);
        Ok(figures)
    }
}

/// Lets sockets and allocators come to rest.
fn settle() {
    thread::sleep(Duration::from_millis(1200));
}

fn parse(said: &str) -> Result<Figures> {
    said.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| Ok((name.to_owned(), value.parse()?)))
        .collect()
}
