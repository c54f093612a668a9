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

    /// One of our times on their clock.
    pub(super) fn there(self, ours: u64) -> u64 {
        u64::try_from(i128::from(ours) + self.theirs).unwrap_or(0)
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
        assert_eq!(quick.there(99), 1_100);
        assert_eq!(Offset::of(5_000, 10, 5_000).there(0), 0);
    }
}
