//! SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11), Shared Subscriptions (§4.8.2), and the retained
//! messages that a new Subscription gets (§3.3.1.3).

use std::borrow::Cow;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::What;
use crate::broker::durable::gate::gated;
use crate::broker::durable::record::Record;
use crate::broker::listener;
use crate::broker::session::{ReplayPart, Share};
use crate::broker::shared::subscriptions::{Member, Subscription};
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::property::Properties;
use crate::mqtt::subscribe::{RetainHandling, Suback, Subscribe, SubscribeOptions};
use crate::mqtt::topic;
use crate::mqtt::unsubscribe::{Unsuback, Unsubscribe};

impl Broker {
    pub(crate) fn subscribe(
        &mut self,
        slot: u32,
        session: u32,
        subscribe: &Subscribe<'_>,
        now: Instant,
    ) {
        let subscription_id = subscribe.properties.subscription_ids().next().unwrap_or(0);
        let mut reasons = Vec::new();
        let mut replays: Vec<ReplayPart> = Vec::new();
        let replay = &self.sessions[session as usize].replay;
        let mut asked = replay.as_ref().map_or(0, |replay| replay.asked);
        let mount = self.mount_of(slot);
        let qos_max = self.connections[slot as usize].qos_max;
        for (filter, mut options) in subscribe.filters() {
            options.qos = options.qos.min(qos_max);
            if self.connections[slot as usize].is_bridge && topic::split_share(filter).is_none() {
                // Before version 5 a bridge cannot say so, and its messages would go in circles.
                options.no_local = true;
                options.retain_as_published = true;
            }
            let mounted = mounted(mount.as_deref(), filter);
            let filter = mounted.as_deref().unwrap_or_default();
            let subscription = Subscription {
                session: self.sessions[session as usize].key,
                options,
                subscription_id,
                once: self.goes_once(slot),
            };
            let refused = match &mounted {
                Some(filter) => self.refuses(session, filter, asked),
                None => Some(Reason::TOPIC_FILTER_INVALID),
            };
            let reason = match refused {
                Some(reason) => {
                    self.stats.subscriptions_refused += 1;
                    reason
                }
                None => {
                    let new = self.enter(session, filter, subscription);
                    self.note(session, |session| Record::Subscribed {
                        session,
                        filter: filter.into(),
                        options: options.bits(),
                        subscription_id,
                    });
                    let found = self.retained_now(filter, subscription, new, now);
                    asked += found.as_ref().map_or(0, |part| part.messages.len());
                    replays.extend(found);
                    // [MQTT-3.9.3-1]
                    Reason(options.qos.bits())
                }
            };
            if self.config.trace {
                let reason = reason.value();
                self.event(
                    slot,
                    What::Subscribed {
                        filter: filter.into(),
                        reason,
                    },
                );
            }
            reasons.push(reason);
        }
        self.put_suback(slot, subscribe, &reasons);
        for part in replays {
            self.replay(session, part, now);
        }
    }

    fn put_suback(&mut self, slot: u32, subscribe: &Subscribe<'_>, reasons: &[Reason]) {
        let version = self.connections[slot as usize].version;
        let codes = reasons.iter().map(|reason| suback_code(*reason, version));
        let reasons: Vec<u8> = codes.collect();
        // [MQTT-3.8.4-5] [MQTT-3.8.4-6]
        let suback = Suback {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: &reasons,
        };
        self.answer_later(slot, |out| suback.encode(version, out));
    }

    /// Whether overlapping Subscriptions of a client lead to one copy, whatever other versions get.
    fn goes_once(&self, slot: u32) -> bool {
        self.config.profile.v3_once && !self.connections[slot as usize].version.is_v5()
    }

    /// What stands before the topics of a connection.
    fn mount_of(&self, slot: u32) -> Option<String> {
        let rules = &self.connections[slot as usize].listener.rules;
        rules.mount().map(ToOwned::to_owned)
    }

    fn refuses(&self, session: u32, filter: &str, asked: usize) -> Option<Reason> {
        let limits = &self.config.limits;
        let state = &self.sessions[session as usize];
        if self.too_deep(filter) {
            return Some(Reason::TOPIC_FILTER_INVALID);
        }
        if state
            .rights
            .as_ref()
            .is_some_and(|rights| !rights.may_subscribe(filter))
        {
            return Some(Reason::NOT_AUTHORIZED);
        }
        if asked > limits.replay_messages_max || (self.store_fails() && self.keeps(session)) {
            return Some(Reason::QUOTA_EXCEEDED);
        }
        let held = state.subscriptions.len() + state.shares().len();
        let subscriptions = self.shared.subscriptions();
        if held < limits.subscriptions_max && subscriptions.len() < limits.subscriptions_total_max {
            return None;
        }
        // One that is there already is replaced and takes no room [MQTT-3.8.4-3].
        let (share, filter) = match topic::split_share(filter) {
            Some((share, filter)) => (Some(share), filter),
            None => (None, filter),
        };
        let held = subscriptions.holds(share, filter, state.key);
        (!held).then_some(Reason::QUOTA_EXCEEDED)
    }

    /// Enters a Subscription for all workers; tells whether it is new.
    pub(crate) fn enter(&mut self, session: u32, filter: &str, subscription: Subscription) -> bool {
        let state = &mut self.sessions[session as usize];
        if let Some((share, filter)) = topic::split_share(filter) {
            let member = Member {
                subscription,
                online: true,
            };
            let (node, new) = self
                .shared
                .change_subscriptions(|subscriptions| subscriptions.join(share, filter, member));
            if new {
                state.shares_mut().push(Share {
                    node,
                    name: share.into(),
                });
            }
            return new;
        }
        let (node, new) = self
            .shared
            .change_subscriptions(|subscriptions| subscriptions.subscribe(filter, subscription));
        if new {
            state.subscriptions.push(node);
        }
        new
    }

    /// What a new Subscription gets at once. The broker's own topics come later: they are brought
    /// up to date first.
    fn retained_now(
        &mut self,
        filter: &str,
        subscription: Subscription,
        new: bool,
        now: Instant,
    ) -> Option<ReplayPart> {
        if self.config.sys && filter.starts_with('$') && self.want_sys(filter, subscription, new) {
            return None;
        }
        self.find_retained(filter, subscription, new, now)
    }

    /// What is retained for a filter, unless its options decline it [MQTT-3.3.1-9]
    /// [MQTT-3.3.1-10] [MQTT-3.3.1-11]; Shared Subscriptions get nothing (§4.8.2).
    pub(crate) fn find_retained(
        &self,
        filter: &str,
        subscription: Subscription,
        new: bool,
        now: Instant,
    ) -> Option<ReplayPart> {
        let SubscribeOptions {
            qos,
            retain_handling,
            ..
        } = subscription.options;
        let wanted = match retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => new,
            RetainHandling::DoNotSend => false,
        };
        if !wanted || topic::split_share(filter).is_some() {
            return None;
        }
        let client_id = &self.sessions[subscription.session.slot as usize].client_id;
        // [MQTT-3.8.3-3]
        let not_from = subscription.options.no_local.then_some(&**client_id);
        let mut messages = self.shared.retained().matching(filter, not_from, now);
        if let Some(rights) = &self.sessions[subscription.session.slot as usize].rights {
            messages.retain(|found| rights.may_receive(found.message.topic()));
        }
        if self.config.access.retain_source_checked {
            self.drop_unowned(&mut messages);
        }
        if messages.is_empty() {
            return None;
        }
        let subscription_ids = (subscription.subscription_id != 0)
            .then(|| std::sync::Arc::from([subscription.subscription_id]));
        Some(ReplayPart {
            messages: messages.into_iter(),
            qos,
            subscription_ids,
        })
    }

    pub(crate) fn unsubscribe(&mut self, slot: u32, session: u32, unsubscribe: &Unsubscribe<'_>) {
        let mut reasons = Vec::new();
        let mount = self.mount_of(slot);
        for filter in unsubscribe.filters() {
            let mounted = mounted(mount.as_deref(), filter);
            let filter = mounted.as_deref().unwrap_or_default();
            let rights = &self.sessions[session as usize].rights;
            let refused = rights
                .as_ref()
                .is_some_and(|rights| !rights.may_unsubscribe(filter));
            let reason = if refused {
                Reason::NOT_AUTHORIZED
            } else if mounted.is_some() && self.leave(session, filter) {
                self.note(session, |session| Record::Unsubscribed {
                    session,
                    filter: filter.into(),
                });
                Reason::SUCCESS
            } else {
                Reason::NO_SUBSCRIPTION_EXISTED
            };
            reasons.push(reason.value());
            if self.config.trace {
                self.event(
                    slot,
                    What::Unsubscribed {
                        filter: filter.into(),
                    },
                );
            }
        }
        let version = self.connections[slot as usize].version;
        if !version.is_v5() {
            reasons.clear();
        }
        // [MQTT-3.10.4-4] [MQTT-3.10.4-5]
        let unsuback = Unsuback {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: &reasons,
        };
        self.answer_later(slot, |out| unsuback.encode(version, out));
    }

    /// An answer that promises something.
    fn answer_later(&mut self, slot: u32, encode: impl FnOnce(&mut Vec<u8>)) {
        let connection = &mut self.connections[slot as usize];
        self.stats.answers_sent += 1;
        let recorder = self.recorder.as_mut();
        let added = gated(recorder, connection, &mut self.spare, |outbox, spare| {
            outbox.encode(spare, encode)
        });
        connection.answered += added;
        self.touch(slot);
    }

    /// Ends a Subscription. False: there was none.
    fn leave(&mut self, session: u32, filter: &str) -> bool {
        let state = &mut self.sessions[session as usize];
        let key = state.key;
        if let Some((share, filter)) = topic::split_share(filter) {
            let Some(node) = self.shared.subscriptions().find(filter) else {
                return false;
            };
            let same = |held: &Share| held.node == node && *held.name == *share;
            let Some(place) = state.shares().iter().position(same) else {
                return false;
            };
            state.shares_mut().swap_remove(place);
            return self
                .shared
                .change_subscriptions(|subscriptions| subscriptions.leave(node, share, key));
        }
        let Some(node) = self.shared.subscriptions().find(filter) else {
            return false;
        };
        let Some(place) = state.subscriptions.iter().position(|held| *held == node) else {
            return false;
        };
        state.subscriptions.swap_remove(place);
        self.shared
            .change_subscriptions(|subscriptions| subscriptions.unsubscribe(node, key))
    }

    /// Tells the Shared Subscriptions of a Session whether it has a connection.
    pub(crate) fn set_online(&mut self, session: u32, online: bool) {
        let state = &self.sessions[session as usize];
        if state.shares().is_empty() {
            return;
        }
        self.shared.change_subscriptions(|subscriptions| {
            for share in state.shares() {
                subscriptions.set_online(share.node, &share.name, state.key, online);
            }
        });
    }
}

/// The filter that is meant; `None`: there is none below this mount point.
fn mounted<'a>(mount: Option<&str>, filter: &'a str) -> Option<Cow<'a, str>> {
    match mount {
        None => Some(Cow::Borrowed(filter)),
        Some(mount) => listener::mounted_filter(mount, filter).map(Cow::Owned),
    }
}

/// The return code of SUBACK: before v5 a failure is 0x80, whatever it was, and 3.1 has none.
fn suback_code(reason: Reason, version: Version) -> u8 {
    match version {
        Version::V5 => reason.value(),
        _ if reason.is_error() => 0x80,
        _ => reason.value(),
    }
}
