//! A message to publish, why it may be refused, and the checks that every broker would make.

use std::fmt;

use crate::mqtt::property::Properties;
use crate::mqtt::topic::check_name;
use crate::mqtt::{QoS, Version, frame, limits};

/// A message to publish.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Empty only together with a Topic Alias that was used before.
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    /// Version 5 only; left out before.
    pub properties: Properties<'a>,
}

impl<'a> Message<'a> {
    /// QoS 0, not retained, without properties.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
        }
    }

    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }
}

/// Why something was not taken. Nothing was sent, and the session is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no connection at the moment, or it is about to end.
    NotConnected,
    /// A wrong Topic Name or Topic Filter.
    Topic(&'static str),
    /// Larger than the broker's Maximum Packet Size, or than the standard allows.
    TooLarge,
    /// Above the broker's Maximum QoS.
    QosNotSupported,
    /// The broker keeps no retained messages.
    RetainNotSupported,
    /// Above the broker's Topic Alias Maximum, or an alias nobody set.
    TopicAlias,
    /// The broker has said that it knows no such subscriptions.
    NotAvailable(&'static str),
    /// Too much is waiting already; publish from `feed`, which is asked when there is room.
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected",
            Self::Topic(what) | Self::NotAvailable(what) => what,
            Self::TooLarge => "the packet is larger than the broker takes",
            Self::QosNotSupported => "the broker does not support this QoS",
            Self::RetainNotSupported => "the broker does not support retained messages",
            Self::TopicAlias => "the broker does not take this topic alias",
            Self::Full => "too much is waiting to be sent",
        })
    }
}

impl std::error::Error for Refused {}

/// What no broker takes.
pub(super) fn check_message(message: &Message<'_>, version: Version) -> Result<(), Refused> {
    check_name(message.topic).map_err(Refused::Topic)?;
    if publish_len(message, version) > limits::PACKET_SIZE_MAX {
        return Err(Refused::TooLarge);
    }
    Ok(())
}

/// Bytes of the whole PUBLISH.
pub(super) fn publish_len(message: &Message<'_>, version: Version) -> usize {
    let id = if message.qos == QoS::AtMostOnce { 0 } else { 2 };
    let mut body = 2 + message.topic.len() + id + message.payload.len();
    if version.is_v5() {
        let properties = message.properties.raw().len();
        // A Variable Byte Integer is as long as the Remaining Length of that value would be.
        body += frame::head_len(properties) - 1 + properties;
    }
    frame::head_len(body) + body
}
