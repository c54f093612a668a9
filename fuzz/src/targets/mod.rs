//! What must hold for any bytes, one function a fuzz target.
//!
//! The main crate's tests include this file and replay `corpus/` through the same functions, so a
//! finding stays found on a stable toolchain too.

pub mod broker;
pub mod files;
pub mod layers;
pub mod payloads;
pub mod words;

use mqttx::mqtt::frame::{Head, Scan, head_len, put_head, scan};
use mqttx::mqtt::limits::{PACKET_SIZE_MAX, REMAINING_LENGTH_MAX};
use mqttx::mqtt::property::{Place, Properties, PropertiesBuf, PropertyId};
use mqttx::mqtt::topic::{check_filter, check_name, matches, split_share};
use mqttx::mqtt::wire::{Reader, put_variable};
use mqttx::mqtt::{Packet, Reason, Version};

/// The fixed header: read as a slow reader reads it, the same from any longer buffer.
pub fn frame(data: &[u8]) {
    let found = scan(data, PACKET_SIZE_MAX);
    assert_eq!(
        found.map_err(|violation| violation.reason),
        scan_slowly(data)
    );
    for len in 0..data.len().min(8) {
        match scan(&data[..len], PACKET_SIZE_MAX) {
            Ok(Scan::More) => {}
            earlier => assert_eq!(earlier, found),
        }
    }
    let Ok(Scan::Head(head)) = found else { return };
    assert_eq!(head.head_len, head_len(head.body_len));
    let mut out = Vec::new();
    put_head(head.first, head.body_len, &mut out);
    assert_eq!(out, data[..head.head_len]);
    assert!(scan(data, head.total()).is_ok());
    let refused = scan(data, head.total() - 1).map_err(|violation| violation.reason);
    assert_eq!(refused, Err(Reason::PACKET_TOO_LARGE));
}

fn scan_slowly(data: &[u8]) -> Result<Scan, Reason> {
    let mut body_len = 0;
    let mut factor = 1;
    for at in 1..=4 {
        let Some(&byte) = data.get(at) else {
            return Ok(Scan::More);
        };
        body_len += usize::from(byte % 128) * factor;
        factor *= 128;
        if byte < 128 {
            if byte == 0 && at > 1 {
                return Err(Reason::MALFORMED_PACKET);
            }
            assert!(body_len <= REMAINING_LENGTH_MAX);
            return Ok(Scan::Head(Head {
                first: data[0],
                head_len: at + 1,
                body_len,
            }));
        }
    }
    Err(Reason::MALFORMED_PACKET)
}

/// A packet of any version, given as its first byte and its body: what was understood survives
/// being written and read again.
pub fn packet(data: &[u8]) {
    let Some((&first, body)) = data.split_first() else {
        return;
    };
    let mut frame = Vec::new();
    put_head(first, body.len(), &mut frame);
    frame.extend_from_slice(body);
    for version in Version::ALL {
        let Ok(packet) = Packet::decode(&frame, version) else {
            continue;
        };
        assert_eq!(Packet::decode_body(first, body, version), Ok(packet));
        let mut again = Vec::new();
        packet.encode(version, &mut again);
        assert_eq!(Packet::decode(&again, version), Ok(packet), "{again:02x?}");
        parts(&packet, &again, version);
    }
    // Bytes as they come are a packet at times, too.
    for version in Version::ALL {
        let _ = Packet::decode(data, version);
    }
}

/// What is left to the one who looks into a packet.
fn parts(packet: &Packet<'_>, frame: &[u8], version: Version) {
    match packet {
        Packet::Publish(publish) => {
            assert_eq!(
                head_len(publish.body_len(version)) + publish.body_len(version),
                frame.len()
            );
            assert_eq!(publish.first(), frame[0]);
            assert!(publish.topic.is_empty() || check_name(publish.topic).is_ok());
        }
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.filters().count() > 0);
            for (filter, options) in subscribe.filters() {
                assert!(check_filter(filter).is_ok());
                assert!(version.is_v5() || options.bits() <= 2);
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.filters().count() > 0);
            assert!(
                unsubscribe
                    .filters()
                    .all(|filter| check_filter(filter).is_ok())
            );
        }
        Packet::Connect(connect) => {
            if let Some(will) = &connect.will {
                assert!(check_name(will.topic).is_ok());
            }
        }
        _ => {}
    }
}

/// The first byte chooses the place, the rest is a run of properties.
pub fn properties(data: &[u8]) {
    let Some((&place, raw)) = data.split_first() else {
        return;
    };
    let place = Place::ALL[usize::from(place) % Place::ALL.len()];
    let mut bytes = Vec::new();
    put_variable(raw.len() as u32, &mut bytes);
    bytes.extend_from_slice(raw);
    let mut reader = Reader::new(&bytes);
    let Ok(found) = Properties::decode(&mut reader, place) else {
        return;
    };
    assert!(reader.is_empty());
    assert_eq!(found.raw(), raw);
    assert_eq!(found.encoded_len(), bytes.len());

    let mut buf = PropertiesBuf::new();
    let mut counts = [0_usize; 43];
    for (id, value) in found {
        assert!(id.row().allowed_in(place));
        assert_eq!(value.value_type(), id.row().value_type);
        let count = &mut counts[id as usize];
        *count += 1;
        assert!(*count == 1 || id.row().repeats_in(place));
        if *count == 1 {
            assert_eq!(found.find(id), Some(value));
        }
        buf.push(id, value);
    }
    // Only shortest forms are accepted, so writing gives the same bytes.
    assert_eq!(buf.properties(), found);
    let users = counts[PropertyId::UserProperty as usize];
    assert_eq!(found.user_properties().count(), users);
    let mut rest = PropertiesBuf::new();
    rest.extend_filtered(found, |id| id != PropertyId::UserProperty);
    assert_eq!(
        rest.properties().iter().count() + users,
        found.iter().count()
    );
    assert!(found.subscription_ids().all(|id| id > 0));
}

/// A filter and a topic, a line each, against a slow and obvious matcher.
pub fn topic(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, text));
    assert_eq!(
        check_name(topic).is_ok(),
        is_name_slowly(topic),
        "{topic:?}"
    );
    assert_eq!(
        check_filter(filter).is_ok(),
        is_filter_slowly(filter),
        "{filter:?}"
    );
    // Whatever the two are, asking costs nothing worse than an answer.
    let found = matches(filter, topic);
    if check_filter(filter).is_err() || check_name(topic).is_err() {
        return;
    }
    match split_share(filter) {
        None => assert_eq!(found, matches_slowly(filter, topic), "{filter:?} {topic:?}"),
        Some((share, shared)) => {
            assert_eq!(format!("$share/{share}/{shared}"), filter);
            assert_eq!(check_filter(shared).is_ok(), is_filter_slowly(shared));
            let found = matches(shared, topic);
            assert_eq!(found, matches_slowly(shared, topic), "{shared:?} {topic:?}");
        }
    }
}

fn is_name_slowly(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 65_535 && !topic.contains(['\0', '+', '#'])
}

fn is_filter_slowly(filter: &str) -> bool {
    if filter.len() > 65_535 || filter.contains('\0') {
        return false;
    }
    let levels: Vec<&str> = filter.split('/').collect();
    let levels = match levels[..] {
        ["$share"] => &levels,
        ["$share", share, ref levels @ ..] => {
            if share.is_empty() || share.contains(['+', '#']) || levels.is_empty() {
                return false;
            }
            levels
        }
        _ => &levels,
    };
    if levels == [""] {
        return false;
    }
    levels.iter().enumerate().all(|(at, level)| match *level {
        "#" => at + 1 == levels.len(),
        "+" => true,
        level => !level.contains(['+', '#']),
    })
}

fn matches_slowly(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => {
                level == name && levels_match(filter, topic)
            }
            _ => false,
        }
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let levels: Vec<&str> = topic.split('/').collect();
    let hidden = topic.starts_with('$') && matches!(filter[0], "+" | "#");
    !hidden && levels_match(&filter, &levels)
}
