//! What the kernel says of the machine and of a process, read from `/proc`.

use std::{fs, process::Command};

/// Seconds on a CPU of all threads of a process, from the scheduler's own nanoseconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0.0;
    };
    threads
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1e9
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

/// Seconds that all CPUs were busy, and seconds that the host took away. In ticks of 10 ms.
pub(crate) fn busy_and_stolen() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    let at = |i: usize| ticks.get(i).copied().unwrap_or(0.0) / 100.0;
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}

/// The machine and the programs, in one line.
pub(crate) fn describe(finweir: &str) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown CPU", |(_, name)| name.trim());
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let line = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().to_owned()
    };
    format!(
        "{model}, {cpus} CPUs seen; Linux {}, congestion control {}; {}; {}",
        line("/proc/sys/kernel/osrelease"),
        line("/proc/sys/net/ipv4/tcp_congestion_control"),
        version("haproxy", "-v"),
        version(finweir, "--version"),
    )
}

fn version(program: &str, flag: &str) -> String {
    Command::new(program)
        .arg(flag)
        .output()
        .ok()
        .and_then(|out| {
            let text = String::from_utf8(out.stdout).ok()?;
            text.lines()
                .next()
                .map(|line| line.split(" - ").next().unwrap_or(line).to_owned())
        })
        .unwrap_or_else(|| format!("{program}: not found"))
}
