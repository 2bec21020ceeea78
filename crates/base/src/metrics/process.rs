//! What the operating system says about this process, under the names that Prometheus's own libraries use for it.
//!
//! Linux only: elsewhere (and where `/proc` isn't mounted) the metrics stay at 0. Reads `/proc` directly, since there is nothing to
//! simulate about it.

use super::{Gauge, Metric, Metrics};

const RESIDENT: Metric<Gauge, 0> = Metric::gauge("process_resident_memory_bytes", "Resident memory size in bytes.", []);
const VIRTUAL: Metric<Gauge, 0> = Metric::gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", []);
const CPU: Metric<Gauge, 0> = Metric::gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", []);
const THREADS: Metric<Gauge, 0> = Metric::gauge("process_threads", "Number of OS threads in the process.", []);
const FILES: Metric<Gauge, 0> = Metric::gauge("process_open_fds", "Number of open file descriptors.", []);

/// Ticks per second of the times in `/proc`: fixed by Linux's interface to programs, whatever its own timer does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory and CPU of a process.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Usage {
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Seconds of CPU since the start.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
}

/// This process's usage; `None` where the system doesn't say.
pub fn usage() -> Option<Usage> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?, &std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads `/proc/<pid>/status` and the line of `/proc/<pid>/stat`, whose second field, the program's name, may hold spaces and parentheses.
fn parse(status: &str, stat: &str) -> Option<Usage> {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| line(name)?.trim().trim_end_matches(" kB").parse::<u64>().ok();
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    // User and system time are the 14th and 15th field of the line; the third is the first after the name.
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Usage {
        resident_bytes: number("VmRSS")? * 1024,
        virtual_bytes: number("VmSize")? * 1024,
        cpu_seconds: (ticks(14)? + ticks(15)?) as f64 / TICKS_PER_SECOND,
        threads: number("Threads")?,
    })
}

/// Brings the process's gauges up to date: call it before [`Metrics::encode`].
pub fn sample(metrics: &Metrics) {
    let Some(usage) = usage() else { return };
    let set = |metric: &Metric<Gauge, 0>, value: f64| metrics.family(metric).with([]).set(value);
    set(&RESIDENT, usage.resident_bytes as f64);
    set(&VIRTUAL, usage.virtual_bytes as f64);
    set(&CPU, usage.cpu_seconds);
    set(&THREADS, usage.threads as f64);
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        set(&FILES, files.count() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses() {
        let status = "Name:\ta ) b\nVmPeak:\t 9000 kB\nVmSize:\t    4000 kB\nVmRSS:\t     100 kB\nThreads:\t7\n";
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 7 0 100 4096000 25";
        let usage = parse(status, stat).unwrap();
        assert_eq!(usage, Usage { resident_bytes: 102_400, virtual_bytes: 4_096_000, cpu_seconds: 3.0, threads: 7 });
        assert_eq!(parse("", stat), None);
        assert_eq!(parse(status, "42 (x) S 1"), None);
        assert_eq!(parse(status, ""), None);
    }
}
