//! What Finweir costs as a hop, against HAProxy on the same machine in the same run.
//!
//! `cargo bench --bench hop` measures everything; `cargo bench --bench hop -- small seg --rounds 12 --secs 1` a part.
//!
//! **What.** CPU per small request and requests per second (`small`); CPU per GB of 2 MB bodies from a static stream
//! (`seg`) and from `hls1` addresses of 16 sessions (`lease`); CPU per GB of a 1 GiB body (`big`); latency added at a
//! fixed rate (`rate`); memory at rest, for each idle connection and for each stalled download (`mem`); system calls
//! (`calls`). Finweir runs with no file, so it observes: every request is routed, identified and counted.
//!
//! **How.** This program starts itself again as the origin and as the load generator. The proxy has CPU 0 for itself,
//! origin and load share CPU 1. As root it moves into a network namespace of its own with `reno` congestion control
//! (the pacing timers of `bbr` spoil bulk loopback). CPU time is the scheduler's, of all threads of the proxy; for
//! `direct` it is the origin's own. All proxies stay up; each round runs each once, in an order that moves on by one;
//! ratios are formed within a round; shown are medians, with the 10th and 90th percentile of the ratios. A run during
//! which the host took more than 2 % of a CPU or other programs more than 5 % is done again, at most three times.
//!
//! **Limits.** Loopback only: a real card adds costs that are the same for all, and decides how well splice does. On
//! two shared CPUs the ratios are the result, absolute numbers are not; differences below 8 % are noise. The 2 MB
//! bodies come out of the cache of the CPU, which favours proxies that copy.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a benchmark may end by panicking, and sizes its own slices"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are far from the ends of their types"
)]

mod load;
mod machine;
mod measure;
mod origin;
mod table;
mod target;
mod workload;

use std::{
    env,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, Stdio},
};

use clap::Parser;
use rustix::process::{Resource, geteuid, getrlimit, setrlimit};

use crate::{measure::Bench, target::Target, workload::Kind};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Set once this process is where it is to measure: `own` or `shared` network.
const SETTLED: &str = "FINWEIR_BENCH_NETWORK";

/// Measures Finweir as a hop against HAProxy.
#[derive(Parser, Debug)]
#[command(name = "cargo bench --bench hop --")]
struct Args {
    /// What to measure; everything if none is named.
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// Rounds; `mem` and `calls` need at most three.
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// Length of a run of `small` and `rate`.
    #[arg(long, default_value_t = 1.0)]
    secs: f64,
    /// Gigabytes of a run of `seg`, `lease` and `big` (which takes four whole bodies at least).
    #[arg(long, default_value_t = 2.0)]
    gb: f64,
    /// Requests a second of `rate`.
    #[arg(long, default_value_t = 5000.0)]
    rate: f64,
    /// Connections of `small` and `rate`.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Idle connections of `mem`.
    #[arg(long, default_value_t = 2000)]
    idle: usize,
    /// Stalled downloads of `mem`.
    #[arg(long, default_value_t = 1000)]
    stalled: usize,
    /// What to measure it on: direct, haproxy, haproxy-splice, haproxy-splice-1m, finweir.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "direct,haproxy,haproxy-splice,finweir"
    )]
    targets: Vec<String>,
    /// One more target, as NAME=COMMAND, with {port} and {origin} in the command.
    #[arg(long)]
    target: Vec<String>,
    /// The target that the others are compared with.
    #[arg(long, default_value = "haproxy")]
    base: String,
    /// The CPU of the proxy.
    #[arg(long, default_value_t = 0)]
    proxy_cpu: usize,
    /// The CPU of origin and load.
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
    /// The origin copies its bodies to the socket, as Jellyfin does, instead of sendfile.
    #[arg(long)]
    origin_copies: bool,
    /// What cargo gives to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((word, rest)) if word == "origin" => origin::run(rest == ["copies"]),
        Some((word, rest)) if word == "load" => load::run(rest),
        _ => start(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn start(words: &[String]) -> Result<()> {
    let args = Args::parse();
    if !args.bench {
        return say("not measured: this is no `cargo bench`");
    }
    match env::var(SETTLED) {
        Ok(network) => measure(&args, &network),
        Err(_) => settle(&args, words),
    }
}

/// Becomes this program again, on the CPU of the load and, as root, in a network of its own.
fn settle(args: &Args, words: &[String]) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let own = geteuid().is_root()
        && Command::new("unshare")
            .args(["-n", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    let mut command = if own {
        let script = "ip link set lo up && echo reno > /proc/sys/net/ipv4/tcp_congestion_control && echo 4096 > /proc/sys/net/core/somaxconn && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", script, "sh", "taskset"]);
        command
    } else {
        Command::new("taskset")
    };
    let error = command
        .args(["-c", &args.load_cpu.to_string()])
        .arg(env::current_exe()?)
        .args(words)
        .env(SETTLED, if own { "own" } else { "shared" })
        .exec();
    Err(format!("taskset or unshare cannot be run: {error}").into())
}

fn measure(args: &Args, network: &str) -> Result<()> {
    let names = args.targets.iter().chain(&args.target);
    let targets: Vec<Target> = names
        .map(|name| Target::parse(name))
        .collect::<Result<_>>()?;
    let base = targets
        .iter()
        .position(|target| target.name == args.base)
        .ok_or_else(|| format!("the base {} is not among the targets", args.base))?;
    let dir = tempfile::tempdir()?;
    say(&machine::describe(&target::finweir()))?;
    say(&format!(
        "{} network; proxy on CPU {}, origin ({}) and load on CPU {}; {} rounds, {} s, {} GB, {} requests/s, {} connections\n",
        if network == "own" {
            "own"
        } else {
            "the machine's (not root: congestion control as it is)"
        },
        args.proxy_cpu,
        if args.origin_copies {
            "copying"
        } else {
            "sendfile"
        },
        args.load_cpu,
        args.rounds,
        args.secs,
        args.gb,
        args.rate,
        args.connections,
    ))?;
    let bench = Bench::new(args, &targets, dir.path().to_owned())?;
    let all = [
        Kind::Small,
        Kind::Seg,
        Kind::Lease,
        Kind::Big,
        Kind::Rate,
        Kind::Mem,
        Kind::Calls,
    ];
    let kinds = if args.kinds.is_empty() {
        &all[..]
    } else {
        &args.kinds
    };
    let mut verdicts = Vec::new();
    for kind in kinds {
        say(&format!("### {kind:?}\n").to_lowercase())?;
        if *kind == Kind::Calls && Command::new("strace").arg("-V").output().is_err() {
            say("not counted: strace is not installed\n")?;
            continue;
        }
        let rounds = bench.rounds(*kind)?;
        say(&table::print(*kind, &targets, base, &rounds, &mut verdicts))?;
        if let Some(line) = table::disturbance(&rounds) {
            say(&line)?;
        }
    }
    if !verdicts.is_empty() {
        say("### bars\n")?;
        say(&table::judge(&verdicts))?;
    }
    Ok(())
}

/// Prints a line at once: the reader may be waiting for it.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[expect(clippy::print_stderr, reason = "there is no other place to say it")]
fn complain(line: &str) {
    eprintln!("hop: {line}");
}
