//! What `/proc` says of the machine, the server's processes and this one. Read at the ends of a measured window, never
//! in it.

use std::fs;
use std::io;

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
        let server = self.0.iter().map(|pid| process_seconds(&pid.to_string())).sum::<io::Result<f64>>()?;
        Ok(Times { server, own: process_seconds("self")?, all: machine_seconds()? })
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

/// User and system time of a process, its threads that ended included.
fn process_seconds(pid: &str) -> io::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    // The name stands in parentheses and may hold anything; utime and stime are the 12th and 13th fields behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| malformed(&path))?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).ok_or_else(|| malformed(&path));
    Ok((ticks()? + ticks()?) as f64 / ticks_per_second())
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
        assert!(times.all >= times.own);
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
