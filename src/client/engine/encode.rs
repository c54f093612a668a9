//! Packets going out: rumqttc's packet types write them, except where it cannot.
//!
//! | packet | written by `mqtt` instead, because |
//! |-|-|
//! | CONNECT | rumqttc knows no protocol level 3, takes passwords for text, leaves an empty user name out |
//! | anything with properties | rumqttc orders them; scripts expect them as typed |
//! | PUBLISH of a large payload | rumqttc would have it copied twice more |
//! | acknowledgements with a Reason Code | they are rare, and go with properties |
//! | DISCONNECT | rumqttc writes a byte too many when there is a Reason Code and no property |
//! | AUTH | rumqttc has no public type for it |
//!
//! Everything here is checked before: an error of rumqttc's writer is our own fault.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use crate::client::engine::message::Message;
use crate::client::options::Options;
use crate::mqtt::ack::put_ack;
use crate::mqtt::connect::{Connect, Will};
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{self, RetainHandling, SubscribeOptions};
use crate::mqtt::unsubscribe;
use crate::mqtt::{PacketId, PacketType, QoS, Version};

/// From here on a payload is not copied through rumqttc.
const LARGE_PAYLOAD: usize = 4096;

/// Writes packets of one version.
#[derive(Debug)]
pub(super) struct Encoder {
    version: Version,
    /// rumqttc writes into its own kind of buffer; this one keeps its room between packets.
    scratch: BytesMut,
    /// So does the topic of a PUBLISH, which rumqttc's v4 wants as a `String`.
    topic: String,
}

impl Encoder {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            scratch: BytesMut::new(),
            topic: String::new(),
        }
    }

    /// CONNECT, with what `Options` ask for.
    pub(super) fn connect(
        &mut self,
        options: &Options,
        client_id: &str,
        clean_start: bool,
        out: &mut Vec<u8>,
    ) {
        if let Some(login) = plain_login(options) {
            let keep_alive = options.keep_alive;
            if self.version.is_v5() {
                let connect = v5::Connect {
                    keep_alive,
                    client_id: client_id.to_owned(),
                    clean_start,
                    properties: None,
                };
                let login = login.map(|(user, password)| v5::Login::new(user, password));
                self.through(out, |buffer| connect.write(&None, &login, buffer));
            } else {
                let mut connect = v4::Connect::new(client_id);
                connect.keep_alive = keep_alive;
                connect.clean_session = clean_start;
                connect.login = login.map(|(user, password)| v4::Login::new(user, password));
                self.through(out, |buffer| connect.write(buffer));
            }
            return;
        }
        let will = options.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            properties: will.properties.properties(),
        });
        Connect {
            version: self.version,
            bridge: false,
            clean_start,
            keep_alive: options.keep_alive,
            client_id,
            will,
            user_name: options.user_name.as_deref(),
            password: options.password.as_deref(),
            properties: options.properties.properties(),
        }
        .encode(self.version, out);
    }

    /// PUBLISH. A message above QoS 0 has its Packet Identifier.
    pub(super) fn publish(
        &mut self,
        message: &Message<'_>,
        packet_id: Option<PacketId>,
        out: &mut Vec<u8>,
    ) {
        let Message {
            topic,
            payload,
            qos,
            retain,
            properties,
        } = *message;
        if payload.len() >= LARGE_PAYLOAD || (self.version.is_v5() && !properties.is_empty()) {
            Publish {
                dup: false,
                qos,
                retain,
                topic,
                packet_id,
                properties,
                payload,
            }
            .encode(self.version, out);
            return;
        }
        let payload = Bytes::copy_from_slice(payload);
        let pkid = packet_id.map_or(0, PacketId::value);
        if self.version.is_v5() {
            let packet = v5::Publish {
                dup: false,
                qos: qos5(qos),
                retain,
                topic: Bytes::copy_from_slice(topic.as_bytes()),
                pkid,
                payload,
                properties: None,
            };
            self.through(out, |buffer| packet.write(buffer));
        } else {
            let mut name = std::mem::take(&mut self.topic);
            name.clear();
            name.push_str(topic);
            let packet = v4::Publish {
                dup: false,
                qos: qos4(qos),
                retain,
                topic: name,
                pkid,
                payload,
            };
            self.through(out, |buffer| packet.write(buffer));
            self.topic = packet.topic;
        }
    }

    pub(super) fn subscribe(
        &mut self,
        packet_id: PacketId,
        filters: &[(&str, SubscribeOptions)],
        properties: Properties<'_>,
        out: &mut Vec<u8>,
    ) {
        let pkid = packet_id.value();
        if !self.version.is_v5() {
            let mut packet = v4::Subscribe::new_many(filters.iter().map(|(filter, options)| {
                v4::SubscribeFilter::new((*filter).to_owned(), qos4(options.qos))
            }));
            packet.pkid = pkid;
            self.through(out, |buffer| packet.write(buffer));
        } else if properties.is_empty() {
            let mut packet = v5::Subscribe::new_many(
                filters.iter().map(|(filter, options)| v5::Filter {
                    path: (*filter).to_owned(),
                    qos: qos5(options.qos),
                    nolocal: options.no_local,
                    preserve_retain: options.retain_as_published,
                    retain_forward_rule: match options.retain_handling {
                        RetainHandling::Send => v5::RetainForwardRule::OnEverySubscribe,
                        RetainHandling::SendIfNew => v5::RetainForwardRule::OnNewSubscribe,
                        RetainHandling::DoNotSend => v5::RetainForwardRule::Never,
                    },
                }),
                None,
            );
            packet.pkid = pkid;
            self.through(out, |buffer| packet.write(buffer));
        } else {
            subscribe::encode(packet_id, properties, filters, self.version, out);
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet_id: PacketId,
        filters: &[&str],
        properties: Properties<'_>,
        out: &mut Vec<u8>,
    ) {
        let pkid = packet_id.value();
        let owned = || filters.iter().map(|filter| (*filter).to_owned()).collect();
        if !self.version.is_v5() {
            let packet = v4::Unsubscribe {
                pkid,
                topics: owned(),
            };
            self.through(out, |buffer| packet.write(buffer));
        } else if properties.is_empty() {
            let packet = v5::Unsubscribe {
                pkid,
                filters: owned(),
                properties: None,
            };
            self.through(out, |buffer| packet.write(buffer));
        } else {
            unsubscribe::encode(packet_id, properties, filters, self.version, out);
        }
    }

    /// An acknowledgement that everything went well: the same four bytes in every version.
    pub(super) fn ack(&mut self, kind: PacketType, packet_id: PacketId, out: &mut Vec<u8>) {
        let pkid = packet_id.value();
        match kind {
            PacketType::Puback => self.through(out, |buffer| v4::PubAck::new(pkid).write(buffer)),
            PacketType::Pubrec => self.through(out, |buffer| v4::PubRec::new(pkid).write(buffer)),
            PacketType::Pubrel => self.through(out, |buffer| v4::PubRel::new(pkid).write(buffer)),
            PacketType::Pubcomp => self.through(out, |buffer| v4::PubComp::new(pkid).write(buffer)),
            _ => put_ack(kind, packet_id, out),
        }
    }

    fn through<E: Debug>(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut BytesMut) -> Result<usize, E>,
    ) {
        self.scratch.clear();
        write(&mut self.scratch).expect("sizes and identifiers were checked before");
        out.extend_from_slice(&self.scratch);
    }
}

/// The login, when rumqttc writes this CONNECT as it should be.
fn plain_login(options: &Options) -> Option<Option<(&str, &str)>> {
    let is_plain = options.version != Version::V31
        && options.will.is_none()
        && (!options.version.is_v5() || options.properties.is_empty());
    match (is_plain, &options.user_name, &options.password) {
        (true, None, None) => Some(None),
        (true, Some(user), None) if !user.is_empty() => Some(Some((user, ""))),
        (true, Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
            std::str::from_utf8(password)
                .ok()
                .map(|password| Some((user.as_str(), password)))
        }
        _ => None,
    }
}

fn qos4(qos: QoS) -> rumqttc::mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::mqttbytes::QoS::ExactlyOnce,
    }
}

fn qos5(qos: QoS) -> rumqttc::v5::mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::v5::mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::v5::mqttbytes::QoS::ExactlyOnce,
    }
}
