//! `-d`: packets in either direction, as the lines of `cli::format::trace`.

use crate::cli::format::trace::{self, Trace};
use crate::client::Way;
use crate::mqtt::ack::Ack;
use crate::mqtt::property::PropertyId;
use crate::mqtt::{Packet, PacketType};

/// Writes the lines for `-d`; without it nothing is ever written.
#[derive(Debug)]
pub(crate) struct Tracer {
    trace: Trace,
    client_id_is_empty: bool,
    /// mosquitto's clients give a number to messages of QoS 0 too, which goes nowhere but here.
    last_id: u16,
    /// Only `sub` tells what was granted.
    pub(crate) tells_granted: bool,
}

impl Tracer {
    pub(crate) fn new(client_id: &str) -> Self {
        Self {
            trace: Trace::new(client_id),
            client_id_is_empty: client_id.is_empty(),
            last_id: 0,
            tells_granted: false,
        }
    }

    pub(crate) fn packet(&mut self, way: Way, packet: &Packet<'_>, out: &mut Vec<u8>) {
        let lines = match way {
            Way::Sent => self.sent(packet),
            Way::Received => self.received(packet),
        };
        out.extend_from_slice(lines.as_bytes());
    }

    fn sent(&mut self, packet: &Packet<'_>) -> String {
        self.last_id = match packet {
            Packet::Publish(publish) => match publish.packet_id {
                Some(id) => id.value(),
                None => self.last_id.checked_add(1).unwrap_or(1),
            },
            Packet::Subscribe(subscribe) => subscribe.packet_id.value(),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.packet_id.value(),
            _ => self.last_id,
        };
        let trace = &self.trace;
        match packet {
            Packet::Publish(publish) => trace.publish(
                "sending",
                publish.dup,
                publish.qos,
                publish.retain,
                self.last_id,
                publish.topic,
                publish.payload.len(),
            ),
            Packet::Puback(ack) | Packet::Pubrec(ack) => {
                trace.sending_ack(packet.kind().name(), id(ack), Some(ack.reason.value()))
            }
            Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                trace.sending_ack(packet.kind().name(), id(ack), None)
            }
            Packet::Subscribe(subscribe) => subscribe
                .filters()
                .map(|(filter, options)| {
                    let bits = options.bits();
                    trace.subscribe(subscribe.packet_id.value(), filter, bits & 3, bits & !3)
                })
                .collect(),
            Packet::Unsubscribe(unsubscribe) => unsubscribe
                .filters()
                .map(|filter| trace.unsubscribe(unsubscribe.packet_id.value(), filter))
                .collect(),
            _ => trace.sending(packet.kind().name()),
        }
    }

    fn received(&mut self, packet: &Packet<'_>) -> String {
        if let Packet::Connack(connack) = packet
            && self.client_id_is_empty
            && let Some(id) = connack
                .properties
                .text(PropertyId::AssignedClientIdentifier)
        {
            self.trace = Trace::new(id);
        }
        let trace = &self.trace;
        match packet {
            Packet::Connack(connack) => trace.connack(connack.reason.value()),
            Packet::Publish(publish) => trace.publish(
                "received",
                publish.dup,
                publish.qos,
                publish.retain,
                publish.packet_id.map_or(0, |id| id.value()),
                publish.topic,
                publish.payload.len(),
            ),
            Packet::Puback(ack) | Packet::Pubcomp(ack) => {
                trace.received_ack(packet.kind().name(), id(ack), Some(ack.reason.value()))
            }
            Packet::Pubrec(ack) | Packet::Pubrel(ack) => {
                trace.received_ack(packet.kind().name(), id(ack), None)
            }
            Packet::Suback(suback) => {
                let mut lines = trace.received(PacketType::Suback.name());
                if self.tells_granted {
                    lines.push_str(&trace::subscribed(suback.packet_id.value(), suback.reasons));
                }
                lines
            }
            Packet::Disconnect(disconnect) => {
                format!("Received DISCONNECT ({})\n", disconnect.reason.value())
            }
            _ => trace.received(packet.kind().name()),
        }
    }
}

fn id(ack: &Ack<'_>) -> u16 {
    ack.packet_id.value()
}
