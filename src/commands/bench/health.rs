//! How busy this process and the broker's are, so that a report can say who was the limit.
//!
//! The broker's process is found by the port it listens on, through `/proc`; where there is no
//! `/proc`, or the broker is somewhere else, or belongs to another user, nothing is known and
//! nothing is said.

use std::time::Instant;

/// CPU used between two instants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Health {
    /// Cores this process used on average.
    pub(super) tool_cores: Option<f64>,
    /// Cores the broker's process used on average.
    pub(super) target_cores: Option<f64>,
    /// Memory of the broker's process at the end, in bytes.
    pub(super) target_rss: Option<u64>,
}

/// One look at both processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    at: Instant,
    tool: Option<f64>,
    target: Option<f64>,
}

impl Look {
    pub(super) fn take(target: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            tool: own_seconds(),
            target: target.and_then(process_seconds),
        }
    }

    /// What happened since `self`.
    pub(super) fn until(&self, later: &Self, target: Option<u32>) -> Health {
        let elapsed = (later.at - self.at).as_secs_f64();
        let cores = |before: Option<f64>, after: Option<f64>| {
            let used = after? - before?;
            (elapsed > 0.0 && used >= 0.0).then(|| used / elapsed)
        };
        Health {
            tool_cores: cores(self.tool, later.tool),
            target_cores: cores(self.target, later.target),
            target_rss: target.and_then(resident),
        }
    }
}

/// Seconds of CPU this process has used.
#[cfg(unix)]
pub(super) fn own_seconds() -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Some(used.tv_sec as f64 + used.tv_nsec as f64 / 1e9)
}

#[cfg(not(unix))]
pub(super) fn own_seconds() -> Option<f64> {
    None
}

/// Seconds of CPU another process has used: user and system time of `/proc/PID/stat`.
fn process_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    ticks_of(&stat).map(|ticks| ticks as f64 / ticks_per_second())
}

#[cfg(unix)]
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(not(unix))]
fn ticks_per_second() -> f64 {
    100.0
}

/// The name stands in parentheses and may hold anything, so fields count from behind the last one.
fn ticks_of(stat: &str) -> Option<u64> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory of a process, in bytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kilobytes_of(&status, "VmRSS:").map(|kilobytes| kilobytes * 1_024)
}

fn kilobytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The process that listens on this port of this machine, and its name.
pub(super) fn listener(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|text| listening(&text, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path())
                .ok()
                .and_then(|link| inode_of(link.to_str()?))
                .is_some_and(|inode| inodes.contains(&inode))
        });
        if holds {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inodes of sockets in state LISTEN (0A) on this port, from a table of `/proc/net`.
fn listening(table: &str, port: u16) -> Vec<u64> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (_, hex) = fields.get(1)?.rsplit_once(':')?;
            let is_it = u16::from_str_radix(hex, 16) == Ok(port) && *fields.get(3)? == "0A";
            if is_it {
                fields.get(9)?.parse().ok()
            } else {
                None
            }
        })
        .collect()
}

fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// What this machine calls itself.
pub(super) fn host_name() -> Result<String, String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => Err("what is this agent called? --name NAME".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// What the report says about this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Machine {
    pub(super) os: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) load1: Option<f64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        let cpu = read("/proc/cpuinfo");
        let model = cpu
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(':'))
            .map_or("", |(_, name)| name.trim());
        let load = read("/proc/loadavg");
        Self {
            os: format!("{} {}", std::env::consts::OS, kernel.trim())
                .trim()
                .to_owned(),
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load1: load
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_a_name_of_any_kind() {
        let stat = "77 (a) b (c) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 1 1 1";
        assert_eq!(ticks_of(stat), Some(300));
        assert_eq!(ticks_of("77"), None);
    }

    #[test]
    fn a_listening_port_has_an_inode() {
        let table = "  sl  local_address rem_address   st …\n\
            0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n\
            1: 0100007F:075B 0100007F:1111 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n";
        assert_eq!(listening(table, 1883), [4_711]);
        assert!(listening(table, 1884).is_empty());
        assert_eq!(inode_of("socket:[4711]"), Some(4_711));
        assert_eq!(inode_of("/dev/null"), None);
    }

    #[test]
    fn memory_is_a_row_of_status() {
        assert_eq!(
            kilobytes_of("Name: x\nVmRSS:\t  123 kB\n", "VmRSS:"),
            Some(123)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_listener_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let found = listener(port);
        assert_eq!(found.unwrap().0, std::process::id());
    }
}
