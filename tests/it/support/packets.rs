//! Packets as tests write and read them: bytes from a few words, and words from bytes.

use mqttx::mqtt::connect::{Connect, Will};
use mqttx::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::subscribe::{self, SubscribeOptions};
use mqttx::mqtt::{Packet, PacketId, PacketType, QoS, Version, ack, unsubscribe};

/// Properties as tests write them.
pub(crate) type Written<'a> = [(PropertyId, Value<'a>)];

/// A CONNECT.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) user_name: Option<String>,
    /// Topic, payload, QoS, retain.
    pub(crate) will: Option<(String, String, u8, bool)>,
    pub(crate) will_properties: PropertiesBuf,
    pub(crate) properties: PropertiesBuf,
}

impl Hello {
    /// Version 5, clean start, no keep alive.
    pub(crate) fn new(client_id: &str) -> Self {
        Self {
            version: Version::V5,
            client_id: client_id.to_owned(),
            clean_start: true,
            keep_alive: 0,
            user_name: None,
            will: None,
            will_properties: PropertiesBuf::new(),
            properties: PropertiesBuf::new(),
        }
    }

    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// A Session that is resumed and kept for ever, in whichever version.
    pub(crate) fn kept(mut self) -> Self {
        self.clean_start = false;
        if self.version.is_v5() {
            self = self.with(PropertyId::SessionExpiryInterval, Value::Four(u32::MAX));
        }
        self
    }

    pub(crate) fn with(mut self, id: PropertyId, value: Value<'_>) -> Self {
        self.properties.push(id, value);
        self
    }

    pub(crate) fn user(mut self, name: &str) -> Self {
        self.user_name = Some(name.to_owned());
        self
    }

    pub(crate) fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub(crate) fn will(mut self, topic: &str, payload: &str, qos: u8, retain: bool) -> Self {
        self.will = Some((topic.to_owned(), payload.to_owned(), qos, retain));
        self
    }

    pub(crate) fn will_with(mut self, id: PropertyId, value: Value<'_>) -> Self {
        self.will_properties.push(id, value);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let will = self
            .will
            .as_ref()
            .map(|(topic, payload, qos, retain)| Will {
                qos: QoS::from_bits(*qos).unwrap(),
                retain: *retain,
                topic,
                payload: payload.as_bytes(),
                properties: self.will_properties.properties(),
            });
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            client_id: &self.client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: None,
            properties: self.properties.properties(),
        };
        let mut out = Vec::new();
        connect.encode(self.version, &mut out);
        out
    }
}

pub(crate) fn properties(written: &Written<'_>) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    for &(id, value) in written {
        properties.push(id, value);
    }
    properties
}

/// A PUBLISH; `id` is left out at QoS 0.
pub(crate) fn publish(
    version: Version,
    topic: &str,
    payload: &str,
    qos: u8,
    id: u16,
    written: &Written<'_>,
) -> Vec<u8> {
    let properties = properties(written);
    encode(
        version,
        &Packet::Publish(Publish {
            dup: false,
            qos: QoS::from_bits(qos).unwrap(),
            retain: false,
            topic,
            packet_id: PacketId::new(id).filter(|_| qos > 0),
            properties: properties.properties(),
            payload: payload.as_bytes(),
        }),
    )
}

/// The same PUBLISH with RETAIN set.
pub(crate) fn retained(mut publish: Vec<u8>) -> Vec<u8> {
    publish[0] |= 1;
    publish
}

/// The same PUBLISH, sent again.
pub(crate) fn again(mut publish: Vec<u8>) -> Vec<u8> {
    publish[0] |= 8;
    publish
}

/// A SUBSCRIBE to one filter; `options` is the whole Subscription Options byte.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    filter: &str,
    options: u8,
    written: &Written<'_>,
) -> Vec<u8> {
    let properties = properties(written);
    let options = SubscribeOptions::from_bits(options).unwrap();
    let mut out = Vec::new();
    subscribe::encode(
        PacketId::new(id).unwrap(),
        properties.properties(),
        &[(filter, options)],
        version,
        &mut out,
    );
    out
}

/// An UNSUBSCRIBE of one filter.
pub(crate) fn unsubscribe(version: Version, id: u16, filter: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (id, none) = (PacketId::new(id).unwrap(), Properties::EMPTY);
    unsubscribe::encode(id, none, &[filter], version, &mut out);
    out
}

pub(crate) fn ack(kind: PacketType, id: u16) -> Vec<u8> {
    let mut out = Vec::new();
    ack::put_ack(kind, PacketId::new(id).unwrap(), &mut out);
    out
}

pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

pub(crate) fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}

/// One line a packet: type, identifier, what matters of it, properties last.
pub(crate) fn render(packet: &Packet<'_>) -> String {
    let kind = match packet {
        Packet::Connack(connack) => {
            let present = if connack.session_present {
                " present"
            } else {
                ""
            };
            let name = match connack.reason.value() {
                // Return codes of version 3.
                code @ 1..=5 => format!("code {code}"),
                _ => connack.reason.name().to_owned(),
            };
            let properties = render_properties(connack.properties);
            return format!("CONNACK {name}{present}{properties}");
        }
        Packet::Publish(publish) => return render_publish(publish),
        Packet::Suback(suback) => {
            let id = suback.packet_id.value();
            return format!("SUBACK #{id} {:?}", suback.reasons);
        }
        Packet::Unsuback(unsuback) => {
            let id = unsuback.packet_id.value();
            return format!("UNSUBACK #{id} {:?}", unsuback.reasons);
        }
        Packet::Disconnect(disconnect) => {
            return format!("DISCONNECT 0x{:02x}", disconnect.reason.value());
        }
        Packet::Puback(ack) => ("PUBACK", ack),
        Packet::Pubrec(ack) => ("PUBREC", ack),
        Packet::Pubrel(ack) => ("PUBREL", ack),
        Packet::Pubcomp(ack) => ("PUBCOMP", ack),
        Packet::Pingresp => return "PINGRESP".to_owned(),
        other => return format!("{other:?}"),
    };
    let (name, ack) = kind;
    match ack.reason.value() {
        0 => format!("{name} #{}", ack.packet_id.value()),
        reason => format!("{name} #{} 0x{reason:02x}", ack.packet_id.value()),
    }
}

fn render_publish(publish: &Publish<'_>) -> String {
    let id = publish.packet_id.map(|id| format!(" #{}", id.value()));
    let payload = match publish.payload.len() {
        0..=40 => String::from_utf8_lossy(publish.payload).into_owned(),
        length => format!("({length} bytes)"),
    };
    format!(
        "PUBLISH {} {payload} q{}{}{}{}{}",
        publish.topic,
        publish.qos.bits(),
        id.unwrap_or_default(),
        if publish.dup { " dup" } else { "" },
        if publish.retain { " retain" } else { "" },
        render_properties(publish.properties),
    )
}

fn render_properties(properties: Properties<'_>) -> String {
    let mut out = String::new();
    for (id, value) in properties.iter() {
        // What the broker can do is in every CONNACK, and tested where it matters.
        if id != PropertyId::TopicAliasMaximum {
            out += &format!(" {}={value:?}", id.name());
        }
    }
    out
}
