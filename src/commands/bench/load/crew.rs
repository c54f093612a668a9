//! The threads that make the load: each has a runtime of its own, and a task for every client.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::commands::bench::load::board::{Board, Phase, What};
use crate::commands::bench::load::comeback;
use crate::commands::bench::load::desk::{Desk, Heard, Published};
use crate::commands::bench::load::who::Who;
use crate::commands::bench::stats::Tally;
use crate::mqtt::property::PropertiesBuf;

/// For good-byes.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// What one thread brings home.
pub(super) struct Gathered {
    pub(super) tally: Tally,
    pub(super) published: Vec<Published>,
    pub(super) heard: Vec<Heard>,
}

/// How the clients of a run connect, publish and subscribe.
pub(super) struct Manner {
    pub(super) who: Arc<Who>,
    /// What a subscriber to all topics asks for.
    pub(super) filter: String,
    pub(super) retain: bool,
    pub(super) publish_properties: PropertiesBuf,
    pub(super) subscribe_properties: PropertiesBuf,
    /// Who loses a connection comes back to the same Session.
    pub(super) reconnects: bool,
    /// Nanoseconds between two connections of one thread; none for as fast as they come to stand.
    pub(super) gap: Option<f64>,
}

impl Manner {
    /// What the last DISCONNECT says.
    pub(super) fn farewell(&self) -> PropertiesBuf {
        let version = self.who.routes.first().map(|route| route.version);
        let kept = version.filter(|_| self.reconnects);
        kept.map_or_else(PropertiesBuf::new, comeback::farewell)
    }
}

/// One generator thread, before it runs.
pub(super) struct Worker {
    pub(super) board: Arc<Board>,
    pub(super) manner: Manner,
    pub(super) name: String,
    pub(super) thread: usize,
    pub(super) threads: usize,
    pub(super) bell: watch::Receiver<()>,
}

impl Worker {
    pub(super) fn run(self) -> Gathered {
        let desk = Desk::new(
            Arc::clone(&self.board),
            &self.manner,
            has_core_to_spare(self.threads),
        );
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
}

/// Whether the broker, or whoever else is here, still has a core when all of us keep one busy.
fn has_core_to_spare(threads: usize) -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| threads < cores.get())
}
