//! A step's words with their variables put in, and how they are compared with a packet.

use crate::spec::encode;
use crate::spec::encode::Filter;
use crate::spec::property;
use crate::spec::property::Form;
use crate::spec::run::Peer;
use crate::spec::run::Variables;
use crate::spec::script::Piece;
use crate::spec::script::Word;
use crate::spec::wire;
use crate::spec::wire::Packet;
use crate::spec::wire::Version;

#[derive(Clone, Default)]
pub(crate) struct Args(Vec<Arg>);

#[derive(Clone)]
struct Arg {
    key: Option<String>,
    value: Vec<u8>,
    captures: bool,
}

/// Fields that are numbers; everything else is compared byte by byte.
const NUMBERS: &[&str] = &["present", "reason", "dup", "qos", "retain", "id"];

impl Args {
    pub(crate) fn new(
        words: &[Word],
        namespace: &str,
        variables: &Variables,
    ) -> Result<Self, String> {
        let mut list = Vec::new();
        for word in words {
            let mut value = Vec::new();
            for piece in &word.value {
                match piece {
                    Piece::Bytes(bytes) => value.extend(bytes),
                    Piece::Namespace => value.extend(namespace.as_bytes()),
                    Piece::Many(byte, count) => value.extend(std::iter::repeat_n(*byte, *count)),
                    Piece::Variable(name, plus) => {
                        let known = variables
                            .get(name)
                            .ok_or_else(|| format!("no variable {name}"))?;
                        match (*plus, wire::number(known)) {
                            (0, _) => value.extend_from_slice(known),
                            (plus, Some(number)) => {
                                value.extend_from_slice((number + plus).to_string().as_bytes());
                            }
                            _ => return Err(format!("{name} is no number")),
                        }
                    }
                }
            }
            list.push(Arg {
                key: word.key.clone(),
                value,
                captures: word.captures,
            });
        }
        Ok(Self(list))
    }

    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let arg = |(key, value): &(&str, &str)| Arg {
            key: Some((*key).to_owned()),
            value: value.as_bytes().to_vec(),
            captures: false,
        };
        Self(pairs.iter().map(arg).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn show(&self) -> String {
        let word = |arg: &Arg| match (&arg.key, arg.captures) {
            (Some(key), true) => format!("{key}=>{}", wire::show(&arg.value)),
            (Some(key), false) => format!("{key}={}", wire::show(&arg.value)),
            (None, _) => wire::show(&arg.value),
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The packet's name, the first word of `send` and `expect`.
    pub(crate) fn kind(&self) -> Result<&str, String> {
        let word = self
            .0
            .first()
            .filter(|arg| arg.key.is_none())
            .ok_or("which packet?")?;
        std::str::from_utf8(&word.value).map_err(|e| e.to_string())
    }

    pub(crate) fn rest(&self) -> Self {
        Self(self.0.iter().skip(1).cloned().collect())
    }

    /// What is sent and, after `->`, what is expected.
    pub(crate) fn split(&self) -> (Self, Self) {
        let arrow = self
            .0
            .iter()
            .position(|arg| arg.key.is_none() && arg.value == b"->");
        let (sent, expected) = self.0.split_at(arrow.unwrap_or(self.0.len()));
        (
            Self(sent.to_vec()),
            Self(expected.iter().skip(1).cloned().collect()),
        )
    }

    pub(crate) fn version(&self) -> Option<Version> {
        let bare = self.0.iter().filter(|arg| arg.key.is_none());
        bare.filter_map(|arg| std::str::from_utf8(&arg.value).ok())
            .find_map(Version::from_name)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.pairs()
            .find(|(k, _)| *k == key)
            .and_then(|(_, v)| wire::number(v))
    }

    /// `key=value` words that are no option of a filter.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .filter_map(|arg| Some((arg.key.as_deref()?, arg.value.as_slice())))
    }

    /// Bare words are filters, the options after one are its own.
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, String> {
        let mut list: Vec<Filter> = Vec::new();
        for arg in &self.0 {
            let Some(key) = arg.key.as_deref() else {
                list.push((arg.value.clone(), 0));
                continue;
            };
            let shift = match key {
                "qos" | "options" => 0,
                "nl" => 2,
                "rap" => 3,
                "rh" => 4,
                _ => continue,
            };
            let (_, options) = list.last_mut().ok_or("an option before its filter")?;
            *options |= (wire::number(&arg.value).ok_or("an option is a number")? as u8) << shift;
        }
        Ok(list)
    }

    /// The code of `closes`, if one is asked for.
    pub(crate) fn code(&self) -> Option<String> {
        self.0
            .first()
            .map(|arg| String::from_utf8_lossy(&arg.value).into_owned())
    }

    /// How often `repeat` repeats.
    pub(crate) fn count(&self) -> Result<u64, String> {
        let word = self.0.first().and_then(|arg| wire::number(&arg.value));
        word.ok_or_else(|| "repeat wants a number".to_owned())
    }

    pub(crate) fn check_count(&self, count: u64) -> Result<(), String> {
        let range = self.code().unwrap_or_default();
        if number_fits(&range, count) {
            Ok(())
        } else {
            Err(format!("expected: {range} messages\n  came:     {count}"))
        }
    }

    pub(crate) fn first_byte(&self) -> Result<u8, String> {
        let byte = std::str::from_utf8(&self.0.first().ok_or("which first byte?")?.value);
        u8::from_str_radix(byte.unwrap_or_default(), 16)
            .map_err(|_| "two hex digits first".to_owned())
    }

    /// Bytes of `send-hex` and `send-body`: hex digits, `t=text` as it is, `s=text` with its length
    /// before it.
    pub(crate) fn raw(&self, from: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for arg in self.0.iter().skip(from) {
            match arg.key.as_deref() {
                Some("s") => encode::put_binary(&mut bytes, &arg.value)?,
                Some("t") => bytes.extend(&arg.value),
                Some(other) => return Err(format!("{other}= among bytes")),
                None => {
                    for pair in arg.value.chunks(2) {
                        let text = std::str::from_utf8(pair).unwrap_or_default();
                        let byte = u8::from_str_radix(text, 16)
                            .ok()
                            .filter(|_| text.len() == 2);
                        bytes.push(byte.ok_or_else(|| format!("{text:?} is no hex"))?);
                    }
                }
            }
        }
        Ok(bytes)
    }
}

/// `5`, `0x8e`, `1|2`, `8..10`, `1..`, `*`.
pub(crate) fn number_fits(pattern: &str, value: u64) -> bool {
    pattern.split('|').any(|one| match one.split_once("..") {
        Some((low, high)) => {
            let low = wire::number(low.as_bytes()).unwrap_or(0);
            let high = wire::number(high.as_bytes()).unwrap_or(u64::MAX);
            (low..=high).contains(&value)
        }
        None => one == "*" || wire::number(one.as_bytes()) == Some(value),
    })
}

fn fits(numeric: bool, pattern: &[u8], value: &[u8]) -> bool {
    if pattern == b"*" {
        return true;
    }
    match (numeric, wire::number(value), std::str::from_utf8(pattern)) {
        (true, Some(value), Ok(pattern)) => number_fits(pattern, value),
        _ => pattern == value,
    }
}

fn codes_fit(pattern: &[u8], value: &[u8]) -> bool {
    let (pattern, value): (Vec<_>, Vec<_>) = (
        pattern.split(|b| *b == b',').collect(),
        value.split(|b| *b == b',').collect(),
    );
    pattern.len() == value.len() && pattern.iter().zip(&value).all(|(p, v)| fits(true, p, v))
}

/// Compares; gives what the step captures.
pub(crate) fn check(
    kind: &str,
    args: &Args,
    packet: &Packet,
    peer: &Peer,
) -> Result<Variables, String> {
    if packet.kind != kind {
        return Err(format!("not a {kind}"));
    }
    let mut captured = Variables::new();
    for (name, pattern) in defaults(kind, peer) {
        let given = args.pairs().any(|(key, _)| key == name);
        let value = packet.field(name).unwrap_or(b"0");
        if !given && !fits(true, pattern.as_bytes(), value) {
            return Err(format!("{name} is {}, not {pattern}", wire::show(value)));
        }
    }
    let mut lax = kind != "publish";
    for arg in &args.0 {
        let text = wire::show(&arg.value);
        let Some(key) = arg.key.as_deref() else {
            match text.strip_prefix("!.") {
                Some(name) if property::by_name(name).is_some() => {
                    if packet.properties.iter().any(|(n, _)| n == name) {
                        return Err(format!("{name} is there"));
                    }
                }
                _ if text == ".." => lax = true,
                _ => return Err(format!("{text} cannot be compared")),
            }
            continue;
        };
        if let Some(name) = key.strip_prefix("?.") {
            property::by_name(name).ok_or_else(|| format!("no property {name}"))?;
            continue;
        }
        let value = find(packet, key)?;
        if arg.captures {
            let absent: &[u8] = if key == ".receive-maximum" {
                b"65535"
            } else {
                b"0"
            };
            captured.insert(text, value.unwrap_or(absent).to_vec());
        } else if !key.starts_with('.') {
            let value = value.ok_or_else(|| format!("no {key} in {kind}"))?;
            let same = if key == "codes" {
                codes_fit(&arg.value, value)
            } else {
                fits(NUMBERS.contains(&key), &arg.value, value)
            };
            if !same {
                return Err(format!("{key} is {}, not {text}", wire::show(value)));
            }
        }
    }
    properties_fit(args, packet, lax)?;
    Ok(captured)
}

fn find<'a>(packet: &'a Packet, key: &str) -> Result<Option<&'a [u8]>, String> {
    let Some(name) = key.strip_prefix('.') else {
        return Ok(packet.field(key));
    };
    property::by_name(name).ok_or_else(|| format!("no property {name}"))?;
    Ok(packet
        .properties
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_slice()))
}

/// What a packet must say where the script says nothing.
fn defaults(kind: &str, peer: &Peer) -> Vec<(&'static str, String)> {
    let zero = || "0".to_owned();
    match kind {
        "connack" | "disconnect" => vec![("reason", zero())],
        "publish" => vec![("dup", zero()), ("qos", zero()), ("retain", zero())],
        "puback" | "pubrec" | "pubcomp" => {
            vec![("reason", zero()), ("id", peer.sent_id.to_string())]
        }
        "pubrel" => vec![("reason", zero()), ("id", peer.received_id.to_string())],
        "suback" | "unsuback" => vec![("id", peer.sent_id.to_string())],
        _ => Vec::new(),
    }
}

/// Each property that is written must be there with its value; User Properties in their order, Subscription
/// Identifiers in any; and unless the comparison is lax nothing else may be.
fn properties_fit(args: &Args, packet: &Packet, lax: bool) -> Result<(), String> {
    for row in property::TABLE {
        let key = format!(".{}", row.name);
        let captured = args
            .0
            .iter()
            .any(|arg| arg.captures && arg.key.as_deref() == Some(&key));
        let mut wanted: Vec<&[u8]> = args
            .pairs()
            .filter(|(k, _)| *k == key)
            .map(|(_, v)| v)
            .collect();
        let optional = format!("?{key}");
        let there_at_all = packet.property(row.name).is_some();
        if let Some((_, pattern)) = args.pairs().find(|(k, _)| *k == optional && there_at_all) {
            wanted.push(pattern);
        }
        let of_name = packet.properties.iter().filter(|(n, _)| n == row.name);
        let mut there: Vec<&[u8]> = of_name.map(|(_, v)| v.as_slice()).collect();
        if captured || (wanted.is_empty() && lax) {
            continue;
        }
        if row.form == Form::Variable {
            wanted.sort_unstable_by_key(|v| wire::number(v));
            there.sort_unstable_by_key(|v| wire::number(v));
        }
        let numeric = !matches!(row.form, Form::String | Form::Pair | Form::Binary);
        let same = wanted.len() == there.len()
            && wanted.iter().zip(&there).all(|(w, t)| fits(numeric, w, t));
        if !same {
            let list = |v: &[&[u8]]| {
                v.iter()
                    .map(|v| wire::show(v))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            return Err(format!(
                "{} is [{}], not [{}]",
                row.name,
                list(&there),
                list(&wanted)
            ));
        }
    }
    Ok(())
}
