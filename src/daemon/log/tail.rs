//! The last lines of the log, numbered, for those who look from time to time.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::daemon::conf::log_words::LogType;

/// Lines that are kept.
pub(crate) const KEPT_MAX: usize = 1_000;

/// Bytes of a line that are kept: topics in it may be long.
const LINE_MAX: usize = 4_096;

/// See the module.
#[derive(Default)]
pub(crate) struct Tail {
    lines: VecDeque<Kept>,
    /// The number of the next line.
    next: u64,
}

/// A line that is kept.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) kind: LogType,
    pub(crate) text: String,
}

/// Some of the lines.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) lines: Vec<Kept>,
    /// Ask for what is behind this number next time.
    pub(crate) last: Option<u64>,
    /// Lines that were asked for and are not here any more.
    pub(crate) lost: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, kind: LogType, line: &str) {
        if self.lines.len() >= KEPT_MAX {
            self.lines.pop_front();
        }
        let mut end = line.len().min(LINE_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        self.lines.push_back(Kept {
            number: self.next,
            at: SystemTime::now(),
            kind,
            text: line[..end].to_owned(),
        });
        self.next += 1;
    }

    /// See [`Log::tail`](crate::daemon::log::Log::tail).
    pub(crate) fn part(&self, after: Option<u64>, most: usize) -> Part {
        let oldest = self.next - self.lines.len() as u64;
        let newest = self.next.checked_sub(1);
        let Some(after) = after else {
            let skipped = self.lines.len().saturating_sub(most);
            return Part {
                lines: self.lines.iter().skip(skipped).cloned().collect(),
                last: newest,
                lost: 0,
            };
        };
        let wanted = after.saturating_add(1);
        let from = wanted.max(oldest);
        let skipped = usize::try_from(from - oldest).unwrap_or(usize::MAX);
        let lines: Vec<Kept> = self
            .lines
            .iter()
            .skip(skipped)
            .take(most)
            .cloned()
            .collect();
        Part {
            last: lines.last().map(|line| line.number).or(newest),
            lost: from - wanted,
            lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_the_oldest_go() {
        let mut tail = Tail::default();
        assert!(tail.part(None, 10).last.is_none());
        for n in 0..KEPT_MAX + 5 {
            tail.push(LogType::Notice, &n.to_string());
        }
        let numbers =
            |part: &Part| -> Vec<u64> { part.lines.iter().map(|line| line.number).collect() };
        let part = tail.part(None, 2);
        assert_eq!(
            (numbers(&part), part.last, part.lost),
            (vec![1_003, 1_004], Some(1_004), 0)
        );
        let part = tail.part(Some(1), 2);
        assert_eq!(
            (numbers(&part), part.last, part.lost),
            (vec![5, 6], Some(6), 3)
        );
        let part = tail.part(Some(1_004), 2);
        assert_eq!(
            (numbers(&part), part.last, part.lost),
            (vec![], Some(1_004), 0)
        );
        let part = tail.part(Some(9_999), 2);
        assert_eq!((numbers(&part), part.last), (vec![], Some(1_004)));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut tail = Tail::default();
        tail.push(LogType::Notice, &"ä".repeat(LINE_MAX));
        assert_eq!(tail.part(None, 1).lines[0].text.len(), LINE_MAX);
    }
}
