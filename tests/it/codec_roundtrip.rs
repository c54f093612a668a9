//! Every packet in every version is read as it was written, and no bytes make a decoder panic.

use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::{Packet, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::packets::{models, versions};

fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1_000)
    }
}

/// What must hold for any bytes: no panic, and what was understood survives being written.
fn read_any(frame: &[u8], version: Version) {
    let Ok(packet) = Packet::decode(frame, version) else {
        return;
    };
    // CONNECT says its own version.
    let mut again = Vec::new();
    packet.encode(version, &mut again);
    // What a server of version 3 refuses a client of version 5 with is two bytes without properties.
    let is_of_v3 = version.is_v5() && frame == [0x20, 2, 0, 1];
    assert!(
        again.len() <= frame.len() || is_of_v3,
        "an encoder is never longer than what it was read from"
    );
    let second = Packet::decode(&again, version).unwrap();
    let mut last = Vec::new();
    second.encode(version, &mut last);
    assert_eq!(last, again, "{packet:?}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_packet_is_read_as_it_was_written(
        (version, model) in versions().prop_flat_map(|version| (Just(version), models(version)))
    ) {
        let frame = model.encode(version);
        model.assert_is(&Packet::decode(&frame, version).unwrap());
        let Scan::Head(head) = scan(&frame, PACKET_SIZE_MAX).unwrap() else { panic!("no head") };
        prop_assert_eq!(head.total(), frame.len());
    }

    #[test]
    fn a_packet_cut_short_or_followed_by_more_is_no_packet(
        (version, model) in versions().prop_flat_map(|version| (Just(version), models(version))),
        cut in any::<Index>(),
    ) {
        let mut frame = model.encode(version);
        prop_assert!(Packet::decode(&frame[..cut.index(frame.len())], version).is_err());
        frame.push(0);
        prop_assert!(Packet::decode(&frame, version).is_err());
    }

    #[test]
    fn a_changed_packet_never_panics(
        (version, model) in versions().prop_flat_map(|version| (Just(version), models(version))),
        as_version in versions(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = model.encode(version);
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        read_any(&frame, as_version);
    }

    #[test]
    fn a_packet_with_a_changed_body_never_panics(
        (version, model) in versions().prop_flat_map(|version| (Just(version), models(version))),
        cut in any::<Index>(),
        insert in vec(any::<u8>(), 0..4),
    ) {
        let mut frame = model.encode(version);
        let Scan::Head(head) = scan(&frame, PACKET_SIZE_MAX).unwrap() else { panic!("no head") };
        let body = &mut frame[head.head_len..];
        let mut changed = body.to_vec();
        let at = cut.index(changed.len() + 1);
        changed.truncate(at);
        changed.extend_from_slice(&insert);
        changed.extend_from_slice(&body[at..]);
        // A second way to be wrong: the body as it is, under a Remaining Length that fits.
        for body in [&changed[..], &changed[..at]] {
            let mut frame = Vec::new();
            mqttx::mqtt::frame::put_head(head.first, body.len(), &mut frame);
            frame.extend_from_slice(body);
            read_any(&frame, version);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), version in versions()) {
        read_any(&bytes, version);
        let _ = scan(&bytes, 100);
        if let Some((&first, body)) = bytes.split_first() {
            let _ = Packet::decode_body(first, body, version);
        }
    }
}

#[test]
fn a_refusal_of_version_3_is_read_and_written_again() {
    read_any(&[0x20, 2, 0, 1], Version::V5);
}
