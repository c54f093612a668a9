//! What the threads of a run let others see while it goes. They tell it once a stretch of the run or
//! once a batch, never once a message.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::commands::bench::stats::course;

pub(super) struct Live {
    e2e: Mutex<Histogram<u32>>,
    /// The worst since the last look; `u64::MAX` for none.
    lag: AtomicU64,
    connects: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Live {
    pub(super) fn new() -> Self {
        Self {
            e2e: Mutex::new(course()),
            lag: AtomicU64::new(NONE),
            connects: AtomicU64::new(0),
        }
    }

    /// A thread has finished a stretch.
    pub(super) fn add(&self, stretch: &Histogram<u32>) {
        let mut e2e = self.e2e.lock().expect("nobody panics while holding it");
        e2e.add(stretch).expect("histograms of the same bounds");
    }

    /// All stretches so far; none before the first.
    pub(super) fn e2e(&self) -> Option<Histogram<u32>> {
        let e2e = self.e2e.lock().expect("nobody panics while holding it");
        (!e2e.is_empty()).then(|| e2e.clone())
    }

    /// We were late by so much.
    pub(super) fn late(&self, nanoseconds: u64) {
        let _ = self
            .lag
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |worst| {
                (worst == NONE || worst < nanoseconds).then_some(nanoseconds)
            });
    }

    pub(super) fn take_lag(&self) -> Option<u64> {
        match self.lag.swap(NONE, Ordering::Relaxed) {
            NONE => None,
            lag => Some(lag),
        }
    }

    pub(super) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_lateness_is_told_once() {
        let live = Live::new();
        assert_eq!(live.take_lag(), None);
        live.late(5);
        live.late(9);
        live.late(7);
        assert_eq!(live.take_lag(), Some(9));
        assert_eq!(live.take_lag(), None);
    }

    #[test]
    fn stretches_add_up() {
        let live = Live::new();
        assert_eq!(live.e2e(), None);
        let mut stretch = course();
        stretch.record(1_000_000).unwrap();
        live.add(&stretch);
        live.add(&stretch);
        let seen = live.e2e().unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen.value_at_quantile(0.5) >= 1_000_000);
    }
}
