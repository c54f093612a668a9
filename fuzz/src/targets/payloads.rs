//! What a publisher wrote and a command shows: CBOR, MessagePack, Protobuf, lines of a recording; and
//! the token that stands where a password was.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mqttx::cli::encoding::{cbor, hexdump, msgpack, protobuf};
use mqttx::cli::format::{Arrival, Moment};
use mqttx::cli::jsonl;
use mqttx::daemon::auth::jwt::Jwt;
use mqttx::mqtt::property::PropertiesBuf;
use ring::hmac;
use serde_json::Value;

/// Of `dev.proto`, which has a field of every kind.
const DESCRIPTORS: &[u8] = include_bytes!("../../../tests/fixtures/protobuf/dev.binpb");
const MESSAGE: &str = "dev.Reading";

/// Beyond what a clock of today says, so that no input is good by chance of the hour.
const NOW: i64 = 2_000_000_000;

/// The first byte says what the rest is.
pub fn payload(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    match first % 6 {
        0 => stays(bytes, cbor::decode, cbor::encode),
        1 => stays(bytes, msgpack::decode, msgpack::encode),
        2 => {
            let decoder = protobuf::Decoder::new(DESCRIPTORS, MESSAGE).unwrap();
            shown(decoder.decode(bytes));
        }
        3 => described(bytes),
        4 => line(bytes),
        _ => {
            let mut out = Vec::new();
            hexdump(bytes, &mut out);
            assert!(out.is_ascii());
        }
    }
}

/// What was read is written so that it reads the same.
fn stays(bytes: &[u8], read: fn(&[u8]) -> Result<Value, String>, write: fn(&Value) -> Vec<u8>) {
    let Ok(value) = read(bytes) else { return };
    let written = write(&value);
    let again = read(&written).unwrap();
    assert_eq!(write(&again), written, "{value}");
}

fn shown(decoded: Result<Value, String>) {
    match decoded {
        Ok(value) => assert!(value.is_object()),
        Err(told) => assert!(!told.is_empty()),
    }
}

/// Descriptors from elsewhere, and a message that may fit them.
fn described(bytes: &[u8]) {
    let Some((&len, rest)) = bytes.split_first() else {
        return;
    };
    let (message, descriptors) = rest.split_at(usize::from(len).min(rest.len()));
    if let Ok(decoder) = protobuf::Decoder::new(descriptors, MESSAGE) {
        shown(decoder.decode(message));
    }
}

/// A line that was read is recorded so that it is sent again.
fn line(bytes: &[u8]) {
    let Ok(line) = jsonl::Line::parse(bytes) else {
        return;
    };
    let properties = line.properties.unwrap_or_else(PropertiesBuf::new);
    let arrival = Arrival {
        topic: line.topic.as_deref().unwrap_or("a"),
        payload: &line.payload,
        qos: line.qos.unwrap_or(0),
        retain: line.retain.unwrap_or(false),
        packet_id: 7,
        properties: properties.properties(),
    };
    let moment = Moment::new(1_700_000_000, 0, &jiff::tz::TimeZone::UTC);
    let mut out = Vec::new();
    jsonl::write(&arrival, &moment, line.at, &mut out);
    let again = jsonl::Line::parse(&out).unwrap();
    assert_eq!(again.payload, line.payload);
    assert_eq!(again.topic.as_deref(), Some(arrival.topic));
    assert_eq!(again.qos, Some(arrival.qos));
    assert_eq!(again.retain, Some(arrival.retain));
}

/// A token as it stands, the claims of one that was signed well, or a file of keys: nothing passes
/// without the signature, and what passes names somebody.
pub fn token(data: &[u8]) {
    let secret = [b'k'; 32];
    let jwt = Jwt::of_key_file(&secret).unwrap();
    assert!(jwt.check(data, NOW).is_err(), "nobody signed it");
    if let Ok(other) = Jwt::of_key_file(data) {
        let _ = other.check(data, NOW);
    }
    let mut signed = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"HS256\"}");
    signed.push('.');
    signed.push_str(&URL_SAFE_NO_PAD.encode(data));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let mut tag = hmac::sign(&key, signed.as_bytes()).as_ref().to_vec();
    let with = |tag: &[u8]| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    if let Ok(claims) = jwt.check(with(&tag).as_bytes(), NOW) {
        assert!(!claims.user_name.is_empty());
    }
    tag[data.len() % 32] ^= 1;
    assert!(jwt.check(with(&tag).as_bytes(), NOW).is_err());
}
