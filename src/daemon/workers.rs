//! All workers as one, for threads that have no part in the turns: each can be given a task, which
//! it does in a turn of its own. An idle broker is woken by nothing else, so what is asked seldom
//! costs nothing the rest of the time.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::broker::Snapshot;
use crate::daemon::mail::{Mail, Mailbox};
use crate::daemon::worker::Worker;

/// A worker that has not come to a task by then is stopping, or stuck for good.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The mailboxes of all workers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Workers {
    mailboxes: Arc<[Arc<Mailbox>]>,
}

impl Workers {
    pub(crate) fn new(mailboxes: &[Arc<Mailbox>]) -> Self {
        Self {
            mailboxes: mailboxes.into(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.mailboxes.len()
    }

    /// Lets one worker do something, and waits for nothing.
    pub(crate) fn tell(&self, worker: usize, task: impl FnOnce(&mut Worker) + Send + 'static) {
        if let Some(mailbox) = self.mailboxes.get(worker) {
            mailbox.post(Mail::Task(Box::new(task)));
        }
    }

    /// What one worker answers; nothing when it is gone.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        worker: usize,
        task: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.tell(worker, move |worker| {
            let _ = reply.send(task(worker));
        });
        answer.recv_timeout(ANSWER_TIME).ok()
    }

    /// What all workers answer, asked at the same time; those that are gone are left out.
    pub(crate) fn ask_all<T: Send + 'static>(
        &self,
        task: impl Fn(&mut Worker) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let (reply, answers) = mpsc::sync_channel(self.len());
        for worker in 0..self.len() {
            let (reply, task) = (reply.clone(), task.clone());
            self.tell(worker, move |worker| {
                let _ = reply.send(task(worker));
            });
        }
        drop(reply);
        (0..self.len())
            .map_while(|_| answers.recv_timeout(ANSWER_TIME).ok())
            .collect()
    }

    /// The totals of the whole broker.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut whole = Snapshot::default();
        for part in self.ask_all(|worker| worker.broker.snapshot()) {
            whole.add(&part);
        }
        whole
    }
}
