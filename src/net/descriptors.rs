//! Descriptors, of which every connection is one: how many the system lets this process have, and
//! room for them.
//!
//! The system keeps them in a table that doubles as it fills. Where a process has several threads,
//! Linux makes each doubling wait until none of them can still look at the old table: 10 to 30 ms
//! in which whoever opened a connection stands still, and all that it serves. So the table is made
//! large at once, before there are threads.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of descriptors to what the system allows, and returns it; `None`: any number.
/// Where this is refused it stays what it was.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

/// Makes the table large enough for `count` descriptors, or for as many as are allowed: eight bytes
/// each, in the system's memory.
pub fn make_room(count: u64) {
    let allowed = getrlimit(Resource::Nofile).current;
    let last = allowed
        .map_or(count, |most| count.min(most))
        .saturating_sub(1);
    if let Ok(last) = i32::try_from(last) {
        // Goes again at once; the table stays. Without it all works as well, by and by.
        let _ = fcntl_dupfd_cloexec(std::io::stdin(), last);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_room_stays_when_nothing_is_open() {
        let most = raise_limit().unwrap_or(5_000);
        make_room(5_000);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        let size: u64 = size.unwrap().trim().parse().unwrap();
        assert!(size >= most.min(5_000), "{size}");
    }
}
