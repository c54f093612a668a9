//! What a client asks for: where to, as whom, and how to behave when things go wrong.
//!
//! Everything that CONNECT carries is here, properties in the order they were typed; the words of
//! the command line become these fields in `commands`.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::client::backoff::Backoff;
use crate::mqtt::limits;
use crate::mqtt::property::{PropertiesBuf, PropertyId};
use crate::mqtt::topic::check_name;
use crate::mqtt::{QoS, Version};
use crate::net::Dial;

/// What a client asks for. Start from [`Options::new`] and set what differs.
#[derive(Clone, Debug)]
pub struct Options {
    pub dial: Dial,
    pub version: Version,
    /// Empty: the broker chooses one (not in MQTT 3.1, and with `clean_start` only in 3.1.1).
    pub client_id: String,
    pub clean_start: bool,
    /// In seconds, as it goes over the wire; 0 turns it off. A broker's Server Keep Alive wins.
    pub keep_alive: u16,
    pub user_name: Option<String>,
    pub password: Option<Secret>,
    /// Prove the password by SCRAM-SHA-256 instead of sending it, version 5; chance that nobody
    /// else knows.
    pub scram: Option<[u8; 32]>,
    pub will: Option<Will>,
    /// Of CONNECT, in this order: session expiry, receive maximum and the others live here only.
    pub properties: PropertiesBuf,
    /// How many messages of QoS 1 and 2 may be unacknowledged; a broker's Receive Maximum may
    /// lower it.
    pub inflight_max: u16,
    /// Whole packets above this size end the connection before they are buffered. A v5 broker
    /// knows only what the property Maximum Packet Size tells it.
    pub packet_size_max: usize,
    pub retry: Retry,
    /// For the answer to CONNECT, once the transport stands.
    pub connack_timeout: Duration,
    /// How long the broker may take no bytes at all while there are some to write.
    pub write_timeout: Duration,
    /// Tells the handler about every packet (`Handler::packet`): for `-d`.
    pub trace: bool,
}

/// A password, which is Binary Data and not text: never shown, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::ops::Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What is published in the client's name when it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub properties: PropertiesBuf,
}

/// What to do when there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Also before the very first CONNACK, when the broker may just not be up yet.
    pub first: bool,
    /// Also when the broker hangs up at first instead of answering CONNECT.
    pub unanswered: bool,
    /// So long after the start, until there was a first connection: for a broker that is about to
    /// start. Tried often, and told by [`Handler::waiting`](crate::client::Handler::waiting).
    pub wait: Option<Duration>,
    /// After a connection that stood.
    pub again: bool,
    /// Attempts in a row; none: no end.
    pub attempts_max: Option<u32>,
    /// Connections in a row that stood and were lost again before one of the messages that wait was
    /// acknowledged: some brokers refuse a message in no other way. None: no end.
    pub fruitless_max: Option<u32>,
    pub backoff: Backoff,
}

impl Retry {
    /// One attempt, one connection.
    pub const fn never() -> Self {
        Self {
            first: false,
            unanswered: false,
            wait: None,
            again: false,
            attempts_max: None,
            fruitless_max: None,
            backoff: Backoff::doubling(),
        }
    }

    /// Gives up at once when the broker cannot be reached at first, but comes back for ever once
    /// it was.
    pub const fn once_connected() -> Self {
        Self {
            first: false,
            unanswered: false,
            wait: None,
            again: true,
            attempts_max: None,
            fruitless_max: None,
            backoff: Backoff::doubling(),
        }
    }
}

impl Options {
    /// MQTT 3.1.1, clean start, 60 seconds of keep alive, 20 messages in flight, one connection.
    pub fn new(dial: Dial) -> Self {
        Self {
            dial,
            version: Version::V311,
            client_id: String::new(),
            clean_start: true,
            keep_alive: 60,
            user_name: None,
            password: None,
            scram: None,
            will: None,
            properties: PropertiesBuf::new(),
            inflight_max: 20,
            packet_size_max: limits::PACKET_SIZE_MAX,
            retry: Retry::never(),
            connack_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            trace: false,
        }
    }

    /// Whether the broker keeps the session while this client is away (§3.1.2.11.2; in 3.1.1 that
    /// is what the cleared flag means).
    pub fn session_survives(&self) -> bool {
        if self.version.is_v5() {
            self.properties
                .properties()
                .four(PropertyId::SessionExpiryInterval)
                .is_some_and(|seconds| seconds > 0)
        } else {
            !self.clean_start
        }
    }

    /// Whether CONNECT can be written at all: lengths, characters, topics.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        check_string(&self.client_id, "the client id is too long or holds a NUL")?;
        if let Some(name) = &self.user_name {
            check_string(name, "the user name is too long or holds a NUL")?;
        }
        match &self.password {
            Some(password) if password.len() > limits::STRING_MAX => {
                return Err("the password is too long");
            }
            // [MQTT-3.1.2-22] of 3.1.1
            Some(_) if self.user_name.is_none() && !self.version.is_v5() => {
                return Err("a password without a user name needs MQTT 5");
            }
            _ => {}
        }
        if let Some(will) = &self.will {
            check_name(&will.topic)?;
            if will.payload.len() > limits::STRING_MAX {
                return Err("the payload of a will holds at most 65,535 bytes");
            }
        }
        Ok(())
    }
}

fn check_string(text: &str, fault: &'static str) -> Result<(), &'static str> {
    if text.len() > limits::STRING_MAX || text.contains('\0') {
        Err(fault)
    } else {
        Ok(())
    }
}
