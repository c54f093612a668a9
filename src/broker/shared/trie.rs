//! A tree of topic levels that holds a million filters or topics in little memory.
//!
//! Nodes lie in one array and are found through one hash table keyed by (parent, level), so a
//! node costs some ninety bytes however many siblings it has, and a child is one probe away:
//!
//! ```text
//!   ROOT ── "sport" ── "tennis" ── "+"          plus, hash: the wildcard children, found
//!                  └── "#"                      without a probe
//! ```
//!
//! Used by `subscriptions` (filters, walked by topic) and `retained` (topics, walked by filter).

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;

/// A place in a [`Trie`]; stays valid until the node is pruned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);
    const NONE: Self = Self(u32::MAX);

    fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

pub(crate) struct Trie<V> {
    nodes: Vec<Node<V>>,
    free: Vec<NodeId>,
    /// The hash lies beside the place: a table that grows moves its entries without a look at the
    /// nodes, which are anywhere in memory.
    table: HashTable<(u32, NodeId)>,
    hasher: DefaultHashBuilder,
}

struct Node<V> {
    parent: NodeId,
    plus: NodeId,
    hash: NodeId,
    first_child: NodeId,
    next_sibling: NodeId,
    /// Of the first child it is the last one, so that a new one is put behind all.
    previous_sibling: NodeId,
    level: Level,
    value: V,
}

/// Levels are short: up to 22 bytes need no allocation.
enum Level {
    Inline(u8, [u8; 22]),
    Heap(Box<[u8]>),
}

impl Level {
    fn new(level: &str) -> Self {
        let bytes = level.as_bytes();
        let mut inline = [0; 22];
        match inline.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self::Inline(bytes.len() as u8, inline)
            }
            None => Self::Heap(bytes.into()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

impl<V: Default> Trie<V> {
    pub(crate) fn new() -> Self {
        let mut trie = Self {
            nodes: Vec::new(),
            free: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        };
        trie.nodes.push(Node {
            parent: NodeId::NONE,
            plus: NodeId::NONE,
            hash: NodeId::NONE,
            first_child: NodeId::NONE,
            next_sibling: NodeId::NONE,
            previous_sibling: NodeId::NONE,
            level: Level::new(""),
            value: V::default(),
        });
        trie
    }

    pub(crate) fn value(&self, id: NodeId) -> &V {
        &self.node(id).value
    }

    pub(crate) fn value_mut(&mut self, id: NodeId) -> &mut V {
        &mut self.nodes[id.0 as usize].value
    }

    #[inline]
    pub(crate) fn plus(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).plus.some()
    }

    #[inline]
    pub(crate) fn hash(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).hash.some()
    }

    /// In the order in which they were made.
    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.node(id).first_child.some(), |&child| {
            self.node(child).next_sibling.some()
        })
    }

    pub(crate) fn level(&self, id: NodeId) -> &[u8] {
        self.node(id).level.bytes()
    }

    #[inline]
    pub(crate) fn child(&self, parent: NodeId, level: &str) -> Option<NodeId> {
        self.child_at(self.hash_of(parent, level), parent, level)
    }

    #[inline]
    fn child_at(&self, hash: u32, parent: NodeId, level: &str) -> Option<NodeId> {
        self.table
            .find(spread(hash), |&(other, id)| {
                let node = self.node(id);
                other == hash && node.parent == parent && node.level.bytes() == level.as_bytes()
            })
            .map(|&(_, id)| id)
    }

    #[inline]
    fn hash_of(&self, parent: NodeId, level: &str) -> u32 {
        self.hasher.hash_one((parent.0, level.as_bytes())) as u32
    }

    /// Places of nodes, some of them empty.
    pub(crate) fn places(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The node at a place.
    pub(crate) fn at(&self, place: u32) -> Option<NodeId> {
        ((place as usize) < self.nodes.len()).then_some(NodeId(place))
    }

    /// The node of a whole topic or filter, if it is there.
    pub(crate) fn find(&self, path: &str) -> Option<NodeId> {
        path.split('/')
            .try_fold(NodeId::ROOT, |node, level| self.child(node, level))
    }

    /// The node of a whole topic or filter, made as far as it is missing.
    pub(crate) fn insert(&mut self, path: &str) -> NodeId {
        let mut at = NodeId::ROOT;
        for level in path.split('/') {
            let hash = self.hash_of(at, level);
            at = match self.child_at(hash, at, level) {
                Some(child) => child,
                None => self.add(hash, at, level),
            };
        }
        at
    }

    /// The text of a node's path.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let mut levels = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            levels.push(String::from_utf8_lossy(self.level(at)));
            at = self.node(at).parent;
        }
        levels.reverse();
        levels.join("/")
    }

    /// Cuts off the node and its ancestors as far as they are leaves without anything in them.
    pub(crate) fn prune(&mut self, id: NodeId, is_empty: impl Fn(&V) -> bool) {
        let mut at = id;
        while at != NodeId::ROOT {
            let node = self.node(at);
            if node.first_child != NodeId::NONE || !is_empty(&node.value) {
                return;
            }
            let parent = node.parent;
            self.remove(at);
            at = parent;
        }
    }

    #[inline]
    fn node(&self, id: NodeId) -> &Node<V> {
        &self.nodes[id.0 as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<V> {
        &mut self.nodes[id.0 as usize]
    }

    fn add(&mut self, hash: u32, parent: NodeId, level: &str) -> NodeId {
        let first = self.node(parent).first_child.some();
        let last = first.map(|first| self.node(first).previous_sibling);
        let node = Node {
            parent,
            plus: NodeId::NONE,
            hash: NodeId::NONE,
            first_child: NodeId::NONE,
            next_sibling: NodeId::NONE,
            previous_sibling: last.unwrap_or(NodeId::NONE),
            level: Level::new(level),
            value: V::default(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id.0 as usize] = node;
                id
            }
            None => {
                let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
                self.nodes.push(node);
                id
            }
        };
        match (first, last) {
            (Some(first), Some(last)) => {
                self.node_mut(last).next_sibling = id;
                self.node_mut(first).previous_sibling = id;
            }
            _ => {
                self.node_mut(id).previous_sibling = id;
                self.node_mut(parent).first_child = id;
            }
        }
        let above = self.node_mut(parent);
        match level {
            "+" => above.plus = id,
            "#" => above.hash = id,
            _ => {}
        }
        self.table
            .insert_unique(spread(hash), (hash, id), |&(hash, _)| spread(hash));
        id
    }

    fn remove(&mut self, id: NodeId) {
        let node = self.node(id);
        let (parent, previous, next) = (node.parent, node.previous_sibling, node.next_sibling);
        let hash = self.hasher.hash_one((parent.0, node.level.bytes())) as u32;
        let entry = self
            .table
            .find_entry(spread(hash), |&(_, other)| other == id);
        if let Ok(entry) = entry {
            entry.remove();
        }
        let first = self.node(parent).first_child;
        match next.some() {
            Some(next) => self.node_mut(next).previous_sibling = previous,
            // It was the last, and the first knows which that is.
            None => self.node_mut(first).previous_sibling = previous,
        }
        match first == id {
            true => self.node_mut(parent).first_child = next,
            false => self.node_mut(previous).next_sibling = next,
        }
        let above = self.node_mut(parent);
        if above.plus == id {
            above.plus = NodeId::NONE;
        }
        if above.hash == id {
            above.hash = NodeId::NONE;
        }
        let node = self.node_mut(id);
        node.level = Level::new("");
        node.value = V::default();
        self.free.push(id);
    }
}

/// A hash as the table wants it: with chance in its highest bits, too.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Whether wildcards at the first level may match this topic: not when it begins with `$`
/// [MQTT-4.7.2-1].
#[inline]
pub(crate) fn wildcards_may_match(topic: &str) -> bool {
    !topic.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inserted_is_found_and_what_is_pruned_is_gone() {
        let mut trie: Trie<u32> = Trie::new();
        let paths = [
            "a",
            "a/b",
            "a/+/c",
            "/",
            "a//b",
            "#",
            "a/a level of more than 22 bytes/x",
        ];
        for (n, path) in paths.iter().enumerate() {
            let id = trie.insert(path);
            *trie.value_mut(id) = n as u32 + 1;
        }
        for (n, path) in paths.iter().enumerate() {
            let id = trie.find(path).unwrap();
            assert_eq!(*trie.value(id), n as u32 + 1);
            assert_eq!(trie.path(id), *path);
        }
        for path in paths {
            let id = trie.find(path).unwrap();
            *trie.value_mut(id) = 0;
            trie.prune(id, |&value| value == 0);
            assert!(
                trie.find(path)
                    .is_none_or(|id| trie.children(id).next().is_some())
            );
        }
        assert_eq!(trie.children(NodeId::ROOT).count(), 0);
        assert_eq!(trie.free.len() + 1, trie.nodes.len());
        assert!(trie.table.is_empty());
    }

    /// What is left of these children behind the removal of some, in order.
    #[track_caller]
    fn check_order(made: &str, removed: &str, expected: &str) {
        let mut trie: Trie<()> = Trie::new();
        for level in made.split(' ') {
            trie.insert(level);
        }
        for level in removed.split_whitespace() {
            let id = trie.find(level).unwrap();
            trie.prune(id, |()| true);
        }
        trie.insert("new");
        let left = trie.children(NodeId::ROOT).map(|id| trie.path(id));
        assert_eq!(left.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn children_come_in_the_order_in_which_they_were_made() {
        check_order("c a b", "", "c a b new");
        check_order("c a b", "c", "a b new");
        check_order("c a b", "a", "c b new");
        check_order("c a b", "b", "c a new");
        check_order("c a b", "b a", "c new");
        check_order("c a b", "c b", "a new");
        check_order("c a b", "c a b", "new");
    }
}
