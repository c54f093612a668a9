//! How long things take, in buckets, for Prometheus. Counted here and not in the workers: a question
//! to a worker waits for the end of its turn, as a message does that comes while it is at work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the buckets, in seconds; what takes longer has a bucket of its own.
const BOUNDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0,
];

/// See the module.
#[derive(Default)]
pub(super) struct Latencies {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What was counted.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// The upper end of each bucket, and how many are in it alone.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Latencies {
    pub(super) fn note(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|&bound| bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn histogram(&self) -> Histogram {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        Histogram {
            sum: self.nanos.load(Ordering::Relaxed) as f64 / 1e9,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_it_fits() {
        let latencies = Latencies::default();
        for micros in [1, 50, 51, 1_000, 60_000_000] {
            latencies.note(Duration::from_micros(micros));
        }
        let histogram = latencies.histogram();
        let counts: Vec<u64> = histogram.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts[0], counts[1], counts[4], counts[14]), (2, 1, 1, 1));
        assert_eq!(histogram.count, 5);
        assert!((histogram.sum - 60.001_102).abs() < 1e-9);
    }
}
