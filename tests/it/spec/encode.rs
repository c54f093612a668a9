//! What a script sends, as bytes. The encoder writes what it is told, right or wrong.

use crate::spec::property;
use crate::spec::property::Form;
use crate::spec::wire::Packet;
use crate::spec::wire::Pairs;
use crate::spec::wire::Version;
use crate::spec::wire::number;

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u64) -> Result<(), String> {
    let value = u16::try_from(value).map_err(|_| format!("{value} does not fit two bytes"))?;
    out.extend(value.to_be_bytes());
    Ok(())
}

pub(crate) fn put_binary(out: &mut Vec<u8>, value: &[u8]) -> Result<(), String> {
    put_u16(out, value.len() as u64)?;
    out.extend(value);
    Ok(())
}

pub(crate) fn put_variable(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        out.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            break;
        }
    }
}

/// Fixed header and body.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    put_variable(&mut out, body.len() as u64);
    out.extend(body);
    out
}

pub(crate) fn put_properties(out: &mut Vec<u8>, properties: &Pairs) -> Result<(), String> {
    let mut list = Vec::new();
    for (name, value) in properties {
        let row = property::by_name(name).ok_or_else(|| format!("no property {name}"))?;
        list.push(row.id);
        let as_number = || number(value).ok_or_else(|| format!("{name} wants a number"));
        match row.form {
            Form::Byte => list.push(as_number()? as u8),
            Form::Two => put_u16(&mut list, as_number()?)?,
            Form::Four => list.extend((as_number()? as u32).to_be_bytes()),
            Form::Variable => put_variable(&mut list, as_number()?),
            Form::String | Form::Binary => put_binary(&mut list, value)?,
            Form::Pair => {
                let colon = value.iter().position(|b| *b == b':');
                let colon = colon.ok_or_else(|| format!("{name} wants key:value"))?;
                put_binary(&mut list, &value[..colon])?;
                put_binary(&mut list, &value[colon + 1..])?;
            }
        }
    }
    put_variable(out, list.len() as u64);
    out.extend(list);
    Ok(())
}

/// One filter of a SUBSCRIBE with its options byte.
pub(crate) type Filter = (Vec<u8>, u8);

/// What a script asks a client to send. Filters stand beside the packet: no other packet has a list.
pub(crate) fn encode(
    packet: &Packet,
    filters: &[Filter],
    version: Version,
) -> Result<Vec<u8>, String> {
    let v5 = version == Version::V5;
    if !v5 && (!packet.properties.is_empty() || packet.field("reason").is_some()) {
        return Err("only v5 has properties and Reason Codes".to_owned());
    }
    check_fields(packet)?;
    let mut body = Vec::new();
    let first = match packet.kind {
        "connect" => {
            put_connect(&mut body, packet, version)?;
            0x10
        }
        "publish" => put_publish(&mut body, packet, v5)?,
        "puback" | "pubrec" | "pubrel" | "pubcomp" => {
            put_u16(&mut body, wanted(packet, "id")?)?;
            put_reason(&mut body, packet)?;
            match packet.kind {
                "puback" => 0x40,
                "pubrec" => 0x50,
                "pubrel" => 0x62,
                _ => 0x70,
            }
        }
        "subscribe" | "unsubscribe" => {
            put_u16(&mut body, wanted(packet, "id")?)?;
            if v5 {
                put_properties(&mut body, &packet.properties)?;
            }
            for (filter, options) in filters {
                put_binary(&mut body, filter)?;
                if packet.kind == "subscribe" {
                    body.push(*options);
                }
            }
            if packet.kind == "subscribe" {
                0x82
            } else {
                0xa2
            }
        }
        "pingreq" => 0xc0,
        "disconnect" => {
            put_reason(&mut body, packet)?;
            0xe0
        }
        "auth" => {
            put_reason(&mut body, packet)?;
            0xf0
        }
        other => {
            return Err(format!(
                "{other} is not sent by clients: use send-hex or send-body"
            ));
        }
    };
    Ok(frame(first, &body))
}

/// A field nobody reads is a slip of the script's pen.
fn check_fields(packet: &Packet) -> Result<(), String> {
    let known: &[&str] = match packet.kind {
        "connect" => &[
            "name",
            "level",
            "flags",
            "clean",
            "keepalive",
            "id",
            "user",
            "password",
            "will.topic",
            "will.payload",
            "will.qos",
            "will.retain",
        ],
        "publish" => &["dup", "qos", "retain", "topic", "id", "payload"],
        "subscribe" => &["id", "qos", "nl", "rap", "rh", "options"],
        "unsubscribe" => &["id"],
        "pingreq" => &[],
        "disconnect" | "auth" => &["reason", "long"],
        _ => &["id", "reason", "long"],
    };
    let of_will = |name: &str| packet.kind == "connect" && name.starts_with("will..");
    let stray = packet
        .fields
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()) && !of_will(name));
    stray.map_or(Ok(()), |(name, _)| {
        Err(format!("no field {name} in {}", packet.kind))
    })
}

fn wanted(packet: &Packet, name: &str) -> Result<u64, String> {
    packet
        .number(name)
        .ok_or_else(|| format!("{} wants {name}=", packet.kind))
}

/// Reason Code and properties in their shortest form, or in full with `long=1`.
fn put_reason(out: &mut Vec<u8>, packet: &Packet) -> Result<(), String> {
    let reason = packet.number("reason").unwrap_or(0) as u8;
    let long = packet.number("long") == Some(1) || !packet.properties.is_empty();
    if long || reason != 0 {
        out.push(reason);
    }
    if long {
        put_properties(out, &packet.properties)?;
    }
    Ok(())
}

fn put_publish(body: &mut Vec<u8>, packet: &Packet, v5: bool) -> Result<u8, String> {
    let bits = |name: &str| packet.number(name).unwrap_or(0) as u8;
    put_binary(body, packet.field("topic").unwrap_or_default())?;
    if bits("qos") > 0 {
        put_u16(body, wanted(packet, "id")?)?;
    }
    if v5 {
        put_properties(body, &packet.properties)?;
    }
    body.extend(packet.field("payload").unwrap_or_default());
    Ok(0x30 | bits("dup") << 3 | bits("qos") << 1 | bits("retain"))
}

fn put_connect(body: &mut Vec<u8>, packet: &Packet, version: Version) -> Result<(), String> {
    let (name, level): (&[u8], u64) = match version {
        Version::V31 => (b"MQIsdp", 3),
        Version::V311 => (b"MQTT", 4),
        Version::V5 => (b"MQTT", 5),
    };
    put_binary(body, packet.field("name").unwrap_or(name))?;
    body.push(packet.number("level").unwrap_or(level) as u8);
    let bits = |name: &str| packet.number(name).unwrap_or(0) as u8;
    let has = |name: &str| u8::from(packet.field(name).is_some());
    let flags = bits("clean") << 1
        | has("will.topic") << 2
        | bits("will.qos") << 3
        | bits("will.retain") << 5
        | has("password") << 6
        | has("user") << 7;
    body.push(packet.number("flags").unwrap_or_else(|| flags.into()) as u8);
    put_u16(body, packet.number("keepalive").unwrap_or(0))?;
    if version == Version::V5 {
        put_properties(body, &packet.properties)?;
    }
    put_binary(body, packet.field("id").unwrap_or_default())?;
    if let Some(topic) = packet.field("will.topic") {
        if version == Version::V5 {
            let of_will = |(n, v): &(String, Vec<u8>)| {
                Some((n.strip_prefix("will..")?.to_owned(), v.clone()))
            };
            put_properties(body, &packet.fields.iter().filter_map(of_will).collect())?;
        }
        put_binary(body, topic)?;
        put_binary(body, packet.field("will.payload").unwrap_or_default())?;
    }
    for name in ["user", "password"] {
        if let Some(value) = packet.field(name) {
            put_binary(body, value)?;
        }
    }
    Ok(())
}
