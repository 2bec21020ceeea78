//! How much memory the process may use: what its control group grants, else what the machine has.
//!
//! Not here: what is done with it; what is used. Start at [`granted_bytes`].

use std::fs;

/// The group's limit, in version 2 of control groups and in version 1, as a container sees its own.
const GROUP_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// What the machine has.
const MACHINE_FILE: &str = "/proc/meminfo";

/// Bytes that this process may use; `None` where the system doesn't say.
pub fn granted_bytes() -> Option<u64> {
    let machine = fs::read_to_string(MACHINE_FILE).ok().and_then(|text| machine_bytes(&text));
    let groups = GROUP_FILES.iter().filter_map(|file| group_bytes(&fs::read_to_string(file).ok()?));
    // A group without a limit says a number above anything, or `max`.
    groups.chain(machine).min()
}

fn group_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn machine_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(machine_bytes("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        assert_eq!(machine_bytes("MemTotal: much\n"), None);
        assert_eq!((group_bytes("max\n"), group_bytes("1073741824\n")), (None, Some(1 << 30)));
        assert!(granted_bytes().is_some_and(|bytes| bytes > 16 << 20), "{:?}", granted_bytes());
    }
}
