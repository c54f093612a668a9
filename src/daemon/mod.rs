//! The broker as a process: listeners, worker threads, the log, passwords, start and stop.
//!
//! Worker threads own everything that is hot. The thread that calls [`run`] only waits: for a
//! signal, for the end of a command, for a worker that failed.

mod arriving;
pub mod auth;
pub mod bridge;
mod buffers;
pub mod conf;
pub mod control;
mod following;
pub mod http;
mod layered;
mod layers;
mod listener;
pub mod log;
mod mail;
mod observer;
pub mod opening;
mod pace;
mod peer;
pub mod process;
mod reading;
mod ready;
mod relisten;
mod reload;
mod run;
mod service;
mod signals;
mod socket;
mod starting;
mod storage;
pub mod store;
mod sys;
mod worker;
mod workers;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread::JoinHandle;

use crate::broker::Config;
use crate::broker::Shared;
use crate::broker::access::Access;
use crate::daemon::auth::Authenticator;
use crate::daemon::bridge::Bridges;
use crate::daemon::bridge::failures::Failures;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::conf::{Conf, Place, secrets};
use crate::daemon::control::Controller;
use crate::daemon::http::Http;
use crate::daemon::log::Log;
use crate::daemon::mail::{Mail, Mailbox};
use crate::daemon::observer::Observing;
pub use crate::daemon::run::run;
use crate::daemon::storage::Storage;
pub use crate::daemon::storage::wall;
use crate::daemon::worker::Seat;
use crate::daemon::workers::Workers;
#[cfg(unix)]
use crate::net::descriptors;
use crate::net::system_words;

/// Room for so many from the start: a quarter of a megabyte of the system's memory.
#[cfg(unix)]
const DESCRIPTORS: u64 = 32_768;

/// A broker that runs on threads of its own.
pub struct Daemon {
    mailboxes: Vec<Arc<Mailbox>>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    observing: Observing,
    storage: Option<(Storage, JoinHandle<()>)>,
    bridges: Option<Bridges>,
    failures: Failures,
    http: Option<Http>,
    shared: Arc<Shared>,
    log: Log,
    authenticator: Authenticator,
    controller: Controller,
    listening: Vec<Listening>,
    goodbye: String,
}

/// Where clients can connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// mqtt, mqtts, ws, wss, http or https.
    pub protocol: &'static str,
    /// The address, or the path of a Unix socket.
    pub place: Place,
}

impl Listening {
    /// Visitors come in there.
    pub(crate) fn is_http(&self) -> bool {
        self.protocol.starts_with("http")
    }
}

/// How [`run`] ended.
#[derive(Debug)]
pub enum Ended {
    /// A signal asked for it.
    Signal,
    /// The command ended, with this status.
    Command(ExitStatus),
}

/// Why a broker does not start or go on.
#[derive(Debug)]
pub enum Error {
    /// An address cannot be listened on.
    Listen(Place, io::Error),
    /// Something else the system refused: what was being done.
    System(&'static str, io::Error),
    /// What was kept cannot be taken up again: the folder, and why.
    Store(PathBuf, io::Error),
    /// The rules, who may do what, cannot be put in force.
    Rules(String),
    /// The command to run cannot be started.
    Command(String, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(place, error) => match error.kind() {
                io::ErrorKind::AddrInUse => write!(f, "{place} is taken by another program"),
                io::ErrorKind::PermissionDenied => write!(f, "may not listen on {place}"),
                _ => write!(f, "cannot listen on {place}: {}", system_words(error)),
            },
            Self::System(doing, error) => write!(f, "{doing} failed: {}", system_words(error)),
            Self::Store(folder, error) => {
                let folder = folder.display();
                match error.kind() {
                    io::ErrorKind::WouldBlock => write!(f, "{folder} is in use by another broker"),
                    io::ErrorKind::AlreadyExists => write!(f, "{folder} is no folder"),
                    _ => {
                        let words = system_words(error);
                        write!(f, "cannot take up what is kept in {folder}: {words}")
                    }
                }
            }
            Self::Rules(what) => f.write_str(what),
            Self::Command(program, error) => {
                write!(f, "cannot run {program}: {}", system_words(error))
            }
        }
    }
}

impl Error {
    /// What surely helps, in the words of `mqttx broker`.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Listen(_, error) => match error.kind() {
                io::ErrorKind::AddrInUse => Some("another --port, 0 for any that is free"),
                io::ErrorKind::PermissionDenied => Some("a --port above 1023"),
                io::ErrorKind::AddrNotAvailable => Some("--bind with an address of this machine"),
                _ => None,
            },
            Self::Store(_, error) if error.kind() == io::ErrorKind::WouldBlock => {
                Some("another --persistence")
            }
            Self::Store(_, error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Some("--persistence with a folder; it is made where there is none")
            }
            Self::Store(_, error) if is_shut(error) => {
                Some("--persistence with a folder that this user may write to")
            }
            _ => None,
        }
    }
}

/// Nothing can be kept there, by this user at least.
fn is_shut(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

impl Listening {
    fn of(listener: &listener::Listener) -> Self {
        Self {
            protocol: listener.endpoint.protocol(),
            place: listener.place.clone(),
        }
    }
}

/// Whether a broker could listen where it is asked to.
pub fn try_places(conf: &Conf) -> Result<(), Error> {
    let _listeners = listener::bind_all(&conf.listeners)?;
    let _doors = http::open_all(&conf.http, &[])?;
    Ok(())
}

impl Daemon {
    /// Starts listening and serving. Returns once clients can connect.
    pub fn start(conf: &Conf) -> Result<Self, Error> {
        prepare_descriptors();
        let log =
            Log::start(&conf.log).map_err(|error| Error::System("starting the log", error))?;
        opening::begin(&log, conf);
        for remark in conf.secrets.iter().filter_map(|file| secrets::remark(file)) {
            log.say(LogType::Warning, &remark);
        }
        let started = Self::start_with(conf, log.clone());
        if started.is_err() {
            // Its thread ends with the process, and what it has is to be read before.
            log.flush();
        }
        started
    }

    fn start_with(conf: &Conf, log: Log) -> Result<Self, Error> {
        let system = |doing| move |error| Error::System(doing, error);
        let mut listeners = listener::bind_all(&conf.listeners)?;
        let doors = http::open_all(&conf.http, &[])?;
        let mqtt = listeners.iter().map(Listening::of);
        let listening: Vec<Listening> = mqtt
            .chain(doors.doors.iter().map(|door| door.listening()))
            .collect();
        let workers = conf.workers_or_default();
        let shared = Arc::new(Shared::new(&conf.limits));
        let (polls, mailboxes) = open_polls(workers).map_err(system("opening a poll"))?;
        log.attach(&Workers::new(&mailboxes));
        let (authenticator, access) =
            Authenticator::start(conf, Workers::new(&mailboxes), &log).map_err(Error::Rules)?;
        let controller = starting::controller(conf, &shared, &mailboxes, &log)
            .map_err(system("starting the thread of the commands"))?;
        let observing = Observing::start(conf, &Workers::new(&mailboxes))
            .map_err(system("starting the thread of the broker's own topics"))?;
        let (storage, parts) = starting::storage(conf, &shared, &mailboxes, &log)?;
        let adopted = Arc::new(Barrier::new(workers + 1));
        let mut parts = parts.into_iter();
        // The first worker accepts and hands out; accepting is a small part of the work.
        worker::register(&polls[0], &mut listeners).map_err(system("registering a listener"))?;
        let mut threads = Vec::new();
        for (number, poll) in polls.into_iter().enumerate() {
            let config = config(conf, access.clone(), number, workers);
            let seat = Seat {
                poll,
                listeners: std::mem::take(&mut listeners),
                mailboxes: mailboxes.clone(),
                number,
                log: log.clone(),
                authenticator: authenticator.clone(),
                controller: controller.clone(),
                notes: observing.notes.clone(),
                storage: storage.as_ref().map(|(storage, _)| storage.clone()),
                sample_every: conf.sys_interval,
            };
            let (shared, adopted) = (Arc::clone(&shared), Arc::clone(&adopted));
            let part = parts.next();
            let thread = starting::worker(config, shared, part, seat, adopted)
                .map_err(system("starting a worker thread"))?;
            threads.push(thread);
        }
        adopted.wait();
        let mut daemon = Self {
            bridges: None,
            failures: Failures::default(),
            http: None,
            shared,
            mailboxes,
            workers: threads,
            observing,
            storage,
            log,
            listening,
            authenticator,
            controller,
            goodbye: last_line(conf),
        };
        daemon.start_http(conf, doors)?;
        // Not before: until now whoever connects waits.
        if !opening::running(&daemon.log, conf) {
            daemon.log.banner(conf, &daemon.listening, workers);
        }
        daemon.start_bridges(conf)?;
        Ok(daemon)
    }

    /// Where clients can connect.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Puts all that is kept on the disk now.
    pub(crate) fn save(&self) {
        if let Some((storage, _)) = &self.storage {
            storage.save();
        }
    }

    /// Opens the files of the log anew, after somebody has moved them away.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Says goodbye to all clients and waits for the workers.
    pub fn stop(mut self) -> Result<(), Error> {
        // First of all: they ask the workers.
        if let Some(http) = self.http.take() {
            http.stop();
        }
        // And these take leave of both sides.
        if let Some(bridges) = self.bridges.take() {
            bridges.stop();
        }
        for mailbox in &self.mailboxes {
            mailbox.post(Mail::Stop);
        }
        self.observing.notes.stop();
        let mut result = Ok(());
        for worker in self.workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => result = Err(Error::System("serving", error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        self.observing.join();
        if let Some((storage, thread)) = self.storage {
            storage.stop();
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        self.log.step(&self.goodbye);
        self.log.flush();
        result
    }
}

fn last_line(conf: &Conf) -> String {
    match conf.opening {
        Some(_) => opening::goodbye(),
        None => "stopped".to_owned(),
    }
}

/// A poll and a mailbox for each worker.
fn open_polls(workers: usize) -> io::Result<(Vec<mio::Poll>, Vec<Arc<Mailbox>>)> {
    let mut polls = Vec::new();
    let mut mailboxes = Vec::new();
    for _ in 0..workers {
        let poll = mio::Poll::new()?;
        mailboxes.push(Arc::new(Mailbox::new(&poll)?));
        polls.push(poll);
    }
    Ok((polls, mailboxes))
}

fn config(conf: &Conf, access: Access, number: usize, workers: usize) -> Config {
    Config {
        worker: number as u16,
        workers: workers as u16,
        limits: conf.limits.clone(),
        profile: conf.profile,
        access,
        seed: chance(),
        sys: !conf.sys_interval.is_zero(),
        trace: conf.log.wants_subscriptions(),
        trace_packets: conf.log.wants_packets(),
    }
}

/// Thirty-two bytes nobody can guess: the keys that the standard library draws from the system
/// for each of its hash tables, spread out.
pub(crate) fn chance() -> [u8; 32] {
    use std::hash::BuildHasher;
    let mut seed = [0; 32];
    for (n, part) in seed.chunks_exact_mut(8).enumerate() {
        let state = std::collections::hash_map::RandomState::new();
        part.copy_from_slice(&state.hash_one(n).to_be_bytes());
    }
    seed
}

/// As many connections as the system lets us have, and room for the first ones before there are threads.
fn prepare_descriptors() {
    #[cfg(unix)]
    {
        descriptors::raise_limit();
        descriptors::make_room(DESCRIPTORS);
    }
}
