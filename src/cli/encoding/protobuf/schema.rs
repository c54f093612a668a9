//! What messages are made of: a FileDescriptorSet as protoc writes it
//! (google/protobuf/descriptor.proto), reduced to what showing a message needs.
//!
//! Options, services, extensions and comments are passed over. Reading a message is left to
//! `protobuf/mod.rs`.

use std::collections::{BTreeMap, HashMap};

use crate::cli::encoding::DEPTH_MAX;
use crate::cli::encoding::protobuf::wire::{Found, Reader, Wire, stray_end, too_deep};

#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<HashMap<i32, String>>,
    names: BTreeMap<String, Named>,
}

/// What a full name stands for, and where.
#[derive(Clone, Copy, Debug)]
enum Named {
    Message(usize),
    Enum(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) fields: HashMap<u32, Field>,
    /// One pair of a map: field 1 is the key, field 2 the value.
    pub(super) is_map_entry: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) json_name: String,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
    /// Of the fields with the same one the last that came counts.
    pub(super) oneof: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    Text,
    Group(usize),
    Message(usize),
    Bytes,
    Uint32,
    Enum(usize),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Kind {
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Wire::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Wire::Fixed32,
            Self::Text | Self::Bytes | Self::Message(_) => Wire::Bytes,
            Self::Group(_) => Wire::Group,
            _ => Wire::Varint,
        }
    }
}

/// A field whose type may be described further on.
struct Loose {
    number: u32,
    kind: u64,
    type_name: String,
    field: Field,
}

impl Schema {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut schema = Self::default();
        let mut loose = Vec::new();
        each(bytes, |number, found| match number {
            1 => schema.file(inner(found)?, &mut loose),
            _ => Ok(()),
        })?;
        for (message, fields) in loose {
            for mut field in fields {
                field.field.kind = schema.kind(&field)?;
                let fields = &mut schema.messages[message].fields;
                fields.insert(field.number, field.field);
            }
        }
        Ok(schema)
    }

    pub(super) fn message(&self, name: &str) -> Option<usize> {
        match self.names.get(name) {
            Some(Named::Message(at)) => Some(*at),
            _ => None,
        }
    }

    /// Names of messages one may ask for, in order.
    pub(super) fn message_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|(name, named)| match named {
            Named::Message(at) if !self.messages[*at].is_map_entry => Some(name.as_str()),
            _ => None,
        })
    }

    fn file(&mut self, bytes: &[u8], loose: &mut Vec<(usize, Vec<Loose>)>) -> Result<(), String> {
        let mut package = String::new();
        each(bytes, |number, found| {
            if number == 2 {
                package = text(found)?;
            }
            Ok(())
        })?;
        each(bytes, |number, found| match number {
            4 => self.describe(inner(found)?, &package, loose, 0),
            5 => self.enumeration(inner(found)?, &package),
            _ => Ok(()),
        })
    }

    fn describe(
        &mut self,
        bytes: &[u8],
        scope: &str,
        loose: &mut Vec<(usize, Vec<Loose>)>,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let (mut name, mut fields, mut is_map_entry) = (String::new(), Vec::new(), false);
        each(bytes, |number, found| {
            match number {
                1 => name = qualified(scope, &text(found)?),
                2 => fields.push(read_field(inner(found)?)?),
                7 => each(inner(found)?, |number, found| {
                    is_map_entry |= number == 7 && whole(found)? != 0;
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        let at = self.messages.len();
        self.messages.push(Message {
            is_map_entry,
            ..Message::default()
        });
        self.names.insert(name.clone(), Named::Message(at));
        loose.push((at, fields));
        each(bytes, |number, found| match number {
            3 => self.describe(inner(found)?, &name, loose, depth + 1),
            4 => self.enumeration(inner(found)?, &name),
            _ => Ok(()),
        })
    }

    fn enumeration(&mut self, bytes: &[u8], scope: &str) -> Result<(), String> {
        let (mut name, mut values) = (String::new(), HashMap::new());
        each(bytes, |number, found| {
            match number {
                1 => name = qualified(scope, &text(found)?),
                2 => {
                    let (mut value, mut called) = (0, String::new());
                    each(inner(found)?, |number, found| {
                        match number {
                            1 => called = text(found)?,
                            2 => value = whole(found)? as i32,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    // Of several names of one number the first is its own.
                    values.entry(value).or_insert(called);
                }
                _ => {}
            }
            Ok(())
        })?;
        let at = self.enums.len();
        self.enums.push(values);
        self.names.insert(name, Named::Enum(at));
        Ok(())
    }

    fn kind(&self, loose: &Loose) -> Result<Kind, String> {
        let name = loose.type_name.trim_start_matches('.');
        Ok(match (loose.kind, self.names.get(name)) {
            (1, _) => Kind::Double,
            (2, _) => Kind::Float,
            (3, _) => Kind::Int64,
            (4, _) => Kind::Uint64,
            (5, _) => Kind::Int32,
            (6, _) => Kind::Fixed64,
            (7, _) => Kind::Fixed32,
            (8, _) => Kind::Bool,
            (9, _) => Kind::Text,
            (10, Some(Named::Message(at))) => Kind::Group(*at),
            (11, Some(Named::Message(at))) => Kind::Message(*at),
            (12, _) => Kind::Bytes,
            (13, _) => Kind::Uint32,
            (14, Some(Named::Enum(at))) => Kind::Enum(*at),
            (15, _) => Kind::Sfixed32,
            (16, _) => Kind::Sfixed64,
            (17, _) => Kind::Sint32,
            (18, _) => Kind::Sint64,
            (10 | 11 | 14, _) => {
                return Err(format!("{name} is missing in it: --include_imports"));
            }
            (other, _) => return Err(format!("a field of type {other}")),
        })
    }
}

fn read_field(bytes: &[u8]) -> Result<Loose, String> {
    let (mut name, mut json_name) = (String::new(), None);
    let mut loose = Loose {
        number: 0,
        kind: 0,
        type_name: String::new(),
        field: Field {
            json_name: String::new(),
            kind: Kind::Bool,
            is_repeated: false,
            oneof: None,
        },
    };
    each(bytes, |number, found| {
        match number {
            1 => name = text(found)?,
            3 => loose.number = whole(found)? as u32,
            4 => loose.field.is_repeated = whole(found)? == 3,
            5 => loose.kind = whole(found)?,
            6 => loose.type_name = text(found)?,
            9 => loose.field.oneof = Some(whole(found)?),
            10 => json_name = Some(text(found)?),
            _ => {}
        }
        Ok(())
    })?;
    loose.field.json_name = json_name.unwrap_or_else(|| camel(&name));
    Ok(loose)
}

/// What protoc makes of a name for JSON: `wind_speed` is windSpeed.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut is_start = false;
    for c in name.chars() {
        match c {
            '_' => is_start = true,
            c if std::mem::take(&mut is_start) => out.push(c.to_ascii_uppercase()),
            c => out.push(c),
        }
    }
    out
}

fn qualified(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        _ => format!("{scope}.{name}"),
    }
}

fn each<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(u32, Found<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = Reader::new(bytes);
    while let Some((number, found)) = reader.field()? {
        match found {
            Found::Group => reader.skip_group(number, 0)?,
            Found::GroupEnd => return Err(stray_end()),
            found => take(number, found)?,
        }
    }
    Ok(())
}

fn inner(found: Found<'_>) -> Result<&[u8], String> {
    match found {
        Found::Bytes(bytes) => Ok(bytes),
        other => Err(format!("a message that is {}", other.wire().name())),
    }
}

fn text(found: Found<'_>) -> Result<String, String> {
    let text = String::from_utf8(inner(found)?.to_vec());
    text.map_err(|_| "a name that is not UTF-8".to_owned())
}

fn whole(found: Found<'_>) -> Result<u64, String> {
    match found {
        Found::Varint(whole) => Ok(whole),
        other => Err(format!("a number that is {}", other.wire().name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_json() {
        for (name, json) in [
            ("a", "a"),
            ("wind_speed", "windSpeed"),
            ("a__b1_c", "aB1C"),
            ("_x", "X"),
        ] {
            assert_eq!(camel(name), json);
        }
    }

    #[test]
    fn what_describes_nothing() {
        assert!(Schema::read(b"syntax = \"proto3\";").is_err());
        assert!(Schema::read(b"\x08\x01").is_err());
        assert_eq!(Schema::read(b"").unwrap().message_names().count(), 0);
        // A message nested in itself, again and again.
        let mut bytes = Vec::new();
        for _ in 0..40 {
            let mut outer = vec![0x1a, bytes.len() as u8];
            outer.append(&mut bytes);
            bytes = outer;
        }
        let mut file = vec![0x0a, 82, 0x22, 80];
        file.append(&mut bytes);
        assert!(Schema::read(&file).is_ok());
    }
}
