//! Where there is no timerfd: a thread sleeps in the timer's place.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::commands::bench::load::pace::Clock;

/// Rings once at the time it was last asked for.
pub(super) struct Alarm {
    clock: Clock,
    sleeper: Sender<(u64, Waker)>,
    set: Option<u64>,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        let (sleeper, asked) = channel();
        std::thread::spawn(move || sleep(clock, &asked));
        Self {
            clock,
            sleeper,
            set: None,
        }
    }

    /// Ready when `due` has come.
    pub(super) fn poll(&mut self, due: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= due {
            self.set = None;
            return Poll::Ready(());
        }
        if self.set != Some(due) {
            self.set = Some(due);
            // The sleeper ends only when this end of the channel does.
            let _ = self.sleeper.send((due, cx.waker().clone()));
        }
        Poll::Pending
    }
}

fn sleep(clock: Clock, asked: &Receiver<(u64, Waker)>) {
    let mut next = asked.recv().ok();
    while let Some((due, waker)) = next {
        let left = Duration::from_nanos(due.saturating_sub(clock.now()));
        next = match asked.recv_timeout(left) {
            Ok(sooner) => Some(sooner),
            Err(RecvTimeoutError::Timeout) => {
                waker.wake();
                asked.recv().ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
        };
    }
}
