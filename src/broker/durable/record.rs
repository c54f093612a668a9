//! The facts that must survive a restart (§4.1), as values: what a turn has changed, in its order.
//!
//! A Session, a body and a crossing have numbers that are never given twice, also not after a
//! restart. A message that many Sessions of a worker wait for is one [`Body`](Record::Body) and
//! one [`Waiting`] each. Times are milliseconds since 1970, as the caller's clock says.
//!
//! ```text
//!   Session ─┬─ Subscribed            Body ◄── Waiting, Waiting, …
//!            ├─ Waiting → Released    Retained   one a topic, with its message
//!            └─ Received              Crossed    on its way to another worker
//! ```
//!
//! Every record sets or clears one thing, so that a turn that is written twice does no harm.

use std::sync::Arc;

use crate::broker::session::SubscriptionIds;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::message::Message;

/// One fact.
#[derive(Clone, Debug)]
pub enum Record {
    /// A Session was made or has changed.
    Session(Box<SessionRecord>),
    /// A Session is over, and with it all that bears its number.
    SessionGone(u64),
    /// A Subscription was made or replaced.
    Subscribed {
        /// Of this Session.
        session: u64,
        /// `$share/NAME/` included.
        filter: Box<str>,
        /// The Subscription Options, as SUBSCRIBE has them.
        options: u8,
        /// Zero is none.
        subscription_id: u32,
    },
    /// A Subscription was ended.
    Unsubscribed {
        /// Of this Session.
        session: u64,
        /// `$share/NAME/` included.
        filter: Box<str>,
    },
    /// A message that Sessions wait for.
    Body(u64, Kept),
    /// Nobody waits for it any more.
    BodyGone(u64),
    /// A message waits for a Session, or is in flight to it.
    Waiting(Box<Waiting>),
    /// PUBREC came: the message is not needed any more, its Packet Identifier is.
    Released {
        /// To this Session.
        session: u64,
        /// Its place among the Session's messages.
        order: u32,
        /// Waits for PUBCOMP.
        packet_id: PacketId,
    },
    /// A message does not wait for a Session any more.
    Done {
        /// The Session.
        session: u64,
        /// Its place among the Session's messages.
        order: u32,
    },
    /// PUBCOMP came.
    Completed {
        /// From this Session.
        session: u64,
        /// Is free again.
        packet_id: PacketId,
    },
    /// A QoS 2 message came and was not released yet.
    Received {
        /// From this Session.
        session: u64,
        /// Waits for PUBREL.
        packet_id: PacketId,
    },
    /// PUBREL came.
    Answered {
        /// From this Session.
        session: u64,
        /// Is free again.
        packet_id: PacketId,
    },
    /// The message retained for its topic.
    Retained {
        /// The message.
        kept: Kept,
        /// The Client Identifier of who published it.
        publisher: Option<Arc<str>>,
        /// The user name of that client.
        user_name: Option<Arc<str>>,
    },
    /// Nothing is retained for this topic any more.
    Cleared(Box<str>),
    /// A message is on its way to Sessions of another worker.
    Crossed(u64, Box<Crossed>),
    /// It arrived there.
    Arrived(u64),
}

/// A message, and when it expires.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The message.
    pub message: Message,
    /// Milliseconds since 1970.
    pub expires: Option<u64>,
}

/// Share name and filter of a Shared Subscription.
pub type ShareOf = Option<(Box<str>, Box<str>)>;

/// See [`Record::Session`].
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its number.
    pub session: u64,
    /// Its Client Identifier.
    pub client_id: Arc<str>,
    /// The user name of its client.
    pub user_name: Option<Arc<str>>,
    /// The worker that owned it.
    pub worker: u16,
    /// Of its last connection.
    pub version: Version,
    /// Session Expiry Interval in seconds; zero ends it with its connection.
    pub expiry: u32,
    /// When it lost its connection, in milliseconds since 1970; `None` while it has one.
    pub lost: Option<u64>,
    /// The Will Message, as long as it may have to be published.
    pub will: Option<WillRecord>,
}

/// See [`SessionRecord::will`].
#[derive(Clone, Debug)]
pub struct WillRecord {
    /// What is published.
    pub message: Message,
    /// Will Delay Interval in seconds.
    pub delay: u32,
}

/// See [`Record::Waiting`].
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The Session.
    pub session: u64,
    /// Its place among the Session's messages: rising, and beginning anew after 4,294,967,295.
    pub order: u32,
    /// The message.
    pub body: u64,
    /// What it costs to keep.
    pub size: u32,
    /// As granted.
    pub qos: QoS,
    /// Goes out with RETAIN.
    pub retain: bool,
    /// In flight under this identifier.
    pub packet_id: Option<PacketId>,
    /// Go out with it.
    pub subscription_ids: SubscriptionIds,
    /// Share name and filter, where it may go to another member.
    pub share: ShareOf,
}

/// See [`Record::Crossed`].
#[derive(Clone, Debug)]
pub struct Crossed {
    /// The message.
    pub kept: Kept,
    /// Who gets it.
    pub targets: Vec<CrossedTarget>,
    /// Share name and filter.
    pub share: ShareOf,
}

/// See [`Crossed::targets`].
#[derive(Clone, Debug)]
pub struct CrossedTarget {
    /// The Session.
    pub session: u64,
    /// At most this QoS.
    pub qos: QoS,
    /// Keeps RETAIN as it was published.
    pub retain_as_published: bool,
    /// Go out with it.
    pub subscription_ids: SubscriptionIds,
}

/// What a record costs beside the message in it.
const RECORD_SIZE: usize = 96;

impl Record {
    /// The number of the Session that it belongs to, where it is a part of one.
    pub fn part_of(&self) -> Option<u64> {
        match self {
            Self::Subscribed { session, .. }
            | Self::Unsubscribed { session, .. }
            | Self::Released { session, .. }
            | Self::Done { session, .. }
            | Self::Completed { session, .. }
            | Self::Received { session, .. }
            | Self::Answered { session, .. } => Some(*session),
            Self::Waiting(waiting) => Some(waiting.session),
            Self::Session(_)
            | Self::SessionGone(_)
            | Self::Body(..)
            | Self::BodyGone(_)
            | Self::Retained { .. }
            | Self::Cleared(_)
            | Self::Crossed(..)
            | Self::Arrived(_) => None,
        }
    }

    /// Bytes that wait with it, for the bound on what is not stored yet.
    pub fn size(&self) -> usize {
        RECORD_SIZE
            + match self {
                Self::Body(_, kept) | Self::Retained { kept, .. } => kept.message.size(),
                Self::Crossed(_, crossed) => crossed.kept.message.size(),
                _ => 0,
            }
    }
}
