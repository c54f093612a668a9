//! What is kept comes back before anybody can connect.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::Config;
use crate::broker::Part;
use crate::broker::Shared;
use crate::daemon;
use crate::daemon::Daemon;
use crate::daemon::Error;
use crate::daemon::bridge::Bridges;
use crate::daemon::conf::{Conf, Durability, Persistence};
use crate::daemon::control::Controller;
use crate::daemon::http::{Asked, Core, Http, Opened};
use crate::daemon::log::Log;
use crate::daemon::mail::Mailbox;
use crate::daemon::storage::{self, Storage};
use crate::daemon::store::Store;
use crate::daemon::store::disk::Folder;
use crate::daemon::store::import;
use crate::daemon::store::log::Log as LogStore;
#[cfg(feature = "sqlite")]
use crate::daemon::store::sqlite::Sqlite;
use crate::daemon::worker::{Seat, Worker};
use crate::daemon::workers::Workers;

type Running = Option<(Storage, JoinHandle<()>)>;

/// Opens the store, and finds what each worker is to take in.
pub(crate) fn storage(
    conf: &Conf,
    shared: &Arc<Shared>,
    mailboxes: &[Arc<Mailbox>],
    log: &Log,
) -> Result<(Running, Vec<Part>), Error> {
    let Some(persistence) = &conf.persistence else {
        return Ok((None, Vec::new()));
    };
    let fault = |error| Error::Store(persistence.folder.clone(), error);
    let begun = Instant::now();
    log.line(&format!("store: loading {}", persistence.folder.display()));
    let mut store = open(persistence, log).map_err(fault)?;
    let parts = storage::restore(&mut *store, mailboxes.len(), shared, begun).map_err(fault)?;
    for line in store.news() {
        log.line(&line);
    }
    log.line(&format!(
        "store: {} sessions, {} messages and {} retained messages restored from {} in {:.1} s",
        parts.iter().map(Part::sessions).sum::<usize>(),
        store.bodies().len(),
        shared.retained_len(),
        persistence.folder.display(),
        begun.elapsed().as_secs_f64()
    ));
    let (storage, thread) = Storage::start(
        store,
        persistence.sync,
        Arc::clone(shared),
        mailboxes.to_vec(),
        log.clone(),
    )
    .map_err(|error| Error::System("starting the thread of the store", error))?;
    Ok((Some((storage, thread)), parts))
}

/// The store of either kind.
fn open(persistence: &Persistence, log: &Log) -> io::Result<Box<dyn Store>> {
    #[cfg(feature = "sqlite")]
    if let Some(page_size) = persistence.sqlite {
        return Ok(Box::new(Sqlite::open(&persistence.folder, page_size)?));
    }
    let mut store = LogStore::new(Folder::open(&persistence.folder)?);
    if let Some(file) = &persistence.import {
        store = take_over(store, file, log)?;
    }
    store.unsafe_is_fine = persistence.sync == Durability::Off;
    Ok(Box::new(store))
}

/// A store that was never used begins with what mosquitto has kept, if it has.
fn take_over(store: LogStore<Folder>, file: &Path, log: &Log) -> io::Result<LogStore<Folder>> {
    let mut store = store;
    if !store.is_new()? || !file.exists() {
        return Ok(store);
    }
    let bytes = std::fs::read(file)?;
    let damaged = |fault| io::Error::other(format!("{}: {fault}", file.display()));
    let records = import::records(&bytes, storage::wall()).map_err(damaged)?;
    store.load(&mut |_| {})?;
    store.append(&records)?;
    store.sync()?;
    log.line(&format!("store: took over {}", file.display()));
    Ok(LogStore::new(store.into_disk()))
}

/// A worker on a thread of its own, with its share of the broker and what was kept of it. It
/// serves once all have taken theirs in.
pub(crate) fn worker(
    config: Config,
    shared: Arc<Shared>,
    part: Option<Part>,
    seat: Seat,
    adopted: Arc<Barrier>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let builder = std::thread::Builder::new().name(format!("worker-{}", config.worker));
    builder.spawn(move || {
        let now = Instant::now();
        let mut broker = Broker::new(config, shared, now);
        if let Some(part) = part {
            broker.record(now, storage::wall());
            broker.adopt(part, now);
        }
        adopted.wait();
        Worker::new(broker, seat).run()
    })
}

impl Daemon {
    /// The thread of the bridges, if there are any.
    pub(crate) fn start_bridges(&mut self, conf: &Conf) -> Result<(), Error> {
        if !conf.bridges.is_empty() {
            let workers = Workers::new(&self.mailboxes);
            let bridges = Bridges::start(&conf.bridges, &workers, &self.log, &self.failures)
                .map_err(|error| Error::System("starting the thread of the bridges", error))?;
            self.bridges = Some(bridges);
        }
        Ok(())
    }

    /// The thread of HTTP, if anything listens for it.
    pub(crate) fn start_http(&mut self, conf: &Conf, opened: Opened) -> Result<(), Error> {
        if opened.doors.is_empty() {
            return Ok(());
        }
        let core = Core {
            workers: Workers::new(&self.mailboxes),
            shared: Arc::clone(&self.shared),
            log: self.log.clone(),
            authenticator: self.authenticator.clone(),
            failures: self.failures.clone(),
            persists: conf.persistence.is_some(),
            chance: daemon::chance(),
        };
        let asked = Asked::new(conf, opened.doors);
        let http = Http::start(core, asked, opened.bound)
            .map_err(|error| Error::System("starting the thread of HTTP", error))?;
        self.http = Some(http);
        Ok(())
    }
}

/// The thread that takes commands on `$CONTROL/broker/v1`.
pub(crate) fn controller(
    conf: &Conf,
    shared: &Arc<Shared>,
    mailboxes: &[Arc<Mailbox>],
    log: &Log,
) -> io::Result<Controller> {
    let workers = Workers::new(mailboxes);
    Controller::start(conf, workers, Arc::clone(shared), log.clone())
}
