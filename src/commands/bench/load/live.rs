//! What the threads of a run let others see while it goes. They tell it once a stretch of the run or
//! once a batch, never once a message.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::commands::bench::progress::glance::Latencies;
use crate::commands::bench::stats::LATENCY_MAX;

pub(in crate::commands::bench) struct Live {
    e2e: Mutex<Histogram<u32>>,
    /// The worst since the last look; `u64::MAX` for none.
    lag: AtomicU64,
    connects: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Live {
    pub(in crate::commands::bench) fn new() -> Self {
        let e2e = Histogram::new_with_bounds(1_000, LATENCY_MAX, 2).expect("fixed, valid bounds");
        Self {
            e2e: Mutex::new(e2e),
            lag: AtomicU64::new(NONE),
            connects: AtomicU64::new(0),
        }
    }

    /// A thread has finished a stretch.
    pub(in crate::commands::bench) fn add(&self, stretch: &Histogram<u32>) {
        let mut e2e = self.e2e.lock().expect("nobody panics while holding it");
        e2e.add(stretch).expect("histograms of the same bounds");
    }

    pub(in crate::commands::bench) fn latencies(&self) -> Option<Latencies> {
        let e2e = self.e2e.lock().expect("nobody panics while holding it");
        (!e2e.is_empty()).then(|| Latencies {
            count: e2e.len(),
            p50: e2e.value_at_quantile(0.5),
            p90: e2e.value_at_quantile(0.9),
            p99: e2e.value_at_quantile(0.99),
            p999: e2e.value_at_quantile(0.999),
            max: e2e.max(),
        })
    }

    /// We were late by so much.
    pub(in crate::commands::bench) fn late(&self, nanoseconds: u64) {
        let _ = self
            .lag
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |worst| {
                (worst == NONE || worst < nanoseconds).then_some(nanoseconds)
            });
    }

    pub(in crate::commands::bench) fn take_lag(&self) -> Option<u64> {
        match self.lag.swap(NONE, Ordering::Relaxed) {
            NONE => None,
            lag => Some(lag),
        }
    }

    pub(in crate::commands::bench) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::commands::bench) fn connects(&self) -> u64 {
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
        assert_eq!(live.latencies(), None);
        let mut stretch = Histogram::new_with_bounds(1_000, LATENCY_MAX, 2).unwrap();
        stretch.record(1_000_000).unwrap();
        live.add(&stretch);
        live.add(&stretch);
        let seen = live.latencies().unwrap();
        assert_eq!(seen.count, 2);
        assert!(seen.p50 >= 1_000_000);
    }
}
