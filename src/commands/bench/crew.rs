//! The threads that make the load: each has a runtime of its own, and a task for every client.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, LocalSet};

use crate::cli::args::bench::Kind;
use crate::client::{End, Handler, Message, Options, Prepared, Session};
use crate::commands::bench::board::{Board, Phase, What};
use crate::commands::bench::desk::{Desk, Heard, Published};
use crate::commands::bench::pace::Chance;
use crate::commands::bench::publisher::Publisher;
use crate::commands::bench::stats::Tally;
use crate::commands::bench::subscriber::Subscriber;
use crate::commands::bench::track::Tracker;

/// For good-byes.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// Connections a thread opens at the same time.
const OPENING_MAX: usize = 64;

/// Different lengths of a payload whose size is a range.
const SIZES: usize = 16;

/// What one thread brings home.
pub(super) struct Gathered {
    pub(super) tally: Tally,
    pub(super) published: Vec<Published>,
    pub(super) heard: Vec<Heard>,
}

/// One generator thread, before it runs.
pub(super) struct Worker {
    pub(super) board: Arc<Board>,
    pub(super) options: Options,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) thread: usize,
    pub(super) threads: usize,
    pub(super) bell: watch::Receiver<()>,
}

impl Worker {
    pub(super) fn run(self) -> Gathered {
        let desk = Desk::new(Arc::clone(&self.board));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => {
                let tasks = LocalSet::new();
                runtime.block_on(tasks.run_until(self.work(Rc::clone(&desk))));
                // Whoever is still there is dropped here, and tells what it has counted.
                drop(tasks);
            }
            Err(error) => {
                let what = What::Unsendable(format!("no runtime: {error}"));
                self.board.fail("thread", what);
            }
        }
        Gathered {
            tally: desk.tally.replace(Tally::new()),
            published: desk.published.take(),
            heard: desk.heard.take(),
        }
    }

    async fn work(mut self, desk: Rc<Desk>) {
        let pacer = tokio::task::spawn_local(Rc::clone(&desk.pacer).run());
        let tasks = match self.hire(&desk).await {
            Ok(tasks) => tasks,
            Err(what) => {
                self.board.fail("thread", What::Unsendable(what));
                Vec::new()
            }
        };
        while self.board.phase() < Phase::Leave && self.bell.changed().await.is_ok() {
            desk.ring();
        }
        desk.ring();
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(LEAVE_PATIENCE, all).await;
        pacer.abort();
    }

    /// Starts a task for each client of this thread, a few connections at a time.
    async fn hire(&self, desk: &Rc<Desk>) -> Result<Vec<JoinHandle<()>>, String> {
        let opening = Arc::new(Semaphore::new(OPENING_MAX));
        let shape = &self.board.stage.shape;
        let mut tasks = Vec::new();
        let mut shared = None;
        for number in (0..shape.subs).filter(|&number| self.is_ours(number)) {
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let name = format!("{}-s{number}", self.name);
            let wanted = shape.wanted_by(number);
            let fresh = || {
                let trackers = vec![Tracker::default(); shape.heard(wanted) as usize];
                Rc::new(RefCell::new(trackers))
            };
            let trackers = if self.is_shared() {
                Rc::clone(shared.get_or_insert_with(fresh))
            } else {
                fresh()
            };
            let filter = self.filter(wanted);
            let desk = Rc::clone(desk);
            let mut handler = Subscriber::new(
                Rc::clone(&desk),
                name.clone(),
                filter,
                wanted,
                trackers,
                permit,
            );
            let session = self.session(&name)?;
            tasks.push(tokio::task::spawn_local(async move {
                live(&desk, session, &mut handler, &name).await;
            }));
        }
        for number in (0..shape.pubs).filter(|&number| self.is_ours(number)) {
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let name = format!("{}-p{number}", self.name);
            let prepared = self.prepared(number)?;
            let desk = Rc::clone(desk);
            let mut handler =
                Publisher::new(Rc::clone(&desk), name.clone(), number, prepared, permit);
            let session = self.session(&name)?;
            tasks.push(tokio::task::spawn_local(async move {
                live(&desk, session, &mut handler, &name).await;
            }));
        }
        Ok(tasks)
    }

    /// None when the run is over before everybody was connected.
    async fn permit(&self, opening: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut bell = self.bell.clone();
        loop {
            if self.board.phase() == Phase::Leave {
                return None;
            }
            tokio::select! {
                permit = Arc::clone(opening).acquire_owned() => return permit.ok(),
                _ = bell.changed() => {}
            }
        }
    }

    /// A pair lives on one thread; so does a group that shares its trackers.
    fn is_ours(&self, number: u32) -> bool {
        if self.is_shared() {
            return self.thread == 0;
        }
        number as usize % self.threads == self.thread
    }

    fn is_shared(&self) -> bool {
        self.board.stage.shape.kind == Kind::Shared
    }

    fn filter(&self, wanted: Option<u32>) -> String {
        match wanted {
            Some(topic) => self.board.topics[topic as usize].clone(),
            None if self.is_shared() => format!("$share/bench/{}/+", self.prefix),
            None => format!("{}/+", self.prefix),
        }
    }

    fn session(&self, name: &str) -> Result<Session, String> {
        let options = Options {
            client_id: name.to_owned(),
            ..self.options.clone()
        };
        Session::new(options).map_err(str::to_owned)
    }

    /// One PUBLISH a payload size.
    fn prepared(&self, publisher: u32) -> Result<Vec<Prepared>, String> {
        let stage = &self.board.stage;
        let topic = &self.board.topics[stage.shape.topic_of(publisher) as usize];
        let (least, most) = stage.sizes;
        let mut chance = Chance::new(stage.seed ^ u64::from(publisher));
        let sizes: Vec<usize> = if least == most {
            vec![least]
        } else {
            let range = (most - least + 1) as u64;
            (0..SIZES)
                .map(|_| least + (chance.next() % range) as usize)
                .collect()
        };
        sizes
            .into_iter()
            .map(|size| {
                let message = Message::new(topic, &self.board.filler[..size]).qos(stage.qos);
                Prepared::new(&message, self.options.version).map_err(|refused| refused.to_string())
            })
            .collect()
    }
}

/// One client from its first attempt to its end.
async fn live<H: Handler>(desk: &Desk, mut session: Session, handler: &mut H, name: &str) {
    let end = session.run(handler).await;
    if desk.board.phase() == Phase::Leave {
        return;
    }
    let mut tally = desk.tally.borrow_mut();
    match &end {
        End::Unreachable(_) | End::Refused { .. } | End::ConnackTimeout => {
            tally.connect_errors += 1
        }
        _ => tally.disconnects += 1,
    }
    drop(tally);
    desk.board.fail(name, What::Ended(end));
}
