//! What the broker sends, read strictly: every fault of form that can be seen in one packet is an error.

use crate::spec::property;
use crate::spec::property::Form;
use crate::spec::wire;
use crate::spec::wire::KINDS;
use crate::spec::wire::Packet;
use crate::spec::wire::Pairs;
use crate::spec::wire::Version;

/// Length of the first whole packet in `buffer`: None while it is incomplete.
pub(crate) fn whole(buffer: &[u8]) -> Result<Option<usize>, String> {
    let mut length = 0usize;
    for (i, byte) in buffer.iter().skip(1).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let total = 2 + i + length;
            return Ok((buffer.len() >= total).then_some(total));
        }
        if i == 3 {
            return Err("the server sent a Remaining Length of five bytes".to_owned());
        }
    }
    Ok(None)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self
            .0
            .split_at_checked(n)
            .ok_or("the packet ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        Ok(self
            .take(bytes)?
            .iter()
            .fold(0, |sum, b| sum << 8 | u64::from(*b)))
    }

    fn binary(&mut self) -> Result<&'a [u8], String> {
        let length = self.number(2)?;
        self.take(length as usize)
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a string is not UTF-8")?;
        if text.contains('\0') {
            Err("a string has U+0000".to_owned())
        } else {
            Ok(bytes)
        }
    }

    fn variable(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.number(1)?;
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let minimal = shift == 0 || byte != 0;
                return if minimal {
                    Ok(value)
                } else {
                    Err("an overlong integer".to_owned())
                };
            }
        }
        Err("a Variable Byte Integer of five bytes".to_owned())
    }
}

/// A CONNACK of 3.1.1 that refuses: the answer to a version one does not speak has no form of its own.
pub(crate) fn old_refusal(bytes: &[u8]) -> Option<Packet> {
    let packet = decode(bytes, Version::V311).ok()?;
    let refuses = packet.kind == "connack" && packet.number("reason") != Some(0);
    refuses.then_some(Packet {
        kind: "old connack",
        ..packet
    })
}

/// Reads a packet from the server, strictly.
pub(crate) fn decode(bytes: &[u8], version: Version) -> Result<Packet, String> {
    let first = *bytes.first().ok_or("no packet at all")?;
    let kind = first >> 4;
    let mut reader = Reader(&bytes[1..]);
    reader.variable()?;
    let v5 = version == Version::V5;
    let mut packet = Packet {
        kind: KINDS[usize::from(kind)],
        ..Packet::default()
    };
    let flags = first & 0x0f;
    let due = if kind == 6 { 2 } else { 0 };
    if kind != 3 && flags != due {
        return Err(format!("{}: the flags are {flags:#x}", packet.kind));
    }
    let r = &mut reader;
    header_fields(&mut packet, r, flags, version)?;
    check_reason(&packet, version)?;
    let short = matches!(kind, 4..=7 | 14 | 15) && r.0.is_empty();
    if v5 && kind != 13 && !short {
        packet.properties = properties(r, kind)?;
    }
    if packet.field("topic") == Some(b"") && packet.property("topic-alias").is_none() {
        return Err("publish: neither topic nor alias".to_owned());
    }
    match packet.kind {
        "publish" => packet
            .fields
            .push(("payload".to_owned(), r.take(r.0.len())?.to_vec())),
        "suback" => codes(&mut packet, r, version)?,
        "unsuback" if v5 => codes(&mut packet, r, version)?,
        _ => (),
    }
    if r.0.is_empty() {
        Ok(packet)
    } else {
        Err(format!("{}: bytes left over", packet.kind))
    }
}

/// The fields between the fixed header and the properties.
fn header_fields(
    packet: &mut Packet,
    r: &mut Reader<'_>,
    flags: u8,
    version: Version,
) -> Result<(), String> {
    let v5 = version == Version::V5;
    let mut field = |name: &str, value: u64| {
        packet
            .fields
            .push((name.to_owned(), value.to_string().into()));
    };
    match packet.kind {
        "connack" => {
            let present = r.number(1)?;
            if present > 1 || (present == 1 && version == Version::V31) {
                return Err(format!("connack: acknowledge flags {present:#x}"));
            }
            field("present", present);
            field("reason", r.number(1)?);
        }
        "publish" => {
            let qos = u64::from(flags >> 1 & 3);
            if qos == 3 || (qos == 0 && flags & 8 != 0) {
                return Err(format!("publish: the flags are {flags:#x}"));
            }
            field("dup", u64::from(flags >> 3));
            field("qos", qos);
            field("retain", u64::from(flags & 1));
            let topic = r.string()?.to_vec();
            if topic.iter().any(|b| b"+#".contains(b)) || (topic.is_empty() && !v5) {
                return Err(format!("publish: {:?} is no topic", wire::show(&topic)));
            }
            if qos > 0 {
                field("id", nonzero(r.number(2)?)?);
            }
            packet.fields.push(("topic".to_owned(), topic));
        }
        "puback" | "pubrec" | "pubrel" | "pubcomp" => {
            field("id", nonzero(r.number(2)?)?);
            let reason = if v5 && !r.0.is_empty() {
                r.number(1)?
            } else {
                0
            };
            field("reason", reason);
        }
        "suback" | "unsuback" => field("id", nonzero(r.number(2)?)?),
        "pingresp" => (),
        "disconnect" | "auth" if v5 => {
            let reason = if r.0.is_empty() { 0 } else { r.number(1)? };
            field("reason", reason);
        }
        other => {
            return Err(format!(
                "a server does not send {other} ({})",
                version.name()
            ));
        }
    }
    Ok(())
}

/// Reason Codes a server may send (§2.4); return codes before v5.
fn check_reason(packet: &Packet, version: Version) -> Result<(), String> {
    let Some(reason) = packet.number("reason") else {
        return Ok(());
    };
    let known = match packet.kind {
        "connack" if version != Version::V5 => reason <= 5,
        "connack" => matches!(
            reason,
            0 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f
        ),
        "puback" | "pubrec" => {
            matches!(
                reason,
                0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
            )
        }
        "pubrel" | "pubcomp" => matches!(reason, 0 | 0x92),
        "disconnect" => matches!(
            reason,
            0 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b | 0x8d..=0x90 | 0x93..=0x9f | 0xa0..=0xa2
        ),
        "auth" => matches!(reason, 0 | 0x18),
        _ => true,
    };
    let refused = packet.kind == "connack" && reason != 0 && packet.number("present") == Some(1);
    if known && !refused {
        Ok(())
    } else {
        Err(format!("{} does not say {reason:#04x} so", packet.kind))
    }
}

/// Reason Codes of SUBACK and UNSUBACK (§3.9.3, §3.11.3).
fn check_code(kind: &str, code: u8, version: Version) -> Result<(), String> {
    let known = match (kind, version) {
        ("suback", Version::V31) => code <= 2,
        ("suback", Version::V311) => matches!(code, 0..=2 | 0x80),
        ("suback", Version::V5) => {
            matches!(
                code,
                0..=2 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2
            )
        }
        _ => matches!(code, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
    };
    if known {
        Ok(())
    } else {
        Err(format!("{kind} does not say {code:#04x}"))
    }
}

fn nonzero(id: u64) -> Result<u64, String> {
    if id == 0 {
        Err("Packet Identifier 0".to_owned())
    } else {
        Ok(id)
    }
}

fn codes(packet: &mut Packet, r: &mut Reader<'_>, version: Version) -> Result<(), String> {
    let codes = r.take(r.0.len())?;
    for code in codes {
        check_code(packet.kind, *code, version)?;
    }
    let list: Vec<String> = codes.iter().map(u8::to_string).collect();
    if list.is_empty() {
        return Err("no Reason Codes".to_owned());
    }
    packet
        .fields
        .push(("codes".to_owned(), list.join(",").into()));
    Ok(())
}

fn properties(r: &mut Reader<'_>, kind: u8) -> Result<Pairs, String> {
    let length = r.variable()?;
    let mut r = Reader(r.take(length as usize)?);
    let mut list = Pairs::new();
    while !r.0.is_empty() {
        let id = r.number(1)? as u8;
        let row = property::by_id(id).ok_or_else(|| format!("property {id:#04x} is unknown"))?;
        if !row.from_server.contains(&kind) {
            return Err(format!(
                "{} does not belong in {}",
                row.name,
                KINDS[usize::from(kind)]
            ));
        }
        let many = matches!(id, 0x0b | 0x26);
        if !many && list.iter().any(|(name, _)| name == row.name) {
            return Err(format!("{} twice", row.name));
        }
        let value = match row.form {
            Form::Byte => r.number(1)?.to_string().into(),
            Form::Two => r.number(2)?.to_string().into(),
            Form::Four => r.number(4)?.to_string().into(),
            Form::Variable => r.variable()?.to_string().into(),
            Form::String => r.string()?.to_vec(),
            Form::Binary => r.binary()?.to_vec(),
            Form::Pair => [r.string()?, b":", r.string()?].concat(),
        };
        list.push((row.name.to_owned(), value));
    }
    Ok(list)
}
