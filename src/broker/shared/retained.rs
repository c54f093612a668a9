//! Retained messages by topic (§3.3.1.3), read by SUBSCRIBE and written by PUBLISH with RETAIN.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::broker::access::rules::RuleList;
use crate::broker::durable::record::Record;
use crate::broker::limits::Limits;
use crate::broker::shared::expiries::Expiries;
use crate::broker::shared::trie::{self, NodeId, Trie};
use crate::broker::sys::SYS;
use crate::mqtt::message::Message;

pub(crate) struct Retained {
    trie: Trie<Option<Held>>,
    len: usize,
    bytes: usize,
    len_max: usize,
    bytes_max: usize,
    /// A message is sent for so long; zero is for ever.
    expiry: Duration,
    expiries: Expiries,
    /// What was changed, where somebody keeps records.
    pub(crate) records: Vec<Record>,
}

/// A retained message, and who published it: No Local asks for that (§3.8.3.1).
pub(crate) struct Held {
    message: Message,
    source: Option<Arc<Source>>,
    since: Instant,
}

/// Who published a retained message; one for all messages of a Session.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) client_id: Arc<str>,
    pub(crate) user_name: Option<Arc<str>>,
    /// As [`Session::realm`](crate::broker::session::Session::realm).
    pub(crate) realm: u16,
    /// Rules it brought along.
    pub(crate) own: Option<Arc<RuleList>>,
}

/// A retained message that was found, and where: whether it is still retained takes one look
/// there, not another search.
pub(crate) struct Found {
    place: NodeId,
    pub(crate) message: Message,
}

/// A retained message, for whoever asks about it.
#[derive(Clone, Debug)]
pub struct RetainedRow {
    /// The message.
    pub message: Message,
    /// The client that published it, where that is known.
    pub publisher: Option<Arc<str>>,
    /// Since it was retained, or since this broker started.
    pub age: Duration,
}

impl Held {
    fn client_id(&self) -> Option<&Arc<str>> {
        self.source.as_ref().map(|source| &source.client_id)
    }
}

impl Retained {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut retained = Self {
            trie: Trie::new(),
            len: 0,
            bytes: 0,
            len_max: 0,
            bytes_max: 0,
            expiry: Duration::ZERO,
            expiries: Expiries::default(),
            records: Vec::new(),
        };
        retained.set_limits(limits);
        retained
    }

    /// What is there stays as long as it would have.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.len_max = limits.retained_max;
        self.bytes_max = limits.retained_bytes_max;
        self.expiry = Duration::from_secs(u64::from(limits.retained_expiry_s));
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stores or replaces [MQTT-3.3.1-5]; a message without payload is for [`clear`](Self::clear).
    /// False: a named limit is reached, and what was there before stays.
    pub(crate) fn keep(
        &mut self,
        message: &Message,
        source: Option<Arc<Source>>,
        now: Instant,
    ) -> bool {
        assert!(!message.payload().is_empty(), "nothing to retain");
        let node = self.trie.insert(message.topic());
        let before = self
            .trie
            .value(node)
            .as_ref()
            .map(|held| held.message.size());
        let bytes = self.bytes + message.size() - before.unwrap_or(0);
        if bytes > self.bytes_max || (before.is_none() && self.len >= self.len_max) {
            self.trie.prune(node, Option::is_none);
            return false;
        }
        let expires = self.expires(message, now);
        self.expiries.set(node, expires);
        let message = message.clone();
        *self.trie.value_mut(node) = Some(Held {
            message,
            source,
            since: now,
        });
        self.len += usize::from(before.is_none());
        self.bytes = bytes;
        true
    }

    /// What a message without payload does [MQTT-3.3.1-6].
    pub(crate) fn clear(&mut self, topic: &str) {
        let Some(node) = self.trie.find(topic) else {
            return;
        };
        self.expiries.set(node, None);
        if let Some(Held { message, .. }) = self.trie.value_mut(node).take() {
            self.len -= 1;
            self.bytes -= message.size();
        }
        self.trie.prune(node, Option::is_none);
    }

    /// When a message that is retained now expires. The broker's own are renewed, and never do.
    fn expires(&self, message: &Message, now: Instant) -> Option<Instant> {
        let own = message.topic().starts_with(SYS);
        let limited = !self.expiry.is_zero() && !own;
        let by_age = limited.then(|| now + self.expiry);
        by_age.into_iter().chain(message.expires()).min()
    }

    /// When the next message expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.next()
    }

    /// Topics of messages that have expired and are still here, `most` at most.
    pub(crate) fn expired(&self, most: usize, now: Instant) -> Vec<String> {
        let due = self.expiries.due(now).take(most);
        due.map(|place| self.trie.path(place)).collect()
    }

    /// Who published what was found there.
    pub(crate) fn source(&self, found: &Found) -> Option<&Arc<Source>> {
        self.trie.value(found.place).as_ref()?.source.as_ref()
    }

    /// What is retained now where `found` was: the same message, its successor, or nothing.
    pub(crate) fn now(&self, found: &Found) -> Option<&Message> {
        let message = &self.trie.value(found.place).as_ref()?.message;
        let still = message.is_same(&found.message) || message.topic() == found.message.topic();
        still.then_some(message)
    }

    /// Places there are, most of them with a message: see [`at_place`](Self::at_place).
    pub(crate) fn places(&self) -> u32 {
        self.trie.places()
    }

    /// What is at a place, with its age, if its topic is wanted.
    pub(crate) fn at_place(
        &self,
        place: u32,
        wants: impl FnOnce(&str) -> bool,
        now: Instant,
    ) -> Option<(Message, Duration)> {
        let held = self.trie.value(self.trie.at(place)?).as_ref()?;
        wants(held.message.topic()).then(|| self.alive(held, now))?
    }

    /// What is retained for a topic, with its age.
    pub(crate) fn at_topic(&self, topic: &str, now: Instant) -> Option<(Message, Duration)> {
        self.alive(self.trie.value(self.trie.find(topic)?).as_ref()?, now)
    }

    fn alive(&self, held: &Held, now: Instant) -> Option<(Message, Duration)> {
        let age = now.saturating_duration_since(held.since);
        let over = !self.expiry.is_zero() && age >= self.expiry;
        (!over && !held.message.is_expired(now)).then(|| (held.message.clone(), age))
    }

    /// All whose topic matches `filter`, that have not expired, and that were not published by
    /// `not_from`.
    pub(crate) fn matching(
        &self,
        filter: &str,
        not_from: Option<&str>,
        now: Instant,
    ) -> Vec<Found> {
        let mut find = Find {
            not_from,
            now,
            expired: false,
            skip: 0,
            most: usize::MAX,
            found: Vec::new(),
        };
        self.walk(NodeId::ROOT, Some(filter), &mut find);
        find.found
    }

    /// Some of those whose topic matches `filter`, without the first `skip`; also those that have
    /// expired and are still here, where `expired` asks for them. Their order stays the same as long
    /// as nothing is retained or cleared.
    pub(crate) fn part(
        &self,
        filter: &str,
        expired: bool,
        (skip, most): (usize, usize),
        now: Instant,
    ) -> Vec<RetainedRow> {
        let mut find = Find {
            not_from: None,
            now,
            expired,
            skip,
            most,
            found: Vec::new(),
        };
        self.walk(NodeId::ROOT, Some(filter), &mut find);
        let rows = find.found.into_iter();
        rows.filter_map(|found| {
            let held = self.trie.value(found.place).as_ref()?;
            Some(RetainedRow {
                message: found.message,
                publisher: held.client_id().cloned(),
                age: now.saturating_duration_since(held.since),
            })
        })
        .collect()
    }

    fn walk(&self, node: NodeId, rest: Option<&str>, find: &mut Find<'_>) {
        let Some(rest) = rest else {
            return self.collect(node, find);
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        match level {
            "#" => self.walk_all(node, find),
            "+" => {
                for child in self.visible_children(node) {
                    if find.is_full() {
                        return;
                    }
                    self.walk(child, rest, find);
                }
            }
            _ => {
                if let Some(child) = self.trie.child(node, level) {
                    self.walk(child, rest, find);
                }
            }
        }
    }

    fn walk_all(&self, node: NodeId, find: &mut Find<'_>) {
        self.collect(node, find);
        for child in self.visible_children(node) {
            if find.is_full() {
                return;
            }
            self.walk_all(child, find);
        }
    }

    /// Children as a wildcard sees them: at the root without those that begin with `$`.
    fn visible_children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.trie.children(node).filter(move |&child| {
            node != NodeId::ROOT
                || std::str::from_utf8(self.trie.level(child)).is_ok_and(trie::wildcards_may_match)
        })
    }

    fn collect(&self, node: NodeId, find: &mut Find<'_>) {
        let Some(held) = self.trie.value(node) else {
            return;
        };
        let publisher = || held.client_id().map(|id| &**id);
        let own = find.not_from.is_some() && publisher() == find.not_from;
        let age = find.now.saturating_duration_since(held.since);
        let over = !self.expiry.is_zero() && age >= self.expiry;
        let expired = over || held.message.is_expired(find.now);
        if !own && (!expired || find.expired) && !find.is_full() {
            if find.skip > 0 {
                find.skip -= 1;
                return;
            }
            let message = held.message.clone();
            find.found.push(Found {
                place: node,
                message,
            });
        }
    }
}

/// A walk: what is looked for, and what was found.
struct Find<'a> {
    not_from: Option<&'a str>,
    now: Instant,
    /// Those too that have expired.
    expired: bool,
    /// So many are left out.
    skip: usize,
    /// So many are wanted.
    most: usize,
    found: Vec<Found>,
}

impl Find<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }
}
