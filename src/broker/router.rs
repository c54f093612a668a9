//! From a Topic Name to those who get the message: one look into the subscriptions, kept as long
//! as nothing changes there.

use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::broker::profile::Overlap;
use crate::broker::session::SubscriptionIds;
use crate::broker::shared::SessionKey;
use crate::broker::shared::Shared;
use crate::broker::shared::subscriptions::{Matches, ShareGroup, Subscription};
use crate::broker::sparkplug;
use crate::mqtt::QoS;

/// Routes kept at a time, and targets in all of them: some megabytes at most.
const ROUTES_MAX: usize = 16_384;
const TARGETS_MAX: usize = 262_144;

/// Where a topic's messages go.
pub(crate) struct Route {
    pub(crate) topic: Box<str>,
    pub(crate) generation: u64,
    /// Sessions of this worker.
    pub(crate) local: Vec<Target>,
    /// Sessions of other workers.
    pub(crate) remote: Vec<Remote>,
    pub(crate) shares: Vec<Arc<ShareGroup>>,
    /// Its messages are births of Sparkplug's, to be kept.
    pub(crate) birth: bool,
}

impl Route {
    fn targets(&self) -> usize {
        let remote: usize = self.remote.iter().map(|remote| remote.targets.len()).sum();
        self.local.len() + remote
    }

    /// The one other worker that all its messages go to.
    pub(crate) fn only_worker(&self) -> Option<u16> {
        match &self.remote[..] {
            [one] if self.local.is_empty() && self.shares.is_empty() => Some(one.worker),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.local.is_empty() && self.remote.is_empty() && self.shares.is_empty()
    }
}

/// The Sessions of one other worker on a route.
pub(crate) struct Remote {
    pub(crate) worker: u16,
    pub(crate) targets: Arc<[Target]>,
}

/// One Session that gets a message, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) session: SessionKey,
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: SubscriptionIds,
    own: Own,
}

/// What a Session gets of its own messages: Subscriptions with No Local have no part in them, nor
/// in their QoS and identifiers [MQTT-3.8.3-3].
#[derive(Clone, Debug)]
enum Own {
    Same,
    Nothing,
    Less(Arc<Target>),
}

impl Target {
    pub(crate) fn new(subscription: &Subscription) -> Self {
        let id = subscription.subscription_id;
        Self {
            session: subscription.session,
            qos: subscription.options.qos,
            retain_as_published: subscription.options.retain_as_published,
            subscription_ids: (id != 0).then(|| Arc::from([id])),
            own: if subscription.options.no_local {
                Own::Nothing
            } else {
                Own::Same
            },
        }
    }

    /// How a message of `from` is to be delivered; `None`: not at all.
    #[inline]
    pub(crate) fn seen_by(&self, from: Option<SessionKey>) -> Option<&Self> {
        if from != Some(self.session) {
            return Some(self);
        }
        match &self.own {
            Own::Same => Some(self),
            Own::Nothing => None,
            Own::Less(less) => Some(less),
        }
    }

    /// One copy for two Subscriptions of a Session: the higher QoS, all identifiers
    /// [MQTT-3.3.4-2] [MQTT-3.3.4-3].
    fn merge(&mut self, other: &Subscription) {
        let no_local = other.options.no_local;
        match &mut self.own {
            Own::Same if no_local => self.own = Own::Less(Arc::new(self.clone())),
            Own::Nothing if !no_local => self.own = Own::Less(Arc::new(Self::new(other))),
            Own::Less(less) if !no_local => Arc::make_mut(less).merge(other),
            _ => {}
        }
        self.qos = self.qos.max(other.options.qos);
        self.retain_as_published |= other.options.retain_as_published;
        let id = other.subscription_id;
        if id != 0 {
            // Also one that is there already: the client may count on each (§3.3.4).
            let ids = self.subscription_ids.as_deref().unwrap_or_default();
            self.subscription_ids = Some([ids, &[id]].concat().into());
        }
    }
}

/// A worker's cache of routes.
#[derive(Default)]
pub(crate) struct Router {
    /// Births are told from other messages.
    pub(crate) sparkplug: bool,
    routes: HashMap<Box<str>, Rc<Route>>,
    /// Where the last PUBLISH of each connection went, by its place: mostly the next one goes
    /// there too.
    last: Vec<Option<Rc<Route>>>,
    targets: usize,
    matches: Matches,
}

impl Router {
    pub(crate) fn new(sparkplug: bool) -> Self {
        Self {
            sparkplug,
            ..Self::default()
        }
    }

    /// Nobody's last PUBLISH counts any more.
    pub(crate) fn forget_all(&mut self) {
        self.last.fill(None);
    }

    /// Where the last PUBLISH of a connection went.
    #[inline]
    pub(crate) fn last(&self, slot: u32) -> Option<&Rc<Route>> {
        self.last.get(slot as usize)?.as_ref()
    }

    pub(crate) fn set_last(&mut self, slot: u32, route: Rc<Route>) {
        let slot = slot as usize;
        if self.last.len() <= slot {
            self.last.resize(slot + 1, None);
        }
        self.last[slot] = Some(route);
    }

    /// The place is free, or its connection publishes no more.
    pub(crate) fn forget(&mut self, slot: u32) {
        if let Some(last) = self.last.get_mut(slot as usize) {
            *last = None;
        }
    }

    /// The route of a topic, as of now.
    pub(crate) fn route(
        &mut self,
        shared: &Shared,
        worker: u16,
        overlap: Overlap,
        topic: &str,
    ) -> Rc<Route> {
        // Read before the look, so that a change during it makes the route stale, never current.
        let generation = shared.generation();
        if let Some(route) = self.routes.get(topic) {
            if route.generation == generation {
                return Rc::clone(route);
            }
            self.targets -= route.targets();
            self.routes.remove(topic);
        }
        shared.subscriptions().matching(topic, &mut self.matches);
        let route = Rc::new(self.build(topic, generation, worker, overlap));
        if route.is_empty() {
            // Found as quickly as it would be here, and a million topics without a subscriber
            // must not push the others out.
            return route;
        }
        let targets = route.targets();
        if self.routes.len() >= ROUTES_MAX || self.targets + targets > TARGETS_MAX {
            self.routes.clear();
            self.targets = 0;
        }
        self.targets += targets;
        self.routes.insert(topic.into(), Rc::clone(&route));
        route
    }

    fn build(&mut self, topic: &str, generation: u64, worker: u16, overlap: Overlap) -> Route {
        let found = &mut self.matches.subscriptions;
        if found.len() > 1 {
            found.sort_unstable_by_key(|subscription| subscription.session);
        }
        let mut local = Vec::with_capacity(found.len());
        let mut remote = Vec::new();
        for subscription in found.iter() {
            let side: &mut Vec<Target> = if subscription.session.worker == worker {
                &mut local
            } else {
                &mut remote
            };
            match side.last_mut() {
                Some(last)
                    if last.session == subscription.session
                        && (overlap == Overlap::Once || subscription.once) =>
                {
                    last.merge(subscription);
                }
                _ => side.push(Target::new(subscription)),
            }
        }
        let shares = std::mem::take(&mut self.matches.shares);
        let remote = remote
            .chunk_by(|a: &Target, b| a.session.worker == b.session.worker)
            .map(|targets| Remote {
                worker: targets[0].session.worker,
                targets: targets.into(),
            })
            .collect();
        Route {
            topic: topic.into(),
            generation,
            birth: self.sparkplug && sparkplug::is_birth(topic),
            local,
            remote,
            shares,
        }
    }
}
