//! What systemd wants to know of a service: that it is ready, reloads, stops, and is alive. Without
//! `NOTIFY_SOCKET` in the environment nobody asks.

use std::time::Duration;

/// The way to the one who started us.
#[derive(Debug, Default)]
pub(crate) struct Service {
    #[cfg(target_os = "linux")]
    socket: Option<std::os::unix::net::UnixDatagram>,
}

impl Service {
    /// Connects to whoever the environment names.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_environment() -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let connect = || {
            let name = std::env::var_os("NOTIFY_SOCKET")?;
            let address = match name.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address.ok()?).ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        };
        Self { socket: connect() }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn from_environment() -> Self {
        Self::default()
    }

    /// Says something, such as `READY=1`.
    pub(crate) fn tell(&self, word: &str) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            // Nothing depends on its being heard.
            let _ = socket.send(word.as_bytes());
        }
        #[cfg(not(target_os = "linux"))]
        let _ = word;
    }

    /// The configuration is read again. Services of `Type=notify-reload` have to say since when.
    pub(crate) fn reloading(&self) {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        }
    }

    /// How often a sign of life is wanted: twice in the time after which we would be killed.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let pid = number("WATCHDOG_PID");
        if pid.is_some_and(|pid| pid != u64::from(std::process::id())) {
            return None;
        }
        let micros = number("WATCHDOG_USEC").filter(|&micros| micros >= 2)?;
        Some(Duration::from_micros(micros / 2))
    }
}
