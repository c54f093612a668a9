//! The order in which people look for levels: numbers within them by their value, so that `room10`
//! comes behind `room9`.

use std::cmp::Ordering;

/// A level of a topic, ordered that way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Level(Box<str>);

impl Level {
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (self.0.as_bytes(), other.0.as_bytes());
        loop {
            let order = match (digits(left), digits(right)) {
                (0, _) | (_, 0) => match (left.split_first(), right.split_first()) {
                    (Some((first, rest)), Some((second, others))) => {
                        (left, right) = (rest, others);
                        let small = |byte: &u8| byte.to_ascii_lowercase();
                        small(first).cmp(&small(second))
                    }
                    // What is the same but for letters and zeros is not the same level.
                    (None, None) => return self.0.cmp(&other.0),
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                },
                (long, longer) => {
                    let (first, rest) = left.split_at(long);
                    let (second, others) = right.split_at(longer);
                    (left, right) = (rest, others);
                    value(first).cmp(&value(second))
                }
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many digits there are at the front.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Numbers of any length: the longer one is larger, if neither begins with a zero.
fn value(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    let digits = &digits[zeros..];
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_order_of_their_values() {
        let sorted = [
            "",
            "$SYS",
            "01",
            "1",
            "2",
            "10",
            "99999999999999999999999",
            "a",
            "A1",
            "a2",
            "a2b",
            "a10",
            "b",
            "ö",
        ];
        for (at, left) in sorted.iter().enumerate() {
            for (behind, right) in sorted.iter().enumerate() {
                let order = Level::of(left).cmp(&Level::of(right));
                assert_eq!(order, at.cmp(&behind), "{left} {right}");
            }
        }
    }
}
