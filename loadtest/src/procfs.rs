//! What the kernel says of the machine, the server's processes and this one. Read at the ends of a measured window, never
//! in it.

use std::fs;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

/// Processor time, and the time it was taken over, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The server's processes, user and system.
    pub server: f64,
    /// This process, user and system.
    pub own: f64,
    /// All processes of the machine, without idling and waiting.
    pub all: f64,
}

/// Memory of the server's processes in KB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most so far.
    pub peak: u64,
}

/// The server's processes, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Server(Vec<u32>);

impl Server {
    /// These processes; children are not counted unless they are listed.
    pub fn new(pids: Vec<u32>) -> Self {
        Self(pids)
    }

    /// Whether there is something to measure.
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// Processor times until now.
    pub fn times(&self) -> io::Result<Times> {
        let server = self.0.iter().map(|&pid| process_seconds(pid)).sum::<io::Result<f64>>()?;
        Ok(Times { server, own: process_seconds(std::process::id())?, all: machine_seconds()? })
    }

    /// Memory now.
    pub fn memory(&self) -> io::Result<Memory> {
        let mut memory = Memory::default();
        for pid in &self.0 {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            // The status line lags behind by what each core has not added up yet; the roll-up walks the pages.
            let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
            let resident = exact.as_deref().and_then(|text| kilobytes(text, "Rss:"));
            memory.resident += resident.or_else(|| kilobytes(&status, "VmRSS:")).unwrap_or(0);
            memory.peak += kilobytes(&status, "VmHWM:").unwrap_or(0);
        }
        Ok(memory)
    }
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not as expected"))
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// User and system time of a process, its threads that ended included. The process's CPU clock counts nanoseconds, where
/// `/proc` has hundredths of a second: too coarse for what a thousand connections cost.
fn process_seconds(pid: u32) -> io::Result<f64> {
    let clock = i32::try_from(pid)
        .map_err(|_| Errno::ESRCH)
        .and_then(|pid| clock_getcpuclockid(Pid::from_raw(pid)))
        .and_then(clock_gettime);
    let time =
        clock.map_err(|error| io::Error::new(io::Error::from(error).kind(), format!("process {pid}: {error}")))?;
    Ok(Duration::from(time).as_secs_f64())
}

/// Time of all processors but what they idled or waited, or what was taken for other machines.
fn machine_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or_else(|| malformed("/proc/stat"))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq; what follows is counted elsewhere or is not ours.
    let [user, nice, system, _idle, _wait, irq, softirq, ..] = ticks[..] else {
        return Err(malformed("/proc/stat"));
    };
    Ok((user + nice + system + irq + softirq) as f64 / ticks_per_second())
}

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processors of the machine.
    pub cores: usize,
    /// Processors that this process may use.
    pub cores_own: usize,
    /// The processor's name.
    pub cpu: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in MB.
    pub memory_mb: u64,
}

impl Machine {
    /// This one; unknown parts stay empty.
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let models = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            cores_own: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: models.map(|(_, name)| name.to_owned()).next().unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
            memory_mb: kilobytes(&meminfo, "MemTotal:").unwrap_or(0) / 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_and_the_machine() {
        let own = Server::new(vec![std::process::id()]);
        let times = own.times().expect("this process is there");
        assert!(times.server > 0.0 && times.own >= times.server && times.all > 0.0, "{times:?}");
        let memory = own.memory().expect("this process has memory");
        assert!(memory.resident > 0 && memory.peak > 0);
        assert!(Machine::read().cores > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let error = Server::new(vec![u32::MAX]).times().expect_err("no such process");
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
