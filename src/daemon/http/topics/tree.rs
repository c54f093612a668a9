//! The tree of topics that messages were seen on, with how many and how often, and the last of each.
//! A topic is found by its whole name; what it counts it counts for all levels above it, too.

use std::collections::BTreeMap;
use std::collections::HashMap;

use jiff::Timestamp;

use crate::mqtt::QoS;
use crate::mqtt::publish::Publish;

/// Topics that are kept; new ones beyond it are not shown.
pub(super) const TOPICS_MAX: usize = 100_000;

/// Nodes of the tree: levels between, too.
const NODES_MAX: usize = 400_000;

/// Bytes of all names and payloads that are kept.
const BYTES_MAX: usize = 134_217_728;

/// Bytes of a payload that are kept.
const SHOWN_MAX: usize = 256;

/// How much of a rate is its last second's.
const FRESH: f64 = 0.4;

type NodeId = u32;

const ROOT: NodeId = 0;

/// See the module.
pub(super) struct Tree {
    nodes: Vec<Node>,
    topics: HashMap<Box<str>, NodeId>,
    bytes: usize,
    /// A topic found no room.
    pub(super) full: bool,
}

#[derive(Default)]
struct Node {
    parent: NodeId,
    level: Box<str>,
    children: BTreeMap<Box<str>, NodeId>,
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
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            topics: HashMap::new(),
            bytes: 0,
            full: false,
        }
    }

    /// Topics that are kept.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// A message; `counts`: it was published now, not before.
    pub(super) fn note(&mut self, publish: &Publish<'_>, at: Timestamp, counts: bool) {
        let Some(node) = self.node_of(publish.topic) else {
            self.full = true;
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
        let room = self.topics.len() < TOPICS_MAX
            && self.nodes.len() + levels <= NODES_MAX
            && self.bytes + 2 * topic.len() + SHOWN_MAX <= BYTES_MAX;
        if !room {
            return None;
        }
        let mut at = ROOT;
        for level in topic.split('/') {
            at = match self.nodes[at as usize].children.get(level) {
                Some(&child) => child,
                None => {
                    let new = self.nodes.len() as NodeId;
                    self.nodes.push(Node {
                        parent: at,
                        level: level.into(),
                        ..Node::default()
                    });
                    self.nodes[at as usize].children.insert(level.into(), new);
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

    /// The levels below `under`; the top without one. `None`: it is not known.
    pub(super) fn below(&self, under: Option<&str>, most: usize) -> Option<(Vec<Row<'_>>, bool)> {
        let mut at = ROOT;
        for level in under.into_iter().flat_map(|under| under.split('/')) {
            at = *self.nodes[at as usize].children.get(level)?;
        }
        let children = &self.nodes[at as usize].children;
        let rows = children.values().take(most).map(|&child| {
            let level = &self.nodes[child as usize].level;
            let topic = under.map_or_else(|| level.to_string(), |under| format!("{under}/{level}"));
            self.row(child, topic)
        });
        Some((rows.collect(), children.len() > most))
    }

    /// Topics with `text`, in small letters, in their names.
    pub(super) fn search(&self, text: &str, most: usize) -> (Vec<Row<'_>>, bool) {
        let found = self
            .topics
            .iter()
            .filter(|(topic, _)| topic.to_lowercase().contains(text));
        let mut found: Vec<(&str, NodeId)> = found
            .map(|(topic, &node)| (&**topic, node))
            .take(SEARCHED_MAX)
            .collect();
        found.sort_unstable();
        let cut = found.len() > most;
        let rows = found.into_iter().take(most);
        (
            rows.map(|(topic, node)| self.row(node, topic.to_owned()))
                .collect(),
            cut,
        )
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

/// Topics found before they are sorted.
const SEARCHED_MAX: usize = 10_000;

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

    fn rows(rows: &[Row<'_>]) -> Vec<(String, u32, u64, bool)> {
        let row = |row: &Row<'_>| (row.topic.clone(), row.topics, row.messages, row.children);
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_message_counts_for_its_topic_and_all_above() {
        let mut tree = Tree::new();
        for (topic, counts) in [
            ("a/b", true),
            ("a/b", true),
            ("a", true),
            ("a/c/", true),
            ("x", false),
        ] {
            tree.note(&publish(topic, "1"), Timestamp::UNIX_EPOCH, counts);
        }
        let (top, cut) = tree.below(None, 10).unwrap();
        assert_eq!(
            rows(&top),
            [("a".to_owned(), 3, 4, true), ("x".to_owned(), 1, 0, false)]
        );
        assert!(!cut);
        let (below, cut) = tree.below(Some("a"), 1).unwrap();
        assert_eq!(rows(&below), [("a/b".to_owned(), 1, 2, false)]);
        assert!(cut);
        assert_eq!(tree.below(Some("a/c"), 9).unwrap().0[0].topic, "a/c/");
        assert!(tree.below(Some("nothing"), 1).is_none());
        assert_eq!(rows(&tree.search("c", 9).0)[0].0, "a/c/");
    }

    #[test]
    fn a_rate_follows_what_was_seen_of_a_second() {
        let mut tree = Tree::new();
        for _ in 0..50 {
            for _ in 0..10 {
                tree.note(&publish("a", "1"), Timestamp::UNIX_EPOCH, true);
            }
            tree.second(0.5);
        }
        let rate = tree.below(None, 1).unwrap().0[0].rate;
        assert!((rate - 20.0).abs() < 0.01, "{rate}");
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut tree = Tree::new();
        for n in 0..TOPICS_MAX + 1 {
            tree.note(&publish(&n.to_string(), "x"), Timestamp::UNIX_EPOCH, true);
        }
        assert!(tree.full);
        assert_eq!(tree.len(), TOPICS_MAX);
    }
}
