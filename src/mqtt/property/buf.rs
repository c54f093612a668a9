//! [`PropertiesBuf`]: properties that are being put together, in the order they are pushed.

use crate::mqtt::property::{Properties, PropertyId, Value};
use crate::mqtt::wire::{put_binary, put_string, put_u16, put_u32, put_variable};

/// Owned properties, as they stand on the wire.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct PropertiesBuf {
    raw: Vec<u8>,
}

impl PropertiesBuf {
    pub const fn new() -> Self {
        Self { raw: Vec::new() }
    }

    /// Appends a property. Its value must have the type the table gives it; whether it may stand
    /// where it will be sent is known to the caller.
    pub fn push(&mut self, id: PropertyId, value: Value<'_>) {
        assert_eq!(
            value.value_type(),
            id.row().value_type,
            "{id:?} has another type"
        );
        let out = &mut self.raw;
        out.push(id as u8);
        match value {
            Value::Byte(value) => out.push(value),
            Value::Two(value) => put_u16(value, out),
            Value::Four(value) => put_u32(value, out),
            Value::Variable(value) => put_variable(value, out),
            Value::String(value) => put_string(value, out),
            Value::Pair(name, value) => {
                put_string(name, out);
                put_string(value, out);
            }
            Value::Binary(value) => put_binary(value, out),
        }
    }

    /// Appends those of `properties` whose identifier `keep` allows, in their order.
    pub fn extend_filtered(
        &mut self,
        properties: Properties<'_>,
        keep: impl Fn(PropertyId) -> bool,
    ) {
        for (id, value) in properties {
            if keep(id) {
                self.push(id, value);
            }
        }
    }

    pub fn properties(&self) -> Properties<'_> {
        Properties { raw: &self.raw }
    }

    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    pub fn clear(&mut self) {
        self.raw.clear();
    }
}

impl From<Properties<'_>> for PropertiesBuf {
    fn from(properties: Properties<'_>) -> Self {
        Self {
            raw: properties.raw().to_vec(),
        }
    }
}
