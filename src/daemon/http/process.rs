//! What the system tells of this process.

/// See the module; what the system does not tell is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpu_s: Option<f64>,
    pub(super) threads: Option<u64>,
}

/// As it is now.
pub(super) fn look() -> Process {
    Process {
        cpu_s: cpu(),
        ..of_stat()
    }
}

#[cfg(unix)]
fn cpu() -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(unix))]
fn cpu() -> Option<f64> {
    None
}

/// The fields behind the name, which may have spaces and brackets in it.
#[cfg(target_os = "linux")]
fn of_stat() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let field = |place: usize| -> Option<u64> { fields.split(' ').nth(place)?.parse().ok() };
    let page = rustix::param::page_size() as u64;
    Process {
        threads: field(17),
        memory_bytes: field(21).map(|pages| pages * page),
        ..Process::default()
    }
}

#[cfg(not(target_os = "linux"))]
fn of_stat() -> Process {
    Process::default()
}

/// The name of this machine.
pub(super) fn node() -> Option<String> {
    #[cfg(unix)]
    return Some(
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    );
    #[cfg(not(unix))]
    None
}
