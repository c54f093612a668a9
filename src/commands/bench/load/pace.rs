//! When each message is due: absolute times on one clock, which no lateness moves.
//!
//! A runtime's own timer counts in milliseconds, which would be measured as latency of the broker.
//! Here a kernel timer (Linux: timerfd, set to absolute nanoseconds) wakes the thread's event loop
//! just before the next message is due, and the last few microseconds are spent yielding to
//! whatever else is ready. Elsewhere a thread sleeps in the timer's place.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::commands::bench::load::alarm_linux::Alarm;
#[cfg(not(target_os = "linux"))]
use crate::commands::bench::load::alarm_thread::Alarm;

/// This long before a due time the thread is woken, if it has something to spare.
const EARLY: Duration = Duration::from_micros(20);

/// One clock for everybody: nanoseconds since the process began to measure.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::bench) struct Clock {
    start: Instant,
}

impl Clock {
    pub(in crate::commands::bench) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    #[inline]
    pub(in crate::commands::bench) fn now(self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How messages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::bench) enum Arrival {
    /// Evenly spaced.
    Uniform,
    /// At random, as independent devices would: exponential gaps.
    Poisson,
}

/// The due times of one publisher. Pure: a clock never touches it.
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Schedule {
    start: u64,
    /// Nanoseconds between two messages, of which there may be less than one.
    gap: f64,
    arrival: Arrival,
    /// From the start to the next due time.
    at: f64,
    chance: Chance,
    ramp: Option<Rise>,
}

/// The gap of a rate that rises evenly: from the first to the last over so many nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Rise {
    from: f64,
    to: f64,
    time: f64,
}

/// A rate that rises from nought is taken for this share of its end at first.
const RISE_LEAST: f64 = 0.01;

impl Rise {
    fn gap(self, at: f64) -> f64 {
        let rate = self.from + (self.to - self.from) * (at / self.time).min(1.0);
        1e9 / rate.max(self.to * RISE_LEAST)
    }
}

impl Schedule {
    /// `share` of 0 to 1 shifts the whole schedule within one gap, so that publishers take turns.
    pub(in crate::commands::bench) fn new(
        rate: f64,
        share: f64,
        arrival: Arrival,
        seed: u64,
    ) -> Self {
        let gap = 1e9 / rate;
        let mut schedule = Self {
            start: 0,
            gap,
            arrival,
            at: gap * share,
            chance: Chance::new(seed),
            ramp: None,
        };
        if arrival == Arrival::Poisson {
            schedule.at = schedule.chance.exponential() * gap;
        }
        schedule
    }

    /// The rate begins with `from` and reaches its own after `time`, in nanoseconds.
    pub(in crate::commands::bench) fn rising(mut self, from: f64, time: u64) -> Self {
        let rise = Rise {
            from,
            to: 1e9 / self.gap,
            time: time as f64,
        };
        self.at *= rise.gap(0.0) / self.gap;
        self.gap = rise.gap(0.0);
        self.ramp = Some(rise);
        self
    }

    pub(in crate::commands::bench) fn begin(&mut self, start: u64) {
        self.start = start;
    }

    /// When the next message is due.
    #[inline]
    pub(in crate::commands::bench) fn due(&self) -> u64 {
        self.start + self.at as u64
    }

    /// About how many more are due before `end`.
    pub(in crate::commands::bench) fn left(&self, end: u64) -> u64 {
        (end.saturating_sub(self.due()) as f64 / self.gap) as u64
    }

    /// The message was sent (or given up); on to the next one.
    #[inline]
    pub(in crate::commands::bench) fn advance(&mut self) {
        match self.arrival {
            Arrival::Uniform => self.at += self.gap,
            Arrival::Poisson => self.at += self.chance.exponential() * self.gap,
        }
        if let Some(rise) = self.ramp {
            self.gap = rise.gap(self.at);
        }
    }
}

/// Repeatable chance (splitmix64).
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Chance(u64);

impl Chance {
    pub(in crate::commands::bench) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::commands::bench) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Between 0 and 1, neither of them.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Mean 1.
    fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }
}

/// One thread's waiting room: who is to be woken when.
pub(in crate::commands::bench) struct Pacer {
    clock: Clock,
    waiting: RefCell<BinaryHeap<Reverse<Entry>>>,
    /// Wakes the pacer's own task, when somebody must be woken sooner than all before.
    own: RefCell<Option<Waker>>,
}

struct Entry {
    due: u64,
    waker: Waker,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl Pacer {
    pub(in crate::commands::bench) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            waiting: RefCell::new(BinaryHeap::new()),
            own: RefCell::new(None),
        })
    }

    /// Wakes the task of `cx` at `due`. Each call is one entry: call it once per due time.
    pub(in crate::commands::bench) fn wake_at(&self, due: u64, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        let is_first = waiting.peek().is_none_or(|Reverse(first)| due < first.due);
        waiting.push(Reverse(Entry {
            due,
            waker: cx.waker().clone(),
        }));
        if is_first && let Some(own) = self.own.borrow_mut().take() {
            own.wake();
        }
    }

    /// Runs for ever; dropped with the thread's other tasks.
    pub(in crate::commands::bench) async fn run(self: Rc<Self>) {
        let mut alarm = Alarm::new(self.clock);
        std::future::poll_fn(|cx| self.poll(cx, &mut alarm)).await;
    }

    fn poll(&self, cx: &mut Context<'_>, alarm: &mut Alarm) -> Poll<()> {
        let early = EARLY.as_nanos() as u64;
        loop {
            let now = self.clock.now();
            let mut waiting = self.waiting.borrow_mut();
            while let Some(Reverse(first)) = waiting.peek()
                && first.due <= now
            {
                if let Some(Reverse(entry)) = waiting.pop() {
                    entry.waker.wake();
                }
            }
            *self.own.borrow_mut() = Some(cx.waker().clone());
            let Some(Reverse(first)) = waiting.peek() else {
                return Poll::Pending;
            };
            if first.due - now <= early {
                // Not worth a sleep: let the others run, look again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if alarm.poll(first.due - early, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(mut schedule: Schedule, count: usize) -> Vec<u64> {
        schedule.begin(1_000);
        (0..count)
            .map(|_| {
                let due = schedule.due();
                schedule.advance();
                due
            })
            .collect()
    }

    #[test]
    fn uniform_is_a_comb_shifted_within_one_gap() {
        let schedule = Schedule::new(1e6, 0.25, Arrival::Uniform, 1);
        assert_eq!(dues(schedule, 4), [1_250, 2_250, 3_250, 4_250]);
    }

    #[test]
    fn a_rate_above_one_a_nanosecond_still_counts() {
        let all = dues(Schedule::new(2e9, 0.0, Arrival::Uniform, 1), 5);
        assert_eq!(all, [1_000, 1_000, 1_001, 1_001, 1_002]);
    }

    #[test]
    fn a_rising_rate_sends_what_its_area_is() {
        // From 0 to 1,000 a second over 2 seconds is 1,000 messages.
        let schedule = Schedule::new(1_000.0, 0.0, Arrival::Uniform, 1).rising(0.0, 2_000_000_000);
        let all = dues(schedule, 2_000);
        let inside = all.iter().filter(|&&due| due < 2_000_001_000).count();
        assert!((980..1_020).contains(&inside), "{inside}");
        let half = all.iter().filter(|&&due| due < 1_000_001_000).count();
        assert!((240..270).contains(&half), "{half}");
    }

    #[test]
    fn poisson_keeps_the_rate_and_repeats_with_its_seed() {
        let schedule = Schedule::new(1e6, 0.0, Arrival::Poisson, 42);
        let all = dues(schedule.clone(), 100_000);
        assert_eq!(all, dues(schedule, 100_000));
        assert!(all.is_sorted());
        let mean = (all[99_999] - 1_000) as f64 / 100_000.0;
        assert!((980.0..1_020.0).contains(&mean), "{mean}");
    }
}
