//! One PUBLISH as it goes to one client: the message's parts in the form that the client's
//! version, quality and identifiers ask for (§3.3).

use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::frame;
use crate::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use crate::mqtt::wire;

/// What is sent; borrowed from a message or from the PUBLISH that just came.
pub(crate) struct Outgoing<'a> {
    pub(crate) version: Version,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: &'a str,
    /// The alias, and whether the client knows it, so that the topic can stay away.
    pub(crate) alias: Option<(u16, bool)>,
    pub(crate) properties: Properties<'a>,
    /// What is left of the Message Expiry Interval; replaces the one in `properties`.
    pub(crate) expiry: Option<u32>,
    pub(crate) subscription_ids: &'a [u32],
    pub(crate) payload_len: usize,
}

impl Outgoing<'_> {
    /// The properties as they go out.
    pub(crate) fn put_properties(&self, out: &mut PropertiesBuf) {
        if !self.version.is_v5() {
            return;
        }
        let rewritten = |id| {
            matches!(
                id,
                PropertyId::TopicAlias
                    | PropertyId::MessageExpiryInterval
                    | PropertyId::SubscriptionIdentifier
            )
        };
        if let Some((alias, _)) = self.alias {
            out.push(PropertyId::TopicAlias, Value::Two(alias));
        }
        if let Some(expiry) = self.expiry {
            out.push(PropertyId::MessageExpiryInterval, Value::Four(expiry));
        }
        out.extend_filtered(self.properties, |id| !rewritten(id));
        for &id in self.subscription_ids {
            out.push(PropertyId::SubscriptionIdentifier, Value::Variable(id));
        }
    }

    /// The size of the whole packet, given its properties.
    pub(crate) fn size(&self, properties: Properties<'_>) -> usize {
        let body = self.body_len(properties);
        frame::head_len(body) + body
    }

    /// Everything before the payload.
    pub(crate) fn put_head(
        &self,
        id: Option<PacketId>,
        properties: Properties<'_>,
        out: &mut Vec<u8>,
    ) {
        let flags = u8::from(self.dup) << 3 | self.qos.bits() << 1 | u8::from(self.retain);
        frame::put_head(0x30 | flags, self.body_len(properties), out);
        wire::put_string(self.topic_sent(), out);
        if let Some(id) = id {
            out.extend_from_slice(&id.value().to_be_bytes());
        }
        if self.version.is_v5() {
            properties.encode(out);
        }
    }

    fn topic_sent(&self) -> &str {
        match self.alias {
            Some((_, true)) => "",
            _ => self.topic,
        }
    }

    fn body_len(&self, properties: Properties<'_>) -> usize {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = if self.version.is_v5() {
            properties.encoded_len()
        } else {
            0
        };
        2 + self.topic_sent().len() + id + properties + self.payload_len
    }
}
