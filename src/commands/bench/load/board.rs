//! What the threads of one run share: how far the run is, when it measures, and one line a
//! publisher with what subscribers have seen of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Waker};

use crate::client::End;
use crate::commands::bench::load::body::Bodies;
use crate::commands::bench::load::live::Live;
use crate::commands::bench::load::pace::Clock;
use crate::commands::bench::plan::Stage;
use crate::commands::bench::stats::POINTS_MAX;

/// Failures that are remembered; the rest is only counted.
const FAILURES_MAX: usize = 8;

/// How far a run is. Only ever moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::commands::bench) enum Phase {
    /// Everybody connects and subscribes.
    Connect,
    /// Each publisher sends one message, so that routing is known to stand.
    Sentinel,
    /// Warm-up and measurement; what is due is sent.
    Load,
    /// Nothing new is due; what is owed is sent, what is on the way is awaited.
    Drain,
    /// Patience with what is owed is over: nothing is sent any more, what is on the way is awaited.
    Settle,
    /// Acknowledge, disconnect.
    Leave,
}

pub(in crate::commands::bench) const PHASES: [Phase; 6] = [
    Phase::Connect,
    Phase::Sentinel,
    Phase::Load,
    Phase::Drain,
    Phase::Settle,
    Phase::Leave,
];

/// Shared by all threads of one run.
pub(in crate::commands::bench) struct Board {
    pub(in crate::commands::bench) stage: Stage,
    pub(in crate::commands::bench) clock: Clock,
    pub(in crate::commands::bench) run: u16,
    pub(in crate::commands::bench) topics: Vec<String>,
    /// What stands in every payload behind its head.
    pub(in crate::commands::bench) bodies: Bodies,
    pub(in crate::commands::bench) is_verified: bool,
    phase: AtomicU8,
    /// When the load begins, when it counts from, and when it ends.
    start: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
    /// Of the stretches the run is shown in over time; stays when the end moves.
    width: AtomicU64,
    /// Clients that are connected and, if they subscribe, subscribed.
    pub(in crate::commands::bench) ready: AtomicU32,
    /// Publishers that have nothing more to send.
    pub(in crate::commands::bench) done: AtomicU32,
    pub(in crate::commands::bench) sent: AtomicU64,
    pub(in crate::commands::bench) acked: AtomicU64,
    pub(in crate::commands::bench) received: AtomicU64,
    /// Messages subscribers should get of what was sent.
    pub(in crate::commands::bench) expected: AtomicU64,
    pub(in crate::commands::bench) lines: Vec<Line>,
    pub(super) live: Live,
    pub(in crate::commands::bench) failures: Mutex<Failures>,
}

/// One publisher, as its subscribers see it.
#[derive(Default)]
pub(in crate::commands::bench) struct Line {
    /// How far each subscriber has come with its messages, all of them added up.
    seen: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

/// What went wrong.
#[derive(Debug, Default)]
pub(in crate::commands::bench) struct Failures {
    pub(in crate::commands::bench) count: u64,
    pub(in crate::commands::bench) first: Vec<Failure>,
}

#[derive(Debug)]
pub(in crate::commands::bench) struct Failure {
    pub(in crate::commands::bench) client: String,
    pub(in crate::commands::bench) what: What,
    pub(in crate::commands::bench) phase: Phase,
}

#[derive(Debug)]
pub(in crate::commands::bench) enum What {
    /// The connection ended before we wished it to.
    Ended(End),
    /// A subscription was refused, with this Reason Code.
    Unsubscribed(u8),
    /// A message could not be sent at all.
    Unsendable(String),
}

impl Board {
    pub(in crate::commands::bench) fn new(
        stage: Stage,
        clock: Clock,
        run: u16,
        topics: Vec<String>,
        bodies: Bodies,
        is_verified: bool,
    ) -> Self {
        let lines = (0..stage.shape.pubs).map(|_| Line::default()).collect();
        Self {
            stage,
            clock,
            run,
            topics,
            bodies,
            is_verified,
            phase: AtomicU8::new(Phase::Connect as u8),
            start: AtomicU64::new(u64::MAX),
            from: AtomicU64::new(u64::MAX),
            to: AtomicU64::new(u64::MAX),
            width: AtomicU64::new(u64::MAX),
            ready: AtomicU32::new(0),
            done: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            received: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            lines,
            live: Live::new(),
            failures: Mutex::new(Failures::default()),
        }
    }

    #[inline]
    pub(in crate::commands::bench) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    pub(in crate::commands::bench) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// To be called before the phase is [`Phase::Load`].
    pub(in crate::commands::bench) fn set_times(&self, times: Times) {
        self.start.store(times.start, Ordering::Release);
        self.from.store(times.from, Ordering::Release);
        self.to.store(times.to, Ordering::Release);
        self.width.store(times.width, Ordering::Release);
    }

    /// The load ends here, before its time.
    pub(in crate::commands::bench) fn cut(&self, to: u64) {
        self.to.store(to, Ordering::Release);
    }

    #[inline]
    pub(in crate::commands::bench) fn times(&self) -> Times {
        Times {
            start: self.start.load(Ordering::Relaxed),
            from: self.from.load(Ordering::Relaxed),
            to: self.to.load(Ordering::Relaxed),
            width: self.width.load(Ordering::Relaxed),
        }
    }

    pub(in crate::commands::bench) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    pub(in crate::commands::bench) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    pub(in crate::commands::bench) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    pub(in crate::commands::bench) fn expected(&self) -> u64 {
        self.expected.load(Ordering::Acquire)
    }

    pub(in crate::commands::bench) fn fail(&self, client: &str, what: What) {
        let phase = self.phase();
        let mut failures = self
            .failures
            .lock()
            .expect("nobody panics while holding it");
        failures.count += 1;
        if failures.first.len() < FAILURES_MAX {
            failures.first.push(Failure {
                client: client.to_owned(),
                what,
                phase,
            });
        }
    }

    pub(in crate::commands::bench) fn has_failed(&self) -> bool {
        self.failures
            .lock()
            .expect("nobody panics while holding it")
            .count
            > 0
    }
}

impl Line {
    /// A subscriber has come `by` further.
    pub(in crate::commands::bench) fn advance(&self, by: u64) {
        self.seen.fetch_add(by, Ordering::Release);
        let waker = self
            .waker
            .lock()
            .expect("nobody panics while holding it")
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[inline]
    pub(in crate::commands::bench) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Wakes the task of `cx` at the next [`advance`](Self::advance).
    pub(in crate::commands::bench) fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock().expect("nobody panics while holding it");
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

/// The instants of a run, on its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::bench) struct Times {
    pub(in crate::commands::bench) start: u64,
    pub(in crate::commands::bench) from: u64,
    pub(in crate::commands::bench) to: u64,
    /// Of the stretches a run is shown in over time.
    pub(in crate::commands::bench) width: u64,
}

impl Times {
    pub(in crate::commands::bench) fn new(start: u64, warmup: u64, duration: u64) -> Self {
        let second = 1_000_000_000;
        let whole = warmup + duration;
        Self {
            start,
            from: start + warmup,
            to: start + whole,
            // A short run still shows some course.
            width: match whole {
                0..10_000_000_000 => second / 10,
                _ => second.max(whole / POINTS_MAX),
            },
        }
    }

    /// Counted, and not warm-up or rest.
    #[inline]
    pub(in crate::commands::bench) fn is_inside(self, time: u64) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// The stretch in which `time` lies; none before the load.
    #[inline]
    pub(in crate::commands::bench) fn point(self, time: u64) -> Option<usize> {
        time.checked_sub(self.start)
            .map(|since| (since / self.width) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measurement_counts() {
        let times = Times {
            start: 100,
            from: 200,
            to: 300,
            width: 10,
        };
        assert!(!times.is_inside(199));
        assert!(times.is_inside(200));
        assert!(times.is_inside(299));
        assert!(!times.is_inside(300));
        assert_eq!(times.point(99), None);
        assert_eq!(times.point(125), Some(2));
    }

    #[test]
    fn a_long_run_has_no_more_points_than_a_page_shows() {
        let day = 86_400_000_000_000;
        assert!(day / Times::new(0, 0, day).width <= POINTS_MAX);
        assert_eq!(Times::new(0, 1, 2).width, 100_000_000);
    }
}
