//! Our codec against rumqttc's: two that were written apart must understand each other.
//!
//! Each packet we write is read by rumqttc, written again by it, and read by us: both directions in
//! one walk, and the packet must come back as it was (properties in any order: rumqttc has an
//! order of its own). The faults of rumqttc 0.25.1 are named below, one function each.

use bytes::BytesMut;
use mqttx::mqtt::property::{Properties, PropertyId};
use mqttx::mqtt::{Packet, PacketType, Reason, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use crate::packets::{Model, models, models_of, sorted};

/// A packet as rumqttc understands it.
#[derive(Debug)]
enum Foreign {
    V4(v4::Packet),
    V5(Box<v5::Packet>),
}

fn foreign_read(frame: &[u8], version: Version) -> Result<Foreign, String> {
    let mut buffer = BytesMut::from(frame);
    if version.is_v5() {
        let packet = v5::Packet::read(&mut buffer, None).map_err(|error| error.to_string())?;
        Ok(Foreign::V5(Box::new(packet)))
    } else {
        let packet =
            v4::Packet::read(&mut buffer, usize::MAX).map_err(|error| error.to_string())?;
        Ok(Foreign::V4(packet))
    }
}

fn foreign_write(packet: &Foreign) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    match packet {
        Foreign::V4(packet) => packet.write(&mut buffer, usize::MAX).unwrap(),
        Foreign::V5(packet) => packet.write(&mut buffer, None).unwrap(),
    };
    buffer.to_vec()
}

/// rumqttc steps one byte too far for each Subscription Identifier, over what follows it.
fn loses_what_follows_a_subscription_id(packet: &Packet<'_>) -> bool {
    let properties = match packet {
        Packet::Publish(publish) => publish.properties,
        Packet::Subscribe(subscribe) => subscribe.properties,
        _ => return false,
    };
    properties.subscription_ids().next().is_some()
}

/// rumqttc refuses a DISCONNECT without properties, which is nearly every one.
fn wants_properties_in_disconnect(packet: &Packet<'_>, version: Version) -> bool {
    matches!(packet, Packet::Disconnect(disconnect) if disconnect.properties.is_empty())
        && version.is_v5()
}

/// rumqttc knows AUTH, and does not read it.
fn does_not_read_auth(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Auth(_))
}

/// rumqttc keeps user name and password as one pair of texts, in which empty means absent.
fn has_another_login(packet: &Packet<'_>) -> bool {
    let Packet::Connect(connect) = packet else {
        return false;
    };
    let password = connect.password.map(std::str::from_utf8);
    connect.user_name == Some("")
        || matches!(password, Some(Ok("") | Err(_)))
        || (password.is_some() && connect.user_name.is_none())
}

/// rumqttc knows nothing of bridges.
fn refuses_a_bridge(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Connect(connect) if connect.bridge)
}

/// Section 2.4 gives DISCONNECT the reason 0x8C, section 3.14.2.1 does not; rumqttc follows the
/// latter.
fn has_no_bad_authentication_method(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Disconnect(disconnect)
        if disconnect.reason == Reason::BAD_AUTHENTICATION_METHOD)
}

fn is_a_known_fault(packet: &Packet<'_>, version: Version) -> bool {
    loses_what_follows_a_subscription_id(packet)
        || wants_properties_in_disconnect(packet, version)
        || does_not_read_auth(packet)
        || has_another_login(packet)
        || refuses_a_bridge(packet)
        || has_no_bad_authentication_method(packet)
}

fn same_properties(ours: Properties<'_>, theirs: Properties<'_>) {
    assert_eq!(sorted(ours), sorted(theirs));
}

/// Compares two of our packets, the second of which has been through rumqttc.
fn assert_same(ours: &Packet<'_>, theirs: &Packet<'_>) {
    match (*ours, *theirs) {
        (Packet::Connect(mut ours), Packet::Connect(mut theirs)) => {
            same_properties(ours.properties, theirs.properties);
            ours.properties = Properties::EMPTY;
            theirs.properties = Properties::EMPTY;
            if let (Some(ours), Some(theirs)) = (&mut ours.will, &mut theirs.will) {
                same_properties(ours.properties, theirs.properties);
                ours.properties = Properties::EMPTY;
                theirs.properties = Properties::EMPTY;
            }
            assert_eq!(ours, theirs);
        }
        (Packet::Connack(mut ours), Packet::Connack(mut theirs)) => {
            same_properties(ours.properties, theirs.properties);
            ours.properties = Properties::EMPTY;
            theirs.properties = Properties::EMPTY;
            assert_eq!(ours, theirs);
        }
        (Packet::Publish(mut ours), Packet::Publish(mut theirs)) => {
            same_properties(ours.properties, theirs.properties);
            ours.properties = Properties::EMPTY;
            theirs.properties = Properties::EMPTY;
            assert_eq!(ours, theirs);
        }
        (
            Packet::Puback(ours)
            | Packet::Pubrec(ours)
            | Packet::Pubrel(ours)
            | Packet::Pubcomp(ours),
            Packet::Puback(theirs)
            | Packet::Pubrec(theirs)
            | Packet::Pubrel(theirs)
            | Packet::Pubcomp(theirs),
        ) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(
                (ours.packet_id, ours.reason),
                (theirs.packet_id, theirs.reason)
            );
        }
        (Packet::Subscribe(ours), Packet::Subscribe(theirs)) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(ours.packet_id, theirs.packet_id);
            assert_eq!(
                ours.filters().collect::<Vec<_>>(),
                theirs.filters().collect::<Vec<_>>()
            );
        }
        (Packet::Suback(ours), Packet::Suback(theirs)) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(
                (ours.packet_id, ours.reasons),
                (theirs.packet_id, theirs.reasons)
            );
        }
        (Packet::Unsubscribe(ours), Packet::Unsubscribe(theirs)) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(ours.packet_id, theirs.packet_id);
            assert_eq!(
                ours.filters().collect::<Vec<_>>(),
                theirs.filters().collect::<Vec<_>>()
            );
        }
        (Packet::Unsuback(ours), Packet::Unsuback(theirs)) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(
                (ours.packet_id, ours.reasons),
                (theirs.packet_id, theirs.reasons)
            );
        }
        (Packet::Disconnect(ours), Packet::Disconnect(theirs)) => {
            same_properties(ours.properties, theirs.properties);
            assert_eq!(ours.reason, theirs.reason);
        }
        (ours, theirs) => assert_eq!(ours, theirs),
    }
    assert_eq!(ours.kind(), theirs.kind());
}

/// What rumqttc read is what we read, field by field, for the packets that carry the most.
fn assert_fields(ours: &Packet<'_>, theirs: &Foreign) {
    let theirs = match theirs {
        Foreign::V4(theirs) => return assert_fields_v4(ours, theirs),
        Foreign::V5(theirs) => &**theirs,
    };
    match (ours, theirs) {
        (Packet::Publish(ours), v5::Packet::Publish(theirs)) => {
            assert_eq!((ours.dup, ours.retain), (theirs.dup, theirs.retain));
            assert_eq!(ours.qos.bits(), theirs.qos as u8);
            assert_eq!(ours.packet_id.map_or(0, |id| id.value()), theirs.pkid);
            assert_eq!(ours.topic.as_bytes(), theirs.topic);
            assert_eq!(ours.payload, theirs.payload);
            let theirs = theirs.properties.clone().unwrap_or_default();
            let ours = ours.properties;
            assert_eq!(ours.two(PropertyId::TopicAlias), theirs.topic_alias);
            assert_eq!(
                ours.four(PropertyId::MessageExpiryInterval),
                theirs.message_expiry_interval
            );
            assert_eq!(
                ours.text(PropertyId::ContentType),
                theirs.content_type.as_deref()
            );
            assert_eq!(
                ours.text(PropertyId::ResponseTopic),
                theirs.response_topic.as_deref()
            );
            let correlation_data = theirs.correlation_data.as_deref();
            assert_eq!(ours.binary(PropertyId::CorrelationData), correlation_data);
        }
        (Packet::Connect(ours), v5::Packet::Connect(theirs, will, login)) => {
            assert_eq!(ours.client_id, theirs.client_id);
            assert_eq!(ours.keep_alive, theirs.keep_alive);
            assert_eq!(ours.clean_start, theirs.clean_start);
            assert_eq!(ours.will.is_some(), will.is_some());
            assert_eq!(
                ours.user_name,
                login.as_ref().map(|login| login.username.as_str())
            );
        }
        (Packet::Subscribe(ours), v5::Packet::Subscribe(theirs)) => {
            let filters = theirs.filters.iter().map(|filter| {
                (
                    filter.path.as_str(),
                    filter.qos as u8,
                    filter.nolocal,
                    filter.preserve_retain,
                )
            });
            let ours = ours.filters().map(|(filter, options)| {
                (
                    filter,
                    options.qos.bits(),
                    options.no_local,
                    options.retain_as_published,
                )
            });
            assert_eq!(ours.collect::<Vec<_>>(), filters.collect::<Vec<_>>());
        }
        _ => {}
    }
}

fn assert_fields_v4(ours: &Packet<'_>, theirs: &v4::Packet) {
    match (ours, theirs) {
        (Packet::Publish(ours), v4::Packet::Publish(theirs)) => {
            assert_eq!((ours.dup, ours.retain), (theirs.dup, theirs.retain));
            assert_eq!(ours.qos.bits(), theirs.qos as u8);
            assert_eq!(ours.packet_id.map_or(0, |id| id.value()), theirs.pkid);
            assert_eq!(
                (ours.topic, ours.payload),
                (theirs.topic.as_str(), &theirs.payload[..])
            );
        }
        (Packet::Connect(ours), v4::Packet::Connect(theirs)) => {
            assert_eq!(ours.client_id, theirs.client_id);
            assert_eq!(ours.keep_alive, theirs.keep_alive);
            assert_eq!(ours.clean_start, theirs.clean_session);
            assert_eq!(ours.will.is_some(), theirs.last_will.is_some());
        }
        (Packet::Subscribe(ours), v4::Packet::Subscribe(theirs)) => {
            let filters = theirs
                .filters
                .iter()
                .map(|filter| (filter.path.as_str(), filter.qos as u8));
            let ours = ours
                .filters()
                .map(|(filter, options)| (filter, options.qos.bits()));
            assert_eq!(ours.collect::<Vec<_>>(), filters.collect::<Vec<_>>());
        }
        _ => {}
    }
}

fn check(model: &Model, version: Version) {
    let frame = model.encode(version);
    let ours = Packet::decode(&frame, version).unwrap();
    if is_a_known_fault(&ours, version) {
        return;
    }
    let theirs = foreign_read(&frame, version).unwrap_or_else(|error| panic!("{error}: {ours:?}"));
    assert_fields(&ours, &theirs);
    let back = foreign_write(&theirs);
    let again = Packet::decode(&back, version)
        .unwrap_or_else(|violation| panic!("{violation} in {back:02x?} for {theirs:?}"));
    assert_same(&ours, &again);
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(count)
    }
}

fn shared_versions() -> impl Strategy<Value = Version> {
    select(vec![Version::V311, Version::V5])
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn packets_go_through_both_codecs_and_come_back(
        (version, model) in shared_versions().prop_flat_map(|version| (Just(version), models(version)))
    ) {
        check(&model, version);
    }

    #[test]
    fn publishes_go_through_both_codecs_and_come_back(
        (version, model) in shared_versions()
            .prop_flat_map(|version| (Just(version), models_of(PacketType::Publish, version)))
    ) {
        check(&model, version);
    }

    #[test]
    fn what_we_accept_rumqttc_accepts(
        (version, model) in shared_versions().prop_flat_map(|version| (Just(version), models(version))),
        changes in vec((any::<Index>(), any::<u8>()), 1..3),
    ) {
        let mut frame = model.encode(version);
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let Ok(ours) = Packet::decode(&frame, version) else { return Ok(()) };
        if !is_a_known_fault(&ours, version) {
            let theirs = foreign_read(&frame, version);
            prop_assert!(theirs.is_ok(), "{:?} {:?} {:02x?}", theirs, ours, frame);
        }
    }
}

/// Where the two differ on purpose: what only we read, and what only rumqttc lets pass.
#[test]
fn the_known_differences_are_these() {
    use Version::{V5, V311};
    /// `Ok` if we read the frame, our Reason Code if not; then whether rumqttc reads it.
    fn check(version: Version, frame: &[u8], ours: Result<(), Reason>, theirs: bool) {
        let found = Packet::decode(frame, version);
        let found = found.map(|_| ()).map_err(|violation| violation.reason);
        assert_eq!(found, ours, "{version} {frame:02x?}");
        assert_eq!(
            foreign_read(frame, version).is_ok(),
            theirs,
            "{version} {frame:02x?}"
        );
    }
    let malformed = Err(Reason::MALFORMED_PACKET);
    let protocol_error = Err(Reason::PROTOCOL_ERROR);
    check(V5, b"\xe0\0", Ok(()), false);
    check(V5, b"\xe0\x01\x8e", Ok(()), false);
    check(V5, b"\xf0\0", Ok(()), false);
    check(V5, b"\xf0\x06\x18\x04\x15\0\x01m", Ok(()), false);
    check(
        V311,
        b"\x10\x0d\0\x04MQTT\x84\x02\0\x0a\0\x01c",
        Ok(()),
        false,
    );
    // Reserved flags, bytes left over, lengths in a form too long.
    check(V311, b"\xc1\0", malformed, true);
    check(V311, b"\x41\x02\0\x01", malformed, true);
    check(V311, b"\x40\x03\0\x01\0", malformed, true);
    check(V311, b"\x20\x02\x02\0", malformed, true);
    check(
        V311,
        b"\x10\x0d\0\x04MQTT\x04\x03\0\x0a\0\x01c",
        malformed,
        true,
    );
    check(V311, b"\x30\x84\0\0\x01tx", malformed, true);
    // Topics and filters.
    check(V311, b"\x30\x03\0\x01+", malformed, true);
    check(V311, b"\x30\x03\0\x01\0", malformed, true);
    check(V311, b"\x30\x03\0\0x", protocol_error, true);
    check(V311, b"\x38\x03\0\x01t", malformed, true);
    check(V5, b"\x30\x04\0\x01\xff\0", malformed, true);
    check(V311, b"\x82\x06\0\x01\0\x01+\x04", malformed, true);
    check(V311, b"\x82\x05\0\x01\0\0\0", malformed, true);
    check(V311, b"\xa2\x02\0\x01", protocol_error, true);
    // Packet Identifier 0.
    check(V311, b"\x40\x02\0\0", protocol_error, true);
    check(V311, b"\x82\x06\0\0\0\x01a\0", protocol_error, true);
    // Properties twice, and of values they must not have.
    check(V5, b"\x30\x08\0\x01t\x04\x01\0\x01\0", protocol_error, true);
    check(V5, b"\x30\x06\0\x01t\x02\x01\x02", protocol_error, true);
    check(
        V5,
        b"\x10\x11\0\x04MQTT\x05\x02\0\x0a\x03\x21\0\0\0\x01c",
        protocol_error,
        true,
    );
}

/// rumqttc writes a byte too many behind a DISCONNECT with a reason and no properties.
#[test]
fn a_disconnect_of_rumqttc_is_followed_by_a_stray_byte() {
    let disconnect = v5::Disconnect::new(v5::DisconnectReasonCode::DisconnectWithWillMessage);
    let mut buffer = BytesMut::new();
    disconnect.write(&mut buffer).unwrap();
    assert_eq!(buffer[..], [0xe0, 1, 4, 0]);
    let violation = Packet::decode(&buffer, Version::V5).unwrap_err();
    assert_eq!(violation.reason, Reason::MALFORMED_PACKET);
    assert!(Packet::decode(&buffer[..3], Version::V5).is_ok());
}
