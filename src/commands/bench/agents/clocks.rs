//! How another machine's clock stands against ours, by questions and answers: the answer was given
//! somewhere between, so the shortest round trip says it best. Pure.

/// What one round trip said, or the best of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// Their clock minus ours, in nanoseconds.
    pub(super) theirs: i128,
    /// It may be off by so much.
    pub(super) error: u64,
}

impl Offset {
    /// Asked at `asked`, answered with `answer` of their clock, which we read at `heard`.
    pub(super) fn of(asked: u64, answer: u64, heard: u64) -> Self {
        let trip = heard.saturating_sub(asked);
        let middle = asked + trip / 2;
        Self {
            theirs: i128::from(answer) - i128::from(middle),
            error: trip.div_ceil(2),
        }
    }

    pub(super) fn better(self, other: Self) -> Self {
        if other.error < self.error {
            other
        } else {
            self
        }
    }

    /// How far off times can have been that were told by this offset, when `later` holds after them:
    /// the clocks may have run apart meanwhile.
    pub(super) fn error_until(self, later: Self) -> u64 {
        let apart = u64::try_from((later.theirs - self.theirs).unsigned_abs()).unwrap_or(u64::MAX);
        self.error.max(later.error.saturating_add(apart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_way_says_it_best() {
        // Their clock is 1,000 ahead; the answer was given at 130 of ours.
        let slow = Offset::of(100, 1_130, 200);
        assert_eq!((slow.theirs, slow.error), (980, 50));
        let quick = Offset::of(300, 1_311, 320);
        assert_eq!((quick.theirs, quick.error), (1_001, 10));
        assert_eq!(slow.better(quick), quick);
        assert!((slow.theirs - 1_000).unsigned_abs() <= u128::from(slow.error));
    }

    #[test]
    fn clocks_that_run_apart_are_known_less_well() {
        let before = Offset::of(100, 1_110, 120);
        let after = Offset::of(9_100, 10_117, 9_120);
        assert_eq!((before.error, after.theirs - before.theirs), (10, 7));
        assert_eq!(before.error_until(after), 17);
        assert_eq!(before.error_until(before), 10);
    }
}
