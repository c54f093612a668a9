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
    /// Only `sub` tells what was granted.
    pub(crate) tells_granted: bool,
}

impl Tracer {
    pub(crate) fn new(client_id: &str) -> Self {
        Self {
            trace: Trace::new(client_id),
            client_id_is_empty: client_id.is_empty(),
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

    fn sent(&self, packet: &Packet<'_>) -> String {
        let trace = &self.trace;
        match packet {
            Packet::Publish(publish) => trace.publish(
                "sending",
                publish.dup,
                publish.qos,
                publish.retain,
                publish.packet_id.map_or(0, |id| id.value()),
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
        let trace = &self.trace;
        match packet {
            Packet::Connack(connack) => {
                let line = trace.connack(connack.reason.value());
                let assigned = connack
                    .properties
                    .text(PropertyId::AssignedClientIdentifier);
                if let Some(assigned) = assigned.filter(|_| self.client_id_is_empty) {
                    self.trace = Trace::new(assigned);
                }
                line
            }
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
