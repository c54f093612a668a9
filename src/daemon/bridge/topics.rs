//! What a topic is called on the other side.

use crate::daemon::conf::bridge_words::{BridgeTopic, Direction};
use crate::mqtt::QoS;
use crate::mqtt::topic;

/// A side of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Local,
    Remote,
}

fn prefix(row: &BridgeTopic, side: Side) -> &str {
    match side {
        Side::Local => &row.local_prefix,
        Side::Remote => &row.remote_prefix,
    }
}

fn leaves(row: &BridgeTopic, side: Side) -> bool {
    match side {
        Side::Local => matches!(row.direction, Direction::Out | Direction::Both),
        Side::Remote => matches!(row.direction, Direction::In | Direction::Both),
    }
}

/// The Topic Filters a side is subscribed to, and the QoS of each.
pub(crate) fn filters(rows: &[BridgeTopic], side: Side) -> Vec<(String, QoS)> {
    let mut filters: Vec<(String, QoS)> = Vec::new();
    for row in rows.iter().filter(|row| leaves(row, side)) {
        let filter = format!("{}{}", prefix(row, side), row.pattern);
        match filters.iter_mut().find(|(known, _)| *known == filter) {
            Some((_, qos)) => *qos = (*qos).max(row.qos),
            None => filters.push((filter, row.qos)),
        }
    }
    filters
}

/// What is to be taken away there: topics that only go out.
pub(crate) fn only_out(rows: &[BridgeTopic]) -> Vec<String> {
    let wanted = filters(rows, Side::Remote);
    let mut out: Vec<String> = rows
        .iter()
        .filter(|row| row.direction == Direction::Out)
        .map(|row| format!("{}{}", row.remote_prefix, row.pattern))
        .filter(|filter| !filter.is_empty())
        .collect();
    out.retain(|filter| !wanted.iter().any(|(other, _)| other == filter));
    out.sort();
    out.dedup();
    out
}

/// The name on the other side of a topic that comes from `side`; `None` when it goes nowhere.
pub(crate) fn renamed(rows: &[BridgeTopic], side: Side, name: &str) -> Option<String> {
    let other = match side {
        Side::Local => Side::Remote,
        Side::Remote => Side::Local,
    };
    rows.iter().filter(|row| leaves(row, side)).find_map(|row| {
        let rest = name.strip_prefix(prefix(row, side))?;
        let fits = match &*row.pattern {
            "" => rest.is_empty(),
            pattern => topic::matches(&format!("{}{pattern}", prefix(row, side)), name),
        };
        fits.then(|| format!("{}{rest}", prefix(row, other)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pattern: &str, direction: Direction, local: &str, remote: &str) -> BridgeTopic {
        BridgeTopic {
            pattern: pattern.to_owned(),
            direction,
            qos: QoS::AtLeastOnce,
            local_prefix: local.to_owned(),
            remote_prefix: remote.to_owned(),
        }
    }

    #[test]
    fn prefixes_are_exchanged_and_the_first_row_counts() {
        let rows = [
            row("a/#", Direction::Out, "here/", "there/"),
            row("#", Direction::Both, "", "all/"),
            row("", Direction::In, "one", "two/three"),
        ];
        let out = |name| renamed(&rows, Side::Local, name);
        let back = |name| renamed(&rows, Side::Remote, name);
        assert_eq!(out("here/a/b").as_deref(), Some("there/a/b"));
        assert_eq!(out("here/b").as_deref(), Some("all/here/b"));
        assert_eq!(out("$SYS/x"), None);
        assert_eq!(back("all/x/y").as_deref(), Some("x/y"));
        assert_eq!(back("two/three").as_deref(), Some("one"));
        assert_eq!(back("two/three/four"), None);
        assert_eq!(back("there/a/b"), None);
        let filters = filters(&rows, Side::Remote);
        assert_eq!(filters.len(), 2);
        assert_eq!(filters[0].0, "all/#");
        assert_eq!(only_out(&rows), ["there/a/#"]);
    }
}
