//! When to try again: pure, so that it can be reasoned about without waiting for it.

use std::time::Duration;

/// The pauses between attempts to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// 1 s, 2 s, 4 s … 30 s: a broker that comes back is not met by a stampede.
    pub const fn doubling() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// The same pause each time, as mosquitto_sub has it with one second.
    pub const fn every(pause: Duration) -> Self {
        Self::new(pause, pause)
    }

    /// From `first`, doubling up to `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// How long to wait before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.min(self.most);
        self.next = pause.saturating_mul(2).min(self.most);
        pause
    }

    /// A connection came about: the next trouble starts from the beginning.
    pub fn succeeded(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        (0..count).map(|_| backoff.pause().as_secs()).collect()
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds_and_start_anew_after_a_success() {
        let mut backoff = Backoff::doubling();
        assert_eq!(seconds(&mut backoff, 7), [1, 2, 4, 8, 16, 30, 30]);
        backoff.succeeded();
        assert_eq!(seconds(&mut backoff, 2), [1, 2]);
    }

    #[test]
    fn a_fixed_pause_stays_fixed() {
        assert_eq!(
            seconds(&mut Backoff::every(Duration::from_secs(1)), 4),
            [1; 4]
        );
        assert_eq!(Backoff::every(Duration::MAX).pause(), Duration::MAX);
    }
}
