//! What is counted while a load runs, and the figures made of it. Pure.
//!
//! Every thread counts into a [`Tally`] of its own; tallies are merged by addition, also over runs:
//! a percentile of percentiles means nothing. Latencies are HDR histograms in nanoseconds with
//! three digits, of one size whatever the length of the run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::commands::bench::load::track::Seen;

/// Latencies above this are counted as this: an hour.
pub(super) const LATENCY_MAX: u64 = 3_600_000_000_000;

/// A percentile says something only with this many samples beyond it.
const BEYOND_LEAST: f64 = 10.0;

/// Points of a run over time, at most; a longer run gets wider ones.
pub(super) const POINTS_MAX: u64 = 600;

/// One thread's counts of one run, or of all threads after [`Tally::merge`].
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Due → read by the subscriber (or, for requests, → response read).
    pub(super) e2e: Latency,
    /// Handed to the client → read by the subscriber.
    pub(super) service: Latency,
    /// Handed to the client → PUBACK, or PUBCOMP.
    pub(super) ack: Latency,
    /// Due → handed to the client, when nothing was in the way: our own fault.
    pub(super) lag: Latency,
    /// connect() → CONNACK.
    pub(super) connect: Latency,
    /// Between the two instants of the measurement.
    pub(super) inside: Inside,
    pub(super) seen: Seen,
    pub(super) corrupt: u64,
    /// Right, but on the wrong topic or to the wrong subscriber.
    pub(super) misrouted: u64,
    /// Messages that are not of this run: somebody else publishes here, or a rest of before.
    pub(super) strays: u64,
    /// Sent, from the first message to the last.
    pub(super) sent: u64,
    pub(super) acked: u64,
    /// Due before the end, and still not sent when patience ended.
    pub(super) unsent: u64,
    /// What subscribers should have got of what was sent and not refused.
    pub(super) expected: u64,
    pub(super) lost: u64,
    /// The broker took nothing and gave nothing for so long that the window was opened again.
    pub(super) stalls: u64,
    pub(super) connects: u64,
    pub(super) connect_errors: u64,
    pub(super) disconnects: u64,
    /// Connections that were lost and came to stand again.
    pub(super) reconnects: u64,
    /// Subscriptions that were granted a lower QoS than they asked for.
    pub(super) lowered: u64,
    /// Messages refused by Reason Code.
    pub(super) refused: BTreeMap<u8, u64>,
    pub(super) points: Vec<Point>,
}

/// Counts between the two instants of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) received: u64,
    pub(super) bytes: u64,
    pub(super) connects: u64,
}

/// One stretch of the run, by the time things happened.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) e2e: Histogram<u32>,
}

impl Point {
    fn new() -> Self {
        Self {
            sent: 0,
            received: 0,
            e2e: course(),
        }
    }
}

/// A histogram for latencies over time: two digits, from a microsecond on.
pub(super) fn course() -> Histogram<u32> {
    Histogram::new_with_bounds(1_000, LATENCY_MAX, 2).expect("fixed and valid bounds")
}

/// A histogram that takes any value.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    pub(super) histogram: Histogram<u64>,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, LATENCY_MAX, 3)
                .expect("fixed and valid bounds"),
        }
    }

    #[inline]
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("histograms of the same bounds");
    }

    pub(super) fn len(&self) -> u64 {
        self.histogram.len()
    }

    /// The value below which this share (0 to 1) of the samples lies; none when fewer than ten
    /// samples lie beyond it.
    pub(super) fn percentile(&self, share: f64) -> Option<u64> {
        let beyond = self.len() as f64 * (1.0 - share);
        // 1 - 0.999 is a little more or less than 0.001.
        (beyond + 1e-6 >= BEYOND_LEAST).then(|| self.histogram.value_at_quantile(share))
    }

    pub(super) fn max(&self) -> Option<u64> {
        (self.len() > 0).then(|| self.histogram.max())
    }

    pub(super) fn min(&self) -> Option<u64> {
        (self.len() > 0).then(|| self.histogram.min())
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.len() > 0).then(|| self.histogram.mean())
    }

    pub(super) fn stdev(&self) -> Option<f64> {
        (self.len() > 0).then(|| self.histogram.stdev())
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            e2e: Latency::new(),
            service: Latency::new(),
            ack: Latency::new(),
            lag: Latency::new(),
            connect: Latency::new(),
            inside: Inside::default(),
            seen: Seen::default(),
            corrupt: 0,
            misrouted: 0,
            strays: 0,
            sent: 0,
            acked: 0,
            unsent: 0,
            expected: 0,
            lost: 0,
            stalls: 0,
            connects: 0,
            connect_errors: 0,
            disconnects: 0,
            reconnects: 0,
            lowered: 0,
            refused: BTreeMap::new(),
            points: Vec::new(),
        }
    }

    /// Adds another thread's, or another run's, counts.
    pub(super) fn merge(&mut self, other: &Self) {
        self.e2e.merge(&other.e2e);
        self.service.merge(&other.service);
        self.ack.merge(&other.ack);
        self.lag.merge(&other.lag);
        self.connect.merge(&other.connect);
        self.inside.sent += other.inside.sent;
        self.inside.acked += other.inside.acked;
        self.inside.received += other.inside.received;
        self.inside.bytes += other.inside.bytes;
        self.inside.connects += other.inside.connects;
        self.seen.add(&other.seen);
        for (sum, more) in [
            (&mut self.corrupt, other.corrupt),
            (&mut self.misrouted, other.misrouted),
            (&mut self.strays, other.strays),
            (&mut self.sent, other.sent),
            (&mut self.acked, other.acked),
            (&mut self.unsent, other.unsent),
            (&mut self.expected, other.expected),
            (&mut self.lost, other.lost),
            (&mut self.stalls, other.stalls),
            (&mut self.connects, other.connects),
            (&mut self.connect_errors, other.connect_errors),
            (&mut self.disconnects, other.disconnects),
            (&mut self.reconnects, other.reconnects),
            (&mut self.lowered, other.lowered),
        ] {
            *sum += more;
        }
        for (&reason, &count) in &other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        for (at, point) in other.points.iter().enumerate() {
            let own = self.point(at);
            own.sent += point.sent;
            own.received += point.received;
            own.e2e
                .add(&point.e2e)
                .expect("histograms of the same bounds");
        }
    }

    /// The stretch of this number; times beyond the last possible one are counted there.
    #[inline]
    pub(super) fn point(&mut self, at: usize) -> &mut Point {
        let at = at.min(POINTS_MAX as usize);
        if self.points.len() <= at {
            self.points.resize_with(at + 1, Point::new);
        }
        &mut self.points[at]
    }
}

/// The middle one, or the mean of the two in the middle; none of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(sorted[middle - 1].midpoint(sorted[middle])),
    }
}

/// Half of the distance between the least and the most, as a share of the median; none for a
/// single run, which has no spread to speak of.
pub(super) fn spread(values: &[f64]) -> Option<f64> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let most = values.iter().copied().max_by(f64::total_cmp)?;
    let middle = median(values).filter(|&middle| middle > 0.0 && values.len() > 1)?;
    Some((most - least) / 2.0 / middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let mut latency = Latency::new();
        for value in 1..=999 {
            latency.record(value * 1_000);
        }
        assert!(latency.percentile(0.99).is_none());
        latency.record(1_000_000);
        let p99 = latency.percentile(0.99).unwrap();
        assert!((989_000..992_000).contains(&p99), "{p99}");
        assert!(latency.percentile(0.999).is_none());
        assert!(latency.percentile(0.5).is_some());
    }

    #[test]
    fn values_beyond_the_histogram_are_counted_at_its_end() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        assert_eq!(latency.len(), 2);
        assert!(latency.max().unwrap() >= LATENCY_MAX);
    }

    #[test]
    fn merging_adds_everything() {
        let mut one = Tally::new();
        one.e2e.record(5);
        one.sent = 2;
        one.point(3).sent = 2;
        one.refused.insert(0x97, 1);
        let mut sum = one.clone();
        sum.merge(&one);
        assert_eq!((sum.e2e.len(), sum.sent, sum.point(3).sent), (2, 4, 4));
        assert_eq!(sum.refused[&0x97], 2);
        assert_eq!(sum.points.len(), 4);
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[5.0]), None);
        assert_eq!(spread(&[90.0, 100.0, 110.0]), Some(0.1));
        assert_eq!(spread(&[0.0, 0.0]), None);
    }
}
