//! What happened, for whoever keeps a log. The broker renders nothing and prints nothing.

use std::sync::Arc;

use crate::broker::connection::{Cause, ConnectionId};
use crate::mqtt::QoS;
use crate::mqtt::Version;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// The Network Connection it happened on.
    pub connection: ConnectionId,
    /// Its Client Identifier; empty before CONNECT.
    pub client_id: Arc<str>,
    /// What happened.
    pub what: What,
}

/// See [`Event`].
#[derive(Clone, Debug)]
pub enum What {
    /// CONNECT was accepted.
    Connected {
        /// Its version.
        version: Version,
        /// Clean Start (v3: Clean Session).
        clean_start: bool,
        /// Keep Alive in seconds, as in force.
        keep_alive: u16,
        /// The user name.
        user_name: Option<Box<str>>,
        /// Session Present.
        session_present: bool,
        /// The client said that it is a bridge.
        bridge: bool,
    },
    /// The Network Connection ends.
    Closed(Cause),
    /// A PUBLISH that the rules do not allow; all of them with `trace`, else the first of each
    /// connection.
    Denied(Box<Denied>),
    /// The client publishes more than `message_rate_max` or `byte_rate_max` allow, and is not read
    /// from for a while; once a minute at most.
    HeldBack,
    /// Asked for with `trace` only.
    Subscribed {
        /// The Topic Filter, `$share/…` included.
        filter: Box<str>,
        /// The Reason Code of SUBACK.
        reason: u8,
    },
    /// Asked for with `trace` only.
    Unsubscribed {
        /// The Topic Filter.
        filter: Box<str>,
    },
    /// The Session of a client that is away is over; no connection is named.
    Expired,
    /// Asked for with `trace_packets` only.
    Published {
        /// The Topic Name.
        topic: Box<str>,
        /// The QoS it came with.
        qos: QoS,
        /// RETAIN.
        retain: bool,
        /// Bytes of payload.
        payload: usize,
    },
    /// Asked for with `trace_packets` only: a packet as it came, or as the system took it.
    Packet {
        /// It went to the client.
        sent: bool,
        /// The version it is written in.
        version: Version,
        /// All of it.
        frame: Box<[u8]>,
    },
}

/// A PUBLISH that was not let in.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The Topic Name.
    pub topic: Box<str>,
    /// DUP.
    pub dup: bool,
    /// The QoS it came with.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// The Packet Identifier; zero at QoS 0.
    pub packet_id: u16,
    /// Bytes of payload.
    pub payload: usize,
}
