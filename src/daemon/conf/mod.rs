//! What a broker process is asked to be.
//!
//! [`parse::read`] turns a mosquitto.conf into [`settings::Settings`]; each area of the broker maps
//! its part of them into [`Conf`] in a file of its own.

pub mod bridge_words;
mod bridges;
mod check;
pub mod directives;
mod duration;
pub mod endpoint;
mod expand;
mod limits;
mod listener_tls;
mod listeners;
pub mod log_words;
pub mod logging;
mod open;
pub mod parse;
mod persistence;
mod plugins;
pub(crate) mod secrets;
mod security;
pub mod security_words;
pub mod settings;
pub mod source;
pub mod value;
pub mod versions;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::broker::limits::Limits;
use crate::broker::profile::Profile;
use crate::daemon::auth::Realm;
use crate::daemon::auth::dynsec::{self, Files};
use crate::daemon::bridge::conf::BridgeConf;
pub use crate::daemon::conf::endpoint::{Endpoint, Place};
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::http::{HttpListener, Token};
use crate::daemon::log::LogConf;

/// As mosquitto's `sys_interval`.
pub const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Clone, Debug)]
pub struct Conf {
    /// Where to listen.
    pub listeners: Vec<Endpoint>,
    /// Clients without a user name may connect.
    pub anonymous: bool,
    /// Who else may connect and do what, where no listener has rules of its own.
    pub realm: Realm,
    /// The rules of listeners that have some of their own, by their realm from one on.
    pub realms: Vec<Realm>,
    /// Where dynamic security is kept.
    pub dynsec: Option<Files>,
    /// Certificates of Sparkplug's edge nodes are kept for those who come later.
    pub sparkplug: bool,
    /// A retained message is sent only while its publisher may still publish there.
    pub retain_source_checked: bool,
    /// What Client Identifiers begin with, one of these; nothing when there are none.
    pub client_id_prefixes: Vec<Box<str>>,
    /// Topics below `$CONTROL` that somebody answers on, besides dynamic security.
    pub controls: Vec<Box<str>>,
    /// What stands in for the plugins of mosquitto's box, to be listed.
    pub plugins: Vec<Plugin>,
    /// Worker threads; `None` chooses by the machine.
    pub workers: Option<usize>,
    /// The operator's numbers.
    pub limits: Limits,
    /// The standard's choices.
    pub profile: Profile,
    /// Where what survives a restart is kept; `None` keeps nothing.
    pub persistence: Option<Persistence>,
    /// What is logged, how, and where to.
    pub log: LogConf,
    /// Where the broker answers over HTTP.
    pub http: Vec<HttpListener>,
    /// The secret that stands for an administrator there.
    pub http_token: Option<Token>,
    /// Files of passwords and keys, which nobody else should be able to read.
    pub secrets: Vec<PathBuf>,
    /// Other brokers, and what is carried to and from them.
    pub bridges: Vec<BridgeConf>,
    /// Time between two rounds of the broker's own topics; zero: there are none.
    pub sys_interval: Duration,
    /// Write the addresses here, as JSON, once clients can connect.
    pub ready_file: Option<PathBuf>,
    /// Run this, and end with it.
    pub command: Option<Vec<OsString>>,
    /// Start and end with mosquitto's lines.
    pub opening: Option<Opening>,
}

/// See [`Conf::persistence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// The folder of the store, or the file of its database.
    pub folder: PathBuf,
    /// The database is one of SQLite, and gets pages of this size.
    pub sqlite: Option<u32>,
    /// A mosquitto.db that is taken over once, when the store is empty.
    pub import: Option<PathBuf>,
    /// What an acknowledgement promises.
    pub sync: Durability,
}

/// What an acknowledgement promises of what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk.
    Always,
    /// The system has it; the disk within a second.
    #[default]
    Interval,
    /// The system has it.
    Off,
}

/// See [`Conf::plugins`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// As mosquitto's plugin calls itself.
    pub name: &'static str,
    /// Topics it takes commands on.
    pub controls: Vec<&'static str>,
}

impl Plugin {
    /// One that takes no commands.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            controls: Vec::new(),
        }
    }

    /// Dynamic security.
    pub fn dynsec() -> Self {
        Self {
            name: "dynamic-security",
            controls: vec![dynsec::TOPIC],
        }
    }
}

/// What there is to tell when a broker starts from a configuration file.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Where the configuration came from, and what it remarks.
    pub lines: Vec<String>,
    /// What plugins of mosquitto's tell when they are loaded.
    pub plugins: Vec<String>,
    /// What is told of files that stand in the place of one, on reload as well.
    pub built_in: Vec<String>,
    /// Only this machine can connect.
    pub local_only: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Self {
            listeners: Endpoint::local(1883),
            anonymous: true,
            realm: Realm::default(),
            realms: Vec::new(),
            dynsec: None,
            sparkplug: false,
            retain_source_checked: false,
            client_id_prefixes: Vec::new(),
            controls: Vec::new(),
            plugins: Vec::new(),
            workers: None,
            limits: Limits::default(),
            profile: Profile::STANDARD,
            persistence: None,
            log: LogConf::default(),
            http: Vec::new(),
            http_token: None,
            secrets: Vec::new(),
            bridges: Vec::new(),
            sys_interval: SYS_INTERVAL,
            ready_file: None,
            command: None,
            opening: None,
        }
    }
}

impl Conf {
    /// What the settings of a mosquitto.conf ask for, `ports` being those of the command line.
    /// Each area of the broker adds its part, in a file of its own.
    pub fn from_settings(settings: &Settings, ports: &[u16]) -> Result<Self, Fault> {
        let mut conf = Self {
            profile: Profile::MOSQUITTO,
            ..Self::default()
        };
        limits::apply(settings, &mut conf)?;
        listeners::apply(settings, ports, &mut conf)?;
        security::apply(settings, &mut conf)?;
        persistence::apply(settings, &mut conf)?;
        logging::apply(settings, &mut conf)?;
        bridges::apply(settings, &mut conf)?;
        conf.secrets = secrets::of_settings(settings);
        Ok(conf)
    }

    /// Whether user names are checked.
    pub fn has_users(&self) -> bool {
        self.realm.passwords.is_some() || self.realm.jwt.is_some() || self.realm.dynsec
    }

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
