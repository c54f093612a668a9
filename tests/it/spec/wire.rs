//! MQTT packets as the conformance scripts see them: a kind, named fields and named properties, all as
//! bytes, because that is how a script writes and compares them.
//!
//! Nothing here, in `encode` and in `decode` comes from `mqttx::mqtt`: the two are written apart, so that
//! they test each other.

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
