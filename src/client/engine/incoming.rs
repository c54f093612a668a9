//! What the broker sends: read by `mqtt`, answered here, and told to the handler.
//!
//! An acknowledgement is put behind the bytes to write before the handler sees the message, and the
//! pump writes nothing before the handler has returned: a message is acknowledged when it was
//! handled, not when it arrived.

use crate::client::engine::{BrokerLimits, Engine, Phase, Releasing, Stop};
use crate::client::handler::{Acked, Event, Handler, Way};
use crate::mqtt::ack::{Ack, put_ack_reason};
use crate::mqtt::auth::Auth;
use crate::mqtt::connack::{Connack, V3_CODE_MAX};
use crate::mqtt::delivery::{AliasesIn, Pubrec};
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::frame::Head;
use crate::mqtt::property::{Properties, PropertyId};
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::Suback;
use crate::mqtt::unsubscribe::Unsuback;
use crate::mqtt::{Packet, PacketId, PacketType, QoS, Reason, Version, Violation, limits};

impl Engine {
    /// Takes one whole packet. An error: the connection is to be ended.
    pub fn handle<H: Handler>(
        &mut self,
        head: Head,
        frame: &[u8],
        handler: &mut H,
    ) -> Result<(), Stop> {
        let (first, body) = (head.first, &frame[head.head_len..]);
        let version = self.options.version;
        if self.phase == Phase::Connecting {
            unknown_refusal(first, body, version)?;
        }
        if self.options.trace {
            handler.packet(Way::Received, &Packet::decode(frame, version)?);
        }
        let Some(kind) = PacketType::from_first(first) else {
            return Err(Violation::malformed("packet type 0").into());
        };
        let is_early = self.phase == Phase::Connecting;
        if is_early && !matches!(kind, PacketType::Connack | PacketType::Auth) {
            return Err(Violation::protocol_error("the first packet is no CONNACK").into());
        }
        match kind {
            PacketType::Publish => {
                self.handle_publish(Publish::decode(first, body, version)?, handler)?;
            }
            PacketType::Puback => self.handle_puback(Ack::decode(first, body, version)?, handler),
            PacketType::Pubrec => self.handle_pubrec(Ack::decode(first, body, version)?, handler),
            PacketType::Pubrel => self.handle_pubrel(Ack::decode(first, body, version)?, handler),
            PacketType::Pubcomp => self.handle_pubcomp(Ack::decode(first, body, version)?, handler),
            PacketType::Suback => {
                let suback = Suback::decode(first, body, version)?;
                if self.is_answer(suback.packet_id) {
                    handler.handle(Event::Suback(suback), self);
                }
            }
            PacketType::Unsuback => {
                let unsuback = Unsuback::decode(first, body, version)?;
                if self.is_answer(unsuback.packet_id) {
                    handler.handle(Event::Unsuback(unsuback), self);
                }
            }
            PacketType::Pingresp => {
                Packet::decode(frame, version)?;
                self.is_ping_open = false;
                handler.handle(Event::Pong, self);
            }
            PacketType::Connack if is_early => {
                self.handle_connack(Connack::decode(first, body, version)?, handler)?;
            }
            PacketType::Auth if version.is_v5() => {
                let auth = Auth::decode(first, body, version)?;
                if !self.proves(&auth)? {
                    handler.handle(Event::Auth(auth), self);
                }
            }
            PacketType::Disconnect if version.is_v5() => {
                let disconnect = Disconnect::decode(first, body, version)?;
                handler.handle(Event::Disconnect(disconnect), self);
                let Disconnect { reason, properties } = disconnect;
                return Err(Stop::Disconnected {
                    reason,
                    properties: properties.into(),
                });
            }
            _ => return Err(Violation::protocol_error("a broker does not send this").into()),
        }
        self.tell_sent(handler);
        Ok(())
    }

    fn handle_connack<H: Handler>(
        &mut self,
        connack: Connack<'_>,
        handler: &mut H,
    ) -> Result<(), Stop> {
        let Connack {
            session_present,
            reason,
            properties,
        } = connack;
        if reason != Reason::SUCCESS {
            handler.handle(Event::Connack(connack), self);
            return Err(Stop::Refused {
                reason,
                properties: properties.into(),
            });
        }
        // [MQTT-3.2.2-4]
        if session_present && self.options.clean_start && self.connections == 0 {
            let told = "Session Present, though a clean start was asked for";
            return Err(Violation::protocol_error(told).into());
        }
        self.check_proof(properties)?;
        self.connections += 1;
        self.learn_limits(properties);
        self.phase = Phase::Up;
        self.resume(session_present, handler);
        self.tell_sent(handler);
        handler.handle(Event::Connack(connack), self);
        Ok(())
    }

    /// §3.2.2.3: what the broker does not say has the standard's default.
    fn learn_limits(&mut self, properties: Properties<'_>) {
        let options = &self.options;
        let mut broker = BrokerLimits::unknown(options.keep_alive);
        let flag = |id| properties.byte(id).is_none_or(|value| value == 1);
        broker.retain_available = flag(PropertyId::RetainAvailable);
        broker.wildcards_available = flag(PropertyId::WildcardSubscriptionAvailable);
        broker.shares_available = flag(PropertyId::SharedSubscriptionAvailable);
        broker.subscription_ids_available = flag(PropertyId::SubscriptionIdentifierAvailable);
        if let Some(qos) = properties
            .byte(PropertyId::MaximumQos)
            .and_then(QoS::from_bits)
        {
            broker.qos_max = qos;
        }
        if let Some(size) = properties.four(PropertyId::MaximumPacketSize) {
            broker.packet_size_max = (size as usize).min(limits::PACKET_SIZE_MAX);
        }
        if let Some(max) = properties.two(PropertyId::TopicAliasMaximum) {
            broker.topic_alias_max = max;
        }
        if let Some(seconds) = properties.two(PropertyId::ServerKeepAlive) {
            broker.keep_alive = seconds; // [MQTT-3.2.2-21]; 0 turns it off
        }
        let receive_max = properties
            .two(PropertyId::ReceiveMaximum)
            .unwrap_or(u16::MAX);
        self.sender.set_quota(options.inflight_max.min(receive_max));
        if let Some(client_id) = properties.text(PropertyId::AssignedClientIdentifier) {
            self.client_id = Some(client_id.to_owned());
        }
        let alias_max = options
            .properties
            .properties()
            .two(PropertyId::TopicAliasMaximum);
        self.aliases_in = AliasesIn::new(alias_max.unwrap_or(0));
        self.broker = broker;
    }

    #[inline]
    fn handle_publish<H: Handler>(
        &mut self,
        publish: Publish<'_>,
        handler: &mut H,
    ) -> Result<(), Violation> {
        let alias = match publish.properties.is_empty() {
            true => None,
            false => publish.properties.two(PropertyId::TopicAlias),
        };
        let resolved: Option<Box<str>> = match alias {
            None if publish.topic.is_empty() => {
                return Err(Violation::protocol_error(
                    "a PUBLISH without topic and alias",
                ));
            }
            None => None,
            Some(alias) => match self.aliases_in.resolve(alias, publish.topic) {
                Some(topic) => Some(topic.into()),
                None => {
                    let what = "a topic alias that stands for nothing";
                    return Err(Violation::new(Reason::TOPIC_ALIAS_INVALID, what));
                }
            },
        };
        let topic = resolved.as_deref().unwrap_or(publish.topic);
        let publish = Publish { topic, ..publish };
        // Whoever said "no more" must not be given more, nor acknowledge what was not handled.
        if self.phase != Phase::Up {
            return Ok(());
        }
        let start = self.out.len();
        let is_new = match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => {
                self.encoder.ack(PacketType::Puback, id, &mut self.out);
                true
            }
            (QoS::ExactlyOnce, Some(id)) => {
                let is_new = self.receiver.publish(id);
                if is_new && self.receiver.len() > self.receive_max() {
                    let what = "more unreleased messages than the Receive Maximum";
                    return Err(Violation::new(Reason::RECEIVE_MAXIMUM_EXCEEDED, what));
                }
                self.encoder.ack(PacketType::Pubrec, id, &mut self.out);
                is_new
            }
            _ => true,
        };
        if publish.qos > QoS::AtMostOnce {
            self.owed += self.out.len() - start;
            self.note_sent(start);
            self.tell_sent(handler);
        }
        if is_new {
            handler.handle(Event::Message(publish), self);
        }
        Ok(())
    }

    fn receive_max(&self) -> usize {
        let said = self
            .options
            .properties
            .properties()
            .two(PropertyId::ReceiveMaximum);
        usize::from(said.unwrap_or(limits::RECEIVE_MAX_DEFAULT))
    }

    #[inline]
    fn handle_puback<H: Handler>(&mut self, ack: Ack<'_>, handler: &mut H) {
        if let Some(kept) = self.sender.puback(ack.packet_id) {
            self.acked(kept.ticket, ack, handler);
        }
    }

    fn handle_pubrec<H: Handler>(&mut self, ack: Ack<'_>, handler: &mut H) {
        let id = ack.packet_id;
        match self.sender.pubrec(id, ack.reason.is_error()) {
            Pubrec::Ended(kept) => self.acked(kept.ticket, ack, handler),
            Pubrec::Release(kept) => {
                if let Some(kept) = kept {
                    let releasing = Releasing {
                        ticket: kept.ticket,
                        is_repeated: false,
                    };
                    self.releasing.insert(id, releasing);
                }
                self.put_answer(PacketType::Pubrel, id, true);
            }
            Pubrec::Unknown => self.put_answer(PacketType::Pubrel, id, false),
        }
    }

    /// Every PUBREL is answered, also one of a session that this process has not seen.
    fn handle_pubrel<H: Handler>(&mut self, ack: Ack<'_>, handler: &mut H) {
        let is_known = self.receiver.release(ack.packet_id);
        self.put_answer(PacketType::Pubcomp, ack.packet_id, is_known);
        self.tell_sent(handler);
    }

    fn handle_pubcomp<H: Handler>(&mut self, ack: Ack<'_>, handler: &mut H) {
        if self.sender.pubcomp(ack.packet_id) {
            // One that an earlier process released has no ticket.
            match self.releasing.remove(&ack.packet_id) {
                // A broker that answered before, and has forgotten, is right (§4.13 of 5.0, 0x92).
                Some(Releasing {
                    ticket,
                    is_repeated: true,
                }) if ack.reason == Reason::PACKET_ID_NOT_FOUND => {
                    self.acked(
                        ticket,
                        Ack {
                            reason: Reason::SUCCESS,
                            ..ack
                        },
                        handler,
                    );
                }
                Some(Releasing { ticket, .. }) => self.acked(ticket, ack, handler),
                None => self.start_waiting(),
            }
        }
    }

    #[inline]
    fn acked<H: Handler>(&mut self, ticket: u64, ack: Ack<'_>, handler: &mut H) {
        self.start_waiting();
        let Ack {
            packet_id,
            reason,
            properties,
        } = ack;
        handler.handle(
            Event::Acked(Acked {
                ticket,
                packet_id,
                reason,
                properties,
            }),
            self,
        );
    }

    /// Before version 5 there is no way to say "unknown", and the answer must come all the same.
    fn put_answer(&mut self, kind: PacketType, id: PacketId, is_known: bool) {
        let start = self.out.len();
        if is_known || !self.options.version.is_v5() {
            self.encoder.ack(kind, id, &mut self.out);
        } else {
            let reason = Reason::PACKET_ID_NOT_FOUND;
            put_ack_reason(kind, id, reason, Properties::EMPTY, &mut self.out);
        }
        self.owed += self.out.len() - start;
        self.note_sent(start);
    }
}

/// A refusal for a reason no standard knows. That it is one says more than that a rule was broken;
/// the connection ends either way.
fn unknown_refusal(first: u8, body: &[u8], version: Version) -> Result<(), Stop> {
    let [0, code @ 1..=u8::MAX, properties @ ..] = body else {
        return Ok(());
    };
    let reason = Reason(*code);
    let is_unknown = match version {
        Version::V31 | Version::V311 => properties.is_empty() && reason.value() > V3_CODE_MAX,
        Version::V5 => !properties.is_empty() && !reason.allowed_in(PacketType::Connack),
    };
    match first == PacketType::Connack.first() && is_unknown {
        false => Ok(()),
        true => Err(Stop::Refused {
            reason,
            properties: Properties::EMPTY.into(),
        }),
    }
}
