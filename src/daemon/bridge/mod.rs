//! Bridges: each carries messages between this broker and another one, on a thread they share.
//! A bridge that waits for its connection holds nothing here but a timer, and no worker ever waits
//! for a bridge.
//!
//! ```text
//!   core ── local connection ── Relay ── remote connection ── the other broker
//!           (a Session of ours)         (a Session of theirs)
//! ```
//!
//! A bridge keeps no messages. Packets of either side go to the other with their Packet
//! Identifiers, only topics are rewritten, so a message is acknowledged to its sender once its
//! receiver has acknowledged it, and QoS 2 is one handshake from end to end. What waits while there
//! is no connection waits in the Session here, with its limits and in its store.

pub mod conf;
mod door;
pub(crate) mod failures;
mod greeting;
mod link;
pub(crate) mod pipe;
mod relay;
mod topics;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::bridge::failures::Failures;
use crate::daemon::bridge::link::Link;
use crate::daemon::conf::bridge_words::ReloadType;
use crate::daemon::log::Log;
use crate::daemon::workers::Workers;

/// How long a start waits at most until bridges gather what they carry.
const START_TIME: Duration = Duration::from_secs(5);

/// Held until a bridge gathers what it carries.
pub(crate) type Starting = mpsc::Sender<()>;

/// The thread of the bridges, while there are any.
pub(crate) struct Bridges {
    /// What is there from now on; `None` when all is to end.
    wanted: watch::Sender<Option<Vec<BridgeConf>>>,
    thread: JoinHandle<()>,
}

impl Bridges {
    pub(crate) fn start(
        confs: &[BridgeConf],
        workers: &Workers,
        log: &Log,
        failures: &Failures,
    ) -> io::Result<Self> {
        let (wanted, seen) = watch::channel(Some(confs.to_vec()));
        let (starting, started) = mpsc::channel();
        let crew = Crew {
            workers: workers.clone(),
            log: log.clone(),
            failures: failures.clone(),
            running: HashMap::new(),
            starting: Some(starting),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("bridges".to_owned())
            .spawn(move || {
                runtime.block_on(crew.run(seen));
                // A name that nobody resolves must not hold up the end.
                runtime.shutdown_background();
            })?;
        // Nothing is ever sent: it ends when all gather what they carry.
        let _ = started.recv_timeout(START_TIME);
        Ok(Self { wanted, thread })
    }

    /// Bridges are added, changed and removed.
    pub(crate) fn reload(&self, confs: &[BridgeConf]) {
        self.wanted.send_replace(Some(confs.to_vec()));
    }

    /// Says goodbye to the other brokers.
    pub(crate) fn stop(self) {
        self.wanted.send_replace(None);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Crew {
    workers: Workers,
    log: Log,
    failures: Failures,
    running: HashMap<String, Running>,
    /// Held by whoever does not gather messages yet.
    starting: Option<Starting>,
}

struct Running {
    conf: BridgeConf,
    /// What a link looks at: its configuration, `None` when it is to end.
    wish: watch::Sender<Option<BridgeConf>>,
    task: Task<()>,
}

impl Crew {
    async fn run(mut self, mut wanted: watch::Receiver<Option<Vec<BridgeConf>>>) {
        loop {
            let confs = wanted.borrow_and_update().clone();
            let Some(confs) = confs else { break };
            self.take(confs);
            self.starting = None;
            if wanted.changed().await.is_err() {
                break;
            }
        }
        for running in self.running.values() {
            running.wish.send_replace(None);
        }
        for (_, running) in self.running {
            // One that panicked has ended all the same, and its panic was told.
            let _ = running.task.await;
        }
    }

    fn take(&mut self, confs: Vec<BridgeConf>) {
        self.running.retain(|name, running| {
            let stays = confs.iter().any(|conf| conf.name == *name);
            if !stays {
                running.wish.send_replace(None);
                self.failures.forget(name);
            }
            stays
        });
        for conf in confs {
            match self.running.get_mut(&conf.name) {
                Some(running) if running.conf == conf => {}
                Some(running) => {
                    // A lazy one is looked at with its next connection.
                    let at_once = conf.reload == ReloadType::Immediate;
                    running.wish.send_if_modified(|wish| {
                        *wish = Some(conf.clone());
                        at_once
                    });
                    running.conf = conf;
                }
                None => {
                    let (wish, seen) = watch::channel(Some(conf.clone()));
                    let mut link =
                        Link::new(self.workers.clone(), self.log.clone(), seen, &self.failures);
                    link.starting.clone_from(&self.starting);
                    let task = tokio::spawn(link.run());
                    let name = conf.name.clone();
                    self.running.insert(name, Running { conf, wish, task });
                }
            }
        }
    }
}
