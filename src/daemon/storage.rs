//! The thread of the store: takes the turns of all workers, writes them as one batch, syncs once
//! for all of them, and tells the workers what is safe. No worker ever waits for a disk.
//!
//! ```text
//!   worker 0 ─ turn ─┐                     ┌─ Durable(turn) ─► worker 0
//!   worker 1 ─ turn ─┼─► one batch ─ sync ─┤
//!   worker 1 ─ turn ─┘                     └─ Durable(turn) ─► worker 1
//! ```
//!
//! While the store cannot be written to, turns wait here, workers are told to take nothing that
//! would have to be kept, and it is tried again each second.

use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::broker::Fetch;
use crate::broker::Part;
use crate::broker::Restore;
use crate::broker::Shared;
use crate::broker::Turn;
use crate::broker::durable::record::Record;
use crate::daemon::conf::Durability;
use crate::daemon::log::Log;
use crate::daemon::mail::{Mail, Mailbox};
use crate::daemon::store::Store;
use crate::net::system_words;

/// Between two syncs of [`Durability::Interval`], and between two attempts after a failure.
const INTERVAL: Duration = Duration::from_secs(1);

/// What workers hand in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Storage(Arc<Desk>);

struct Desk {
    shared: Arc<Shared>,
    tray: Mutex<Tray>,
    wake: Condvar,
}

#[derive(Default)]
struct Tray {
    records: Vec<Record>,
    /// The last turn of each worker that is in `records`.
    turns: Vec<(usize, u64)>,
    fetches: Vec<(usize, Fetch)>,
    save: bool,
    stop: bool,
}

/// Milliseconds since 1970.
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// What a store has, for so many workers.
pub(crate) fn restore(
    store: &mut dyn Store,
    workers: usize,
    shared: &Shared,
    now: Instant,
) -> io::Result<Vec<Part>> {
    let mut restore = Restore::new(workers as u16, now, wall());
    store.load(&mut |record| restore.take(record, shared))?;
    for body in restore.wanted() {
        if let Some(kept) = store.fetch(body)? {
            restore.take(Record::Body(body, kept), shared);
        }
    }
    Ok(restore.finish(&store.bodies(), shared))
}

impl Storage {
    /// Starts the thread with a store that was loaded.
    pub(crate) fn start(
        store: Box<dyn Store>,
        sync: Durability,
        shared: Arc<Shared>,
        mailboxes: Vec<Arc<Mailbox>>,
        log: Log,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let storage = Self(Arc::new(Desk {
            shared,
            tray: Mutex::default(),
            wake: Condvar::new(),
        }));
        let desk = Arc::clone(&storage.0);
        let mut clerk = Clerk {
            store,
            sync,
            mailboxes,
            log,
            unsynced_since: None,
            failing: None,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || clerk.run(&desk))?;
        Ok((storage, thread))
    }

    /// Hands in a turn.
    pub(crate) fn append(&self, worker: usize, turn: Turn) {
        let mut tray = self.0.tray();
        tray.records.extend(turn.records);
        // Under the same lock, so that what workers retain is stored in the order of all of them.
        let retained = self.0.shared.take_retained_records();
        tray.records.extend(retained);
        match tray.turns.iter_mut().find(|(of, _)| *of == worker) {
            Some((_, last)) => *last = turn.number,
            None => tray.turns.push((worker, turn.number)),
        }
        self.0.wake.notify_one();
    }

    /// Asks for bodies.
    pub(crate) fn fetch(&self, worker: usize, fetch: Fetch) {
        self.0.tray().fetches.push((worker, fetch));
        self.0.wake.notify_one();
    }

    /// Asks for a sync now.
    pub(crate) fn save(&self) {
        self.0.tray().save = true;
        self.0.wake.notify_one();
    }

    /// Asks the thread to end once all is written.
    pub(crate) fn stop(&self) {
        self.0.tray().stop = true;
        self.0.wake.notify_one();
    }
}

impl Desk {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has come, at the latest after `patience`.
    fn wait(&self, patience: Option<Duration>) -> Tray {
        let empty = |tray: &mut Tray| {
            tray.turns.is_empty() && tray.fetches.is_empty() && !tray.save && !tray.stop
        };
        let tray = self.tray();
        let mut tray = match patience {
            None => self
                .wake
                .wait_while(tray, empty)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.wake
                    .wait_timeout_while(tray, patience, empty)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        std::mem::take(&mut tray)
    }
}

/// Who does the work.
struct Clerk {
    store: Box<dyn Store>,
    sync: Durability,
    mailboxes: Vec<Arc<Mailbox>>,
    log: Log,
    /// Since when something is not synced.
    unsynced_since: Option<Instant>,
    /// When to try again.
    failing: Option<Instant>,
}

impl Clerk {
    fn run(&mut self, desk: &Desk) {
        let mut work = Tray::default();
        let mut tidying = false;
        loop {
            let sync_at = self.unsynced_since.map(|since| since + INTERVAL);
            let at = self.failing.or(sync_at);
            let patience = at.map(|at| at.saturating_duration_since(Instant::now()));
            let patience = if tidying {
                Some(Duration::ZERO)
            } else {
                patience
            };
            let more = desk.wait(patience);
            work.take(more);
            if self.failing.is_some_and(|at| at > Instant::now()) && !work.stop {
                continue;
            }
            match self.work(&mut work) {
                Ok(more_to_tidy) => {
                    tidying = more_to_tidy;
                    self.recovered();
                }
                Err(error) => {
                    tidying = false;
                    self.failed(&error);
                }
            }
            for line in self.store.news() {
                self.log.line(&line);
            }
            if work.stop {
                return;
            }
        }
    }

    fn work(&mut self, work: &mut Tray) -> io::Result<bool> {
        if !work.records.is_empty() {
            self.store.append(&work.records)?;
            work.records = Vec::new();
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        let due = self
            .unsynced_since
            .is_some_and(|since| since.elapsed() >= INTERVAL);
        let wanted = match self.sync {
            Durability::Always => self.unsynced_since.is_some(),
            Durability::Interval => due,
            Durability::Off => false,
        };
        if wanted || work.save || work.stop {
            self.store.sync()?;
            self.unsynced_since = None;
        }
        if self.sync == Durability::Off {
            self.unsynced_since = None;
        }
        if std::mem::take(&mut work.save) {
            self.log.line("store: all is on the disk");
        }
        // Ahead of the answers: whoever gets one may publish again at once.
        if self.failing.is_some() {
            self.tell(false);
        }
        for (worker, turn) in work.turns.drain(..) {
            self.mailboxes[worker].post(Mail::Durable(turn));
        }
        while let Some((worker, fetch)) = work.fetches.pop() {
            let found = fetch.bodies.iter().map(|body| self.store.fetch(*body));
            match found.collect::<io::Result<Vec<_>>>() {
                Ok(found) => self.mailboxes[worker].post(Mail::Fetched(fetch, found)),
                Err(error) => {
                    work.fetches.push((worker, fetch));
                    return Err(error);
                }
            }
        }
        self.store.tidy()
    }

    fn failed(&mut self, error: &io::Error) {
        let before = self.failing.replace(Instant::now() + INTERVAL);
        self.tell(true);
        if before.is_none() {
            let words = system_words(error);
            self.log.line(&format!(
                "store: {words}; until this is mended, nothing is taken that would have to be kept"
            ));
        }
    }

    fn recovered(&mut self) {
        if self.failing.take().is_some() {
            self.log
                .line("store: can be written to again; nothing was lost");
        }
    }

    fn tell(&self, failing: bool) {
        for mailbox in &self.mailboxes {
            let task = move |worker: &mut crate::daemon::worker::Worker| {
                worker.broker.set_store_failing(failing);
            };
            mailbox.post(Mail::Task(Box::new(task)));
        }
    }
}

impl Tray {
    /// Puts what came later behind what is here.
    fn take(&mut self, more: Self) {
        if self.records.is_empty() {
            self.records = more.records;
        } else {
            self.records.extend(more.records);
        }
        for (worker, turn) in more.turns {
            match self.turns.iter_mut().find(|(of, _)| *of == worker) {
                Some((_, last)) => *last = turn,
                None => self.turns.push((worker, turn)),
            }
        }
        self.fetches.extend(more.fetches);
        self.save |= more.save;
        self.stop |= more.stop;
    }
}
