//! The Session State of one client (§4.1), owned by one worker: Subscriptions, both halves of the
//! handshakes, what waits for it, its will and when it expires.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::broker::access::rules::Rights;
use crate::broker::shared::SessionKey;
use crate::broker::shared::retained::{Found, Source};
use crate::broker::shared::subscriptions::ShareGroup;
use crate::broker::shared::trie::NodeId;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::delivery::{Receiver, Sender};
use crate::mqtt::message::Message;

pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) client_id: Arc<str>,
    pub(crate) user_name: Option<Arc<str>>,
    /// Whose rules these are: see [`Access::realms`](crate::broker::access::Access::realms).
    pub(crate) realm: u16,
    /// What its client may do; `None`: everything.
    pub(crate) rights: Option<Arc<Rights>>,
    /// It, as the publisher of its retained messages; made with the first of them.
    pub(crate) source: Option<Arc<Source>>,
    pub(crate) version: Version,
    /// Place of its Network Connection.
    pub(crate) connection: Option<u32>,
    /// Session Expiry Interval in seconds; zero ends it with the connection.
    pub(crate) expiry: u32,
    /// There is a record of it.
    pub(crate) noted: bool,
    /// The place of the last message that was recorded for it.
    pub(crate) order: u32,
    /// None before it has lost a Network Connection.
    pub(crate) absence: Option<Box<Absence>>,
    pub(crate) sender: Sender<Kept>,
    pub(crate) receiver: Receiver,
    pub(crate) queue: VecDeque<Queued>,
    /// Bytes of recorded messages in `queue` that are here and not only in the store.
    pub(crate) here_bytes: usize,
    /// Messages were asked for from the store.
    pub(crate) fetching: bool,
    /// Messages kept for it, queued or in flight, and their bytes.
    pub(crate) held: usize,
    pub(crate) held_bytes: usize,
    /// Bytes of payload in flight, where `inflight_bytes_max` is set; and whether they are as many
    /// as it allows.
    inflight_bytes: usize,
    sated: bool,
    pub(crate) subscriptions: Vec<NodeId>,
    /// What few have.
    seldom: Option<Box<Seldom>>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) replay: Option<Box<Replay>>,
}

/// What a Session has only that was resumed, or that shares Subscriptions.
#[derive(Default)]
struct Seldom {
    /// What is in flight and was not yet sent on this connection: the quota counts anew for each
    /// connection (§4.9), so a resumed Session may not send everything at once.
    again: VecDeque<PacketId>,
    shares: Vec<Share>,
}

/// The times of a Session whose Network Connection was lost.
#[derive(Default)]
pub(crate) struct Absence {
    /// Since when it has none.
    pub(crate) lost: Option<Instant>,
    /// The Session is over then.
    pub(crate) expires_at: Option<Instant>,
    /// Where entries for its expiry and its will lie in the timers. They may stay there after the
    /// client has come back.
    pub(crate) expiry_timed: Option<Instant>,
    pub(crate) will_timed: Option<Instant>,
}

/// Membership in a Shared Subscription.
pub(crate) struct Share {
    pub(crate) node: NodeId,
    pub(crate) name: Box<str>,
}

/// What is kept of a message in flight.
#[derive(Default)]
pub(crate) struct Kept {
    /// For sending it again: only where the Session may outlive its connection, or another member
    /// of a Shared Subscription may need it.
    pub(crate) message: Option<Message>,
    /// Its place among the recorded messages of the Session; zero: it is not recorded.
    pub(crate) order: u32,
    pub(crate) share: Option<Arc<ShareGroup>>,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: SubscriptionIds,
}

/// A message that waits for send quota, for room, or for the client to come back.
pub(crate) struct Queued {
    pub(crate) body: Body,
    /// As in [`Kept`].
    pub(crate) order: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: SubscriptionIds,
    pub(crate) share: Option<Arc<ShareGroup>>,
}

/// Where a queued message is.
pub(crate) enum Body {
    Here(Message),
    /// Only in the store.
    Away(Box<Away>),
}

/// See [`Body`].
pub(crate) struct Away {
    /// The number of its body.
    pub(crate) number: u64,
    /// What it would cost to keep here.
    pub(crate) size: u32,
}

/// Subscription Identifiers that go out with a message; none costs nothing.
pub(crate) type SubscriptionIds = Option<Arc<[u32]>>;

/// A Will Message that waits for its cause.
pub(crate) struct Will {
    pub(crate) message: Message,
    /// Will Delay Interval in seconds.
    pub(crate) delay: u32,
    /// Since the Network Connection was lost: the time to publish it.
    pub(crate) due: Option<Instant>,
}

/// Retained messages on their way to a new Subscription. They are pulled as there is room, and a
/// message that was replaced meanwhile is left out: its successor has been sent already.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) waiting: VecDeque<ReplayPart>,
    /// Messages of all parts, when they were asked for.
    pub(crate) asked: usize,
}

pub(crate) struct ReplayPart {
    pub(crate) messages: std::vec::IntoIter<Found>,
    pub(crate) qos: QoS,
    pub(crate) subscription_ids: SubscriptionIds,
}

impl Session {
    pub(crate) fn new(key: SessionKey, client_id: Arc<str>, version: Version) -> Self {
        Self {
            key,
            client_id,
            user_name: None,
            realm: 0,
            rights: None,
            source: None,
            version,
            connection: None,
            expiry: 0,
            noted: false,
            order: 0,
            absence: None,
            sender: Sender::new(1),
            receiver: Receiver::default(),
            queue: VecDeque::new(),
            here_bytes: 0,
            fetching: false,
            held: 0,
            held_bytes: 0,
            inflight_bytes: 0,
            sated: false,
            subscriptions: Vec::new(),
            seldom: None,
            will: None,
            replay: None,
        }
    }

    /// It, as the publisher of its retained messages.
    pub(crate) fn source(&mut self) -> Arc<Source> {
        let Self {
            client_id,
            user_name,
            realm,
            rights,
            ..
        } = self;
        let make = || {
            let own = rights.as_ref().and_then(|rights| rights.own());
            Arc::new(Source {
                client_id: Arc::clone(client_id),
                user_name: user_name.clone(),
                realm: *realm,
                own: own.cloned(),
            })
        };
        Arc::clone(self.source.get_or_insert_with(make))
    }

    /// When it lost its Network Connection, while it has none.
    pub(crate) fn lost(&self) -> Option<Instant> {
        self.absence.as_ref()?.lost
    }

    /// When it is over, if no client comes for it.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.absence.as_ref()?.expires_at
    }

    pub(crate) fn absence(&mut self) -> &mut Absence {
        self.absence.get_or_insert_default()
    }

    /// What is to be sent again, from the front on.
    #[inline]
    pub(crate) fn again(&self) -> Option<&VecDeque<PacketId>> {
        let again = self.seldom.as_ref().map(|seldom| &seldom.again);
        again.filter(|again| !again.is_empty())
    }

    pub(crate) fn set_again(&mut self, again: VecDeque<PacketId>) {
        if !again.is_empty() || self.seldom.is_some() {
            self.seldom.get_or_insert_default().again = again;
        }
    }

    pub(crate) fn pop_again(&mut self) {
        if let Some(seldom) = &mut self.seldom {
            seldom.again.pop_front();
            if seldom.again.is_empty() && seldom.shares.is_empty() {
                self.seldom = None;
            }
        }
    }

    /// Its memberships in Shared Subscriptions.
    pub(crate) fn shares(&self) -> &[Share] {
        let shares = self.seldom.as_ref().map(|seldom| &seldom.shares[..]);
        shares.unwrap_or_default()
    }

    pub(crate) fn shares_mut(&mut self) -> &mut Vec<Share> {
        &mut self.seldom.get_or_insert_default().shares
    }

    fn is_timed(&self) -> bool {
        let timed = |at: &Absence| at.expiry_timed.is_some() || at.will_timed.is_some();
        self.absence.as_deref().is_some_and(timed)
    }

    /// Whether it may outlive its Network Connection, so that messages in flight must be kept.
    #[inline]
    pub(crate) fn persists(&self) -> bool {
        self.expiry > 0
    }

    /// Whether a new QoS 1 or 2 message may be sent: what was sent before comes first.
    #[inline]
    pub(crate) fn has_quota(&self) -> bool {
        self.again().is_none() && self.sender.has_quota() && !self.sated
    }

    /// Bytes of payload go into flight, where they are counted.
    pub(crate) fn take_off(&mut self, bytes: usize, max: usize) {
        self.inflight_bytes += bytes;
        self.sated = self.inflight_bytes >= max;
    }

    /// Bytes of payload were acknowledged.
    pub(crate) fn land(&mut self, bytes: usize, max: usize) {
        self.inflight_bytes = self.inflight_bytes.saturating_sub(bytes);
        self.sated = self.inflight_bytes >= max;
    }

    /// Whether it can be handed to another worker: nobody names it, and nothing waits for it.
    pub(crate) fn is_movable(&self) -> bool {
        !self.persists()
            && !self.noted
            && self.subscriptions.is_empty()
            && self.shares().is_empty()
            && self.waiting() == 0
            && self.again().is_none()
            && self.replay.is_none()
            && !self.is_timed()
    }

    /// The place of a message that is recorded now.
    pub(crate) fn next_order(&mut self) -> u32 {
        self.order = self.order.wrapping_add(1).max(1);
        self.order
    }

    /// Messages that wait, in flight or queued.
    pub(crate) fn waiting(&self) -> usize {
        self.sender.inflight() + self.queue.len()
    }
}
