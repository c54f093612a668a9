//! What a broker process is asked to be.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::broker::limits::Limits;
use crate::daemon::auth::password_file::PasswordFile;

/// See the module.
#[derive(Clone, Debug)]
pub struct Conf {
    /// TCP port; zero lets the system choose.
    pub port: u16,
    /// Addresses to listen on; none means this machine only, by both of its loopback addresses.
    pub bind: Vec<IpAddr>,
    /// Clients without a user name may connect.
    pub anonymous: bool,
    /// Users and their password hashes.
    pub password_file: Option<Arc<PasswordFile>>,
    /// Worker threads; `None` chooses by the machine.
    pub workers: Option<usize>,
    /// The operator's numbers.
    pub limits: Limits,
    /// Log each subscription and message.
    pub verbose: bool,
    /// Log nothing but errors.
    pub quiet: bool,
    /// Write the addresses here, as JSON, once clients can connect.
    pub ready_file: Option<PathBuf>,
    /// Run this, and end with it.
    pub command: Option<Vec<OsString>>,
}

impl Default for Conf {
    fn default() -> Self {
        Self {
            port: 1883,
            bind: Vec::new(),
            anonymous: true,
            password_file: None,
            workers: None,
            limits: Limits::default(),
            verbose: false,
            quiet: false,
            ready_file: None,
            command: None,
        }
    }
}

impl Conf {
    /// The number of worker threads: half of the cores, and at least one.
    ///
    /// The other half is busy in the kernel's network stack and in the clients. A message that
    /// crosses workers at low load costs two wake-ups more, so fewer workers that are kept busy
    /// beat many that sleep.
    pub fn workers_or_default(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers
            .unwrap_or_else(|| (cores() / 2).max(1))
            .clamp(1, 256)
    }
}
