//! Who is subscribed to what: every Topic Filter of every Session of every worker (§4.7, §4.8).
//!
//! Read by each worker when a route is not cached or no longer current, changed by SUBSCRIBE,
//! UNSUBSCRIBE and the end of a Session. One subscriber at a node, the usual case, lies in the
//! node; more go into a box. Large boxes keep a table of places, so that a hundred thousand
//! subscribers of one filter can leave without each searching the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::broker::shared::SessionKey;
use crate::broker::shared::readers::Readers;
use crate::broker::shared::trie::{self, NodeId, Trie};
use crate::mqtt::subscribe::SubscribeOptions;

/// From this many subscribers of one filter on, places are looked up in a table.
const TABLE_FROM: usize = 32;

/// One Subscription at its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) session: SessionKey,
    pub(crate) options: SubscribeOptions,
    /// Subscription Identifier; zero when there is none.
    pub(crate) subscription_id: u32,
    /// A message that others of its Session match, too, goes out once.
    pub(crate) once: bool,
}

/// A member of a Shared Subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) subscription: Subscription,
    /// Has a Network Connection; messages go to those that have one as long as there is any.
    pub(crate) online: bool,
}

/// A Shared Subscription: one share name at one filter. Replaced as a whole when it changes, so
/// that a cached route can go on using the one it has.
#[derive(Debug)]
pub(crate) struct ShareGroup {
    pub(crate) name: Box<str>,
    pub(crate) filter: Box<str>,
    members: Vec<Member>,
    /// Who takes turns: the members that are connected, or all when none is.
    turns: Vec<Subscription>,
    next: AtomicU32,
}

impl ShareGroup {
    fn new(name: &str, filter: &str, members: Vec<Member>, next: u32) -> Arc<Self> {
        let connected = members.iter().filter(|member| member.online);
        let mut turns: Vec<_> = connected.map(|member| member.subscription).collect();
        if turns.is_empty() {
            turns = members.iter().map(|member| member.subscription).collect();
        }
        let (name, filter, next) = (name.into(), filter.into(), AtomicU32::new(next));
        Arc::new(Self {
            name,
            filter,
            members,
            turns,
            next,
        })
    }

    /// The member whose turn it is.
    pub(crate) fn pick(&self) -> Option<&Subscription> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        self.turns.get(turn.checked_rem(self.turns.len())?)
    }

    /// The Sessions that take turns.
    pub(crate) fn turns(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.turns.iter().map(|subscription| subscription.session)
    }

    /// Those members that `keep` names; `None`: there are none.
    pub(crate) fn only(&self, keep: impl Fn(SessionKey) -> bool) -> Option<Arc<Self>> {
        let group = self.changed(|members| {
            members.retain(|member| keep(member.subscription.session));
        });
        (!group.members.is_empty()).then_some(group)
    }

    fn changed(&self, change: impl FnOnce(&mut Vec<Member>)) -> Arc<Self> {
        let mut members = self.members.clone();
        change(&mut members);
        Self::new(
            &self.name,
            &self.filter,
            members,
            self.next.load(Ordering::Relaxed),
        )
    }
}

#[derive(Default)]
enum Subscribers {
    #[default]
    None,
    One(Subscription),
    Many(Box<Many>),
}

#[derive(Default)]
struct Many {
    subscriptions: Vec<Subscription>,
    places: Option<HashMap<SessionKey, u32>>,
    shares: Vec<Arc<ShareGroup>>,
}

/// What a topic matches: cleared and filled anew for each question.
#[derive(Default)]
pub(crate) struct Matches {
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) shares: Vec<Arc<ShareGroup>>,
}

pub(crate) struct Subscriptions {
    trie: Trie<Subscribers>,
    len: usize,
    /// Of these, members of Shared Subscriptions.
    shared: usize,
    /// Who may have what, where there are rules.
    pub(crate) readers: Readers,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            trie: Trie::new(),
            len: 0,
            shared: 0,
            readers: Readers::default(),
        }
    }

    /// Subscriptions held, shared ones counted by member.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Memberships in Shared Subscriptions; [`len`](Self::len) counts them too.
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    /// Whether anybody is subscribed to the broker's own topics.
    pub(crate) fn is_sys_wanted(&self) -> bool {
        self.trie.child(NodeId::ROOT, "$SYS").is_some()
    }

    /// The Subscription of a Session at a node, alone or as a member of a share.
    pub(crate) fn held_by(
        &self,
        node: NodeId,
        share: Option<&str>,
        session: SessionKey,
    ) -> Option<Subscription> {
        match (self.trie.value(node), share) {
            (Subscribers::None, _) | (Subscribers::One(_), Some(_)) => None,
            (Subscribers::One(one), None) => (one.session == session).then_some(*one),
            (Subscribers::Many(many), None) => Some(many.subscriptions[many.place(session)?]),
            (Subscribers::Many(many), Some(share)) => {
                let group = many.shares.iter().find(|group| &*group.name == share)?;
                let members = group.members.iter().map(|member| member.subscription);
                members.into_iter().find(|held| held.session == session)
            }
        }
    }

    /// The text of the filter at a node.
    pub(crate) fn filter(&self, node: NodeId) -> String {
        self.trie.path(node)
    }

    /// Adds a Subscription or replaces the Session's former one to this filter [MQTT-3.8.4-3].
    /// Tells whether it is new.
    pub(crate) fn subscribe(&mut self, filter: &str, subscription: Subscription) -> (NodeId, bool) {
        let node = self.trie.insert(filter);
        let new = self.trie.value_mut(node).insert(subscription);
        self.len += usize::from(new);
        (node, new)
    }

    /// The node of a filter that somebody holds.
    pub(crate) fn find(&self, filter: &str) -> Option<NodeId> {
        self.trie.find(filter)
    }

    /// Ends a Session's Subscription at a node. False: there was none.
    pub(crate) fn unsubscribe(&mut self, node: NodeId, session: SessionKey) -> bool {
        let found = self.trie.value_mut(node).remove(session);
        self.len -= usize::from(found);
        self.trie.prune(node, Subscribers::is_empty);
        found
    }

    /// Joins a Shared Subscription, or replaces the options of a member.
    pub(crate) fn join(&mut self, share: &str, filter: &str, member: Member) -> (NodeId, bool) {
        let node = self.trie.insert(filter);
        let shares = &mut self.trie.value_mut(node).many().shares;
        let session = member.subscription.session;
        let Some(group) = shares.iter_mut().find(|group| &*group.name == share) else {
            shares.push(ShareGroup::new(share, filter, vec![member], 0));
            self.len += 1;
            self.shared += 1;
            return (node, true);
        };
        let mut new = false;
        *group = group.changed(|members| {
            match members
                .iter_mut()
                .find(|other| other.subscription.session == session)
            {
                Some(other) => *other = member,
                None => {
                    members.push(member);
                    new = true;
                }
            }
        });
        self.len += usize::from(new);
        self.shared += usize::from(new);
        (node, new)
    }

    /// Whether a Session is subscribed to this filter, or a member of this Shared Subscription.
    pub(crate) fn holds(&self, share: Option<&str>, filter: &str, session: SessionKey) -> bool {
        let subscribers = self.trie.find(filter).map(|node| self.trie.value(node));
        match (subscribers, share) {
            (None | Some(Subscribers::None), _) => false,
            (Some(Subscribers::One(one)), share) => share.is_none() && one.session == session,
            (Some(Subscribers::Many(many)), None) => many.place(session).is_some(),
            (Some(Subscribers::Many(many)), Some(share)) => many.shares.iter().any(|group| {
                let own = |member: &Member| member.subscription.session == session;
                &*group.name == share && group.members.iter().any(own)
            }),
        }
    }

    /// Leaves a Shared Subscription. False: was no member.
    pub(crate) fn leave(&mut self, node: NodeId, share: &str, session: SessionKey) -> bool {
        let mut found = false;
        if let Subscribers::Many(many) = self.trie.value_mut(node) {
            if let Some(group) = many.shares.iter_mut().find(|group| &*group.name == share) {
                *group = group.changed(|members| {
                    let before = members.len();
                    members.retain(|member| member.subscription.session != session);
                    found = members.len() < before;
                });
            }
            many.shares.retain(|group| !group.members.is_empty());
        }
        self.len -= usize::from(found);
        self.shared -= usize::from(found);
        self.trie.prune(node, Subscribers::is_empty);
        found
    }

    /// Tells a Shared Subscription that a member has a Network Connection or lost it.
    pub(crate) fn set_online(
        &mut self,
        node: NodeId,
        share: &str,
        session: SessionKey,
        online: bool,
    ) {
        let Subscribers::Many(many) = self.trie.value_mut(node) else {
            return;
        };
        if let Some(group) = many.shares.iter_mut().find(|group| &*group.name == share) {
            *group = group.changed(|members| {
                for member in members {
                    if member.subscription.session == session {
                        member.online = online;
                    }
                }
            });
        }
    }

    /// A Shared Subscription as it is now.
    pub(crate) fn group(&self, filter: &str, share: &str) -> Option<Arc<ShareGroup>> {
        let Subscribers::Many(many) = self.trie.value(self.trie.find(filter)?) else {
            return None;
        };
        many.shares
            .iter()
            .find(|group| &*group.name == share)
            .cloned()
    }

    /// All Subscriptions whose filter matches `topic`.
    pub(crate) fn matching(&self, topic: &str, matches: &mut Matches) {
        matches.subscriptions.clear();
        matches.shares.clear();
        self.walk(
            NodeId::ROOT,
            Some(topic),
            trie::wildcards_may_match(topic),
            matches,
        );
        self.readers.restrict(topic, matches);
    }

    /// `rest`: the levels below `node`; `wild`: wildcards count at this level.
    /// What is written out comes first, `#` last, as mosquitto has it where each gets a copy.
    fn walk(&self, node: NodeId, rest: Option<&str>, wild: bool, matches: &mut Matches) {
        // "sport/#" matches "sport" and all below it (§4.7.1.2).
        let hash = self.trie.hash(node).filter(|_| wild);
        let hash = hash.map(|hash| self.trie.value(hash));
        let Some(rest) = rest else {
            if let Some(subscribers) = hash {
                subscribers.collect(matches);
            }
            return self.trie.value(node).collect(matches);
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if let Some(child) = self.trie.child(node, level) {
            self.walk(child, rest, true, matches);
        }
        if let (Some(plus), true) = (self.trie.plus(node), wild) {
            self.walk(plus, rest, true, matches);
        }
        if let Some(subscribers) = hash {
            subscribers.collect(matches);
        }
    }
}

impl Subscribers {
    fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(_) => false,
            Self::Many(many) => many.subscriptions.is_empty() && many.shares.is_empty(),
        }
    }

    fn collect(&self, matches: &mut Matches) {
        match self {
            Self::None => {}
            Self::One(subscription) => matches.subscriptions.push(*subscription),
            Self::Many(many) => {
                matches.subscriptions.extend_from_slice(&many.subscriptions);
                matches.shares.extend(many.shares.iter().cloned());
            }
        }
    }

    fn many(&mut self) -> &mut Many {
        if !matches!(self, Self::Many(_)) {
            let mut many = Box::<Many>::default();
            if let Self::One(subscription) = self {
                many.subscriptions.push(*subscription);
            }
            *self = Self::Many(many);
        }
        match self {
            Self::Many(many) => many,
            _ => unreachable!("made above"),
        }
    }

    fn insert(&mut self, subscription: Subscription) -> bool {
        match self {
            Self::None => {
                *self = Self::One(subscription);
                true
            }
            Self::One(one) if one.session == subscription.session => {
                *one = subscription;
                false
            }
            _ => self.many().insert(subscription),
        }
    }

    fn remove(&mut self, session: SessionKey) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => {
                let found = one.session == session;
                if found {
                    *self = Self::None;
                }
                found
            }
            Self::Many(many) => many.remove(session),
        }
    }
}

impl Many {
    fn place(&self, session: SessionKey) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&session).map(|&place| place as usize),
            None => self
                .subscriptions
                .iter()
                .position(|other| other.session == session),
        }
    }

    fn insert(&mut self, subscription: Subscription) -> bool {
        if let Some(place) = self.place(subscription.session) {
            self.subscriptions[place] = subscription;
            return false;
        }
        self.subscriptions.push(subscription);
        let last = self.subscriptions.len() - 1;
        match &mut self.places {
            Some(places) => {
                places.insert(subscription.session, last as u32);
            }
            None if self.subscriptions.len() > TABLE_FROM => {
                let rows = self.subscriptions.iter().enumerate();
                self.places = Some(rows.map(|(n, row)| (row.session, n as u32)).collect());
            }
            None => {}
        }
        true
    }

    fn remove(&mut self, session: SessionKey) -> bool {
        let Some(place) = self.place(session) else {
            return false;
        };
        self.subscriptions.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&session);
            if let Some(moved) = self.subscriptions.get(place) {
                places.insert(moved.session, place as u32);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::QoS;

    fn subscription(slot: u32) -> Subscription {
        Subscription {
            session: SessionKey {
                worker: 0,
                kept: false,
                slot,
                serial: u64::from(slot),
            },
            options: SubscribeOptions::with_qos(QoS::AtMostOnce),
            subscription_id: 0,
            once: false,
        }
    }

    fn matching(subscriptions: &Subscriptions, topic: &str) -> Vec<u32> {
        let mut matches = Matches::default();
        subscriptions.matching(topic, &mut matches);
        let mut slots: Vec<_> = matches
            .subscriptions
            .iter()
            .map(|s| s.session.slot)
            .collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_topic_finds_exactly_the_filters_that_match_it() {
        let filters = [
            "a/b", "a/+", "a/#", "#", "+/b", "+/+", "/", "+", "$SYS/#", "$SYS/+", "a//b",
        ];
        let topics = [
            "a/b", "a", "a/b/c", "/", "$SYS/x", "$SYS", "b", "a//b", "/b", "a/",
        ];
        let mut subscriptions = Subscriptions::new();
        for (slot, filter) in filters.iter().enumerate() {
            subscriptions.subscribe(filter, subscription(slot as u32));
        }
        for topic in topics {
            let expected: Vec<u32> = (0..filters.len() as u32)
                .filter(|&slot| crate::mqtt::topic::matches(filters[slot as usize], topic))
                .collect();
            assert_eq!(matching(&subscriptions, topic), expected, "{topic}");
        }
    }

    #[test]
    fn many_subscribers_of_one_filter_come_and_go() {
        let mut subscriptions = Subscriptions::new();
        for slot in 0..100 {
            assert!(subscriptions.subscribe("a/#", subscription(slot)).1);
            assert!(!subscriptions.subscribe("a/#", subscription(slot)).1);
        }
        for slot in (0..100).rev().step_by(3) {
            let node = subscriptions.find("a/#").unwrap();
            assert!(subscriptions.unsubscribe(node, subscription(slot).session));
            assert!(!subscriptions.unsubscribe(node, subscription(slot).session));
        }
        let left: Vec<u32> = (0..100).filter(|slot| slot % 3 != 0).collect();
        assert_eq!(matching(&subscriptions, "a"), left);
        assert_eq!(subscriptions.len(), left.len());
    }

    #[test]
    fn a_share_rotates_and_prefers_who_is_connected() {
        let mut subscriptions = Subscriptions::new();
        for slot in 0..3 {
            let member = Member {
                subscription: subscription(slot),
                online: slot != 1,
            };
            assert!(subscriptions.join("g", "a/+", member).1);
        }
        let mut matches = Matches::default();
        subscriptions.matching("a/x", &mut matches);
        let picked: Vec<_> = (0..6)
            .filter_map(|_| matches.shares[0].pick())
            .map(|s| s.session.slot)
            .collect();
        assert_eq!(picked, [0, 2, 0, 2, 0, 2]);
        let node = subscriptions.find("a/+").unwrap();
        for slot in 0..3 {
            assert!(subscriptions.leave(node, "g", subscription(slot).session));
        }
        assert_eq!(subscriptions.len(), 0);
        assert!(subscriptions.find("a/+").is_none());
    }
}
