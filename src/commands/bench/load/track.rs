//! What one subscription has seen of one publisher: every sequence number once, in order, or not.
//!
//! In order costs one comparison. A gap is kept as a range of missing numbers; a number that falls
//! into one came late (reordered), any other old number is a duplicate. Each range costs a few
//! bytes, and there is a limit to them: beyond it the oldest gap is given up as lost, and what still
//! comes from there is counted as undecided, never guessed at. A payload carries the lower 32 bits of
//! its number, which a fast publisher has used up in minutes: the nearest number is meant.

use std::collections::BTreeMap;

/// Gaps remembered per publisher and subscription.
const GAPS_MAX: usize = 4_096;

/// Farther back than this a number is a new one.
const BACK_MAX: u64 = 1 << 31;

/// One publisher, as one subscription sees it.
#[derive(Clone, Debug, Default)]
pub(in crate::commands::bench) struct Tracker {
    /// One above the highest number seen.
    next: u64,
    /// First missing number → one above the last.
    gaps: BTreeMap<u64, u64>,
    /// Below this nothing is known any more.
    floor: u64,
    pub(in crate::commands::bench) seen: Seen,
}

/// Counts, which may be added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands::bench) struct Seen {
    pub(in crate::commands::bench) unique: u64,
    pub(in crate::commands::bench) duplicates: u64,
    /// Duplicates that say so themselves (DUP), which QoS 1 allows.
    pub(in crate::commands::bench) marked: u64,
    pub(in crate::commands::bench) reordered: u64,
    pub(in crate::commands::bench) undecided: u64,
}

impl Seen {
    /// Of `sent` messages, those that did not come. What is undecided may be among them.
    pub(in crate::commands::bench) fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.unique)
    }

    pub(in crate::commands::bench) fn add(&mut self, other: &Self) {
        self.unique += other.unique;
        self.duplicates += other.duplicates;
        self.marked += other.marked;
        self.reordered += other.reordered;
        self.undecided += other.undecided;
    }
}

impl Tracker {
    /// Notes a message; returns by how much the highest number seen has moved, which is what the
    /// publisher gets back as credit: a lost message must not stop it for ever.
    #[inline]
    pub(in crate::commands::bench) fn note(&mut self, sequence: u32, is_marked: bool) -> u64 {
        if sequence == self.next as u32 {
            self.next += 1;
            self.seen.unique += 1;
            return 1;
        }
        self.note_odd(self.whole(sequence), is_marked)
    }

    #[cold]
    fn note_odd(&mut self, sequence: u64, is_marked: bool) -> u64 {
        if sequence > self.next {
            let moved = sequence + 1 - self.next;
            self.gaps.insert(self.next, sequence);
            if self.gaps.len() > GAPS_MAX
                && let Some((_, end)) = self.gaps.pop_first()
            {
                self.floor = end;
            }
            self.next = sequence + 1;
            self.seen.unique += 1;
            return moved;
        }
        if sequence < self.floor {
            self.seen.undecided += 1;
        } else if self.fill(sequence) {
            self.seen.unique += 1;
            self.seen.reordered += 1;
        } else {
            self.seen.duplicates += 1;
            self.seen.marked += u64::from(is_marked);
        }
        0
    }

    /// The number that is meant by its lower half, whatever the bytes say.
    fn whole(&self, sequence: u32) -> u64 {
        let ahead = sequence.wrapping_sub(self.next as u32);
        let back = u64::from(ahead.wrapping_neg());
        match self.next.checked_sub(back).filter(|_| back <= BACK_MAX) {
            Some(number) => number,
            None => self.next + u64::from(ahead),
        }
    }

    /// Takes a number out of its gap; false when it was in none.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some((&start, &end)) = self.gaps.range(..=sequence).next_back() else {
            return false;
        };
        if sequence >= end {
            return false;
        }
        self.gaps.remove(&start);
        if start < sequence {
            self.gaps.insert(start, sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert(sequence + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: &[u32]) -> Tracker {
        let mut tracker = Tracker::default();
        for &number in numbers {
            tracker.note(number, false);
        }
        tracker
    }

    fn check(numbers: &[u32], unique: u64, duplicates: u64, reordered: u64) {
        let seen = after(numbers).seen;
        let expected = Seen {
            unique,
            duplicates,
            reordered,
            ..Seen::default()
        };
        assert_eq!(seen, expected, "{numbers:?}");
    }

    #[test]
    fn orders() {
        check(&[0, 1, 2, 3], 4, 0, 0);
        check(&[0, 1, 1, 2, 0], 3, 2, 0);
        check(&[0, 2, 1, 3], 4, 0, 1);
        check(&[0, 3, 3, 1, 1, 2, 4], 5, 2, 2);
        check(&[5], 1, 0, 0);
        check(&[5, 0, 4, 2, 2], 4, 1, 3);
    }

    #[test]
    fn lost_is_what_never_came() {
        assert_eq!(after(&[0, 1, 4]).seen.lost(6), 3);
        assert_eq!(after(&[0, 1, 4, 2, 3, 5, 5]).seen.lost(6), 0);
        assert_eq!(after(&[]).seen.lost(6), 6);
    }

    #[test]
    fn credit_moves_past_lost_messages() {
        let mut tracker = Tracker::default();
        let moved: u64 = [0, 1, 9, 4, 4, 10]
            .iter()
            .map(|&number| tracker.note(number, false))
            .sum();
        assert_eq!(moved, 11);
    }

    #[test]
    fn numbers_go_on_where_their_lower_half_begins_anew() {
        let mut tracker = Tracker {
            next: u64::from(u32::MAX) - 1,
            ..Tracker::default()
        };
        // One is skipped, comes late, and comes again.
        for number in [u32::MAX - 1, 0, u32::MAX, u32::MAX, 1, 0] {
            tracker.note(number, false);
        }
        let seen = tracker.seen;
        assert_eq!((seen.unique, seen.reordered, seen.duplicates), (4, 1, 2));
        assert_eq!(tracker.next, u64::from(u32::MAX) + 3);
    }

    #[test]
    fn no_number_is_too_high_to_be_noted() {
        let mut tracker = after(&[0, u32::MAX, 7, u32::MAX]);
        assert_eq!(tracker.seen.unique, 3);
        tracker.note(u32::MAX - 1, false);
        tracker.note(1, false);
        assert_eq!(tracker.seen.duplicates, 1);
    }

    #[test]
    fn endless_gaps_cost_bounded_memory_and_no_wrong_verdict() {
        let mut tracker = Tracker::default();
        for number in (0..4 * GAPS_MAX as u32).map(|n| 2 * n) {
            tracker.note(number, false);
        }
        assert_eq!(tracker.gaps.len(), GAPS_MAX);
        tracker.note(1, false);
        assert_eq!(tracker.seen.undecided, 1);
        assert_eq!(tracker.seen.duplicates, 0);
    }
}
