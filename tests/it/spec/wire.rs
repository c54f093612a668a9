//! The bytes of MQTT packets for the conformance scripts: an encoder and a decoder of their own.
//!
//! Nothing here comes from `mqttx::mqtt`: the two are written apart, so that they test each other. A packet
//! is a kind, named fields and named properties, all as bytes, because that is how a script writes and
//! compares them. The encoder writes what it is told, right or wrong; the decoder reads what a *server*
//! may send and refuses every fault of form it can see.

use crate::spec::property;
use crate::spec::property::Form;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    V31,
    V311,
    V5,
}

impl Version {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "v31" => Some(Self::V31),
            "v311" => Some(Self::V311),
            "v5" => Some(Self::V5),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V31 => "v31",
            Self::V311 => "v311",
            Self::V5 => "v5",
        }
    }
}

/// The packets by the upper half of their first byte; index 0 is reserved.
pub(crate) const KINDS: [&str; 16] = [
    "reserved",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

pub(crate) type Pairs = Vec<(String, Vec<u8>)>;

/// A packet as a script sees it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Packet {
    pub(crate) kind: &'static str,
    pub(crate) fields: Pairs,
    pub(crate) properties: Pairs,
}

impl Packet {
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    pub(crate) fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.field(name).and_then(number)
    }

    pub(crate) fn show(&self) -> String {
        let mut text = self.kind.to_owned();
        for (name, value) in &self.fields {
            text += &format!(" {name}={}", show(value));
        }
        for (name, value) in &self.properties {
            text += &format!(" .{name}={}", show(value));
        }
        text
    }
}

/// Decimal or 0x.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Bytes for a person: text where it is plain, hex where not, cut when long.
pub(crate) fn show(value: &[u8]) -> String {
    let plain = value.iter().all(|b| (0x21..0x7f).contains(b));
    match std::str::from_utf8(value) {
        Ok(text) if plain && value.len() <= 80 => text.to_owned(),
        Ok(text) if value.len() <= 80 => format!("{text:?}"),
        _ => format!("hex:{}", hex(value)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let head: Vec<String> = bytes.iter().take(64).map(|b| format!("{b:02x}")).collect();
    let more = bytes.len().saturating_sub(64);
    if more == 0 {
        head.join(" ")
    } else {
        format!("{} … {more} more", head.join(" "))
    }
}

// ---- encoding -------------------------------------------------------------------------------------------

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

// ---- decoding -------------------------------------------------------------------------------------------

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
        "disconnect" if v5 => {
            let reason = if r.0.is_empty() { 0 } else { r.number(1)? };
            field("reason", reason);
        }
        "auth" if v5 => {
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
    let short = matches!(kind, 4..=7 | 14 | 15) && r.0.is_empty();
    if v5 && kind != 13 && !short {
        packet.properties = properties(r, kind)?;
    }
    match packet.kind {
        "publish" => packet
            .fields
            .push(("payload".to_owned(), r.take(r.0.len())?.to_vec())),
        "suback" => codes(&mut packet, r)?,
        "unsuback" if v5 => codes(&mut packet, r)?,
        _ => (),
    }
    if r.0.is_empty() {
        Ok(packet)
    } else {
        Err(format!("{}: bytes left over", packet.kind))
    }
}

fn nonzero(id: u64) -> Result<u64, String> {
    if id == 0 {
        Err("Packet Identifier 0".to_owned())
    } else {
        Ok(id)
    }
}

fn codes(packet: &mut Packet, r: &mut Reader<'_>) -> Result<(), String> {
    let list: Vec<String> = r.take(r.0.len())?.iter().map(u8::to_string).collect();
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
