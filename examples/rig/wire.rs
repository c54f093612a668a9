//! The few packets the generator sends, as bytes made once before the clock starts. Written apart from
//! `mqttx::mqtt` on purpose: the rig must not share a mistake with the broker it measures.
//! MQTT 3.1.1 and 5.0 section 3; nothing here decodes, that is done where the bytes arrive.

use crate::link::Transport;

/// The two versions the scenarios speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

/// How one PUBLISH looks; every message of a scenario has the same size, so bytes count messages.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) version: Version,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) payload: usize,
    pub(crate) user_properties: bool,
    pub(crate) transport: Transport,
}

impl Shape {
    pub(crate) const fn plain(qos: u8) -> Self {
        Self {
            version: Version::V311,
            qos,
            retain: false,
            payload: 64,
            user_properties: false,
            transport: Transport::Tcp,
        }
    }
}

/// Bytes at the front of a payload that differ from message to message.
pub(crate) const VARIED: usize = 8;

/// CONNECT, anonymous, with a keep alive no run outlives.
pub(crate) fn connect(version: Version, client_id: &str, clean_start: bool) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T'];
    body.push(if version == Version::V5 { 5 } else { 4 });
    body.push(u8::from(clean_start) << 1);
    body.extend_from_slice(&3_600_u16.to_be_bytes());
    if version == Version::V5 {
        body.push(0);
    }
    text(client_id, &mut body);
    packet(0x10, &body)
}

/// SUBSCRIBE with all of `filters` at one QoS.
pub(crate) fn subscribe(version: Version, id: u16, filters: &[String], qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        text(filter, &mut body);
        body.push(qos);
    }
    packet(0x82, &body)
}

/// Appends one PUBLISH; gives where its Packet Identifier stands within it, also at QoS 0 (where none stands).
pub(crate) fn publish(shape: Shape, topic: &str, id: u16, out: &mut Vec<u8>) -> usize {
    let mut body = Vec::with_capacity(shape.payload + topic.len() + 64);
    text(topic, &mut body);
    let id_at = body.len();
    if shape.qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if shape.version == Version::V5 {
        let mut properties = Vec::new();
        if shape.user_properties {
            for (name, value) in [("site", "north-7"), ("unit", "celsius")] {
                properties.push(38);
                text(name, &mut properties);
                text(value, &mut properties);
            }
        }
        length(properties.len(), &mut body);
        body.extend_from_slice(&properties);
    }
    // No two neighbours are equal, so that nobody gains by noticing that they are.
    let number = format!("{id:0VARIED$}");
    body.extend(
        number
            .bytes()
            .chain((VARIED..shape.payload).map(|at| b'a' + (at % 26) as u8)),
    );
    let start = out.len();
    out.push(0x30 | shape.qos << 1 | u8::from(shape.retain));
    length(body.len(), out);
    let head = out.len() - start;
    out.extend_from_slice(&body);
    head + id_at
}

/// Size of the whole packet that starts at `bytes`, or `None` while its head is incomplete.
pub(crate) fn packet_size(bytes: &[u8]) -> Option<usize> {
    let mut size = 0;
    for (at, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(size + at + 2);
        }
    }
    None
}

pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    length(body.len(), &mut out);
    out.extend_from_slice(body);
    out
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn length(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}
