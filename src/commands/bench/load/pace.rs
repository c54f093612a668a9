//! When each message is due: absolute times on one clock, which no lateness moves.
//!
//! A runtime's own timer counts in milliseconds, which would be measured as latency of the broker.
//! Here a kernel timer (Linux: timerfd, set to absolute nanoseconds) wakes the thread's event loop
//! before the next message is due, and the last microseconds are spent yielding to whatever else is
//! ready. How long before is learnt from the timer itself: a core that has gone to sleep comes back
//! late, on some machines by more than a message's time. Whoever is held up while awake has no core of
//! its own: it goes to sleep for a while, since who sleeps is woken before those who always work.
//! Elsewhere a thread sleeps in the timer's place.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

#[cfg(target_os = "linux")]
use crate::commands::bench::load::alarm_linux::Alarm;
#[cfg(not(target_os = "linux"))]
use crate::commands::bench::load::alarm_thread::Alarm;

/// The thread is woken so long before a due time, in nanoseconds: at least, and at most where every
/// thread of the load has a core and one is left over.
const EARLY_LEAST: u64 = 20_000;
const EARLY_MOST: u64 = 200_000;

/// How fast a timer that has become more punctual is believed: by this part a time.
const EARLY_DECAY: u64 = 256;

/// Held up for so long while awake, in nanoseconds, a thread shares its core with somebody.
const HELD_UP: u64 = 1_000_000;

/// For so long, in nanoseconds, it then stays awake no more than it must: at first, and at most.
const CROWDED_FIRST: u64 = 100_000_000;
const CROWDED_MOST: u64 = 3_200_000_000;

/// One clock for everybody: nanoseconds since the process that leads began to measure.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::bench) struct Clock {
    start: Instant,
    /// Added to it, modulo 2^64: by so much another machine's clock is ahead.
    ahead: u64,
}

impl Clock {
    pub(in crate::commands::bench) fn start() -> Self {
        Self {
            start: Instant::now(),
            ahead: 0,
        }
    }

    /// The same, by the clock of another machine that is `ahead` of this one.
    pub(in crate::commands::bench) fn shifted(self, ahead: i64) -> Self {
        Self {
            ahead: self.ahead.wrapping_add_signed(ahead),
            ..self
        }
    }

    #[inline]
    pub(in crate::commands::bench) fn now(self) -> u64 {
        (self.start.elapsed().as_nanos() as u64).wrapping_add(self.ahead)
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

/// How long before a due time to wake up: as late as the alarm has been, and some more. Pure.
#[derive(Clone, Copy, Debug)]
struct Early {
    now: u64,
    most: u64,
    /// The last time we were held up while awake counts until then.
    crowded_until: u64,
    crowded_for: u64,
}

impl Early {
    fn new(can_spin: bool) -> Self {
        Self {
            now: EARLY_LEAST,
            most: if can_spin { EARLY_MOST } else { EARLY_LEAST },
            crowded_until: 0,
            crowded_for: CROWDED_FIRST,
        }
    }

    /// How long before a due time to be awake, at this time.
    fn at(&self, now: u64) -> u64 {
        match now < self.crowded_until {
            true => EARLY_LEAST,
            false => self.now,
        }
    }

    /// What we were awake for was `late` at `now`. Whoever is held up again soon gives way for longer.
    fn awake(&mut self, now: u64, late: u64) {
        if late < HELD_UP || now < self.crowded_until {
            return;
        }
        let is_again = now - self.crowded_until < CROWDED_MOST;
        self.crowded_for = match is_again {
            true => (2 * self.crowded_for).min(CROWDED_MOST),
            false => CROWDED_FIRST,
        };
        self.crowded_until = now + self.crowded_for;
    }

    /// The alarm was late by so much.
    fn learn(&mut self, late: u64) {
        let calmer = self.now - self.now / EARLY_DECAY;
        self.now = calmer.max(late + late / 2).clamp(EARLY_LEAST, self.most);
    }
}

/// One thread's waiting room: who is to be woken when.
pub(in crate::commands::bench) struct Pacer {
    clock: Clock,
    can_spin: bool,
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
    /// `can_spin`: a core may be kept busy with waiting.
    pub(in crate::commands::bench) fn new(clock: Clock, can_spin: bool) -> Rc<Self> {
        Rc::new(Self {
            clock,
            can_spin,
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
        let mut early = Early::new(self.can_spin);
        let mut awake = None;
        std::future::poll_fn(|cx| self.poll(cx, &mut alarm, &mut early, &mut awake)).await;
    }

    /// `awake`: the due time for which nobody went to sleep.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        alarm: &mut Alarm,
        early: &mut Early,
        awake: &mut Option<u64>,
    ) -> Poll<()> {
        loop {
            let now = self.clock.now();
            if let Some(due) = awake.take() {
                early.awake(now, now.saturating_sub(due));
            }
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
            let before = early.at(now);
            if first.due - now <= before {
                *awake = Some(first.due);
                // Not worth a sleep: let the others run, look again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let at = first.due - before;
            if alarm.poll(at, cx).is_pending() {
                return Poll::Pending;
            }
            early.learn(self.clock.now().saturating_sub(at));
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
    fn a_late_alarm_is_set_earlier_as_far_as_there_is_a_core_for_it() {
        let mut early = Early::new(true);
        early.learn(5_000);
        assert_eq!(early.now, EARLY_LEAST);
        early.learn(60_000);
        assert_eq!(early.now, 90_000);
        early.learn(10_000_000);
        assert_eq!(early.now, EARLY_MOST);
        (0..2_000).for_each(|_| early.learn(1_000));
        assert_eq!(early.now, EARLY_LEAST);
        let mut crowded = Early::new(false);
        crowded.learn(60_000);
        assert_eq!(crowded.now, EARLY_LEAST);
    }

    #[test]
    fn who_is_held_up_while_awake_gives_way_for_a_while() {
        let mut early = Early::new(true);
        early.learn(100_000);
        let most = early.at(10_000_000_000);
        assert!(most > EARLY_LEAST);
        early.awake(10_000_000_000, HELD_UP - 1);
        assert_eq!(early.at(10_000_000_000), most);
        early.awake(10_000_000_000, HELD_UP);
        assert_eq!(early.at(10_000_000_000 + CROWDED_FIRST - 1), EARLY_LEAST);
        assert_eq!(early.at(10_000_000_000 + CROWDED_FIRST), most);
        // Again as soon as it looks: for longer and longer, but not for ever.
        let mut now = 10_000_000_000 + CROWDED_FIRST;
        for _ in 0..9 {
            early.awake(now, HELD_UP);
            now = early.crowded_until;
        }
        assert_eq!(early.crowded_for, CROWDED_MOST);
        early.awake(now + CROWDED_MOST, HELD_UP);
        assert_eq!(early.crowded_for, CROWDED_FIRST);
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
