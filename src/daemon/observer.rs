//! The thread that looks at the workers from outside: it keeps the load averages, and the broker's
//! own topics for those who are subscribed to them. It sleeps unless somebody wants something, or
//! a worker tells that it had turns lately: an idle broker is woken by nobody.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Stats;
use crate::broker::SysWanted;
use crate::daemon::conf::Conf;
use crate::daemon::sys::{Loads, Tree};
use crate::daemon::workers::Workers;

/// Notes that wait; a worker that finds no room goes on without an answer.
const NOTES_MAX: usize = 1_024;

/// What the observer is told.
pub(crate) enum Note {
    /// Somebody subscribed to the broker's own topics at this worker.
    Wanted(usize, SysWanted),
    /// A worker had turns.
    Sample,
    /// The time between two rounds is another one; zero: there are none any more.
    Every(Duration),
    Stop,
}

/// The way to the observer; cheap to clone.
#[derive(Clone)]
pub(crate) struct Notes(SyncSender<Note>);

impl Notes {
    pub(crate) fn new() -> (Self, Receiver<Note>) {
        let (sender, receiver) = mpsc::sync_channel(NOTES_MAX);
        (Self(sender), receiver)
    }

    /// Gives it back when there is no room.
    pub(crate) fn wanted(&self, worker: usize, wanted: SysWanted) -> Result<(), SysWanted> {
        match self.0.try_send(Note::Wanted(worker, wanted)) {
            Err(TrySendError::Full(Note::Wanted(_, wanted))) => Err(wanted),
            _ => Ok(()),
        }
    }

    pub(crate) fn sample(&self) {
        // Without room there is a sample to come already.
        let _ = self.0.try_send(Note::Sample);
    }

    pub(crate) fn every(&self, interval: Duration) {
        // Waits for room, as the end does.
        let _ = self.0.send(Note::Every(interval));
    }

    pub(crate) fn stop(&self) {
        // Waits for room: the observer reads as long as it lives.
        let _ = self.0.send(Note::Stop);
    }
}

/// The observer, for whoever starts and stops the broker.
pub(crate) struct Observing {
    pub(crate) notes: Notes,
    interval: Duration,
    /// The topics have mosquitto's name.
    as_mosquitto: bool,
    /// Notes to come, until there is a thread to read them.
    to_come: Option<Receiver<Note>>,
    thread: Option<JoinHandle<()>>,
}

impl Observing {
    /// There is a thread from the first interval on that is not zero.
    pub(crate) fn start(conf: &Conf, workers: &Workers) -> io::Result<Self> {
        let (interval, as_mosquitto) = (conf.sys_interval, conf.opening.is_some());
        let (notes, to_come) = Notes::new();
        let mut observing = Self {
            notes,
            interval,
            as_mosquitto,
            to_come: Some(to_come),
            thread: None,
        };
        if !interval.is_zero() {
            observing.start_thread(interval, workers)?;
        }
        Ok(observing)
    }

    fn start_thread(&mut self, interval: Duration, workers: &Workers) -> io::Result<()> {
        if let Some(to_come) = self.to_come.take() {
            self.thread = Some(Observer::start(
                workers.clone(),
                to_come,
                interval,
                self.as_mosquitto,
            )?);
        }
        Ok(())
    }

    /// The interval is this one from now on; false: it was already.
    pub(crate) fn set_interval(
        &mut self,
        interval: Duration,
        workers: &Workers,
    ) -> io::Result<bool> {
        if interval == self.interval {
            return Ok(false);
        }
        self.start_thread(Duration::ZERO, workers)?;
        self.notes.every(interval);
        self.interval = interval;
        Ok(true)
    }

    /// Waits for the end that `notes` was asked for.
    pub(crate) fn join(self) {
        if let Some(thread) = self.thread
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Observer {
    workers: Workers,
    notes: Receiver<Note>,
    interval: Duration,
    tree: Tree,
    loads: Loads,
    sampled: Instant,
    /// When the next round is due, while anybody is subscribed.
    round: Option<Instant>,
}

impl Observer {
    fn start(
        workers: Workers,
        notes: Receiver<Note>,
        interval: Duration,
        as_mosquitto: bool,
    ) -> io::Result<JoinHandle<()>> {
        let now = Instant::now();
        let observer = Self {
            workers,
            notes,
            interval,
            tree: Tree::new(as_mosquitto, now),
            loads: Loads::default(),
            sampled: now,
            round: None,
        };
        std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || observer.run())
    }

    fn run(mut self) {
        loop {
            let first = match self.round {
                None => self.notes.recv().ok(),
                Some(at) => {
                    let wait = at.saturating_duration_since(Instant::now());
                    match self.notes.recv_timeout(wait) {
                        Ok(note) => Some(note),
                        Err(RecvTimeoutError::Timeout) => {
                            self.publish();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => None,
                    }
                }
            };
            let Some(first) = first else { return };
            // All who came meanwhile are served at once.
            let mut wanted = Vec::new();
            let (mut sample, mut every) = (false, None);
            for note in std::iter::once(first).chain(self.notes.try_iter()) {
                match note {
                    Note::Wanted(worker, what) => wanted.push((worker, what)),
                    Note::Sample => sample = true,
                    Note::Every(interval) => every = Some(interval),
                    Note::Stop => return,
                }
            }
            if let Some(interval) = every {
                self.change(interval);
            }
            if !wanted.is_empty() {
                self.serve(wanted);
            }
            // Each worker tells; once an interval is enough.
            if sample && !self.interval.is_zero() && self.sampled.elapsed() > self.interval / 2 {
                self.sample();
            }
        }
    }

    /// Those who are subscribed already get a round, too.
    fn change(&mut self, interval: Duration) {
        self.interval = interval;
        self.round = (!interval.is_zero()).then(|| Instant::now() + interval);
    }

    fn sample(&mut self) {
        let now = Instant::now();
        let mut stats = Stats::default();
        for part in self.workers.ask_all(|worker| worker.broker.stats()) {
            stats.add(&part);
        }
        self.loads.update(&stats, now - self.sampled);
        self.sampled = now;
    }

    /// Brings the topics up to date for new subscribers, and sends them what is retained.
    fn serve(&mut self, wanted: Vec<(usize, SysWanted)>) {
        let now = Instant::now();
        if !self.interval.is_zero() {
            self.round.get_or_insert(now + self.interval);
        }
        if self.sampled.elapsed() > self.interval {
            self.sample();
        }
        let messages = self
            .tree
            .refreshed(&self.workers.snapshot(), &self.loads, now);
        let mut lists: Vec<Vec<SysWanted>> = Vec::new();
        lists.resize_with(self.workers.len(), Vec::new);
        for (worker, what) in wanted {
            lists[worker].push(what);
        }
        for (number, list) in lists.into_iter().enumerate() {
            let messages = messages.clone();
            if list.is_empty() {
                continue;
            }
            self.workers.tell(number, move |worker| {
                // Retained messages are the same for all workers: whoever comes first keeps them.
                worker.broker.keep_sys(&messages, Instant::now());
                for wanted in &list {
                    worker.broker.replay_sys(wanted, worker.now);
                }
            });
        }
    }

    /// A round: what has changed since the last one, to all subscribers.
    fn publish(&mut self) {
        let now = Instant::now();
        self.sample();
        let snapshot = self.workers.snapshot();
        self.round = snapshot.whole.sys_wanted.then(|| now + self.interval);
        let messages = self.tree.changed(&snapshot, &self.loads, now);
        self.workers.tell(0, move |worker| {
            worker.broker.publish_sys(&messages, worker.now);
        });
    }
}
