//! Protocol Buffers towards JSON, by a file of descriptors (protobuf.dev, "ProtoJSON Format").
//!
//! 64-bit numbers become text and bytes base64, as that format has it. What is on the wire is shown,
//! and nothing else: a field that is absent is left out, one the descriptors do not know too. Messages of
//! google.protobuf (Timestamp, Any …) are shown like all others, by their fields.

mod schema;
mod wire;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::encoding::protobuf::schema::{Field, Kind, Schema};
use crate::cli::encoding::protobuf::wire::{Found, Reader, Wire, stray_end, too_deep, too_early};
use crate::cli::encoding::{DEPTH_MAX, to_base64};
use crate::cli::lexer::distance;

/// Names told when another was asked for.
const NEAR_MAX: usize = 4;

/// Reads messages of one type.
#[derive(Clone, Debug)]
pub struct Decoder {
    schema: Schema,
    root: usize,
}

/// What has come of a message so far.
type Fields = BTreeMap<u32, Held>;

enum Held {
    One(Value),
    Many(Vec<Value>),
    Pairs(Map<String, Value>),
    /// Open until the end: it may come in several pieces.
    Message(usize, Fields),
}

impl Decoder {
    /// Of a descriptor set the message with this full name.
    pub fn new(descriptors: &[u8], name: &str) -> Result<Self, String> {
        let told = |told: String| {
            format!("no descriptor set as protoc --descriptor_set_out writes it ({told})")
        };
        let schema = Schema::read(descriptors).map_err(told)?;
        if schema.message_names().next().is_none() {
            return Err(told("no message in it".to_owned()));
        }
        let root = schema.message(name.trim_start_matches('.'));
        let root = root.ok_or_else(|| {
            let near = near(name, &schema).join(", ");
            format!("no message '{name}' in it, but {near}")
        })?;
        Ok(Self { schema, root })
    }

    pub fn decode(&self, bytes: &[u8]) -> Result<Value, String> {
        let mut fields = Fields::new();
        self.read(&mut Reader::new(bytes), self.root, &mut fields, None, 0)?;
        Ok(self.finish(self.root, fields))
    }

    /// Adds fields up to the end, or to that of the group with this number.
    fn read(
        &self,
        reader: &mut Reader<'_>,
        message: usize,
        fields: &mut Fields,
        group: Option<u32>,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        loop {
            let Some((number, found)) = reader.field()? else {
                return group.map_or(Ok(()), |_| Err(too_early()));
            };
            let known = self.schema.messages[message].fields.get(&number);
            match (found, known) {
                (Found::GroupEnd, _) if group == Some(number) => return Ok(()),
                (Found::GroupEnd, _) => return Err(stray_end()),
                (found, Some(field)) => {
                    if field.oneof.is_some() {
                        let of = &self.schema.messages[message].fields;
                        fields.retain(|&other, _| {
                            other == number
                                || of.get(&other).is_none_or(|it| it.oneof != field.oneof)
                        });
                    }
                    self.keep(reader, (number, field), found, fields, depth)?;
                }
                (Found::Group, None) => reader.skip_group(number, depth + 1)?,
                (_, None) => {}
            }
        }
    }

    fn keep(
        &self,
        reader: &mut Reader<'_>,
        (number, field): (u32, &Field),
        found: Found<'_>,
        fields: &mut Fields,
        depth: usize,
    ) -> Result<(), String> {
        let kind = field.kind;
        let is_packed = field.is_repeated
            && found.wire() == Wire::Bytes
            && !matches!(kind.wire(), Wire::Bytes | Wire::Group);
        if found.wire() != kind.wire() && !is_packed {
            let (is, must) = (found.wire().name(), kind.wire().name());
            let name = &field.json_name;
            return Err(format!(
                "another Protobuf message: field {number} ({name}) is {is}, not {must}"
            ));
        }
        if let Kind::Message(of) | Kind::Group(of) = kind {
            let begun = (!field.is_repeated).then(|| fields.remove(&number));
            let mut inside = match begun.flatten() {
                Some(Held::Message(_, inside)) => inside,
                _ => Fields::new(),
            };
            match found {
                Found::Bytes(bytes) => {
                    self.read(&mut Reader::new(bytes), of, &mut inside, None, depth + 1)?;
                }
                _ => self.read(reader, of, &mut inside, Some(number), depth + 1)?,
            }
            self.hold(number, field, of, inside, fields);
            return Ok(());
        }
        match found {
            Found::Bytes(bytes) if is_packed => {
                let mut packed = Reader::new(bytes);
                let items = many(fields, number);
                while !packed.is_empty() {
                    items.push(self.scalar(kind, packed.value(kind.wire())?)?);
                }
            }
            found if field.is_repeated => many(fields, number).push(self.scalar(kind, found)?),
            found => {
                fields.insert(number, Held::One(self.scalar(kind, found)?));
            }
        }
        Ok(())
    }

    fn hold(&self, number: u32, field: &Field, of: usize, inside: Fields, fields: &mut Fields) {
        if !field.is_repeated {
            fields.insert(number, Held::Message(of, inside));
        } else if self.schema.messages[of].is_map_entry {
            let (key, value) = self.pair(of, inside);
            let pairs = fields
                .entry(number)
                .or_insert_with(|| Held::Pairs(Map::new()));
            if let Held::Pairs(pairs) = pairs {
                pairs.insert(key, value);
            }
        } else {
            many(fields, number).push(self.finish(of, inside));
        }
    }

    /// A pair of a map; half of it that is absent has its default.
    fn pair(&self, of: usize, mut inside: Fields) -> (String, Value) {
        let mut half = |number| match inside.remove(&number) {
            Some(held) => self.close(held),
            None => match self.schema.messages[of].fields.get(&number) {
                Some(field) => self.default_of(field.kind),
                None => Value::Null,
            },
        };
        let key = match half(1) {
            Value::String(key) => key,
            other => other.to_string(),
        };
        (key, half(2))
    }

    fn default_of(&self, kind: Kind) -> Value {
        let zero = match kind.wire() {
            Wire::Varint => Found::Varint(0),
            Wire::Fixed64 => Found::Fixed64(0),
            Wire::Fixed32 => Found::Fixed32(0),
            Wire::Bytes | Wire::Group => Found::Bytes(&[]),
        };
        // Only a message is no scalar.
        self.scalar(kind, zero)
            .unwrap_or_else(|_| Value::Object(Map::new()))
    }

    fn finish(&self, message: usize, fields: Fields) -> Value {
        let known = &self.schema.messages[message].fields;
        let members = fields.into_iter().filter_map(|(number, held)| {
            let name = known.get(&number)?.json_name.clone();
            Some((name, self.close(held)))
        });
        Value::Object(members.collect())
    }

    fn close(&self, held: Held) -> Value {
        match held {
            Held::One(value) => value,
            Held::Many(items) => Value::Array(items),
            Held::Pairs(pairs) => Value::Object(pairs),
            Held::Message(of, fields) => self.finish(of, fields),
        }
    }

    fn scalar(&self, kind: Kind, found: Found<'_>) -> Result<Value, String> {
        Ok(match (kind, found) {
            (Kind::Double, Found::Fixed64(bits)) => real(f64::from_bits(bits)),
            (Kind::Fixed64, Found::Fixed64(bits)) => bits.to_string().into(),
            (Kind::Sfixed64, Found::Fixed64(bits)) => bits.cast_signed().to_string().into(),
            (Kind::Float, Found::Fixed32(bits)) => single(f32::from_bits(bits)),
            (Kind::Fixed32, Found::Fixed32(bits)) => bits.into(),
            (Kind::Sfixed32, Found::Fixed32(bits)) => bits.cast_signed().into(),
            (Kind::Int64, Found::Varint(bits)) => bits.cast_signed().to_string().into(),
            (Kind::Uint64, Found::Varint(bits)) => bits.to_string().into(),
            (Kind::Int32, Found::Varint(bits)) => (bits as i32).into(),
            (Kind::Uint32, Found::Varint(bits)) => (bits as u32).into(),
            (Kind::Sint64, Found::Varint(bits)) => unzigzag(bits).to_string().into(),
            (Kind::Sint32, Found::Varint(bits)) => unzigzag(u64::from(bits as u32)).into(),
            (Kind::Bool, Found::Varint(bits)) => (bits != 0).into(),
            (Kind::Enum(of), Found::Varint(bits)) => {
                let number = bits as i32;
                match self.schema.enums[of].get(&number) {
                    Some(name) => name.as_str().into(),
                    None => number.into(),
                }
            }
            (Kind::Text, Found::Bytes(bytes)) => std::str::from_utf8(bytes)
                .map_err(|_| "a Protobuf string that is not UTF-8".to_owned())?
                .into(),
            (Kind::Bytes, Found::Bytes(bytes)) => to_base64(bytes).into(),
            _ => return Err("no scalar".to_owned()),
        })
    }
}

fn many(fields: &mut Fields, number: u32) -> &mut Vec<Value> {
    let held = fields
        .entry(number)
        .or_insert_with(|| Held::Many(Vec::new()));
    match held {
        Held::Many(items) => items,
        _ => unreachable!("a repeated field holds a list"),
    }
}

fn unzigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -((bits & 1).cast_signed())
}

fn real(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// By its shortest digits: 0.1, not 0.10000000149011612.
fn single(value: f32) -> Value {
    let digits = value.to_string().parse();
    real(digits.unwrap_or_else(|_| f64::from(value)))
}

/// The names that were meant, perhaps; else the first there are.
fn near<'a>(name: &str, schema: &'a Schema) -> Vec<&'a str> {
    let last = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        last.to_ascii_lowercase()
    };
    let is_near = |known: &&str| {
        let far = distance(name, known);
        last(known) == last(name) || (far <= 2 && far * 3 <= name.len())
    };
    let near: Vec<&str> = schema
        .message_names()
        .filter(is_near)
        .take(NEAR_MAX)
        .collect();
    match near.as_slice() {
        [] => schema.message_names().take(NEAR_MAX).collect(),
        _ => near,
    }
}

#[cfg(test)]
mod tests;
