//! Packets to test with: every kind in every version, as proptest strategies.
//!
//! A [`Model`] owns what a packet borrows, so that it can be kept, printed and shrunk.

use mqttx::mqtt::ack::Ack;
use mqttx::mqtt::auth::Auth;
use mqttx::mqtt::connack::Connack;
use mqttx::mqtt::connect::{Connect, Will};
use mqttx::mqtt::disconnect::Disconnect;
use mqttx::mqtt::property::{
    Place, Properties, PropertiesBuf, PropertyId, TABLE, Value, ValueType,
};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::subscribe::{self, RetainHandling, Suback, SubscribeOptions};
use mqttx::mqtt::unsubscribe::{self, Unsuback};
use mqttx::mqtt::{Packet, PacketId, PacketType, QoS, Reason, Version};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// The parts of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Model {
    Connect {
        version: Version,
        bridge: bool,
        clean_start: bool,
        keep_alive: u16,
        client_id: String,
        will: Option<ModelWill>,
        user_name: Option<String>,
        password: Option<Vec<u8>>,
        properties: PropertiesBuf,
    },
    Connack {
        session_present: bool,
        reason: Reason,
        properties: PropertiesBuf,
    },
    Publish {
        dup: bool,
        retain: bool,
        topic: String,
        delivery: Option<(QoS, PacketId)>,
        properties: PropertiesBuf,
        payload: Vec<u8>,
    },
    Ack {
        kind: PacketType,
        packet_id: PacketId,
        reason: Reason,
        properties: PropertiesBuf,
    },
    Subscribe {
        packet_id: PacketId,
        properties: PropertiesBuf,
        filters: Vec<(String, SubscribeOptions)>,
    },
    Suback {
        packet_id: PacketId,
        properties: PropertiesBuf,
        reasons: Vec<u8>,
    },
    Unsubscribe {
        packet_id: PacketId,
        properties: PropertiesBuf,
        filters: Vec<String>,
    },
    Unsuback {
        packet_id: PacketId,
        properties: PropertiesBuf,
        reasons: Vec<u8>,
    },
    Ping(PacketType),
    Disconnect {
        reason: Reason,
        properties: PropertiesBuf,
    },
    Auth {
        reason: Reason,
        properties: PropertiesBuf,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct ModelWill {
    qos: QoS,
    retain: bool,
    topic: String,
    payload: Vec<u8>,
    properties: PropertiesBuf,
}

impl Model {
    /// The packet as our encoder writes it.
    pub(crate) fn encode(&self, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Subscribe {
                packet_id,
                properties,
                filters,
            } => {
                let filters: Vec<_> = filters
                    .iter()
                    .map(|(filter, options)| (filter.as_str(), *options))
                    .collect();
                subscribe::encode(
                    *packet_id,
                    properties.properties(),
                    &filters,
                    version,
                    &mut out,
                );
            }
            Self::Unsubscribe {
                packet_id,
                properties,
                filters,
            } => {
                let filters: Vec<_> = filters.iter().map(String::as_str).collect();
                let properties = properties.properties();
                unsubscribe::encode(*packet_id, properties, &filters, version, &mut out);
            }
            _ => self.packet().encode(version, &mut out),
        }
        out
    }

    /// Fails the test unless `found` says what this model says.
    pub(crate) fn assert_is(&self, found: &Packet<'_>) {
        match (self, found) {
            (
                Self::Subscribe {
                    packet_id,
                    properties,
                    filters,
                },
                Packet::Subscribe(found),
            ) => {
                let filters: Vec<_> = filters
                    .iter()
                    .map(|(filter, options)| (filter.as_str(), *options))
                    .collect();
                assert_eq!(found.packet_id, *packet_id);
                assert_eq!(found.properties, properties.properties());
                assert_eq!(found.filters().collect::<Vec<_>>(), filters);
            }
            (
                Self::Unsubscribe {
                    packet_id,
                    properties,
                    filters,
                },
                Packet::Unsubscribe(found),
            ) => {
                assert_eq!(found.packet_id, *packet_id);
                assert_eq!(found.properties, properties.properties());
                assert_eq!(found.filters().collect::<Vec<_>>(), *filters);
            }
            _ => assert_eq!(*found, self.packet()),
        }
    }

    /// The packet, for the kinds that can be put together from their parts.
    fn packet(&self) -> Packet<'_> {
        match self {
            Self::Connect {
                version,
                bridge,
                clean_start,
                keep_alive,
                client_id,
                will,
                user_name,
                password,
                properties,
            } => Packet::Connect(Connect {
                version: *version,
                bridge: *bridge,
                clean_start: *clean_start,
                keep_alive: *keep_alive,
                client_id,
                will: will.as_ref().map(|will| Will {
                    qos: will.qos,
                    retain: will.retain,
                    topic: &will.topic,
                    payload: &will.payload,
                    properties: will.properties.properties(),
                }),
                user_name: user_name.as_deref(),
                password: password.as_deref(),
                properties: properties.properties(),
            }),
            Self::Connack {
                session_present,
                reason,
                properties,
            } => Packet::Connack(Connack {
                session_present: *session_present,
                reason: *reason,
                properties: properties.properties(),
            }),
            Self::Publish {
                dup,
                retain,
                topic,
                delivery,
                properties,
                payload,
            } => Packet::Publish(Publish {
                dup: *dup,
                qos: delivery.map_or(QoS::AtMostOnce, |(qos, _)| qos),
                retain: *retain,
                topic,
                packet_id: delivery.map(|(_, id)| id),
                properties: properties.properties(),
                payload,
            }),
            Self::Ack {
                kind,
                packet_id,
                reason,
                properties,
            } => {
                let properties = properties.properties();
                let ack = Ack {
                    packet_id: *packet_id,
                    reason: *reason,
                    properties,
                };
                match kind {
                    PacketType::Puback => Packet::Puback(ack),
                    PacketType::Pubrec => Packet::Pubrec(ack),
                    PacketType::Pubrel => Packet::Pubrel(ack),
                    _ => Packet::Pubcomp(ack),
                }
            }
            Self::Suback {
                packet_id,
                properties,
                reasons,
            } => Packet::Suback(Suback {
                packet_id: *packet_id,
                properties: properties.properties(),
                reasons,
            }),
            Self::Unsuback {
                packet_id,
                properties,
                reasons,
            } => Packet::Unsuback(Unsuback {
                packet_id: *packet_id,
                properties: properties.properties(),
                reasons,
            }),
            Self::Ping(PacketType::Pingreq) => Packet::Pingreq,
            Self::Ping(_) => Packet::Pingresp,
            Self::Disconnect { reason, properties } => Packet::Disconnect(Disconnect {
                reason: *reason,
                properties: properties.properties(),
            }),
            Self::Auth { reason, properties } => Packet::Auth(Auth {
                reason: *reason,
                properties: properties.properties(),
            }),
            Self::Subscribe { .. } | Self::Unsubscribe { .. } => {
                unreachable!("these two are compared by their parts")
            }
        }
    }
}

pub(crate) fn versions() -> impl Strategy<Value = Version> {
    select(&Version::ALL[..])
}

/// A packet of any kind that `version` has.
pub(crate) fn models(version: Version) -> BoxedStrategy<Model> {
    let kinds = &PacketType::ALL[..if version.is_v5() { 15 } else { 14 }];
    select(kinds)
        .prop_flat_map(move |kind| models_of(kind, version))
        .boxed()
}

/// A packet of this kind.
pub(crate) fn models_of(kind: PacketType, version: Version) -> BoxedStrategy<Model> {
    let properties = match Place::of(kind) {
        Some(place) if version.is_v5() => properties(place),
        _ => Just(PropertiesBuf::new()).boxed(),
    };
    match kind {
        PacketType::Connect => connects(version, properties),
        PacketType::Connack => (any::<bool>(), reasons(kind, version), properties)
            .prop_map(move |(session_present, reason, properties)| {
                let session_present =
                    session_present && reason == Reason::SUCCESS && version != Version::V31;
                Model::Connack {
                    session_present,
                    reason,
                    properties,
                }
            })
            .boxed(),
        PacketType::Publish => publishes(properties),
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            (packet_ids(), reasons(kind, version), properties)
                .prop_map(move |(packet_id, reason, properties)| Model::Ack {
                    kind,
                    packet_id,
                    reason,
                    properties,
                })
                .boxed()
        }
        PacketType::Subscribe => (packet_ids(), properties, vec(subscriptions(version), 1..4))
            .prop_map(|(packet_id, properties, filters)| Model::Subscribe {
                packet_id,
                properties,
                filters,
            })
            .boxed(),
        PacketType::Suback => (packet_ids(), properties, vec(reasons(kind, version), 1..5))
            .prop_map(|(packet_id, properties, reasons)| {
                let reasons = reasons.into_iter().map(Reason::value).collect();
                Model::Suback {
                    packet_id,
                    properties,
                    reasons,
                }
            })
            .boxed(),
        PacketType::Unsubscribe => (packet_ids(), properties, vec(filters(), 1..4))
            .prop_map(|(packet_id, properties, filters)| Model::Unsubscribe {
                packet_id,
                properties,
                filters,
            })
            .boxed(),
        PacketType::Unsuback => {
            let count = if version.is_v5() { 1..5 } else { 0..1 };
            (packet_ids(), properties, vec(reasons(kind, version), count))
                .prop_map(|(packet_id, properties, reasons)| {
                    let reasons = reasons.into_iter().map(Reason::value).collect();
                    Model::Unsuback {
                        packet_id,
                        properties,
                        reasons,
                    }
                })
                .boxed()
        }
        PacketType::Pingreq | PacketType::Pingresp => Just(Model::Ping(kind)).boxed(),
        PacketType::Disconnect => (reasons(kind, version), properties)
            .prop_map(|(reason, properties)| Model::Disconnect { reason, properties })
            .boxed(),
        PacketType::Auth => (reasons(kind, version), properties)
            .prop_map(|(reason, properties)| Model::Auth { reason, properties })
            .boxed(),
    }
}

fn connects(version: Version, properties: BoxedStrategy<PropertiesBuf>) -> BoxedStrategy<Model> {
    let will_properties = match version {
        Version::V5 => self::properties(Place::Will),
        _ => Just(PropertiesBuf::new()).boxed(),
    };
    let will = (qos(), any::<bool>(), topics(), payloads(), will_properties).prop_map(
        |(qos, retain, topic, payload, properties)| ModelWill {
            qos,
            retain,
            topic,
            payload,
            properties,
        },
    );
    let login = (option::of(texts()), option::of(payloads()));
    (
        any::<(bool, bool, u16)>(),
        texts(),
        option::of(will),
        login,
        properties,
    )
        .prop_map(
            move |(head, client_id, will, (user_name, password), properties)| {
                let (bridge, clean_start, keep_alive) = head;
                let may_have_password = version.is_v5() || user_name.is_some();
                Model::Connect {
                    version,
                    bridge: bridge && !version.is_v5(),
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    user_name,
                    password: password.filter(|_| may_have_password),
                    properties,
                }
            },
        )
        .boxed()
}

fn publishes(properties: BoxedStrategy<PropertiesBuf>) -> BoxedStrategy<Model> {
    let delivery = option::of((
        select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]),
        packet_ids(),
    ));
    (
        any::<(bool, bool, bool)>(),
        topics(),
        delivery,
        properties,
        payloads(),
    )
        .prop_map(
            |((dup, retain, hide_topic), topic, delivery, properties, payload)| {
                let has_alias = properties
                    .properties()
                    .find(PropertyId::TopicAlias)
                    .is_some();
                Model::Publish {
                    dup: dup && delivery.is_some(),
                    retain,
                    topic: if hide_topic && has_alias {
                        String::new()
                    } else {
                        topic
                    },
                    delivery,
                    properties,
                    payload,
                }
            },
        )
        .boxed()
}

fn subscriptions(version: Version) -> impl Strategy<Value = (String, SubscribeOptions)> {
    let handling = select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (filters(), qos(), any::<(bool, bool)>(), handling).prop_map(
        move |(filter, qos, (no_local, retain_as_published), retain_handling)| {
            let options = if version.is_v5() {
                let no_local = no_local && !filter.starts_with("$share/");
                SubscribeOptions {
                    qos,
                    no_local,
                    retain_as_published,
                    retain_handling,
                }
            } else {
                SubscribeOptions::with_qos(qos)
            };
            (filter, options)
        },
    )
}

/// The reasons this packet may carry in this version.
fn reasons(kind: PacketType, version: Version) -> impl Strategy<Value = Reason> {
    let values: Vec<u8> = match (kind, version) {
        (_, Version::V5) => (0..=255)
            .filter(|&value| Reason(value).allowed_in(kind))
            .collect(),
        (PacketType::Connack, _) => (0..=5).collect(),
        (PacketType::Suback, _) => vec![0, 1, 2, 0x80],
        _ => vec![0],
    };
    select(values).prop_map(Reason)
}

/// Some of the properties that may stand in `place`, in any order.
pub(crate) fn properties(place: Place) -> BoxedStrategy<PropertiesBuf> {
    let ids: Vec<PropertyId> = TABLE
        .iter()
        .filter(|row| row.allowed_in(place))
        .map(|row| row.id)
        .collect();
    let most = ids.len().min(6);
    let repeated = vec(
        (
            any::<prop::sample::Index>(),
            texts(),
            texts(),
            1..=268_435_455_u32,
        ),
        0..3,
    );
    let values = (any::<(bool, u16, u32)>(), texts(), topics(), payloads());
    (
        subsequence(ids, 0..=most).prop_shuffle(),
        vec(values, most),
        repeated,
    )
        .prop_map(move |(ids, values, repeated)| {
            let mut buf = PropertiesBuf::new();
            if place == Place::Auth && !ids.contains(&PropertyId::AuthenticationMethod) {
                buf.push(PropertyId::AuthenticationMethod, Value::String("m"));
            }
            for (id, ((flag, two, four), text, topic, binary)) in ids.into_iter().zip(&values) {
                let has_method = |buf: &PropertiesBuf| {
                    buf.properties()
                        .find(PropertyId::AuthenticationMethod)
                        .is_some()
                };
                if id == PropertyId::AuthenticationData && !has_method(&buf) {
                    continue;
                }
                let value = match id.row().value_type {
                    ValueType::Byte => Value::Byte(u8::from(*flag)),
                    ValueType::Two => Value::Two((*two).max(1)),
                    ValueType::Four => Value::Four((*four).max(1)),
                    ValueType::Variable => Value::Variable((four >> 4).max(1)),
                    ValueType::String if id == PropertyId::ResponseTopic => Value::String(topic),
                    ValueType::String => Value::String(text),
                    ValueType::Pair => Value::Pair(text, topic),
                    ValueType::Binary => Value::Binary(binary),
                };
                buf.push(id, value);
            }
            for (which, name, text, subscription_id) in &repeated {
                if place == Place::Publish && which.index(2) == 0 {
                    let value = Value::Variable(*subscription_id);
                    buf.push(PropertyId::SubscriptionIdentifier, value);
                } else {
                    buf.push(PropertyId::UserProperty, Value::Pair(name, text));
                }
            }
            buf
        })
        .boxed()
}

/// The same properties ordered by identifier: codecs that sort them can be compared.
pub(crate) fn sorted(properties: Properties<'_>) -> Vec<(PropertyId, Value<'_>)> {
    let mut properties: Vec<_> = properties.iter().collect();
    properties.sort_by_key(|(id, _)| *id);
    properties
}

fn packet_ids() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_filter_map("not zero", PacketId::new)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\PC{0,8}",
        1 => "[a-z]{100,200}",
    ]
}

fn topics() -> impl Strategy<Value = String> {
    "(/|[a-z]{1,4}|\u{e9}|\u{1f600}| |\\$SYS)(/|[a-z]{0,4}|\u{2603}){0,4}"
}

fn filters() -> impl Strategy<Value = String> {
    let plain = "(\\+|[a-z\u{e9}]{0,3})(/(\\+|[a-z]{0,3})){0,3}(/#)?".prop_map(|text| {
        if text.is_empty() {
            "#".to_owned()
        } else {
            text
        }
    });
    (option::weighted(0.2, "[a-z]{1,4}"), plain).prop_map(|(share, filter)| match share {
        Some(share) => format!("$share/{share}/{filter}"),
        None => filter,
    })
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..16),
        1 => vec(any::<u8>(), 100..300),
    ]
}
