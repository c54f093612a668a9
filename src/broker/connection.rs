//! One Network Connection as the broker sees it: how far the handshake is, what the client can
//! take, and what waits to be written.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::broker::durable::gate::Gate;
use crate::broker::exchange::Exchange;
use crate::broker::following::Audience;
use crate::broker::listener::Listener;
use crate::broker::outbox::Outbox;
use crate::broker::permission::Permits;
use crate::broker::rate::Allowance;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::delivery::{AliasesIn, AliasesOut};

/// Names a Network Connection of one worker. Places are used again, serial numbers are not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId {
    /// Place among the worker's connections.
    pub slot: u32,
    /// Tells apart those that had the same place.
    pub serial: u32,
}

/// Why a Network Connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client sent DISCONNECT with this Reason Code.
    Disconnected(Reason),
    /// The client closed without a DISCONNECT, or the network failed.
    Lost,
    /// No packet came within one and a half times the Keep Alive [MQTT-3.1.2-22].
    KeepAlive,
    /// No CONNECT came in time.
    NoConnect,
    /// The client broke a rule of the standard: which one.
    Violation(Reason, &'static str),
    /// CONNECT was refused.
    Refused(Reason, &'static str),
    /// Another connection with this Client Identifier took the Session over.
    TakenOver,
    /// The broker stops.
    ShuttingDown,
    /// An administrator's action or a limit.
    Dropped(Reason, &'static str),
}

pub(crate) enum Phase {
    /// No CONNECT yet.
    Waiting,
    /// CONNECT is here, a verdict on it is not.
    Asking(Zeroizing<Box<[u8]>>),
    /// CONNECT is here, and the client's next AUTH is awaited.
    Answering(Zeroizing<Box<[u8]>>),
    /// The place of the Session.
    Open(u32),
    /// Nothing more is read; what is written already still goes out.
    Closing(Cause),
}

pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) phase: Phase,
    /// Whose rules it follows.
    pub(crate) listener: Arc<Listener>,
    /// What few have.
    pub(crate) seldom: Option<Box<Seldom>>,
    pub(crate) version: Version,
    pub(crate) outbox: Outbox,
    /// What goes into the outbox once a store has what it promises.
    pub(crate) gate: Option<Box<Gate>>,
    /// In the list of connections with something to write.
    pub(crate) touched: bool,
    /// The outbox is above its limit: publishers to this connection are paused.
    pub(crate) pressed: bool,
    /// It stayed pressed over a whole pause: QoS 0 messages are dropped until it is well again.
    pub(crate) slow: bool,
    /// Bytes of answers to its own packets that were put into the outbox since it was last low.
    pub(crate) answered: usize,
    /// It does not read its answers: it is not read from either, until the outbox is low again.
    pub(crate) unheard: bool,
    /// Messages may go out in the bytes they came in: no aliases, no mount point.
    pub(crate) unaltered: bool,
    /// Its topics lie below a mount point.
    pub(crate) mounted: bool,
    pub(crate) qos_max: QoS,
    /// Reason Strings and User Properties are wanted (§3.1.2.11.7).
    pub(crate) problem_information: bool,
    /// Tenths of a second since the broker's start.
    pub(crate) last_received: u32,
    /// Tenths of a second without a packet that end the connection; zero never does.
    pub(crate) grace: u32,
    /// Bytes of a packet the client may send.
    pub(crate) size_max: usize,
    /// Bytes of a packet the client takes [MQTT-3.1.2-24].
    pub(crate) packet_size_max: usize,
    pub(crate) aliases_in: Option<Box<AliasesIn>>,
    pub(crate) aliases_out: Option<Box<AliasesOut>>,
    /// The Authentication Method of CONNECT, if it had one.
    pub(crate) exchange: Option<Box<Exchange>>,
    pub(crate) audience: Audience,
    /// What the rules say of its topics, where there are rules.
    pub(crate) permits: Option<Box<Permits>>,
    /// What it may still publish, where that is limited.
    pub(crate) allowance: Option<Box<Allowance>>,
    /// Since when it is not read from, for the sake of a pressed subscriber.
    pub(crate) paused_since: Option<Instant>,
    pub(crate) traffic: Traffic,
    /// CONNECT said that the client is a bridge.
    pub(crate) is_bridge: bool,
    /// What is told of it to those who ask; none before CONNECT was accepted.
    pub(crate) about: Option<About>,
}

/// What a connection has only that proves who it is before it says so, is refused, or is traced.
#[derive(Default)]
pub(crate) struct Seldom {
    /// The user name that a certificate or a key proves.
    pub(crate) proven: Option<Arc<str>>,
    /// The Client Identifier of a CONNECT that was refused, or with `trace_packets` of who has
    /// left: what is on its way is still told of.
    pub(crate) named: Option<Arc<str>>,
    /// With `trace_packets`: what was written of a packet that is not whole yet.
    pub(crate) traced: Vec<u8>,
    /// Tracing began in the middle of what was to be written.
    pub(crate) untraced: bool,
}

/// What went through a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes taken by the system.
    pub bytes_sent: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// PUBLISH packets encoded for it.
    pub publish_sent: u64,
    /// QoS 0 messages dropped because it read too slowly.
    pub dropped: u64,
}

/// What CONNECT said that only those who look from outside want to know.
pub(crate) struct About {
    pub(crate) user_name: Option<Box<str>>,
    pub(crate) clean_start: bool,
    /// In seconds, as in force.
    pub(crate) keep_alive: u16,
    /// Tenths of a second since the broker's start.
    pub(crate) since: u32,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        listener: Arc<Listener>,
        size_max: usize,
        last_received: u32,
        grace: u32,
    ) -> Self {
        let rules = &listener.rules;
        let mounted = rules.mount().is_some();
        let size_max = rules
            .packet_size_max
            .map_or(size_max, |own| own.min(size_max));
        let qos_max = rules.qos_max;
        Self {
            id,
            phase: Phase::Waiting,
            listener,
            seldom: None,
            version: Version::V311,
            outbox: Outbox::default(),
            gate: None,
            touched: false,
            pressed: false,
            slow: false,
            answered: 0,
            unheard: false,
            unaltered: !mounted,
            mounted,
            qos_max,
            problem_information: true,
            last_received,
            grace,
            size_max,
            packet_size_max: usize::MAX,
            aliases_in: None,
            aliases_out: None,
            exchange: None,
            audience: Audience::default(),
            permits: None,
            allowance: None,
            paused_since: None,
            traffic: Traffic::default(),
            is_bridge: false,
            about: None,
        }
    }

    /// Whether packets are awaited from it.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Answering(_))
    }

    pub(crate) fn proven(&self) -> Option<&Arc<str>> {
        self.seldom.as_ref()?.proven.as_ref()
    }

    pub(crate) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    pub(crate) fn session(&self) -> Option<u32> {
        match self.phase {
            Phase::Open(session) => Some(session),
            _ => None,
        }
    }
}
