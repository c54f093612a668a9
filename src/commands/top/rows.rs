//! Rows of a topic tree: which levels are shown, in which order, and the text of each column.

use std::cmp::Reverse;
use std::time::Instant;

use crate::cli::format::put_shown;
use crate::commands::top::tree::{ROOT, Tree};

/// What rows below one level are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Name,
    Rate,
    Seen,
}

impl Order {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Name => Self::Rate,
            Self::Rate => Self::Seen,
            Self::Seen => Self::Name,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Seen => "last seen",
        }
    }
}

/// A level that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: usize,
    pub(super) depth: usize,
}

/// The rows of all open levels; with a filter, of all topics that have it in their name.
pub(super) fn rows(tree: &Tree, order: Order, filter: &str) -> Vec<Row> {
    let wanted = (!filter.is_empty()).then(|| wanted(tree, filter));
    let mut rows = Vec::new();
    let mut stack = vec![Row { at: ROOT, depth: 0 }];
    while let Some(row) = stack.pop() {
        let level = tree.level(row.at);
        if row.at != ROOT {
            rows.push(row);
        }
        if wanted.is_none() && !level.is_open {
            continue;
        }
        let mut below: Vec<usize> = level.below.values().copied().collect();
        match order {
            Order::Name => {}
            Order::Rate => {
                below.sort_by(|&one, &other| tree.rate(other).total_cmp(&tree.rate(one)));
            }
            Order::Seen => below.sort_by_key(|&at| Reverse(tree.level(at).seen)),
        }
        let depth = if row.at == ROOT { 0 } else { row.depth + 1 };
        let is_wanted = |at: &usize| wanted.as_ref().is_none_or(|wanted| wanted[*at]);
        let below = below.into_iter().rev().filter(is_wanted);
        stack.extend(below.map(|at| Row { at, depth }));
    }
    rows
}

/// By level: it, or something below it, is a topic with this text in its name.
fn wanted(tree: &Tree, filter: &str) -> Vec<bool> {
    let filter = filter.to_lowercase();
    let mut wanted = vec![false; tree.len()];
    for at in tree.topics() {
        if !tree.topic(at).to_lowercase().contains(&filter) {
            continue;
        }
        let mut here = at;
        while here != ROOT && !wanted[here] {
            wanted[here] = true;
            here = tree.level(here).above;
        }
    }
    wanted
}

/// The text of one row, a column each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) name: String,
    pub(super) rate: String,
    pub(super) count: String,
    pub(super) size: String,
    pub(super) retained: &'static str,
    pub(super) value: String,
}

/// Steps of indentation that are shown; deeper levels stand below each other.
const DEPTH_MAX: usize = 12;

pub(super) fn columns(tree: &Tree, row: Row, is_all_open: bool) -> Columns {
    let level = tree.level(row.at);
    let mark = match (level.below.is_empty(), level.is_open || is_all_open) {
        (true, _) => "  ",
        (false, true) => "▾ ",
        (false, false) => "▸ ",
    };
    let name = match &*level.name {
        "" => "(empty)".to_owned(),
        name => escaped(name),
    };
    let last = level.last.as_ref();
    let value = match last {
        Some(last) => payload(&last.value, last.size),
        None => counted(level.topics, "topic"),
    };
    Columns {
        name: format!("{}{mark}{name}", "  ".repeat(row.depth.min(DEPTH_MAX))),
        rate: rate(tree.rate(row.at)),
        count: level.total.to_string(),
        size: last.map_or_else(String::new, |last| size(last.size)),
        retained: match last {
            Some(last) if last.is_retained => "R",
            _ => "",
        },
        value,
    }
}

/// The head of what [`line`] writes.
pub(super) const LINE_HEAD: &str = "rate/s\tmessages\tbytes\tretained\ttopic\tvalue";

/// A topic as one line for programs: columns between tabs.
pub(super) fn line(tree: &Tree, at: usize) -> String {
    let level = tree.level(at);
    let (size, is_retained, value) = level.last.as_ref().map_or((0, false, &[][..]), |last| {
        (last.size, last.is_retained, &last.value[..])
    });
    format!(
        "{:.1}\t{}\t{size}\t{}\t{}\t{}",
        tree.rate(at),
        level.own,
        if is_retained { "yes" } else { "no" },
        escaped(&tree.topic(at)),
        payload(value, size),
    )
}

/// The topic of a level, whole, with when and how its last message came.
pub(super) fn story(tree: &Tree, at: usize, now: Instant) -> String {
    let level = tree.level(at);
    let ago = level.seen.map_or_else(String::new, |seen| {
        format!(
            ", last {} ago",
            ago(now.saturating_duration_since(seen).as_secs())
        )
    });
    let Some(last) = &level.last else {
        let (topics, messages) = (level.topics, level.total);
        return format!(
            "{}, {}{ago}",
            counted(topics, "topic"),
            counted(messages, "message")
        );
    };
    let retained = if last.is_retained { ", retained" } else { "" };
    let (own, size) = (
        counted(level.own, "message"),
        counted(last.size as u64, "byte"),
    );
    format!("{own}, {size}, QoS {}{retained}{ago}", last.qos)
}

fn counted(count: u64, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => "-".to_owned(),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate if rate < 100_000.0 => format!("{rate:.0}"),
        rate => format!("{:.0}k", rate / 1_000.0),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..10_000 => bytes.to_string(),
        10_000..10_000_000 => format!("{}k", bytes / 1_000),
        _ => format!("{}M", bytes / 1_000_000),
    }
}

/// A payload of this size on one line; what is no text, in hexadecimal.
pub(super) fn payload(kept: &[u8], size: usize) -> String {
    let cut = if kept.len() < size { "…" } else { "" };
    // A character may be cut in two where the value was.
    let text = match std::str::from_utf8(kept) {
        Ok(text) => Some(text),
        Err(error) if !cut.is_empty() && error.error_len().is_none() => {
            std::str::from_utf8(&kept[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match text {
        Some(text) => format!("{}{cut}", escaped(text)),
        None => {
            let digits: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{digits}{cut}")
        }
    }
}

/// Text that can do nothing to a terminal: no control characters, none that turn the direction.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c => put_shown(c, &mut out),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::top::tree::Seen;

    fn tree(topics: &[&str]) -> (Tree, Instant) {
        let now = Instant::now();
        let mut tree = Tree::new(now);
        for (second, topic) in (0..).zip(topics) {
            let seen = Seen {
                topic,
                payload: b"on",
                qos: 1,
                retain: true,
            };
            let at = now + std::time::Duration::from_millis(second);
            tree.message(&seen, at);
        }
        (tree, now)
    }

    fn shown(tree: &Tree, order: Order, filter: &str) -> Vec<String> {
        let rows = rows(tree, order, filter);
        let text = |row: &Row| columns(tree, *row, !filter.is_empty()).name;
        rows.iter().map(text).collect()
    }

    #[test]
    fn levels_open_and_close() {
        let (mut tree, _) = tree(&["b/x/y", "a", "b/z"]);
        assert_eq!(shown(&tree, Order::Name, ""), ["  a", "▸ b"]);
        let b = tree.level(ROOT).below["b"];
        tree.level_mut(b).is_open = true;
        assert_eq!(
            shown(&tree, Order::Name, ""),
            ["  a", "▾ b", "  ▸ x", "    z"]
        );
        assert_eq!(
            shown(&tree, Order::Name, "X/Y"),
            ["▾ b", "  ▾ x", "      y"]
        );
        assert!(shown(&tree, Order::Name, "none").is_empty());
    }

    #[test]
    fn three_orders() {
        let (tree, _) = tree(&["c", "a", "a", "b"]);
        assert_eq!(shown(&tree, Order::Name, ""), ["  a", "  b", "  c"]);
        assert_eq!(shown(&tree, Order::Rate, ""), ["  a", "  b", "  c"]);
        assert_eq!(shown(&tree, Order::Seen, ""), ["  b", "  a", "  c"]);
        let all = Order::Name.next().next().next();
        assert_eq!(all, Order::Name);
    }

    #[test]
    fn the_text_of_a_row() {
        let (tree, now) = tree(&["a/b"]);
        let row = rows(&tree, Order::Name, "b")[1];
        let text = columns(&tree, row, true);
        assert_eq!(
            (
                &*text.rate,
                &*text.count,
                &*text.size,
                text.retained,
                &*text.value
            ),
            ("1.0", "1", "2", "R", "on")
        );
        assert_eq!(line(&tree, row.at), "1.0\t1\t2\tyes\ta/b\ton");
        let told = story(&tree, row.at, now);
        assert_eq!(told, "1 message, 2 bytes, QoS 1, retained, last 0 s ago");
    }

    #[test]
    fn nothing_reaches_the_terminal_as_it_is() {
        for (bytes, size, expected) in [
            (&b"a\tb\x1b[2J"[..], 7, "a\\x09b\\x1b[2J"),
            (&[0xff, 0], 2, "0xff00"),
            ("ä".as_bytes(), 2, "ä"),
            (&"ä".as_bytes()[..1], 2, "…"),
            ("\u{202e}x".as_bytes(), 4, "\\u{202e}x"),
            (b"abc", 4, "abc…"),
        ] {
            assert_eq!(payload(bytes, size), expected);
        }
        let (tree, _) = tree(&["a\u{9b}b"]);
        assert_eq!(shown(&tree, Order::Name, ""), ["  a\\x9bb"]);
    }
}
