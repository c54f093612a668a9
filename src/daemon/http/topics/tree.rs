//! The tree of topics that messages were seen on, with how many and how often, and the last of each.
//! A topic is found by its whole name; what it counts it counts for all levels above it, too.

use std::collections::BTreeMap;
use std::collections::HashMap;

use jiff::Timestamp;

use crate::daemon::http::rows;
use crate::daemon::http::topics::level::Level;
use crate::mqtt::QoS;
use crate::mqtt::publish::Publish;

/// Nodes of the tree a topic, levels between included.
const NODES_EACH_MAX: usize = 4;

/// Bytes of all names and payloads that are kept.
const BYTES_MAX: usize = 134_217_728;

/// Bytes of a payload that are kept.
const SHOWN_MAX: usize = 256;

/// How much of a rate is its last second's.
const FRESH: f64 = 0.4;

/// Topics that are searched between two pauses.
const PART_MAX: usize = 1_024;

type NodeId = u32;

const ROOT: NodeId = 0;

/// See the module.
pub(super) struct Tree {
    nodes: Vec<Node>,
    topics: HashMap<Box<str>, NodeId>,
    bytes: usize,
    /// Topics that are kept; new ones beyond it are not shown.
    pub(super) most: usize,
    /// A topic found no room.
    pub(super) full: bool,
    /// Messages of such topics that nobody was told of yet.
    pub(super) unseen: u64,
}

#[derive(Default)]
struct Node {
    parent: NodeId,
    level: Box<str>,
    children: BTreeMap<Level, NodeId>,
    /// Topics with a message, here and below.
    topics: u32,
    messages: u64,
    counted: u64,
    rate: f64,
    last: Option<Box<Last>>,
}

/// The last message of a topic.
pub(super) struct Last {
    pub(super) payload: Vec<u8>,
    pub(super) size: usize,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) at: Timestamp,
}

/// Which rows are wanted.
pub(super) struct Part {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// What is told of a node.
pub(super) struct Row<'a> {
    pub(super) level: &'a str,
    pub(super) topic: String,
    pub(super) children: bool,
    pub(super) topics: u32,
    pub(super) messages: u64,
    pub(super) rate: f64,
    pub(super) last: Option<&'a Last>,
}

impl Tree {
    pub(super) fn new(most: usize) -> Self {
        Self {
            nodes: vec![Node::default()],
            topics: HashMap::new(),
            bytes: 0,
            most,
            full: false,
            unseen: 0,
        }
    }

    /// Topics that are kept.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether a message of this topic was noted.
    pub(super) fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// As many topics as this are kept from now on; with more than that it begins anew. True: there
    /// may be some to fill it with.
    pub(super) fn set_most(&mut self, most: usize) -> bool {
        if most == self.most {
            return false;
        }
        if self.topics.len() > most {
            *self = Self {
                unseen: self.unseen,
                ..Self::new(most)
            };
        }
        self.most = most;
        self.full = false;
        true
    }

    /// A message; `counts`: it was published now, not before.
    pub(super) fn note(&mut self, publish: &Publish<'_>, at: Timestamp, counts: bool) {
        let Some(node) = self.node_of(publish.topic) else {
            self.full = true;
            self.unseen += 1;
            return;
        };
        let shown = &publish.payload[..publish.payload.len().min(SHOWN_MAX)];
        let node_of = &mut self.nodes[node as usize];
        let new = node_of.last.is_none();
        let last = node_of.last.get_or_insert_with(|| {
            Box::new(Last {
                payload: Vec::new(),
                size: 0,
                qos: QoS::AtMostOnce,
                retain: false,
                at,
            })
        });
        self.bytes = self.bytes + shown.len() - last.payload.len();
        last.payload.clear();
        last.payload.extend_from_slice(shown);
        last.size = publish.payload.len();
        last.qos = publish.qos;
        last.retain = publish.retain;
        last.at = at;
        let mut up = node;
        loop {
            let above = &mut self.nodes[up as usize];
            above.messages += u64::from(counts);
            above.topics += u32::from(new);
            if up == ROOT {
                return;
            }
            up = above.parent;
        }
    }

    fn node_of(&mut self, topic: &str) -> Option<NodeId> {
        if let Some(&node) = self.topics.get(topic) {
            return Some(node);
        }
        let levels = topic.split('/').count();
        let room = self.topics.len() < self.most
            && self.nodes.len() + levels <= NODES_EACH_MAX * self.most
            && self.bytes + 2 * topic.len() + SHOWN_MAX <= BYTES_MAX;
        if !room {
            return None;
        }
        let mut at = ROOT;
        for level in topic.split('/') {
            let key = Level::of(level);
            at = match self.nodes[at as usize].children.get(&key) {
                Some(&child) => child,
                None => {
                    let new = self.nodes.len() as NodeId;
                    self.nodes.push(Node {
                        parent: at,
                        level: level.into(),
                        ..Node::default()
                    });
                    self.nodes[at as usize].children.insert(key, new);
                    new
                }
            };
        }
        self.bytes += 2 * topic.len();
        self.topics.insert(topic.into(), at);
        Some(at)
    }

    /// A second is over, of which `seen` was looked at.
    pub(super) fn second(&mut self, seen: f64) {
        for node in &mut self.nodes {
            let fresh = (node.messages - node.counted) as f64 / seen.max(0.001);
            node.rate += FRESH * (fresh - node.rate);
            if node.rate < 0.001 {
                node.rate = 0.0;
            }
            node.counted = node.messages;
        }
    }

    /// The levels below `under`, the top without one; how many there are in all. Nothing, where it
    /// is not known.
    pub(super) fn below(&self, under: Option<&str>, part: &Part) -> (Vec<Row<'_>>, usize) {
        let Some(at) = self.at(under) else {
            return (Vec::new(), 0);
        };
        let children = &self.nodes[at as usize].children;
        let rows = children.values().skip(part.offset).take(part.limit);
        let rows = rows.map(|&child| {
            let level = &self.nodes[child as usize].level;
            let topic = under.map_or_else(|| level.to_string(), |under| format!("{under}/{level}"));
            self.row(child, topic)
        });
        (rows.collect(), children.len())
    }

    fn at(&self, under: Option<&str>) -> Option<NodeId> {
        let mut at = ROOT;
        for level in under.into_iter().flat_map(|under| under.split('/')) {
            at = *self.nodes[at as usize].children.get(&Level::of(level))?;
        }
        Some(at)
    }

    /// Topics below `under` with `text`, in small letters, in what follows; how many there are.
    pub(super) fn search(
        &self,
        text: &str,
        under: Option<&str>,
        part: &Part,
    ) -> (Vec<Row<'_>>, usize) {
        let below = |topic: &str| match under {
            None => Some(0),
            Some(under) => topic
                .strip_prefix(under)?
                .starts_with('/')
                .then_some(under.len()),
        };
        let fits = |topic: &str| below(topic).is_some_and(|from| has(&topic[from..], text));
        let mut found: Vec<(&str, NodeId)> = Vec::new();
        for (place, (topic, &node)) in self.topics.iter().enumerate() {
            if place % PART_MAX == PART_MAX - 1 {
                rows::give_way();
            }
            if fits(topic) {
                found.push((topic, node));
            }
        }
        let (all, end) = (found.len(), part.offset + part.limit);
        if end < all {
            found.select_nth_unstable(end);
            found.truncate(end);
        }
        found.sort_unstable();
        let rows = found.into_iter().skip(part.offset);
        let rows = rows.map(|(topic, node)| self.row(node, topic.to_owned()));
        (rows.collect(), all)
    }

    fn row(&self, node: NodeId, topic: String) -> Row<'_> {
        let node = &self.nodes[node as usize];
        Row {
            level: &node.level,
            topic,
            children: !node.children.is_empty(),
            topics: node.topics,
            messages: node.messages,
            rate: node.rate,
            last: node.last.as_deref(),
        }
    }
}

/// Whether `text`, which is in small letters, is in a topic written in whatever letters.
fn has(topic: &str, text: &str) -> bool {
    if !topic.is_ascii() {
        return topic.to_lowercase().contains(text);
    }
    let (topic, text) = (topic.as_bytes(), text.as_bytes());
    let mut places = topic.windows(text.len().max(1));
    text.is_empty() || places.any(|place| place.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::property::Properties;

    fn publish<'a>(topic: &'a str, payload: &'a str) -> Publish<'a> {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: Properties::EMPTY,
            payload: payload.as_bytes(),
        }
    }

    fn part(offset: usize, limit: usize) -> Part {
        Part { offset, limit }
    }

    fn rows(rows: &[Row<'_>]) -> Vec<(String, u32, u64, bool)> {
        let row = |row: &Row<'_>| (row.topic.clone(), row.topics, row.messages, row.children);
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_message_counts_for_its_topic_and_all_above() {
        let mut tree = Tree::new(100);
        for (topic, counts) in [
            ("a/b", true),
            ("a/b", true),
            ("a", true),
            ("a/c/", true),
            ("x", false),
        ] {
            tree.note(&publish(topic, "1"), Timestamp::UNIX_EPOCH, counts);
        }
        let (top, all) = tree.below(None, &part(0, 10));
        assert_eq!(
            rows(&top),
            [("a".to_owned(), 3, 4, true), ("x".to_owned(), 1, 0, false)]
        );
        assert_eq!(all, 2);
        let (below, all) = tree.below(Some("a"), &part(0, 1));
        assert_eq!(rows(&below), [("a/b".to_owned(), 1, 2, false)]);
        assert_eq!(all, 2);
        assert_eq!(tree.below(Some("a"), &part(1, 1)).0[0].level, "c");
        assert_eq!(tree.below(Some("a/c"), &part(0, 9)).0[0].topic, "a/c/");
        assert_eq!(tree.below(Some("nothing"), &part(0, 1)).1, 0);
    }

    #[test]
    fn what_is_searched_for_is_found_below_a_level_in_any_letters() {
        let mut tree = Tree::new(100);
        for topic in [
            "Hall/Lamp",
            "hall/lamp/2",
            "hall/door",
            "hallway/lamp",
            "Ä/LAMP",
        ] {
            tree.note(&publish(topic, "1"), Timestamp::UNIX_EPOCH, true);
        }
        let found = |text: &str, under: Option<&str>, offset| {
            let (rows, all) = tree.search(text, under, &part(offset, 2));
            let topics = rows.iter().map(|row| row.topic.clone());
            (topics.collect::<Vec<String>>(), all)
        };
        let topics = |topics: &[&str]| topics.iter().map(|&one| one.to_owned()).collect();
        assert_eq!(
            found("lamp", None, 0),
            (topics(&["Hall/Lamp", "hall/lamp/2"]), 4)
        );
        assert_eq!(
            found("lamp", None, 2),
            (topics(&["hallway/lamp", "Ä/LAMP"]), 4)
        );
        assert_eq!(found("ä", None, 0), (topics(&["Ä/LAMP"]), 1));
        assert_eq!(
            found("", Some("hall"), 0),
            (topics(&["hall/door", "hall/lamp/2"]), 2)
        );
        assert_eq!(found("hall", Some("hall"), 0), (topics(&[]), 0));
    }

    #[test]
    fn a_rate_follows_what_was_seen_of_a_second() {
        let mut tree = Tree::new(100);
        for _ in 0..50 {
            for _ in 0..10 {
                tree.note(&publish("a", "1"), Timestamp::UNIX_EPOCH, true);
            }
            tree.second(0.5);
        }
        let rate = tree.below(None, &part(0, 1)).0[0].rate;
        assert!((rate - 20.0).abs() < 0.01, "{rate}");
    }

    #[test]
    fn how_many_are_kept_can_change() {
        let mut tree = Tree::new(2);
        let note = |tree: &mut Tree, topics: &[&str]| {
            for topic in topics {
                tree.note(&publish(topic, "1"), Timestamp::UNIX_EPOCH, true);
            }
            (tree.len(), tree.full)
        };
        assert_eq!(note(&mut tree, &["a", "b", "c"]), (2, true));
        assert!(!tree.set_most(2) && tree.full);
        assert!(tree.set_most(3) && !tree.full);
        assert!(tree.knows("a") && !tree.knows("c"));
        assert_eq!(note(&mut tree, &["c"]), (3, false));
        assert!(tree.set_most(1));
        assert!(
            !tree.knows("a"),
            "all are gone that would have to be chosen from"
        );
        assert_eq!(note(&mut tree, &["b", "c"]), (1, true));
        assert_eq!(tree.unseen, 2);
        assert!(tree.set_most(0));
        assert_eq!(note(&mut tree, &["a"]), (0, true));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut tree = Tree::new(100);
        for n in 0..103 {
            tree.note(&publish(&n.to_string(), "x"), Timestamp::UNIX_EPOCH, true);
        }
        assert!(tree.full);
        assert_eq!((tree.len(), tree.unseen), (100, 3));
    }
}
