//! Questions to the workers, without blocking: each answers in a turn of its own, and a worker that
//! does not is not waited for.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::daemon::http::answer::Fault;
use crate::daemon::worker::Worker;
use crate::daemon::workers::Workers;

/// A worker that has not come to a task by then is stopping, or stuck.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What all workers answer, in no order.
pub(super) async fn ask_all<T: Send + 'static>(
    workers: &Workers,
    task: impl Fn(&mut Worker) -> T + Clone + Send + 'static,
) -> Result<Vec<T>, Fault> {
    let count = workers.len();
    let (reply, mut answers) = mpsc::channel(count);
    for worker in 0..count {
        let (reply, task) = (reply.clone(), task.clone());
        workers.tell(worker, move |worker| {
            // There is room for all. Who asked may be gone.
            let _ = reply.try_send(task(worker));
        });
    }
    drop(reply);
    let gathered = async {
        let mut all = Vec::with_capacity(count);
        while let Some(one) = answers.recv().await {
            all.push(one);
        }
        all
    };
    let all = timeout(ANSWER_TIME, gathered)
        .await
        .map_err(|_| Fault::busy())?;
    match all.len() == count {
        true => Ok(all),
        false => Err(Fault::busy()),
    }
}

/// What one worker answers.
pub(super) async fn ask<T: Send + 'static>(
    workers: &Workers,
    worker: usize,
    task: impl FnOnce(&mut Worker) -> T + Send + 'static,
) -> Result<T, Fault> {
    let (reply, mut answer) = mpsc::channel(1);
    workers.tell(worker, move |worker| {
        let _ = reply.try_send(task(worker));
    });
    let answer = timeout(ANSWER_TIME, answer.recv()).await;
    answer.ok().flatten().ok_or_else(Fault::busy)
}
