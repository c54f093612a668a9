//! A PUBLISH encoded once and sent many times: the way to send millions of messages a second.

use crate::client::engine::encode::Encoder;
use crate::client::engine::message::{Message, Refused, check_message};
use crate::mqtt::frame::{Scan, scan};
use crate::mqtt::limits;
use crate::mqtt::property::PropertyId;
use crate::mqtt::{PacketId, QoS, Version};

/// A whole PUBLISH, with the places that change from copy to copy: Packet Identifier and payload.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) frame: Box<[u8]>,
    /// Where the Packet Identifier stands; 0 at QoS 0, which has none.
    pub(super) id_at: usize,
    pub(super) payload_at: usize,
    pub(super) qos: QoS,
    pub(super) version: Version,
}

impl Prepared {
    /// Checks and encodes `message`, without a Topic Alias.
    pub fn new(message: &Message<'_>, version: Version) -> Result<Self, Refused> {
        check_message(message, version)?;
        if message.properties.find(PropertyId::TopicAlias).is_some() {
            return Err(Refused::TopicAlias);
        }
        let mut frame = Vec::new();
        // Any identifier will do: each copy gets its own.
        let any = PacketId::new(1).filter(|_| message.qos > QoS::AtMostOnce);
        Encoder::new(version).publish(message, any, &mut frame);
        Ok(Self {
            id_at: id_at(&frame).unwrap_or(0),
            payload_at: frame.len() - message.payload.len(),
            qos: message.qos,
            version,
            frame: frame.into_boxed_slice(),
        })
    }
}

/// Where the Packet Identifier of a PUBLISH of our own making stands, if it has one.
pub(super) fn id_at(frame: &[u8]) -> Option<usize> {
    let Ok(Scan::Head(head)) = scan(frame, limits::PACKET_SIZE_MAX) else {
        return None;
    };
    if head.first & 0b0110 == 0 {
        return None;
    }
    let at = head.head_len;
    Some(at + 2 + usize::from(u16::from_be_bytes([frame[at], frame[at + 1]])))
}
